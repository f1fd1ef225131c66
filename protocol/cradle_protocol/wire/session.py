"""One conversation of a desktop and a device over a reliable stream of bytes. Not the link below, not the sync above.

Sans-IO: bytes go in (`receive_data`, or `receive_buffer` and `received`), events come out (`next_event`), bytes to
write come out (`data_to_send`). It never waits and never asks the time; nonces, keys and codes are handed in.
"""

from cradle_protocol.compat import MICROPYTHON
from cradle_protocol.errors import (
    BAD_MESSAGE,
    LIMIT,
    TOO_LONG,
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

__all__ = ["Identity", "Peer", "Session"]

NOTICES = (c.NOTICE_CHANGED, c.NOTICE_STATUS, c.NOTICE_CONSOLE)

# Bodies up to this length are joined with their header: one piece to write instead of two. On a board never, because
# the copy is garbage there.
JOIN_LIMIT = 0 if MICROPYTHON else 1024


class Session(Handshake):
    """What `DesktopSession` and `DeviceSession` share: bytes in and out, notices, endings.

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

    def _note_part(self, request: int, kind: int, more: bool) -> None:
        if more:
            self._parts[request] = kind
        else:
            self._parts.pop(request, None)

    def notify(self, kind: int, body: "Bytes | list[Bytes]" = b"") -> None:
        """Send a notice. Nothing answers it."""
        if self.state != OPEN:
            raise LocalError(BAD_MESSAGE, "the session is not open")
        self._send(kind, c.NO_REQUEST, body)

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
        return self._take_open(kind, request, body, more)

    def _take_open(self, kind: int, request: int, body: memoryview, more: bool) -> "Event | None":
        """A request or a reply; done by the two ends."""
        raise NotImplementedError


def answers(asked: "int | None", kind: int) -> bool:
    """May a message of this kind answer (a part of) a request of kind `asked`?"""
    if asked is None:
        return False
    return kind == asked + 1 or (asked in (c.CHANGES, c.STREAM_READ) and kind == asked + 2)  # parts and an end
