"""This desktop's own state was set back, by a backup, as its witness or a partner's knowledge shows: mends it.

A replica that goes back to earlier ticks would use some twice: what it stamps then is, for everybody who has seen the
first use, an old version, and never travels. So it goes on under a new id, before anything that it stamped has left.
"""

import os

from cradle_protocol.sync.item import Item, Link
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.version import ID_SIZE, new_replica_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cradle_protocol.sync.version import Version

SET_BACK = (
    "the state of this desktop was copied, or set back to an earlier one, perhaps from a backup: it goes on as a new "
    "replica, and what it has missed comes again"
)


def renew(meta: Metadata, before: int) -> None:
    """Go on as a new replica: versions up to this tick are the old one's, later ones are from now and left nowhere yet.

    Ticks go on counting, so that notes of when which tick was reached stay true. Commits.
    """
    old = len(meta.replicas)

    def now(version: "Version") -> "Version":
        tick, key = version
        return (tick, old) if key == 0 and 0 < tick <= before else version

    for item in list(meta.items()):
        meta.put(_restamped(item, now))
    meta.replicas = [new_replica_id(os.urandom(ID_SIZE), True), *meta.replicas[1:], meta.replicas[0]]
    meta.knowledge = _ours_as_old(meta.knowledge, old, before)
    meta.forgotten = _ours_as_old(meta.forgotten, old, before)
    meta.knowledge.raise_own(0, meta.tick)
    meta.commit()


def _restamped(item: Item, now: "Callable[[Version], Version]") -> Item:
    item.created, item.versions = now(item.created), [now(version) for version in item.versions]
    if item.link is not None:
        link = item.link
        item.link = Link(link.id, now(link.created), [(now(version), value) for version, value in link.base])
    return item


def _ours_as_old(knowledge: Knowledge, old: int, before: int) -> Knowledge:
    found = Knowledge.from_bytes(knowledge.to_bytes(), [old, *range(1, old)])
    for vector in [*found.vectors, *found.exceptions.values()]:
        if vector.get(old, 0) > before:
            vector[old] = before
    return found
