"""CPython only. The contract of a store of rows, the desktop's half of a stream; a store of objects is in `store`.

The engine asks where to go on (`position`), then hands over batches in the order of their rows (`add`), and tells the
device that rows are safe when `add` has returned. Whatever ends the process, at any moment, `position` tells afterwards
what the store has: each row is there once.
"""

from cradle_protocol.provider.store import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # Number in the stream; when, by the device's clock and by one that is right (milliseconds since 1970; None: nobody
    # knows); what the device's program recorded.
    Row = tuple[int, int, int | None, dict[str, Any]]


class Batch:
    """Consecutive rows of a stream.

    stream  16 bytes
    source  name of the device, for people
    start, end   number of the first row, and of the one after the last: all between are in `rows` or in `gaps`
    gaps    (first, how many) of rows that are not on the device any more
    clocks  {era: (device's time, true time)} of one moment in each era of the device's clock that `rows` are of
    """

    def __init__(self, stream: bytes, source: str, start: int) -> None:
        self.stream, self.source, self.start, self.end = stream, source, start, start
        self.rows: list[Row] = []
        self.gaps: list[tuple[int, int]] = []
        self.clocks: dict[int, tuple[int, int]] = {}


class RowStore:
    """Where the rows of any number of streams are kept, of one process at a time."""

    def position(self, stream: bytes) -> "int | None":
        """The number of the first row of this stream that is wanted; None: there is nothing of it. StoreError."""
        raise NotImplementedError

    def add(self, batch: Batch) -> None:
        """Take a batch that begins at `position`. All of it is durable when this returns. StoreError: it may be there
        in part, from its first row on; `position` says how far.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let go of everything; safe to call twice."""


__all__ = ["Batch", "RowStore", "StoreError"]
