"""The two ends of a session in one thread: the desktop's connection moves its own bytes and the agent's.

No clock and no waiting: when nothing moves and something was waited for, that is a deadlock and an error.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cradle_desktop.connection import Connection
from cradle_desktop.errors import LinkGone
from cradle_desktop.pump import StreamPump
from cradle_device import host_apply
from cradle_device.agent import Agent, Limits
from cradle_device.host import HostMetadata
from cradle_device.metadata import LogMetadata
from cradle_hardware.link import Link, LinkError, LinkLost
from cradle_hardware.loopback import pair
from cradle_protocol.provider.store import ObjectStore
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.desktop_session import DesktopSession
from cradle_protocol.wire.events import GREETED, PAIRED, READY
from cradle_protocol.wire.session import Identity
from cradle_testing.fate import Dead
from cradle_testing.witness import WitnessSession

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_device.runner import Service
# Messages of a world: large enough that a batch is a few of them, small enough that contents are cut into pieces.
MAX_MESSAGE = 16384
BATCH_BYTES = 1 << 20
MAX_REQUESTS = 8
JOINED = 1 << 20  # bytes of a knowledge that comes in parts
REPLICAS = 255
UNCUT = 1 << 60  # bytes that no test moves


class Cut(LinkGone):
    """The link was cut here, as the test wanted. To the engine it is what any lost link is."""

    def __init__(self, text: str = "the link was cut") -> None:
        super().__init__(text)


class AgentEnd:
    """A device's agent over a store, with its state in a folder; `restart` is a power cut.

    At every other start it is one for a machine with memory: the same log, the same answers.

    max_requests  how many a session may have open; adapt: makes the class of metadata to use out of the usual one
    alternates    False: it is one for a small machine at every start; always_host: one for a machine with memory
    """

    max_requests = MAX_REQUESTS
    alternates = True
    always_host = False

    def __init__(self, number: int, store: ObjectStore, folder: Path, batch_items: int) -> None:
        self.number, self.store, self.folder, self.batch_items = number, store, folder, batch_items
        self.keys: dict[bytes, bytes] = {}
        self.stale: dict[bool, bytes] = {}  # by direction: what the last session left on its line
        self._host = number % 2 == 0
        self.adapt: Callable[[type[LogMetadata]], type[LogMetadata]] = lambda kind: kind
        self._start()

    def _limits(self) -> Limits:
        return Limits(MAX_MESSAGE, self.max_requests, self.batch_items, BATCH_BYTES, MAX_MESSAGE, JOINED, REPLICAS)

    def visit(self, desktop_id: bytes) -> None:
        """A desktop comes to it."""

    def _start(self) -> None:
        self._host = self.always_host or (self.alternates and not self._host)
        kind = self.adapt(HostMetadata if self._host else LogMetadata)
        self.agent = Agent(
            str(self.folder),
            [self.store],
            f"R{self.number + 1}",
            self._limits(),
            hardware=b"machine %d" % self.number,
            log=kind,
        )
        if self._host:
            self.agent.handlers[c.APPLY] = host_apply.apply

    def restart(self) -> None:
        """What a power cut leaves of the agent starts again."""
        self.agent.close()
        self.reopen()

    def reopen(self) -> None:
        """Start on what lies in the state folder."""
        self._start()

    def state_bytes(self) -> dict[str, bytes]:
        """Every file of the agent's state."""
        return {path.name: path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file()}


class CutLink:
    """The desktop's end of a link that is cut exactly when so many bytes have crossed it, both directions counted."""

    reliable, cable, rate = True, True, 0

    def __init__(self, link: Link) -> None:
        self._link, self.left = link, UNCUT
        self.name, self.binding = link.name, link.binding
        self.sent = self.received = 0

    def _pass(self, wanted: int) -> int:
        if not self.left:
            self._link.close()
            raise Cut
        return min(wanted, self.left)

    def read_into(self, view: "memoryview | bytearray", timeout: float = 0.0) -> int:
        count = self._link.read_into(memoryview(view)[: self._pass(len(view))], timeout)
        self.left -= count
        self.received += count
        return count

    def read(self, size: int, timeout: float = 0.0) -> bytes:
        data = self._link.read(self._pass(size), timeout)
        self.left -= len(data)
        self.received += len(data)
        return data

    def write_some(self, chunks: "Sequence[bytes | bytearray | memoryview]") -> int:
        data = b"".join(chunks)
        count = self._link.write_some([data[: self._pass(len(data))]]) if data else 0
        self.left -= count
        self.sent += count
        return count

    def wait(self, read: bool, write: bool, timeout: "float | None") -> "tuple[bool, bool]":
        return self._link.wait(read, write, timeout)

    def fileno(self) -> int:
        return self._link.fileno()

    def close(self) -> None:
        self._link.close()

    def __enter__(self) -> "CutLink":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Meeting:
    """What a pump whose other end is an agent in the same thread begins with."""

    session: DesktopSession
    _dead = False
    if TYPE_CHECKING:
        link: Link
        service: Service

        def step(self, timeout: "float | None" = None) -> bool:
            """Of the pump."""

    def meet(self, desktop_number: int, end: AgentEnd) -> None:
        """Who is at both ends. `contents` is the session."""
        self._me = Identity(b"desktop %8d" % desktop_number, f"D{desktop_number + 1}")
        self.contents = WitnessSession(self._me, bytes([desktop_number]) * 16, MAX_MESSAGE)
        self.end = end
        end.visit(self._me.id)

    def work(self) -> bool:
        """Let the agent work. Cut: its machine is dead."""
        try:
            return self.service.poll()
        except Dead:
            self._dead = True
            raise Cut("the device died") from None

    def hang_up(self) -> None:
        """Hang up, and let the agent notice, if it lives."""
        self.link.close()
        try:
            while not self._dead and not self.service.closed:
                self.work()
        except (LinkLost, Cut):
            pass

    def handshake(self, kind: "type[Connection]" = Connection) -> Connection:
        """Pair at the first meeting, then prove. Returns the open connection."""
        key = self.end.keys.get(self._me.id)
        event = self._event()
        assert event[0] == GREETED, event
        if key is None:
            self.session.pair_by_cable(bytes(self._me.id) + bytes(16))
            event = self._event()
            assert event[0] == PAIRED, event
            key = self.end.keys[self._me.id] = bytes(event[2])
        self.session.prove(key)
        event = self._event()
        assert event[0] == READY, event
        return kind(self, event[1])  # type: ignore[arg-type]

    def _event(self) -> "tuple[Any, ...]":
        while (event := self.session.next_event()) is None:
            self.step(None)
        return event


class PairPump(Meeting, StreamPump):
    """A pump whose other end is an agent in the same thread. `cut_after(n)`: the link is cut n bytes from now."""

    def __init__(self, desktop_number: int, end: AgentEnd) -> None:
        mine, theirs = pair()
        self.meet(desktop_number, end)
        self._ends = CutLink(mine)
        super().__init__(self._ends, self.contents)
        self.service = end.agent.attach(theirs, errors=LinkError)

    def step(self, timeout: "float | None" = None) -> bool:
        moved = bool(self._write())
        while self.work():
            moved = True
        moved = bool(self._read()) or moved
        if not moved and timeout != 0:
            assert not self.service.closed, self.service.reason
            raise AssertionError("both ends wait for each other")
        return moved

    def cut_after(self, count: "int | None") -> None:
        """Cut the link when so many more bytes have crossed it."""
        self._ends.left = UNCUT if count is None else count

    def end_session(self) -> None:
        """Hang up."""
        self.hang_up()


__all__ = ["AgentEnd", "Cut", "PairPump"]
