"""What a replica remembers between sessions: the interface. Not the store (the objects themselves) and not the rules.

Implementations: the flash log of the agent, SQLite on the desktop, `memory`; all pass `MetadataContract`.
Changes are visible at once and durable at `commit`; whatever was not committed is gone after a restart, but for what
`intend` noted.
"""

from cradle_protocol.sync.item import IMPLIED, RACY, Item
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.version import LOWEST, knows_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cradle_protocol.sync.version import Vector, Version

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

    def create(
        self,
        item_id: bytes,
        identity: str,
        values: "list[bytes]",
        stamp: bytes,
        flags: int,
        version: "Version | None" = None,
    ) -> "Item":
        """Keep a new item, every unit of it with one version of our own: a fresh one, or one that was set aside."""
        version = version or self.next_version()
        item = Item(item_id, 0, identity, version, [version] * len(values), values, stamp, flags)
        self.put(item)
        return item

    def drop(self, item_id: bytes) -> None:
        """Remove the record of an item, as if it had never been there."""
        raise NotImplementedError

    def items(self, lower: bytes = LOWEST) -> "Iterator[Item]":
        """All items, tombstones included, in ascending order of id, from `lower` on. Do not put or drop meanwhile."""
        raise NotImplementedError

    def lacking(self, knowledge: Knowledge, lower: bytes = LOWEST) -> "Iterator[Item]":
        """Those of `items` of which this knowledge lacks a version; a database finds them without building the rest.

        They may be the very objects that are kept here: copy one before you change it, or put it back at once.
        """
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
        """How many items are alive and held here: not those that the store has by name only."""
        raise NotImplementedError

    def reborn(self) -> "set[bytes]":
        """Ids of all items that were tombstones before: a partner that never heard of that may hold what they were
        then. A desktop's metadata know it; others, and an overlay, know of none."""
        return set()

    # -- scan marks

    def begin_scan(self) -> None:
        """Forget all marks."""
        raise NotImplementedError

    def seen(self, item_id: bytes, stamp: bytes) -> int:
        """Mark the item; SAME (alive, not racy, equal stamp; or implied), DIFFERENT, or ABSENT (none or dead)."""
        raise NotImplementedError

    def unseen(self) -> "Iterator[bytes]":
        """Ids of the items held here that were not marked since `begin_scan`. Changing those very items is allowed."""
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

    def keep(self, items: "list[Item]") -> None:
        """Put these items and make them durable, with the tick. What else was changed may wait for the next commit.

        Not while intents are pending: those would be dropped.
        """
        for item in items:
            self.put(item)
        self.commit()

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
