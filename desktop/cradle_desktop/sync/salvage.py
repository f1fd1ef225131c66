"""Fetches what a pass to the device is about to overwrite or delete there, and has it kept: a sync can be undone.

What moves is not displaced. What lost a conflict is in the conflict store. What this side displaced under the same name
is noted already. Everything else that the desktop does not hold any more is noted in the journal as it was there: an
undo makes it so here, and the next sync there. Contents are kept where the device can still give them: those of deletes
whatever their size, those of overwritten objects up to a bound. The journal has its own bounds.

The device is asked what it has under a new name only where that name was deleted here before (`Metadata.reborn`): it
may never have heard of that. To ask for each new name would cost every sync of new files a look through its index.
"""

from __future__ import annotations

from cradle_desktop.sync.intake import Intake
from cradle_desktop.sync.meter import Meter
from cradle_desktop.sync.plan import MODE, Departure, Plan, Step
from cradle_desktop.sync.remote import RemoteReplica
from cradle_desktop.sync.report import Observer, TypeResult
from cradle_desktop.undo.journal import SYNC, Former, Journal
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.change import Change
from cradle_protocol.sync.item import Item
from cradle_protocol.sync.values import EQUAL, UNKNOWN, compare, is_lazy, size_of
from cradle_protocol.sync.version import knows_all


class Salvage:
    """What one pass to the device displaces. `run` before it, `end` after it."""

    def __init__(self, journal: Journal, remote: RemoteReplica, limit: int, reborn: set[bytes]) -> None:
        """limit: bytes of content of an object that is overwritten; reborn: see `Departure.displaces`."""
        self._reborn = reborn
        self._journal, self._store, self._remote, self._limit = journal, journal.store, remote, limit
        self._noted: dict[bytes, Departure] = {}

    def run(self, plan: Plan, observer: Observer, result: TypeResult) -> None:
        """Note and keep what these departures displace. Raises LinkGone, Cancelled."""
        found = [(one, change) for one, change in self._displaced(plan) if _differs(one.item, change)]
        found = [(one, change) for one, change in found if not self._moved(one.item, change)]
        if not found:
            return
        formers = {change.id: _former(one, change) for one, change in found}
        large = {formers[change.id].identity for one, change in found if self._too_large(one, change)}
        self._journal.note(SYNC, list(formers.values()), large)
        self._noted = {one.item.id: one for one, _ in found}
        steps = [_step(one.item, change) for one, change in found if formers[change.id].name]
        try:
            self._fetch(steps, formers, observer, result)
        except BaseException:
            self.end(set(self._noted), set())  # nothing of it was sent
            raise

    def end(self, gone: set[bytes], unsure: set[bytes]) -> None:
        """The pass is over. gone: ids of what was not displaced after all; unsure: of what perhaps was."""
        back = [one.item.identity for i, one in self._noted.items() if i in gone]
        if back:
            self._journal.forget(back)
        sure = [one.item.identity for i, one in self._noted.items() if i not in gone and i not in unsure]
        if sure:
            self._journal.sure(sure)
        hashed = [one.item for i, one in self._noted.items() if i not in gone and not one.item.dead]
        if hashed:  # what was sent was hashed on its way: an undo tells by it what was changed since
            self._journal.note(SYNC, [Former(item.identity, None, list(item.values)) for item in hashed], set())

    def _displaced(self, plan: Plan) -> list[tuple[Departure, Change]]:
        """What departs over something else, with what the device says of that."""
        kept = [one for step in plan.steps + plan.tail for one in step.lost if one.unit == 0 and one.side == "device"]
        lost = {one.item_id for one in kept}
        over = [one for one in plan.departures if one.displaces(self._reborn) and one.item.id not in lost]
        over = [one for one in over if not self._as_here(one.item)]
        over = [one for one in over if not self._journal.has(one.item.identity)]
        asked = [one.item.id for one in over if one.item.id not in self._remote.shown]
        known = self._remote.shown | (self._remote.records(asked) if asked else {})
        return [(one, known[one.item.id]) for one in over if one.item.id in known]

    def _as_here(self, item: Item) -> bool:
        """Does the device know it just as it is here? Then it only leaves the filter."""
        return not item.dead and knows_all(self._remote.knowledge.vector(item.id), item.versions)

    def _moved(self, item: Item, change: Change) -> bool:
        """Will what is there be there under another name?"""
        target = self._remote.meta.get(item.link.id) if item.dead and item.link is not None else None
        return target is not None and not target.dead and compare(target.values[0], _content(change)) == EQUAL

    def _too_large(self, one: Departure, change: Change) -> bool:
        return not one.item.dead and size_of(_content(change)) > self._limit

    def _fetch(self, steps: list[Step], formers: dict[bytes, Former], observer: Observer, result: TypeResult) -> None:
        """Have the contents kept under the names that the journal gave them."""
        if not steps:
            return
        meter = Meter(observer, self._remote.connection, self._store.type, "receive", len(steps))
        done = 0

        def took(size: int) -> None:
            result.down.bytes += size
            meter.at(done, result.down.bytes)

        intake = Intake(self._store, self._remote, self._remote.meta.replicas, steps, result, took)
        try:
            meter.total_bytes = result.down.bytes + intake.begin()
            for step in steps:
                if meter.ends():
                    return
                former = formers[step.new.id]
                try:
                    intake.stage(step)
                    self._store.keep_staged(intake.name(step), former.name)
                except StoreError:
                    self._journal.lacks(former)
                done += 1
                meter.at(done, result.down.bytes)
            self._store.sync()
        finally:
            intake.close()


def _content(change: Change) -> bytes:
    return change.values[0] if change.values else UNKNOWN


def _differs(item: Item, change: Change) -> bool:
    """Is there something at the device, and is it not what it will be?"""
    if change.dead or change.ghost or not change.values:
        return False
    if item.dead:
        return True
    pairs = zip(change.values[1:], item.values[1:], strict=False)
    same = all(UNKNOWN in pair or pair[0] == pair[1] for pair in pairs)
    return not same or compare(change.values[0], item.values[0]) != EQUAL


def _former(one: Departure, change: Change) -> Former:
    """The object as it is there, and as it will be. A unit that the device cannot hold is as it is here."""
    item, there = one.item, change.values or []
    old = [value or (item.values[k] if k < len(item.values) else UNKNOWN) for k, value in enumerate(there)]
    new = None if item.dead else list(item.values)
    if new is not None and is_lazy(new[0]) and one.verb != MODE:
        new[0] = UNKNOWN  # it may have the size of the old one, and is another; it is hashed on its way
    return Former(item.identity, old, new, unsure=True)


def _step(item: Item, change: Change) -> Step:
    """For `Intake`: this content is wanted."""
    new = item.copy()
    new.values = list(change.values or [])
    step = Step(new, None, "")
    step.fetch = change
    return step
