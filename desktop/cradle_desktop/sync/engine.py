"""One sync of one object type: scan both sides at once, plan, check, act; or plan only (a preview).

Returns what was done and raises what ended it; shows nothing, waits only in the connection. Order of events: the
device is asked to scan and scans while this side does; its changes are judged and the whole plan is made; only then
the first visible thing happens. A sync in which nothing moved costs two requests, and not even the import of the rest.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from cradle_desktop.connection import Connection, unmoved
from cradle_desktop.sync.acquaintance import met, news
from cradle_desktop.sync.former import remembering
from cradle_desktop.sync.meter import safe_point, watched_scan
from cradle_desktop.sync.remote import RemoteReplica, newest, worth_telling
from cradle_desktop.sync.report import Cancelled, Observer, SyncOptions, TypeResult, no_journal
from cradle_protocol.provider.store import ObjectStore
from cradle_protocol.sync.detect import Scan, detect
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.overlay import Overlay
from cradle_protocol.sync.recover import recover

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.conflict.store import ConflictStore
    from cradle_desktop.sync.first import Name
    from cradle_desktop.sync.holdings import Holdings
    from cradle_desktop.sync.plan import Plan
    from cradle_desktop.sync.report import OpenJournal


def synchronize(
    connection: Connection,
    store: ObjectStore,
    meta: Metadata,
    conflicts: "ConflictStore",
    options: SyncOptions,
    observer: Observer,
    journal: "OpenJournal" = no_journal,
) -> TypeResult:
    """Bring both sides together. Raises StoreError (store missing), MassDelete, and what the connection raises.

    `journal` opens what displaced objects are noted in; it is asked only where something is displaced. If the observer
    asks for the end, the result is `cancelled` and says what was done; then the connection is good for nothing but to
    be closed.
    """
    result = TypeResult(store.type)
    with _serving(connection, observer, result):
        own = meta.replicas[0]
        remote, scan, names = _look(connection, store, meta, observer, options)
        options.apart(remote.store_id)
        if word := news(options.partner, options.met, remote):
            observer.note(word)
        _doubt(options, meta, bool(word) or meta.replicas[0] != own)
        result.met, result.filter = met(remote), remote.filter
        holdings = _holdings(remote, store, options)
        if names is not None:
            from cradle_desktop.sync.first import First
            from cradle_desktop.sync.planner import Planner

            First(Planner(store, meta, remote, options), conflicts, observer, journal, result).send(names)
        elif _nothing_moved(meta, remote, scan) and (holdings is None or not holdings.due(meta)):
            result.filtered = options.filtered
            conflicts.waiting(options.partner, store.type, [])
            if options.ancestors is not None and options.ancestors.known() != meta.knowledge:
                from cradle_desktop.sync.findout import learn_common

                learn_common(options.ancestors, store, remote, (), ())
        else:
            from cradle_desktop.sync.execute import Job
            from cradle_desktop.sync.planner import Planner

            planner = Planner(store, meta, remote, options, holdings)
            Job(planner, conflicts, observer, journal, result).run(scan)
            if holdings is not None and not observer.cancelled:
                _count_held(connection, result)
        safe_point(observer)
        remote.close()
    return result


@contextmanager
def _serving(connection: Connection, observer: Observer, result: TypeResult) -> Iterator[None]:
    """While the connection serves one sync: its bytes are counted, and the observer's wish ends what it waits for."""
    sent, received = connection.bytes_sent, connection.bytes_received
    connection.on_wait = lambda: safe_point(observer)
    try:
        yield
    except Cancelled:
        result.cancelled = True
    finally:
        connection.on_wait = unmoved
    result.bytes_sent, result.bytes_received = connection.bytes_sent - sent, connection.bytes_received - received


def _count_held(connection: Connection, result: TypeResult) -> None:
    """Of how many objects a device with a filter has the content now, and the name only."""
    from cradle_desktop.sync.store_filter import StoreFilter

    now = StoreFilter(connection, result.type)
    result.held, result.named = now.held, now.named


def preview(
    connection: Connection,
    store: ObjectStore,
    meta: Metadata,
    options: SyncOptions,
    observer: "Observer | None" = None,
) -> "Plan":
    """The plan that `synchronize` would execute now. Uses no tick and writes nothing on either side.

    Raises Cancelled if the observer asks for the end.
    """
    from cradle_desktop.sync.planner import Planner

    looking = Overlay(meta)
    remote, scan, _ = _look(connection, store, looking, observer or Observer(), options, preview=True)
    options.apart(remote.store_id)
    word = news(options.partner, options.met, remote)
    _doubt(options, looking, bool(word) or looking.replicas[0] != meta.replicas[0])
    planned = Planner(store, looking, remote, options, _holdings(remote, store, options)).plan(scan)
    remote.close()
    return planned.plan


def _look(
    connection: Connection,
    store: ObjectStore,
    meta: Metadata,
    observer: Observer,
    options: SyncOptions,
    preview: bool = False,
    again: bool = False,
) -> "tuple[RemoteReplica, Scan, list[Name] | None]":
    """Both sides scan at once; once more if the device knows later ticks of ours than we do: those are used up.

    With names in the answer nothing was scanned here: all of it is new to both sides (`first`).
    """
    before = meta.tick
    if options.set_back and not again:  # ticks may be used up anyhow
        if not preview:
            recover(store, meta)
        _renew(meta, before, observer)
    remote = RemoteReplica(connection, meta, store.type, preview)
    if not preview:
        recover(store, meta)
        if (names := _all_new(store, meta, remote, options, observer)) is not None:
            return remote, Scan(), names
    with watched_scan(store, connection, observer), remembering(meta) as remote.former:
        scan = detect(store, meta, look_only=preview, hold=not preview)
    scan.skipped = worth_telling(scan.skipped, store.type, meta)
    if not remote.finished:
        remote.finish()
    if newest(remote.knowledge, 0) <= before:
        return remote, scan, None
    _renew(meta, before, observer)
    remote.close()
    return _look(connection, store, meta, observer, options, preview, again=True)


def _all_new(
    store: ObjectStore, meta: Metadata, remote: RemoteReplica, options: SyncOptions, observer: Observer
) -> "list[Name] | None":
    """The names of all objects here, if everything is new to both sides, and the link so fast that a device would wait
    for our scan; else None."""
    connection = remote.connection
    if meta.tick or connection.rate or not connection.steady or options.direction == "to-desktop":
        return None
    if not hasattr(store, "visit") or next(meta.items(), None) is not None:
        return None
    from cradle_desktop.sync.first import listed, possible

    names = listed(store, connection, observer)
    remote.finish()
    return names if possible(names, store, remote) else None


def _renew(meta: Metadata, before: int, observer: Observer) -> None:
    from cradle_desktop.sync.setback import SET_BACK, renew

    observer.note(SET_BACK)
    renew(meta, before)


def _doubt(options: SyncOptions, meta: Metadata, changed: bool) -> None:
    """A side that is not what it was at the last sync has perhaps other texts than that left."""
    if changed and options.ancestors is not None:
        options.ancestors.doubt(meta.replicas[0])


def _holdings(remote: RemoteReplica, store: ObjectStore, options: SyncOptions) -> "Holdings | None":
    """What is to be known of a device with a filter. Raises FilterError."""
    if not remote.generation:
        return None
    from cradle_desktop.sync.holdings import Holdings

    return Holdings(remote, store, options.filtered, options.now, options.direction == "to-desktop")


def _nothing_moved(meta: Metadata, remote: RemoteReplica, scan: Scan) -> bool:
    """Does each side know everything that the other one does, could both look everywhere, is nothing half done here?"""
    equal = meta.knowledge.contains(remote.knowledge) and remote.knowledge.contains(meta.knowledge)
    told = meta.knowledge.contains(remote.forgotten) and remote.forgotten.contains(meta.forgotten)
    return equal and told and not scan.skipped and not remote.skipped and not meta.implied()
