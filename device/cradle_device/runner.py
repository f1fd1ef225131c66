"""Between a link and a conversation: moves bytes in small steps and never waits. Decides nothing about a sync.

A link has `reliable`, `cable`, `name`, `binding`, `read_into(view)` (0: nothing yet), `write_some(pieces)` (bytes
taken) and `close()`; `repl` and `stalls` are optional: the port is also a console; flash writes stop its interrupts.
"""

from cradle_device import system
from cradle_device.conversation import Conversation
from cradle_protocol.compat import MICROPYTHON, ticks_diff
from cradle_protocol.wire import constants as c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from cradle_device.agent import Agent
    from cradle_protocol.compat import Bytes

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
STEPS = 1 if MICROPYTHON else 32
# How soon a session looks again whether another one is done with an object type.
WAIT_MS = 50
# A stranger has so long to prove a key, whatever he says meanwhile: he does not keep a place for ever.
_HANDSHAKE_MS = 30000
# Nor does a desktop that vanished without a word; one that works long at its own end asks for a sign of life.
_IDLE_MS = 900000
# A desktop that waits for an answer hears that often that we are at work on it.
_SIGN_MS = 30000


class Service:
    """One link being served. `talk` is its conversation, None while there is none."""

    def __init__(self, agent: "Agent", link: "Link", errors: "Any") -> None:
        self._agent, self.link, self._errors = agent, link, errors
        self.talk: "Conversation | None" = None
        self.closed = False
        self.reason = ""
        self._out: list[Bytes] = []
        self._begun = self._heard = self._signed = system.now_ms()

    def poll(self) -> bool:
        """A bounded piece of work. True: there may be more to do at once."""
        if self.closed:
            return False
        now = system.now_ms()
        talk = self.talk
        if talk is None or not talk.at_work():
            self._signed = now
        elif ticks_diff(now, self._signed) >= _SIGN_MS:
            self._signed = now
            talk.session.alive()
        try:
            return self._poll(now)
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
        self._begun = self._heard = system.now_ms()
        self.talk = Conversation(self._agent, flags, self.link.binding)
        return self.talk

    def _hang_up(self, reason: str) -> None:
        talk, self.talk = self.talk, None
        self._out = []
        if talk is not None:
            talk.close(reason)
            if talk.session.peer is not None:
                self._agent.tell("closed", talk.peer_name(), talk.reason)

    def _patience(self, now: int) -> int:
        """Milliseconds for which the other end may still say nothing, or has left to prove itself."""
        talk = self.talk
        if talk is not None and talk.is_open():
            return _IDLE_MS - ticks_diff(now, self._heard)
        since = self._heard if talk is None or talk.over() else self._begun
        return _HANDSHAKE_MS - ticks_diff(now, since)

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
