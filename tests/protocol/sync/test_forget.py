"""Cleanup of tombstones: what goes, what is remembered of it, and what a change of something forgotten is."""

from cradle_protocol.sync.change import Change
from cradle_protocol.sync.forget import edits_forgotten, forget, heed, tombstones
from cradle_protocol.sync.item import IMPLIED, Item, item_id
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.memory import MemoryMetadata
from cradle_protocol.sync.values import file_value
from cradle_protocol.sync.version import HIGHEST, LOWEST

A, B = b"A" * 16, b"B" * 16


def everything(item: Item) -> bool:
    return True


def replica(dead: "list[str]", alive: "list[str]") -> MemoryMetadata:
    """Items of replica B (key 1) at ticks 1, 2, 3 ..., all of them known."""
    meta = MemoryMetadata(A, 2)
    meta.key_of(B)
    for k, name in enumerate(dead + alive):
        version = (k + 1, 1)
        item = Item(item_id("files", name), 0, name, version, [version] * 2, [file_value(1), b"\x01\xa4"])
        item.dead = name in dead
        meta.put(item)
    known = Knowledge()
    known.vectors = [{1: 100}]
    meta.knowledge.learn(LOWEST, HIGHEST, known)
    return meta


def test_a_forgotten_tombstone_leaves_its_version() -> None:
    meta = replica(["x", "y"], ["z"])
    old = tombstones(meta, lambda item: item.versions[0] <= (1, 1))
    assert old == [item_id("files", "x")]
    forget(meta, old)
    assert meta.get(item_id("files", "x")) is None and meta.get(item_id("files", "y")) is not None
    assert meta.forgotten.vectors == [{1: 1}] and not meta.forgotten.exceptions
    assert meta.knowledge.contains(meta.forgotten)


def test_a_directory_that_is_there_for_a_child_is_not_forgotten() -> None:
    meta = replica(["d"], ["d/f"])
    d = meta.get(item_id("files", "d"))
    assert d is not None
    d.flags |= IMPLIED
    meta.put(d)
    assert tombstones(meta, everything) == []


def test_nothing_is_noted_that_is_not_known() -> None:
    """Of an item that waits (an exception that holds less) no more is forgotten than is known."""
    meta = replica(["x"], ["z"])
    z = item_id("files", "z")
    meta.knowledge.forget_item(z)
    forget(meta, tombstones(meta, everything))
    assert meta.knowledge.contains(meta.forgotten)
    assert meta.forgotten.vector(z) == {} and meta.forgotten.vector(item_id("files", "x")) == {1: 1}


def test_heeding_drops_what_another_has_forgotten() -> None:
    meta = replica(["x", "y"], ["z"])
    theirs = Knowledge()
    theirs.vectors = [{1: 1}]
    heed(meta, theirs, LOWEST, LOWEST, [])
    assert meta.get(item_id("files", "x")) is not None, "it is not in the range"
    heed(meta, theirs, LOWEST, HIGHEST, [])
    assert meta.get(item_id("files", "x")) is None and meta.get(item_id("files", "y")) is not None


def test_a_change_is_an_edit_of_what_was_forgotten_unless_its_sender_knows_that() -> None:
    values = [file_value(1), b"\x01\xa4"]
    change = Change(item_id("files", "x"), 0, "x", False, (1, 1), [(2, 2), (1, 1)], values)
    forgotten = {1: 5}
    assert edits_forgotten(change, forgotten, {1: 1, 2: 2})
    assert not edits_forgotten(change, forgotten, {1: 5, 2: 2})
    assert not edits_forgotten(change, {}, {1: 1, 2: 2})
    dead = Change(change.id, 0, "x", True, (1, 1), [(2, 2), (2, 2)], None)
    assert not edits_forgotten(dead, forgotten, {1: 1, 2: 2})
