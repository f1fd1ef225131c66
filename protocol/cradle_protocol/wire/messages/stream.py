"""Messages of a stream: rows that a device's program appends, each with a number, fetched and acknowledged in order.

STREAM_ROWS has no table of its own: its parts carry elements back to back, a tag octet and a record each. A stream has
no items, versions or conflicts; a position in it is the number of the first row that is still wanted.
"""

from cradle_protocol.errors import BAD_MESSAGE, RemoteError
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.codec import ID, STRING, U8, U32, U48, VIEW, functions
from cradle_protocol.wire.message import Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from cradle_protocol.compat import Bytes

# What the device's program appended: when, by the device's clock (milliseconds since 1970), and a JSON object.
ROW_FIELDS = (("time", U48), ("data", (VIEW, 2)))
# The next row has this number, and its time is of this era of the device's clock. `known`: at `device` by that clock
# it was `true` by a clock that is right (both milliseconds since 1970).
MARK_FIELDS = (("row", U32), ("era", U32), ("known", U8), ("device", U48), ("true", U48))
# These rows are not there any more.
GAP_FIELDS = (("first", U32), ("rows", U32))
# By their tags.
STREAM_ELEMENTS = (ROW_FIELDS, MARK_FIELDS, GAP_FIELDS)

_encode_row = functions(ROW_FIELDS)[0]
_encode_mark = functions(MARK_FIELDS)[0]
_encode_gap = functions(GAP_FIELDS)[0]


class StreamOpen(Message):
    """Which stream is there, and up to where? Makes the desktop one whose rows are kept until it has them.

    With LEAVE it is none of those any more, if it was one.

    `stream`, `position` and `mark` say what it has already; zeros: nothing. `mark` is the CRC-32 of the row before the
    position (its time and data as on the wire, without the length), 0 if that is not known.
    """

    KIND = c.STREAM_OPEN
    flags: int  # PREVIEW, LEAVE
    type: str
    stream: bytes  # 16 bytes
    position: int
    mark: int
    time: int  # the desktop's clock, milliseconds since 1970
    FIELDS = (
        ("flags", U8), ("type", STRING), ("stream", ID), ("position", U32), ("mark", U32), ("time", U48),
    )  # fmt: skip


class StreamOpenReply(Message):
    """What is there. Another stream than the desktop named: the device was set back or replaced, begin with `first`."""

    KIND = c.STREAM_OPEN_REPLY
    stream: bytes  # 16 bytes
    first: int  # where a desktop begins that has nothing of this stream
    end: int  # the first row that is not there yet
    time: int  # the device's clock, milliseconds since 1970
    FIELDS = (("stream", ID), ("first", U32), ("end", U32), ("time", U48))


class StreamRead(Message):
    """Send rows from a position on. Answered by STREAM_ROWS in parts until `credit` is used up, then STREAM_END."""

    KIND = c.STREAM_READ
    type: str
    stream: bytes
    position: int
    credit: int  # bytes of elements; the last part may go beyond
    FIELDS = (("type", STRING), ("stream", ID), ("position", U32), ("credit", U32))


class StreamEnd(Message):
    """The last part of the answer to STREAM_READ."""

    KIND = c.STREAM_END
    next: int  # where to go on
    end: int  # the first row that is not there yet
    FIELDS = (("next", U32), ("end", U32))


class StreamAck(Message):
    """All rows before this position are safe with the desktop."""

    KIND = c.STREAM_ACK
    type: str
    stream: bytes
    position: int
    FIELDS = (("type", STRING), ("stream", ID), ("position", U32))


class StreamAckReply(Message):
    """Noted."""

    KIND = c.STREAM_ACK_REPLY


MESSAGES = (StreamOpen, StreamOpenReply, StreamRead, StreamEnd, StreamAck, StreamAckReply)


def row_element(time: int, data: "Bytes") -> bytes:
    """One row."""
    return bytes((c.ROW,)) + _encode_row((time, data))


def mark_element(row: int, era: int, pair: "tuple[int, int] | None") -> bytes:
    """The number and era of the next row; `pair`: (device's, true) time of one moment in that era."""
    device, true = pair or (0, 0)
    return bytes((c.MARK,)) + _encode_mark((row, era, 0 if pair is None else 1, device, true))


def gap_element(first: int, rows: int) -> bytes:
    """Rows that are not there any more."""
    return bytes((c.GAP,)) + _encode_gap((first, rows))


_DECODE = [functions(fields)[1] for fields in STREAM_ELEMENTS]


def decode_element(view: "Bytes", at: int) -> "tuple[int, Sequence[Any], int]":
    """(tag, values, where it ends) of the element at `at`. Raises RemoteError."""
    tag = view[at]
    if tag >= len(_DECODE):
        raise RemoteError(BAD_MESSAGE, "an element of a stream has the unknown tag %d" % tag)
    values, end = _DECODE[tag](view, at + 1)
    return tag, values, end
