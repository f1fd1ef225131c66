"""Every item, whatever it holds, comes back from the bytes of its row; so do intents."""

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from cradle_desktop.metadata.record import body_of, item_from, lacks, mark_of, may_lack, pack_intents, unpack_intents
from cradle_protocol.sync.item import Item, Link
from cradle_protocol.sync.version import knows_all
from cradle_testing.metadata import fields

ids = st.binary(min_size=16, max_size=16)
versions = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1))
values = st.binary(max_size=80) | st.binary(min_size=250, max_size=300)
vectors = st.dictionaries(st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), max_size=4)
links = st.builds(Link, ids, versions, st.lists(st.tuples(versions, values), max_size=3))


@st.composite
def items(draw: st.DrawFn) -> Item:
    units = draw(st.integers(0, 4))
    return Item(
        draw(ids), draw(st.integers(0, 2**32 - 1)), draw(st.text(max_size=30)), draw(versions),
        [draw(versions) for _ in range(units)], [draw(values) for _ in range(units)], draw(st.binary(max_size=60)),
        draw(st.integers(0, 3)), draw(st.booleans()), draw(st.none() | links),
    )  # fmt: skip


@given(item=items())
def test_an_item_comes_back_from_its_row(item: Item) -> None:
    again = item_from(item.id, item.oid, item.identity, mark_of(item), body_of(item))
    assert fields(again) == fields(item)


@given(batch=st.lists(st.tuples(items(), vectors), max_size=5), shared=vectors)
def test_intents_come_back(batch: "list[tuple[Item, dict[int, int]]]", shared: "dict[int, int]") -> None:
    batch += [(item, shared) for item, _ in batch[:2]]
    found = unpack_intents(pack_intents([item for item, _ in batch], [vector for _, vector in batch]))
    assert [(fields(item), vector) for item, vector in found] == [(fields(item), vector) for item, vector in batch]


@given(item=items(), vector=vectors)
def test_lacks_is_what_the_versions_say(item: Item, vector: "dict[int, int]") -> None:
    assert lacks(vector, body_of(item)) == (not knows_all(vector, item.versions))


small = st.integers(0, 3)  # keys and ticks that meet
near = st.tuples(small, small)


@given(units=small, found=st.lists(near, max_size=3), vector=st.dictionaries(small, small))
def test_the_database_leaves_out_what_is_held_and_nothing_else(
    units: int, found: "list[tuple[int, int]]", vector: "dict[int, int]"
) -> None:
    body = body_of(Item(b"i" * 16, 1, "a", (1, 0), found, [b""] * len(found)))
    database = sqlite3.connect(":memory:")
    kept = database.execute(f"SELECT {may_lack(units, vector)} FROM (SELECT ? AS body)", (body,)).fetchone()[0]
    database.close()
    assert kept or not lacks(vector, body)
    if len(found) == units and all(key in vector for _, key in found):
        assert bool(kept) == lacks(vector, body)
