"""Field types and the interpreter that packs and unpacks a table of them. Allocates by no number it reads.

A table is a tuple of (name, type). A type is a tuple that starts with one of the kinds below; `construct` descriptions,
the specification's tables and the compiled functions of CPython are made from the same tuples. Values come and go as a
list or tuple in the order of the table: int, bytes, str, (tick, key), list; None for a field whose flag is not set.
"""

from cradle_protocol.compat import MICROPYTHON, const
from cradle_protocol.errors import BAD_MESSAGE, LIMIT, LocalError, RemoteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from cradle_protocol.compat import Bytes

    Type = tuple[Any, ...]
    Fields = tuple[tuple[str, Type], ...]
    Encode = Callable[[Sequence[Any]], bytes]
    Decode = Callable[[Bytes, int], tuple[Sequence[Any], int]]

UINT = const(0)  # (UINT, size): unsigned, big-endian
FIXED = const(1)  # (FIXED, size): that many bytes
TEXT = const(2)  # (TEXT, size of its length field): UTF-8
BLOB = const(3)  # (BLOB, size of its length field): bytes, copied out
VIEW = const(4)  # (VIEW, size of its length field): bytes, left where they are as a slice of the body
PAIR = const(5)  # (PAIR,): a version, u16 replica key and u32 tick on the wire, (tick, key) as a value
LIST = const(6)  # (LIST, size of its count field, table): one value an element, a tuple if the table has several fields
WHEN = const(7)  # (WHEN, index of a number field, mask, value, type if number & mask == value, type or None if not)
RECORD = const(8)  # (RECORD, table): one tuple

U8 = (UINT, 1)
U16 = (UINT, 2)
U24 = (UINT, 3)
U32 = (UINT, 4)
U48 = (UINT, 6)
ID = (FIXED, 16)
DIGEST = (FIXED, 32)
STRING = (TEXT, 2)
BLOB8 = (BLOB, 1)
BLOB16 = (BLOB, 2)
BLOB32 = (BLOB, 4)
VIEW24 = (VIEW, 3)
VERSION = (PAIR,)

_VERSION_SIZE = const(6)


def list_of(count: "Type", *fields: "tuple[str, Type]") -> "Type":
    """A list with a count of type `count`; its elements have these fields."""
    return (LIST, count[1], fields)


def when(flags: int, mask: int, kind: "Type", otherwise: "Type | None" = None, value: "int | None" = None) -> "Type":
    """`kind` if the number in field `flags` of the same table has `mask` (under it, just `value`), else `otherwise`."""
    return (WHEN, flags, mask, mask if value is None else value, kind, otherwise)


def record(*fields: "tuple[str, Type]") -> "Type":
    """Several fields as one value."""
    return (RECORD, fields)


def least(kind: "Type") -> int:
    """The fewest bytes a value of this type takes: the bound that a count is held against before it is believed."""
    code = kind[0]
    if code in (UINT, FIXED, TEXT, BLOB, VIEW, LIST):
        return int(kind[1])
    if code == PAIR:
        return _VERSION_SIZE
    if code == RECORD:
        return sum(least(field[1]) for field in kind[1])
    return min(least(kind[4]), least(kind[5]) if kind[5] else 0)


def encode(fields: "Fields", values: "Sequence[Any]") -> bytes:
    """The bytes of these values. Raises LocalError for a value that its field cannot hold."""
    if len(values) != len(fields):
        raise LocalError(BAD_MESSAGE, "%d values for %d fields" % (len(values), len(fields)))
    out = bytearray()
    _write_fields(out, fields, values)
    return bytes(out)


def _write_fields(out: bytearray, fields: "Fields", values: "Sequence[Any]") -> None:
    for index in range(len(fields)):
        name, kind = fields[index]
        if kind[0] == WHEN:
            kind = kind[4] if values[kind[1]] & kind[2] == kind[3] else kind[5]
        try:
            if kind is not None:
                _write(out, kind, values[index])
        except (TypeError, ValueError, AttributeError, OverflowError, IndexError):
            raise LocalError(BAD_MESSAGE, "field %s cannot hold its value" % name)


def _write(out: bytearray, kind: "Type", value: "Any") -> None:
    code = kind[0]
    if code == UINT:
        out.extend(value.to_bytes(kind[1], "big"))
    elif code == FIXED:
        if len(value) != kind[1]:
            raise OverflowError
        out.extend(value)
    elif code == PAIR:
        out.extend(value[1].to_bytes(2, "big"))
        out.extend(value[0].to_bytes(4, "big"))
    elif code == LIST:
        out.extend(len(value).to_bytes(kind[1], "big"))
        single = len(kind[2]) == 1
        for element in value:
            _write_fields(out, kind[2], (element,) if single else element)
    elif code == RECORD:
        _write_fields(out, kind[1], value)
    else:
        data = value.encode() if code == TEXT else value
        out.extend(len(data).to_bytes(kind[1], "big"))
        out.extend(data)


def decode(fields: "Fields", view: "Bytes", at: int = 0) -> "tuple[list[Any], int]":
    """The values at `at`, and where they end. Raises RemoteError for what is not a whole, well-formed table."""
    values: list[Any] = []
    for name, kind in fields:
        if kind[0] == WHEN:
            kind = kind[4] if values[kind[1]] & kind[2] == kind[3] else kind[5]
        if kind is None:
            values.append(None)
            continue
        value, at = _read(name, kind, view, at)
        values.append(value)
    return values, at


def _read(name: str, kind: "Type", view: "Bytes", at: int) -> "tuple[Any, int]":
    code = kind[0]
    if code == PAIR:
        end = _end(name, view, at, _VERSION_SIZE)
        return (int.from_bytes(view[at + 2 : end], "big"), int.from_bytes(view[at : at + 2], "big")), end
    if code == RECORD:
        values, at = decode(kind[1], view, at)
        return tuple(values), at
    end = _end(name, view, at, kind[1])
    if code == FIXED:
        return bytes(view[at:end]), end
    number = int.from_bytes(view[at:end], "big")
    if code == UINT:
        return number, end
    if code == LIST:
        return _read_list(name, kind[2], number, view, end)
    at, end = end, _end(name, view, end, number)
    if code == VIEW:
        return memoryview(view)[at:end], end
    if code == BLOB:
        return bytes(view[at:end]), end
    try:
        return str(view[at:end], "utf-8"), end
    except UnicodeError:
        raise RemoteError(BAD_MESSAGE, "field %s is not UTF-8" % name)


def _read_list(name: str, fields: "Fields", count: int, view: "Bytes", at: int) -> "tuple[list[Any], int]":
    if count * least((RECORD, fields)) > len(view) - at:
        raise RemoteError(LIMIT, "field %s counts more than the message holds" % name)
    elements: list[Any] = []
    single = len(fields) == 1
    for _ in range(count):
        values, at = decode(fields, view, at)
        elements.append(values[0] if single else tuple(values))
    return elements, at


def _end(name: str, view: "Bytes", at: int, size: int) -> int:
    if size > len(view) - at:
        raise RemoteError(BAD_MESSAGE, "the message ends inside field %s" % name)
    return at + size


def functions(fields: "Fields") -> "tuple[Encode, Decode]":
    """The two functions of a table: `encode(values)` and `decode(view, at)`. Compiled from it on CPython."""
    if TYPE_CHECKING or not MICROPYTHON:
        from cradle_protocol.wire.compiled import lazily

        return lazily(fields)

    def encode_values(values: "Sequence[Any]") -> bytes:
        return encode(fields, values)

    def decode_values(view: "Bytes", at: int) -> "tuple[Sequence[Any], int]":
        return decode(fields, view, at)

    return encode_values, decode_values
