"""Items as the bytes that a row holds: `mark` is what a scan compares, `body` the versions, values and link. Pure.

    mark    u8 flags (bit 7: dead), stamp
    body    u8 units, version created, units x version, units x (u16 length, value), [link]
    link    16 bytes id, version created, u8 n, n x (version, u16 length, value)
    version u32 tick, u16 key
    intents u32 vectors, each {u16 entries, each u16 key, u32 tick};
            per intent {16 bytes id, u32 oid, u32 vector, u16 + identity, u16 + mark, u32 + body}
Big-endian throughout.
"""

from functools import cache
from struct import Struct

from cradle_protocol.sync.item import Item, Link
from cradle_protocol.sync.version import ID_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.sync.version import Vector, Version

DEAD = 0x80
# Replicas that a question to the database names; versions of others are looked at here.
_MOST_CASES = 64

_VERSION = Struct(">IH")
_ENTRY = Struct(">HI")
_U16 = Struct(">H")
_U32 = Struct(">I")
_INTENT = Struct(f">{ID_SIZE}sIIHHI")


@cache
def _head(units: int) -> Struct:
    """Units, creation version and the version of each unit."""
    return Struct(">B" + "IH" * (units + 1))


# -- packing


def mark_of(item: Item) -> bytes:
    """What a scan has to know of an item."""
    return bytes((item.flags | DEAD if item.dead else item.flags,)) + item.stamp


def body_of(item: Item) -> bytes:
    """All of an item that has no column of its own."""
    numbers: tuple[int, ...] = item.created
    for version in item.versions:
        numbers += version
    units = len(item.versions)
    parts = [_head(units).pack(units, *numbers)]
    for value in item.values:
        parts += _U16.pack(len(value)), value
    if item.link is not None:
        _pack_link(parts, item.link)
    return b"".join(parts)


def _pack_link(parts: "list[bytes]", link: Link) -> None:
    parts.append(link.id + _VERSION.pack(*link.created) + bytes((len(link.base),)))
    for version, value in link.base:
        parts.append(_VERSION.pack(*version) + _U16.pack(len(value)) + value)


def pack_intents(items: "list[Item]", made: "list[Vector]") -> bytes:
    """Intents of one batch; items that share a vector object share its bytes."""
    numbers: dict[int, int] = {}
    vectors: list[bytes] = []
    parts: list[bytes] = []
    for item, vector in zip(items, made, strict=True):
        number = numbers.setdefault(id(vector), len(numbers))
        if number == len(vectors):
            entries = [_ENTRY.pack(key, tick) for key, tick in sorted(vector.items())]
            vectors.append(_U16.pack(len(entries)) + b"".join(entries))
        name, mark, body = item.identity.encode(), mark_of(item), body_of(item)
        parts.append(_INTENT.pack(item.id, item.oid, number, len(name), len(mark), len(body)))
        parts += (name, mark, body)
    return b"".join([_U32.pack(len(vectors)), *vectors, *parts])


# -- unpacking


def item_from(item_id: bytes, oid: int, identity: str, mark: bytes, body: bytes) -> Item:
    """The item that these columns describe."""
    units = body[0]
    head = _head(units)
    numbers = head.unpack_from(body)
    versions: list[Version] = [(numbers[k], numbers[k + 1]) for k in range(3, 3 + 2 * units, 2)]
    values: list[bytes] = []
    at = head.size
    for _ in range(units):
        end = at + 2 + (body[at] << 8 | body[at + 1])
        values.append(body[at + 2 : end])
        at = end
    link = _unpack_link(body, at) if at < len(body) else None
    flags = mark[0]
    return Item(
        item_id, oid, identity, (numbers[1], numbers[2]), versions, values, mark[1:], flags & ~DEAD,
        flags >= DEAD, link,
    )  # fmt: skip


def _unpack_link(body: bytes, at: int) -> Link:
    item_id, created = body[at : at + ID_SIZE], _VERSION.unpack_from(body, at + ID_SIZE)
    at += ID_SIZE + _VERSION.size
    base: list[tuple[Version, bytes]] = []
    count = body[at]
    at += 1
    for _ in range(count):
        tick, key, size = *_VERSION.unpack_from(body, at), *_U16.unpack_from(body, at + _VERSION.size)
        at += _VERSION.size + _U16.size
        base.append(((tick, key), body[at : at + size]))
        at += size
    return Link(item_id, (created[0], created[1]), base)


def unpack_intents(data: bytes) -> "list[tuple[Item, Vector]]":
    """The intents that `pack_intents` packed."""
    vectors, at = _unpack_vectors(data)
    found: list[tuple[Item, Vector]] = []
    while at < len(data):
        item_id, oid, number, name, mark, body = _INTENT.unpack_from(data, at)
        at += _INTENT.size
        ends = at + name, at + name + mark, at + name + mark + body
        columns = data[at : ends[0]].decode(), data[ends[0] : ends[1]], data[ends[1] : ends[2]]
        found.append((item_from(item_id, oid, *columns), dict(vectors[number])))
        at = ends[2]
    return found


def _unpack_vectors(data: bytes) -> "tuple[list[Vector], int]":
    (count,) = _U32.unpack_from(data)
    at = _U32.size
    vectors: list[Vector] = []
    for _ in range(count):
        (entries,) = _U16.unpack_from(data, at)
        at += _U16.size
        end = at + entries * _ENTRY.size
        vectors.append(dict(_ENTRY.iter_unpack(data[at:end])))
        at = end
    return vectors, at


def may_lack(units: int, vector: "Vector") -> str:
    """What SQL has to ask of `body` to leave out most items of which the vector holds every version, and no other item.

    units: of most items; what has another number is not left out.
    """
    asked = [f"substr(body, 1, 1) <> x'{units:02x}'"]
    known = sorted(vector.items())[:_MOST_CASES]
    cases = " ".join(f"WHEN x'{_U16.pack(key).hex()}' THEN {{}} > x'{_U32.pack(tick).hex()}'" for key, tick in known)
    for at in range(2 + _VERSION.size, 2 + _VERSION.size * (units + 1), _VERSION.size):
        tick, key = f"substr(body, {at}, {_U32.size})", f"substr(body, {at + _U32.size}, {_U16.size})"
        asked.append(f"CASE {key} {cases.replace('{}', tick)} ELSE 1 END" if known else "1")
    return " OR ".join(asked)


def lacks(vector: "Vector", body: bytes) -> bool:
    """Has the item a version that the vector does not hold? Reads no more than the versions."""
    numbers = _head(body[0]).unpack_from(body)
    for k in range(3, len(numbers), 2):
        if vector.get(numbers[k + 1], 0) < numbers[k]:
            return True
    return False
