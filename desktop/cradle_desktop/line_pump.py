"""The pump for serial lines: a link machine between session and link repeats what was lost and keeps text apart.

Knows no message and no frame. `pump` has what it shares with the one for reliable links.
"""

import os
import time
from collections.abc import Callable

from cradle_desktop.errors import LinkGone
from cradle_desktop.pump import Pump
from cradle_protocol.compat import ticks_diff
from cradle_protocol.wire.link import CONNECTED, CONSOLE, DATA, LOST
from cradle_protocol.wire.link_desktop import DesktopLink
from cradle_protocol.wire.parameters import LinkConfig
from cradle_protocol.wire.state import DOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.capture import Capture
    from cradle_desktop.pump import Chunk
    from cradle_hardware.link import Link
    from cradle_protocol.wire.desktop_session import DesktopSession

# Bytes of one read from a serial line: at 12 Mbaud the line brings no more in 10 ms.
LINE_READ = 16384
# A device that works in silence is polled this often: its link machine answers between two pieces of its work.
IDLE_MS = 2000
# Bytes for sending that the machine holds on a slow line: half a second's worth, but never less than a few frames. What
# it holds has left the session, so this is how far ahead of the line a progress display is.
HELD_LEAST = 8192
# Seconds of frames that may wait in the driver. A repetition goes behind them, so they are few; a loaded machine must
# come back within this time, or the line falls silent.
QUEUE = 0.08


class LineLost(LinkGone):
    """The link machine gave up, or was told to. `reason` is a clause."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the line to the device was lost ({reason}); look at the cable, then run the command again")
        self.reason = reason


class LinePump(Pump):
    """Waits for the link and for the machine's next timer, whichever comes first."""

    def __init__(
        self,
        link: "Link",
        session: "DesktopSession",
        console: "Callable[[bytes], None]",
        capture: "Capture | None" = None,
    ) -> None:
        super().__init__(link, session, capture)
        held = max(HELD_LEAST, link.rate // 2) if link.rate else 0
        self.machine = DesktopLink(LinkConfig(send=held, tag=os.urandom(1)[0], idle_ms=IDLE_MS))
        self.connected = False
        self._console = console
        self._rate, self._queued, self._looked = link.rate, 0.0, time.monotonic()
        self._messages: list[Chunk] = []  # what the machine has no room for yet
        self._waiting = 0

    def waiting(self) -> int:
        return self._waiting

    def flush(self) -> None:
        self._write()

    def step(self, timeout: "float | None" = None) -> bool:
        if self._events() or self._write() | self._read():
            return True
        if timeout != 0:
            self._wait(timeout)
        self._timer()
        return self._read() | self._write()

    def _wait(self, timeout: "float | None") -> None:
        """Wait for the link or for the machine's timer, whichever comes first."""
        due = self.machine.next_timer()
        if due is not None:
            left = max(0, ticks_diff(due, now_ms())) / 1000
            timeout = left if timeout is None else min(timeout, left)
        ahead = self._ahead()
        if ahead:
            timeout = ahead if timeout is None else min(timeout, ahead)
        self.link.wait(True, self._out.size > 0 and not ahead, timeout)

    def _timer(self) -> None:
        due = self.machine.next_timer()
        if due is not None and ticks_diff(due, now_ms()) <= 0:
            self.machine.handle_timer(now_ms())

    def _write(self) -> bool:
        """Fill the machine from the session, and the link from the machine."""
        self._take()
        moved = False
        while self._messages and self.machine.room():
            count = self.machine.send(self._messages[0])
            if not count:
                break
            self._sent(count)
            moved = True
        return self._push() or moved

    def _take(self) -> None:
        if self.session.pending_out():
            for chunk in self.session.data_to_send():
                if len(chunk):
                    self._messages.append(chunk)
                    self._waiting += len(chunk)

    def _sent(self, count: int) -> None:
        self._waiting -= count
        first = self._messages[0]
        if count == len(first):
            del self._messages[0]
        else:
            self._messages[0] = memoryview(first)[count:]

    def _push(self) -> bool:
        """Hand frames to the link, but hold them back while enough of them wait in its driver."""
        moved = False
        while not self._ahead():
            if not self._out.size:
                data = self.machine.data_to_send(now_ms())
                if not data:
                    return moved
                if self.capture is not None:
                    self.capture.sent(data)
                self._out.add([bytes(data)])
            count = self._out.send(self.link)
            self._queued += count
            if not count:
                return moved
            moved = True
        return moved

    def _ahead(self) -> float:
        """Seconds until the next frame should be handed over: what lies in the driver cannot be overtaken."""
        if not self._rate:
            return 0.0
        now = time.monotonic()
        self._queued = max(0.0, self._queued - (now - self._looked) * self._rate)
        self._looked = now
        return max(0.0, self._queued / self._rate - QUEUE)

    def _read(self) -> bool:
        data = self._hear()
        return self._events() or data

    def _hear(self) -> bool:
        """Give the machine what the line has brought. It must have no event left."""
        data = self.link.read(LINE_READ)
        if not data:
            return False
        if self.capture is not None:
            self.capture.received(data)
        self.machine.receive_data(data, now_ms())
        return True

    def _events(self) -> bool:
        """Take the machine's events up to the first one that gives the session bytes. Did one?"""
        while (event := self.machine.next_event()) is not None:
            name, value = event
            if name == DATA:
                self.session.receive_data(bytes(value))  # it must outlive the machine's next call
                return True
            if name == CONSOLE:
                self._console(bytes(value))
            elif name == CONNECTED:
                self.connected = True
            elif name == LOST:
                raise LineLost(str(value))
        return False

    def connect(self, seconds: float) -> None:
        """Open the line: ask until the device answers. Raises LineLost."""
        until = time.monotonic() + seconds
        self.machine.connect(now_ms())
        while not self.connected:
            if time.monotonic() >= until:
                raise LineLost("no answer in time")
            self.step(until - time.monotonic())

    def finish(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self._turn_while(lambda: not self.machine.sent(), until)
        self.machine.disconnect(now_ms())
        self._turn_while(lambda: self.machine.state != DOWN or self._out.size > 0, until)

    def _turn_while(self, busy: "Callable[[], bool]", until: float) -> None:
        """Move bytes without a session."""
        while busy() and time.monotonic() < until:
            self._push()
            self._wait(until - time.monotonic())
            self._timer()
            while self.machine.next_event() is not None:
                pass  # nobody listens any more
            self._hear()


def now_ms() -> int:
    """Milliseconds that only go forward."""
    return int(time.monotonic() * 1000)
