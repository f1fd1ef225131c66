"""Between a link and a conversation: moves bytes in small steps and never waits. Decides nothing about a sync.

A link has `reliable`, `cable`, `name`, `binding`, `read_into(view)` (0: nothing yet), `write_some(pieces)` (bytes
taken) and `close()`; `repl` and `stalls` are optional: the port is also a console; flash writes stop its interrupts.
"""

from cradle_device import system
from cradle_device.conversation import FLASH, Conversation
from cradle_protocol.compat import MICROPYTHON, ticks_diff
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from cradle_device.agent import Agent
    from cradle_protocol.compat import Bytes
    from cradle_protocol.wire.link import LinkMachine

    class Link(Protocol):
        """A connected link; `cradle_hardware.link.Link` fits."""

        reliable: bool
        cable: bool
        name: str
        binding: bytes

        def read_into(self, view: memoryview) -> int: ...
        def write_some(self, chunks: "list[Bytes]") -> int: ...
        def close(self) -> None: ...

    class Listener(Protocol):
        """Where links come from."""

        def accept(self, timeout: float) -> "Link | None": ...
        def close(self) -> None: ...


# Steps of a conversation in one poll: one on a board, where each may write flash.
_STEPS = 1 if MICROPYTHON else 32
# A stranger who says nothing does not keep a place for ever.
_HANDSHAKE_MS = 30000
# Nor does a desktop that vanished without a word; one that works long at its own end asks for a sign of life.
_IDLE_MS = 900000
# Serial lines: frames in flight and their length. 8 KiB in flight fill a line of 921600 baud for 90 ms.
_WINDOW, _INFO = (8, 1024) if MICROPYTHON else (64, 2048)
_READ = 512 if MICROPYTHON else 16384


class Service:
    """One link being served. `talk` is its conversation, None while there is none."""

    def __init__(self, agent: "Agent", link: "Link", errors: "Any") -> None:
        self._agent, self.link, self._errors = agent, link, errors
        self.talk: "Conversation | None" = None
        self.closed = False
        self.reason = ""
        self._out: list[Bytes] = []
        self._heard = system.now_ms()

    def poll(self) -> bool:
        """A bounded piece of work. True: there may be more to do at once."""
        if self.closed:
            return False
        try:
            return self._poll(system.now_ms())
        except self._errors as error:
            self.close(str(error) or "the link ended")
            return False

    def wants(self) -> "tuple[bool, bool, int | None]":
        """What to wait for when `poll` has nothing more to do: (readable, writable, milliseconds or None)."""
        raise NotImplementedError

    def close(self, reason: str) -> None:
        """End the conversation and close the link."""
        if self.closed:
            return
        self.closed = True
        self.reason = reason
        self._hang_up(reason)
        try:
            self.link.close()
        except self._errors:
            pass

    def _poll(self, now: int) -> bool:
        raise NotImplementedError

    def _greet(self) -> "Conversation":
        """A new conversation for this link."""
        flags = (c.CABLE if self.link.cable else 0) | (c.REPL if getattr(self.link, "repl", False) else 0)
        self._out = []
        self.talk = Conversation(self._agent, flags, self.link.binding)
        return self.talk

    def _hang_up(self, reason: str) -> None:
        talk, self.talk = self.talk, None
        self._out = []
        if talk is not None:
            talk.close(reason)
            if talk.session.peer is not None:
                self._agent.tell("closed", talk.peer_name(), talk.reason)

    def _collect(self, talk: "Conversation") -> None:
        if talk.session.pending_out():
            self._out.extend(talk.session.data_to_send())

    def _drop(self, count: int) -> None:
        """The first bytes of the output were taken."""
        out = self._out
        taken = 0
        while taken < len(out) and count >= len(out[taken]):
            count -= len(out[taken])
            taken += 1
        self._out = out = out[taken:]
        if count:
            out[0] = memoryview(out[0])[count:]

    def _too_quiet(self, now: int) -> bool:
        limit = _IDLE_MS if self.talk is not None and self.talk.is_open() else _HANDSHAKE_MS
        return ticks_diff(now, self._heard) > limit


class StreamService(Service):
    """A link that is a reliable stream: one conversation, and the link ends with it."""

    def __init__(self, agent: "Agent", link: "Link", errors: "Any") -> None:
        super().__init__(agent, link, errors)
        self._greet()

    def _poll(self, now: int) -> bool:
        talk = self.talk
        if talk is None:
            return False
        self._collect(talk)
        moved = self._write()
        steps = 0
        while not self._out and steps < _STEPS and talk.step() >= 0:
            steps += 1
            self._collect(talk)
        self._collect(talk)
        if (self._out and self._write()) or steps:
            return True
        if not self._out and talk.over():
            self.close(talk.reason or "the session ended")
        elif not self._out and talk.hungry():
            count = self.link.read_into(talk.session.receive_buffer())
            if count:
                talk.session.received(count)
                self._heard = now
                return True
        if not moved and self._too_quiet(now):
            self.close("the other end said nothing for too long")
        return moved

    def _write(self) -> bool:
        if not self._out:
            return False
        taken = self.link.write_some(self._out)
        self._drop(taken)
        return taken > 0

    def wants(self) -> "tuple[bool, bool, int | None]":
        talk = self.talk
        if talk is None:
            return False, False, 0
        writing = bool(self._out)
        left = _IDLE_MS if talk.is_open() else _HANDSHAKE_MS
        left -= ticks_diff(system.now_ms(), self._heard)
        return not writing and talk.hungry(), writing, 0 if not writing and not talk.hungry() else max(0, left)


class LineService(Service):
    """A serial-like link: a link machine on it, and one conversation after the other."""

    def __init__(self, agent: "Agent", link: "Link", errors: "Any") -> None:
        super().__init__(agent, link, errors)
        from cradle_protocol.wire import link as machine
        from cradle_protocol.wire.parameters import LinkConfig

        repl = getattr(link, "repl", False)
        self._names = machine
        self._machine: LinkMachine = machine.LinkMachine(False, LinkConfig(_WINDOW, _INFO, repl=repl))
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
        if self.talk is not None and (machine.state != state.UP or _number(machine) != self._connection):
            self._hang_up("the connection ended")
            self._rest = self._input[:0]
        moved = self._take(now) or moved
        moved = self._work(now) or moved
        return self._write(now) or moved

    # -- in

    def _read(self, now: int) -> bool:
        """Bytes of the line go into the machine; data stay in its frames until the conversation wants them."""
        machine = self._machine
        machine.absorb()
        count = self.link.read_into(self._input)
        if not count:
            return False
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
        if name == self._names.CONNECTED:
            self._hang_up("the desktop began anew")
            self._connection = _number(self._machine)
            self._greet()
        elif name == self._names.DATA:
            self._rest = what
            self._feed()
        elif name in (self._names.LOST, self._names.RESET):
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
        while not self._out and steps < _STEPS:
            result = talk.step()
            if result < 0:
                break
            steps += 1
            self._collect(talk)
            if self._stalls and (result == FLASH) != self._flash:
                self._flash = result == FLASH
                self._machine.set_busy(self._flash, now)
                break
        self._collect(talk)
        if not steps and not self._out and talk.over():
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
        wait = None if due is None else max(0, ticks_diff(due, system.now_ms()))
        talk = self.talk
        if talk is not None and not self._out and not talk.hungry() and not self._flash:
            wait = 0
        return True, len(self._frame) > 0, wait


def _number(machine: "LinkMachine") -> int:
    """Tells one connection of a link from the next."""
    return int(getattr(machine, "connection", 0))
