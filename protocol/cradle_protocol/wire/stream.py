"""Messages on a reliable, ordered stream of bytes: a header, then the body. Knows no kinds and asks for nothing again.

    u24 length of the body | u8 kind, bit 7 = more parts follow | u16 request | body

One buffer holds what arrives, allocated once; bodies are handed out where they lie in it. Who can read into a buffer
asks `space()` for it, and a long body is then read straight to where it is used, without a copy.
"""

import struct

from cradle_protocol.errors import TOO_LONG, LocalError, RemoteError
from cradle_protocol.wire.constants import HEADER_SIZE, MESSAGE_LIMIT, UNPROVEN_MESSAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.compat import Bytes

# Bytes of read-ahead, at the most, when no long body is on its way: 64 KiB is what one read of a socket brings. It
# bounds what has to be moved when the next message would not fit behind it.
READ_AHEAD = 65536
# A body with this much still to come is read to its end and no further, so that the next one begins an empty buffer.
LONG_REST = 16384


def message_header(length: int, kind: int, request: int) -> bytes:
    """The six bytes before a body. `kind` carries the MORE bit."""
    return struct.pack(">BHBH", length >> 16, length & 0xFFFF, kind, request)


class MessageReader:
    """Cuts a stream into messages. `limit` is the longest body accepted at present, never above `max_message`."""

    def __init__(self, max_message: int, limit: int = UNPROVEN_MESSAGE) -> None:
        if not UNPROVEN_MESSAGE <= max_message <= MESSAGE_LIMIT:
            raise LocalError(TOO_LONG, "a message of %d bytes cannot be announced" % max_message)
        # Twice the header: what follows a full message can then always be begun behind it.
        self._buffer = bytearray(max_message + 2 * HEADER_SIZE)
        self._view = memoryview(self._buffer)
        self._start = 0  # of the first byte not handed out
        self._end = 0  # of the bytes received
        self._need = HEADER_SIZE  # bytes from _start until something can be handed out
        self.limit = limit

    def space(self) -> memoryview:
        """Where the next bytes go. Never empty once `next_message` gave None; invalidates what that returned before."""
        missing = self._start + self._need - self._end
        self._make_room(missing)
        room = len(self._buffer) - self._end
        if missing >= LONG_REST:
            room = missing
        elif room > READ_AHEAD:
            room = READ_AHEAD
        return self._view[self._end : self._end + room]

    def filled(self, count: int) -> None:
        """That many bytes were put into `space()`."""
        self._end += count

    def put(self, data: "Bytes") -> int:
        """Copy in as much of `data` as there is room for; how much that was."""
        self._make_room(self._start + self._need - self._end)
        count = min(len(data), len(self._buffer) - self._end)
        self._view[self._end : self._end + count] = data if count == len(data) else memoryview(data)[:count]
        self._end += count
        return count

    def next_message(self) -> "tuple[int, int, memoryview] | None":
        """(kind with its MORE bit, request, body) or None. The body is valid until bytes are next taken in.

        Raises RemoteError for a header that announces more than the limit; nothing is kept or skipped then, and every
        further call raises again.
        """
        held = self._end - self._start
        if held < HEADER_SIZE:
            self._need = HEADER_SIZE
            return None
        high, low, kind, request = struct.unpack_from(">BHBH", self._buffer, self._start)
        length = high << 16 | low
        if length > self.limit:
            raise RemoteError(TOO_LONG, "a message of %d bytes came, %d were agreed" % (length, self.limit))
        self._need = HEADER_SIZE + length
        if held < self._need:
            return None
        body = self._start + HEADER_SIZE
        self._start = body + length
        self._need = HEADER_SIZE
        return kind, request, self._view[body : self._start]

    def _make_room(self, missing: int) -> None:
        """Move what is left to the front of the buffer if the bytes that are missing would not fit behind it."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end + missing > len(self._buffer):
            held = self._end - self._start
            self._view[0:held] = self._view[self._start : self._end]
            self._start, self._end = 0, held
