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
_CHANGE = Struct(">BBH").pack  # tag, flags, length of the identity
_VERSION = Struct(">HIB").pack  # key, tick, number of values
_LENGTHS = [bytes((length,)) for length in range(256)]
_DATA = Struct(">BBHBBH").pack  # content; tag, index, flags, length in 8 and 16 bits
_NEW = c.IDENTITY | c.VALUES
_DIGEST_SIZE = 32


class Upload:
    """Batches on their way to the device, one after the other: elements packed into parts of its message size.

    keys     the device's keys for our replica keys
    leaving  called before each part is handed to the connection, with True before the one that completes a batch
    """

    def __init__(
        self, connection: Connection, max_message: int, keys: list[int], leaving: Callable[[bool], None]
    ) -> None:
        self._connection, self._max, self._keys, self._leaving = connection, max_message, keys, leaving
        self._request: int | None = None
        self.piece = max_message - _DATA_EXTRA  # bytes of content in one DATA element, at the most
        self._part, self._other = bytearray(max_message), bytearray(max_message)
        self._end = 0  # of what is packed in the part
        self._last: tuple[int, int] | None = None  # the DATA element that ends there: index, where its flags are
        self._pieces: list[memoryview] = []

    def begin(self, lower: bytes, upper: bytes, together: bool = False) -> None:
        """A batch that covers the closed range of ids begins; `together`: one of objects that are shown at once."""
        self._request = None
        self._add(encode_begin(lower, upper, not together, together))

    def buffer(self, size: int) -> memoryview:
        """A buffer to read content into, to be given to `data`; always asked for with one size.

        They are used in rotation: by the time one comes round again, the connection has sent what was in it.
        """
        if not self._pieces:
            size = min(size, self.piece)
            self._pieces = [memoryview(bytearray(size)) for _ in range(HIGH_WATER // size + 3)]
        self._pieces.append(self._pieces.pop(0))
        return self._pieces[-1]

    def change(self, change: Change, content: int, offset: int = 0) -> None:
        """One change; its index is the number of changes before it."""
        self._add(encode_apply_change(remap(change, self._keys), content, offset))

    def file(self, index: int, item: Item, named: bool, data: Bytes, digest: bytes) -> None:
        """The change of an item and its content, a small one, whole: in one part where both fit into one."""
        size = len(data)
        head = self._new_file(index, item, size) if named else b""
        if not head or len(head) + size + _DIGEST_SIZE > self._max:
            self.change(change_of(item, named), c.CONTENT_FOLLOWS)
            head = data_head(index, c.END, size)
        self._room(len(head) + size + _DIGEST_SIZE)
        start = self._end + len(head)
        middle = start + size
        part = self._part
        part[self._end : start] = head
        part[start:middle] = data
        self._end = middle + _DIGEST_SIZE
        part[middle : self._end] = digest
        self._last = None

    def _new_file(self, index: int, item: Item, size: int) -> bytes:
        """All before the content of a file that is as it was created; b"" if this item is not.

        What `encode_apply_change` and `data_head` say, in a quarter of the time.
        """
        version = item.created
        if item.link is not None or item.versions.count(version) != len(item.versions):
            return b""
        name = item.identity.encode()
        parts = [_CHANGE(c.CHANGE, _NEW, len(name)), name]
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
            self._last = (index, self._end + _FLAGS_AT)
            self._pack(header)
            self._pack(view)
            return
        self._room(len(header) + len(view))
        self._pack(header)
        self._send(view)

    def end(self, index: int, digest: bytes) -> None:
        """The content is complete and has this SHA-256."""
        if self._last is not None and self._last[0] == index:
            self._part[self._last[1]] |= c.END
            self._pack(digest)
            self._last = None
        else:
            self._add(data_head(index, c.END, 0) + digest)

    def abort(self, index: int) -> None:
        """The content cannot be had: the device fails this change."""
        self._add(data_head(index, c.ABORT, 0))

    def commit(self) -> int:
        """The batch is complete. Returns its number, for `answer`."""
        self._add(COMMIT_ELEMENT)
        self._send(more=False)
        assert self._request is not None
        return self._request

    def answer(self, batch: int) -> list[tuple[int, int]]:
        """Wait for the device's answer to a batch: [(index, status)] of the changes that were not applied."""
        parts = [bytes(body) for _, body, _ in self._connection.replies(batch)]
        return ApplyReply.from_bytes(b"".join(parts)).failures

    def _add(self, element: bytes) -> None:
        self._room(len(element))
        self._pack(element)
        self._last = None

    def _room(self, size: int) -> None:
        if self._end and self._end + size > self._max:
            self._send()

    def _pack(self, data: Bytes) -> None:
        start, self._end = self._end, self._end + len(data)
        self._part[start : self._end] = data

    def _send(self, view: memoryview | None = None, more: bool = True) -> None:
        """Send the part, with this view at its end. Only the end of a long one may still wait to go out afterwards, and
        is gone when the next long one waits: of those two buffers take turns."""
        self._leaving(not more)
        packed = memoryview(self._part)[: self._end]
        body: list[Bytes] = [bytes(packed) if self._end < HIGH_WATER else packed]
        if self._end >= HIGH_WATER:
            self._part, self._other = self._other, self._part
        if view is not None:
            body.append(view)
        self._request = self._connection.start(c.APPLY, body, more, self._request)
        self._end, self._last = 0, None
