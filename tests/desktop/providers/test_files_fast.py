"""The short ways: stamps that no later edit can leave, new files in directories held open, contents in one read."""

import os
import time
from pathlib import Path

import pytest

from cradle_desktop.providers.files import FilesStore
from cradle_protocol.errors import CHANGED, UNREADABLE
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.values import DIRECTORY, file_value
from cradle_testing.folder_hand import FolderHand
from cradle_testing.store_contract import must, put, status_of

MODE = b"\x01\xa4"


def place(store: FilesStore, identity: str, data: bytes) -> bytes:
    """Install a new file as a batch does."""
    store.stage_bytes("00-1", data)
    return store.install(identity, "00-1", [file_value(len(data)), MODE], None)


def test_what_was_installed_is_not_racy_and_no_edit_leaves_its_stamp(store: FilesStore, root: Path) -> None:
    """CE-10: an edit of the same size within the same tick of the kernel's clock still shows."""
    for number in range(200):
        stamp = place(store, f"f{number}", b"ours")
        assert not store.racy(stamp) and store.stamp(f"f{number}") == stamp
        with open(root / f"f{number}", "r+b") as file:
            file.write(b"user")
        assert store.stamp(f"f{number}") != stamp


def test_a_replacement_is_not_racy_either(store: FilesStore, hand: FolderHand) -> None:
    hand.write("f", b"old")
    stamp = put(store, "f", b"new", must(store.stamp("f")))
    assert not store.racy(stamp) and store.stamp("f") == stamp


def test_only_the_last_stamp_is_known_to_be_sure(store: FilesStore) -> None:
    first = place(store, "a", b"1")
    place(store, "b", b"2")
    assert store.racy(first), "its owner asks at once"


def test_a_disk_of_whole_seconds_stays_racy(store: FilesStore, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.utime

    def coarse(path: "int | str", *, ns: "tuple[int, int]", **more: int) -> None:
        whole(path, ns=(ns[0] // 10**9 * 10**9, ns[1] // 10**9 * 10**9), **more)

    monkeypatch.setattr(os, "utime", coarse)
    assert store.racy(place(store, "f", b"1"))


def test_a_directory_that_was_deleted_meanwhile_is_made_again(store: FilesStore, root: Path) -> None:
    place(store, "d/a", b"1")
    (root / "d/a").unlink()
    (root / "d").rmdir()
    place(store, "d/b", b"2")
    assert (root / "d/b").read_bytes() == b"2"


def test_a_new_file_takes_nobodys_place(store: FilesStore, root: Path, hand: FolderHand) -> None:
    place(store, "d/a", b"1")
    hand.write("d/b", b"user's")
    with pytest.raises(StoreError) as error:
        place(store, "d/b", b"ours")
    assert status_of(error) == CHANGED and hand.read("d/b") == b"user's"
    assert [name for name, _ in store.staged()] == ["00-1"], "a stage until somebody drops it"


def test_no_more_directories_are_held_than_descriptors_allow(store: FilesStore) -> None:
    before = len(os.listdir("/proc/self/fd"))  # what the rest of the process holds is not this store's
    for number in range(600):
        place(store, f"d{number}/f", b"1")
    assert len(os.listdir("/proc/self/fd")) < before + 400
    store.sync()
    assert len(os.listdir("/proc/self/fd")) < before + 50


def test_a_whole_read_tells_what_was_read(store: FilesStore, root: Path, hand: FolderHand) -> None:
    hand.write("d/f", b"four")
    assert store.read_whole("d/f", 4) == (b"four", store.stamp("d/f"))
    hand.write("d/f", b"grown longer")
    data, stamp = store.read_whole("d/f", 4)
    assert len(data) == 5 and stamp == store.stamp("d/f")
    (root / "link").symlink_to("d/f")
    for name in ("link", "nothing", "d"):
        with pytest.raises(StoreError) as error:
            store.read_whole(name, 4)
        assert status_of(error) == UNREADABLE


def test_names_alone_are_those_of_a_scan(store: FilesStore, root: Path, hand: FolderHand) -> None:
    for path in ("a", "d/b", "d/e/c", "\u00fc/\u00e4", "Z"):
        hand.write(path, b"1")
    hand.write("decomposed a\u0308", b"1")
    (root / "link").symlink_to("a")
    (root / "d/pipe").parent.mkdir(exist_ok=True)
    os.mkfifo(root / "d/pipe")
    (root / "d/e/.cradle").mkdir()
    whole = [(path, store.values(stamp)[0] == DIRECTORY) for path, stamp in store.items()]
    skipped, nested = sorted(store.skipped), store.nested
    assert sorted(store.names_only()) == sorted(whole)
    assert sorted(store.skipped) == skipped and store.nested == nested and len(skipped) == 2


def test_a_visit_reads_and_looks_at_once(store: FilesStore, root: Path, hand: FolderHand) -> None:
    room = memoryview(bytearray(6))
    for data in (b"four", b"grown longer"):
        hand.write("d/f", data)
        list(store.names_only())  # a scan, for the racy rule
        stamp = store.stamp("d/f") or b""
        seen = min(6, len(data)), stamp, store.values(stamp), store.racy(stamp)
        assert seen[3] and store.visit("d/f", room) == seen and bytes(room[: seen[0]]) == data[:6]
        assert store.size("d/f") == len(data)
    store.clock = lambda: time.time_ns() + 10**10
    list(store.names_only())
    found = store.visit("d/f", room)
    assert found is not None and not found[3]
    (root / "link").symlink_to("d/f")
    os.mkfifo(root / "pipe")
    for name in ("link", "pipe", "nothing", "no/thing"):
        assert store.visit(name, room) is None
    assert [store.size(name) for name in ("nothing", "no/thing", "../f")] == [0, 0, 0]
    with pytest.raises(StoreError) as error:
        store.visit("d", room)
    assert status_of(error) == UNREADABLE
