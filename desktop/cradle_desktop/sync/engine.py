"""One sync of one object type: scan both sides at once, plan, check, act; or plan only (a preview).

Returns what was done and raises what ended it; shows nothing, waits only in the connection. Order of events: the
device is asked to scan and scans while this side does; its changes are judged and the whole plan is made; only then
the first visible thing happens. A sync in which nothing moved costs two requests.
"""

from dataclasses import dataclass

from cradle_desktop.conflict.store import ConflictStore, Loser
from cradle_desktop.connection import Connection
from cradle_desktop.sync.arrive import Arriving
from cradle_desktop.sync.depart import Departing
from cradle_desktop.sync.plan import Arrivals, Departures, Plan
from cradle_desktop.sync.remote import RemoteReplica
from cradle_desktop.sync.report import Observer, SyncOptions, TypeResult, check_deletes
from cradle_desktop.sync.resolve import Lost
from cradle_protocol.errors import STATUS_TEXT
from cradle_protocol.provider.store import ObjectStore, StoreError
from cradle_protocol.sync.change import Change
from cradle_protocol.sync.detect import Scan, detect
from cradle_protocol.sync.item import Item
from cradle_protocol.sync.metadata import Metadata, Overlay
from cradle_protocol.sync.recover import recover
from cradle_protocol.sync.values import UNKNOWN, digest_of, is_lazy, size_of


def synchronize(
    connection: Connection,
    store: ObjectStore,
    meta: Metadata,
    conflicts: ConflictStore,
    options: SyncOptions,
    observer: Observer,
) -> TypeResult:
    """Bring both sides together. Raises StoreError (store missing), MassDelete, and what the connection raises."""
    sent, received = connection.bytes_sent, connection.bytes_received
    remote = RemoteReplica(connection, meta, store.type, preview=False)
    recover(store, meta)
    observer.progress("scan", 0, 0, 0, 0)
    scan = detect(store, meta)
    remote.finish()
    planned = _make_plan(store, meta, remote, options, scan)
    _check(planned, meta, remote, options)
    result = TypeResult(store.type, planned.plan.to_device(), planned.plan.to_desktop())
    result.skipped = list(planned.plan.skipped)
    result.conflicts = len(planned.plan.waiting)
    if options.direction != "to-device":
        _arrive(planned, store, meta, remote, conflicts, options, observer, result)
    if options.direction != "to-desktop":
        _depart(planned, store, meta, remote, observer, result)
    waiting = [_waiting(options.partner, store.type, lost) for lost in planned.plan.waiting]
    conflicts.waiting(options.partner, store.type, waiting)
    remote.close()
    result.bytes_sent, result.bytes_received = connection.bytes_sent - sent, connection.bytes_received - received
    return result


def preview(connection: Connection, store: ObjectStore, meta: Metadata, options: SyncOptions) -> Plan:
    """The plan that `synchronize` would execute now. Uses no tick and writes nothing on either side."""
    looking = Overlay(meta)
    remote = RemoteReplica(connection, looking, store.type, preview=True)
    scan = detect(store, looking, look_only=True)
    remote.finish()
    planned = _make_plan(store, looking, remote, options, scan)
    remote.close()
    return planned.plan


@dataclass
class _Planned:
    plan: Plan
    overlay: Overlay
    skipped: list[bytes]
    news: bool  # has the device anything that we lack?


def _make_plan(store: ObjectStore, meta: Metadata, remote: RemoteReplica, options: SyncOptions, scan: Scan) -> _Planned:
    plan = Plan(options.partner)
    there = f"on {remote.name}: "
    plan.skipped = [(identity, STATUS_TEXT.get(status, "")) for identity, status in scan.skipped]
    plan.skipped += [(identity, there + STATUS_TEXT.get(status, "")) for status, identity in remote.skipped]
    overlay, skipped = Overlay(meta), list[bytes]()
    news = not meta.knowledge.contains(remote.knowledge)
    if news and options.direction != "to-device":
        arrivals = Arrivals(
            overlay, remote.knowledge, options.policy, store.holds(1), lambda unsure: _hash_both(store, remote, unsure),
            store.type,
        )  # fmt: skip
        arrivals.plan(remote.changes(meta.knowledge), plan)
        skipped = arrivals.skipped
    if options.direction != "to-desktop":
        shown = {i: change.values for i, change in remote.shown.items() if change.values}
        plan.departures = Departures(overlay, remote.knowledge, shown, remote.holds_mode).plan()
    return _Planned(plan, overlay, skipped, news)


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


def _check(planned: _Planned, meta: Metadata, remote: RemoteReplica, options: SyncOptions) -> None:
    """The guard against a catastrophe: nothing has been done when this raises."""
    check_deletes("desktop", planned.plan.to_desktop(), meta.live(), options.max_delete)
    check_deletes(remote.name, planned.plan.to_device(), remote.objects, options.max_delete)


def _arrive(
    planned: _Planned,
    store: ObjectStore,
    meta: Metadata,
    remote: RemoteReplica,
    conflicts: ConflictStore,
    options: SyncOptions,
    observer: Observer,
    result: TypeResult,
) -> None:
    plan, overlay = planned.plan, planned.overlay
    if not planned.news:
        return
    meta.tick = overlay.tick
    acted = {step.new.id for step in plan.steps + plan.tail}
    for item_id, item in overlay.changed.items():
        if item is not None and item_id not in acted:
            meta.put(item)
    Arriving(store, meta, remote, conflicts, plan, remote.knowledge, planned.skipped, observer, result).run()
    if plan.steps or plan.tail:
        shown = {i: change.values for i, change in remote.shown.items() if change.values}
        plan.departures = Departures(meta, remote.knowledge, shown, remote.holds_mode).plan()


def _depart(
    planned: _Planned, store: ObjectStore, meta: Metadata, remote: RemoteReplica, observer: Observer, result: TypeResult
) -> None:
    if not remote.knowledge.contains(meta.knowledge):
        Departing(store, meta, remote, planned.plan.departures, observer, result).run()


def _waiting(partner: str, type_name: str, lost: Lost) -> Loser:
    """A conflict that was left as it is on both sides, for the list."""
    return Loser(
        partner=partner, type=type_name, item_id=lost.item_id, identity=lost.identity, unit=lost.unit, kind=lost.kind,
        winner="", loser="", value=UNKNOWN, digest=digest_of(lost.value), size=size_of(lost.value),
    )  # fmt: skip
