"""Taking back on a real folder: an ordinary edit that the next scan stamps, modes and neighbours untouched."""

from pathlib import Path

import pytest

from cradle_desktop.conflict.resolve import kept_name, resolve
from cradle_desktop.metadata.sqlite import SqliteStore
from cradle_desktop.providers.files import FilesStore
from cradle_protocol.compat import sha256
from cradle_protocol.sync.detect import detect
from cradle_protocol.sync.item import item_id
from cradle_testing.trees import read_modes, read_tree, write_tree
from desktop.conflict.parts import add, conflict_store, loser

NAME = "notes/report.txt"


@pytest.fixture
def store(tmp_path: Path) -> FilesStore:
    made = FilesStore.create(tmp_path / "store")
    write_tree(tmp_path / "store", {NAME: (b"desktop's", 0o640), "notes/other.txt": b"other"})
    return made


def test_the_next_scan_stamps_what_was_taken(tmp_path: Path, store: FilesStore) -> None:
    conflicts = conflict_store(tmp_path)
    meta = SqliteStore(conflicts._database).open_replica(store.root, "files", len(store.units), store.store_id())
    detect(store, meta)
    before = meta.get(item_id("files", NAME))
    number = add(conflicts, NAME, b"device's")
    resolve(conflicts, number, "device", store)
    assert detect(store, meta).changed == 1
    edited = meta.get(item_id("files", NAME))
    assert before is not None and edited is not None and edited.versions[0] > before.versions[0]
    assert edited.versions[1] == before.versions[1]
    assert read_tree(store.root) == {"notes/": b"", NAME: b"device's", "notes/other.txt": b"other"}
    assert read_modes(store.root)[NAME] == 0o640
    resolve(conflicts, number, "desktop", store)
    assert read_tree(store.root)[NAME] == b"desktop's" and store.staged() == []


def test_both_and_deletes_and_modes(tmp_path: Path, store: FilesStore) -> None:
    conflicts = conflict_store(tmp_path)
    resolve(conflicts, add(conflicts, NAME, b"device's"), "both", store)
    assert read_tree(store.root)[kept_name(NAME, "device", sha256(b"device's").digest())] == b"device's"
    mode = conflicts.add(loser(NAME, value=b"\x01\xed", unit=1), None)
    resolve(conflicts, mode, "device", store)
    assert read_modes(store.root)[NAME] == 0o755
    gone = conflicts.add(loser(NAME, value=b"", kind="update-delete"), None)
    resolve(conflicts, gone, "device", store)
    assert NAME not in read_tree(store.root)
    resolve(conflicts, gone, "desktop", store)
    assert read_tree(store.root)[NAME] == b"desktop's"
