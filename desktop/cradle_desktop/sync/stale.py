"""Replicas that were away while tombstones were cleaned up: who missed what, and how a delete is made again.

Theory: design, section 4.11. A desktop that missed what the device has forgotten asks for everything the device has
(`Arrivals`, full); for a device that missed what is forgotten here, this desktop looks at everything it has.
"""

from __future__ import annotations

from cradle_desktop.sync.remote import RemoteReplica
from cradle_protocol.sync.change import Change
from cradle_protocol.sync.item import IMPLIED, Item
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.overlay import Overlay
from cradle_protocol.sync.rules import arrived
from cradle_protocol.sync.version import knows_all


def misses(meta: Metadata, remote: RemoteReplica) -> bool:
    """Has the device forgotten deletes of which this side has perhaps never heard?"""
    return not meta.knowledge.contains(remote.forgotten)


def lacks(meta: Metadata, remote: RemoteReplica) -> bool:
    """Is there anything that the device does not know, or of which it has not heard that it is forgotten?"""
    return not remote.knowledge.contains(meta.knowledge) or not remote.forgotten.contains(meta.forgotten)


def named_changes(meta: Metadata, remote: RemoteReplica, stale: bool) -> list[Change]:
    """What this side lacks or, where it missed something, everything; with the names of what it has no record of."""
    changes = remote.changes(Knowledge() if stale else meta.knowledge)
    unnamed = {change.id for change in changes if change.identity is None and meta.get(change.id) is None}
    if not unnamed:
        return changes
    # Known here, and forgotten: whoever knows nothing is told all names.
    named = {change.id: change for change in remote.changes(Knowledge()) if change.id in unnamed}
    return [named.get(change.id, change) for change in changes]


def forgotten_deletes(overlay: Overlay, remote: RemoteReplica) -> list[Item]:
    """New tombstones, put into the overlay, for what a device still has that missed its delete, forgotten by now."""
    theirs = remote.knowledge
    if theirs.contains(overlay.forgotten):
        return []
    found = []
    for change in remote.changes(Knowledge()):
        mine = overlay.get(change.id)
        known = knows_all(overlay.knowledge.vector(change.id), change.versions)
        gone = mine is None or (mine.dead and knows_all(theirs.vector(change.id), mine.versions))
        if change.dead or not known or not gone:
            continue
        grave = arrived(change, mine)
        grave.die(overlay.next_version())
        overlay.put(grave)
        found.append(grave)
    overlay.knowledge.raise_own(0, overlay.tick)
    return found


def keep_deletes(meta: Metadata, graves: list[Item], tick: int) -> None:
    """Make them durable before they leave."""
    for grave in graves:
        mine = meta.get(grave.id)
        if mine is not None:
            grave.oid = mine.oid
            grave.flags |= mine.flags & IMPLIED  # it was made just now, for what came into it
        meta.put(grave)
    meta.tick = max(meta.tick, tick)
    meta.knowledge.raise_own(0, meta.tick)
    meta.commit()
