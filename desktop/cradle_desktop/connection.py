"""One conversation with a device: requests out, replies back, many in flight. The only code that waits for a device.

A `Connection` owns a link, a session and a pump. It starts no thread: the caller's own calls move the bytes. What may
go wrong with links and sessions becomes a `UserError` here and nowhere else.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator

from cradle_desktop.errors import DeviceError, LinkGone, RequestFailed
from cradle_hardware.link import LinkError, LinkLost
from cradle_protocol.errors import BUSY, NO_ROOM, NOT_PAIRED, PROOF_FAILED, STATUS_TEXT, ProtocolError
from cradle_protocol.wire.events import FAILED, NOTICE, REFUSED, REPLY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cradle_desktop.pump import Pump
    from cradle_protocol.wire.session import Peer

    Chunk = bytes | bytearray | memoryview
    Event = tuple[Any, ...]
    Reply = tuple[int, Chunk, bool]
    Notice = Callable[[int, bytes], None]

# `start` returns with no more bytes than this waiting to go out: what a fast link takes in about a millisecond, so that
# the sender stays ahead of it.
HIGH_WATER = 256 * 1024
# On a slow line no more than half a second's worth, but a few frames.
LINE_WATER = 4096
# Replies that arrive before somebody asks for them are kept, up to this. Only small ones are ever left lying.
KEPT_MAX = 32 * 1024 * 1024
# Seconds for the last frames of a conversation to leave.
GOODBYE = 1.0
# A device that scans is silent; after so many seconds the user hears that it is still there.
SILENCE = 20.0
# A device hangs up on a desktop that says nothing for a quarter of an hour; this often, in seconds, it hears of us.
ALIVE = 60.0
# A device that works says so twice a minute; one that says nothing at all for so many seconds hangs. Long enough for a
# card that writes out what it has collected.
PATIENCE = 300.0
# Seconds between two looks, while nothing comes, whether somebody wants the waiting to end.
WAKE = 0.25

# What a link may raise while bytes move.
LINK_ERRORS = (LinkError, OSError)


def quiet(kind: int, body: bytes) -> None:
    """Hears notices and does nothing."""


def unmoved() -> None:
    """Waits on."""


class Connection:
    """Requests to one proven device.

    peer               what the device said of itself
    bytes_sent, bytes_received   on the link, everything counted
    rate               bytes a second that the link carries, 0: not known
    on_notice          called with kind and body of each notice while somebody waits
    on_silence         called with the seconds that the device has been silent while a reply is due
    on_wait            called now and then while nothing comes; what it raises ends the waiting
    """

    def __init__(self, pump: "Pump", peer: "Peer", on_notice: "Notice" = quiet) -> None:
        self._pump, self._session, self.peer, self.on_notice = pump, pump.session, peer, on_notice
        self.on_silence: Callable[[float], None] = lambda seconds: None
        self.on_wait: Callable[[], None] = unmoved
        self._said = time.monotonic()  # when the device last heard from us
        self._stirred, self._moved = self._said, (0, 0)  # since when nothing has moved: bytes in, and out
        self._kept: dict[int, deque[Reply | RequestFailed]] = {}
        self._kept_bytes = 0
        self._unwanted: set[int] = set()
        self._closed = False
        self.rate = pump.link.rate
        self._high = min(HIGH_WATER, max(LINE_WATER, self.rate // 2)) if self.rate else HIGH_WATER

    @property
    def bytes_sent(self) -> int:
        return self._pump.link.sent

    @property
    def bytes_received(self) -> int:
        return self._pump.link.received

    @property
    def steady(self) -> bool:
        """Does the link live on while nobody calls? A serial line does not: its link machine must answer."""
        return self._pump.link.reliable

    def start(
        self, kind: int, body: "Chunk | list[Chunk]" = b"", more: bool = False, request: "int | None" = None
    ) -> int:
        """Send a request, or one more part of it. Its number is for `replies`.

        Returns when at most HIGH_WATER bytes wait to go out: buffers handed over before those may be used again.
        """
        self._stirred = time.monotonic()
        try:
            while request is None and self._session.free_requests() <= 0:
                self._wait()
            number = self._session.request(kind, body, more, request or 0)
        except ProtocolError as error:
            raise broken(error) from error
        self._said = time.monotonic()
        flush(self._pump)
        while self._pump.waiting() > self._high:
            self._wait()
        return number

    def start_long(self, kind: int, body: bytes) -> int:
        """Send a request that may be longer than one message, in parts."""
        size, at = self.peer.max_message, 0
        number: int | None = None
        while len(body) - at > size:
            number = self.start(kind, body[at : at + size], True, number)
            at += size
        return self.start(kind, body[at:], False, number)

    def replies(self, request: int) -> "Iterator[Reply]":
        """(kind, body, more) of one request in order, until its last part. A body is valid until the next call here.

        Raises RequestFailed if the device answers with an error. Whoever stops early gets no more of this request.
        """
        more = True
        try:
            while more:
                reply = self._take(request)
                more = reply[2]
                yield reply
        except RequestFailed:
            more = False
            raise
        finally:
            if more and not self._closed:
                self._forget(request)

    def call(self, kind: int, body: "Chunk | list[Chunk]" = b"") -> bytes:
        """One request and its whole reply."""
        return b"".join([bytes(part) for _, part, _ in self.replies(self.start(kind, body))])

    def poll(self) -> None:
        """Move what moves, without waiting."""
        while self._move(0):
            pass

    def keep_alive(self, now: float) -> None:
        """Whoever is busy for long without a word to the device calls this now and then, with the monotonic time.

        Reads nothing, so bodies of replies stay valid.
        """
        if now - self._said >= ALIVE:
            self._said = now
            self._session.ping()
            flush(self._pump)

    def close(self) -> None:
        """Say goodbye and close the link; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        try:
            self._pump.finish(GOODBYE)
        except (LinkGone, LinkError, OSError):
            pass  # the other end was faster
        finally:
            self._pump.link.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside

    def _move(self, timeout: "float | None") -> bool:
        """One step of the pump; what comes and nobody has asked for yet is kept."""
        self._drain()
        moved = step(self._pump, timeout)
        self._drain()
        return moved

    def _wait(self) -> None:
        """Wait until something moves, but not for long."""
        if not self._move(WAKE):
            self.on_wait()
        self._check_alive(time.monotonic())

    def _check_alive(self, now: float) -> None:
        """Raise LinkGone if a device hangs whose link is there. What goes out by itself, a PING, is no sign of life."""
        moved = self.bytes_received, self.bytes_sent if self._pump.waiting() else 0
        if moved != self._moved:
            self._moved, self._stirred = moved, now
        elif now - self._stirred >= PATIENCE:
            raise LinkGone(
                f"the device has said nothing for {PATIENCE:.0f} s, though its link is there: it hangs; restart it, "
                "then run the command again"
            )

    def _drain(self) -> None:
        while (event := next_event(self._pump)) is not None:
            self._sort(event)

    def _take(self, request: int) -> "Reply":
        """The next part of a reply: kept, or straight from the session without a copy."""
        begun = self._stirred = time.monotonic()
        due = begun + SILENCE
        while True:
            kept = self._kept.get(request)
            if kept:
                return self._unkeep(request, kept)
            event = next_event(self._pump)
            if event is None:
                if not step(self._pump, min(WAKE, due - time.monotonic())):
                    self.on_wait()
                now = time.monotonic()
                self.keep_alive(now)
                self._check_alive(now)
                if now >= due:
                    due += SILENCE
                    self.on_silence(now - begun)
            elif event[0] == REPLY and event[2] == request:
                return event[1], event[3], event[4]
            else:
                self._sort(event)

    def _unkeep(self, request: int, kept: "deque[Reply | RequestFailed]") -> "Reply":
        first = kept.popleft()
        if not kept:
            del self._kept[request]
        if isinstance(first, RequestFailed):
            raise first
        self._kept_bytes -= len(first[1])
        return first

    def _sort(self, event: "Event") -> None:
        """Keep a reply that nobody has asked for yet; pass on the rest."""
        if event[0] == REPLY:
            _, kind, request, body, more = event
            self._keep(request, (kind, bytes(body), more), not more)
        elif event[0] == FAILED:
            _, request, status, text = event
            self._keep(request, failure(status, text), True)
        elif event[0] == NOTICE:
            self.on_notice(event[1], bytes(event[2]))
        elif event[0] == REFUSED:
            raise failure(event[1], event[2])

    def _keep(self, request: int, part: "Reply | RequestFailed", last: bool) -> None:
        if request in self._unwanted:
            if last:
                self._unwanted.discard(request)
            return
        if isinstance(part, tuple):
            self._kept_bytes += len(part[1])
            if self._kept_bytes > KEPT_MAX:
                raise DeviceError("the device sent more than was asked for; update it, then run the command again")
        self._kept.setdefault(request, deque()).append(part)

    def _forget(self, request: int) -> None:
        """Drop what has come of a request, and what will."""
        ended = False
        for part in self._kept.pop(request, ()):
            if isinstance(part, tuple):
                self._kept_bytes -= len(part[1])
                ended = not part[2]
            else:
                ended = True
        if not ended:
            self._unwanted.add(request)


def failure(status: int, text: str) -> RequestFailed:
    """What an error reply means to the user."""
    words = text or STATUS_TEXT.get(status, f"status {status}")
    advice = "; make room there, then sync again" if status == NO_ROOM else ""
    return RequestFailed(status, "the device refused: " + words + advice, FAILURE_EXITS.get(status))


# Exit codes of refusals that have one of their own.
FAILURE_EXITS = {NOT_PAIRED: 6, PROOF_FAILED: 6, BUSY: 8}


def flush(pump: "Pump") -> None:
    """Write what the link takes."""
    try:
        pump.flush()
    except LINK_ERRORS as error:
        raise gone(error) from error


def gone(error: Exception) -> LinkGone:
    """The link broke while bytes moved."""
    if isinstance(error, LinkGone):
        return error
    return LinkGone(str(error) if isinstance(error, LinkLost) else f"the link to the device broke ({error}); try again")


def step(pump: "Pump", timeout: "float | None") -> bool:
    """One step of the pump, with the errors of the layers below turned into ours."""
    try:
        return pump.step(timeout)
    except LINK_ERRORS as error:
        raise gone(error) from error
    except ProtocolError as error:
        raise broken(error) from error


def next_event(pump: "Pump") -> "Event | None":
    """The session's next event."""
    try:
        return pump.session.next_event()
    except ProtocolError as error:
        raise broken(error) from error


def broken(error: ProtocolError) -> DeviceError:
    """The other end broke the protocol."""
    return DeviceError(
        f"what answers there does not speak our protocol rightly ({error}); update it or check the address"
    )
