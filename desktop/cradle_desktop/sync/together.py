"""Objects that belong together (`RecordStore.group`): in the plan, and on their way to the device. Moves no bytes.

On this side the steps of one group become one group of the tail, shown by the store in one step. On the device each
group is a batch of its own, all or nothing, before the pass itself, which then names the same changes without content.
Where one member is left out, the others are as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cradle_desktop.sync.plan import METADATA, Departure, Plan, Step
from cradle_protocol.sync.overlay import Overlay

GroupOf = Callable[[str], str]


def bind(plan: Plan, meta: Overlay, skipped: set[bytes], group: GroupOf) -> None:
    """Tie together the steps whose objects belong together; those of which one is left out go out of the plan."""
    bound: dict[str, list[Step]] = {}
    for step in plan.steps + plan.tail:
        if name := group(step.new.identity):
            bound.setdefault(name, []).append(step)
    out = [one.identity for one in plan.waiting] + [identity for identity, _ in plan.skipped]
    for name in {group(identity) for identity in out} & bound.keys():
        for step in bound.pop(name):
            skipped.add(step.new.id)
            meta.changed.pop(step.new.id, None)
            plan.skipped.append((step.new.identity, f"it belongs together with another object of {name}, left out"))
    gone = {step.new.id for some in bound.values() for step in some} | skipped
    plan.steps = [step for step in plan.steps if step.new.id not in gone]
    plan.tail = [step for step in plan.tail if step.new.id not in gone]
    for some in bound.values():
        for step in some:
            step.group, step.together = some, True
        plan.tail += some


def parties(departures: Iterable[Departure], group: GroupOf) -> list[list[Departure]]:
    """Those that belong together, each group in the order of ids."""
    found: dict[str, list[Departure]] = {}
    for departure in departures:
        if name := group(departure.item.identity):
            found.setdefault(name, []).append(departure)
    return list(found.values())


def too_many(departures: list[Departure], group: GroupOf, most: int) -> dict[bytes, str]:
    """{item id: why} of what cannot be shown together by a device that takes so many changes at once."""
    return {
        one.item.id: f"{len(party)} objects belong together, and it takes {most} at once"
        for party in parties(departures, group)
        if len(party) > most
        for one in party
    }


def named(departures: list[Departure], parted: Iterable[list[Departure]]) -> list[Departure]:
    """The same departures, those of the groups without their contents: the device has them by now, or must not."""
    ids = {one.item.id for party in parted for one in party if not one.ghost}
    return [Departure(one.item, one.named, METADATA, False) if one.item.id in ids else one for one in departures]
