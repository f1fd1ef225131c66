"""Replica metadata in a crash-safe log, with a small index in RAM. Not the rules, and not the store it describes.

Theory: every put appends a record and points the index at it; a commit record makes all before it count. What was
appended without a commit is void after a restart, but for the intents and the replica keys they use. An intent holds
the whole item, so that the put that follows its installation is a short record that refers to it. When more than half
of the log is void, `tidy` rewrites it in the order of ids.

    kinds    REPLICA 16 id · ITEM head core · SHORT head, u32 offset of the record with the core · DROP 16 id ·
             KNOWLEDGE u8 (FORGOTTEN=1, MORE=2) bytes · INTEND u32 tick, u32 last oid · INTENT vector head core ·
             COMMIT u32 tick, u32 last oid · NOTE u8 which, bytes
"""

from struct import pack, pack_into, unpack_from

from cradle_device import record
from cradle_device.index import DEAD, IS_DEAD, IS_SAME, MARKED, PREFIX, Index, tag_of
from cradle_device.log import HEAD, SIZE, TAIL, Log
from cradle_protocol.compat import MICROPYTHON, const, crc32
from cradle_protocol.errors import BAD_NAME, LIMIT, LocalError
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.metadata import ABSENT, DIFFERENT, SAME, Metadata
from cradle_protocol.sync.slices import STRIDE, whole
from cradle_protocol.sync.version import LOWEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cradle_protocol.sync.item import Item
    from cradle_protocol.sync.slices import Slices
    from cradle_protocol.sync.version import Vector

_REPLICA = const(1)
_ITEM = const(2)
_SHORT = const(3)
_DROP = const(4)
_KNOWLEDGE = const(5)
_INTEND = const(6)
_INTENT = const(7)
_COMMIT = const(8)
_NOTE = const(9)

_FORGOTTEN, _MORE = const(1), const(2)

# Bytes of the longest identity that a record of the log is sure to hold, with stamp, values and link.
PATH_MAX = 512 if MICROPYTHON else 4096

# Notes: which store, and which piece of hardware, these metadata belong to; the highest time seen.
STORE, HARDWARE, CLOCK = 1, 2, 3

# Bytes of void records below which a log is never rewritten: a rewrite of a small log costs more than it frees.
_SLACK = 16384 if MICROPYTHON else 262144
# A board's exceptions are bounded by its heap: each costs about 150 bytes there.
EXCEPTIONS = 256 if MICROPYTHON else 20000


class LogMetadata(Metadata):
    """`Metadata` on flash. `new_id` becomes the replica's id where the log is new."""

    def __init__(self, path: str, units: int, new_id: bytes, size: int = SIZE, exceptions: int = EXCEPTIONS) -> None:
        super().__init__(new_id, units)
        self._intents: dict[bytes, tuple[int, int]] = {}
        self._notes: dict[int, bytes] = {}
        self._strangers: set[bytes] = set()
        self._committed = self._saved_tick = self._patience = self._written = self._oid = 0
        self._exceptions = exceptions
        self._index = Index()
        self._log = self._open_log(path, size)
        self._load()
        if not self._committed:
            self.replicas = [new_id]
            self.commit()
        elif self._lost:
            self.renew(new_id)

    def _open_log(self, path: str, size: int) -> Log:
        return Log(path, size)

    def close(self) -> None:
        """Let go of the file; what was not committed is lost."""
        self._log.close()

    # -- items

    def get(self, item_id: bytes) -> "Item | None":
        at = self._entry(item_id)
        return None if at < 0 else self._item(self._index.offset(at))

    def put(self, item: "Item") -> None:
        if len(item.identity.encode()) > PATH_MAX:
            raise StoreError(BAD_NAME, "the path is longer than %d bytes" % PATH_MAX)
        at = self._entry(item.id)
        if not item.oid:
            self._oid += 1
            item.oid = self._oid
        tag = tag_of(item)
        offset = self._write(item, tag)
        if at >= 0:
            self._index.replace(at, offset, tag, item.oid)
            return
        met = item.id in self._strangers
        self._index.insert(-1 - at, item.id[:PREFIX], offset, tag, item.oid, MARKED if met else 0)
        if met:
            self._strangers.remove(item.id)

    def drop(self, item_id: bytes) -> None:
        at = self._entry(item_id)
        if at >= 0:
            self._log.append(_DROP, item_id)
            self._index.remove(at)

    def items(self, lower: bytes = LOWEST) -> "Iterator[Item]":
        index = self._index
        at = index.first(lower[:PREFIX])
        while not index.at_end(at):
            item = self._item(index.offset(at))
            at = index.after(at)
            if not index.has_prefix(at, item.id[:PREFIX]):
                if item.id >= lower:
                    yield item
                continue
            group = [item]
            while index.has_prefix(at, item.id[:PREFIX]):
                group.append(self._item(index.offset(at)))
                at = index.after(at)
            for item in sorted(group, key=lambda one: one.id):
                if item.id >= lower:
                    yield item

    def implied(self) -> "list[Item]":
        index = self._index
        return [self._item(index.offset(at)) for at in index.positions() if index.implied(at)]

    def by_oid(self, oid: int) -> "Item | None":
        at = self._index.by_oid(oid)
        return None if at < 0 else self._item(self._index.offset(at))

    def live(self) -> int:
        return self._index.alive

    # -- scan marks

    def begin_scan(self) -> None:
        self._index.unmark()
        self._strangers = set()

    def seen(self, item_id: bytes, stamp: bytes) -> int:
        index = self._index
        prefix = item_id[:PREFIX]
        at = index.first(prefix)
        alone = index.has_prefix(at, prefix) and not index.has_prefix(index.after(at), prefix)
        if alone and index.compare(at, stamp) == IS_SAME:
            index.mark(at)
            return SAME
        at = self._entry(item_id)
        if at < 0:
            self._strangers.add(item_id)
            return ABSENT
        index.mark(at)
        state = index.compare(at, stamp)
        return SAME if state == IS_SAME else ABSENT if state == IS_DEAD else DIFFERENT

    def unseen(self) -> "Iterator[bytes]":
        index = self._index
        for at in index.positions():
            if not index.flags(at) & (MARKED | DEAD):
                yield self._id(index.offset(at))

    # -- durability

    def intend(self, items: "list[Item]", made: "list[Vector]") -> None:
        self._write_replicas()
        self._log.append(_INTEND, pack(">II", self.tick, self._oid))
        for k in range(len(items)):
            self._write_intent(items[k], made[k])
        self._log.flush()

    def pending(self, keys: "list[int] | None" = None) -> "list[tuple[Item, Vector]]":
        """See `Metadata`; `keys[k]` stands for replica key k where keys are given."""
        found = []
        for offset, _ in sorted(self._intents.values()):
            _, buffer, start, _ = self._log.read(offset)
            vector = record.read_vector(buffer, start, keys)[0]
            found.append((self._item(offset, None, keys), vector))
        return found

    def commit(self) -> None:
        self._write_replicas()
        self._write_knowledge(0, self.knowledge)
        self._write_knowledge(_FORGOTTEN, self.forgotten)
        if self._committed == self._log.end and self.tick == self._saved_tick and not self._intents:
            return
        self._log.append(_COMMIT, pack(">II", self.tick, self._oid))
        self._log.flush()
        self._committed, self._saved_tick, self._intents = self._log.end, self.tick, {}

    def tidy(self) -> "Slices[None]":
        """After a commit: rewrite a log of which more than half is void. Dropped in the middle: see `compacting`."""
        if self._log.end > self._patience and self._wasteful():
            try:
                yield from self.compacting()
            except (OSError, MemoryError):
                self.rollback()
                self._patience = self._log.end + _SLACK  # no room for a second log: what is here stays good

    def rollback(self) -> None:
        self._log.reopen()
        self._load()

    # -- what belongs to the store as a whole

    def note(self, which: int) -> bytes:
        """A remembered note, b"" if there is none."""
        return self._notes.get(which, b"")

    def set_note(self, which: int, data: bytes) -> None:
        """Remember a note; durable with the next commit."""
        if self.note(which) != data:
            self._notes[which] = data
            self._log.append(_NOTE, bytes([which]) + data)

    def renew(self, replica_id: bytes) -> None:
        """Become a new replica before anything is stamped (a clone, a restored store): what was ours is another's."""
        keys = list(range(len(self.replicas)))
        keys[0] = len(keys)
        self.replicas = [replica_id] + self.replicas[1:] + self.replicas[:1]
        self.knowledge = Knowledge.from_bytes(self.knowledge.to_bytes(), keys, self._exceptions)
        self.forgotten = Knowledge.from_bytes(self.forgotten.to_bytes(), keys, self._exceptions)
        self.tick = 0
        self.compact(keys)

    def compact(self, keys: "list[int] | None" = None) -> None:
        """`compacting` in one go."""
        whole(self.compacting(keys))

    def compacting(self, keys: "list[int] | None" = None) -> "Slices[None]":
        """Rewrite the log with what counts, in slices. Raises OSError if there is no room for it.

        The index goes over to the new log entry by entry: after a failure, or if this is dropped in the middle, only
        the old log is right; roll back, or open it again.
        """
        old, intents = self._log, self.pending(keys)
        log = self._log = old.successor()
        done = False
        try:
            self._item_bytes = self._item_count = 0
            yield from self._write_all(old, intents, keys)
            self._log = old
            old.rewrite(log)
            done = True
        finally:
            if not done:
                self._log = old
                log.abandon()

    # -- reading

    def _entry(self, item_id: bytes) -> int:
        """Position of the item's entry; if it has none, -1 less the position where it belongs."""
        prefix = item_id[:PREFIX]
        first = at = self._index.first(prefix)
        while self._index.has_prefix(at, prefix):
            if self._id(self._index.offset(at)) == item_id:
                return at
            at = self._index.after(at)
        return -1 - first

    def _id(self, offset: int) -> bytes:
        _, buffer, start, _ = self._log.read(offset)
        return bytes(buffer[start : start + 16])

    def _item(self, offset: int, log: "Log | None" = None, keys: "list[int] | None" = None) -> "Item":
        log = log or self._log
        item = record.blank()
        kind, buffer, start, end = log.read(offset)
        if kind == _INTENT:
            start = record.read_vector(buffer, start)[1]
        at = record.read_head(buffer, start, item)
        if kind == _SHORT:
            kind, buffer, start, end = log.read(unpack_from(">I", buffer, at)[0])
            start = record.read_vector(buffer, start)[1]
            at = record.head_end(buffer, start)
        record.read_core(buffer, at, end, item, keys)
        return item

    # -- writing

    def _write(self, item: "Item", tag: bytes) -> int:
        """Append the item, in short where an intent holds its core; returns the record's offset."""
        log, identity = self._log, item.identity.encode()
        _check(item)
        head, core = record.head_size(item), record.core_size(item, identity)
        start = log.reserve(head + core)
        at = record.write_head(log.buffer, start, item, tag)
        end = record.write_core(log.buffer, at, item, identity)
        known = self._intents.get(item.id)
        if known is not None and known[1] == crc32(memoryview(log.buffer)[at:end]):
            pack_into(">I", log.buffer, at, known[0])
            self._count(_SHORT, head + 4)
            return log.finish(_SHORT, head + 4)
        self._count(_ITEM, head + core)
        return log.finish(_ITEM, head + core)

    def _write_intent(self, item: "Item", made: "Vector") -> None:
        log, identity = self._log, item.identity.encode()
        _check(item)
        size = record.vector_size(made) + record.head_size(item) + record.core_size(item, identity)
        start = log.reserve(size)
        at = record.write_head(log.buffer, record.write_vector(log.buffer, start, made), item, tag_of(item))
        end = record.write_core(log.buffer, at, item, identity)
        crc = crc32(memoryview(log.buffer)[at:end])
        self._intents[item.id] = log.finish(_INTENT, size), crc
        self._count(_INTENT, size)

    def _write_replicas(self) -> None:
        for replica_id in self.replicas[self._written :]:
            self._log.append(_REPLICA, replica_id)
        self._written = len(self.replicas)

    def _write_knowledge(self, which: int, knowledge: "Knowledge") -> None:
        """Append knowledge in pieces that a record can hold, unless it is as it was."""
        data = knowledge.to_bytes()
        crc = crc32(data)
        if self._crcs[which] == crc:
            return
        self._crcs[which] = crc
        log, step = self._log, self._log.limit - 1
        for at in range(0, len(data), step):
            piece = memoryview(data)[at : at + step]
            start = log.reserve(1 + len(piece))
            log.buffer[start] = which | (_MORE if at + step < len(data) else 0)
            log.buffer[start + 1 : start + 1 + len(piece)] = piece
            log.finish(_KNOWLEDGE, 1 + len(piece))

    def _write_all(self, old: "Log", intents: "list[tuple[Item, Vector]]", keys: "list[int] | None") -> "Slices[None]":
        """Everything that counts, in a fresh log."""
        self._written, self._crcs, self._intents = 0, [-1, -1], {}
        self._write_replicas()
        for which, data in self._notes.items():
            self._log.append(_NOTE, bytes([which]) + data)
        yield from self._write_items(old, keys)
        self._write_knowledge(0, self.knowledge)
        self._write_knowledge(_FORGOTTEN, self.forgotten)
        self._log.append(_COMMIT, pack(">II", self.tick, self._oid))
        self._committed, self._saved_tick = self._log.end, self.tick
        if intents:
            self._log.append(_INTEND, pack(">II", self.tick, self._oid))
        for item, made in intents:
            self._write_intent(item, made)

    def _write_items(self, old: "Log", keys: "list[int] | None") -> "Slices[None]":
        index = self._index
        for n, at in enumerate(index.positions()):
            if n % STRIDE == STRIDE - 1:
                yield
            item = self._item(index.offset(at), old, keys)
            index.move(at, self._write(item, tag_of(item)))

    def _items_held(self) -> int:
        return self._index.count

    def _count(self, kind: int, size: int) -> None:
        """Keep the books by which `_wasteful` decides."""
        self._item_bytes += HEAD + size + TAIL
        if kind != _INTENT:
            self._item_count += 1

    def _wasteful(self) -> bool:
        """Is more than half of the log, beyond the slack, void? By the average size of an item's records."""
        if not self._item_count:
            return self._log.end > _SLACK
        alive = self._items_held() * (self._item_bytes // self._item_count)
        return self._log.end > 2 * alive + _SLACK

    # -- loading

    def _load(self) -> None:
        """Read the whole log. A tail that does not count, or is torn, is cut off by a rewrite."""
        clean = self._replay(None)
        self._lost = False
        if self._log.torn:
            from cradle_device.damage import hides_a_commit  # seldom needed, so a board loads it only then

            self._lost = hides_a_commit(self._log, _COMMIT, self.tick)
        if not clean:
            self._replay(self._committed)
            if self._committed:
                self.compact()
            else:
                self._log.restart()

    def _replay(self, limit: "int | None") -> bool:
        """Fill everything from the log; items from `limit` on do not count. False if the tail must be cut off."""
        self._reset()
        loose, durable = False, 0
        for offset, kind, buffer, start, end in self._log.replay():
            if kind in (_COMMIT, _INTEND):
                self.tick, self._oid = unpack_from(">II", buffer, start)
                durable = len(self.replicas)
                if kind == _COMMIT:
                    self._intents = {}
                    self._committed, self._saved_tick = offset + HEAD + end - start + TAIL, self.tick
                    loose = False
            elif kind == _INTENT:
                self._note_intent(offset, buffer, start)
                self._count(kind, end - start)
            elif kind == _REPLICA:
                self.replicas.append(bytes(buffer[start:end]))
            elif limit is None or offset < limit:
                loose = True
                self._apply(kind, offset, buffer, start, end)
        loose = loose or len(self.replicas) > durable
        self.replicas = self.replicas[:durable]
        self._written = durable
        self._adopt_knowledge()
        return not loose and not self._log.torn

    def _reset(self) -> None:
        self._index.clear()
        self.replicas = []
        self._intents, self._notes, self._strangers = {}, {}, set()
        self._raw = [bytearray(), bytearray()]
        self._open_raw = [False, False]
        self._crcs = [-1, -1]
        self.tick = self._oid = self._written = self._committed = self._saved_tick = 0
        self._item_bytes = self._item_count = self._patience = 0

    def _apply(self, kind: int, offset: int, buffer: bytearray, start: int, end: int) -> None:
        if kind == _KNOWLEDGE:
            self._collect(buffer[start], buffer[start + 1 : end])
        elif kind == _NOTE:
            self._notes[buffer[start]] = bytes(buffer[start + 1 : end])
        else:
            item_id = bytes(buffer[start : start + 16])
            if kind == _DROP:
                at = self._entry(item_id)
                if at >= 0:
                    self._index.remove(at)
                return
            (oid,) = unpack_from(">I", buffer, start + 16)
            tag = bytes(buffer[start + record.TAG_AT : start + record.TAG_AT + 4])
            self._count(kind, end - start)
            at = self._entry(item_id)
            if at >= 0:
                self._index.replace(at, offset, tag, oid)
            else:
                self._index.insert(-1 - at, item_id[:PREFIX], offset, tag, oid)

    def _note_intent(self, offset: int, buffer: bytearray, start: int) -> None:
        """Remember where an intent is; without the CRC of its core, which no short record needs after a restart."""
        start = record.read_vector(buffer, start)[1]
        self._intents[bytes(buffer[start : start + 16])] = offset, -1

    def _collect(self, flags: int, data: bytearray) -> None:
        which = flags & _FORGOTTEN
        if self._open_raw[which]:
            self._raw[which] += data
        else:
            self._raw[which] = data
        self._open_raw[which] = bool(flags & _MORE)

    def _adopt_knowledge(self) -> None:
        found = []
        for which in (0, _FORGOTTEN):
            raw = bytes(self._raw[which])
            found.append(Knowledge.from_bytes(raw, None, self._exceptions) if raw else Knowledge(self._exceptions))
            self._crcs[which] = crc32(raw) if raw else -1
        self.knowledge, self.forgotten = found
        self._raw = [bytearray(), bytearray()]


def _check(item: "Item") -> None:
    """Lengths that one byte must hold: MicroPython would cut them silently."""
    longest = 0
    for value in item.values:
        longest = max(longest, len(value))
    if longest > 255:
        raise LocalError(LIMIT, "a value is longer than 255 bytes")
