"""Makes the plan of a sync out of what both sides have, and has it executed, pass by pass. Knows no link, no user."""

from dataclasses import dataclass

from cradle_desktop.conflict.store import ConflictStore, Loser
from cradle_desktop.sync.arrive import Arriving
from cradle_desktop.sync.depart import Departing
from cradle_desktop.sync.plan import Arrivals, Departures, Plan
from cradle_desktop.sync.remote import RemoteReplica
from cradle_desktop.sync.report import Observer, SyncOptions, TypeResult, check_deletes
from cradle_desktop.sync.resolve import Lost
from cradle_protocol.errors import STATUS_TEXT
from cradle_protocol.provider.store import ObjectStore, StoreError
from cradle_protocol.sync.change import Change
from cradle_protocol.sync.detect import Scan
from cradle_protocol.sync.item import Item
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.overlay import Overlay
from cradle_protocol.sync.values import UNKNOWN, digest_of, is_lazy, size_of


@dataclass
class Planned:
    """A plan, and what planning found out: the overlay that holds its result, the ids that are left out of it, and
    whether the device has anything that we lack."""

    plan: Plan
    overlay: Overlay
    skipped: set[bytes]
    news: bool


def execute(
    store: ObjectStore,
    meta: Metadata,
    remote: RemoteReplica,
    conflicts: ConflictStore,
    options: SyncOptions,
    observer: Observer,
    scan: Scan,
) -> TypeResult:
    """Plan, check and act. Raises MassDelete before anything was done, and what the connection raises."""
    planned = make_plan(store, meta, remote, options, scan)
    plan = planned.plan
    check_deletes("desktop", plan.to_desktop(), meta.live(), options.max_delete)
    check_deletes(remote.name, plan.to_device(), remote.objects, options.max_delete)
    result = TypeResult(store.type)
    result.skipped, result.conflicts = list(plan.skipped), len(plan.waiting)
    if planned.news and options.direction != "to-device":
        _arrive(planned, store, meta, remote, conflicts, options, observer, result)
    if options.direction != "to-desktop" and not remote.knowledge.contains(meta.knowledge):
        failed = Departing(store, meta, remote, plan.departures, planned.skipped, observer, result).run()
        result.to_device = plan.to_device(failed)
    waiting = [_waiting(options.partner, store.type, lost) for lost in plan.waiting]
    conflicts.waiting(options.partner, store.type, waiting)
    return result


def make_plan(store: ObjectStore, meta: Metadata, remote: RemoteReplica, options: SyncOptions, scan: Scan) -> Planned:
    plan = Plan(options.partner)
    there = f"on {remote.name}: "
    plan.skipped = [(identity, STATUS_TEXT.get(status, "")) for identity, status in scan.skipped]
    plan.skipped += [(identity, there + STATUS_TEXT.get(status, "")) for identity, status in remote.skipped]
    overlay, skipped = Overlay(meta), set[bytes]()
    news = not meta.knowledge.contains(remote.knowledge)
    if news and options.direction != "to-device":
        arrivals = Arrivals(
            overlay, remote.knowledge, options.policy, store.holds(1), lambda unsure: _hash_both(store, remote, unsure),
            store.type, _by_item(options),
        )  # fmt: skip
        arrivals.plan(remote.changes(meta.knowledge), plan)
        skipped = arrivals.skipped
    if options.direction != "to-desktop":
        shown = {i: change.values for i, change in remote.shown.items() if change.values}
        plan.departures = Departures(overlay, remote.knowledge, shown, remote.holds_mode, skipped).plan()
    return Planned(plan, overlay, skipped, news)


def _by_item(options: SyncOptions) -> dict[bytes, str]:
    """What the user decided, by item: a decision holds for all units of it."""
    return {item_id: take for (item_id, _), take in options.decisions.items()}


def _hash_both(
    store: ObjectStore, remote: RemoteReplica, unsure: list[tuple[Change, Item]]
) -> dict[bytes, tuple[bytes, bytes]]:
    """{item id: (the device's digest, ours)} for contents whose equality hangs on them."""
    lazy = [change for change, _ in unsure if change.values and is_lazy(change.values[0])]
    theirs = remote.digests(lazy) if lazy else {}
    found: dict[bytes, tuple[bytes, bytes]] = {}
    for change, local in unsure:
        try:
            ours = digest_of(local.values[0]) or store.digest(local.identity)
        except StoreError:
            continue
        found[change.id] = (theirs.get(change.id) or digest_of(change.values[0] if change.values else b""), ours)
    return found


def _arrive(
    planned: Planned,
    store: ObjectStore,
    meta: Metadata,
    remote: RemoteReplica,
    conflicts: ConflictStore,
    options: SyncOptions,
    observer: Observer,
    result: TypeResult,
) -> None:
    """Execute the first half, and plan the second anew where the first has changed what there is to send."""
    plan, overlay = planned.plan, planned.overlay
    meta.tick = overlay.tick
    acted = {step.new.id for step in plan.steps + plan.tail}
    for item_id, item in overlay.changed.items():
        if item is not None and item_id not in acted:
            meta.put(item)
    decided = {item_id: take for item_id, take in _by_item(options).items() if take != "both"}
    made = remote.knowledge
    Arriving(store, meta, remote, conflicts, plan, made, planned.skipped, observer, result, decided).run()
    result.to_desktop = plan.to_desktop(planned.skipped)
    if plan.steps or plan.tail:
        shown = {i: change.values for i, change in remote.shown.items() if change.values}
        plan.departures = Departures(meta, remote.knowledge, shown, remote.holds_mode, planned.skipped).plan()


def _waiting(partner: str, type_name: str, lost: Lost) -> Loser:
    """A conflict that was left as it is on both sides, for the list."""
    return Loser(
        partner=partner, type=type_name, item_id=lost.item_id, identity=lost.identity, unit=lost.unit, kind=lost.kind,
        winner="", loser="", value=UNKNOWN, digest=digest_of(lost.value), size=size_of(lost.value),
    )  # fmt: skip
