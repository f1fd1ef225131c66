"""Keeping what is displaced, on a real folder: by a rename where there can be one, by a copy where there cannot."""

import errno
from pathlib import Path

import pytest

from cradle_desktop.providers.files import FilesStore
from cradle_desktop.providers.kernel import Kernel
from cradle_protocol.errors import CHANGED
from cradle_protocol.provider.store import StoreError
from cradle_testing.folder_hand import FolderHand
from cradle_testing.keeping_contract import NAME, KeepingContract, kept
from cradle_testing.store_contract import must, put
from desktop.providers.conftest import Meddled


class TestKeeping(KeepingContract):
    switches: "tuple[str, ...]" = ()

    def make_keeping(self, tmp_path: Path) -> "tuple[FilesStore, FolderHand]":
        kernel = Kernel()
        for switch in self.switches:
            setattr(kernel, switch, False)
        FilesStore.create(tmp_path / "root").close()
        return FilesStore(tmp_path / "root", kernel=kernel), FolderHand(tmp_path / "root")


class TestKeepingWithoutSwap(TestKeeping):
    switches = ("exchange", "no_replace", "beneath")


class TestKeepingWithoutLinks(TestKeeping):
    switches = ("exchange", "no_replace", "links")


def test_a_rename_keeps_the_very_file(store: FilesStore, hand: FolderHand, root: Path) -> None:
    """No content is read a second time: what is kept is the same inode."""
    hand.write("a", b"old", 0o600)
    hand.write("b", b"old", 0o600)
    inodes = [(root / name).stat().st_ino for name in ("a", "b")]
    store.keep_next("01")
    put(store, "a", b"new", store.stamp("a"))
    store.keep_next("02")
    store.remove("b", must(store.stamp("b")))
    folder = root / ".cradle" / "kept"
    assert [(folder / name).stat().st_ino for name in ("01", "02")] == inodes
    assert folder.stat().st_mode & 0o777 == 0o700


def no_rename(error: int) -> None:
    raise OSError(error, "no")


def far_away(kernel: Meddled, error: int, calls: int) -> None:
    """The n-th rename from now, which is the one that keeps, fails."""
    kernel.before["rename"] = [lambda: None] * (calls - 1) + [lambda: no_rename(error)]


def test_on_another_disk_it_is_copied(store: FilesStore, hand: FolderHand, kernel: Meddled) -> None:
    hand.write("a", b"old")
    store.keep_next(NAME)
    far_away(kernel, errno.EXDEV, 2)
    put(store, "a", b"new", store.stamp("a"))
    assert kept(store) == b"old" and hand.read("a") == b"new"
    assert sorted(p.name for p in (hand.root / ".cradle" / "tmp").iterdir()) == []


@pytest.mark.parametrize("remove", [True, False])
def test_what_cannot_be_kept_stays(store: FilesStore, hand: FolderHand, kernel: Meddled, remove: bool) -> None:
    hand.write("a", b"old")
    store.keep_next(NAME)
    far_away(kernel, errno.ENOSPC, 2)
    with pytest.raises(StoreError) as caught:
        if remove:
            store.remove("a", must(store.stamp("a")))
        else:
            put(store, "a", b"new", store.stamp("a"))
    assert caught.value.status == CHANGED and hand.read("a") == b"old" and store.kept() == []
