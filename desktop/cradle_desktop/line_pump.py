"""The pump for serial lines: a link machine between session and link repeats what was lost and keeps text apart.

Knows no message and no frame. `pump` has what it shares with the one for reliable links.
"""

import time
from collections.abc import Callable

from cradle_desktop.errors import LinkGone
from cradle_desktop.pump import Pump
from cradle_protocol.compat import ticks_diff
from cradle_protocol.wire.link import CONNECTED, CONSOLE, DATA, LOST, RESET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.pump import Capture, Chunk
    from cradle_hardware.link import Link
    from cradle_protocol.wire.link import LinkMachine
    from cradle_protocol.wire.session import Session

# Bytes of one read from a serial line: at 12 Mbaud the line brings no more in 10 ms.
LINE_READ = 16384


class LinePump(Pump):
    """Waits for the link and for the machine's next timer, whichever comes first."""

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
        self.link.wait(True, self._out.size > 0, timeout)

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
                if self.capture is not None:
                    self.capture.sent(chunk)
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
        """Hand frames to the link until it takes no more."""
        moved = False
        while not self._out.size or self._out.send(self.link):
            if self._out.size:
                continue
            data = self.machine.data_to_send(now_ms())
            if not data:
                return moved
            self._out.add([bytes(data)])
            moved = True
        return moved

    def _read(self) -> bool:
        data = self.link.read(LINE_READ)
        if data:
            self.machine.receive_data(data, now_ms())
        return self._events() or bool(data)

    def _events(self) -> bool:
        """Take the machine's events up to the first one that gives the session bytes. Did one?"""
        while (event := self.machine.next_event()) is not None:
            name, value = event
            if name == DATA:
                data = bytes(value)  # it must outlive the machine's next call
                if self.capture is not None:
                    self.capture.received(data)
                self.session.receive_data(data)
                return True
            if name == CONSOLE:
                self._console(bytes(value))
            elif name == CONNECTED:
                self.connected = True
            elif name == RESET:
                raise LinkGone("the device began anew in the middle of this conversation; run the command again")
            elif name == LOST:
                raise LinkGone(f"the device stopped answering ({value}); check the cable, then run the command again")
        return False

    def finish(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self.machine.disconnect(now_ms())
        while (self._push() or self._out.size or not self.machine.drained()) and time.monotonic() < until:
            self._wait(until - time.monotonic())
            self._timer()
            data = self.link.read(LINE_READ)
            if data:
                self.machine.receive_data(data, now_ms())
            while self.machine.next_event() is not None:
                pass


def now_ms() -> int:
    """Milliseconds that only go forward."""
    return int(time.monotonic() * 1000)
