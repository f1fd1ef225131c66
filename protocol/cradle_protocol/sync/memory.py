"""CPython only: metadata in plain dicts, for tests and simulations. Real in every respect but durability."""

from cradle_protocol.sync.item import IMPLIED
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.metadata import Metadata, compare_stamp
from cradle_protocol.sync.version import LOWEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cradle_protocol.sync.item import Item
    from cradle_protocol.sync.version import Vector

    Saved = tuple[dict[bytes, Item], int, Knowledge, Knowledge, list[bytes], int]


class MemoryMetadata(Metadata):
    """Metadata in plain dicts. Real in every respect but durability: `crash` gives what a restart would find."""

    def __init__(self, replica_id: bytes, units: int) -> None:
        super().__init__(replica_id, units)
        self._items: dict[bytes, Item] = {}
        self._marks: set[bytes] = set()
        self._reborn: set[bytes] = set()
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
        before = self._items.get(item.id)
        if before is not None and before.dead and not item.dead:
            self._reborn.add(item.id)
        self._items[item.id] = item.copy()

    def reborn(self) -> "set[bytes]":
        return set(self._reborn)

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
        return sum(1 for item in self._items.values() if item.held())

    def begin_scan(self) -> None:
        self._marks = set()

    def seen(self, item_id: bytes, stamp: bytes) -> int:
        self._marks.add(item_id)
        return compare_stamp(self._items.get(item_id), stamp)

    def unseen(self) -> "Iterator[bytes]":
        return iter(sorted(i for i, item in self._items.items() if item.held() and i not in self._marks))

    def intend(self, items: "list[Item]", made: "list[Vector]") -> None:
        for item, vector in zip(items, made):
            self._intents[item.id] = item.copy(), dict(vector)
        saved = self._saved
        self._saved = (saved[0], self.tick, saved[2], saved[3], list(self.replicas), self._oid)

    def pending(self) -> "list[tuple[Item, Vector]]":
        return [(item.copy(), dict(vector)) for item, vector in self._intents.values()]

    def keep(self, items: "list[Item]") -> None:
        for item in items:
            self.put(item)
        kept = self._saved[0] | {item.id: item.copy() for item in items}
        self._saved = (kept, self.tick, self.knowledge.copy(), self._saved[3], list(self.replicas), self._oid)

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
