"""Any implementation of `Metadata` beside the one in memory, driven by Hypothesis. Needs the package hypothesis.

A subclass gives `make` and `reopen` as `MetadataContract` has them; its `TestCase` is the test.
"""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cradle_protocol.sync.item import IMPLIED, RACY, Link, item_id
from cradle_protocol.sync.knowledge import everything
from cradle_protocol.sync.memory import MemoryMetadata
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.version import HIGHEST
from cradle_testing.metadata import OTHER, fields, file_item

NAMES = [f"folder/file {n}" for n in range(6)]
names = st.sampled_from(NAMES)
ticks = st.integers(1, 9)
stamps = st.sampled_from([b"stamp", b"other", b""])
vectors = st.dictionaries(st.sampled_from([0, 1]), ticks, max_size=2)


class MetadataMachine(RuleBasedStateMachine):
    """Random puts, drops, scans, intents, commits, rollbacks and restarts: both must answer alike after each."""

    real: Metadata
    model: MemoryMetadata

    def make(self) -> Metadata:
        """Metadata of a new replica of two units."""
        raise NotImplementedError

    def reopen(self, meta: Metadata) -> Metadata:
        """What a power cut now and a restart would find."""
        raise NotImplementedError

    @initialize()
    def start(self) -> None:
        self.real = self.make()
        self.model = MemoryMetadata(self.real.replicas[0], 2)
        self.scanning = False

    def both(self) -> "tuple[Metadata, Metadata]":
        return self.real, self.model

    # -- items

    @rule(name=names, tick=ticks, stamp=stamps, flags=st.sampled_from([0, RACY, IMPLIED]), dead=st.booleans())
    def put(self, name: str, tick: int, stamp: bytes, flags: int, dead: bool) -> None:
        for meta in self.both():
            item = meta.get(item_id("files", name)) or file_item(name)
            item.live((tick, 0), item.values)
            item.stamp, item.flags = stamp, flags
            if dead:
                item.die((tick, 0), Link(item_id("files", NAMES[0]), (tick, 0), [((tick, 0), b"d")]))
            meta.put(item)

    @rule(name=names)
    def drop(self, name: str) -> None:
        for meta in self.both():
            meta.drop(item_id("files", name))

    # -- scans

    @rule()
    def begin_scan(self) -> None:
        self.scanning = True
        for meta in self.both():
            meta.begin_scan()

    @rule(name=names, stamp=stamps)
    def seen(self, name: str, stamp: bytes) -> None:
        if self.scanning:
            assert self.real.seen(item_id("files", name), stamp) == self.model.seen(item_id("files", name), stamp)

    @rule()
    def unseen(self) -> None:
        if self.scanning:
            assert sorted(self.real.unseen()) == sorted(self.model.unseen())

    # -- durability

    @rule(tick=ticks)
    def learn(self, tick: int) -> None:
        for meta in self.both():
            meta.tick = max(meta.tick, tick)
            meta.key_of(OTHER)
            meta.knowledge.raise_own(0, tick)
            meta.forgotten.learn_item(item_id("files", NAMES[tick % len(NAMES)]), {1: tick})

    @rule(name=names, tick=ticks, vector=vectors)
    def intend(self, name: str, tick: int, vector: "dict[int, int]") -> None:
        for meta in self.both():
            meta.intend([file_item(name, tick), file_item("more", tick)], [vector, {}])

    @rule()
    def commit(self) -> None:
        for meta in self.both():
            meta.commit()

    @rule()
    def rollback(self) -> None:
        self.scanning = False
        for meta in self.both():
            meta.rollback()

    @rule()
    def restart(self) -> None:
        self.scanning = False
        self.real = self.reopen(self.real)
        self.model.crash()

    # -- they agree

    @invariant()
    def hold_the_same(self) -> None:
        found = [fields(item) for item in self.real.items()]
        assert found == [fields(item) for item in self.model.items()]
        middle = item_id("files", NAMES[2])
        assert [i.id for i in self.real.items(middle)] == [i.id for i in self.model.items(middle)]
        assert list(self.real.items(HIGHEST)) == []
        assert self.real.live() == self.model.live()
        assert sorted(i.id for i in self.real.implied()) == sorted(i.id for i in self.model.implied())

    @invariant()
    def answer_the_same(self) -> None:
        for name in NAMES:
            assert fields(self.real.get(item_id("files", name))) == fields(self.model.get(item_id("files", name)))
        for oid in range(1, 8):
            assert fields(self.real.by_oid(oid)) == fields(self.model.by_oid(oid))
        for known in ({}, {0: 4}, {0: 9}):
            theirs = everything(known)
            assert [i.id for i in self.real.lacking(theirs)] == [i.id for i in self.model.lacking(theirs)]

    @invariant()
    def remember_the_same(self) -> None:
        assert (self.real.tick, self.real.replicas) == (self.model.tick, self.model.replicas)
        assert self.real.knowledge == self.model.knowledge and self.real.forgotten == self.model.forgotten
        assert _pending(self.real) == _pending(self.model)


def _pending(meta: Metadata) -> "dict[str, object]":
    return {item.identity: (fields(item), vector) for item, vector in meta.pending()}
