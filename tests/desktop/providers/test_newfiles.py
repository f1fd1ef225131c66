"""New files in bulk: what the installer promises for one of them holds for all of them."""

import os
import time
from pathlib import Path

import pytest

from cradle_desktop.providers.files import FilesStore
from cradle_desktop.providers.newfiles import FolderNewFiles
from cradle_protocol.errors import CHANGED
from cradle_protocol.provider.newfiles import NewFile, NewFiles
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.values import file_value
from cradle_testing.folder_hand import FolderHand
from cradle_testing.store_contract import status_of
from desktop.providers.conftest import Meddled

MODE = b"\x01\xa4"


def staged(store: FilesStore, *identities: str, data: bytes = b"ours", mode: bytes = MODE) -> "list[NewFile]":
    files = [NewFile(identity, f"0{number}-1-1", len(data), mode) for number, identity in enumerate(identities)]
    for file in files:
        store.new_files().stage(file, memoryview(data))
    return files


def show(store: FilesStore, *identities: str, data: bytes = b"ours", mode: bytes = MODE) -> "list[NewFile]":
    files = staged(store, *identities, data=data, mode=mode)
    store.new_files().show(files)
    return files


def test_files_are_there_with_content_mode_and_stamp(store: FilesStore, root: Path) -> None:
    (root / "d").mkdir()
    for number, bits in enumerate((0o644, 0o600, 0o444, 0o755)):
        (file,) = show(store, f"d/f{number}", data=bytes(number), mode=bits.to_bytes(2, "big"))
        assert (root / file.identity).read_bytes() == bytes(number)
        assert (root / file.identity).stat().st_mode & 0o7777 == bits
        assert file.stamp and file.stamp == store.stamp(file.identity) and not file.racy
    (file,) = show(store, "default", mode=b"")
    assert (root / "default").stat().st_mode & 0o777 == 0o666 & ~store._installer.umask
    assert store.staged() == [] and isinstance(store.new_files(), FolderNewFiles)


def test_no_edit_leaves_the_stamp_that_was_shown(store: FilesStore, root: Path) -> None:
    """CE-10: an edit of the same size within the same tick of the kernel's clock still shows."""
    for number in range(100):
        (file,) = show(store, f"f{number}")
        with open(root / f"f{number}", "r+b") as content:
            content.write(b"user")
        assert store.stamp(f"f{number}") != file.stamp


def test_a_time_that_is_over_is_one_that_no_edit_leaves(
    store: FilesStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was staged a moment ago keeps the time that the disk gave it."""
    show(store, "first")  # after it the disk is known
    for number in range(20):
        (file,) = files = staged(store, f"f{number}", data=b"%4d" % number)
        time.sleep(0.02)  # two ticks of the coarsest clock of a kernel
        before = os.stat(root / ".cradle/tmp" / file.name).st_mtime_ns
        store.new_files().show(files)
        assert os.stat(root / file.identity).st_mtime_ns == before and file.stamp == store.stamp(file.identity)
        (root / file.identity).write_bytes(b"user")
        assert store.stamp(file.identity) != file.stamp


def test_a_clock_that_was_set_back_meanwhile_makes_no_stamp(store: FilesStore, root: Path) -> None:
    show(store, "first")
    (file,) = files = staged(store, "f")
    time.sleep(0.02)
    later = time.time_ns() + 10**12
    os.utime(root / ".cradle/tmp" / file.name, ns=(later, later))  # as if it had been staged before that
    store.new_files().show(files)
    assert (root / "f").exists() and file.stamp and store.stamp("f") != file.stamp


def test_what_a_user_does_right_after_it_is_not_in_the_stamp(
    store: FilesStore, root: Path, kernel: Meddled, hand: FolderHand
) -> None:
    for act in (
        lambda: (root / "f").write_bytes(b"user"),
        lambda: (root / "f").chmod(0o600),
        lambda: hand.delete("f"),
        lambda: (hand.delete("f"), hand.mkdir("f")),
    ):
        kernel.after["rename_new"] = [act]
        (file,) = show(store, "f")
        assert file.stamp and not file.racy and store.stamp("f") != file.stamp
        assert store.values(file.stamp) == [file_value(4), MODE]
        if (root / "f").exists():
            hand.delete("f")


def test_nobodys_place_is_taken(store: FilesStore, root: Path, kernel: Meddled, hand: FolderHand) -> None:
    hand.write("d/taken", b"user's")
    kernel.before["rename_new"] = [lambda: hand.write("d/first", b"user's")]
    files = show(store, "d/first", "d/taken", "d/third")
    assert [bool(file.stamp) for file in files] == [False, False, True]
    assert hand.read("d/first") == hand.read("d/taken") == b"user's" and hand.read("d/third") == b"ours"
    assert [name for name, _ in store.staged()] == ["00-1-1", "01-1-1"], "stages until somebody drops them"


def test_no_path_leads_out_or_into_our_own_folder(store: FilesStore, root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "cafe\u0301").mkdir()
    bad = ("../x", "/x", "a/../x", ".cradle/x", ".cradle/tmp/x", "link/x", "missing/x", "", "cafe\u0301/x", "x\0y")
    before = {path for path in tmp_path.rglob("*") if "tmp" not in path.parts[-2:]}
    files = staged(store, *bad)
    for file in files:
        store.new_files().show([file])
    assert [file.identity for file in files if file.stamp] == []
    assert {path for path in tmp_path.rglob("*") if "tmp" not in path.parts[-2:]} == before
    assert [file.identity for file in files if store.new_files().reaches(file)] == []
    for file in files:
        store.unstage(file.name)
    (named,) = show(store, "caf\u00e9/x")  # the disk's spelling is another one
    assert named.stamp and (root / "cafe\u0301/x").read_bytes() == b"ours"


def test_an_older_stage_of_the_name_is_left_to_the_general_way(store: FilesStore, root: Path) -> None:
    """It may have the mode of a file that was about to be shown when the power went."""
    store.stage_bytes("00-1-1", b"older")
    (root / ".cradle/tmp/00-1-1").chmod(0o400)
    with pytest.raises(StoreError) as error:
        staged(store, "f")
    assert status_of(error) == CHANGED
    store.stage_bytes("00-1-1", b"ours")
    store.install("f", "00-1-1", [file_value(4), MODE], None)
    assert (root / "f").read_bytes() == b"ours" and (root / "f").stat().st_mode & 0o777 == 0o644


def test_a_disk_of_whole_seconds_goes_the_general_way(store: FilesStore, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.utime

    def coarse(path: "int | str", *, ns: "tuple[int, int]" = (0, 0), **more: int) -> None:
        whole(path, ns=(ns[0] // 10**9 * 10**9, ns[1] // 10**9 * 10**9), **more)

    monkeypatch.setattr(os, "utime", coarse)
    with pytest.raises(StoreError):
        staged(store, "f")
    assert type(store.new_files()) is NewFiles
    (file,) = show(store, "f")
    assert file.stamp == store.stamp("f") and file.racy


def test_the_general_way_takes_what_was_not_shown(store: FilesStore, root: Path) -> None:
    (file,) = show(store, "missing/f")
    assert not file.stamp
    stamp = store.install("missing/f", file.name, [file_value(4), MODE], None)
    assert (root / "missing/f").read_bytes() == b"ours" and stamp == store.stamp("missing/f")
    assert store.staged() == []
