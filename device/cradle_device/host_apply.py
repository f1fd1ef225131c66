"""CPython only: APPLY where most changes are new small files. Judges nothing by itself, knows no other rule.

A first sync is ten thousand times the same thing: a change that brings an item of which there is no record, its whole
content behind it in the same part. Going through `apply` object by object, the calls cost more than disk and hash
together; here such files are read, checked and staged in one loop, and shown in bulk (`host_install`). Whatever is not
that, or not as it should be, goes the way of `apply`, which also says what is wrong with it.
"""

import struct

from cradle_device.apply import Batch
from cradle_device.apply import apply as apply_by
from cradle_device.conversation import FLASH, WORK
from cradle_device.host import HostMetadata, new_core
from cradle_device.host_install import HostInstaller, Newcomer, new_files, vector_of
from cradle_device.metadata import PATH_MAX
from cradle_device.stages import name_of
from cradle_protocol.compat import sha256
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.item import item_id
from cradle_protocol.sync.values import file_value
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.records import decode_apply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_device.conversation import Conversation, Steps
    from cradle_protocol.sync.version import Version

# The elements as `records` declares them, in the form in which most of them come.
_CHANGE = struct.Struct(">BBH")  # tag, flags, length of the identity
_VERSION = struct.Struct(">HIBB")  # key, tick, number of values, length of the first one
_DATA = struct.Struct(">BBHBBH")  # content, then tag, index, flags, length in 8 and 16 bits
_UNITS = 2
_FORM = c.CHANGE, c.IDENTITY | c.VALUES, _UNITS, c.CONTENT_FOLLOWS, c.DATA, c.END
_CHANGE_SIZE, _VALUE_AT, _DATA_SIZE = _CHANGE.size, _VERSION.size, _DATA.size
_VERSION_SIZE = 6  # key and tick
_DIGEST = 32
# Elements between two yields: a poll stays short without a switch per object.
_STRIDE = 32


class HostBatch(Batch):
    """A batch with a short way for new files."""

    def _installer(self) -> HostInstaller:
        return HostInstaller(self.channel, self.entries)

    def take(self, view: memoryview) -> "Steps":
        at, head = 0, bytes(view)
        while at < len(view):
            end = self._take_new(head, view, at)
            if end > at:
                at = end
                yield WORK
                continue
            tag, values, at = decode_apply(view, at, self.channel.meta.units)
            yield FLASH if tag == c.DATA else WORK
            yield from self._element(tag, values)

    def _take_new(self, head: bytes, view: memoryview, at: int) -> int:
        """Take new files, both elements of each, as long as such come. Where the last one ends."""
        if self.committing or self.together or not self._begun or (self.entries and self.entries[-1].waiting):
            return at
        meta: HostMetadata = self.channel.meta  # type: ignore[assignment]
        store = self.channel.store
        if meta.units != _UNITS:
            return at
        self._close_writer()
        files = new_files(store)
        vector = vector_of(meta.knowledge, self.lower, self.upper)
        last = self.ids[-1] if self.ids else b""
        try:
            for _ in range(min(_STRIDE, self._most - len(self.entries))):
                new, (tick, key), index, data, end = _new_file(head, view, at, store.type)
                i = new.id
                if (
                    not self.lower <= i <= self.upper
                    or i <= last
                    or index != len(self.entries)
                    or key >= len(meta.replicas)
                    or meta.has(i)
                    or (meta.knowledge.vector(i) if vector is None else vector).get(key, 0) >= tick
                    or not self._fits(new.size)
                ):
                    break
                files.stage(new, data)
                self.entries.append(new)
                self.ids.append(i)
                last, at = i, end
        except (_NotPlain, StoreError, struct.error, UnicodeError, IndexError):
            pass
        return at


class _NotPlain(Exception):
    """An element has another form, or is not as it should be."""


def _new_file(
    head: bytes, view: memoryview, at: int, object_type: str
) -> "tuple[Newcomer, Version, int, memoryview, int]":
    """(the file, its version, index, content, where it ends) of a change and the whole content behind it.

    head: the bytes of the view, of which slices cost less. Raises _NotPlain, and what structs and slices raise that go
    beyond the end.
    """
    tag, flags, length = _CHANGE.unpack_from(head, at)
    name = at + _CHANGE_SIZE
    middle = name + length
    key, tick, count, width = _VERSION.unpack_from(head, middle)
    value = middle + _VALUE_AT
    mode = value + width
    after = mode + 1 + head[mode]
    follows, piece, index, ending, high, low = _DATA.unpack_from(head, after)
    if (tag, flags, count, follows, piece, ending) != _FORM or not 0 < length <= PATH_MAX:
        raise _NotPlain
    size = high << 16 | low
    start = after + _DATA_SIZE
    end = start + size
    data, digest = view[start:end], head[end : end + _DIGEST]
    content = file_value(size, digest)
    if sha256(data).digest() != digest or head[value:mode] not in (content, content[:-_DIGEST]):
        raise _NotPlain
    raw = head[name:middle]
    identity, version = raw.decode(), (tick, key)
    i = item_id(object_type, identity)
    core = new_core(head[middle : middle + _VERSION_SIZE], content, head[mode:after], raw)
    new = Newcomer(i, identity, name_of(i, version), size, head[mode + 1 : after], core)
    return new, version, index, data, end + _DIGEST


def apply(talk: "Conversation", request: int, body: memoryview, more: bool) -> "Steps":
    """See `apply.apply`."""
    return apply_by(talk, request, body, more, HostBatch)
