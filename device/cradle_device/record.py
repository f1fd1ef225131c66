"""An item as bytes of a metadata log. Not the wire's form of a change: this one keeps stamp and flags, and is local.

head   16 id · u32 object id · 4 tag (see `index`) · u8 flags · u16 length + stamp
core   u8 form (LINK=1, SPREAD=2, CREATED=4) · u8 units · version, or one per unit with SPREAD ·
       creation version with CREATED, else the first unit's · per unit u8 length + value ·
       with LINK: 16 id, version, u8 count of (version, u8 length + value) · identity to the end
version  u16 key · u32 tick
"""

from struct import pack_into, unpack_from

from cradle_protocol.sync.item import Item, Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.sync.version import Vector, Version

    Keys = list[int] | None

_DEAD = 0x80  # beside the item's own flags
_LINK, _SPREAD, _CREATED = 1, 2, 4
_VERSION = 6
HEAD_SIZE = 27  # with an empty stamp
TAG_AT = 20


def head_size(item: Item) -> int:
    return HEAD_SIZE + len(item.stamp)


def core_size(item: Item, identity: bytes) -> int:
    size = 2 + _VERSION * (len(item.versions) if _spread(item) else 1) + len(identity)
    if item.created != item.versions[0]:
        size += _VERSION
    for value in item.values:
        size += 1 + len(value)
    if item.link is not None:
        size += 17 + _VERSION
        for _, value in item.link.base:
            size += _VERSION + 1 + len(value)
    return size


def _spread(item: Item) -> bool:
    first = item.versions[0]
    for version in item.versions:
        if version != first:
            return True
    return False


def write_head(buffer: bytearray, at: int, item: Item, tag: bytes) -> int:
    """Write the head; returns where it ends."""
    buffer[at : at + 16] = item.id
    pack_into(">I", buffer, at + 16, item.oid)
    buffer[at + TAG_AT : at + TAG_AT + 4] = tag
    buffer[at + 24] = item.flags | (_DEAD if item.dead else 0)
    pack_into(">H", buffer, at + 25, len(item.stamp))
    end = at + HEAD_SIZE + len(item.stamp)
    buffer[at + HEAD_SIZE : end] = item.stamp
    return end


def write_core(buffer: bytearray, at: int, item: Item, identity: bytes) -> int:
    """Write the core; returns where it ends."""
    spread, created = _spread(item), item.created != item.versions[0]
    buffer[at] = (_LINK if item.link is not None else 0) | (_SPREAD if spread else 0) | (_CREATED if created else 0)
    buffer[at + 1] = len(item.versions)
    at += 2
    for version in item.versions if spread else item.versions[:1]:
        at = _put_version(buffer, at, version)
    if created:
        at = _put_version(buffer, at, item.created)
    for value in item.values:
        at = _put_bytes(buffer, at, value)
    if item.link is not None:
        at = _put_link(buffer, at, item.link)
    end = at + len(identity)
    buffer[at:end] = identity
    return end


def _put_version(buffer: bytearray, at: int, version: "Version") -> int:
    pack_into(">HI", buffer, at, version[1], version[0])
    return at + _VERSION


def _put_bytes(buffer: bytearray, at: int, data: bytes) -> int:
    buffer[at] = len(data)
    end = at + 1 + len(data)
    buffer[at + 1 : end] = data
    return end


def _put_link(buffer: bytearray, at: int, link: Link) -> int:
    buffer[at : at + 16] = link.id
    at = _put_version(buffer, at + 16, link.created)
    buffer[at] = len(link.base)
    at += 1
    for version, value in link.base:
        at = _put_bytes(buffer, _put_version(buffer, at, version), value)
    return at


def read_head(buffer: bytearray, at: int, item: Item) -> int:
    """Fill id, oid, flags, dead and stamp of an item; returns where the head ends."""
    item.id = bytes(buffer[at : at + 16])
    (item.oid,) = unpack_from(">I", buffer, at + 16)
    flags = buffer[at + 24]
    item.dead, item.flags = bool(flags & _DEAD), flags & ~_DEAD
    end = head_end(buffer, at)
    item.stamp = bytes(buffer[at + HEAD_SIZE : end])
    return end


def head_end(buffer: bytearray, at: int) -> int:
    """Where the head that begins at `at` ends."""
    return at + HEAD_SIZE + int(unpack_from(">H", buffer, at + 25)[0])


def read_core(buffer: bytearray, at: int, end: int, item: Item, keys: "Keys" = None) -> None:
    """Fill the rest of an item; `keys[k]` stands for replica key k where keys are given."""
    form, units = buffer[at], buffer[at + 1]
    at += 2
    count = units if form & _SPREAD else 1
    versions = []
    for _ in range(count):
        versions.append(_take_version(buffer, at, keys))
        at += _VERSION
    item.versions = versions if form & _SPREAD else versions * units
    item.created = versions[0]
    if form & _CREATED:
        item.created = _take_version(buffer, at, keys)
        at += _VERSION
    values = []
    for _ in range(units):
        value, at = _take_bytes(buffer, at)
        values.append(value)
    item.values, item.link = values, None
    if form & _LINK:
        item.link, at = _take_link(buffer, at, keys)
    item.identity = str(memoryview(buffer)[at:end], "utf-8")


def blank() -> Item:
    """An item to be filled."""
    return Item(b"", 0, "", (0, 0), [], [])


def _take_version(buffer: bytearray, at: int, keys: "Keys") -> "Version":
    key, tick = unpack_from(">HI", buffer, at)
    return tick, key if keys is None or not tick else keys[key]


def _take_bytes(buffer: bytearray, at: int) -> "tuple[bytes, int]":
    end = at + 1 + buffer[at]
    return bytes(buffer[at + 1 : end]), end


def _take_link(buffer: bytearray, at: int, keys: "Keys") -> "tuple[Link, int]":
    target = bytes(buffer[at : at + 16])
    created = _take_version(buffer, at + 16, keys)
    at += 16 + _VERSION
    base = []
    count = buffer[at]
    at += 1
    for _ in range(count):
        version = _take_version(buffer, at, keys)
        value, at = _take_bytes(buffer, at + _VERSION)
        base.append((version, value))
    return Link(target, created, base), at


def write_vector(buffer: bytearray, at: int, vector: "Vector") -> int:
    """A clock vector: u8 count of (u16 key, u32 tick); returns where it ends."""
    buffer[at] = len(vector)
    at += 1
    for key, tick in vector.items():
        at = _put_version(buffer, at, (tick, key))
    return at


def read_vector(buffer: bytearray, at: int, keys: "Keys" = None) -> "tuple[Vector, int]":
    vector: Vector = {}
    count = buffer[at]
    at += 1
    for _ in range(count):
        tick, key = _take_version(buffer, at, keys)
        vector[key] = tick
        at += _VERSION
    return vector, at


def vector_size(vector: "Vector") -> int:
    return 1 + _VERSION * len(vector)
