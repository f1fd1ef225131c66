"""Knowledge: the set of versions that a replica has or has superseded, in compact form. Not a log, not a list of items.

A clock vector {key: tick} per range of item ids, and exceptions for single items (usually lower: something failed
there). Looked up in the order exception, range. Ranges are kept as sorted lower bounds, the first of which is always
LOWEST; a range ends before the next lower bound, the last one includes HIGHEST.

Layout on the wire and on flash, big-endian:
    u16 ranges, each {16 bytes lower bound, u8 entries, entries x {u16 key, u32 tick}}
    u16 exceptions, each {16 bytes item id, u8 entries, entries x {u16 key, u32 tick}}

Source: Microsoft Sync Framework's SyncKnowledge (clock vectors with overrides); Malkhi and Terry, "Concise Version
Vectors in WinFS", DISC 2005.
"""

from struct import pack_into, unpack_from

from cradle_protocol.errors import BAD_MESSAGE, LIMIT, RemoteError
from cradle_protocol.sync.version import ID_SIZE, LOWEST, covers, join, knows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.sync.version import Vector, Version

    Point = tuple[bytes, dict[int, int]]

# A desktop meets devices with some thousands of failing items at the worst; 20,000 exceptions of 30 bytes are 600 KB.
MAX_EXCEPTIONS = 20000
# Ranges appear one by one as batches are interrupted and vanish when a pass ends; more means a hostile peer.
MAX_RANGES = 4096
# A vector entry costs six bytes in each range: 255 replicas is what one count byte can say. Entries beyond are not
# written (that understates); key 0, the owner's, always is.
MAX_ENTRIES = 255
_ENTRY = 6
_POINT = ID_SIZE + 1


def after(item_id: bytes) -> "bytes | None":
    """The id that follows `item_id` in byte order; None after the highest."""
    number = bytearray(item_id)
    for k in range(len(number) - 1, -1, -1):
        if number[k] != 255:
            number[k] += 1
            return bytes(number)
        number[k] = 0
    return None


class Knowledge:
    """Mutable knowledge of one replica. `limit` bounds the exceptions; at the bound a range is not learned at all."""

    def __init__(self, limit: int = MAX_EXCEPTIONS) -> None:
        self.limit = limit
        self.lowers: list[bytes] = [LOWEST]
        self.vectors: list[Vector] = [{}]
        self.exceptions: dict[bytes, Vector] = {}

    def copy(self) -> "Knowledge":
        """A copy that shares nothing."""
        twin = Knowledge(self.limit)
        twin.lowers = list(self.lowers)
        twin.vectors = [dict(v) for v in self.vectors]
        twin.exceptions = {i: dict(v) for i, v in self.exceptions.items()}
        return twin

    # -- questions

    def vector(self, item_id: bytes) -> "Vector":
        """The clock vector that holds for one item. Not a copy: do not change it."""
        found = self.exceptions.get(item_id) if self.exceptions else None
        if found is not None:
            return found
        return self.vectors[self._at(item_id)]

    def knows(self, item_id: bytes, version: "Version") -> bool:
        """Does the replica have, or has it superseded, this version of this item?"""
        return knows(self.vector(item_id), version)

    def contains(self, other: "Knowledge") -> bool:
        """Is everything that `other` holds held here as well?"""
        for lower in _merged(self.lowers, other.lowers):
            if not covers(self.vectors[self._at(lower)], other.vectors[other._at(lower)]):
                return False
        for ids in (self.exceptions, other.exceptions):
            for item_id in ids:
                if not covers(self.vector(item_id), other.vector(item_id)):
                    return False
        return True

    def lowest(self) -> "Vector":
        """For every replica the tick that is held everywhere: what an indexed search may skip."""
        least = dict(self.vectors[0])
        for vector in self.vectors[1:] + list(self.exceptions.values()):
            _lower_to(least, vector)
        return least

    # -- changes

    def raise_own(self, key: int, tick: int) -> None:
        """Local changes are known wherever they are: raise one entry in every range and exception."""
        for vector in self.vectors:
            if tick > vector.get(key, 0):
                vector[key] = tick
        for vector in self.exceptions.values():
            if tick > vector.get(key, 0):
                vector[key] = tick
        self._compact()

    def learn(self, lower: bytes, upper: bytes, other: "Knowledge", skipped: "list[bytes]" = []) -> bool:  # noqa: B006
        """Learn what `other` holds in the closed range, but for the skipped items, whose knowledge stays as it is.

        Returns False, with nothing changed, if that would need more exceptions than the limit allows.
        """
        if lower == upper:  # one item alone is an exception, never two more ranges
            return lower in skipped or self.learn_item(lower, other.vector(lower))
        stay = {i: dict(self.vector(i)) for i in skipped}
        points = {i: dict(self.vector(i)) for i in other.exceptions if lower <= i <= upper and i not in stay}
        kept = self._exceptions_beside(lower, upper, other, points, stay)
        old = self.lowers, self.vectors, self.exceptions
        self.vectors = [dict(v) for v in self.vectors]
        self.lowers = list(self.lowers)
        self._join_ranges(lower, upper, other)
        self.exceptions = kept
        self._compact()
        if len(self.exceptions) <= self.limit and len(self.lowers) <= MAX_RANGES:
            return True
        self.lowers, self.vectors, self.exceptions = old
        return False

    def learn_item(self, item_id: bytes, vector: "Vector") -> bool:
        """Learn a vector for one item alone. False, with nothing changed, if that needs an exception too many."""
        mine = dict(self.vector(item_id))
        join(mine, vector)
        return self._set(item_id, mine)

    def forget_item(self, item_id: bytes) -> None:
        """Drop all knowledge of one item: whatever is known of it elsewhere will be sent again.

        If that needs an exception too many, the range that holds the item is forgotten as well: never rounded up.
        """
        if not self._set(item_id, {}):
            self.vectors[self._at(item_id)] = {}
            self._compact()

    def cap(self, most: "Vector") -> None:
        """Hold nothing beyond this vector anywhere."""
        for vector in self.vectors + list(self.exceptions.values()):
            for key in list(vector):
                vector[key] = min(vector[key], most.get(key, 0))
                if not vector[key]:
                    del vector[key]
        self._compact()

    # -- bytes

    def to_bytes(self, keys: "dict[int, int] | None" = None) -> bytes:
        """Encode; `keys` maps our keys to the reader's. A key without a mapping is left out (that understates)."""
        size = 4
        for vector in self.vectors:
            size += _POINT + _ENTRY * len(vector)
        for vector in self.exceptions.values():
            size += _POINT + _ENTRY * len(vector)
        out = bytearray(size)  # in one piece: a board has no room for the bytes of each point apart
        pack_into(">H", out, 0, len(self.lowers))
        at = 2
        for k, lower in enumerate(self.lowers):
            at = _write(out, at, lower, self.vectors[k], keys)
        pack_into(">H", out, at, len(self.exceptions))
        at += 2
        for item_id in sorted(self.exceptions):
            at = _write(out, at, item_id, self.exceptions[item_id], keys)
        return bytes(memoryview(out)[:at])

    @classmethod
    def from_bytes(
        cls, data: "bytes | bytearray | memoryview", keys: "list[int] | None" = None, limit: int = MAX_EXCEPTIONS
    ) -> "Knowledge":
        """Decode; `keys[k]` is our key for the writer's key k. Raises RemoteError for anything malformed.

        Exceptions beyond our limit are folded into their ranges, which then hold less: that understates.
        """
        made = cls(limit)
        view = memoryview(data)
        ranges, at = _read(view, 0, MAX_RANGES, keys)
        points, at = _read(view, at, MAX_EXCEPTIONS, keys)
        if at != len(view) or not ranges or ranges[0][0] != LOWEST or not _ascends(ranges) or not _ascends(points):
            raise RemoteError(BAD_MESSAGE, "knowledge is malformed")
        made.lowers = [lower for lower, _ in ranges]
        made.vectors = [vector for _, vector in ranges]
        for item_id, vector in points[:limit]:
            made.exceptions[item_id] = vector
        for item_id, vector in points[limit:]:
            _lower_to(made.vectors[made._at(item_id)], vector)
        made._compact()
        return made

    # -- inside

    def _at(self, item_id: bytes) -> int:
        """Index of the range that holds an id: bisection for the last lower bound not above it."""
        low, high = 0, len(self.lowers)
        while high - low > 1:
            middle = (low + high) // 2
            if self.lowers[middle] <= item_id:
                low = middle
            else:
                high = middle
        return low

    def _cut(self, bound: "bytes | None") -> None:
        """Make `bound` the lower bound of a range of its own."""
        if bound is None:
            return
        k = self._at(bound)
        if self.lowers[k] != bound:
            self.lowers.insert(k + 1, bound)
            self.vectors.insert(k + 1, dict(self.vectors[k]))

    def _join_ranges(self, lower: bytes, upper: bytes, other: "Knowledge") -> None:
        self._cut(lower)
        self._cut(after(upper))
        for bound in other.lowers:
            if lower < bound <= upper:
                self._cut(bound)
        for k, bound in enumerate(self.lowers):
            if lower <= bound <= upper:
                join(self.vectors[k], other.vectors[other._at(bound)])

    def _exceptions_beside(
        self, lower: bytes, upper: bytes, other: "Knowledge", points: "dict[bytes, Vector]", stay: "dict[bytes, Vector]"
    ) -> "dict[bytes, Vector]":
        """The exceptions after learning: ours and theirs joined inside the range, ours as they were outside it."""
        kept = {i: dict(v) for i, v in self.exceptions.items()}
        kept.update(points)
        for item_id, vector in kept.items():
            if lower <= item_id <= upper and item_id not in stay:
                join(vector, other.vector(item_id))
        kept.update(stay)
        return kept

    def _set(self, item_id: bytes, vector: "Vector") -> bool:
        """Make this the vector of one item; False, with nothing changed, if that is an exception too many."""
        if vector == self.vectors[self._at(item_id)]:
            self.exceptions.pop(item_id, None)
        elif item_id in self.exceptions or len(self.exceptions) < self.limit:
            self.exceptions[item_id] = vector
        else:
            return False
        return True

    def _compact(self) -> None:
        """Drop exceptions that say what their range says, and join neighbouring ranges that say the same."""
        for item_id in [i for i, v in self.exceptions.items() if v == self.vectors[self._at(i)]]:
            del self.exceptions[item_id]
        k = 1
        while k < len(self.lowers):
            if self.vectors[k] == self.vectors[k - 1]:
                self.lowers.pop(k)
                self.vectors.pop(k)
            else:
                k += 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Knowledge) and self.contains(other) and other.contains(self)

    def __hash__(self) -> int:
        raise TypeError("knowledge is mutable")

    def __repr__(self) -> str:
        return "Knowledge(%r, %r, %r)" % (self.lowers, self.vectors, self.exceptions)


def everything(vector: "Vector") -> Knowledge:
    """Knowledge of one range that holds `vector` for every item."""
    made = Knowledge()
    made.vectors[0] = dict(vector)
    return made


def _merged(a: "list[bytes]", b: "list[bytes]") -> "list[bytes]":
    return sorted(set(a) | set(b))


def _ascends(points: "list[Point]") -> bool:
    """Are the ids in ascending order, each once?"""
    for k in range(1, len(points)):
        if points[k - 1][0] >= points[k][0]:
            return False
    return True


def _lower_to(vector: "Vector", other: "Vector") -> None:
    """Lower `vector`, in place, to the component-wise minimum of both."""
    for key in list(vector):
        tick = min(vector[key], other.get(key, 0))
        if tick:
            vector[key] = tick
        else:
            vector.pop(key)


def _write(out: bytearray, at: int, item_id: bytes, vector: "Vector", keys: "dict[int, int] | None") -> int:
    """One point, at an index; the index behind it."""
    pairs = [(key if keys is None else keys.get(key, -1), tick) for key, tick in vector.items()]
    pairs = sorted([(key, tick) for key, tick in pairs if key >= 0 and tick])[:MAX_ENTRIES]
    out[at : at + ID_SIZE] = item_id
    at += ID_SIZE
    out[at] = len(pairs)
    at += 1
    for key, tick in pairs:
        pack_into(">HI", out, at, key, tick)
        at += _ENTRY
    return at


def _read(view: memoryview, at: int, most: int, keys: "list[int] | None") -> "tuple[list[Point], int]":
    """One counted list of (id, vector). Every count is checked against what is really there before it is believed."""
    if len(view) < at + 2:
        raise RemoteError(BAD_MESSAGE, "knowledge is cut short")
    (count,) = unpack_from(">H", view, at)
    if count > most:
        raise RemoteError(LIMIT, "knowledge has more parts than the limit of %d" % most)
    at += 2
    found: list[Point] = []
    for _ in range(count):
        if len(view) < at + ID_SIZE + 1 or len(view) < at + ID_SIZE + 1 + _ENTRY * view[at + ID_SIZE]:
            raise RemoteError(BAD_MESSAGE, "knowledge is cut short")
        item_id = bytes(view[at : at + ID_SIZE])
        entries = view[at + ID_SIZE]
        at += ID_SIZE + 1
        vector: Vector = {}
        for _ in range(entries):
            key, tick = unpack_from(">HI", view, at)
            at += _ENTRY
            if keys is not None:
                if key >= len(keys):
                    raise RemoteError(BAD_MESSAGE, "knowledge names an unknown replica key")
                key = keys[key]
            if key in vector:
                raise RemoteError(BAD_MESSAGE, "knowledge names a replica twice")
            if tick:
                vector[key] = tick
        found.append((item_id, vector))
    return found, at


__all__ = ["Knowledge", "after", "everything"]
