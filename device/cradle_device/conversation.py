"""One desktop's session with this agent: takes its messages, lets handlers answer them. Moves no bytes, knows no link.

Requests are answered strictly in order. A handler is a generator: it replies in parts and yields between them, and
goes on only when all of its output has been written, so that no more than one message ever waits. The next message is
taken when the handler is done; meanwhile what arrives stays in the link. Nothing is queued here.

What a handler yields: WORK (call again), FLASH (a flash write follows, which may stop this machine's interrupts), WAIT
(another session has what it needs: call again a little later). Work in slices (`sync.slices`) yields None; it may write
flash, so that counts as FLASH.
"""

from cradle_device import pairing
from cradle_protocol.compat import const
from cradle_protocol.errors import (
    BAD_MESSAGE,
    BUSY,
    LIMIT,
    NO_ROOM,
    NOT_ALLOWED,
    UNKNOWN_KIND,
    WRITE_FAILED,
    ProtocolError,
    RemoteError,
)
from cradle_protocol.provider.store import StoreError
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import events
from cradle_protocol.wire.device_session import DeviceSession
from cradle_protocol.wire.handshake import CLOSED, OPEN
from cradle_protocol.wire.messages.notice import NoticeChanged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from cradle_device.agent import Agent
    from cradle_device.apply import Batch
    from cradle_device.pairing import Code
    from cradle_device.sync_handlers import Channel

    Event = tuple[Any, ...]
    Steps = Generator[int | None, None, None]
    Handler = Callable[["Conversation", int, memoryview, bool], Steps]

WORK = const(0)
FLASH = const(1)
WAIT = const(2)

# Object types open at once in one session; a channel is one byte, and each may hold an overlay.
MAX_CHANNELS = 4
_ENOSPC = const(28)


class Conversation:
    """A session and what is open in it.

    flags    CABLE and REPL as they hold for the link
    binding  SHA-256 of our TLS certificate, b"" without TLS
    """

    def __init__(self, agent: "Agent", flags: int = 0, binding: bytes = b"") -> None:
        self.agent = agent
        self.flags = flags
        self.session = DeviceSession(agent.identity, agent.nonce(), agent.limits.max_message, binding)
        self.channels: dict[int, Channel] = {}
        self.passing: "Channel | None" = None  # of the last PASS: where APPLY belongs
        self.batch: "Batch | None" = None
        self.reason = ""
        self.changed: set[str] = set()  # types of which the desktop is still to be told
        self._joined = bytearray()
        self.waiting = False  # for another session
        self.code: "Code | None" = None  # that this desktop was asked to pair by
        self._steps: "Steps | None" = None
        self._request = 0
        self._buffer = bytearray(0)

    # -- driving

    def hungry(self) -> bool:
        """May bytes be given to the session now? Not while a handler works on those that came before."""
        return self._steps is None and not self.over()

    def over(self) -> bool:
        """Is the session at its end? What it still has to say may be written, then the link closes."""
        return self.session.state == CLOSED or bool(self.reason and self._steps is None)

    def at_work(self) -> bool:
        """Is a handler at work, or does one wait for another session? What arrives meanwhile nobody reads."""
        return self._steps is not None and self.is_open()

    def step(self) -> int:
        """One bounded piece of work, to be called when all output is written. -1: nothing to do, WORK, or FLASH."""
        try:
            if self._steps is not None:
                turn = next(self._steps)
                if turn is None:
                    turn = FLASH
                self.waiting = turn == WAIT
                return -1 if self.waiting else turn
            event = None if self.over() else self._next_event()
            if event is None:
                return -1
            self._take(event)
        except StopIteration:
            self._steps = None
        except ProtocolError as error:
            self._fail(error.code, error.text)
        except StoreError as error:
            self._fail(error.status, error.text)
        except MemoryError:
            self._fail(LIMIT, "this device has not enough memory for that")
        except OSError as error:
            for replica in self.agent.replicas.values():
                if replica.holder is self:
                    replica.unsettled()
            self._fail(NO_ROOM if error.errno == _ENOSPC else WRITE_FAILED, "its state directory: %s" % error)
        return WORK

    def close(self, reason: str = "the link ended") -> None:
        """The link is gone: a batch that is being made visible is finished, anything else is dropped."""
        if self.batch is not None and self.batch.committing:
            while self._steps is not None:
                self.step()
        self._drop_batch()
        self._stop()
        self.waiting = False
        self.channels = {}
        self.release()
        self.reason = self.reason or reason

    def _stop(self) -> None:
        """Drop the work in hand. Its `finally` clauses run now: MicroPython has nothing that would run them later."""
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()

    def end(self, status: int, text: str) -> None:
        """End the session from this side; the link follows when the desktop has been told."""
        self.close(text)
        self.session.close(status, text)

    def release(self) -> None:
        """Let other sessions open the types that this one has open no more."""
        held = [channel.replica for channel in self.channels.values()]
        for replica in self.agent.replicas.values():
            if replica.holder is self and replica not in held:
                replica.holder = None

    def _next_event(self) -> "Event | None":
        try:
            return self.session.next_event()
        except RemoteError as error:
            self.reason = error.text
            return None

    def _fail(self, status: int, text: str) -> None:
        self._steps = None
        self._joined = bytearray()
        self._drop_batch()
        self.release()
        try:
            self.session.fail(self._request, status, text)
        except ProtocolError:  # there is no request to fail: the session itself is broken
            self.session.close(status, text)
            self.reason = text

    def _drop_batch(self) -> None:
        if self.batch is not None:
            self.batch.drop()
            self.batch = None

    def idle(self) -> bool:
        """Nothing came: tell of a type that changed; however often it did meanwhile, that is one notice."""
        if not self.changed or self._steps is not None or not self.is_open():
            return False
        self.session.notify(c.NOTICE_CHANGED, NoticeChanged(self.changed.pop()).to_bytes())
        return True

    # -- what comes

    def _take(self, event: "Event") -> None:
        name = event[0]
        if name == events.REQUEST:
            _, kind, self._request, body, more = event
            handler = self.agent.handlers.get(kind, _unknown)
            self._steps = handler(self, self._request, body, more)
        elif name == events.READY:
            self._ready()
        elif name == events.REFUSED:
            self.reason = str(event[2]) if self.session.state == CLOSED else ""
            self.agent.tell("refused", self.peer_name(), str(event[2]))
        elif name != events.NOTICE:
            pairing.decide(self, event)

    def _ready(self) -> None:
        agent, peer = self.agent, self.session.peer
        assert peer is not None
        if not agent.admits(self):
            self.session.refuse(BUSY, "busy with another session: try again in %d seconds" % agent.busy_seconds)
            self.reason = "too many sessions"
            return
        limits = agent.limits
        self._buffer = bytearray(min(limits.reply_part, peer.max_message))
        self.session.accept(
            limits.max_requests, limits.batch_items, limits.batch_bytes, agent.device_time(), agent.types()
        )
        agent.tell("open", peer.name, None)

    # -- for handlers

    def is_open(self) -> bool:
        """Has the desktop proved its key, and is the session going on?"""
        return self.session.state == OPEN and not self.reason

    def peer_name(self) -> str:
        return self.session.peer.name if self.session.peer is not None else ""

    def desktop_id(self) -> bytes:
        return self.session.peer.id if self.session.peer is not None else b""

    def buffer(self) -> bytearray:
        """The one buffer for replies: as long as a part may be. It is free again after the next yield."""
        return self._buffer

    def channel(self, number: int, writing: bool = False, closing: bool = False) -> "Channel":
        """An open channel, fit for work unless it is `closing`; `writing` refuses a preview. Raises RemoteError."""
        found = self.channels.get(number)
        if found is None:
            raise RemoteError(BAD_MESSAGE, "channel %d is not open" % number)
        if writing and found.preview:
            raise RemoteError(NOT_ALLOWED, "channel %d is a preview: nothing can be changed on it" % number)
        if not closing:
            found.refresh()
        return found

    def free_channel(self) -> int:
        """A channel number that is not in use. Raises RemoteError(LIMIT)."""
        for number in range(1, MAX_CHANNELS + 1):
            if number not in self.channels:
                return number
        raise RemoteError(LIMIT, "more than %d object types are open" % MAX_CHANNELS)

    def join(self, body: memoryview, more: bool) -> "bytes | None":
        """Collect a request that comes in parts; the whole of it with the last one, None before."""
        if len(self._joined) + len(body) > self.agent.limits.joined:
            raise RemoteError(LIMIT, "a request in parts is longer than %d bytes" % self.agent.limits.joined)
        if not more and not self._joined:
            return bytes(body)
        self._joined += body
        if more:
            return None
        whole, self._joined = bytes(self._joined), bytearray()
        return whole

    def reply_joined(self, request: int, kind: int, body: bytes) -> "Steps":
        """Send a reply that may be longer than one message, in parts."""
        size = self.session.max_body()
        at = 0
        while len(body) - at > size:
            self.session.reply(request, kind, memoryview(body)[at : at + size], True)
            at += size
            yield WORK
        self.session.reply(request, kind, memoryview(body)[at:])


def _unknown(talk: Conversation, request: int, body: memoryview, more: bool) -> "Steps":
    raise RemoteError(UNKNOWN_KIND, "this agent does not do that")
    yield WORK


def single(more: bool) -> None:
    """Raise RemoteError for the first of several parts, where a request is one message."""
    if more:
        raise RemoteError(BAD_MESSAGE, "this request does not come in parts")
