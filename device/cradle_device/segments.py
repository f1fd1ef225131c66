"""The rows of a stream on flash: segments, each a log in a file named after its first row. Knows no desktop, no clock.

ROW   u48 time, the row's data; its number is the one before it plus 1
MARK  u32 row, u32 era: number and era of the next row; first in each segment, and wherever one of them jumps

Rows are appended to the last segment and flushed together. A segment that is full is followed by another one; the
oldest is deleted when nobody needs it, or when all of them together would grow over the bound. What a power cut left
unfinished at the end of a segment stays there unread, and the next row begins a new one.
"""

import os
from struct import pack, unpack_from

from cradle_device import system
from cradle_device.log import HEAD, MAGIC, SIZE, TAIL, Log
from cradle_protocol.compat import MICROPYTHON, const

TYPE_CHECKING = False
if TYPE_CHECKING:
    Row = tuple[int, int, bytes]  # number, era, u48 time and data

_ROW, _MARK = const(1), const(2)
_MARK_SIZE = 8
_SUFFIX = ".log"
# A segment that is read needs a buffer only to look like a log, and a window for a few rows.
_READING = 512 if MICROPYTHON else SIZE


class Segments:
    """All segments in a folder.

    size   bytes of a segment; bound: of all of them together
    next   number of the row that comes next, era: of the last row; both as they are on flash
    """

    def __init__(self, folder: str, size: int, bound: int) -> None:
        self._folder, self._size, self._bound = folder, size, max(bound, 2 * size)
        self.next = self.era = 0
        self._tail: "Log | None" = None
        self._safe = 0  # end of what is durable in the last segment
        self._full = False  # that one takes no more rows
        self._known: list[list[int]] = []  # [first row, bytes] of each segment, in order
        self._reader: "Log | None" = None
        # Where reading goes on: row, its segment, offset and era; and the offset of the row before.
        self._at = self._segment = self._offset = self._era = self._before = -1
        system.make_directory(folder)
        self._list()
        if self._known:
            self._measure()

    def close(self) -> None:
        """Let go of the files; nothing is waiting to be written."""
        self._stop_reading()
        self._drop_tail()

    @property
    def first(self) -> int:
        """Number of the oldest row that may be here."""
        return self._known[0][0] if self._known else self.next

    # -- writing

    def add(self, rows: "list[Row]") -> None:
        """Append rows of ascending numbers; all are durable when this returns. OSError: none of them counts."""
        need = sum([HEAD + len(data) + TAIL for _, _, data in rows]) + HEAD + _MARK_SIZE + TAIL
        number, era = self.next, self.era
        try:
            log = self._room(need, rows[0])
            for row, its, data in rows:
                if (row, its) != (number, era) or log.end == len(MAGIC):
                    log.append(_MARK, pack(">II", row, its))
                log.append(_ROW, data)
                number, era = row + 1, its
            log.flush()
        except OSError:
            self._drop_tail()  # the next rows take the place of what was written of these
            raise
        self.next, self.era = number, era
        self._safe = self._known[-1][1] = log.end

    def _room(self, need: int, row: "Row") -> Log:
        """The last segment, or a new one if that takes no more."""
        if not self._known or self._full or (self._safe > len(MAGIC) and self._safe + need > self._size):
            while self.stored() + self._size > self._bound and self.drop_oldest():
                pass
            self._begin(row[0])
        if self._tail is None:
            self._tail = Log(self._path(self._known[-1][0]))
            self._tail.undo(self._safe)
        return self._tail

    def _begin(self, first: int) -> None:
        """A new last segment. One that has its name holds no row: it was begun before a power cut."""
        self._drop_tail()
        self._stop_reading()
        path = self._path(first)
        system.remove(path)
        self._tail = Log(path)
        if self._known and self._known[-1][0] == first:
            self._known.pop()
        self._known.append([first, len(MAGIC)])
        self._safe, self._full = len(MAGIC), False

    def stored(self) -> int:
        """Bytes on flash."""
        return sum([size for _, size in self._known])

    def _drop_tail(self) -> None:
        tail, self._tail = self._tail, None
        if tail is not None:
            try:
                tail.close()
            except OSError:
                pass  # a file that could not be written may not close either

    # -- forgetting

    def free(self, position: int) -> None:
        """Delete the segments all of whose rows come before a position, but never the last one. OSError."""
        while len(self._known) > 1 and self._known[1][0] <= position:
            self.drop_oldest()

    def drop_oldest(self) -> bool:
        """Delete the oldest segment; not the last one, which says what number comes next. OSError."""
        if len(self._known) < 2:
            return False
        self._stop_reading()
        system.remove(self._path(self._known[0][0]))
        self._known.pop(0)
        return True

    # -- reading

    def row(self, position: int) -> "tuple[int, int, bytes | memoryview] | None":
        """(number, era, u48 time and data) of the first durable row from a position on; None if there is none.

        The view is valid until the next call of anything here. OSError.
        """
        if position == self._at - 1 and self._before >= 0:  # once more: it did not fit where it was to go
            self._at, self._offset = position, self._before
        elif position != self._at:
            self._seek(position)
        while self._segment < len(self._known):
            log = self._reading()
            found = self._next_in(log, position)
            if found is not None:
                return found
            self._enter(self._segment + 1)
        self._at = -1
        return None

    def _seek(self, position: int) -> None:
        """Begin with the segment that has a row, or with the one after the place where it was."""
        at = 0
        while at + 1 < len(self._known) and self._known[at + 1][0] <= position:
            at += 1
        self._enter(at)

    def _enter(self, segment: int) -> None:
        self._stop_reading()
        self._segment, self._offset = segment, len(MAGIC)
        self._at = self._known[segment][0] if segment < len(self._known) else -1

    def _reading(self) -> Log:
        """The log of the segment that is being read."""
        if self._segment == len(self._known) - 1 and self._tail is not None:
            return self._tail
        if self._reader is None:
            self._reader = Log(self._path(self._known[self._segment][0]), _READING)
        return self._reader

    def _next_in(self, log: Log, position: int) -> "tuple[int, int, memoryview] | None":
        """The next row of this segment from a position on; None at its end, or where it is damaged.

        A write that failed may have left rows behind its end; they are in the next segment, perhaps as other ones.
        """
        last = self._segment == len(self._known) - 1
        while self._offset < self._safe if last else self._at < self._known[self._segment + 1][0]:
            size = log.sound(self._offset)
            if not size:
                if last:
                    self._full = True  # what comes behind the damage could not be read either
                return None
            kind, buffer, start, end = log.read(self._offset)
            self._offset += size
            if kind == _MARK:
                self._at, self._era = unpack_from(">II", buffer, start)
            elif kind == _ROW:
                self._at += 1
                if self._at > position:
                    self._before = self._offset - size
                    return self._at - 1, self._era, memoryview(buffer)[start:end]
        return None

    def _stop_reading(self) -> None:
        self._at = self._before = -1
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # -- starting

    def _list(self) -> None:
        """The segments that are there; what a power cut left of making one goes."""
        for name in os.listdir(self._folder):
            path = self._folder + "/" + name
            if len(name) == 8 + len(_SUFFIX) and name.endswith(_SUFFIX):
                self._known.append([int(name[:8], 16), os.stat(path)[6]])
            else:
                system.remove(path)
        self._known.sort()

    def _measure(self) -> None:
        """What comes next, by the last segment; one that ends unsound is left as it is, and another one follows.

        A process that was killed may have left rows that are not durable yet: they are now.
        """
        first = self._known[-1][0]
        self._tail = log = Log(self._path(first))
        number, era = first, 0
        for _, kind, buffer, start, _ in log.replay():
            if kind == _MARK:
                number, era = unpack_from(">II", buffer, start)
            else:
                number += 1
        self._full = log.torn
        self._known[-1][1] = self._safe = log.torn_at if log.torn else log.end
        self.next, self.era = number, era
        file = system.open_private(log.path)
        system.sync_file(file)
        file.close()

    def _path(self, first: int) -> str:
        return "%s/%08x%s" % (self._folder, first, _SUFFIX)
