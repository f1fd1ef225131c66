"""Where changes flow one way: what the receiving side changed by itself, and, if the user says so, dropping it.

Pure. A deviation is what would have travelled the other way. Dropping it is a resolution like any other, with a fresh
stamp: the side that changes flow from wins, whatever clashes and whatever does not. What the device wrote is fetched
into the conflict store first, as settled; what this desktop wrote can be undone like any overwrite.
"""

from __future__ import annotations

from cradle_desktop.sync.outcome import Lost, Outcome
from cradle_desktop.sync.plan import CREATE, DELETE, MODE, RENAME, REVERTED, UPDATE, Departure, Plan, Step
from cradle_protocol.sync.change import Change
from cradle_protocol.sync.item import Item
from cradle_protocol.sync.overlay import Overlay
from cradle_protocol.sync.rules import arrived
from cradle_protocol.sync.values import EQUAL, UNKNOWN, compare, is_file
from cradle_protocol.sync.version import greater

_WORDS = {CREATE: "created", UPDATE: "changed", RENAME: "renamed", DELETE: "deleted", MODE: "changed"}


class Deviation:
    """One object that the receiving side changed by itself. side: desktop or device; change: what it did."""

    def __init__(self, identity: str, side: str, verb: str) -> None:
        self.identity, self.side, self.change = identity, side, _WORDS.get(verb, "changed")


def of_desktop(departures: list[Departure]) -> list[Deviation]:
    """What this desktop has, and the device will not get."""
    return [Deviation(one.item.identity, "desktop", one.verb) for one in departures if one.verb]


def of_device(steps: list[Step], plan: Plan) -> list[Deviation]:
    """What the device has, and this desktop will not take."""
    found = {step.new.identity: Deviation(step.new.identity, "device", step.verb) for step in steps if step.verb}
    for lost in [lost for step in steps for lost in step.lost] + plan.waiting:
        found.setdefault(lost.identity, Deviation(lost.identity, "device", UPDATE))
    return [found[identity] for identity in sorted(found)]


def keep_ours(meta: Overlay, change: Change, local: Item | None) -> Outcome | None:
    """The device's change is dropped. None: nobody sees it, it can be taken as it is."""
    here = local is not None and not local.dead
    if (change.dead and not here) or _alike(change, local):
        return None
    new = local.copy() if local is not None and not local.phantom() else arrived(change, local)
    created = (
        change.created if local is None or local.phantom() else greater(change.created, local.created, meta.replicas)
    )
    if local is not None and here:
        new.live(meta.next_version(), local.values)
    else:
        new.die(meta.next_version())
    new.created = created
    values = change.values or [UNKNOWN]
    dropped = is_file(values[0]) and not (local is not None and here and compare(local.values[0], values[0]) == EQUAL)
    lost = [Lost(new.identity, change.id, 0, REVERTED, "device", values[0], change.id)] if dropped else []
    return Outcome([new], lost)


def take_theirs(meta: Overlay, change: Change | None, local: Item) -> Outcome:
    """What this desktop changed is dropped for what the device has; None: it has no such item."""
    new = local.copy()
    if change is None or change.dead or not change.values:
        new.die(meta.next_version())
    else:
        values = [theirs or ours for theirs, ours in zip(change.values, local.values, strict=True)]
        new.live(meta.next_version(), values)
        new.created = greater(change.created, local.created, meta.replicas)
    return Outcome([new])


def _alike(change: Change, local: Item | None) -> bool:
    """Do both sides hold the same?"""
    if change.dead or local is None or local.dead:
        return False
    pairs = zip(change.values or [], local.values, strict=False)
    return all(UNKNOWN in pair or compare(*pair) == EQUAL for pair in pairs)
