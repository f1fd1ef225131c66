"""A conversation over a serial-like link: the link machine between them, and one session after the other.

While a handler works, what arrives stays in the machine's frames; before a write to flash that would make this machine
deaf the line is silenced, if the link says that it `stalls`.
"""

from cradle_device import system
from cradle_device.conversation import FLASH
from cradle_device.runner import STEPS, WAIT_MS, Service
from cradle_protocol.compat import MICROPYTHON, ticks_diff
from cradle_protocol.wire.link import CONNECTED, DATA, LOST, RESET, LinkMachine
from cradle_protocol.wire.parameters import LinkConfig
from cradle_protocol.wire.state import UP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cradle_device.agent import Agent
    from cradle_device.runner import Link
    from cradle_protocol.compat import Bytes

# Frames in flight and their length: 2 KiB fill a line of 115200 baud for 180 ms, and cost a board twice that.
_WINDOW, _INFO, _SEND = (4, 512, 1024) if MICROPYTHON else (64, 2048, 0)
_READ = 512 if MICROPYTHON else 16384


class LineService(Service):
    """A serial-like link: a link machine on it, and one conversation after the other."""

    def __init__(self, agent: "Agent", link: "Link", errors: "Any") -> None:
        super().__init__(agent, link, errors)
        repl = getattr(link, "repl", False)
        self._machine = LinkMachine(False, LinkConfig(_WINDOW, _INFO, send=_SEND, repl=repl))
        self._stalls = getattr(link, "stalls", False)
        self._input = memoryview(bytearray(_READ))
        self._frame: "Bytes" = b""  # being written
        self._rest = self._input[:0]  # of what the machine handed out
        self._connection = 0
        self._flash = False  # the next step writes flash

    def _poll(self, now: int) -> bool:
        machine = self._machine
        due = machine.next_timer()
        if due is not None and ticks_diff(due, now) <= 0:
            machine.handle_timer(now)
        moved = self._read(now)
        if self.talk is not None and (machine.state != UP or machine.connection != self._connection):
            self._hang_up("the connection ended")
        moved = self._take(now) or moved
        moved = self._work(now) or moved
        moved = self._write(now) or moved
        if not moved and self.talk is not None and self._patience(now) <= 0:
            machine.disconnect(now)
            self._hang_up("the other end said nothing for too long")
            moved = True
        return moved

    def _hang_up(self, reason: str) -> None:
        super()._hang_up(reason)
        self._rest = self._input[:0]
        self._flash = False

    # -- in

    def _read(self, now: int) -> bool:
        """Bytes of the line go into the machine; data stay in its frames until the conversation wants them."""
        machine = self._machine
        machine.absorb()
        count = self.link.read_into(self._input)
        if not count:
            return False
        self._heard = now
        machine.receive_data(self._input[:count], now)
        machine.absorb()
        return True

    def _take(self, now: int) -> bool:
        """Give the conversation what the machine has for it."""
        talk = self.talk
        if len(self._rest):
            return self._feed()
        if talk is not None and not talk.hungry():
            return False
        event = self._machine.next_event()
        if event is None:
            return False
        name, what = event
        if name == CONNECTED:
            self._hang_up("the desktop began anew")
            self._connection = self._machine.connection
            self._greet()
        elif name == DATA:
            self._rest = what
            self._feed()
        elif name in (LOST, RESET):
            self._hang_up(what or "the desktop began anew")
        return True

    def _feed(self) -> bool:
        talk = self.talk
        if talk is None:
            self._rest = self._rest[:0]
            return True
        if not talk.hungry():
            return False
        space = talk.session.receive_buffer()
        count = min(len(space), len(self._rest))
        space[:count] = self._rest[:count]
        talk.session.received(count)
        self._rest = self._rest[count:]
        return True

    # -- work

    def _work(self, now: int) -> bool:
        talk = self.talk
        if talk is None:
            return False
        self._collect(talk)
        if self._flash and not self._machine.drained():
            return False
        steps = 0
        while not self._out and steps < STEPS:
            result = talk.step()
            if result < 0:
                break
            steps += 1
            self._collect(talk)
            if self._stalls and (result == FLASH) != self._flash:
                self._flash = result == FLASH
                self._machine.set_busy(self._flash, now)
                break
        if not steps and not self._out and not len(self._rest) and talk.idle():
            steps = 1
        self._collect(talk)
        if not steps and not self._out and talk.over() and self._machine.sent():
            self._machine.disconnect(now)
            self._hang_up(talk.reason or "the session ended")
        return steps > 0

    # -- out

    def _write(self, now: int) -> bool:
        machine = self._machine
        moved = False
        while self._out:
            taken = machine.send(self._out[0])
            if not taken:
                break
            self._drop(taken)
            moved = True
        while True:
            if not len(self._frame):
                self._frame = machine.data_to_send(now)
                if not len(self._frame):
                    return moved
            taken = self.link.write_some([self._frame])
            if not taken:
                return moved
            self._frame = memoryview(self._frame)[taken:]
            moved = True

    def wants(self) -> "tuple[bool, bool, int | None]":
        due = self._machine.next_timer()
        now = system.now_ms()
        waits = [] if due is None else [ticks_diff(due, now)]
        talk = self.talk
        if talk is not None:
            waits.append(WAIT_MS if talk.waiting else self._patience(now))
            if not talk.waiting and not self._out and not talk.hungry() and not self._flash:
                waits.append(0)
        return True, len(self._frame) > 0, max(0, min(waits)) if waits else None
