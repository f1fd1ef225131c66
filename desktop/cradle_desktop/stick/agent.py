"""A stick's agent: the device's own agent, in the desktop's process and thread, at the other end of a link in memory.

So a stick is a device by the same code and rules. What differs: its metadata lie in one file in `.cradle` of the stick
itself, where every desktop finds them; no key lies there, for whoever holds the stick can read and write it anyway; and
it works while somebody waits for it, so that a desktop that does nothing leaves no thread and no process on the stick.
"""

import errno
import os
import socket
from contextlib import suppress
from functools import partial

from cradle_desktop.boundary import sentences
from cradle_desktop.errors import NoDevice, PortHeld, UserError
from cradle_desktop.providers.files import FilesStore
from cradle_desktop.stick.hardware import copied, joined, marks
from cradle_desktop.stick.place import NOT_OURS, absent, device_id, forbidden, store_id_in
from cradle_desktop.version import VERSION
from cradle_device.agent import HOST, Agent
from cradle_device.host import HostMetadata
from cradle_device.host_apply import apply
from cradle_device.metadata import HARDWARE
from cradle_device.replica import NO_ID, Replica, fresh_id
from cradle_hardware.link import LinkError, LinkLost
from cradle_hardware.loopback import LoopLink
from cradle_protocol.errors import BUSY, NOT_ALLOWED, LocalError
from cradle_protocol.provider.paths import OWN_FOLDER
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.wire.constants import APPLY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cradle_device.conversation import Handler, Steps
    from cradle_device.metadata import LogMetadata
    from cradle_device.runner import Service
    from cradle_protocol.provider.store import ObjectStore
    from cradle_protocol.sync.slices import Slices

    Keys = dict[bytes, bytes]

# What the system says when a disk is gone, or is there no more for us.
_GONE = frozenset(
    {errno.EIO, errno.ENODEV, errno.ENXIO, errno.ENOMEDIUM, errno.ESTALE, errno.ENOTCONN, errno.ESHUTDOWN}
)
# What Linux, Windows and macOS put there: no user's files, and other ones on each machine.
_HOUSEKEEPING = frozenset(
    {
        "lost+found", "System Volume Information", "$RECYCLE.BIN", ".Trashes", ".Spotlight-V100", ".fseventsd",
        ".TemporaryItems",
    }
)  # fmt: skip
_TRASH = ".Trash-"  # and the number of a user
_READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


# Note of the log: who has which replica id on the stick. Far from the numbers that every log has.
_OWNERS = 64


class StickGone(LinkLost):
    """The stick was pulled, or is not to be reached any more."""

    def __init__(self, folder: str, why: str) -> None:
        super().__init__(folder, why)
        self.args = (f"the stick at {folder} is gone ({why}): plug it in again and repeat the command, it will go on",)


def make_stick(folder: str) -> None:
    """Make a folder a stick; one that is one already stays as it is. Raises UserError."""
    if not os.path.isdir(folder):
        raise NoDevice(f"{folder} is no folder that is there: plug the stick in, or mount it, then try again")
    if os.path.islink(os.path.join(folder, OWN_FOLDER)):
        raise UserError(f"{folder}/{OWN_FOLDER} is a link, which no stick of ours has; remove it, then try again")
    if forbidden(folder):
        raise UserError(f"{folder} cannot be used: {NOT_OURS}")
    with sentences(folder):
        try:
            FilesStore.create(folder).close()
        except StoreError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno in _READ_ONLY:
                raise read_only(folder) from error
            raise


def open_stick(folder: str, name: str, keys: "Keys") -> "StickLink":
    """The desktop's end of a link to the stick in a folder. `keys`: of the desktops that it is to trust.

    Raises NoDevice, PortHeld (another process works on it), UserError.
    """
    store_id = store_id_in(folder)
    if not store_id:
        raise NoDevice(absent(folder, name))
    store, known = StickStore(folder), StickKeys(device_id(store_id), keys)
    try:
        agent = Agent(os.path.join(folder, OWN_FOLDER), [], name, HOST, f"cradlesync {VERSION}", partnerships=known)
    except (LocalError, OSError) as error:
        raise _refused(error, folder, name) from error
    agent.replicas[store.type] = StickReplica(store, folder, known)
    agent.handlers[APPLY] = apply
    near, far = socket.socketpair()
    return StickLink(near, Stick(folder, agent, store), LoopLink(far, folder))


def _refused(error: "LocalError | OSError", folder: str, name: str) -> UserError:
    """Why the agent does not start."""
    if isinstance(error, LocalError):
        if error.code == BUSY:
            return PortHeld(f"another cradle is at work on {name} ({folder}); wait until it is done, or end it")
        return UserError(f"{name} ({folder}) cannot be used: {error.text}")
    if forbidden(folder):
        return UserError(f"{folder} cannot be used: {NOT_OURS}")
    if error.errno in _READ_ONLY:
        return read_only(folder)
    if error.errno in _GONE:
        return NoDevice(absent(folder, name))
    if error.errno == errno.ENOSPC:
        return UserError(f"{folder} is full: not even what is known of it can be written; make room, then try again")
    return UserError(f"{folder} cannot be used ({error.strerror or error}); check the stick, then try again")


def read_only(folder: str) -> UserError:
    """What a stick keeps of a sync lies on it, so one that takes no byte cannot be synced, not even from."""
    return UserError(
        f"{folder} is read-only here, and what travels with a stick must be written on it: nothing was changed; "
        f"slide its switch, or mount it for writing, then try again"
    )


class StickStore(FilesStore):
    """The files on a stick, without what systems keep at the top of a disk for themselves."""

    def items(self) -> "Iterator[tuple[str, bytes]]":
        """See ObjectStore."""
        if not os.path.ismount(self.root):
            yield from super().items()
            return
        for identity, stamp in super().items():
            top, _, below = identity.partition("/")
            if top not in _HOUSEKEEPING and not top.startswith(_TRASH):
                yield identity, stamp
            elif not below:
                self.skipped.append((identity, NOT_ALLOWED))  # of no concern, but not deleted either


class StickKeys:
    """What `Partnerships` is to other devices, without a file: the stick's id, and keys that the desktop hands in."""

    def __init__(self, device: bytes, keys: "Keys") -> None:
        self.device_id, self._keys = device, keys

    def key_of(self, desktop_id: bytes) -> "bytes | None":
        """See Partnerships."""
        return self._keys.get(desktop_id)

    def partners(self) -> "list[tuple[bytes, str]]":
        """See Partnerships."""
        return [(one, "") for one in self._keys]

    def add(self, desktop_id: bytes, key: bytes, name: str) -> None:
        """For this session: the desktop keeps it."""
        self._keys[desktop_id] = key

    def remove(self, desktop_id: bytes) -> None:
        """See Partnerships."""
        self._keys.pop(desktop_id, None)

    def close(self) -> None:
        """Nothing is open."""


class StickReplica(Replica):
    """The replica in a stick's folder. Its hardware is told by several marks, and it has an id for each desktop.

    Theory: what a user did on the stick is stamped in a session, under the id that is that desktop's. So the desktop
    has seen every tick of this id, and an older state, also that of a copy which no mark tells, is found out by
    `check_tick` before it stamps anything. With one id for all, two copies could stamp the same ticks with two
    desktops, and neither edit would ever come to the other.
    """

    def __init__(
        self, store: "ObjectStore", folder: str, keys: StickKeys, log: "type[LogMetadata]" = HostMetadata
    ) -> None:
        super().__init__(store, os.path.join(folder, OWN_FOLDER), log=log)
        self._place, self._keys = folder, keys

    def _moved(self, meta: "LogMetadata") -> bool:
        known, now = meta.note(HARDWARE), marks(self._place)
        meta.set_note(HARDWARE, joined(known, now))
        return copied(known, now)

    def facts(self) -> "tuple[str, bytes, bytes, int]":
        """See Replica. A desktop that has no id here yet is told none."""
        name, store_id, replica, objects = super().facts()
        return name, store_id, self._owned().get(self._desktop(), NO_ID) if replica != NO_ID else replica, objects

    def check_tick(self, known: int) -> "Slices[None]":
        """See Replica; it begins with being who it is with this desktop."""
        meta = self.settled()
        owned = self._owned()
        mine = owned.get(self._desktop(), b"")
        if mine in meta.replicas[1:]:
            become(meta, mine)
        elif not mine and (owned or meta.tick):
            meta.renew(fresh_id())
        elif not mine:  # nobody's, and not used as far as is known here: but this may be an earlier state
            meta.replicas[0] = fresh_id()
            meta.compact()
        yield from super().check_tick(known)
        owned[self._desktop()] = meta.replicas[0]
        meta.set_note(_OWNERS, b"".join(desktop + replica for desktop, replica in owned.items()))

    def _desktop(self) -> bytes:
        return self._keys.partners()[0][0]

    def _owned(self) -> "dict[bytes, bytes]":
        """{desktop id: replica id} of all that have one.

        Nobody has, where the one of now is nobody's: it was renewed (a copy, a log that was damaged, another store),
        and who goes back to an id of before may use its ticks twice.
        """
        meta = self.meta()
        rows = meta.note(_OWNERS)
        owned = {rows[at : at + 16]: rows[at + 16 : at + 32] for at in range(0, len(rows), 32)}
        return owned if meta.replicas[0] in owned.values() else {}


def become(meta: "LogMetadata", replica_id: bytes) -> None:
    """Be again a replica that these metadata were before, with no intents pending.

    Its ticks go on where they were; what is ours now is another's.
    """
    number = meta.replicas.index(replica_id)
    keys = list(range(len(meta.replicas)))
    keys[0], keys[number] = number, 0
    meta.replicas[0], meta.replicas[number] = meta.replicas[number], meta.replicas[0]
    known, forgotten = meta.knowledge, meta.forgotten
    meta.tick = max(vector.get(number, 0) for vector in [*known.vectors, *known.exceptions.values()])
    meta.knowledge = Knowledge.from_bytes(known.to_bytes(), keys, known.limit)
    meta.forgotten = Knowledge.from_bytes(forgotten.to_bytes(), keys, forgotten.limit)
    meta.compact(keys)


class Stick:
    """The far side of the link: agent, store, and whether the disk is still there.

    lost  why it is not, once that is known
    """

    def __init__(self, folder: str, agent: Agent, store: FilesStore) -> None:
        self._folder, self.agent, self._store = folder, agent, store
        self.lost = ""
        self._device = os.stat(folder).st_dev
        disk = f"/sys/dev/block/{os.major(self._device)}:{os.minor(self._device)}"
        self._disk = disk if os.path.exists(disk) else ""
        for kind, handler in list(agent.handlers.items()):
            agent.handlers[kind] = partial(self._watched, handler)

    def _watched(self, handler: "Handler", *request: "Any") -> "Steps":
        """Answer a request. What a disk that is gone says ends the link, not the request alone."""
        try:
            yield from handler(*request)
        except (OSError, StoreError) as error:
            self.hear(error if isinstance(error, OSError) else error.__cause__)
            raise

    def hear(self, error: "BaseException | None") -> None:
        """Is this what the system says of a disk that is gone?"""
        if isinstance(error, OSError) and error.errno in _GONE:
            self.lost = (error.strerror or str(error)).lower()

    def look(self) -> str:
        """Why the stick is gone, "" if it is there. A disk that was pulled may stay mounted, and read from memory."""
        if self.lost:
            return self.lost
        try:
            if os.stat(os.path.join(self._folder, OWN_FOLDER)).st_dev != self._device:
                return "another disk is mounted there"
        except OSError as error:
            return (error.strerror or str(error)).lower()
        return "it was pulled" if self._disk and not os.path.exists(self._disk) else ""

    def close(self) -> None:
        """Let go of the stick, whatever state it is in."""
        with suppress(OSError, StoreError):
            self.agent.close()
        with suppress(OSError, StoreError):
            self._store.close()


class StickLink(LoopLink):
    """The desktop's end. Whoever reads or waits here lets the agent work first: both are in one thread."""

    def __init__(self, sock: socket.socket, stick: Stick, theirs: LoopLink) -> None:
        super().__init__(sock, theirs.name)
        self._stick = stick
        self._service: Service = stick.agent.attach(theirs, errors=LinkError)

    def read_into(self, view: "memoryview | bytearray", timeout: float = 0.0) -> int:
        """See Link."""
        self._let_work()
        return super().read_into(view, timeout)

    def wait(self, read: bool, write: bool, timeout: "float | None") -> "tuple[bool, bool]":
        """See Link."""
        self._let_work()
        return super().wait(read, write, timeout)

    def _let_work(self) -> None:
        """Until the agent has nothing to do, or nowhere to put it. StickGone: what it said last does not count."""
        worked = False
        try:
            while self._service.poll():
                worked = True
        except OSError as error:  # to let go of what was under way failed as well
            self._stick.hear(error)
            if not self._stick.lost:
                raise
            worked = True
        if worked and (why := self._stick.look()):
            self._stick.lost = why
            raise StickGone(self.name, why)

    def _release(self) -> None:
        super()._release()
        self._stick.close()
