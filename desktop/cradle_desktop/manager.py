"""The Service Manager: what the commands, and other programs, do with partners. Prints nothing and parses nothing.

It owns the state of one CRADLE_HOME and opens everything else for as long as one call lasts. Every method raises
`UserError` and nothing else by intent.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property, partial

from cradle_desktop.apart import check_apart, check_free, check_no_state
from cradle_desktop.boundary import sentences
from cradle_desktop.config import default_store, home, nested, open_state, store_location
from cradle_desktop.connection import Connection
from cradle_desktop.errors import MassDelete, NoDevice, Usage, UserError
from cradle_desktop.lock import replica_lock
from cradle_desktop.metadata.sqlite import SqliteStore
from cradle_desktop.opening import Ears, connect, is_stick, whereabouts
from cradle_desktop.partnership.identity import own_identity
from cradle_desktop.partnership.registry import EnabledType, Partnership, Registry
from cradle_desktop.providers.registry import UnknownType, create_store, open_store
from cradle_desktop.settings import Settings, load
from cradle_desktop.streams.opened import DIRECTION, POLICY, OpenStream, StreamState, create, default_place, is_stream
from cradle_protocol.provider.store import ObjectStore
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.session import Identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.conflict.show import Shown
    from cradle_desktop.conflict.store import Conflict, ConflictStore
    from cradle_desktop.pairing import Pairing
    from cradle_desktop.sync.filter import Filter
    from cradle_desktop.sync.plan import Plan
    from cradle_desktop.sync.report import Observer, SyncOptions, TypeResult
    from cradle_desktop.undo.back import Outcome as Undone
    from cradle_desktop.undo.journal import Journal
    from cradle_hardware.link import LinkInfo
# The largest number that the state database can hold.
MOST_CONFLICTS = 2**63 - 1

NOTHING_PAIRED = "nothing is paired yet; pair a device with 'cradle pair ADDRESS'"


class Report:
    """What a sync with one partner did.

    types      one result for each object type that it came to, in their order
    started    Unix seconds; seconds: how long it took
    cancelled  its end was asked for before it was through
    """

    def __init__(self, partner: str, types: "list[TypeResult]", waiting: int, seconds: float) -> None:
        self.partner, self.types, self.conflicts_waiting, self.seconds = partner, types, waiting, seconds
        self.started, self.cancelled = time.time() - seconds, False


class OpenType:
    """An enabled type, locked and open. replaced: it is another store than the one that was synced before."""

    def __init__(self, enabled: EnabledType, store: ObjectStore, meta: Metadata, replaced: bool) -> None:
        self.enabled, self.store, self.meta, self.replaced = enabled, store, meta, replaced


class ServiceManager:
    """Use it in `with`: it holds the state database open."""

    def __init__(self, ears: "Ears | None" = None) -> None:
        self.ears = ears or Ears()
        with sentences():
            self._database = open_state()
            me = own_identity(self._database)
        self.identity = Identity(me.id, me.name)
        self.registry = Registry(self._database)
        self.metadata = SqliteStore(self._database)
        self._running: Observer | None = None

    def __enter__(self) -> "ServiceManager":
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    @cached_property
    def settings(self) -> Settings:
        """What the user has set, read once. Raises StateError."""
        return load()

    @property
    def conflicts(self) -> "ConflictStore":
        """The conflicts of this home, imported when somebody looks."""
        from cradle_desktop.conflict.store import ConflictStore

        with sentences():
            return ConflictStore(self._database, bound=self.settings.conflicts)

    # -- partners

    def partners(self) -> list[Partnership]:
        """All partners, by name."""
        with sentences():
            return self.registry.all()

    def partner(self, name: str) -> Partnership:
        """The partner of this name."""
        with sentences():
            found = self.registry.by_name(name)
        if found is None:
            names = ", ".join(one.name for one in self.partners())
            known = f"the partners are: {names}" if names else NOTHING_PAIRED
            raise NoDevice(f"there is no partner {name!r}; {known}")
        return found

    def chosen(self, name: str | None) -> list[Partnership]:
        """The one partner of this name, or all. Raises NoDevice if there is none."""
        found = [self.partner(name)] if name is not None else self.partners()
        if not found:
            raise NoDevice(NOTHING_PAIRED)
        return found

    def pair(
        self, address: str, name: str | None, code: "Callable[[str], str]", anew: bool = False
    ) -> "tuple[Partnership, Pairing]":
        """Pair with the device at an address. The pairing knows the fingerprint that both sides show.

        A partner that is met at a new address keeps its key; with `anew` it gets another one.
        """
        from cradle_desktop.pairing import Pairing

        with sentences():
            pairing = Pairing(self.registry, self.identity, address, self.ears)
            return pairing.run(name, code, anew), pairing

    def unpair(self, name: str) -> str:
        """End a partnership on both sides; why the device was not told, or ""."""
        from cradle_desktop.pairing import unpair

        partner = self.partner(name)

        def forget() -> None:
            with self.connect(partner) as connection:
                connection.call(c.UNPAIR)

        with sentences():
            return unpair(self.registry, partner, forget)

    def connect(self, partner: Partnership, look: bool = False) -> Connection:
        """A proven connection to a partner. look: nothing is noted of it."""
        with sentences():
            address = whereabouts(partner.address, partner.device_id, partner.name)
            try:
                connection = connect(
                    address, partner.key, self.identity, name=partner.name, device_id=partner.device_id,
                    pin=partner.certificate, ears=self.ears,
                )  # fmt: skip
            except NoDevice as error:
                raise NoDevice(error.text + elsewhere(partner.name, partner.address)) from error
            peer = connection.peer
            if not look and (address, peer.name, peer.agent) != (partner.address, partner.device_name, partner.agent):
                self.registry.met(partner.name, address, peer.name, peer.agent)
        return connection

    # -- types

    def enable(
        self,
        name: str,
        type_name: str,
        store: str | None,
        policy: str,
        direction: str,
        wanted: "Filter | None" = None,
    ) -> EnabledType:
        """Sync a type with a partner from now on. A store that does not exist is made here, and nowhere else.

        wanted: what the partner's store shall hold from now on; None: what it says itself.
        """
        partner = self.partner(name)
        location = store_location(store if store is not None else _default_store(partner.name, type_name))
        if "://" in location:
            raise Usage(f"{location} is an address, and stores at addresses come in a later version; name a folder")
        if is_stick(partner.address) and nested(partner.address, location):
            raise Usage(
                f"{location} and {partner.address}, which is {partner.name}, are one folder or lie in one another; "
                "name a folder of this desktop's own with --store"
            )
        with sentences(location):
            check_free(location, {enabled.location for one in self.registry.all() for enabled in one.types})
            if is_stream(type_name):
                if wanted is not None:
                    raise Usage(f"{type_name} are rows, all of which come here: a filter is for objects")
                create(location, direction)
                return self.registry.enable(partner.name, type_name, location, POLICY, DIRECTION)
            check_no_state(location, home())
            try:
                create_store(type_name, location).close()
            except UnknownType as error:
                raise Usage(str(error)) from error
            if wanted is not None:
                self._own_filter(partner, type_name, direction, wanted)
            return self.registry.enable(partner.name, type_name, location, policy, direction)

    def _own_filter(self, partner: Partnership, type_name: str, direction: str, wanted: "Filter") -> None:
        from cradle_desktop.sync.store_filter import StoreFilter

        if direction == "to-desktop":
            raise Usage("changes flow to the desktop only, so there is nothing for a filter to keep away")
        wanted.check()
        wanted.owner = self.identity.id.hex()
        with self.connect(partner) as connection:
            StoreFilter(connection, type_name).own(wanted)

    def get(self, name: str, type_name: str, paths: "list[str]") -> bool:
        """Have a partner with a filter hold these paths from the next sync on. False: it wants all of them anyway."""
        from cradle_desktop.sync.store_filter import StoreFilter
        from cradle_protocol.sync.item import item_id

        partner = self.partner(name)
        enabled = partner.enabled(type_name)
        if enabled is None:
            raise Usage(
                f"{type_name} are not enabled with {partner.name}; run 'cradle enable {partner.name} {type_name}'"
            )
        with ExitStack() as stack:
            one = self._open_type(stack, enabled, look=True)
            found = [one.meta.get(item_id(type_name, path)) for path in paths]
        for path, item in zip(paths, found, strict=True):
            if item is None or item.dead:
                raise UserError(
                    f"this desktop knows nothing of {path!r} as of the last sync; sync first, or check the name"
                )
        with sentences(), self.connect(partner) as connection:
            return StoreFilter(connection, type_name).pin(paths)

    def unrecorded(self, name: str, type_name: str, store: str | None) -> bool:
        """Was the folder that `enable` would take synced before, though this desktop knows nothing of it (any more)?"""
        from cradle_desktop.stick.place import store_id_in

        location = store_location(store if store is not None else _default_store(name, type_name))
        with sentences():
            return bool(store_id_in(location)) and self.metadata.replica(location, type_name) is None

    def disable(self, name: str, type_name: str) -> None:
        """Stop syncing a type; nothing is deleted."""
        partner = self.partner(name)
        with sentences():
            if not self.registry.disable(partner.name, type_name):
                enabled = ", ".join(one.type for one in partner.types) or "none"
                raise Usage(f"{type_name!r} is not enabled with {partner.name}; enabled: {enabled}")

    def objects(self, enabled: EnabledType) -> int:
        """Living objects at the last sync."""
        with sentences():
            info = self.metadata.replica(enabled.location, enabled.type)
        return 0 if info is None else info.objects

    def stream(self, partner: Partnership, enabled: EnabledType) -> "StreamState | None":
        """How a stream stands; None for a type of objects."""
        with sentences():
            return StreamState(self._database, partner, enabled) if is_stream(enabled.type) else None

    # -- conflicts

    def waiting(self, name: str) -> int:
        """How many conflicts with a partner wait for the user."""
        with sentences():
            return self.conflicts.count(name)

    def waiting_conflicts(self, name: str | None) -> "list[Conflict]":
        """The conflicts that wait for the user, with one partner or with all."""
        with sentences():
            return self.conflicts.list(name)

    def conflict(self, number: int) -> "Conflict":
        """One conflict, resolved or not."""
        with sentences():
            found = self.conflicts.get(number) if number <= MOST_CONFLICTS else None
        if found is None:
            raise Usage(f"there is no conflict {number}; 'cradle conflicts' lists them")
        return found

    def resolve(self, number: int, take: str) -> str:
        """Settle a conflict in the desktop's store. Returns what was done."""
        from cradle_desktop.conflict.resolve import ConflictError, resolve

        conflict = self.conflict(number)
        with ExitStack() as stack:
            one = self._open_type(stack, self.enabled(conflict))
            with sentences(one.enabled.location):
                try:
                    return resolve(self.conflicts, number, take, one.store)
                except ConflictError as error:
                    raise UserError(error.text) from error

    def shown(self, number: int) -> "Shown":
        """Both sides of a conflict, as far as they are on this machine."""
        from cradle_desktop.conflict.show import show

        conflict = self.conflict(number)
        with ExitStack() as stack:
            try:
                enabled = self.enabled(conflict)
                store = stack.enter_context(closing(open_store(enabled.type, enabled.location)))
            except (UserError, UnknownType):
                store = None
            with sentences():
                return show(self.conflicts, conflict, store)

    def enabled(self, conflict: "Conflict") -> EnabledType:
        """The enabled type that a conflict is about."""
        enabled = self.partner(conflict.partner).enabled(conflict.type)
        if enabled is None:
            raise UserError(
                f"{conflict.type} are not enabled with {conflict.partner} any more; run "
                f"'cradle enable {conflict.partner} {conflict.type}' first"
            )
        return enabled

    # -- syncing

    def sync(
        self, partner: Partnership, max_delete: float | None, observer: "Observer", revert: bool = False
    ) -> Report:
        """Sync everything that is enabled with a partner. `cancel` ends it from another thread.

        observer  hears how it goes on: see `Observer` and `Progress`
        revert    where changes flow one way, drop what the receiving side changed by itself
        """
        from cradle_desktop.metadata.horizon import Horizons
        from cradle_desktop.sync.engine import synchronize
        from cradle_desktop.sync.report import MassDelete as Guard

        begun, conflicts = time.monotonic(), self.conflicts
        results: list[TypeResult] = []
        journals: list[Journal] = []
        _check_revert(partner, revert)
        with self._open(partner) as types, self.connect(partner) as connection, self._under(observer):
            connection.on_silence = lambda seconds: observer.note(
                f"{partner.name} has been at work for {seconds:.0f} s"
            )
            for one in types:
                if observer.cancelled:
                    break
                if isinstance(one, OpenStream):
                    with sentences(one.enabled.location):
                        results.append(one.sync(connection, observer))
                    continue
                options = self._options(partner, one, max_delete, revert)
                if one.replaced:
                    observer.note(
                        f"{one.enabled.location} is another store than the one that was synced before (a disk in its "
                        "place, or a copy from elsewhere): it is compared in full, as at a first sync"
                    )
                with sentences(one.enabled.location):
                    try:
                        keep = partial(self._journal, partner.name, one, journals)
                        results.append(synchronize(connection, one.store, one.meta, conflicts, options, observer, keep))
                        if not results[-1].cancelled:
                            Horizons(self._database).clean(one.meta, int(time.time()), self.settings.delete_age)
                    except Guard as error:
                        raise MassDelete(str(error)) from error
        with sentences():
            if not observer.cancelled:
                self.registry.synced(partner.name)
            for one, result in zip(types, results, strict=False):
                found = result.deviations, result.met
                if (one.enabled.deviations, one.enabled.met) != found and not result.cancelled:
                    self.registry.found(partner.name, one.enabled.type, *found)
                self._note_filter(partner.name, one.enabled, result)
            waiting = conflicts.count(partner.name)
        for gone in conflicts.dropped:
            observer.note(f"the kept version of {gone.identity} (conflict {gone.number}) was dropped: no room was left")
        for journal in journals:
            _tell(journal, observer)
        report = Report(partner.name, results, waiting, time.monotonic() - begun)
        report.cancelled = observer.cancelled > 0
        return report

    def _note_filter(self, partner: str, was: EnabledType, result: "TypeResult") -> None:
        """What was found of the filter there, where that is news."""
        held, named = (result.held, result.named) if result.named >= 0 else (was.held, was.named)
        now = result.filter, result.filtered or was.filtered, held, named
        if now != (was.filter, was.filtered, was.held, was.named) and not result.cancelled:
            self.registry.has_filter(partner, was.type, *now)

    def cancel(self) -> bool:
        """End the sync that another thread has under way, at its next safe point; called again, at once: see
        `Observer.cancel`. `sync` then returns its report as usual. False: none is under way (it may be connecting).
        """
        running = self._running
        if running is not None:
            running.cancel()
        return running is not None

    @contextmanager
    def _under(self, observer: "Observer") -> Iterator[None]:
        """This observer's sync is the one that `cancel` ends."""
        self._running = observer
        try:
            yield
        finally:
            self._running = None

    def _journal(self, partner: str, one: OpenType, opened: "list[Journal]") -> "Journal | None":
        """What is displaced in a store is noted there, if the store can keep it."""
        from cradle_desktop.undo.journal import Journal
        from cradle_protocol.provider.keeping import KeepingStore

        if not isinstance(one.store, KeepingStore):
            return None
        opened.append(Journal(self._database, one.store, partner, one.enabled.location, self.settings.undo))
        return opened[-1]

    def undo(self, name: str, type_name: str | None) -> "list[tuple[str, Undone | None]]":
        """Take back what the last sync with a partner overwrote and deleted on either side, in one type or in all.

        It happens in the stores of this desktop, without the device; the next sync carries it. Per type what was done,
        None where there is nothing to take back.
        """
        from cradle_desktop.undo.back import take_back

        partner = self.partner(name)
        chosen = [one for one in partner.types if type_name in (None, one.type)]
        if not chosen:
            names = ", ".join(one.type for one in partner.types) or "none"
            raise Usage(f"{type_name or 'nothing'} is not enabled with {partner.name}; enabled: {names}")
        done: list[tuple[str, Undone | None]] = []
        contents = self.conflicts.contents
        for enabled in chosen:
            if is_stream(enabled.type):  # rows are only ever added
                done.append((enabled.type, None))
                continue
            with ExitStack() as stack:
                one = self._open_type(stack, enabled)
                with sentences(f"the store {enabled.location}"):
                    journal = self._journal(partner.name, one, [])
                    done.append((enabled.type, None if journal is None else take_back(journal, contents)))
        return done

    def preview(self, partner: Partnership, revert: bool = False) -> "list[tuple[str, Plan]]":
        """The plan of each enabled type, and nothing else."""
        from cradle_desktop.sync.engine import preview

        plans = []
        _check_revert(partner, revert)
        with self._open(partner, look=True) as types, self.connect(partner, look=True) as connection:
            for one in types:
                with sentences(one.enabled.location):
                    if isinstance(one, OpenStream):
                        plans.append((one.enabled.type, one.preview(connection)))
                        continue
                    options = self._options(partner, one, None, revert)
                    plans.append((one.enabled.type, preview(connection, one.store, one.meta, options)))
        return plans

    @contextmanager
    def _open(self, partner: Partnership, look: bool = False) -> "Iterator[list[OpenType | OpenStream]]":
        """Lock and open all enabled types: what is wrong on this side shows before a device waits."""
        if not partner.types:
            raise UserError(f"nothing is enabled with {partner.name}; run 'cradle enable {partner.name} files'")
        with ExitStack() as stack:
            yield [
                self._open_stream(stack, partner, enabled)
                if is_stream(enabled.type)
                else self._open_type(stack, enabled, look)
                for enabled in partner.types
            ]

    def _open_stream(self, stack: ExitStack, partner: Partnership, enabled: EnabledType) -> OpenStream:
        with sentences(f"the file {enabled.location}"):
            return OpenStream(stack, self._database, partner, enabled)

    def _open_type(self, stack: ExitStack, enabled: EnabledType, look: bool = False) -> OpenType:
        """`look`: nothing is written, not even that the store was seen."""
        with sentences(f"the store {enabled.location}"):
            stack.enter_context(replica_lock(enabled.location, enabled.type, look))
            try:
                store = open_store(enabled.type, enabled.location)
            except UnknownType as error:
                raise UserError(str(error)) from error
            stack.callback(store.close)
            known, found = self.metadata.replica(enabled.location, enabled.type), store.store_id()
            opened = self.metadata.preview_replica if look else self.metadata.open_replica
            meta = opened(enabled.location, enabled.type, len(store.units), found)
        replaced = known is not None and bool(known.store_id) and known.store_id != found
        return OpenType(enabled, store, meta, replaced)

    def _options(self, partner: Partnership, one: OpenType, max_delete: float | None, revert: bool) -> "SyncOptions":
        from cradle_desktop.sync.report import SyncOptions

        enabled = one.enabled
        options = SyncOptions(policy=enabled.policy, direction=enabled.direction, partner=partner.name)  # type: ignore[arg-type]
        options.met, options.filtered = enabled.met, enabled.filtered
        options.decisions = self.conflicts.decisions(partner.name, enabled.type)
        if max_delete is not None:
            options.max_delete = max_delete
        options.undo_fetch = self.settings.undo_fetch
        options.apart = partial(check_apart, one.store, enabled.location, partner.name)
        options.collision, options.impossible = self.settings.collision, self.settings.impossible
        options.revert = revert and enabled.direction != "both"
        if enabled.policy == "merge":
            from cradle_desktop.conflict.ancestors import Ancestors

            options.ancestors = Ancestors(self._database, partner.name, one.meta.replicas[0])
        return options


def _default_store(partner: str, type_name: str) -> str:
    return default_place(partner, type_name) if is_stream(type_name) else default_store(partner)


def _check_revert(partner: Partnership, revert: bool) -> None:
    if revert and all(one.direction == "both" for one in partner.types if not is_stream(one.type)):
        raise Usage(
            f"changes flow both ways with {partner.name}, so there is nothing to revert; 'cradle enable {partner.name} "
            f"TYPE --direction to-device|to-desktop' makes one side follow the other"
        )


def _tell(journal: "Journal", observer: "Observer") -> None:
    """What a sync could not keep, and what it let go to keep the rest."""
    for identity in journal.large:
        observer.note(f"{identity} cannot be brought back by 'cradle undo': what it was could not be kept")
    if journal.dropped:
        some = "1 object" if journal.dropped == 1 else f"{journal.dropped} objects"
        observer.note(f"what 'cradle undo' kept of {some} from earlier syncs was dropped: it was too old or too much")


def ports_in_sight() -> "list[LinkInfo]":
    """What `elsewhere` looks through."""
    from cradle_hardware.discovery import serial_ports

    return serial_ports()


def elsewhere(name: str, address: str, ports: "Callable[[], list[LinkInfo]]" = ports_in_sight) -> str:
    """Where a device may be that is not at its address any more: boards change their ports. Nothing is sent to any."""
    if is_stick(address):
        return ""  # it was looked for on every disk
    if not address.startswith("serial:"):
        return f"; if {name} has another address now, 'cradle pair ADDRESS' knows it by its key"
    place = address.partition("?")[0]
    others = [port.address for port in ports() if port.vid is not None and port.address != place]
    return f"; if {name} is now at {' or '.join(others)}, pair there: it is known by its key" if others else ""
