"""One conversation of a desktop and a device over a reliable stream of bytes. Not the link below, not the sync above.

Sans-IO: bytes go in (`receive_data`, or `receive_buffer` and `received`), events come out (`next_event`), bytes to
write come out (`data_to_send`). It never waits and never asks the time; nonces, keys and codes are handed in.
"""

from cradle_protocol.compat import MICROPYTHON
from cradle_protocol.errors import (
    BAD_MESSAGE,
    LIMIT,
    TOO_LONG,
    UNKNOWN_KIND,
    LocalError,
    RemoteError,
)
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import events
from cradle_protocol.wire.handshake import CLOSED, DECIDING, OPEN, Handshake, Identity, Peer, error_body
from cradle_protocol.wire.messages.session import Error
from cradle_protocol.wire.stream import MessageReader, message_header

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cradle_protocol.compat import Bytes

    Event = tuple[Any, ...]
    Body = "Bytes | list[Bytes]"

__all__ = ["Identity", "Peer", "Session"]

# Kinds that a desktop may send as requests once the session is open. All but CHANGES are answered by their number + 1.
REQUESTS = (
    c.UNPAIR, c.SYNC_OPEN, c.REPLICAS, c.CHANGES, c.FETCH, c.HASH, c.STASH, c.PASS, c.APPLY, c.SYNC_CLOSE,
)  # fmt: skip
NOTICES = (c.NOTICE_CHANGED, c.NOTICE_STATUS, c.NOTICE_CONSOLE)

# Bodies up to this length are joined with their header: one piece to write instead of two. On a board never, because
# the copy is garbage there.
JOIN_LIMIT = 0 if MICROPYTHON else 1024

_NO_PARTS = -1  # of a request that failed while more parts of it are on their way: they are dropped


class Session(Handshake):
    """A session, seen from one end.

    desktop      which end this is
    me           Identity
    nonce        16 random bytes, new for each session
    max_message  longest body this end takes once the session is open; a buffer of this size is allocated now
    binding      SHA-256 of the TLS server's certificate, b"" on links without TLS

    The owner takes events until there are none before it gives more bytes. A RemoteError from `next_event` ends the
    session: write what `data_to_send` has (it tells the peer why) and close the link.
    """

    def __init__(self, desktop: bool, me: Identity, nonce: bytes, max_message: int, binding: bytes = b"") -> None:
        self._out: list[Bytes] = []
        self._out_bytes = 0
        self._reader = MessageReader(max_message)
        self._input: "memoryview | None" = None  # what receive_data gave and the reader has not taken
        self._open: dict[int, int] = {}  # request -> kind, of those without a (whole) reply
        self._parts: dict[int, int] = {}  # request -> kind, of those of which parts are still to be sent
        super().__init__(desktop, me, nonce, max_message, binding)

    # --- bytes in --------------------------------------------------------------------------------------------------

    def receive_data(self, data: "Bytes") -> None:
        """Bytes came. They must stay as they are until `next_event` has given None."""
        if self._input is not None:
            raise LocalError(LIMIT, "take all events before giving more bytes")
        if len(data):
            self._input = memoryview(data)

    def receive_buffer(self) -> memoryview:
        """Where to read the next bytes to (recv_into); then call `received`. Ends the life of bodies handed out."""
        return self._reader.space()

    def received(self, count: int) -> None:
        """That many bytes were read into `receive_buffer`."""
        self._reader.filled(count)

    def next_event(self) -> "Event | None":
        """The next event (`events`), or None when there is nothing more in the bytes received."""
        try:
            while self.state != CLOSED:
                message = self._reader.next_message()
                if message is not None:
                    event = self._dispatch(message[0], message[1], message[2])
                    if event is not None:
                        return event
                elif not self._feed():
                    return None
        except RemoteError as error:
            self.close(error.code, error.text)
            raise
        self._input = None
        return None

    def _feed(self) -> bool:
        data = self._input
        if data is None:
            return False
        taken = self._reader.put(data)
        self._input = data[taken:] if taken < len(data) else None
        return True

    # --- bytes out -------------------------------------------------------------------------------------------------

    def data_to_send(self) -> "list[Bytes]":
        """Pieces to write, in order. The session forgets them; they must not change until they are written."""
        pieces, self._out, self._out_bytes = self._out, [], 0
        return pieces

    def pending_out(self) -> int:
        """Bytes that `data_to_send` would give."""
        return self._out_bytes

    def _send(self, kind: int, request: int, body: "Bytes | list[Bytes]") -> None:
        pieces = body if isinstance(body, list) else [body]
        length = 0
        for piece in pieces:
            length += len(piece)
        limit = self.max_body()
        if length > limit:
            raise LocalError(TOO_LONG, "a message of %d bytes, the other end takes %d" % (length, limit))
        header = message_header(length, kind, request)
        self._out_bytes += len(header) + length
        if 0 < length <= JOIN_LIMIT:
            header = header + b"".join(pieces)
        self._out.append(header)
        if length > JOIN_LIMIT:
            self._out.extend(pieces)

    # --- the open session ------------------------------------------------------------------------------------------

    def _opened(self) -> None:
        self._reader.limit = self.max_message

    def max_body(self) -> int:
        """The longest body that may be sent now."""
        return self.peer.max_message if self.peer is not None and self.state == OPEN else c.UNPROVEN_MESSAGE

    def free_requests(self) -> int:
        """How many more requests the device takes before it has answered one."""
        if self.state != OPEN:
            return 0
        free = self._known().max_requests - len(self._open)
        for request in self._parts:
            if request not in self._open:
                free -= 1
        return free

    def request(self, kind: int, body: "Bytes | list[Bytes]" = b"", more: bool = False, request: int = 0) -> int:
        """Send a request, or (with the number it got) a further part of one. Its number comes back with the answer.

        After FAILED the last part is still owed: send an empty one.
        """
        self._expect(True, OPEN)
        if request == c.NO_REQUEST:
            if self.free_requests() <= 0:
                raise LocalError(LIMIT, "the device takes %d requests at once" % self._known().max_requests)
            request = self._new_request()
            self._open[request] = kind
        elif self._parts.get(request) != kind:
            raise LocalError(BAD_MESSAGE, "request %d is complete, or of another kind" % request)
        self._send(kind | (c.MORE if more else 0), request, body)
        self._note_part(request, kind, more)
        return request

    def _new_request(self) -> int:
        request = self._request
        while True:
            request = request % c.REQUEST_LIMIT + 1
            if request not in self._open and request not in self._parts:
                self._request = request
                return request

    def _note_part(self, request: int, kind: int, more: bool) -> None:
        if more:
            self._parts[request] = kind
        else:
            self._parts.pop(request, None)

    def reply(self, request: int, kind: int, body: "Bytes | list[Bytes]" = b"", more: bool = False) -> None:
        """Answer a request, or send a part of the answer."""
        self._expect(False, OPEN)
        if not _answers(self._open.get(request), kind):
            raise LocalError(BAD_MESSAGE, "message %d does not answer request %d" % (kind, request))
        self._send(kind | (c.MORE if more else 0), request, body)
        if not more:
            self._answered(request)

    def fail(self, request: int, status: int, text: str = "") -> None:
        """Answer a request by an error, at any point of its answer. Further parts of it are dropped."""
        self._expect(False, OPEN)
        if request not in self._open:
            raise LocalError(BAD_MESSAGE, "request %d is not open" % request)
        self._send(c.ERROR, request, error_body(status, text))
        self._answered(request)

    def _answered(self, request: int) -> None:
        self._open.pop(request, None)
        if request in self._parts:
            self._parts[request] = _NO_PARTS

    def notify(self, kind: int, body: "Bytes | list[Bytes]" = b"") -> None:
        """Send a notice. Nothing answers it."""
        if self.state != OPEN:
            raise LocalError(BAD_MESSAGE, "the session is not open")
        self._send(kind, c.NO_REQUEST, body)

    def ping(self) -> None:
        """Desktop: ask for a sign of life. The answer is taken silently; what counts is that bytes come."""
        self._expect(True, OPEN)
        self._send(c.PING, c.NO_REQUEST, b"")

    def close(self, status: int, text: str = "") -> None:
        """End the session and tell the peer why. The link is the owner's to close, once this is written."""
        if self.state != CLOSED:
            self._send(c.ERROR, c.NO_REQUEST, error_body(status, text))
            self.state = CLOSED

    # --- messages that come ----------------------------------------------------------------------------------------

    def _dispatch(self, kind: int, request: int, body: memoryview) -> "Event | None":
        more, kind = kind & c.MORE != 0, kind & c.KIND_MASK
        if kind == c.ERROR and request == c.NO_REQUEST:
            error = Error.from_bytes(body)
            self.state = CLOSED
            return events.REFUSED, error.status, error.text or str(RemoteError(error.status))
        if self.state == DECIDING:
            raise RemoteError(BAD_MESSAGE, "message %d came before the last one was answered" % kind)
        if self.state != OPEN:
            if more:
                raise RemoteError(BAD_MESSAGE, "nothing comes in parts before the proof")
            return self._take(kind, request, body)
        if kind in (c.PING, c.PONG):
            if kind == c.PING:
                self._send(c.PONG, request, b"")
            return None
        if kind in NOTICES:
            return events.NOTICE, kind, body
        return self._take_reply(kind, request, body, more) if self.desktop else self._take_request(
            kind, request, body, more
        )  # fmt: skip

    def _take_reply(self, kind: int, request: int, body: memoryview, more: bool) -> "Event | None":
        asked = self._open.get(request)
        if kind == c.ERROR and asked is not None:
            del self._open[request]
            error = Error.from_bytes(body)
            return events.FAILED, request, error.status, error.text or str(RemoteError(error.status))
        if not _answers(asked, kind):
            raise RemoteError(BAD_MESSAGE, "message %d answers no open request" % kind)
        if not more:
            del self._open[request]
        return events.REPLY, kind, request, body, more

    def _take_request(self, kind: int, request: int, body: memoryview, more: bool) -> "Event | None":
        begun = self._parts.get(request)
        if begun is None and (request in self._open or request == c.NO_REQUEST):
            raise RemoteError(BAD_MESSAGE, "request %d is already open" % request)
        if begun is None and self.free_requests() <= 0:
            raise RemoteError(LIMIT, "more than %d requests at once" % self._known().max_requests)
        self._note_part(request, _NO_PARTS if begun == _NO_PARTS else kind, more)
        if begun == _NO_PARTS:
            return None
        if begun is not None and begun != kind:
            raise RemoteError(BAD_MESSAGE, "request %d changed its kind" % request)
        if kind not in REQUESTS:
            self._send(c.ERROR, request, error_body(UNKNOWN_KIND, "message kind %d is not known here" % kind))
            self._answered(request)
            return None
        self._open[request] = kind
        return events.REQUEST, kind, request, body, more


def _answers(asked: "int | None", kind: int) -> bool:
    """May a message of this kind answer (a part of) a request of kind `asked`?"""
    return asked is not None and (kind == asked + 1 or (asked == c.CHANGES and kind == c.CHANGES_END))
