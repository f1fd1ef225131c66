"""Changes kept in memory above metadata that stay untouched: for a preview, and for planning ahead. Never durable."""

from cradle_protocol.sync.item import IMPLIED
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.metadata import ABSENT, Metadata, compare_stamp
from cradle_protocol.sync.version import LOWEST, knows_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cradle_protocol.sync.item import Item
    from cradle_protocol.sync.version import Vector

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
        if not self.changed:
            yield from below
            return
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
        below = None if oid in self._oids else self.base.by_oid(oid)
        item_id = self._oids.get(oid) if below is None else below.id
        item = None if item_id is None else self.get(item_id)
        return item if item is not None and item.oid == oid else None

    def live(self) -> int:
        count = self.base.live()
        for item_id, item in self.changed.items():
            count += (item is not None and item.held()) - self._held_below(item_id)
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
            if item_id not in self.changed or (item is not None and item.held()):
                yield item_id
        for item_id in sorted(self.changed):  # held here, and of no interest to the marks below
            item = self.changed[item_id]
            if item is not None and item.held() and item_id not in self._met and not self._held_below(item_id):
                yield item_id

    def _held_below(self, item_id: bytes) -> bool:
        item = self.base.get(item_id)
        return item is not None and item.held()

    def intend(self, items: "list[Item]", made: "list[Vector]") -> None:
        raise NotImplementedError("an overlay makes nothing durable")

    def pending(self) -> "list[tuple[Item, Vector]]":
        return self.base.pending()

    def commit(self) -> None:
        """Nothing: what an overlay holds is never durable."""

    def rollback(self) -> None:
        self.__init__(self.base)  # type: ignore[misc]
