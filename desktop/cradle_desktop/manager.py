"""The Service Manager: what the commands, and other programs, do with partners. Prints nothing and parses nothing.

It owns the state of one CRADLE_HOME and opens everything else for as long as one call lasts. Every method raises
`UserError` and nothing else by intent.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

from cradle_desktop.apart import check_free, check_no_state
from cradle_desktop.boundary import sentences
from cradle_desktop.config import default_store, home, nested, store_location
from cradle_desktop.connection import Connection
from cradle_desktop.errors import NoDevice, Usage, UserError
from cradle_desktop.open_type import OpenType, open_all
from cradle_desktop.opening import Ears, connect, is_stick, whereabouts
from cradle_desktop.partner_sync import PartnerSync, Report, check_revert, preview
from cradle_desktop.partnership.registry import EnabledType, Partnership
from cradle_desktop.providers.registry import UnknownType, create_store, open_store
from cradle_desktop.state import State
from cradle_desktop.streams.opened import DIRECTION, POLICY, StreamState, create, default_place, is_stream
from cradle_protocol.wire import constants as c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.conflict.contents import Contents
    from cradle_desktop.conflict.show import Shown
    from cradle_desktop.conflict.store import Conflict, ConflictStore
    from cradle_desktop.pairing import Pairing
    from cradle_desktop.sync.filter import Filter
    from cradle_desktop.sync.plan import Plan
    from cradle_desktop.sync.report import Observer
    from cradle_desktop.undo.back import Outcome as Undone
    from cradle_hardware.link import LinkInfo

__all__ = ["NOTHING_PAIRED", "Report", "ServiceManager", "elsewhere"]

# The largest number that the state database can hold.
MOST_CONFLICTS = 2**63 - 1

NOTHING_PAIRED = "nothing is paired yet; pair a device with 'cradle pair ADDRESS'"


class ServiceManager:
    """Use it in `with`: it holds the state database open."""

    def __init__(self, ears: "Ears | None" = None) -> None:
        self.ears = ears or Ears()
        with sentences():
            self._state = State()
        self.identity, self.registry = self._state.identity, self._state.registry
        self._running: Observer | None = None

    def __enter__(self) -> "ServiceManager":
        return self

    def __exit__(self, *_: object) -> None:
        self._state.close()

    @property
    def conflicts(self) -> "ConflictStore":
        """The conflicts of this home."""
        with sentences():
            return self._state.conflicts()

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
            if not look:
                self._leave(partner, connection)
        return connection

    def _leave(self, partner: Partnership, connection: Connection) -> str:
        """Tell a device, where it does not know yet, which streams are not wanted any more; why it cannot be told."""
        why = ""
        try:
            for type_name in self.registry.leaving(partner.device_id):
                from cradle_desktop.streams.leaving import leave

                why = leave(connection, type_name)
                if not why:
                    self.registry.left(partner.device_id, type_name)
        except BaseException:
            connection.close()
            raise
        return why

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

        with self._looking_at(name, type_name) as (partner, one):
            if one.enabled.direction == "to-desktop":
                raise Usage(
                    f"changes flow to the desktop only, and nothing to {partner.name}; 'cradle enable {partner.name} "
                    f"{type_name}' with another --direction changes that"
                )
            found = [one.meta.get(item_id(type_name, path)) for path in paths]
        for path, item in zip(paths, found, strict=True):
            if item is None or item.dead:
                raise UserError(
                    f"this desktop knows nothing of {path!r} as of the last sync; sync first, or check the name"
                )
        with sentences(), self.connect(partner) as connection:
            return StoreFilter(connection, type_name).pin(paths)

    def by_name_only(self, name: str, type_name: str) -> "list[tuple[str, int]]":
        """(path, bytes) of what a partner has by name only, by its filter; -1 bytes for a folder."""
        from cradle_desktop.sync.store_filter import by_name_only

        with (
            self._looking_at(name, type_name) as (partner, one),
            sentences(),
            self.connect(partner, look=True) as connection,
        ):
            return by_name_only(connection, one.meta, type_name)

    @contextmanager
    def _looking_at(self, name: str, type_name: str) -> "Iterator[tuple[Partnership, OpenType]]":
        """A partner, and a type that is enabled with it."""
        partner = self.partner(name)
        enabled = partner.enabled(type_name)
        if enabled is None:
            raise Usage(
                f"{type_name} are not enabled with {partner.name}; run 'cradle enable {partner.name} {type_name}'"
            )
        with ExitStack() as stack:
            yield partner, OpenType(stack, self._state, partner.name, enabled, look=True)

    def unrecorded(self, name: str, type_name: str, store: str | None) -> bool:
        """Was the folder that `enable` would take synced before, though this desktop knows nothing of it (any more)?"""
        from cradle_desktop.stick.place import store_id_in

        location = store_location(store if store is not None else _default_store(name, type_name))
        with sentences():
            return bool(store_id_in(location)) and self._state.metadata.replica(location, type_name) is None

    def disable(self, name: str, type_name: str) -> str:
        """Stop syncing a type; nothing is deleted. Of a stream the device is told, now or when it next answers.

        Returns why the device does not know yet, or "".
        """
        partner = self.partner(name)
        with sentences():
            if not self.registry.disable(partner.name, type_name):
                enabled = ", ".join(one.type for one in partner.types) or "none"
                raise Usage(f"{type_name!r} is not enabled with {partner.name}; enabled: {enabled}")
            return self._tell_leaving(self.partner(name))

    def _tell_leaving(self, partner: Partnership) -> str:
        """Tell a partner which streams are not wanted any more, if there are any. Why it does not know yet, or ""."""
        if not self.registry.leaving(partner.device_id):
            return ""
        try:
            with self.connect(partner, look=True) as connection:
                return self._leave(partner, connection)
        except UserError as error:
            return error.text

    def objects(self, enabled: EnabledType) -> int:
        """Living objects at the last sync."""
        with sentences():
            info = self._state.metadata.replica(enabled.location, enabled.type)
        return 0 if info is None else info.objects

    def stream(self, partner: Partnership, enabled: EnabledType) -> "StreamState | None":
        """How a stream stands; None for a type of objects."""
        with sentences():
            return StreamState(self._state.database, partner, enabled) if is_stream(enabled.type) else None

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
            one = OpenType(stack, self._state, conflict.partner, self.enabled(conflict))
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
        if not partner.types:
            with sentences():
                self._tell_leaving(partner)  # or nobody ever would: there is nothing to connect for
        run = PartnerSync(self._state, partner, max_delete, observer, revert)
        with open_all(self._state, partner) as types, self.connect(partner) as connection, self._under(observer):
            run.run(types, connection)
        return run.report(types)

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

    def preview(self, partner: Partnership, revert: bool = False) -> "list[tuple[str, Plan]]":
        """The plan of each enabled type, and nothing else."""
        check_revert(partner, revert)
        with open_all(self._state, partner, look=True) as types, self.connect(partner, look=True) as connection:
            return preview(self._state, types, connection, revert)

    def undo(self, name: str, type_name: str | None) -> "list[tuple[str, Undone | None]]":
        """Take back what the last sync with a partner overwrote and deleted on either side, in one type or in all.

        It happens in the stores of this desktop, without the device; the next sync carries it. Per type what was done,
        None where there is nothing to take back.
        """
        partner = self.partner(name)
        chosen = [one for one in partner.types if type_name in (None, one.type)]
        if not chosen:
            names = ", ".join(one.type for one in partner.types) or "none"
            raise Usage(f"{type_name or 'nothing'} is not enabled with {partner.name}; enabled: {names}")
        contents = self.conflicts.contents
        return [(enabled.type, self._take_back(partner.name, enabled, contents)) for enabled in chosen]

    def _take_back(self, partner: str, enabled: EnabledType, contents: "Contents") -> "Undone | None":
        if is_stream(enabled.type):
            return None  # rows are only ever added
        with ExitStack() as stack:
            one = OpenType(stack, self._state, partner, enabled)
            with sentences(f"the store {enabled.location}"):
                return one.take_back(contents)


def _default_store(partner: str, type_name: str) -> str:
    return default_place(partner, type_name) if is_stream(type_name) else default_store(partner)


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
