"""Moves bytes between a session and a link, both ways at once, and waits when neither moves. Knows no message.

`StreamPump` for links that deliver every byte in order, `LinePump` for serial lines, where a `LinkMachine` makes such a
stream. No thread and no busy loop: a pump waits in `poll`, for the link and for the machine's next timer.
"""

import select
import time
from collections.abc import Callable

from cradle_protocol.wire.link import CONNECTED, CONSOLE, DATA, LOST, RESET

from cradle_desktop.errors import LinkGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_hardware.link import Link
    from cradle_protocol.wire.link import LinkMachine
    from cradle_protocol.wire.session import Session

    Chunk = bytes | bytearray | memoryview

# Bytes of one read from a serial line: at 12 Mbaud the line brings no more in 10 ms.
LINE_READ = 16384

# A link without a file descriptor is looked at this often while a pump waits.
BLIND_POLL = 0.01

# Between two looks at a serial line that still has octets to take. POLLOUT of a tty means little (it is set while one
# octet fits), and this is shorter than a frame takes at any speed we see.
GONE = "the link to the device broke; reconnect it and run the command again, it goes on where it was cut"


class Capture:
    """Hears every byte of a conversation, for `cradle trace`. This one is deaf."""

    def sent(self, data: "Chunk") -> None:
        """These bytes left the desktop, above the framing of a serial line."""

    def received(self, data: "Chunk") -> None:
        """These bytes came from the device, above the framing of a serial line."""


class Pump:
    """What both pumps share: the queue of what waits to go out, and the counts."""

    def __init__(self, link: "Link", session: "Session", capture: "Capture | None" = None) -> None:
        self.link, self.session, self.capture = link, session, capture
        self.bytes_sent = self.bytes_received = 0
        self._out: list[Chunk] = []
        self._waiting = 0

    def waiting(self) -> int:
        """Bytes of messages that the link has not taken yet."""
        return self._waiting

    def step(self, timeout: "float | None" = None) -> bool:
        """Move what moves. If nothing does, wait for up to `timeout` seconds (None: for ever). Did anything move?

        Raises LinkGone.
        """
        raise NotImplementedError

    def own(self) -> None:
        """Copy what still waits to go out, so that its owner may use the buffers again."""
        self._out = [chunk if isinstance(chunk, bytes) else bytes(chunk) for chunk in self._out]

    def finish(self, seconds: float) -> None:
        """Say goodbye to the other end, for as long as that takes but no longer than `seconds`. Does not raise."""

    def _collect(self) -> None:
        """Take what the session has to send."""
        if not self.session.pending_out():
            return
        chunks = self.session.data_to_send()
        if self.capture is not None:
            for chunk in chunks:
                self.capture.sent(chunk)
        self._out += chunks
        self._waiting += sum(map(len, chunks))

    def _taken(self, count: int) -> None:
        """Drop the first `count` bytes of what waits."""
        self._waiting -= count
        if not self._waiting:
            self._out = []
            return
        done = 0
        while count >= len(self._out[done]):
            count -= len(self._out[done])
            done += 1
        del self._out[:done]
        if count:
            self._out[0] = memoryview(self._out[0])[count:]


class StreamPump(Pump):
    """For TCP, TLS, USB bulk and memory: straight from and into the session's own buffers."""

    def __init__(self, link: "Link", session: "Session", capture: "Capture | None" = None) -> None:
        super().__init__(link, session, capture)
        self._poll = select.poll()
        self._number = link.fileno()

    def step(self, timeout: "float | None" = None) -> bool:
        if self._write() | self._read():
            return True
        events = select.POLLIN | (select.POLLOUT if self._waiting else 0)
        self._poll.register(self._number, events)
        if not self._poll.poll(None if timeout is None else max(0, timeout) * 1000):
            return False
        return self._write() | self._read()

    def _write(self) -> bool:
        self._collect()
        if not self._waiting:
            return False
        count = self.link.write_some(self._out)
        self.bytes_sent += count
        self._taken(count)
        return count > 0

    def _read(self) -> bool:
        view = self.session.receive_buffer()
        count = self.link.read_into(view, 0)
        if not count:
            return False
        self.bytes_received += count
        if self.capture is not None:
            self.capture.received(view[:count])
        self.session.received(count)
        return True

    def finish(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self._collect()
        while self._waiting and time.monotonic() < until:
            self._poll.register(self._number, select.POLLOUT)
            self._poll.poll(seconds * 1000)
            self._write()


class LinePump(Pump):
    """For serial lines: a link machine in between repeats what was lost and tells console text from frames."""

    def __init__(
        self,
        link: "Link",
        session: "Session",
        machine: "LinkMachine",
        console: "Callable[[bytes], None]",
        capture: "Capture | None" = None,
    ) -> None:
        super().__init__(link, session, capture)
        self.machine, self.connected = machine, False
        self._console = console
        self._raw: memoryview | None = None
        self._poll = select.poll()
        self._number = link.fileno()

    def step(self, timeout: "float | None" = None) -> bool:
        if self._write() | self._read():
            return True
        self._wait(timeout)
        return self._read() | self._write()

    def _wait(self, timeout: "float | None") -> None:
        """Wait for the link or for the machine's timer, whichever comes first."""
        due = self.machine.next_timer()
        wait = None if timeout is None else max(0.0, timeout) * 1000
        if due is not None:
            left = max(0, due - now_ms())
            wait = left if wait is None else min(wait, left)
        self._poll.register(self._number, select.POLLIN | (select.POLLOUT if self._raw else 0))
        self._poll.poll(wait)
        due = self.machine.next_timer()
        if due is not None and due <= now_ms():
            self.machine.handle_timer(now_ms())

    def _write(self) -> bool:
        self._collect()
        moved = False
        while self._out and self.machine.room():
            count = self.machine.send(self._out[0])
            if not count:
                break
            self._taken(count)
            moved = True
        return self._push() or moved

    def _push(self) -> bool:
        """Hand frames to the link until it takes no more."""
        moved = False
        while True:
            if self._raw is None:
                data = self.machine.data_to_send(now_ms())
                if not data:
                    return moved
                self._raw = memoryview(data)
            count = self.link.write_some([self._raw])
            self.bytes_sent += count
            moved = moved or count > 0
            if count < len(self._raw):
                self._raw = self._raw[count:]
                return moved
            self._raw = None

    def _read(self) -> bool:
        data = self.link.read(LINE_READ, 0)
        if data:
            self.bytes_received += len(data)
            self.machine.receive_data(data, now_ms())
        self._events()
        return bool(data)

    def _events(self) -> None:
        while (event := self.machine.next_event()) is not None:
            name, value = event
            if name == DATA:
                if self.capture is not None:
                    self.capture.received(value)
                self.session.receive_data(value)
            elif name == CONSOLE:
                self._console(value)
            elif name == CONNECTED:
                self.connected = True
            elif name == RESET:
                raise LinkGone("the device started a new connection in the middle of this one; run the command again")
            elif name == LOST:
                raise LinkGone(f"{GONE} ({value})")

    def finish(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self.machine.disconnect(now_ms())
        try:
            while (not self.machine.drained() or self._raw) and time.monotonic() < until:
                self._push()
                self._wait(until - time.monotonic())
                self._read()
        except LinkGone:
            return


def now_ms() -> int:
    """Milliseconds that only go forward."""
    return int(time.monotonic() * 1000)
