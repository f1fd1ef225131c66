"""What a sync costs, in bytes that are the same at every run: on the wire, in knowledge, on disk; what a no-op reads.

Wire: two syncs that differ only in the number of changes are compared, so that what is left is what one more change
costs. Of it go the content, and what says which object and which content are meant: its name (or the 16-byte id that
stands for the name of an object that the receiver has met) and its SHA-256. What remains is metadata.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from cradle_desktop.conflict.ancestors import Ancestors
from cradle_device.log import Log
from cradle_device.metadata import LogMetadata
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.version import HIGHEST, LOWEST
from cradle_testing.pair import AgentEnd
from cradle_testing.stores import MemoryStore
from cradle_testing.worlds import MortalSqlite, World

MOST_PER_CHANGE = 40  # bytes
MOST_KNOWLEDGE = 120  # bytes
MOST_STATE = 400  # bytes
OBJECTS = 500
NAME, ID, HASH = 12, 16, 32  # bytes; every name that is made here has as many
# What a FETCH asks for an object and the head of its one segment: the transport of a content, beside its change.
FETCHED = 16 + 8

Do = Callable[[MemoryStore, int], None]


def edit(store: MemoryStore, k: int) -> None:
    store.write(f"base/f{k:06d}", b"another content %06d" % k)


def make(store: MemoryStore, k: int) -> None:
    store.write(f"base/g{k:06d}", b"another content %06d" % k)


def delete(store: MemoryStore, k: int) -> None:
    store.delete(f"base/f{k:06d}")


def move(store: MemoryStore, k: int) -> None:
    store.rename(f"base/f{k:06d}", f"base/h{k:06d}")


def chmod(store: MemoryStore, k: int) -> None:
    store.chmod(f"base/f{k:06d}", 0o600)


def synced(folder: Path, objects: int) -> World:
    """A desktop and a device that have so many objects and nothing left to say."""
    w = World(folder)
    for k in range(objects):
        w["D1"].store.write(f"base/f{k:06d}", b"content %06d" % k)
    w.sync("D1", "R1")
    w.advance()
    w.sync("D1", "R1")
    return w


def wire_bytes(w: World) -> int:
    """Bytes of one sync, both ways, but for contents."""
    w.advance()
    w.content_bytes = 0
    result = w.sync("D1", "R1")
    return result.bytes_sent + result.bytes_received - w.content_bytes


def one_more(folder: Path, side: str, do: Do) -> float:
    """Bytes on the wire for one change more."""
    few, many = 20, 70
    cost = {}
    for count in (few, many):
        w = synced(folder / str(count), 100)
        for k in range(count):
            do(w[side].store, k)
        cost[count] = wire_bytes(w)
    return (cost[many] - cost[few]) / (many - few)


# The changes of one act: bytes that name objects and contents, and bytes of metadata of all its records together.
# A move is two changes. To a device it is a source, a proof of what is meant and a name; it says nothing twice.
PER_ACT: "list[tuple[str, Do, int, int, int]]" = [
    ("D1", make, 1, NAME + HASH, 30),
    ("D1", edit, 1, ID + HASH, 35),
    ("D1", delete, 1, ID, 15),
    ("D1", chmod, 1, ID + HASH, 34),
    ("D1", move, 2, ID + ID + NAME, 8),
    ("R1", make, 1, NAME + HASH, 25),
    ("R1", edit, 1, ID + HASH, 30),
    ("R1", delete, 1, ID, 13),
    ("R1", chmod, 1, ID + HASH, 36),
    ("R1", move, 2, (ID + ID + HASH) + (NAME + ID + HASH), 75),
]
# What crosses beside the records: a content that the device is asked for; the status that answers a MOVE.
BESIDE = {("R1", make): FETCHED, ("R1", edit): FETCHED, ("D1", move): 1}


@pytest.mark.parametrize(
    ("side", "do", "changes", "names", "metadata"), PER_ACT, ids=[f"{a[1].__name__} {a[0]}" for a in PER_ACT]
)
def test_metadata_of_a_change_on_the_wire(
    tmp_path: Path, side: str, do: Do, changes: int, names: int, metadata: int
) -> None:
    assert one_more(tmp_path, side, do) - names - BESIDE.get((side, do), 0) == metadata
    assert metadata <= MOST_PER_CHANGE * changes


def test_a_noop_and_a_few_changes_cost_the_same_whatever_exists(tmp_path: Path) -> None:
    costs = []
    for objects in (20, 1000):
        w = synced(tmp_path / str(objects), objects)
        noop = wire_bytes(w)
        for k in range(10):
            edit(w["R1" if k % 2 else "D1"].store, k)
        costs.append((noop, wire_bytes(w)))
    assert costs[0] == costs[1]
    assert costs[0][0] < 250


def test_knowledge_of_eight_replicas(tmp_path: Path) -> None:
    """As large as it gets, and as it is in a world of eight."""
    most = Knowledge()
    most.learn(LOWEST, HIGHEST, Knowledge.from_bytes(_knowledge(dict.fromkeys(range(8), 0xFFFFFFFF))))
    assert len(most.to_bytes()) == 69 <= MOST_KNOWLEDGE
    w = World(tmp_path, desktops=("D1", "D2", "D3", "D4"), devices=("R1", "R2", "R3", "R4"))
    for k, name in enumerate(w.names):
        w[name].store.write(f"of {name}", b"%d" % k)
    w.settle_and_check()
    metas = [desk.meta for desk in w.desks.values()]
    metas += [board.end.agent.replicas["files"].meta() for board in w.boards.values()]  # type: ignore[misc]
    assert [len(meta.knowledge.to_bytes()) for meta in metas] == [69] * 8


def _knowledge(vector: "dict[int, int]") -> bytes:
    one = Knowledge()
    one.vectors[0].update(vector)
    return one.to_bytes()


# -- the desktop's database


@pytest.fixture
def databases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "sqlite", True)


def size_of(w: World) -> int:
    """Bytes of the desktop's database file, with everything in it."""
    path = w.desks["D1"].meta._database.path  # type: ignore[union-attr]
    with sqlite3.connect(path) as reader:
        reader.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    reader.close()
    return Path(path).stat().st_size


def beyond(w: World, empty: int) -> float:
    """Bytes of the database per item, beyond names and stamps."""
    items = list(w.desks["D1"].meta.items())
    told = sum(len(item.identity.encode()) + len(item.stamp) for item in items)
    return (size_of(w) - empty - told) / len(items)


@pytest.mark.usefixtures("databases")
def test_what_the_desktop_keeps_of_an_object(tmp_path: Path) -> None:
    """After a first sync; after a life of edits, new objects and moves; and with the ancestors for merges noted."""
    w = World(tmp_path)
    empty = size_of(w)
    for k in range(OBJECTS):
        w["D1"].store.write(f"base/f{k:06d}", b"content %06d" % k)
    w.sync("D1", "R1")
    first = beyond(w, empty)
    for k in range(0, OBJECTS, 2):
        w.advance()
        (edit, make, move, chmod)[k // 2 % 4](w["D1" if k % 3 else "R1"].store, k)  # type: ignore[arg-type]
        if k % 100 == 0:
            w.sync("D1", "R1")
    w.sync("D1", "R1")
    later = beyond(w, empty)
    meta = w.desks["D1"].meta
    ancestors = Ancestors(meta._database, "R1", meta.replicas[0], str(tmp_path / "texts"))  # type: ignore[union-attr]
    w.sync("D1", "R1", policy="merge", ancestors=ancestors)
    merging = beyond(w, empty)
    assert first < 120 < later < 140 < merging < 260 <= MOST_STATE


# -- what a no-op reads


@pytest.mark.usefixtures("databases")
def test_a_noop_reads_the_stamps_and_nothing_else_of_the_objects(tmp_path: Path) -> None:
    """The desktop: the same few statements whatever exists, one of them for the stamps that a scan compares."""
    told = []
    for objects in (20, 1500):
        w = synced(tmp_path / str(objects), objects)
        desk = w.desks["D1"]
        desk.meta = MortalSqlite(desk.meta._database, "/folder", desk.store.type)  # type: ignore[union-attr]
        statements: list[str] = []
        connection = desk.meta._database.connection
        connection.set_trace_callback(statements.append)
        w.sync("D1", "R1")
        connection.set_trace_callback(None)
        told.append(statements)
    assert told[0] == told[1]
    assert [text for text in told[0] if "item" in text] == ["SELECT id, mark FROM item WHERE replica = 1"]
    assert not [text for text in told[0] if not text.startswith("SELECT")]


class CountedLog(Log):
    """Counts the records that are read and appended."""

    touched = 0

    def read(self, offset: int) -> "tuple[int, bytearray, int, int]":
        CountedLog.touched += 1
        return super().read(offset)

    def finish(self, kind: int, size: int) -> int:
        CountedLog.touched += 1
        return super().finish(kind, size)


class CountedMetadata(LogMetadata):
    """A board's metadata with such a log."""

    def _open_log(self, path: str, size: int) -> Log:
        return CountedLog(path, size)


def test_a_noop_reads_no_flash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The board: the index in memory knows the stamps by their checksums; no record is read, none is written."""
    monkeypatch.setattr(AgentEnd, "alternates", False)
    w = synced(tmp_path, 300)
    end = w.boards["R1"].end
    end.adapt = lambda kind: CountedMetadata
    w["R1"].restart()
    w.sync("D1", "R1")  # what a start has to settle
    CountedLog.touched = 0
    w.sync("D1", "R1")
    assert CountedLog.touched == 0
    w["R1"].store.write("base/new", b"new")
    w.sync("D1", "R1")
    assert CountedLog.touched > 0


# -- a folder that is renamed


@pytest.mark.parametrize(("side", "more"), [("D1", 0), ("R1", 200)])
def test_a_renamed_folder_is_one_rename(tmp_path: Path, side: str, more: int) -> None:
    """On the other side's disk, whatever lies in it. From a device its records come one by one, and no content."""
    costs = []
    for objects in (20, 120):
        w = synced(tmp_path / str(objects), objects)
        w[side].store.rename("base", "moved")
        there = w["R1" if side == "D1" else "D1"].store
        did = there.installs, there.removals, there.copies, there.reads
        costs.append(wire_bytes(w))
        assert w.content_bytes == 0 and there.moves == 1
        assert (there.installs, there.removals, there.copies, there.reads) == did
    assert (costs[1] - costs[0]) // 100 == more and costs[0] < 420 + 20 * more
