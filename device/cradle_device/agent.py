"""The agent: what all sessions of a device share. Keys, replicas, limits, a pairing code; and the links it serves.

A user's program calls `poll()` in its loop, or awaits `run()`. It never starts a session and never resolves a conflict.
Its objects are not thread-safe.
"""

from cradle_device import content_handlers, pairing, sync_handlers, system
from cradle_device.metadata import LogMetadata
from cradle_device.partnership import Partnerships
from cradle_device.replica import Replica
from cradle_protocol.compat import MICROPYTHON
from cradle_protocol.errors import NOT_PAIRED, LocalError
from cradle_protocol.wire.handshake import Identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cradle_device.conversation import Conversation, Handler
    from cradle_device.pairing import Code, PakeFactory
    from cradle_device.partnership import Keyring
    from cradle_device.readings import Readings
    from cradle_device.runner import Link, Listener, Service
    from cradle_protocol.provider.store import ObjectStore

PROGRAM = "cradlesync 0.1.0"
# Links beside the open sessions on which a stranger may say hello.
_HALLWAY = 0 if MICROPYTHON else 8
BUSY_SECONDS = 5


class Limits:
    """What may be asked of this agent; a desktop is told, and held to it.

    max_message   longest message it takes: one buffer of it per session
    max_requests  requests under way at once
    batch_items   changes in one APPLY: each costs about 500 bytes on a board while the batch lasts
    batch_bytes   content in one APPLY: what a cut in its middle sends again
    reply_part    longest part of a reply: one more buffer per session
    joined        longest request that comes in parts and must be joined
    replicas      replicas whose versions it keeps apart
    """

    def __init__(
        self,
        max_message: int,
        max_requests: int,
        batch_items: int,
        batch_bytes: int,
        reply_part: int,
        joined: int,
        replicas: int,
    ) -> None:
        self.max_message, self.max_requests = max_message, max_requests
        self.batch_items, self.batch_bytes = batch_items, batch_bytes
        self.reply_part, self.joined, self.replicas = reply_part, joined, replicas


BOARD = Limits(2048, 4, 4, 65536, 1024, 8192, 64)
HOST = Limits(1 << 20, 8, 4096, 16 << 20, 256 << 10, 4 << 20, 4096)


class Agent:
    """One device.

    state     directory for keys and metadata; locked, so that a second agent raises LocalError(BUSY)
    stores    one ObjectStore per object type
    name      what the device calls itself
    limits    BOARD under MicroPython, HOST elsewhere
    pake      makes one run of SPAKE2: pake(code, False, desktop id, device id); without it there is no pairing by code
    hardware  the machine's own id: state that was copied to another machine becomes a new replica
    sessions  how many at once
    log       the class of its metadata: `host.HostMetadata` where there is memory
    partnerships  where its identity and keys are, if not in a log of the state directory
    observer  observer(event, peer name, detail), for "paired", "unpaired", "open", "closed", "refused"
    """

    def __init__(
        self,
        state: str,
        stores: "list[ObjectStore]",
        name: str,
        limits: "Limits | None" = None,
        program: str = PROGRAM,
        pake: "PakeFactory | None" = None,
        hardware: bytes = b"",
        sessions: int = 1,
        observer: "Callable[[str, str, Any], None] | None" = None,
        log: "type[LogMetadata]" = LogMetadata,
        partnerships: "Keyring | None" = None,
    ) -> None:
        self._lock = system.StateLock(state)
        self.state, self.hardware = state, hardware
        self.limits = limits or (BOARD if MICROPYTHON else HOST)
        self.sessions, self.pake = sessions, pake
        self.busy_seconds = BUSY_SECONDS
        self.partnerships: Keyring = partnerships or Partnerships(state + "/partners.log")
        self.device_id = self.partnerships.device_id
        self.identity = Identity(self.device_id, name, program)
        self.entropy = True
        self.replicas = {store.type: Replica(store, state, hardware, log) for store in stores}
        for replica in self.replicas.values():
            replica.read()
        self.streams: dict[str, Readings] = {}  # they add themselves
        self.handlers: dict[Any, Handler] = {}
        for kind, handler in sync_handlers.HANDLERS + content_handlers.HANDLERS + pairing.HANDLERS:
            self.handlers[kind] = handler
        self._observer = observer
        self.code: Code | None = None
        self._services: list[Service] = []
        self._listeners: list[tuple[Listener, Any]] = []

    def close(self) -> None:
        """End all sessions and let go of everything."""
        for service in self._services:
            service.close("the agent was stopped")
        self._services = []
        for replica in self.replicas.values():
            replica.close()
        for stream in self.streams.values():
            stream.close()
        self.partnerships.close()
        self._lock.close()

    # -- links

    def attach(self, link: "Link", errors: "Any" = OSError) -> "Service":
        """Serve a link that is connected; `errors` is what it raises when it ends. It is closed at its session's end.

        On a stream that is one too many the session is refused; where there is no room even for that, the link is
        closed at once. A serial line on which nobody speaks takes no place. What `listen` brings waits for a place.
        """
        service: Service
        if link.reliable:
            from cradle_device.pipe import StreamService  # one of the two is enough for most agents

            service = StreamService(self, link, errors)
        else:
            from cradle_device.line import LineService

            service = LineService(self, link, errors)
        self._services = [one for one in self._services if not one.closed]
        if self._full():
            service.close("too many connections")
        else:
            self._services.append(service)
        return service

    def _full(self) -> bool:
        taken = 0
        for one in self._services:  # each turn: no list is made
            if one.talk is not None and not one.closed:
                taken += 1
        return taken >= self.sessions + _HALLWAY

    def listen(self, listener: "Listener", errors: "Any" = OSError) -> None:
        """Take links from a listener whenever `poll` is called."""
        self._listeners.append((listener, errors))

    def poll(self) -> bool:
        """Do a little of what there is to do, some operations on flash at most, and never wait. True: there is more."""
        for listener, errors in self._listeners:
            # Who comes while all places are taken waits outside: the last session may be at its end, unseen as yet.
            link = None if self._full() else listener.accept(0)
            if link is not None:
                self.attach(link, errors)
        for stream in self.streams.values():
            stream.poll()
        busy = False
        for service in self._services:
            if service.poll():
                busy = True
        if not busy:
            self._services = [service for service in self._services if not service.closed]
        return busy

    def attached(self) -> bool:
        """Is a link there?"""
        return any([not service.closed for service in self._services])

    def wait_ms(self) -> "int | None":
        """Milliseconds until `poll` must be called again though no byte came; None: only when one comes."""
        waits = [service.wants()[2] for service in self._services if not service.closed]
        known = [wait for wait in waits if wait is not None]
        return min(known) if known else None

    async def run(self, pause_ms: int = 5) -> None:
        """Serve for ever, beside the other tasks of an asyncio program; `pause_ms` between looks at quiet links."""
        import asyncio

        while True:
            await asyncio.sleep(0 if self.poll() else pause_ms / 1000)

    # -- pairing

    def partners(self) -> "list[tuple[bytes, str]]":
        """(desktop id, name) of the paired desktops."""
        return self.partnerships.partners()

    def forget(self, desktop_id: bytes, asking: "Conversation | None" = None) -> None:
        """End a partnership, and what sessions that desktop has but the one that asks for it."""
        self.partnerships.remove(desktop_id)
        for service in self._services:
            talk = service.talk
            if talk is not None and talk is not asking and talk.desktop_id() == desktop_id:
                talk.end(NOT_PAIRED, "the partnership was ended")
        for stream in self.streams.values():
            stream.forget(desktop_id)

    if TYPE_CHECKING or not MICROPYTHON:  # a board has no SPAKE2: it pairs over a cable

        def allow_code(self, digits: str, seconds: int = pairing.CODE_SECONDS, tries: int = pairing.CODE_TRIES) -> None:
            """Open pairing by this code for a while. Needs the agent's `pake`."""
            self.code = pairing.Code(digits, seconds, tries)

        def forbid_code(self) -> None:
            """No pairing by code from now on; also what follows a pairing."""
            self.code = None

        def code_open(self) -> bool:
            """Can a desktop pair by code now?"""
            return self.pake is not None and self.code is not None and self.code.open()

    # -- what conversations ask

    def nonce(self) -> bytes:
        """16 random bytes; zeros on a machine without entropy, which then neither pairs nor proves."""
        try:
            return system.random_bytes(16)
        except LocalError:
            self.entropy = False
            return bytes(16)

    def admits(self, talk: "Conversation") -> bool:
        """May this session open beside those that are open?"""
        others = [one for one in self._services if one.talk is not talk and one.talk is not None and one.talk.is_open()]
        return len(others) < self.sessions

    def types(self) -> "list[tuple[str, bytes, bytes, int]]":
        """What PROOF_REPLY says of the object types."""
        return [self.replicas[name].facts() for name in sorted(self.replicas)] + [
            stream.facts() for stream in self.streams.values()
        ]

    def device_time(self) -> int:
        """Seconds since 1970, 0 while nobody has set the clock."""
        now = system.wall_ms() // 1000
        return now if now >= system.CLOCK_SET else 0

    def tell(self, event: str, peer: str, detail: "Any") -> None:
        """Tell the owner what happened."""
        if self._observer is not None:
            self._observer(event, peer, detail)

    def notify(self, type_name: str) -> None:
        """The application changed something of this type: whoever is connected may want to sync."""
        for service in self._services:
            if service.talk is not None and (type_name in self.replicas or type_name in self.streams):
                service.talk.changed.add(type_name)
