"""Elements of STREAM_ROWS become rows: numbered, decoded, with the time at which they were really made. Pure."""

import json
import zlib
from math import isfinite

from cradle_protocol.errors import BAD_MESSAGE, RemoteError
from cradle_protocol.provider.rows import Batch
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.stream import decode_element

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# A device's clock that shows less was never set: milliseconds from 1970 to 2025.
CLOCK_SET = 1735689600000
# A field that holds what cannot be decoded.
UNREADABLE = "unreadable"


class Intake:
    """Fills a batch from the parts of one answer. `mark`: CRC-32 of the last row; `bytes`: of rows' data."""

    def __init__(self, batch: Batch, mark: int) -> None:
        self.batch, self.mark, self.bytes = batch, mark, 0
        self._number = -1  # of the next row
        self._pair: tuple[int, int] | None = None  # (device's, true) time of one moment of its era

    def take(self, part: "bytes | bytearray | memoryview") -> None:
        """One part. Raises RemoteError for what no device may send; what came before it is in the batch."""
        at = 0
        while at < len(part):
            tag, values, at = decode_element(part, at)
            if tag == c.ROW:
                self._row(values[0], bytes(values[1]))
            elif tag == c.MARK:
                self._begin(*values)
            else:
                self._gap(*values)

    def _begin(self, number: int, era: int, known: int, device: int, true: int) -> None:
        self._number, self._pair = number, (device, true) if known else None
        if self._pair is not None:
            self.batch.clocks[era] = self._pair

    def _gap(self, first: int, rows: int) -> None:
        if first != self.batch.end:
            raise RemoteError(BAD_MESSAGE, f"a gap begins at row {first}, where row {self.batch.end} was due")
        if rows:
            self.batch.gaps.append((first, rows))
            self.batch.end += rows

    def _row(self, time: int, data: bytes) -> None:
        if self._number != self.batch.end:
            raise RemoteError(BAD_MESSAGE, f"row {self._number} came, where row {self.batch.end} was due")
        self.batch.rows.append((self._number, time, self.true(time), decoded(data)))
        self.mark = zlib.crc32(time.to_bytes(6, "big") + data)
        self.bytes += len(data)
        self._number += 1
        self.batch.end = self._number

    def true(self, time: int) -> "int | None":
        """A time by the device's clock as one that is right, None if nobody can tell."""
        if self._pair is not None:
            return max(0, time + self._pair[1] - self._pair[0])
        return time if time >= CLOCK_SET else None


def _no_number(word: str) -> None:
    """NaN and Infinity, deep in a row: JSON Lines have no word for them."""


def _number(text: str) -> "float | None":
    number = float(text)
    return number if isfinite(number) else None


def decoded(data: bytes) -> "dict[str, Any]":
    """The row's fields; what cannot be read becomes a field of its own, for no row may stop the ones behind it."""
    text = data.decode("utf-8", "replace")
    try:
        found: Any = json.loads(text, parse_constant=_no_number, parse_float=_number)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return {UNREADABLE: text}
    if "\\ud" not in text.lower():
        return found
    # Perhaps half a character, which no file can hold.
    whole = json.dumps(found, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return json.loads(whole)  # type: ignore[no-any-return]
