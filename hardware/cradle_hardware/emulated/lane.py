"""One direction of an emulated line: bytes take their time on it and arrive as its noise has them. It never waits."""

from typing import NamedTuple

from cradle_hardware.emulated.ends import End
from cradle_hardware.emulated.noise import NEVER, Console, Line, Noise

BITS = 10  # on the line for one byte
PIECE_S = 0.002  # seconds of line moved at once: finer than any timer that looks at it

# What a lane waits for.
DUE = "due"
SOURCE = "source"
SINK = "sink"


class Meter(NamedTuple):
    """What went over one direction. Times are time.monotonic() seconds; 0.0 before the first byte."""

    taken: int = 0  # bytes that the sender put on the line
    delivered: int = 0  # bytes that the receiver's port got
    dropped: int = 0  # bytes lost on the way: bursts, full FIFO, nobody there
    first: float = 0.0  # when the first byte started
    last: float = 0.0  # when the last byte had passed


class Lane:
    """Moves what `source` gives to `sink`. Either may be None: unplugged."""

    def __init__(self, line: Line, direction: str, fifo: int, console: Console) -> None:
        self.source: End | None = None
        self.sink: End | None = None
        self.waits_for = SOURCE
        self.due = 0.0
        self.meter = Meter()
        self.passed = 0  # bytes delivered since the beginning, whatever was reset
        self.cut_at = NEVER  # of `passed`: there the line is cut
        self._rate = line.baud / BITS
        self._piece = max(int(self._rate * PIECE_S), 1)
        self._noise = Noise(line, direction)
        self._console = console
        self._fifo = fifo
        self._arriving = b""
        self._busy = False  # the line has had something to send all the time until `due`

    @property
    def cut(self) -> bool:
        """Has the byte passed after which the cable is pulled?"""
        return self.passed >= self.cut_at

    def lose(self) -> None:
        """The cable is pulled: what was on the line is gone."""
        self.cut_at = NEVER
        self._count(len(self._arriving), 0)
        self._arriving = b""

    def step(self, now: float) -> None:
        """Do all that is due; afterwards `waits_for` says what to wait for."""
        while not self.cut:
            if self._busy and now < self.due:
                self.waits_for = DUE
                return
            if self._arriving and not self._deliver(now):
                self.waits_for = SINK
                return
            if not self._start(now):
                self.waits_for = SOURCE
                return

    def _start(self, now: float) -> bool:
        """Put the next piece on the line. It starts when the last one was over, if it was there by then."""
        data = self.source.take(self._piece) if self.source else b""
        begun = self.due if self._busy else max(now, self.due)
        self._busy = bool(data)
        if not data:
            return False
        printed = self._console.apply(data)
        self._arriving, stall = self._noise.apply(printed)
        self.due = begun + len(printed) / self._rate + stall
        lost = max(len(printed) - len(self._arriving), 0)
        old = self.meter
        self.meter = Meter(old.taken + len(data), old.delivered, old.dropped + lost, old.first or begun, self.due)
        return True

    def _deliver(self, now: float) -> bool:
        """Hand over what has passed; False when the sink has no room and loses nothing: the line stands still."""
        data = self._arriving[: self.cut_at - self.passed]
        if self.sink is None or not self.sink.in_use():
            self._count(len(data), 0)
            return self._arrived(len(self._arriving))
        room = max(self._fifo - self.sink.unread(), 0) if self._fifo else len(data)
        count = self.sink.put(data[:room]) if room else 0
        if self._fifo:
            self._count(len(data), count)
            return self._arrived(len(self._arriving))
        self._count(count, count)
        if count < len(data):
            self.due = max(now, self.due)
        return self._arrived(count)

    def _arrived(self, count: int) -> bool:
        self._arriving = self._arriving[count:]
        return not self._arriving

    def _count(self, passed: int, delivered: int) -> None:
        old = self.meter
        self.passed += passed
        self.meter = old._replace(delivered=old.delivered + delivered, dropped=old.dropped + passed - delivered)
