"""One batch of changes on its way to the device: packs elements into messages. Decides nothing, reads no content."""

from __future__ import annotations

from struct import Struct

from cradle_desktop.connection import HIGH_WATER, Connection
from cradle_protocol.sync.change import Change, change_of, remap
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.records import COMMIT_ELEMENT, data_head, encode_apply_change, encode_begin
from cradle_protocol.wire.messages.sync import ApplyReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cradle_protocol.sync.item import Item

    Bytes = bytes | bytearray | memoryview

_DATA_EXTRA = 64  # bytes: more than what surrounds the content in a DATA element
_FLAGS_AT = 3  # where the flags of a DATA element are
# A piece smaller than this is copied into the message being built; a larger one is sent from where it is.
COPY_BELOW = 32 << 10

# The elements as `records` declares them, in the form in which nearly all of a first sync comes; see `_new_file`.
_CHANGE = Struct(">BBIH").pack  # tag, flags, object id, length of the identity
_VERSION = Struct(">HIB").pack  # key, tick, number of values
_LENGTHS = [bytes((length,)) for length in range(256)]
_DATA = Struct(">BBHBBH").pack  # content; tag, index, flags, length in 8 and 16 bits
_NEW = c.IDENTITY | c.VALUES
_DIGEST_SIZE = 32


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
    """One batch on its way to the device: elements are packed into parts of the device's message size.

    keys     the device's keys for our replica keys
    leaving  called before each part is handed to the connection
    """

    def __init__(
        self,
        connection: Connection,
        max_message: int,
        keys: list[int],
        lower: bytes,
        upper: bytes,
        leaving: Callable[[], None],
    ) -> None:
        self._connection, self._max, self._keys, self._leaving = connection, max_message, keys, leaving
        self._request: int | None = None
        self.piece = max_message - _DATA_EXTRA  # bytes of content in one DATA element, at the most
        self._pending = bytearray(encode_begin(lower, upper, True))
        self._last: tuple[int, int] | None = None  # the DATA element at the end of it: index, where its flags are

    def buffer(self, size: int) -> memoryview:
        """A buffer to read content into, to be given to `data`."""
        return _BUFFERS.take(min(size, self.piece))

    def change(self, change: Change, content: int, offset: int = 0) -> None:
        """One change; its index is the number of changes before it."""
        self._add(encode_apply_change(remap(change, self._keys), content, offset))

    def file(self, index: int, item: Item, named: bool, data: bytes, digest: bytes) -> None:
        """The change of an item and its content, a small one, whole: in one part where both fit into one."""
        size = len(data)
        head = self._new_file(index, item, size) if named else b""
        if not head or len(head) + size + _DIGEST_SIZE > self._max:
            self.change(change_of(item, named), c.CONTENT_FOLLOWS)
            head = data_head(index, c.END, size)
        self._room(len(head) + size + _DIGEST_SIZE)
        self._pending += head
        self._pending += data
        self._pending += digest
        self._last = None

    def _new_file(self, index: int, item: Item, size: int) -> bytes:
        """All before the content of a file that is as it was created; b"" if this item is not.

        What `encode_apply_change` and `data_head` say, in a quarter of the time.
        """
        version = item.created
        if item.link is not None or item.versions.count(version) != len(item.versions):
            return b""
        name = item.identity.encode()
        parts = [_CHANGE(c.CHANGE, _NEW, item.oid, len(name)), name]
        parts.append(_VERSION(self._keys[version[1]], version[0], len(item.values)))
        for value in item.values:
            parts += _LENGTHS[len(value)], value
        parts.append(_DATA(c.CONTENT_FOLLOWS, c.DATA, index, c.END, size >> 16, size & 0xFFFF))
        return b"".join(parts)

    def data(self, index: int, view: memoryview) -> None:
        """Content of the change with this index."""
        header = data_head(index, 0, len(view))
        if len(view) < COPY_BELOW:
            self._room(len(header) + len(view) + _DIGEST_SIZE)
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
        self._leaving()
        self._request = self._connection.start(c.APPLY, body, more, self._request)
        self._pending = bytearray()
        self._last = None
