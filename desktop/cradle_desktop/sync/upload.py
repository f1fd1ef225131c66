"""One batch of changes on its way to the device: packs elements into messages. Decides nothing, reads no content."""

from __future__ import annotations

from cradle_desktop.connection import HIGH_WATER, Connection
from cradle_protocol.sync.change import Change, remap
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.records import COMMIT_ELEMENT, data_head, encode_apply_change, encode_begin
from cradle_protocol.wire.messages.sync import ApplyReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    Bytes = bytes | bytearray | memoryview

_DATA_EXTRA = 64  # bytes: more than what surrounds the content in a DATA element
_FLAGS_AT = 3  # where the flags of a DATA element are
# A piece smaller than this is copied into the message being built; a larger one is sent from where it is.
COPY_BELOW = 32 << 10


class _Buffers:
    """Read buffers in rotation: by the time one comes round again, the connection has sent what was in it."""

    def __init__(self) -> None:
        self._size = 0
        self._ring: list[memoryview] = []
        self._next = 0

    def take(self, size: int) -> memoryview:
        """A buffer of this size."""
        if size != self._size:
            self._size, self._next = size, 0
            self._ring = [memoryview(bytearray(size)) for _ in range(HIGH_WATER // size + 3)]
        self._next = (self._next + 1) % len(self._ring)
        return self._ring[self._next]


_BUFFERS = _Buffers()


class Upload:
    """One batch on its way to the device: elements are packed into parts of the device's message size."""

    def __init__(self, connection: Connection, max_message: int, keys: list[int], lower: bytes, upper: bytes) -> None:
        self._connection, self._max, self._keys = connection, max_message, keys
        self._request: int | None = None
        self.piece = max_message - _DATA_EXTRA  # bytes of content in one DATA element, at the most
        self._pending = bytearray(encode_begin(lower, upper, True))
        self._last: tuple[int, int] | None = None

    def buffer(self, size: int) -> memoryview:
        """A buffer to read content into, to be given to `data`."""
        return _BUFFERS.take(min(size, self.piece))

    def change(self, change: Change, content: int, offset: int) -> None:
        """One change; its index is the number of changes before it."""
        self._add(encode_apply_change(remap(change, self._keys), content, offset))

    def data(self, index: int, view: memoryview) -> None:
        """Content of the change with this index."""
        header = data_head(index, 0, len(view))
        if len(view) < COPY_BELOW:
            self._room(len(header) + len(view) + 32)
            self._last = (index, len(self._pending) + _FLAGS_AT)
            self._pending += header
            self._pending += view
            return
        self._room(len(header) + len(view))
        self._pending += header
        self._send([self._pending, view])

    def end(self, index: int, digest: bytes) -> None:
        """The content is complete and has this SHA-256."""
        if self._last is not None and self._last[0] == index:
            self._pending[self._last[1]] |= c.END
            self._pending += digest
            self._last = None
        else:
            self._add(data_head(index, c.END, 0) + digest)

    def whole(self, index: int, data: bytes, digest: bytes) -> None:
        """A small content in one piece."""
        size = len(data)
        self._room(size + _DATA_EXTRA)
        self._pending += data_head(index, c.END, size)
        self._pending += data
        self._pending += digest
        self._last = None

    def abort(self, index: int) -> None:
        """The content cannot be had: the device fails this change."""
        self._add(data_head(index, c.ABORT, 0))

    def commit(self) -> None:
        """The batch is complete."""
        self._add(COMMIT_ELEMENT)
        self._send([self._pending], more=False)

    def answer(self) -> list[tuple[int, int]]:
        """Wait for the device's answer: [(index, status)] of the changes that were not applied."""
        assert self._request is not None
        parts = [bytes(body) for _, body, _ in self._connection.replies(self._request)]
        return ApplyReply.from_bytes(b"".join(parts)).failures

    def _add(self, element: bytes) -> None:
        self._room(len(element))
        self._pending += element
        self._last = None

    def _room(self, size: int) -> None:
        if self._pending and len(self._pending) + size > self._max:
            self._send([self._pending])

    def _send(self, body: list[Bytes], more: bool = True) -> None:
        self._request = self._connection.start(c.APPLY, body, more, self._request)
        self._pending = bytearray()
        self._last = None
