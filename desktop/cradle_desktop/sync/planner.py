"""Makes the plan of a sync out of what both sides have, on an overlay. Executes nothing; knows no link, no user."""

from __future__ import annotations

from cradle_desktop.sync.departures import Departures
from cradle_desktop.sync.naming import Names
from cradle_desktop.sync.plan import Departure, Plan, Step
from cradle_desktop.sync.remote import RemoteReplica
from cradle_desktop.sync.report import SyncOptions
from cradle_desktop.sync.revert import of_desktop, of_device
from cradle_desktop.sync.sharing import before_pass, hash_alike, name_sources
from cradle_desktop.sync.stale import forgotten_deletes, misses, named_changes
from cradle_protocol.errors import STATUS_TEXT
from cradle_protocol.provider.desktop import Judging, RecordStore
from cradle_protocol.provider.store import ObjectStore, StoreError
from cradle_protocol.sync.change import Change
from cradle_protocol.sync.detect import Scan
from cradle_protocol.sync.item import Item
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.overlay import Overlay
from cradle_protocol.sync.values import digest_of, is_lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.sync.arrivals import Arrivals
    from cradle_desktop.sync.findout import Clashes
    from cradle_desktop.sync.holdings import Holdings
    from cradle_desktop.sync.outcome import Answer


class Planned:
    """A plan, and what planning found out.

    overlay  holds its result; tick: the last one that its first half used
    skipped  ids that are left out of it
    news     there is something to do on this side
    barred   ids that the device does not get: told to it, so that it does not take them for known
    dropped  tombstones that go before anything is done; buried: deletes that are made anew after the first half
    """

    def __init__(self, plan: Plan, overlay: Overlay) -> None:
        self.plan, self.overlay, self.tick = plan, overlay, overlay.tick
        self.skipped, self.news = set[bytes](), False
        self.barred = set[bytes]()
        self.dropped: list[bytes] = []
        self.buried: list[Item] = []


class Planner:
    """Plans how two sides of one type that were scanned are brought together."""

    def __init__(
        self,
        store: ObjectStore,
        meta: Metadata,
        remote: RemoteReplica,
        options: SyncOptions,
        holdings: Holdings | None = None,
    ) -> None:
        """holdings: of a device with a filter."""
        self.store, self.meta, self.remote, self.options, self.holdings = store, meta, remote, options, holdings

    def plan(self, scan: Scan) -> Planned:
        """The whole plan, made on an overlay: nothing is written and no tick is used up."""
        plan = Plan(self.options.partner, self.options.policy)
        there = f"on {self.remote.name}: "
        plan.skipped = [(identity, STATUS_TEXT.get(status, "")) for identity, status in scan.skipped]
        plan.skipped += [(identity, there + STATUS_TEXT.get(status, "")) for identity, status in self.remote.skipped]
        planned = Planned(plan, Overlay(self.meta))
        self._plan_arrivals(planned)
        departures = self._departures(planned.overlay, planned)
        fitted = self._fit(planned, departures) or self._bind(planned, departures)
        if self.options.direction != "to-desktop":
            planned.buried = forgotten_deletes(planned.overlay, self.remote)
        if fitted or planned.buried:
            departures = self._departures(planned.overlay, planned)
        skipped = planned.skipped
        self._split(plan, departures, skipped)
        if self.options.direction == "to-device":
            both = [departure.item.identity for departure in plan.departures if departure.item.id in skipped]
            reason = there + "it was changed as well, and changes flow to it only"
            plan.skipped += [(identity, reason) for identity in both]
        return planned

    def plan_departures(self, planned: Planned) -> None:
        """Plan the second half anew, from what this side holds by now."""
        self._split(planned.plan, self._departures(self.meta, planned), planned.skipped)

    def _plan_arrivals(self, planned: Planned) -> None:
        """The first half, if there is anything to it."""
        plan, overlay, remote = planned.plan, planned.overlay, self.remote
        stale = misses(self.meta, remote)
        news = stale or not self.meta.knowledge.contains(remote.knowledge)
        drops_ours = self.options.revert and self.options.direction == "to-desktop"
        if news or drops_ours or self.meta.implied():  # a cut pass has perhaps left directories that must be revived
            arrivals = self._arrivals(overlay, stale)
            changes = named_changes(self.meta, remote, stale) if news else []
            remote.shown = {change.id: change for change in changes}
            if changes and self.meta.live():
                arrivals.former = before_pass(self.meta, changes)
                hash_alike(changes, arrivals.former, remote.digests)
            arrivals.plan(changes, plan)
            planned.skipped, planned.dropped = arrivals.skipped, arrivals.dropped
            if self.options.direction == "to-device" and not self.options.revert:
                _keep_out(plan, overlay, planned.skipped)
            if drops_ours:
                self._drop_ours(arrivals, plan, overlay)
        planned.news, planned.tick = news or bool(plan.steps or plan.tail), overlay.tick

    def _fit(self, planned: Planned, departures: list[Departure]) -> bool:
        """Have names give way that a side cannot hold. True if the plan is another one by that."""
        if isinstance(self.store, RecordStore) or not (departures or planned.plan.steps or planned.plan.tail):
            return False
        from cradle_desktop.sync.constraints import SKIPPED, Fitter

        options, store = self.options, self.store
        moves = options.direction == "both" and options.policy not in ("skip", "ask")
        fitter = Fitter(
            planned.overlay, planned.plan, planned.skipped, Names(store.names, store.name_max, store.path_max),
            self.remote.names, self.remote.name, store.type, options.collision if moves else SKIPPED,
            options.impossible if moves else SKIPPED, self._digests,
            (lambda item: True) if self.holdings is None else self.holdings.wants,
        )  # fmt: skip
        changed = fitter.fit(departures)
        planned.barred = fitter.barred
        planned.tick = planned.overlay.tick
        planned.news = planned.news or bool(planned.plan.steps)
        return changed

    def _bind(self, planned: Planned, departures: list[Departure]) -> bool:
        """Tie together what belongs together. True if something is left out by that."""
        store = self.store
        if not isinstance(store, RecordStore):
            return False
        from cradle_desktop.sync.together import bind, too_many

        plan = planned.plan
        before = len(plan.skipped)
        bind(plan, planned.overlay, planned.skipped, store.group)
        for item_id, why in too_many(departures, store.group, self.remote.limits.batch_items).items():
            planned.barred.add(item_id)
            item = planned.overlay.get(item_id)
            plan.skipped.append(("" if item is None else item.identity, f"on {self.remote.name}: {why}"))
        return len(plan.skipped) > before

    def _digests(self, items: list[Item]) -> dict[bytes, bytes]:
        """{item id: SHA-256} of contents, wherever they are, as far as they can be read."""
        theirs = [change for item in items if (change := self.remote.shown.get(item.id)) and not change.dead]
        found = self.remote.digests(theirs) if theirs else {}
        for item in items:
            if item.id not in found:
                try:
                    found[item.id] = self.store.digest(item.identity)
                except StoreError:
                    continue
        return found

    def _arrivals(self, overlay: Overlay, stale: bool) -> Arrivals:
        from cradle_desktop.sync.arrivals import Arrivals  # not where the device has nothing new

        receiver = {"to-device": "device", "to-desktop": "desktop"}.get(self.options.direction, "")
        arrivals = Arrivals(
            overlay, self.remote.knowledge, self.options.policy, self.store.holds(1), self._hash_both,
            self.store.type, self.options.decided(), self._find_out, receiver if self.options.revert else "", stale,
        )  # fmt: skip
        arrivals.records = isinstance(self.store, RecordStore)
        return arrivals

    def _drop_ours(self, arrivals: Arrivals, plan: Plan, overlay: Overlay) -> None:
        """What this desktop changed by itself becomes what the device has: ask for those items again."""
        ours = self._departures(overlay, arrivals)
        ids = [one.item.id for one in ours if one.verb or one.item.dead]  # a tombstone: perhaps of what moved away
        lacking = overlay.knowledge.copy()
        for i in ids:
            lacking.forget_item(i)
        changes = self.remote.changes(lacking) if ids else []
        self.remote.shown = {change.id: change for change in changes} | self.remote.shown
        arrivals.drop_ours(plan, [item for i in ids if (item := overlay.get(i)) is not None], changes)

    def _split(self, plan: Plan, departures: list[Departure], skipped: set[bytes]) -> None:
        """What is sent, and what the device does not take. What we dropped is told to it, and is nothing it can see."""
        if self.options.direction != "to-desktop":
            plan.departures = departures
            return
        plan.deviations = of_desktop(departures)
        if self.options.revert:
            plan.departures = [one for one in departures if not one.verb and one.item.id not in skipped]

    def _departures(self, meta: Metadata, but: Planned | Arrivals) -> list[Departure]:
        """What the device lacks, told only by name where it is left out."""
        skipped = but.skipped | but.barred if isinstance(but, Planned) else but.skipped
        shown = {i: change.values for i, change in self.remote.shown.items() if change.values and not change.ghost}
        gone = {i for i, change in self.remote.shown.items() if change.dead}
        remote = self.remote
        found = Departures(
            meta, remote.knowledge, remote.forgotten, shown, remote.holds_mode, skipped, gone, self.holdings
        ).plan()
        if found and remote.former:
            name_sources(found, remote.former, self.store.digest)
        if remote.renames and any(one.item.link is not None for one in found):
            from cradle_desktop.sync.moves import tie  # not where nothing moved

            tie(found, remote.knowledge, skipped)
        return found

    def _hash_both(self, unsure: list[tuple[Change, Item]]) -> dict[bytes, tuple[bytes, bytes]]:
        """{item id: (the device's digest, ours)} for contents whose equality hangs on them."""
        lazy = [change for change, _ in unsure if change.values and is_lazy(change.values[0]) and not change.ghost]
        theirs = self.remote.digests(lazy) if lazy else {}
        found: dict[bytes, tuple[bytes, bytes]] = {}
        for change, local in unsure:
            try:
                ours = digest_of(local.values[0]) or self.store.digest(local.identity)
            except StoreError:
                continue
            found[change.id] = (theirs.get(change.id) or digest_of(change.values[0] if change.values else b""), ours)
        return found

    def _find_out(self, clashes: Clashes) -> dict[bytes, Answer]:
        """What has to be known about clashing objects."""
        from cradle_desktop.sync.findout import ask, composed, merged, newest

        store, policy = self.store, self.options.policy
        answers: dict[bytes, Answer] = {}
        if isinstance(store, RecordStore):
            answers = composed(store, self.remote, clashes)
        elif policy == "merge" and self.options.ancestors is not None:
            answers = merged(store, self.remote, self.options.ancestors, clashes)
        if policy == "newest":
            for item_id, found in newest(store, self.remote, clashes).items():
                answers.setdefault(item_id, found).newer = found.newer
        if policy == "provider" and isinstance(store, Judging):
            ask(store, self.remote, clashes, answers)
        return answers


def _keep_out(plan: Plan, overlay: Overlay, skipped: set[bytes]) -> None:
    """Changes flow to the device only: of what it has, take what nobody sees (equal contents get equal versions)."""
    shown = [step for step in plan.steps if any(_seen(one) for one in [step, *step.group])] + plan.tail
    plan.deviations = of_device(shown, plan)
    for step in shown:
        skipped.add(step.new.id)
        overlay.changed.pop(step.new.id, None)
    out = {id(step) for step in shown}
    plan.steps = [step for step in plan.steps if id(step) not in out]
    plan.tail = []


def _seen(step: Step) -> bool:
    """Does a user see this step, or what it displaces? What moved away has no verb of its own, and yet goes."""
    old = step.old
    return bool(step.verb or step.lost) or (step.new.dead and old is not None and not old.dead)
