"""The metadata contract on the implementations that live in memory. CPython only: the suite is a class."""

from hypothesis import given
from hypothesis import strategies as st

from cradle_protocol.sync.item import item_id
from cradle_protocol.sync.knowledge import everything
from cradle_protocol.sync.memory import MemoryMetadata
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.overlay import Overlay
from cradle_protocol.sync.version import LOWEST
from cradle_testing.metadata import OWN, ItemContract, MetadataContract, fields, file_item


class TestMemoryMetadata(MetadataContract):
    def make(self) -> Metadata:
        return MemoryMetadata(OWN, 2)

    def reopen(self, meta: Metadata) -> Metadata:
        assert isinstance(meta, MemoryMetadata)
        meta.crash()
        return meta


class TestOverlay(ItemContract):
    def make(self) -> Metadata:
        return Overlay(MemoryMetadata(OWN, 2))


def test_an_overlay_leaves_what_is_below_alone() -> None:
    base = MemoryMetadata(OWN, 2)
    for name in "abc":
        base.put(file_item(name))
    base.commit()
    before = [fields(item) for item in base.items()]
    over = Overlay(base)
    over.drop(item_id("files", "a"))
    changed = over.get(item_id("files", "b"))
    assert changed is not None
    changed.die((5, 0))
    over.put(changed)
    over.put(file_item("d"))
    over.tick = 9
    over.key_of(b"another replica.")
    over.knowledge.raise_own(0, 9)
    over.commit()
    assert [fields(item) for item in base.items()] == before
    assert base.tick == 0 and len(base.replicas) == 1 and not base.knowledge.knows(changed.id, (9, 0))
    assert sorted(item.identity for item in over.items()) == ["b", "c", "d"]
    assert over.live() == 2


NAMES = st.sampled_from([str(n) for n in range(8)])
STEPS = st.lists(st.tuples(st.sampled_from(["put", "die", "drop", "seen"]), NAMES), max_size=25)


@given(below=STEPS, above=STEPS)
def test_an_overlay_looks_like_metadata_that_were_changed(
    below: "list[tuple[str, str]]", above: "list[tuple[str, str]]"
) -> None:
    plain, base = MemoryMetadata(OWN, 2), MemoryMetadata(OWN, 2)
    for step in below:
        _apply(plain, step)
        _apply(base, step)
    over = Overlay(base)
    plain.begin_scan()
    over.begin_scan()
    for step in above:
        assert _apply(plain, step) == _apply(over, step)
    assert [_facts(item) for item in over.items()] == [_facts(item) for item in plain.items()]
    for lower in (LOWEST, item_id("files", "3")):
        for known in ({}, {0: 1}, {0: 5}, {0: 9}):
            theirs = everything(known)
            assert [i.id for i in over.lacking(theirs, lower)] == [i.id for i in plain.lacking(theirs, lower)]
        assert [i.id for i in over.items(lower)] == [i.id for i in plain.items(lower)]
    assert over.live() == plain.live()
    assert sorted(over.unseen()) == sorted(plain.unseen())


def _facts(item: object) -> "tuple[object, ...]":
    everything = fields(item)  # type: ignore[arg-type]
    assert everything is not None
    return everything[:1] + everything[2:]  # an overlay numbers on its own


def _apply(meta: Metadata, step: "tuple[str, str]") -> int:
    what, name = step
    found = meta.get(item_id("files", name))
    if what == "seen":
        return meta.seen(item_id("files", name), b"stamp")
    if what == "drop":
        meta.drop(item_id("files", name))
    elif what == "put":
        meta.put(file_item(name) if found is None else _revived(found))
    elif found is not None:
        found.die((9, 0))
        meta.put(found)
    return -1


def _revived(item: object) -> "object":
    item.live((5, 0), item.values)  # type: ignore[attr-defined]
    item.stamp = b"stamp"  # type: ignore[attr-defined]
    return item
