"""Has the plan of a sync carried out, pass by pass, and says what was done. Decides nothing: see `planner`."""

from __future__ import annotations

from functools import cache

from cradle_desktop.conflict.store import ConflictStore, Loser
from cradle_desktop.sync.meter import safe_point, stop_now
from cradle_desktop.sync.plan import Plan
from cradle_desktop.sync.planner import Planned, Planner
from cradle_desktop.sync.report import Observer, TypeResult, check_deletes
from cradle_desktop.sync.stale import keep_deletes, lacks, misses
from cradle_protocol.sync.detect import Scan
from cradle_protocol.sync.forget import forget
from cradle_protocol.sync.values import UNKNOWN, digest_of, size_of
from cradle_protocol.sync.version import knows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.sync.outcome import Lost
    from cradle_desktop.sync.report import OpenJournal
    from cradle_desktop.sync.salvage import Salvage

# Names that gave way are told one by one up to so many: a card whose names were all written in capitals has thousands.
FITTED_TOLD = 10


class Job:
    """One plan that is made and carried out."""

    def __init__(
        self, planner: Planner, conflicts: ConflictStore, observer: Observer, journal: OpenJournal, result: TypeResult
    ) -> None:
        """result: says what was done, also where `run` raises."""
        self.planner, self.conflicts, self.observer, self.result = planner, conflicts, observer, result
        self.store, self.meta, self.remote = planner.store, planner.meta, planner.remote
        self.options, self.journal = planner.options, cache(journal)

    def run(self, scan: Scan) -> None:
        """Plan, check and act. Raises MassDelete before anything was done, and what the connection raises.

        With the observer's wish it ends early, or raises Cancelled.
        """
        observer = self.observer
        planned = self.planner.plan(scan)
        plan = planned.plan
        self._check_deletes(plan)
        safe_point(observer)
        self.remote.connection.on_wait = lambda: stop_now(observer)  # from here on what is in hand is finished
        self._note_left_out(plan)
        if planned.news and scan.held:
            self.meta.commit()  # before anything is built on it
            scan.held = False
        if planned.news:
            self._arrive(planned)
        unsent = self._depart(planned, scan.held)
        if scan.held:
            self.meta.commit()
        tell_fitted(plan, planned.skipped, observer)
        self._remember(plan, planned.skipped | unsent)
        self._note_left_over(planned, unsent)

    def _check_deletes(self, plan: Plan) -> None:
        """Raises MassDelete. A device with a filter can take away no more than it held: to lose that is to lose all."""
        here, there, most = plan.to_desktop(), plan.to_device(), self.options.max_delete
        check_deletes("desktop", here, self.meta.live(), most)
        if self.planner.holdings is not None:
            check_deletes("desktop", here, self.remote.objects + here.deleted, most, self.remote.name)
        check_deletes(self.remote.name, there, self.remote.objects, most)

    def _note_left_out(self, plan: Plan) -> None:
        """What the plan leaves alone, on either side."""
        result = self.result
        result.skipped, result.waiting = list(plan.skipped), len(plan.waiting)
        result.down.skipped = len(self.remote.skipped) + len(plan.waiting)
        result.up.skipped = len(plan.skipped) - len(self.remote.skipped)

    def _arrive(self, planned: Planned) -> None:
        """Execute the first half, and plan the second anew where the first has changed what there is to send."""
        from cradle_desktop.sync.arrive import Arriving  # not where the device has nothing new

        plan, overlay = planned.plan, planned.overlay
        forgotten = self.remote.forgotten if misses(self.meta, self.remote) else None
        self.meta.tick = planned.tick
        if planned.dropped:
            forget(self.meta, planned.dropped)
            self.meta.commit()
        acted = {step.new.id for step in plan.steps + plan.tail} | {item.id for item in planned.buried}
        for item_id, item in overlay.changed.items():
            if item is not None and item_id not in acted:
                self.meta.put(item)
        decided = {item_id: take for item_id, take in self.options.decided().items() if take != "both"}
        decided.update((i, "desktop") for i in plan.dropped())
        arriving = Arriving(
            self.store, self.meta, self.remote, self.conflicts, plan, self.remote.knowledge, planned.skipped,
            self.observer, self.result, decided, self.journal(), forgotten,
        )  # fmt: skip
        try:
            arriving.run()
        finally:
            planned.skipped |= arriving.undone
            self.result.to_desktop = plan.to_desktop(planned.skipped)
            self.result.down.applied = self.result.to_desktop.total()
        if (plan.steps or plan.tail) and not self.observer.cancelled:
            self.planner.plan_departures(planned)

    def _depart(self, planned: Planned, held: bool) -> set[bytes]:
        """Execute the second half. Returns the ids of what the device did not get."""
        plan, observer, result = planned.plan, self.observer, self.result
        if observer.cancelled:
            return {departure.item.id for departure in plan.departures}
        if planned.buried:
            keep_deletes(self.meta, planned.buried, planned.overlay.tick)
            self.planner.plan_departures(planned)
        one_way = self.options.direction == "to-desktop"
        if not plan.departures and (one_way or not lacks(self.meta, self.remote)):
            return set()
        from cradle_desktop.sync.depart import Departing

        salvage = self._salvage(plan)
        departing = Departing(
            self.store, self.meta, self.remote, plan.departures, planned.skipped, planned.barred, held,
            observer, result,
        )  # fmt: skip
        over = False
        try:
            if not observer.cancelled:
                departing.run(alone=one_way)
            over = True
        finally:
            result.to_device = plan.to_device(departing.undone)
            result.up.applied = result.to_device.total()
            if salvage is not None:
                begun = set() if over else departing.begun
                salvage.end(departing.undone - begun, departing.undone & begun)
        return departing.undone

    def _salvage(self, plan: Plan) -> Salvage | None:
        """Have kept what goes for ever with this pass. None: nothing does, or there is nowhere to keep it."""
        reborn = self.meta.reborn()
        if not any(one.displaces(reborn) for one in plan.departures):
            return None
        opened = self.journal()
        if opened is None:
            return None
        from cradle_desktop.sync.salvage import Salvage

        salvage = Salvage(opened, self.remote, self.options.undo_fetch, reborn)
        salvage.run(plan, self.observer, self.result)
        return salvage

    def _remember(self, plan: Plan, but: set[bytes]) -> None:
        """Texts that both sides have now are what a later merge starts from."""
        ancestors = self.options.ancestors
        if ancestors is None or self.observer.cancelled:
            return
        from cradle_desktop.sync.findout import learn_common

        known = self.remote.knowledge
        steps = [step.new for step in plan.steps + plan.tail]
        # What was decided here the device has not, unless it departs.
        synced = {new.id for new in steps if knows(known.vector(new.id), new.versions[0])}
        if self.options.direction != "to-desktop":
            synced |= {departure.item.id for departure in plan.departures}
        learn_common(ancestors, self.store, self.remote, synced, but)

    def _note_left_over(self, planned: Planned, unsent: set[bytes]) -> None:
        """What differs or waits when all is done. unsent: ids of what the device did not get."""
        plan, result, observer = planned.plan, self.result, self.observer
        result.deviations, result.absent, result.left = len(plan.deviations), len(plan.absent), plan.leaving(unsent)
        holdings = self.planner.holdings
        if holdings is not None and self.options.direction != "to-desktop" and not observer.cancelled:
            sent = {departure.item.id for departure in plan.departures}
            result.filtered = holdings.carried_out(self.meta, unsent, sent)
        waiting = self._waiting(plan.waiting + self._undone(planned), not observer.cancelled)
        self.conflicts.waiting(self.options.partner, self.store.type, waiting)

    def _undone(self, planned: Planned) -> list[Lost]:
        """Conflicts that the user has decided and that could not be settled this time: the decision stands."""
        steps = [step for step in planned.plan.steps + planned.plan.tail if step.new.id in planned.skipped]
        decided = self.options.decided()
        return [lost for step in steps for lost in step.lost if lost.item_id in decided]

    def _waiting(self, lost: list[Lost], asks: bool) -> list[Loser]:
        """Conflicts that were left as they are on both sides, for the list. asks: is the device there to be asked?"""
        shown = {i: change.values[0] for i, change in self.remote.shown.items() if change.values}
        written = self.remote.written([one.item_id for one in lost]) if asks else {}
        return [
            Loser(
                partner=self.options.partner, type=self.store.type, item_id=one.item_id, identity=one.identity,
                unit=one.unit, kind=one.kind, winner="", loser="", value=UNKNOWN,
                digest=digest_of(shown.get(one.item_id, UNKNOWN)), size=size_of(shown.get(one.item_id, UNKNOWN)),
                written=written.get(one.item_id),
            )
            for one in lost
        ]  # fmt: skip


def tell_fitted(plan: Plan, skipped: set[bytes], observer: Observer) -> None:
    """Say which names gave way, unless that failed: some in a sentence each, the rest as a number."""
    done = [one for one in plan.fitted if one.id not in skipped]
    for one in done[:FITTED_TOLD]:
        observer.note(one.sentence())
    if len(done) > FITTED_TOLD:
        observer.note(f"{len(done) - FITTED_TOLD} more names gave way for the same reason")
