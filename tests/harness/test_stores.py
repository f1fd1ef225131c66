"""The store in memory is a store: it passes the suite, and each of its switches does what it says."""

from pathlib import Path

import pytest

from cradle_protocol.errors import CHANGED, COLLISION, NO_ROOM, NO_STORE, UNREADABLE
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.values import DIRECTORY, file_value
from cradle_testing.keeping_contract import KeepingContract
from cradle_testing.store_contract import AWKWARD, ObjectStoreContract, must, put, read, stage, status_of
from cradle_testing.stores import MemoryStore


class TestMemoryStore(ObjectStoreContract):
    def make(self, tmp_path: Path) -> "tuple[MemoryStore, MemoryStore]":
        store = MemoryStore()
        return store, store


class TestKeepingMemoryStore(KeepingContract):
    def make_keeping(self, tmp_path: Path) -> "tuple[MemoryStore, MemoryStore]":
        store = MemoryStore()
        return store, store


class TestPlainMemoryStore(ObjectStoreContract):
    """As a FAT stick is: no modes, no case, no lasting numbers, no dots and spaces at the end of a name."""

    awkward = tuple(name for name in AWKWARD if name[-1] not in ". ")

    def make(self, tmp_path: Path) -> "tuple[MemoryStore, MemoryStore]":
        store = MemoryStore(caseless=True, modes=False, moves_by_identity=False)
        return store, store


def test_an_edit_in_between_is_left_alone() -> None:
    """CE-06: the user saves between the engine's look and the store's act."""
    store = MemoryStore()
    store.write("f", b"old")
    expected = store.stamp("f")
    store.on_install = lambda identity: store.write(identity, b"user's")
    for stamp in (expected, None):
        with pytest.raises(StoreError) as error:
            put(store, "f", b"ours", stamp)
        assert status_of(error) == CHANGED and store.read("f") == b"user's"
    store.on_remove = lambda identity: store.write(identity, b"again")
    with pytest.raises(StoreError):
        store.remove("f", must(store.stamp("f")))
    assert store.read("f") == b"again"


def test_failing_objects() -> None:
    store = MemoryStore()
    store.write("f", b"x")
    store.failing_reads["f"] = UNREADABLE
    with pytest.raises(StoreError):
        read(store, "f")
    put(store, "f", b"y", store.stamp("f"))
    store.failing_reads.clear()
    store.failing_writes["f"] = NO_ROOM
    assert read(store, "f") == b"y"
    with pytest.raises(StoreError) as error:
        put(store, "f", b"z", store.stamp("f"))
    assert status_of(error) == NO_ROOM


def test_a_full_store() -> None:
    store = MemoryStore()
    store.full = 5
    put(store, "f", b"12345")
    with pytest.raises(StoreError) as error:
        stage(store, b"6")
    assert status_of(error) == NO_ROOM and store.room() == 0
    store.delete("f")
    assert store.room() == 5


def test_hidden_objects_and_a_store_that_goes() -> None:
    store = MemoryStore()
    for path in ("a/x", "b/y"):
        store.write(path, b"1")
    store.hidden["a"] = UNREADABLE
    assert [i for i, _ in store.items()] == ["b", "b/y"] and store.skipped == [("a", UNREADABLE)]
    store.ends_after = 2
    with pytest.raises(StoreError) as error:
        list(store.items())
    assert status_of(error) == NO_STORE
    store.missing = True
    with pytest.raises(StoreError):
        store.store_id()


def test_a_caseless_store_tells_twins() -> None:
    store = MemoryStore(caseless=True)
    store.write("Dir/File", b"x")
    for path in ("dir/other", "DIR"):
        with pytest.raises(StoreError) as error:
            store.install(path, None, [DIRECTORY, b""], None)
        assert status_of(error) == COLLISION


def test_a_crash_takes_what_was_not_flushed() -> None:
    store = MemoryStore()
    store.write("f", b"old")
    writer = store.stage("00")
    writer.write(b"half")
    writer.flush()
    writer.write(b" lost")
    store.sync()
    writer.write(b" also lost")
    put(store, "f", b"new", store.stamp("f"))
    store.crash()
    assert store.read("f") == b"old" and store.staged() == [("00", 9)]


def test_it_counts_what_is_read() -> None:
    store = MemoryStore()
    store.write("f", b"12345")
    list(store.items())
    store.values(must(store.stamp("f")))
    assert store.reads == store.bytes_read == 0
    read(store, "f")
    store.digest("f")
    assert (store.reads, store.bytes_read) == (2, 5)


def test_the_same_size_within_a_tick_leaves_the_same_stamp() -> None:
    """CE-10: that is what the racy rule is for."""
    store = MemoryStore()
    store.write("f", b"one")
    before = store.stamp("f")
    store.write("f", b"two")
    assert store.stamp("f") == before
    list(store.items())
    assert store.racy(must(before))
    assert store.values(must(before))[0] == file_value(3)
