"""What a replica remembers between sessions: the interface, and the implementation that lives in memory.

Not the store (the objects themselves) and not the rules. Implementations: `MemoryMetadata` here, the flash log of
the agent, SQLite on the desktop; all pass `MetadataContract`. Changes are visible at once and durable at `commit`;
whatever was not committed is gone after a restart, but for what `intend` noted.
"""

from cradle_protocol.sync.item import IMPLIED, RACY
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.version import LOWEST, knows_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cradle_protocol.sync.item import Item
    from cradle_protocol.sync.version import Vector, Version

    Saved = tuple[dict[bytes, Item], int, Knowledge, Knowledge, list[bytes], int]

# What `seen` answers about an object that a scan met.
SAME, DIFFERENT, ABSENT = 0, 1, 2


class Metadata:
    """Interface, and the parts that every implementation shares.

    replicas   ids of all replicas that versions may name; index = key; 0 = this replica
    tick       the last tick used; durable with the next commit or intend
    knowledge  what this replica has or has superseded
    forgotten  what tombstone cleanup may have dropped
    units      number of change units of an item of this type
    """

    def __init__(self, replica_id: bytes, units: int) -> None:
        self.replicas: list[bytes] = [replica_id]
        self.units = units
        self.tick = 0
        self.knowledge = Knowledge()
        self.forgotten = Knowledge()

    # -- shared

    def key_of(self, replica_id: bytes) -> int:
        """Our key for a replica; a stranger gets the next one (durable with the next commit)."""
        if replica_id not in self.replicas:
            self.replicas.append(replica_id)
        return self.replicas.index(replica_id)

    def next_version(self) -> "Version":
        """A fresh version of our own. It must not leave this replica before the next commit or intend."""
        self.tick += 1
        return self.tick, 0

    # -- items

    def get(self, item_id: bytes) -> "Item | None":
        """The item as it is now, as an object that the caller may change and put back; None if there is no record."""
        raise NotImplementedError

    def put(self, item: "Item") -> None:
        """Keep this item. An item with oid 0 is given the next object id, in place."""
        raise NotImplementedError

    def drop(self, item_id: bytes) -> None:
        """Remove the record of an item, as if it had never been there."""
        raise NotImplementedError

    def items(self, lower: bytes = LOWEST) -> "Iterator[Item]":
        """All items, tombstones included, in ascending order of id, from `lower` on. Do not put or drop meanwhile."""
        raise NotImplementedError

    def lacking(self, knowledge: Knowledge, lower: bytes = LOWEST) -> "Iterator[Item]":
        """Those of `items` of which this knowledge lacks a version; a database finds them without building the rest."""
        for item in self.items(lower):
            if not knows_all(knowledge.vector(item.id), item.versions):
                yield item

    def implied(self) -> "list[Item]":
        """The items that carry the IMPLIED flag: directories that exist only for their children."""
        raise NotImplementedError

    def by_oid(self, oid: int) -> "Item | None":
        """The item with this object id."""
        raise NotImplementedError

    def live(self) -> int:
        """How many items are alive."""
        raise NotImplementedError

    # -- scan marks

    def begin_scan(self) -> None:
        """Forget all marks."""
        raise NotImplementedError

    def seen(self, item_id: bytes, stamp: bytes) -> int:
        """Mark the item; SAME (alive, not racy, equal stamp; or implied), DIFFERENT, or ABSENT (none or dead)."""
        raise NotImplementedError

    def unseen(self) -> "Iterator[bytes]":
        """Ids of the living items that were not marked since `begin_scan`. Changing those very items is allowed."""
        raise NotImplementedError

    # -- durability

    def intend(self, items: "list[Item]", made: "list[Vector]") -> None:
        """Note durably, with the tick, that these items are about to become visible in the store.

        Adds to the intents that are there already; of two for one item the later one counts.
        made[k] is what the sender's made-with says of items[k]; after a crash `pending` gives both back.
        """
        raise NotImplementedError

    def pending(self) -> "list[tuple[Item, Vector]]":
        """The intents that no commit has followed."""
        raise NotImplementedError

    def commit(self) -> None:
        """Make everything durable in one atomic step, and drop the intents."""
        raise NotImplementedError

    def rollback(self) -> None:
        """Return to the state of the last commit (intents stay)."""
        raise NotImplementedError


def compare_stamp(item: "Item | None", stamp: bytes) -> int:
    """What `Metadata.seen` must answer for an item and the stamp that the store shows."""
    if item is None:
        return ABSENT
    if item.flags & IMPLIED:
        return SAME
    if item.dead:
        return ABSENT
    return SAME if item.stamp == stamp and not item.flags & RACY else DIFFERENT


class MemoryMetadata(Metadata):
    """Metadata in plain dicts. Real in every respect but durability: `crash` gives what a restart would find."""

    def __init__(self, replica_id: bytes, units: int) -> None:
        super().__init__(replica_id, units)
        self._items: dict[bytes, Item] = {}
        self._marks: set[bytes] = set()
        self._intents: dict[bytes, tuple[Item, Vector]] = {}
        self._oid = 0
        self._saved: Saved = ({}, 0, Knowledge(), Knowledge(), [replica_id], 0)

    def get(self, item_id: bytes) -> "Item | None":
        item = self._items.get(item_id)
        return None if item is None else item.copy()

    def put(self, item: "Item") -> None:
        if not item.oid:
            self._oid += 1
            item.oid = self._oid
        self._items[item.id] = item.copy()

    def drop(self, item_id: bytes) -> None:
        self._items.pop(item_id, None)

    def items(self, lower: bytes = LOWEST) -> "Iterator[Item]":
        for item_id in sorted(self._items):
            if item_id >= lower:
                yield self._items[item_id].copy()

    def implied(self) -> "list[Item]":
        return [item.copy() for item in self._items.values() if item.flags & IMPLIED]

    def by_oid(self, oid: int) -> "Item | None":
        for item in self._items.values():
            if item.oid == oid:
                return item.copy()
        return None

    def live(self) -> int:
        return sum(1 for item in self._items.values() if not item.dead)

    def begin_scan(self) -> None:
        self._marks = set()

    def seen(self, item_id: bytes, stamp: bytes) -> int:
        self._marks.add(item_id)
        return compare_stamp(self._items.get(item_id), stamp)

    def unseen(self) -> "Iterator[bytes]":
        return iter(sorted(i for i, item in self._items.items() if not item.dead and i not in self._marks))

    def intend(self, items: "list[Item]", made: "list[Vector]") -> None:
        for item, vector in zip(items, made):
            self._intents[item.id] = item.copy(), dict(vector)
        saved = self._saved
        self._saved = (saved[0], self.tick, saved[2], saved[3], list(self.replicas), self._oid)

    def pending(self) -> "list[tuple[Item, Vector]]":
        return [(item.copy(), dict(vector)) for item, vector in self._intents.values()]

    def commit(self) -> None:
        self._intents = {}
        items = {i: item.copy() for i, item in self._items.items()}
        self._saved = (
            items, self.tick, self.knowledge.copy(), self.forgotten.copy(), list(self.replicas), self._oid,
        )  # fmt: skip

    def rollback(self) -> None:
        items, self.tick, knowledge, forgotten, replicas, self._oid = self._saved
        self._items = {i: item.copy() for i, item in items.items()}
        self.knowledge, self.forgotten, self.replicas = knowledge.copy(), forgotten.copy(), list(replicas)

    def crash(self) -> None:
        """What a power cut leaves: the last commit, and the intents."""
        self.rollback()
        self._marks = set()


# Object ids that an overlay gives count down from here: never those of the metadata below, never durable.
_OVERLAY_OIDS = 0xFFFFFFFF


class Overlay(Metadata):
    """Changes kept in memory above metadata that stay untouched: for a preview, and for planning ahead."""

    def __init__(self, base: Metadata) -> None:
        super().__init__(base.replicas[0], base.units)
        self.base = base
        self.replicas, self.tick = list(base.replicas), base.tick
        self.knowledge, self.forgotten = base.knowledge.copy(), base.forgotten.copy()
        self.changed: dict[bytes, Item | None] = {}
        self._oids: dict[int, bytes] = {}
        self._met: set[bytes] = set()

    def get(self, item_id: bytes) -> "Item | None":
        if item_id in self.changed:
            item = self.changed[item_id]
            return None if item is None else item.copy()
        return self.base.get(item_id)

    def put(self, item: "Item") -> None:
        if not item.oid:
            item.oid = _OVERLAY_OIDS - len(self._oids)
            self._oids[item.oid] = item.id
        self.changed[item.id] = item.copy()

    def drop(self, item_id: bytes) -> None:
        self.changed[item_id] = None

    def items(self, lower: bytes = LOWEST) -> "Iterator[Item]":
        return self._over(self.base.items(lower), lower, None)

    def lacking(self, knowledge: Knowledge, lower: bytes = LOWEST) -> "Iterator[Item]":
        return self._over(self.base.lacking(knowledge, lower), lower, knowledge)

    def _over(self, below: "Iterator[Item]", lower: bytes, knowledge: "Knowledge | None") -> "Iterator[Item]":
        """What lies below, with what was changed above it in its place; in order of id."""
        mine = sorted(i for i in self.changed if i >= lower)
        k = 0
        for item in below:
            while k < len(mine) and mine[k] < item.id:
                yield from self._held(mine[k], knowledge)
                k += 1
            if item.id not in self.changed:
                yield item
        for item_id in mine[k:]:
            yield from self._held(item_id, knowledge)

    def _held(self, item_id: bytes, knowledge: "Knowledge | None") -> "Iterator[Item]":
        item = self.changed[item_id]
        if item is not None and (knowledge is None or not knows_all(knowledge.vector(item_id), item.versions)):
            yield item.copy()

    def implied(self) -> "list[Item]":
        below = [item for item in self.base.implied() if item.id not in self.changed]
        return below + [item.copy() for item in self.changed.values() if item is not None and item.flags & IMPLIED]

    def by_oid(self, oid: int) -> "Item | None":
        if oid in self._oids:
            return self.get(self._oids[oid])
        item = self.base.by_oid(oid)
        return None if item is None else self.get(item.id)

    def live(self) -> int:
        count = self.base.live()
        for item_id, item in self.changed.items():
            count += (item is not None and not item.dead) - self._alive_below(item_id)
        return count

    def begin_scan(self) -> None:
        self.base.begin_scan()
        self._met = set()

    def seen(self, item_id: bytes, stamp: bytes) -> int:
        below = self.base.seen(item_id, stamp)
        if below == ABSENT:
            self._met.add(item_id)
        return compare_stamp(self.changed[item_id], stamp) if item_id in self.changed else below

    def unseen(self) -> "Iterator[bytes]":
        for item_id in self.base.unseen():
            item = self.changed.get(item_id)
            if item_id not in self.changed or (item is not None and not item.dead):
                yield item_id
        for item_id in sorted(self.changed):  # alive here, and of no interest to the marks below
            item = self.changed[item_id]
            if item is not None and not item.dead and item_id not in self._met and not self._alive_below(item_id):
                yield item_id

    def _alive_below(self, item_id: bytes) -> bool:
        item = self.base.get(item_id)
        return item is not None and not item.dead

    def intend(self, items: "list[Item]", made: "list[Vector]") -> None:
        raise NotImplementedError("an overlay makes nothing durable")

    def pending(self) -> "list[tuple[Item, Vector]]":
        return self.base.pending()

    def commit(self) -> None:
        """Nothing: what an overlay holds is never durable."""

    def rollback(self) -> None:
        self.__init__(self.base)  # type: ignore[misc]
