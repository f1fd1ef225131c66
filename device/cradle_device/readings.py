"""Rows that a program records, on their way to every desktop that wants them: the object type `readings`.

    readings = Readings(agent)                  once, after the agent
    number = readings.append({"t": 21.5})       whenever there is something to record

It is no store of objects: rows are only ever appended, and go when all desktops have them or there is no more room. A
board loads this file when its program uses it.
"""

import json
from struct import pack

from cradle_device import stream_handlers, system
from cradle_device.cursors import Cursors
from cradle_device.segments import Segments
from cradle_protocol.compat import MICROPYTHON, const, crc32, ticks_diff
from cradle_protocol.errors import LIMIT, LocalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cradle_device.agent import Agent

# Seconds and bytes after which rows are flushed. One flush a second would wear a board's flash out in a year.
FLUSH_SECONDS, FLUSH_BYTES = 30, 512
# Bytes of flash for rows, and of one segment of them: a board's file system has a megabyte or two.
BOUND, SEGMENT = (262144, 16384) if MICROPYTHON else (256 << 20, 1 << 20)
# Bytes of rows that wait in memory where flash cannot be written; beyond that the newest are dropped and counted.
_WAITING = 4096 if MICROPYTHON else 1 << 20
# Longest row as JSON. It goes into one message of a board with its marks, and into one record of a log.
ROW_MOST = const(800)
_TIME = const(6)
# A clock that goes wrong by so many milliseconds between two looks was set, and did not just run unevenly.
_STEP = const(2000)
# Looks are that far apart at the most while somebody polls; the counter of milliseconds wraps after twelve days.
_LOOK = const(60000)


class Readings:
    """A stream of rows. None of its methods waits, but for one write to flash where one is due. Not thread-safe.

    next     number of the row that comes next
    lost     rows that could not be kept since the start; their numbers are left out
    agent    whose desktops get the rows; polling it also flushes them when it is time
    bound    bytes of flash for all rows; segment: they are freed in pieces of so many
    seconds, size   flush when the oldest waiting row is so old, or so many bytes wait
    folder   where they are, in the agent's state directory if not named
    """

    type = "readings"

    def __init__(
        self,
        agent: "Agent",
        bound: int = BOUND,
        segment: int = SEGMENT,
        seconds: float = FLUSH_SECONDS,
        size: int = FLUSH_BYTES,
        folder: str = "",
        clock: "Callable[[], int]" = system.wall_ms,
    ) -> None:
        folder = folder or agent.state + "/" + self.type
        system.make_directory(folder)
        self.segments = Segments(folder + "/rows", segment, bound)
        self.cursors = Cursors(folder + "/cursors.log", agent.hardware, self.segments.first)
        for desktop in set(self.cursors.rows) - {paired for paired, _ in agent.partners()}:
            try:  # its partnership ended while no program was here that records, or the power went at that moment
                self.forget(desktop)
            except OSError:
                pass  # the next start does it
        self._clock, self._patience, self._batch = clock, int(seconds * 1000), size
        self._waiting: list[tuple[int, int, bytes]] = []
        self._bytes = 0  # of them
        self._since = 0  # when the oldest of them came, or flash last failed
        self._stuck = False
        self.next = self.segments.next  # number of the next row
        # An era without rows may have been told the time.
        self._era = max([self.segments.era] + list(self.cursors.pairs)) + 1
        self._used = False  # this era has rows
        self._wall, self._ticks = clock(), system.now_ms()
        self.lost = 0
        agent.streams[self.type] = self
        for kind, handler in stream_handlers.HANDLERS:
            agent.handlers[kind] = handler

    # -- for the program

    def append(self, row: "dict[str, Any]") -> int:
        """Record a row; returns its number. It survives a power cut once `acknowledged` is beyond that.

        Its time is now. Numbers that are infinite or none at all become null: JSON has no words for them. Raises
        LocalError(LIMIT) for a row of more than ROW_MOST bytes; TypeError, ValueError for what JSON cannot say. Never
        OSError: where flash is full the oldest rows go, where it fails the newest; both are counted, and reported to
        the desktops.
        """
        data = json.dumps(_plain(row)).encode()
        if len(data) > ROW_MOST:
            raise LocalError(LIMIT, "a row of %d bytes is longer than %d" % (len(data), ROW_MOST))
        now = self._look()
        number = self.next
        self.next = number + 1
        if self._bytes + len(data) > _WAITING and not self.flush():
            self.lost += 1
            return number
        if not self._waiting:
            self._since = self._ticks
        self._waiting.append((number, self._era, pack(">HI", now >> 32, now & 0xFFFFFFFF) + data))
        self._used = True
        self._bytes += _TIME + len(data)
        if self._bytes >= self._batch and not self._stuck:
            self.flush()
        else:
            self.poll()
        return number

    @property
    def acknowledged(self) -> int:
        """All rows with lower numbers that were kept survive a power cut."""
        return self.segments.next

    def flush(self) -> bool:
        """Make all rows durable now. False: flash cannot be written; it is tried again later."""
        while self._waiting:
            try:
                self.segments.add(self._waiting)
            except OSError as error:
                if error.errno != system.ENOSPC or not self._make_room():
                    self._stuck, self._since = True, system.now_ms()
                    return False
                continue
            self._waiting, self._bytes, self._stuck = [], 0, False
        try:
            self.cursors.flush()
        except OSError:
            pass  # what it says of clocks can wait
        return True

    def _make_room(self) -> bool:
        try:
            return self.segments.drop_oldest()
        except OSError:
            return False

    # -- for the agent

    def poll(self) -> None:
        """Flush if it is time."""
        now = system.now_ms()
        if ticks_diff(now, self._ticks) > _LOOK:
            self._look()
        if self._waiting and ticks_diff(now, self._since) >= self._patience:
            self.flush()

    def close(self) -> None:
        """Flush, and let go of everything."""
        self.flush()
        self.segments.close()
        self.cursors.close()

    def forget(self, desktop: bytes) -> None:
        """This desktop wants no more rows: those that only it has not had may go. OSError."""
        self.cursors.forget(desktop)
        self.segments.free(self.cursors.all_have())

    def facts(self) -> "tuple[str, bytes, bytes, int]":
        """What PROOF_REPLY says of a type: the stream stands where a store is; the count is of durable rows here."""
        return self.type, self.cursors.stream, bytes(16), self.segments.next - self.segments.first

    # -- for sessions

    def now(self) -> int:
        """This machine's clock, milliseconds since 1970."""
        return self._clock()

    def first(self) -> int:
        """Where a desktop begins that has nothing: rows before it went because all others had them."""
        return min(self.segments.first, self.cursors.all_have())

    def opened(self, desktop: bytes, stream: bytes, position: int, mark: int, true: int) -> None:
        """A desktop has all rows before `position` of a stream, and wants the others. OSError."""
        self.flush()
        now = self._look()
        if stream == self.cursors.stream and self._set_back(position, mark):
            self.cursors.renew(self.segments.first)
        if stream != self.cursors.stream:
            position = self.first()
        held = self.cursors.rows.get(desktop, position + 1)
        self.cursors.set(desktop, position)
        known = self.cursors.pairs.get(self._era)
        if known is None or abs((true - now) - (known[1] - known[0])) > _STEP // 2:
            self.cursors.pair(self._era, now, true)
        try:
            self.cursors.flush()
        except OSError:
            # On a full flash a desktop's older cursor does: it holds more rows, and fetching them is what makes room.
            if held > position:
                self.cursors.rows.pop(desktop)
                raise

    def _set_back(self, position: int, mark: int) -> bool:
        """Does a desktop have rows that are not the ones here? Then this flash is a copy of an earlier state."""
        if position > self.segments.next:
            return True
        found = self.segments.row(position - 1) if mark and position else None
        return found is not None and found[0] == position - 1 and crc32(found[2]) != mark

    def passed(self, desktop: bytes, position: int) -> None:
        """All rows before a position are safe with a desktop. OSError."""
        self.cursors.set(desktop, min(position, self.segments.next))
        self.segments.free(self.cursors.all_have())  # first: on a full flash it makes room for what follows
        self.cursors.flush()

    # -- the clock

    def _look(self) -> int:
        """The time, milliseconds since 1970 by this machine's clock. A clock that was set begins a new era."""
        now, ticks = self._clock(), system.now_ms()
        expected = self._wall + ticks_diff(ticks, self._ticks)
        if abs(now - expected) > _STEP and (self._used or self._era in self.cursors.pairs):
            if now >= system.CLOCK_SET * 1000:
                self.cursors.pair(self._era, expected, now)
            self._era += 1
            self._used = False
        self._wall, self._ticks = now, ticks
        return now


def _plain(row: "dict[str, Any]") -> "dict[str, Any]":
    """The row without numbers that JSON cannot say."""
    for value in row.values():
        if isinstance(value, float) and value - value != 0:
            return {name: None if isinstance(v, float) and v - v != 0 else v for name, v in row.items()}
    return row
