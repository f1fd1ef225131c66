"""A serial line in virtual time between a desktop's pump and an agent: the real link machines at both ends.

The line flips, loses and doubles bytes, stalls, holds stale bytes of the session before, and is cut; its clock moves
only when nothing else does.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace

from cradle_desktop import line_pump
from cradle_desktop.connection import Connection
from cradle_desktop.line_pump import LinePump
from cradle_device import system
from cradle_hardware.emulated.noise import Line, Noise
from cradle_hardware.link import LinkError, LinkLost
from cradle_testing.clock import FakeClock
from cradle_testing.pair import UNCUT, AgentEnd, Cut, Meeting

PATIENCE = 60  # virtual seconds for a line to come up
BITS = 10  # of a byte on a line
STALE = 300  # bytes of a session that the next one may find on the line
FOREVER_MS = 1 << 29  # no clock of a test gets there


class Wires:
    """What is under way in both directions, and when it arrives. `left`: bytes until the line is cut."""

    def __init__(self, line: Line, clock: FakeClock) -> None:
        self.clock, self.left, self.cut = clock, UNCUT, False
        self._baud = line.baud
        self._noise = {True: Noise(line, "to device"), False: Noise(line, "to desktop")}
        self._queue: dict[bool, deque[tuple[float, bytes]]] = {True: deque(), False: deque()}
        self._free = {True: 0.0, False: 0.0}
        self.last = {True: b"", False: b""}

    def write(self, to_device: bool, data: bytes) -> None:
        """Some bytes begin their way."""
        arrived, stall = self._noise[to_device].apply(data)
        start = max(self._free[to_device], self.clock()) + stall * 1000
        due = self._free[to_device] = start + len(data) * BITS * 1000 / self._baud
        self.last[to_device] = (self.last[to_device] + arrived)[-STALE:]
        self._queue[to_device].append((due, arrived))

    def put(self, to_device: bool, data: bytes) -> None:
        """Bytes that lie there from before."""
        self._queue[to_device].append((0.0, data))

    def read(self, to_device: bool, size: int) -> bytes:
        """What has arrived."""
        out, queue = bytearray(), self._queue[to_device]
        while queue and queue[0][0] <= self.clock() and len(out) < size:
            due, data = queue.popleft()
            out += data[: size - len(out)]
            if size - len(out) == 0 and len(data) > len(out):
                queue.appendleft((due, data[-(len(data) - size) :]))
        return bytes(out)

    def due(self) -> "list[float]":
        """When something arrives at either end."""
        return [queue[0][0] for queue in self._queue.values() if queue]


class _End:
    """One end of the wires, as a link."""

    reliable, cable, rate, binding = False, True, 0, b""
    stalls = True

    def __init__(self, wires: Wires, device: bool) -> None:
        self.wires, self._device, self.name = wires, device, "line"
        self.sent = self.received = 0

    def _live(self, wanted: int) -> int:
        """How many of so many bytes may still pass. Raises where the line is cut."""
        if self.wires.cut:
            raise LinkLost(self.name, "unplugged")
        return min(wanted, self.wires.left)

    def write_some(self, chunks: "Sequence[bytes | bytearray | memoryview]") -> int:
        data = b"".join(chunks)
        data = data[: self._live(len(data))]
        self.wires.left -= len(data)
        self.sent += len(data)
        if data:
            self.wires.write(not self._device, data)
        return len(data)

    def read(self, size: int, timeout: float = 0.0) -> bytes:
        self._live(size)
        data = self.wires.read(self._device, size)
        self.received += len(data)
        return data

    def read_into(self, view: "memoryview | bytearray", timeout: float = 0.0) -> int:
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self.wires.cut = True


class _Near(_End):
    """The desktop's end. While it waits, the device works, and else time goes by."""

    device_polls: "LinePair"

    def _live(self, wanted: int) -> int:
        left = super()._live(wanted)
        if not left:
            self.wires.cut = True
            raise Cut
        return left

    def wait(self, read: bool, write: bool, timeout: "float | None") -> "tuple[bool, bool]":
        service, work, clock = self.device_polls.service, self.device_polls.work, self.wires.clock
        until = FOREVER_MS if timeout is None else clock() + int(timeout * 1000) + 1
        while work():
            pass
        woken = service.wants()[2] if not service.closed else None
        wake = [until, *self.wires.due()] + ([] if woken is None else [clock() + woken])
        clock.advance(max(1, int(min(wake)) + 1 - clock()))
        assert clock() < FOREVER_MS, "both ends wait for each other"
        while work():
            pass
        return True, True

    def fileno(self) -> int:
        return -1

    def __enter__(self) -> "_Near":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def _time_of(clock: FakeClock) -> Iterator[None]:
    """Both link machines go by this clock."""
    ours = {"now_ms": clock, "time": SimpleNamespace(monotonic=lambda: clock() / 1000)}
    before = {name: getattr(line_pump, name) for name in ours}, system.now_ms
    vars(line_pump).update(ours)
    system.now_ms = clock
    try:
        yield
    finally:
        vars(line_pump).update(before[0])
        system.now_ms = before[1]


class LinePair(Meeting, LinePump):
    """A pump on such a line, with the agent at its other end. Ended by `end_session`, whatever happened."""

    def __init__(self, desktop_number: int, end: AgentEnd, line: Line) -> None:
        clock = FakeClock()
        self._time = _time_of(clock)
        self._time.__enter__()
        self._wires = Wires(line, clock)
        for to_device, data in end.stale.items():
            self._wires.put(to_device, data)
        near, far = _Near(self._wires, False), _End(self._wires, True)
        near.device_polls = self
        self.meet(desktop_number, end)
        super().__init__(near, self.contents, lambda text: None)
        self.service = end.agent.attach(far, errors=LinkError)

    def handshake(self, kind: "type[Connection]" = Connection) -> Connection:
        self.connect(PATIENCE)
        return super().handshake(kind)

    def cut_after(self, count: "int | None") -> None:
        """Cut the line when so many more bytes have crossed it."""
        self._wires.left = UNCUT if count is None else count

    def end_session(self) -> None:
        """Hang up, and let the agent notice."""
        self.end.stale = dict(self._wires.last)
        try:
            self.hang_up()
        finally:
            self._time.__exit__(None, None, None)
