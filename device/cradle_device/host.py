"""CPython only: the metadata log on a machine with memory. Every item's record is held as the log has it.

The same file as `LogMetadata` writes, readable by either. What differs: nothing is read back from it but after a
restart, an item is packed once, and puts reach the log at `commit`, many in one write. About 350 bytes an item.
"""

from struct import Struct

from cradle_device import record
from cradle_device.host_log import HostLog
from cradle_device.index import tag_of
from cradle_device.log import HEAD, TAIL
from cradle_device.metadata import _DROP, _INTENT, _ITEM, _SHORT, PATH_MAX, LogMetadata
from cradle_protocol.compat import crc32
from cradle_protocol.errors import BAD_NAME, LIMIT, LocalError
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.item import GHOST, IMPLIED, RACY, Item
from cradle_protocol.sync.metadata import ABSENT, DIFFERENT, SAME
from cradle_protocol.sync.version import LOWEST, NEVER, knows_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol

    from cradle_device.log import Log
    from cradle_protocol.sync.knowledge import Knowledge
    from cradle_protocol.sync.slices import Slices
    from cradle_protocol.sync.version import Vector

    class NewItem(Protocol):
        """An item that is new and alive: its id, what `packed_core` says of it; stamp and racy come later."""

        id: bytes
        core: bytes
        stamp: bytes
        racy: bool


_HEAD = Struct(">16sI4sBH")  # as `record` writes it: id, object id, tag, flags, length of the stamp
_PLAIN = Struct(">BBHI")  # the core of most items: no form bits, units, the one version of all of them
_NEW = b"\x00\x02"  # how that begins for two units; the version comes next
_VERSION = Struct(">HI")
_OFFSET = Struct(">I")
_FLAGS_AT, _LENGTH_AT, _STAMP_AT = 24, 25, 27
_DEAD = 0x80
_AWAY = _DEAD | GHOST  # of an item of which the store has no object
_CRC_PART = 0x0FFFFFFF  # of a tag; the flags above it are zero for most items
_RACY_TAG = int.from_bytes(tag_of(Item(b"", 0, "", NEVER, [], [], flags=RACY)), "big")
_NO_TAG = tag_of(Item(b"", 0, "", NEVER, [], []))  # of an item without a stamp
_NO_CRC = -1  # of an intent whose put never asks for it
_LONGEST = 255  # bytes of a value
_STRIDE = 512  # records written between two yields: as many as fill the log's buffer a few times
_COUNTS = [bytes((count,)) for count in range(_LONGEST + 1)]


class HostMetadata(LogMetadata):
    """`Metadata` in a log, held in memory.

    _records    {id: payload of an ITEM record}, as it is now
    _unwritten  ids that were put or dropped and are not in the log yet
    """

    _log: HostLog

    def _open_log(self, path: str, size: int) -> HostLog:
        return HostLog(path, size)

    def _reset(self) -> None:
        super()._reset()
        self._records: dict[bytes, bytes] = {}
        self._unwritten: dict[bytes, None] = {}
        self._met: set[bytes] = set()
        self._oids: dict[int, bytes] | None = None

    # -- items

    def get(self, item_id: bytes) -> "Item | None":
        found = self._records.get(item_id)
        return None if found is None else unpacked(found)

    def has(self, item_id: bytes) -> bool:
        """Is there a record of it?"""
        return item_id in self._records

    def put(self, item: "Item") -> None:
        if len(item.identity.encode()) > PATH_MAX:
            raise StoreError(BAD_NAME, "the path is longer than %d bytes" % PATH_MAX)
        if not item.oid:
            self._oid += 1
            item.oid = self._oid
        self._records[item.id] = packed_head(item) + packed_core(item)
        self._unwritten[item.id] = None
        if self._oids is not None:
            self._oids[item.oid] = item.id

    def drop(self, item_id: bytes) -> None:
        if self._records.pop(item_id, None) is not None:
            self._unwritten[item_id] = None

    def items(self, lower: bytes = LOWEST) -> "Iterator[Item]":
        for item_id in sorted(i for i in self._records if i >= lower):
            yield unpacked(self._records[item_id])

    def lacking(self, knowledge: "Knowledge", lower: bytes = LOWEST) -> "Iterator[Item]":
        for item_id in sorted(i for i in self._records if i >= lower):
            found = self._records[item_id]
            if _lacks(found, knowledge.vector(item_id)):
                yield unpacked(found)

    def implied(self) -> "list[Item]":
        return [unpacked(found) for found in self._records.values() if found[_FLAGS_AT] & IMPLIED]

    def by_oid(self, oid: int) -> "Item | None":
        if self._oids is None:
            self._oids = {unpacked(found).oid: item_id for item_id, found in self._records.items()}
        item = self.get(self._oids.get(oid, b""))
        return item if item is not None and item.oid == oid else None

    def live(self) -> int:
        return sum(1 for found in self._records.values() if not found[_FLAGS_AT] & _AWAY)

    # -- scan marks

    def begin_scan(self) -> None:
        self._met = set()

    def seen(self, item_id: bytes, stamp: bytes) -> int:
        self._met.add(item_id)
        found = self._records.get(item_id)
        if found is None:
            return ABSENT
        flags = found[_FLAGS_AT]
        if flags & IMPLIED:
            return SAME
        if flags & _DEAD:
            return ABSENT
        same = found.startswith(stamp, _STAMP_AT) and found[_LENGTH_AT] << 8 | found[_LENGTH_AT + 1] == len(stamp)
        return SAME if same and not flags & RACY else DIFFERENT

    def unseen(self) -> "Iterator[bytes]":
        met = self._met
        return iter(sorted(i for i, found in self._records.items() if not found[_FLAGS_AT] & _AWAY and i not in met))

    # -- new items of a batch

    def note_new(self, news: "Sequence[tuple[NewItem, Vector]]") -> None:
        """Intents of new items, durable with the `intend` that has to follow."""
        payloads, last, packed = [], None, b""
        for new, vector in news:
            if vector is not last:  # it is one for most of a batch
                last, packed = vector, _vector(vector)
            payloads.append(packed + _HEAD.pack(new.id, 0, _NO_TAG, 0, 0) + new.core)
        for (new, _), offset in zip(news, self._append_all(_INTENT, payloads), strict=True):
            self._intents[new.id] = offset, _NO_CRC

    def put_new(self, news: "Sequence[NewItem]") -> None:
        """Put items that were noted so."""
        records, intents, payloads = self._records, self._intents, []
        for new in news:
            self._oid += 1
            head = _new_head(new, self._oid)
            records[new.id] = head + new.core
            payloads.append(head + _OFFSET.pack(intents[new.id][0]))
        self._append_all(_SHORT, payloads)
        if self._oids is not None:
            self._oids.update(enumerate([new.id for new in news], self._oid - len(news) + 1))

    # -- durability

    def commit(self) -> None:
        log, records, intents = self._log, self._records, self._intents
        for item_id in self._unwritten:
            found = records.get(item_id)
            if found is None:
                log.append(_DROP, item_id)
                continue
            kind, known = _ITEM, intents.get(item_id)
            if known is not None:
                at = _core_at(found)
                if known[1] == crc32(found[at:]):
                    kind, found = _SHORT, found[:at] + _OFFSET.pack(known[0])
            log.append(kind, found)
            self._count(kind, len(found))
        super().commit()
        self._unwritten = {}

    def _write_items(self, old: "Log", keys: "list[int] | None") -> "Slices[None]":
        for n, item_id in enumerate(sorted(self._records)):
            if n % _STRIDE == _STRIDE - 1:
                yield
            found = self._records[item_id]
            if keys is not None:
                item = unpacked(found, keys)
                found = self._records[item_id] = packed_head(item) + packed_core(item)
            self._log.append(_ITEM, found)
            self._count(_ITEM, len(found))

    def _write_intent(self, item: "Item", made: "Vector") -> None:
        core = packed_core(item)
        payload = _vector(made) + packed_head(item) + core
        self._intents[item.id] = self._log.append(_INTENT, payload), crc32(core)
        self._count(_INTENT, len(payload))

    def _items_held(self) -> int:
        return len(self._records)

    def _append_all(self, kind: int, payloads: "list[bytes]") -> "list[int]":
        self._item_bytes += sum(map(len, payloads)) + len(payloads) * (HEAD + TAIL)  # as `_count` does
        if kind != _INTENT:
            self._item_count += len(payloads)
        return self._log.append_all(kind, payloads)

    # -- loading

    def _apply(self, kind: int, offset: int, buffer: bytearray, start: int, end: int) -> None:
        if kind not in (_ITEM, _SHORT, _DROP):
            super()._apply(kind, offset, buffer, start, end)
            return
        item_id = bytes(buffer[start : start + 16])
        if kind == _DROP:
            self._records.pop(item_id, None)
            return
        self._count(kind, end - start)
        found = bytes(buffer[start:end])
        if kind == _SHORT:
            at = _core_at(found)
            found = found[:at] + self._core_of_intent(_OFFSET.unpack_from(found, at)[0])
        self._records[item_id] = found

    def _core_of_intent(self, offset: int) -> bytes:
        _, buffer, start, end = self._log.read(offset)
        return bytes(buffer[record.head_end(buffer, record.read_vector(buffer, start)[1]) : end])


def _core_at(found: bytes) -> int:
    """Where the core begins in a record."""
    return _STAMP_AT + (found[_LENGTH_AT] << 8 | found[_LENGTH_AT + 1])


def _vector(vector: "Vector") -> bytes:
    """A clock vector, as `record.write_vector` writes it."""
    return _COUNTS[len(vector)] + b"".join([_VERSION.pack(key, tick) for key, tick in vector.items()])


def packed_head(item: Item) -> bytes:
    """The head of an item, as `record.write_head` writes it."""
    stamp, flags = item.stamp, item.flags | _DEAD if item.dead else item.flags
    tag = tag_of(item) if flags else (crc32(stamp) & _CRC_PART).to_bytes(4, "big")
    return _HEAD.pack(item.id, item.oid, tag, flags, len(stamp)) + stamp


def _new_head(new: "NewItem", oid: int) -> bytes:
    """The head of a new item, the same as `packed_head` makes of it."""
    stamp = new.stamp
    tag = crc32(stamp) & _CRC_PART
    if new.racy:
        tag |= _RACY_TAG
    return _HEAD.pack(new.id, oid, tag.to_bytes(4, "big"), RACY if new.racy else 0, len(stamp)) + stamp


def new_core(version: "bytes | memoryview", content: bytes, mode: "bytes | memoryview", identity: bytes) -> bytes:
    """The core of a new item of two units: version and mode, the latter with its length, as they came in a change."""
    return b"".join((_NEW, version, _COUNTS[len(content)], content, mode, identity))


def unpacked_new(new: "NewItem") -> Item:
    """A new item as any other."""
    return unpacked(_HEAD.pack(new.id, 0, _NO_TAG, 0, 0) + new.core)


def packed_core(item: Item) -> bytes:
    """The core of an item, as `record.write_core` writes it."""
    identity, versions, values = item.identity.encode(), item.versions, item.values
    if max(map(len, values)) > _LONGEST:
        raise LocalError(LIMIT, "a value is longer than %d bytes" % _LONGEST)
    first = versions[0]
    if item.link is not None or item.created != first or versions.count(first) != len(versions):
        buffer = bytearray(record.core_size(item, identity))
        record.write_core(buffer, 0, item, identity)
        return bytes(buffer)
    parts = [_PLAIN.pack(0, len(versions), first[1], first[0])]
    for value in values:
        parts += _COUNTS[len(value)], value
    parts.append(identity)
    return b"".join(parts)


def unpacked(found: bytes, keys: "list[int] | None" = None) -> Item:
    """The item of a record; `keys[k]` stands for replica key k where keys are given."""
    item_id, oid, _, flags, length = _HEAD.unpack_from(found)
    at = _STAMP_AT + length
    form, units, key, tick = _PLAIN.unpack_from(found, at)
    if form or keys is not None:
        return _unpacked_whole(found, keys)
    at += _PLAIN.size
    values = []
    for _ in range(units):
        end = at + 1 + found[at]
        values.append(found[at + 1 : end])
        at = end
    version = tick, key
    return Item(
        item_id, oid, found[at:].decode(), version, [version] * units, values, found[_STAMP_AT : _STAMP_AT + length],
        flags & ~_DEAD, flags >= _DEAD,
    )  # fmt: skip


def _unpacked_whole(found: bytes, keys: "list[int] | None") -> Item:
    buffer, item = bytearray(found), record.blank()
    record.read_core(buffer, record.read_head(buffer, 0, item), len(buffer), item, keys)
    return item


def _lacks(found: bytes, vector: "Vector") -> bool:
    """Has the item of this record a version that the vector does not hold?"""
    form, _, key, tick = _PLAIN.unpack_from(found, _core_at(found))
    return not knows_all(vector, unpacked(found).versions) if form else vector.get(key, 0) < tick
