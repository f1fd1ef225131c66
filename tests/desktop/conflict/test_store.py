"""What lost is kept: once, durable, bounded, never the young and unresolved; what waits is what the sync says waits."""

import os
import stat
from pathlib import Path

import pytest

from cradle_desktop.conflict.store import DROPPED, ConflictStore
from cradle_desktop.settings import STORE_DAYS
from cradle_protocol.errors import NO_ROOM, UNREADABLE
from cradle_protocol.provider.store import Reader, StoreError
from cradle_protocol.sync.values import file_value, with_digest
from cradle_testing.stores import MemoryStore
from desktop.conflict.parts import DAY, NOON, Clock, add, conflict_store, loser, reader_of


def content(conflicts: ConflictStore, digest: bytes) -> bytes:
    return Path(conflicts.contents.path(digest)).read_bytes()


def files(folder: Path) -> "list[str]":
    return sorted(os.listdir(folder / "conflicts"))


def test_a_loser_is_kept_with_its_content(tmp_path: Path) -> None:
    conflicts = conflict_store(tmp_path)
    number = add(conflicts, "a.txt", b"device's")
    again = conflict_store(tmp_path)
    found = again.get(number)
    assert found is not None and [one.number for one in again.list()] == [number]
    assert (found.partner, found.type, found.identity, found.winner, found.loser) == (
        "porch", "files", "a.txt", "desktop", "device",
    )  # fmt: skip
    assert (found.held, found.detected, found.resolved, found.taken, found.size) == (True, NOON, None, "", 8)
    assert content(again, found.digest) == b"device's"


def test_the_same_loser_is_kept_once(tmp_path: Path) -> None:
    conflicts = conflict_store(tmp_path)
    first = add(conflicts, "a.txt", b"same")
    assert add(conflicts, "a.txt", b"same") == first
    other = [
        add(conflicts, "a.txt", b"else"),
        add(conflicts, "b.txt", b"same"),
        add(conflicts, "a.txt", b"same", partner="b"),
    ]
    assert len({first, *other}) == 4 and conflicts.count() == 4 and conflicts.count("b") == 1
    assert len(files(tmp_path)) == 2
    conflicts.settle(first, "desktop")
    assert add(conflicts, "a.txt", b"same") not in {first, *other}


def test_a_content_that_nobody_had_hashed_is_hashed(tmp_path: Path) -> None:
    conflicts = conflict_store(tmp_path)
    lost = loser("a.txt", value=file_value(4))
    found = conflicts.get(conflicts.add(lost, reader_of(b"data")))
    assert found is not None and found.size == 4
    assert found.value == with_digest(file_value(4), found.digest) and content(conflicts, found.digest) == b"data"


def test_losers_without_content(tmp_path: Path) -> None:
    conflicts = conflict_store(tmp_path)
    mode = conflicts.add(loser("a", value=b"\x01\xa4", unit=1), None)
    gone = conflicts.add(loser("a", value=b"", kind="update-delete"), None)
    assert mode != gone and conflicts.count() == 2
    assert conflicts.add(loser("a", value=b"\x01\xff", unit=1), None) not in (mode, gone)


def test_a_batch_is_all_or_nothing(tmp_path: Path) -> None:
    conflicts = conflict_store(tmp_path)
    with conflicts.batch():
        assert add(conflicts, "a", b"1") == 0
        assert add(conflicts, "b", b"2") == 0
        assert conflict_store(tmp_path).count() == 0
    assert [one.identity for one in conflict_store(tmp_path).list()] == ["a", "b"]
    with pytest.raises(KeyError), conflicts.batch():
        add(conflicts, "c", b"3")
        raise KeyError
    assert conflicts.count() == 2 and len(files(tmp_path)) == 2


def test_a_content_that_cannot_be_read_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    conflicts = conflict_store(tmp_path)
    store = MemoryStore()
    store.write("x", b"data")
    reader = store.open("x")
    store.failing_reads["x"] = UNREADABLE
    with conflicts.batch():
        with pytest.raises(StoreError):
            conflicts.add(loser("a", b"data"), reader)
        add(conflicts, "b", b"2")
    assert [one.identity for one in conflicts.list()] == ["b"] and len(files(tmp_path)) == 1


def test_the_young_and_unresolved_are_never_evicted(tmp_path: Path) -> None:
    conflicts = conflict_store(tmp_path, limit=10)
    add(conflicts, "a", b"123456")
    assert conflicts.room(4) and not conflicts.room(5)
    with pytest.raises(StoreError) as caught:
        add(conflicts, "b", b"12345")
    assert caught.value.status == NO_ROOM and conflicts.count() == 1 and len(files(tmp_path)) == 1
    with conflicts.batch():
        add(conflicts, "b", b"1234")
        assert not conflicts.room(1)
        add(conflicts, "c", b"123456")  # the same content takes no room
    assert conflicts.count() == 3 and conflicts.dropped == []


def test_the_resolved_go_first_then_the_old_and_that_is_told(tmp_path: Path) -> None:
    clock = Clock()
    conflicts = conflict_store(tmp_path, 10, clock)
    old = add(conflicts, "old", b"11111")
    clock.now += DAY
    resolved = add(conflicts, "resolved", b"2222")
    conflicts.settle(resolved, "desktop")
    clock.now += STORE_DAYS * DAY
    assert conflicts.room(10)
    add(conflicts, "new", b"33333")
    assert files(tmp_path) == sorted(one.digest.hex() for one in conflicts.list()) and conflicts.dropped == []
    add(conflicts, "newer", b"4444")
    assert [one.number for one in conflicts.dropped] == [old]
    evicted = conflicts.get(old)
    assert evicted is not None and evicted.taken == DROPPED and evicted.resolved == int(clock.now)
    assert [one.identity for one in conflicts.list()] == ["new", "newer"]


def test_what_was_settled_long_ago_is_forgotten_and_what_waits_is_not(tmp_path: Path) -> None:
    clock = Clock()
    conflicts = conflict_store(tmp_path, clock=clock)
    settled, shared, waits = add(conflicts, "a", b"1"), add(conflicts, "b", b"2"), add(conflicts, "c", b"2")
    for number in (settled, shared):
        conflicts.settle(number, "desktop")
    clock.now += STORE_DAYS * DAY + 1
    add(conflicts, "new", b"3")
    assert [one.identity for one in conflicts.list(unresolved=False)] == ["c", "new"] and conflicts.dropped == []
    assert len(files(tmp_path)) == 2
    kept = conflicts.get(waits)
    assert kept is not None and content(conflicts, kept.digest) == b"2"


def test_what_waits_is_replaced_as_a_whole_and_keeps_its_numbers(tmp_path: Path) -> None:
    conflicts = conflict_store(tmp_path)
    conflicts.waiting("porch", "files", [loser("a"), loser("b")])
    conflicts.waiting("shed", "files", [loser("a", partner="shed")])
    a, b, other = conflicts.list()
    assert not a.held and [x.identity for x in (a, b, other)] == ["a", "b", "a"]
    conflicts.waiting("porch", "files", [loser("c"), loser("b")])
    assert [(x.number, x.identity) for x in conflicts.list("porch")] == [
        (b.number, "b"),
        (conflicts.list()[-1].number, "c"),
    ]
    conflicts.decide(b.number, "device")
    assert conflicts.decisions("porch", "files") == {(b.item_id, 0): "device"}
    conflicts.waiting("porch", "files", [])
    assert conflicts.count("porch") == 0 and conflicts.count("shed") == 1
    settled = conflicts.get(b.number)
    assert settled is not None and (settled.taken, settled.resolved) == ("device", NOON)
    assert conflicts.decisions("porch", "files") == {}


def test_contents_are_private(tmp_path: Path) -> None:
    conflicts = conflict_store(tmp_path / "home")
    add(conflicts, "a", b"secret")
    folder = tmp_path / "home" / "conflicts"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()} == {0o600}


def test_what_a_dead_process_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    conflicts = conflict_store(tmp_path)
    add(conflicts, "a", b"kept")
    folder = tmp_path / "conflicts"
    for name, age in ((".draft-1-1", 2 * DAY), ("ab" * 32, 2 * DAY), (".draft-2-1", 60)):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (NOON - age, NOON - age))
    kept = files(tmp_path)
    os.utime(next(folder / n for n in kept if len(n) == 64 and n != "ab" * 32), (NOON - 9 * DAY, NOON - 9 * DAY))
    add(conflict_store(tmp_path), "b", b"more")
    assert ".draft-1-1" not in files(tmp_path) and "ab" * 32 not in files(tmp_path)
    assert ".draft-2-1" in files(tmp_path) and len(files(tmp_path)) == 3


class Endless(Reader):
    """More than any disk has: stops the test that reads on."""

    def read_into(self, buffer: memoryview) -> int:
        raise StoreError(UNREADABLE)

    def close(self) -> None:
        self.closed = True


def test_a_reader_is_closed_whatever_happens(tmp_path: Path) -> None:
    reader = Endless()
    with pytest.raises(StoreError):
        conflict_store(tmp_path).add(loser("a", b"x"), reader)
    assert reader.closed
