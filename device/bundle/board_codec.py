"""What a board has instead of `cradle_protocol.wire.codec` and its message classes: one codec, a few bytes a message.

A layout is a table of field types as bytes (`layout.py` makes them). An octet is a type: its kind in the high half, in
the low one the size of a number, of a length or of a count, or sixteenths of a fixed size. A list and a record are
followed by their fields and END; WHEN by the index of a number field, a mask, a value and two types, NOTHING among
them. Values are as in `codec`, and so is what is refused.
"""

from cradle_protocol.compat import const
from cradle_protocol.errors import BAD_MESSAGE, LIMIT, LocalError, RemoteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from cradle_protocol.compat import Bytes

UINT = const(0)
FIXED = const(1)
TEXT = const(2)
BLOB = const(3)
VIEW = const(4)
PAIR = const(5)
LIST = const(6)  # from here on more octets than this one
RECORD = const(7)
WHEN = const(8)
NOTHING = const(0xE0)
END = const(0xF0)


def _after(layout: bytes, k: int) -> int:
    """Where the type after the one at k begins."""
    code = layout[k] >> 4
    if code == WHEN:
        return _after(layout, _after(layout, k + 4))
    k += 1
    if code in (LIST, RECORD):
        while layout[k] != END:
            k = _after(layout, k)
        k += 1
    return k


def _chosen(layout: bytes, k: int, values: "Sequence[Any]") -> int:
    """Where the type at k is that counts: of a WHEN one of its two."""
    if layout[k] >> 4 != WHEN:
        return k
    if values[layout[k + 1]] & layout[k + 2] == layout[k + 3]:
        return k + 4
    return _after(layout, k + 4)


def encode(layout: bytes, values: "Sequence[Any]") -> bytes:
    """The bytes of these values. Raises LocalError for a value that its field cannot hold."""
    out = bytearray()
    try:
        _write(out, layout, 0, values)
    except (TypeError, ValueError, AttributeError, OverflowError, IndexError):
        raise LocalError(BAD_MESSAGE)
    return bytes(out)


def _write(out: bytearray, layout: bytes, k: int, values: "Sequence[Any]") -> None:
    for value in values:
        at = _chosen(layout, k, values)
        k = _after(layout, k)
        code, size = layout[at] >> 4, layout[at] & 15
        if code == PAIR:
            out.extend(value[1].to_bytes(2, "big"))
            out.extend(value[0].to_bytes(4, "big"))
        elif code == LIST:
            out.extend(len(value).to_bytes(size, "big"))
            single = layout[_after(layout, at + 1)] == END
            for element in value:
                _write(out, layout, at + 1, (element,) if single else element)
        elif code == RECORD:
            _write(out, layout, at + 1, value)
        elif code == FIXED:
            if len(value) != size << 4:
                raise ValueError
            out.extend(value)
        elif code == UINT:
            out.extend(value.to_bytes(size, "big"))
        elif code <= VIEW:
            data = value.encode() if code == TEXT else value
            out.extend(len(data).to_bytes(size, "big"))
            out.extend(data)


def decode(layout: bytes, view: "Bytes", at: int = 0, k: int = 0) -> "tuple[list[Any], int]":
    """The values at `at`, and where they end. Raises RemoteError for what is not a whole, well-formed table."""
    values: list[Any] = []
    while k < len(layout) and layout[k] != END:
        kind, value = _chosen(layout, k, values), None
        k = _after(layout, k)
        if layout[kind] != NOTHING:
            value, at = _read(layout, kind, view, at)
        values.append(value)
    return values, at


def decode_whole(layout: bytes, body: "Bytes") -> "list[Any]":
    """The values of a whole body. Raises RemoteError for anything else."""
    values, end = decode(layout, body)
    if end != len(body):
        raise RemoteError(BAD_MESSAGE)
    return values


def _read(layout: bytes, k: int, view: "Bytes", at: int) -> "tuple[Any, int]":
    code, size = layout[k] >> 4, layout[k] & 15
    if code == RECORD:
        values, at = decode(layout, view, at, k + 1)
        return tuple(values), at
    end = _end(view, at, size << 4 if code == FIXED else size)
    if code == FIXED:
        return bytes(view[at:end]), end
    number = int.from_bytes(view[at:end], "big")
    if code == UINT:
        return number, end
    if code == PAIR:
        return (int.from_bytes(view[at + 2 : end], "big"), int.from_bytes(view[at : at + 2], "big")), end
    if code == LIST:
        return _read_list(layout, k + 1, number, view, end)
    at, end = end, _end(view, end, number)
    if code == VIEW:
        return memoryview(view)[at:end], end
    if code == BLOB:
        return bytes(view[at:end]), end
    try:
        return str(view[at:end], "utf-8"), end
    except UnicodeError:
        raise RemoteError(BAD_MESSAGE)


def _read_list(layout: bytes, k: int, count: int, view: "Bytes", at: int) -> "tuple[list[Any], int]":
    if count > len(view) - at:  # no element is empty
        raise RemoteError(LIMIT)
    elements: list[Any] = []
    for _ in range(count):
        values, at = decode(layout, view, at, k)
        elements.append(values[0] if len(values) == 1 else tuple(values))
    return elements, at


def _end(view: "Bytes", at: int, size: int) -> int:
    if size > len(view) - at:
        raise RemoteError(BAD_MESSAGE)
    return at + size


def functions(layout: bytes) -> "tuple[Callable[..., bytes], Callable[..., tuple[list[Any], int]]]":
    """The two functions of a layout: `encode(values)` and `decode(view, at)`."""

    def encode_values(values: "Sequence[Any]") -> bytes:
        return encode(layout, values)

    def decode_values(view: "Bytes", at: int) -> "tuple[list[Any], int]":
        return decode(layout, view, at)

    return encode_values, decode_values
