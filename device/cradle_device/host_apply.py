"""CPython only: APPLY where most changes are new small files. Judges nothing by itself, knows no other rule.

A change that brings an item of which there is no record, its content following whole in the same part, is taken in one
step. Whatever is not that, or not as it should be, goes the way of `apply`, which also says what is wrong with it.
"""

import struct

from cradle_device.apply import Batch, Entry
from cradle_device.apply import apply as apply_by
from cradle_device.conversation import FLASH, WORK
from cradle_device.metadata import PATH_MAX
from cradle_device.stages import name_of
from cradle_protocol.compat import sha256
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.item import Item, item_id
from cradle_protocol.sync.values import digest_of, is_file, size_of, with_digest
from cradle_protocol.sync.version import knows
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.records import decode_apply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_device.conversation import Conversation, Steps

# The elements as `records` declares them, in the form in which most of them come.
_CHANGE = struct.Struct(">BBIH")  # tag, flags, object id, length of the identity
_VERSION = struct.Struct(">HIB")  # key, tick, number of values
_DATA = struct.Struct(">BHBBH")  # tag, index, flags, length in 8 and 16 bits
_NEW = c.IDENTITY | c.VALUES
_DIGEST = 32
# Elements between two yields: a poll stays short without a switch per object.
_STRIDE = 16


class HostBatch(Batch):
    """A batch with a short way for new files."""

    def take(self, view: memoryview) -> "Steps":
        at = turns = 0
        while at < len(view):
            end = self._take_new(view, at)
            if end:
                at = end
                turns += 1
                if turns % _STRIDE == 0:
                    yield WORK
                continue
            tag, values, at = decode_apply(view, at, self.channel.meta.units)
            yield FLASH if tag == c.DATA else WORK
            self._element(tag, values)

    def _take_new(self, view: memoryview, at: int) -> int:
        """Take a new file, both of its elements; where they end, or 0 and nothing was done."""
        if view[at] != c.CHANGE or self.committing or (self.entries and self.entries[-1].waiting):
            return 0
        try:
            item, index, data, digest, end = _new_file(view, at)
            item.id = item_id(self.channel.store.type, item.identity)
            if index == len(self.entries) and self._is_plain(item, len(data)) and self._stage(item, data, digest):
                return end
        except (_NotPlain, StoreError, struct.error, UnicodeError, IndexError):
            pass
        return 0

    def _is_plain(self, item: Item, size: int) -> bool:
        """Is it in its place in this batch, unknown here, and a file of this size that there is room for?"""
        meta, i, version = self.channel.meta, item.id, item.created
        return (
            self.lower <= i <= self.upper
            and (not self.ids or i > self.ids[-1])
            and len(self.entries) < self._most
            and len(item.values) == meta.units
            and version[1] < len(meta.replicas)
            and is_file(item.values[0])
            and size_of(item.values[0]) == size <= self._room
            and meta.get(i) is None
            and not knows(meta.knowledge.vector(i), version)
        )

    def _stage(self, item: Item, data: memoryview, digest: bytes) -> bool:
        """Stage the content if it is the one that was meant."""
        value = item.values[0]
        if sha256(data).digest() != digest or digest_of(value) not in (b"", digest):
            return False
        self._close_writer()
        entry = Entry(item, None)
        entry.name = name_of(item.id, item.created)
        self.channel.store.stage_bytes(entry.name, data)
        item.values[0] = with_digest(value, digest)
        self._room -= len(data)
        self.ids.append(item.id)
        self.entries.append(entry)
        return True


class _NotPlain(Exception):
    """An element has another form."""


def _new_file(view: memoryview, at: int) -> "tuple[Item, int, memoryview, bytes, int]":
    """(item without an id, index, content, its digest, where it ends) of a change and the whole content after it."""
    _, flags, _, length = _CHANGE.unpack_from(view, at)
    at += _CHANGE.size
    middle = at + length
    if flags != _NEW or not 0 < length <= PATH_MAX:
        raise _NotPlain
    identity = str(view[at:middle], "utf-8")
    key, tick, count = _VERSION.unpack_from(view, middle)
    at = middle + _VERSION.size
    values = []
    for _ in range(count):
        after = at + 1 + view[at]
        values.append(bytes(view[at + 1 : after]))
        at = after
    tag, index, ending, high, low = _DATA.unpack_from(view, at + 1)
    start = at + 1 + _DATA.size
    end = start + (high << 16 | low)
    if view[at] != c.CONTENT_FOLLOWS or tag != c.DATA or ending != c.END or end + _DIGEST > len(view):
        raise _NotPlain
    version = tick, key
    item = Item(b"", 0, identity, version, [version] * count, values)
    return item, index, view[start:end], bytes(view[end : end + _DIGEST]), end + _DIGEST


def apply(talk: "Conversation", request: int, body: memoryview, more: bool) -> "Steps":
    """See `apply.apply`."""
    return apply_by(talk, request, body, more, HostBatch)
