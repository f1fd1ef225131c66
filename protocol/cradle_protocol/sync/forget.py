"""Cleanup of tombstones: what may be dropped, and what must be remembered of it. Decides no age and knows no clock.

Of a tombstone that was dropped its versions stay, in the replica's forgotten knowledge: whoever has not heard of all
that is in there has perhaps missed a delete, and is recovered by full enumeration (design, section 4.11).
"""

from cradle_protocol.sync.item import IMPLIED
from cradle_protocol.sync.version import HIGHEST, LOWEST, covers, join, knows, knows_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cradle_protocol.sync.change import Change
    from cradle_protocol.sync.item import Item
    from cradle_protocol.sync.knowledge import Knowledge
    from cradle_protocol.sync.metadata import Metadata
    from cradle_protocol.sync.version import Vector


def tombstones(meta: "Metadata", wanted: "Callable[[Item], bool]") -> "list[bytes]":
    """Ids of the tombstones that are wanted; those of directories which are there for a child are never among them."""
    return [item.id for item in meta.items() if item.dead and not item.flags & IMPLIED and wanted(item)]


def forget(meta: "Metadata", ids: "list[bytes]") -> None:
    """Drop these tombstones (durable with the next commit).

    What may have been dropped is noted for every item, as far as it is known of each: that costs a vector and not an
    exception an item, and holds nothing that this replica does not know.
    """
    gone: Vector = {}
    for i in ids:
        item = meta.get(i)
        if item is not None:
            join(gone, {key: tick for tick, key in item.versions})
            meta.drop(i)
    known = meta.knowledge.copy()
    known.cap(gone)
    if gone and not meta.forgotten.learn(LOWEST, HIGHEST, known):
        for key, tick in gone.items():
            meta.forgotten.raise_own(key, tick)


def edits_forgotten(change: "Change", forgotten: "Vector", made: "Vector") -> bool:
    """Is this, for one who has no record of the item, an edit of what was deleted and forgotten?

    Not if its sender knows all that was forgotten: then it was made after that.
    """
    return not change.dead and knows(forgotten, change.created) and not covers(made, forgotten)


def heed(meta: "Metadata", forgotten: "Knowledge", lower: bytes, upper: bytes, skipped: "list[bytes]") -> None:
    """Take over another's forgotten knowledge for a range that was learned, and drop the tombstones that it holds."""
    meta.forgotten.learn(lower, upper, forgotten, skipped)
    gone = []
    for item in meta.items(lower):
        if item.id > upper:
            break
        if item.dead and not item.flags & IMPLIED and knows_all(meta.forgotten.vector(item.id), item.versions):
            gone.append(item.id)
    for i in gone:
        meta.drop(i)
