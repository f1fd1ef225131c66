"""CE-06 and its kin: a user who saves between any two steps of ours keeps the bytes, current or rescued."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cradle_desktop.providers.files import FilesStore
from cradle_protocol.errors import CHANGED, COLLISION, NO_PARENT, UNREADABLE
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.values import DIRECTORY, file_value
from cradle_testing.folder_hand import FolderHand
from cradle_testing.store_contract import must, put, read, stage, status_of
from desktop.providers.conftest import Meddled


def rescued(root: Path) -> "list[bytes]":
    """Contents of what was rescued."""
    return sorted(path.read_bytes() for path in root.glob(".cradle/rescued/*"))


def left_over(root: Path) -> "list[str]":
    """What lies in the staging folder."""
    return sorted(path.name for path in root.glob(".cradle/tmp/*"))


def save(hand: FolderHand, identity: str, data: bytes) -> None:
    """Save as editors do: a new file, renamed over the old one."""
    hand.write(".saving", data)
    hand.rename(".saving", identity)


Saver = Callable[[FolderHand, str, bytes], None]
SAVERS = pytest.mark.parametrize("saves", [save, FolderHand.write], ids=["by rename", "in place"])


@SAVERS
def test_a_save_before_the_swap(store: FilesStore, root: Path, hand: FolderHand, kernel: Meddled, saves: Saver) -> None:
    hand.write("f", b"old")
    expected = store.stamp("f")
    kernel.before["swap"] = [lambda: saves(hand, "f", b"user's")]
    with pytest.raises(StoreError) as error:
        put(store, "f", b"ours", expected)
    assert status_of(error) == CHANGED and hand.read("f") == b"user's"
    assert left_over(root) == ["00-1"] and rescued(root) == []
    assert put(store, "f", b"ours", store.stamp("f")) == store.stamp("f") and hand.read("f") == b"ours"


def test_saves_between_all_swaps(store: FilesStore, root: Path, hand: FolderHand, kernel: Meddled) -> None:
    hand.write("f", b"old")
    expected = store.stamp("f")
    kernel.before["swap"] = [lambda n=n: save(hand, "f", b"save %d" % n) for n in range(4)]
    with pytest.raises(StoreError) as error:
        put(store, "f", b"ours", expected)
    assert status_of(error) == CHANGED and hand.read("f") == b"save 3"
    assert rescued(root) and set(rescued(root)) <= {b"save 0", b"save 1", b"save 2"}
    assert left_over(root) == []


def test_an_edit_of_ours_before_it_is_swapped_back(
    store: FilesStore, root: Path, hand: FolderHand, kernel: Meddled
) -> None:
    hand.write("f", b"old")
    expected = store.stamp("f")
    kernel.before["swap"] = [lambda: save(hand, "f", b"first"), lambda: hand.write("f", b"edit of ours")]
    with pytest.raises(StoreError):
        put(store, "f", b"ours", expected)
    assert hand.read("f") == b"first" and rescued(root) == [b"edit of ours"]


def test_a_deletion_before_the_swap(store: FilesStore, root: Path, hand: FolderHand, kernel: Meddled) -> None:
    hand.write("f", b"old")
    expected = store.stamp("f")
    kernel.before["swap"] = [lambda: hand.delete("f")]
    with pytest.raises(StoreError) as error:
        put(store, "f", b"ours", expected)
    assert status_of(error) == CHANGED and store.stamp("f") is None
    assert left_over(root) == ["00-1"]


def test_a_name_taken_before_the_create(store: FilesStore, root: Path, hand: FolderHand, kernel: Meddled) -> None:
    kernel.before["rename_new"] = [lambda: hand.write("f", b"user's")]
    with pytest.raises(StoreError) as error:
        put(store, "f", b"ours")
    assert status_of(error) == CHANGED and hand.read("f") == b"user's" and left_over(root) == ["00-1"]


@SAVERS
def test_a_save_before_the_removal(
    store: FilesStore, root: Path, hand: FolderHand, kernel: Meddled, saves: Saver
) -> None:
    hand.write("f", b"old")
    kernel.before["rename"] = [lambda: saves(hand, "f", b"user's")]
    with pytest.raises(StoreError) as error:
        store.remove("f", must(store.stamp("f")))
    assert status_of(error) == CHANGED and hand.read("f") == b"user's"
    assert left_over(root) == [] and rescued(root) == []


def test_two_saves_around_the_removal(store: FilesStore, root: Path, hand: FolderHand, kernel: Meddled) -> None:
    hand.write("f", b"old")
    kernel.before["rename"] = [lambda: save(hand, "f", b"first")]
    kernel.before["rename_new"] = [lambda: save(hand, "f", b"second")]
    with pytest.raises(StoreError):
        store.remove("f", must(store.stamp("f")))
    assert hand.read("f") == b"second" and rescued(root) == [b"first"]


def test_an_edit_right_after_ours_is_seen_at_the_next_scan(
    store: FilesStore, hand: FolderHand, kernel: Meddled
) -> None:
    kernel.after["rename_new"] = [lambda: hand.write("new", b"theirs")]
    stamp = put(store, "new", b"ours")
    assert store.stamp("new") != stamp
    kernel.after["swap"] = [lambda: save(hand, "new", b"again!")]
    stamp = put(store, "new", b"ours", store.stamp("new"))
    assert store.stamp("new") != stamp and hand.read("new") == b"again!"


def test_a_directory_that_fills_before_a_file_takes_its_place(
    store: FilesStore, hand: FolderHand, kernel: Meddled
) -> None:
    hand.mkdir("d")
    expected = store.stamp("d")
    kernel.before["swap"] = [lambda: hand.write("d/f", b"user's")]
    with pytest.raises(StoreError) as error:
        put(store, "d", b"ours", expected)
    assert status_of(error) == CHANGED and hand.read("d/f") == b"user's"


@pytest.mark.parametrize("step", ["link", "rename"])
def test_without_swap_an_edit_in_place_is_put_back(
    store: FilesStore, root: Path, hand: FolderHand, kernel: Meddled, step: str
) -> None:
    kernel.exchange = False
    hand.write("f", b"old")
    expected = store.stamp("f")
    if step == "link":
        kernel.after["link"] = [lambda: hand.write("f", b"user's")]
    else:
        kernel.before["rename"] = [lambda: None, lambda: hand.write("f", b"user's")]
    with pytest.raises(StoreError) as error:
        put(store, "f", b"ours", expected)
    assert status_of(error) == CHANGED and hand.read("f") == b"user's"


def test_without_swap_a_file_and_a_directory_change_places(
    store: FilesStore, hand: FolderHand, kernel: Meddled
) -> None:
    kernel.exchange = False
    hand.write("x", b"old")
    expected = store.stamp("x")
    kernel.before["rename"] = [lambda: None, lambda: save(hand, "x", b"user's")]
    with pytest.raises(StoreError):
        store.install("x", None, [DIRECTORY, b""], expected)
    assert hand.read("x") == b"user's"
    hand.mkdir("d")
    expected = store.stamp("d")
    kernel.before["rename"] = [lambda: None, lambda: hand.write("d/f", b"user's")]
    with pytest.raises(StoreError):
        put(store, "d", b"ours", expected)
    assert hand.read("d/f") == b"user's"


def test_what_a_crash_left_aside_is_rescued(store: FilesStore, root: Path) -> None:
    stage(store, b"a stage", "0a")
    (root / ".cradle/tmp/aside.1.1").write_bytes(b"somebody's")
    store.close()
    assert store.staged() == [("0a", 7)]
    assert rescued(root) == [b"somebody's"] and left_over(root) == ["0a"]


# -- links


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_bytes(b"secret")
    return folder


def unharmed(outside: Path) -> bool:
    return [p.name for p in outside.iterdir()] == ["secret"] and (outside / "secret").read_bytes() == b"secret"


@pytest.mark.parametrize("beneath", [True, False])
def test_links_lead_nowhere(store: FilesStore, root: Path, outside: Path, kernel: Meddled, beneath: bool) -> None:
    kernel.beneath = beneath
    (root / "dir").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    (root / "dangling").symlink_to(outside / "none")
    (root / "proc").symlink_to("/proc/self/root")
    stage(store, b"ours")
    for path in ("dir", "file", "dangling", "proc", "dir/secret", "dir/new", "dir/sub/new", "proc/tmp"):
        assert store.stamp(path) is None
        for act in (store.open, store.digest, lambda path: store.stage_copy(path, "0f")):
            with pytest.raises(StoreError) as error:
                act(path)
            assert status_of(error) == UNREADABLE
        for install in (("00-1", file_value(4)), (None, DIRECTORY)):
            with pytest.raises(StoreError) as error:
                store.install(path, install[0], [install[1], b"\x01\xff"], None)
            assert status_of(error) in (COLLISION, NO_PARENT)
        assert not store.prune(path)
        store.missing_parents(path)
    assert unharmed(outside) and sorted(p.name for p in root.iterdir()) == [
        ".cradle", "dangling", "dir", "file", "proc",
    ]  # fmt: skip


def test_a_link_put_in_place_of_what_was_expected(
    store: FilesStore, root: Path, outside: Path, hand: FolderHand, kernel: Meddled
) -> None:
    def swap_for_link() -> None:
        hand.delete("f")
        (root / "f").symlink_to(outside / "secret")

    for call in ("swap", "rename"):
        (root / "f").unlink(missing_ok=True)
        hand.write("f", b"old", 0o600)
        expected = must(store.stamp("f"))
        kernel.before = {call: [swap_for_link]}
        with pytest.raises(StoreError):
            if call == "swap":
                put(store, "f", b"ours", expected)
            else:
                store.remove("f", expected)
        assert (root / "f").is_symlink() and unharmed(outside)
    with pytest.raises(StoreError):
        store.install("f", None, [file_value(3), b"\x01\xff"], expected, content=False)
    assert (outside / "secret").stat().st_mode & 0o777 != 0o777


@pytest.mark.parametrize("beneath", [True, False])
def test_a_directory_that_is_swapped_for_a_link_all_the_time(
    store: FilesStore, root: Path, outside: Path, kernel: Meddled, beneath: bool
) -> None:
    kernel.beneath = beneath
    (root / "d").mkdir()
    (root / "link").symlink_to(outside)
    stop = threading.Event()
    here = os.open(root, os.O_RDONLY)
    swapper = Meddled()

    def swap_on() -> None:
        while not stop.is_set():
            swapper.swap(here, "d", here, "link")

    thread = threading.Thread(target=swap_on)
    thread.start()
    done = 0
    try:
        for n in range(400):
            done += _attempt(store, n)
    finally:
        stop.set()
        thread.join()
        os.close(here)
    assert unharmed(outside) and 0 < done < 400, "both states were met"


def _attempt(store: FilesStore, n: int) -> int:
    """Install, read and remove below a directory that may be a link; 1 if all of it went well."""
    path = f"d/f{n}"
    try:
        stamp = put(store, path, b"ours")
        assert read(store, path) == b"ours"
        store.remove(path, stamp)
        for secret in ("d/secret", "link/secret"):
            assert store.stamp(secret) is None
        return 1
    except StoreError:
        return 0
