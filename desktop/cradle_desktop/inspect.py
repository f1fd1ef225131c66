"""The wire as `construct` describes it, and captures in words. For people and for tests; no session goes through here.

The descriptions are made from the same tables as the codec of `cradle_protocol`, by other code of other authors: where
the two disagree on any bytes, one of them is wrong. A capture is decoded with them, a line for each frame, message,
record and piece of console text.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from cradle_desktop.capture import CaptureError, read_capture
from cradle_protocol.wire import codec, framing
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.message import Message
from cradle_protocol.wire.messages import filter, notice, pairing, records, session, stream, sync
from cradle_protocol.wire.parameters import Parameters

try:
    import construct
except ImportError as error:
    raise CaptureError("Reading a trace needs the extra 'trace': pip install 'cradlesync[trace]'.") from error

Fields = tuple[tuple[str, tuple[Any, ...]], ...]

MESSAGES: dict[int, type[Message]] = {
    cls.KIND: cls
    for cls in (
        *session.MESSAGES,
        *pairing.MESSAGES,
        *sync.MESSAGES,
        *filter.MESSAGES,
        *stream.MESSAGES,
        *notice.MESSAGES,
    )
}
# Kinds whose parts carry records, with the table of a record.
RECORDS: dict[int, tuple[str, Fields]] = {
    c.CHANGES_REPLY: ("CHANGES_REPLY", records.CHANGE_FIELDS),
    c.FETCH_REPLY: ("FETCH_REPLY", records.SEGMENT_FIELDS),
}
# Kinds whose records have a tag before each: the name and the table of each tag.
ELEMENTS: dict[int, tuple[str, tuple[tuple[str, Fields], ...]]] = {
    c.APPLY: ("APPLY", tuple(zip(("BEGIN", "CHANGE", "DATA", "COMMIT"), records.ELEMENTS, strict=True))),
    c.STREAM_ROWS: ("STREAM_ROWS", tuple(zip(("ROW", "MARK", "GAP"), stream.STREAM_ELEMENTS, strict=True))),
}

# Fields that a trace must not show, because a trace is given away: kind of the message, name of the field.
SECRET = {(c.PAIR_CABLE, "key")}
SHOWN_BYTES = 20  # of a value; a line stays a line


# --- construct, from the tables --------------------------------------------------------------------------------------


@cache
def describe(fields: Fields) -> Any:
    """The construct of a table."""
    return construct.Struct(*(name / _construct(kind, fields) for name, kind in fields))


def _construct(kind: tuple[Any, ...], fields: Fields) -> Any:
    match kind[0]:
        case codec.UINT:
            return construct.BytesInteger(kind[1])
        case codec.FIXED:
            return construct.Bytes(kind[1])
        case codec.TEXT:
            return construct.PascalString(construct.BytesInteger(kind[1]), "utf8")
        case codec.BLOB | codec.VIEW:
            return construct.Prefixed(construct.BytesInteger(kind[1]), construct.GreedyBytes)
        case codec.PAIR:
            return _version()
        case codec.LIST:
            return construct.PrefixedArray(construct.BytesInteger(kind[1]), _element(kind[2]))
        case codec.RECORD:
            return describe(kind[1])
        case _:
            return _choice(kind, fields)


def _element(fields: Fields) -> Any:
    return _construct(fields[0][1], fields) if len(fields) == 1 else describe(fields)


def _version() -> Any:
    return construct.ExprAdapter(
        construct.Sequence(construct.Int16ub, construct.Int32ub),
        lambda pair, _: (pair[1], pair[0]),
        lambda version, _: (version[1], version[0]),
    )


def _choice(kind: tuple[Any, ...], fields: Fields) -> Any:
    _, index, mask, value, then, otherwise = kind
    name = fields[index][0]
    return construct.IfThenElse(
        lambda context: context[name] & mask == value,
        _construct(then, fields),
        construct.Pass if otherwise is None else _construct(otherwise, fields),
    )


def build(fields: Fields, values: Iterable[Any]) -> bytes:
    """The bytes of a table's values by construct."""
    made: bytes = describe(fields).build(_named(fields, values))
    return made


def _named(fields: Fields, values: Iterable[Any]) -> dict[str, Any]:
    return {name: _inside(kind, value) for (name, kind), value in zip(fields, values, strict=True)}


def _inside(kind: tuple[Any, ...], value: Any) -> Any:
    """Tuples of records as construct wants them, by name."""
    if kind[0] == codec.WHEN and value is not None:
        return _inside(kind[4], value)
    if kind[0] == codec.LIST and isinstance(value, list):
        single = len(kind[2]) == 1
        return [_inside(kind[2][0][1], element) if single else _named(kind[2], element) for element in value]
    if kind[0] == codec.RECORD and value is not None:
        return _named(kind[1], value)
    return value


def parse(fields: Fields, data: bytes) -> tuple[list[Any], int]:
    """The values at the start of `data` by construct, and where they end. Raises construct.ConstructError."""
    sized = construct.Struct("values" / describe(fields), "end" / construct.Tell)
    found = sized.parse(data)
    return [_plain(found["values"][name]) for name, _ in fields], found["end"]


def _plain(value: Any) -> Any:
    if isinstance(value, construct.ListContainer | list):
        return [_plain(element) for element in value]
    if isinstance(value, dict):
        return tuple(_plain(value[name]) for name in value if name != "_io")
    return value


# --- captures in words -----------------------------------------------------------------------------------------------


def decode_capture(path: Path) -> Iterator[str]:
    """The lines of a capture. Raises CaptureError for a file that is none, or is cut short."""
    with open(path, "rb") as file:
        serial, found = read_capture(file)
        sources: dict[bool, _Source] = {way: _Line() if serial else _Messages() for way in (True, False)}
        for record in found:
            for line in sources[record.to_device].lines(record.data):
                yield f"{record.ms / 1000:9.3f}  {'->' if record.to_device else '<-'}  {line}"


class _Source(Protocol):
    """What makes lines of one direction's bytes."""

    def lines(self, data: bytes) -> Iterator[str]: ...


class _Line:
    """One direction of a serial line: console text, frames, and the messages in them."""

    def __init__(self) -> None:
        self._deframer = framing.Deframer(c.HEAD_SIZE + 0xFFFF)
        self._messages = _Messages()
        self._expected = 0
        self._early: dict[int, bytes] = {}

    def lines(self, data: bytes) -> Iterator[str]:
        rest = memoryview(data)
        while len(rest):
            rest = rest[self._deframer.feed(rest) :]
            while (item := self._deframer.next()) is not None:
                kind, octets = item
                if kind == framing.CONSOLE:
                    yield "console " + repr(bytes(octets or b"").decode(errors="replace"))
                elif kind == framing.DAMAGED:
                    yield "damaged frame"
                else:
                    yield from self._frame(bytes(octets or b""))

    def _frame(self, body: bytes) -> Iterator[str]:
        yield describe_frame(body)
        if len(body) > 2 and body[2] in (c.SABME, c.UA):
            self._messages, self._expected, self._early = _Messages(), 0, {}
        elif len(body) >= c.HEAD_SIZE and not body[2] & 1:
            yield from self._information(body[2] >> 1, body[c.HEAD_SIZE :])

    def _information(self, number: int, info: bytes) -> Iterator[str]:
        """Frames in order; repeated ones once, early ones when their turn comes."""
        if (number - self._expected) & c.MODULUS_MASK < c.WINDOW_LIMIT:
            self._early[number] = info
        while (in_turn := self._early.pop(self._expected, None)) is not None:
            self._expected = (self._expected + 1) & c.MODULUS_MASK
            yield from self._messages.lines(in_turn)


_SUPERVISORY = {c.RR: "RR", c.RNR: "RNR", c.REJ: "REJ", c.SREJ: "SREJ"}
_UNNUMBERED = {c.SABME: "SABME", c.UA: "UA", c.DISC: "DISC", c.DM: "DM", c.UI: "UI"}


def describe_frame(body: bytes) -> str:
    """One line about a frame, without its flags and its FCS."""
    if len(body) < c.HEAD_SIZE - 1:
        return f"frame of {len(body)} octets"
    tag, control = body[1], body[2]
    if control in _UNNUMBERED:
        return f"{_UNNUMBERED[control]} tag={tag}{_parameters(body)}"
    if len(body) < c.HEAD_SIZE:
        return f"frame of control {control:#04x} tag={tag}"
    number, final, info = body[3] >> 1, body[3] & 1, body[c.HEAD_SIZE :]
    if not control & 1:
        return f"I tag={tag} ns={control >> 1} nr={number} p={final} {len(info)} octets"
    name = _SUPERVISORY.get(control, f"control {control:#04x}")
    return f"{name} tag={tag} nr={number}{_supervisory(control, final, info)}"


def _parameters(body: bytes) -> str:
    if body[2] not in (c.SABME, c.UA):
        return ""
    found = Parameters.read(body[c.HEAD_SIZE - 1 :])
    if found is None:
        return " with parameters that make no sense"
    return f" window={found.window} info={found.max_info} repl={int(found.repl)}"


def _supervisory(control: int, final: int, info: bytes) -> str:
    missing = " ".join(str(octet >> 1) for octet in (info if not final else info[1:-1]))
    if control == c.SREJ or not final:
        return f" missing {missing}" if missing else ""
    if len(info) < 2:
        return f" poll={info.hex()}"
    return f" answer={info[:1].hex()} top={info[-1] >> 1}" + (f" missing {missing}" if missing else "")


class _Messages:
    """Cuts bytes into messages and says what they are. Bodies in parts are joined, if their table needs it."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._parts: dict[int, bytes] = {}

    def lines(self, data: bytes) -> Iterator[str]:
        self._held += data
        at = 0
        while at + c.HEADER_SIZE <= len(self._held):
            length = int.from_bytes(self._held[at : at + 3], "big")
            end = at + c.HEADER_SIZE + length
            if end > len(self._held):
                break
            kind, request = self._held[at + 3], int.from_bytes(self._held[at + 4 : at + 6], "big")
            yield from self._message(kind, request, bytes(self._held[at + c.HEADER_SIZE : end]))
            at = end
        del self._held[:at]

    def _message(self, kind: int, request: int, body: bytes) -> Iterator[str]:
        more, kind = kind & c.MORE != 0, kind & c.KIND_MASK
        mark = f"#{request}" + (" part" if more else "")
        if kind in RECORDS:
            name, fields = RECORDS[kind]
            yield f"{name} {mark} {len(body)} bytes"
            yield from _record_lines(fields, body)
        elif kind in ELEMENTS:
            name, tables = ELEMENTS[kind]
            yield f"{name} {mark} {len(body)} bytes"
            yield from _element_lines(tables, body)
        elif kind not in MESSAGES:
            yield f"message of unknown kind {kind:#04x} {mark} {len(body)} bytes"
        elif more:
            self._parts[request] = self._parts.get(request, b"") + body
            yield f"{_name(MESSAGES[kind])} {mark} {len(body)} bytes"
        else:
            yield _message_line(MESSAGES[kind], mark, self._parts.pop(request, b"") + body)


def _name(cls: type[Message]) -> str:
    return "".join("_" + letter if letter.isupper() else letter.upper() for letter in cls.__name__).lstrip("_")


def _message_line(cls: type[Message], mark: str, body: bytes) -> str:
    try:
        values, end = parse(cls.FIELDS, body)
    except construct.ConstructError:
        return f"{_name(cls)} {mark} broken: {body[:SHOWN_BYTES].hex()}"
    rest = f" and {len(body) - end} bytes more" if end < len(body) else ""
    return f"{_name(cls)} {mark} {_shown(cls.FIELDS, values, cls.KIND)}{rest}".rstrip()


def _record_lines(fields: Fields, body: bytes) -> Iterator[str]:
    at = 0
    while at < len(body):
        try:
            values, size = parse(fields, body[at:])
        except construct.ConstructError:
            yield f"  broken record: {body[at : at + SHOWN_BYTES].hex()}"
            return
        at += size
        yield "  " + _shown(fields, values)


def _element_lines(tables: tuple[tuple[str, Fields], ...], body: bytes) -> Iterator[str]:
    at = 0
    while at < len(body):
        try:
            name, fields = tables[body[at]]
            values, size = parse(fields, body[at + 1 :])
        except (construct.ConstructError, IndexError):
            yield f"  broken element: {body[at : at + SHOWN_BYTES].hex()}"
            return
        at += 1 + size
        yield f"  {name} {_shown(fields, values)}".rstrip()


def _shown(fields: Fields, values: list[Any], kind: int = 0) -> str:
    words = []
    for (name, _), value in zip(fields, values, strict=True):
        if value is not None:
            words.append(f"{name}=" + ("(not shown)" if (kind, name) in SECRET else _value(value)))
    return " ".join(words)


def _value(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex() if len(value) <= SHOWN_BYTES else f"{value[:SHOWN_BYTES].hex()}..({len(value)} bytes)"
    if isinstance(value, list):
        return "[" + ", ".join(_value(element) for element in value) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(_value(element) for element in value) + ")"
    return repr(value) if isinstance(value, str) else str(value)
