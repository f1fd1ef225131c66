"""What the parts of CHANGES_REPLY, APPLY and FETCH_REPLY carry, back to back: change records, elements, segments.

Plain functions on bytes, because there are many records to a message. A record never crosses from one part to the next.
Decoding gives tuples: this room does not know `sync.change.Change`, only its attributes.
"""

import struct

from cradle_protocol.compat import const
from cradle_protocol.errors import BAD_MESSAGE, RemoteError
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.codec import (
    BLOB8,
    DIGEST,
    ID,
    STRING,
    U8,
    U16,
    U32,
    U48,
    VERSION,
    VIEW24,
    functions,
    list_of,
    record,
    when,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol, Sequence

    from cradle_protocol.compat import Bytes

    Version = tuple[int, int]

    class LinkLike(Protocol):
        """What a change's link looks like (`sync.item.Link`)."""

        id: bytes
        created: Version
        base: list[tuple[Version, bytes]]

    class ChangeLike(Protocol):
        """What a change looks like (`sync.change.Change`)."""

        id: bytes
        oid: int
        identity: "str | None"
        dead: bool
        created: Version
        versions: list[Version]
        values: "list[bytes] | None"
        ghost: bool

        @property
        def link(self) -> "LinkLike | None": ...


CHANGE_FIELDS = (
    ("flags", U8),
    ("oid", when(0, c.OID, U32)),
    ("name", when(0, c.IDENTITY, STRING, ID)),
    ("versions", when(0, c.SPREAD, list_of(U8, ("version", VERSION)), VERSION)),
    ("created", when(0, c.CREATED, VERSION)),
    ("values", when(0, c.VALUES, list_of(U8, ("value", BLOB8)))),
    ("link", when(0, c.LINK, record(
        ("id", ID), ("created", VERSION), ("base", list_of(U8, ("version", VERSION), ("value", BLOB8))),
    ))),
)  # fmt: skip
_CHANGE_END = const(7)  # fields of a change record, before those that APPLY adds

BEGIN_FIELDS = (("lower", ID), ("upper", ID), ("flags", U8))
APPLY_CHANGE_FIELDS = CHANGE_FIELDS + (
    ("content", U8),
    ("offset", when(_CHANGE_END, 0xFF, U48, value=c.CONTENT_RESUME)),
)
DATA_FIELDS = (("index", U16), ("flags", U8), ("data", VIEW24), ("digest", when(1, c.END, DIGEST)))
COMMIT_FIELDS = ()
SEGMENT_FIELDS = (("oid", U32), ("flags", U8), ("data", VIEW24), ("digest", when(1, c.END, DIGEST)))

# By the tag octet before each element of APPLY
ELEMENTS = (BEGIN_FIELDS, APPLY_CHANGE_FIELDS, DATA_FIELDS, COMMIT_FIELDS)

_encode_change, _decode_change = functions(CHANGE_FIELDS)
_encode_begin = functions(BEGIN_FIELDS)[0]
_encode_apply_change = functions(APPLY_CHANGE_FIELDS)[0]
_decode_element = tuple([functions(fields)[1] for fields in ELEMENTS])
_decode_segment = functions(SEGMENT_FIELDS)[1]

_TAG_CHANGE = b"\x01"
COMMIT_ELEMENT = b"\x03"


def _record(change: "ChangeLike", oid: int) -> "tuple[Any, ...]":
    """The values of CHANGE_FIELDS that say this change in the fewest bytes; oid 0 is left out."""
    flags, versions = (c.DEAD if change.dead else 0) | (c.OID if oid else 0), change.versions
    name: "str | bytes" = change.id
    if change.identity is not None:
        flags, name = flags | c.IDENTITY, change.identity
    stamp: "Version | list[Version]" = versions[0]
    for version in versions:
        if version != stamp:
            flags, stamp = flags | c.SPREAD, versions
            break
    if change.created != versions[-1]:
        flags |= c.CREATED
    if change.values is not None:
        flags |= c.VALUES
    if change.ghost:
        flags |= c.GHOST
    link = None
    if change.link is not None:
        flags, link = flags | c.LINK, (change.link.id, change.link.created, change.link.base)
    return flags, oid, name, stamp, change.created, change.values, link


def _facts(values: "Sequence[Any]", units: int) -> "tuple[Any, ...]":
    """What `decode_change` promises, out of the values of CHANGE_FIELDS."""
    flags, oid, name, versions, created, unit_values, link = values
    if flags & c.SPREAD:
        if not versions:
            raise RemoteError(BAD_MESSAGE, "a change has no version")
    else:
        versions = [versions] * (units or (len(unit_values) if unit_values else 1))
    identity = name if flags & c.IDENTITY else None
    item_id = None if flags & c.IDENTITY else name
    dead = flags & c.DEAD != 0
    return item_id, oid or 0, identity, dead, created or versions[-1], versions, unit_values, link, flags & c.GHOST != 0


def encode_change(change: "ChangeLike") -> bytes:
    """The record of one change. A living one has its object id: its content can be asked for."""
    return _encode_change(_record(change, 0 if change.dead else change.oid))


def decode_change(view: "Bytes", at: int, units: int = 0) -> "tuple[tuple[Any, ...], int]":
    """The change at `at` and where it ends, as (id, oid, identity, dead, created, versions, values, link,
    ghost).

    id is None where the record has the identity (it follows from it), identity is None where it has the id. link is
    None or (id, created, base). One version for all units is repeated for `units`, or for as many as there are values.
    """
    values, at = _decode_change(view, at)
    return _facts(values, units), at


def encode_begin(lower: bytes, upper: bytes, learn: bool, together: bool = False) -> bytes:
    """The element that begins a batch: changes of ids from `lower` to `upper`, both included."""
    return b"\x00" + _encode_begin((lower, upper, (c.LEARN if learn else 0) | (c.TOGETHER if together else 0)))


def encode_apply_change(change: "ChangeLike", content: int, offset: int = 0) -> bytes:
    """The element that carries one change, and says how its content comes (CONTENT_NONE and so on)."""
    return _TAG_CHANGE + _encode_apply_change(_record(change, 0) + (content, offset))


def data_head(index: int, flags: int, length: int) -> bytes:
    """What comes before `length` bytes of content of change number `index`. With END the SHA-256 comes after them."""
    return struct.pack(">BHBBH", c.DATA, index, flags, length >> 16, length & 0xFFFF)


def decode_apply(view: "Bytes", at: int, units: int = 0) -> "tuple[int, tuple[Any, ...], int]":
    """The element of APPLY at `at`: its tag, its values and where it ends.

    BEGIN   (lower, upper, flags)
    CHANGE  (change as `decode_change` gives it, content, offset or None)
    DATA    (index, flags, data, digest or None); data is a slice of the view
    COMMIT  ()
    """
    tag = view[at] if at < len(view) else 0xFF
    if tag >= len(ELEMENTS):
        raise RemoteError(BAD_MESSAGE, "there is no element %d" % tag)
    values, at = _decode_element[tag](view, at + 1)
    if tag == c.CHANGE:
        if values[_CHANGE_END] > c.CONTENT_STAGED:
            raise RemoteError(BAD_MESSAGE, "content cannot come as %d" % values[_CHANGE_END])
        return tag, (_facts(values[:_CHANGE_END], units), values[_CHANGE_END], values[_CHANGE_END + 1]), at
    return tag, tuple(values), at


def segment_head(oid: int, flags: int, length: int) -> bytes:
    """What comes before `length` bytes of an object's content in FETCH_REPLY. With END the SHA-256 comes after them."""
    return struct.pack(">IBBH", oid, flags, length >> 16, length & 0xFFFF)


def decode_segment(view: "Bytes", at: int) -> "tuple[tuple[Any, ...], int]":
    """The segment of FETCH_REPLY at `at` as (oid, flags, data, digest or None), and where it ends.

    data is a slice of the view; of a failed one it is a single status octet.
    """
    values, at = _decode_segment(view, at)
    if values[1] & c.SEGMENT_FAILED and (values[1] & c.END or len(values[2]) != 1):
        raise RemoteError(BAD_MESSAGE, "a failed segment holds one status")
    return tuple(values), at
