"""What a bad serial line does to its bytes. Pure and by position: a seed hurts the same bytes however cut."""

import math
from random import Random
from typing import NamedTuple

FLAG = 0x7E  # RFC 1662: stands at both ends of a frame, never inside, and is never shared by two
FRAME_STARTS = (0xF9, 0xFB)  # first octet of a frame
NEVER = 1 << 62  # a position that no test reaches


class Line(NamedTuple):
    """A line and its faults. Rates are per byte and hold for both directions."""

    baud: int = 115200
    byte_errors: float = 0.0  # a byte arrives as another
    bursts: float = 0.0  # so many bytes are lost from here: an erase of flash, an overrun
    burst_bytes: int = 30
    duplicates: float = 0.0  # a byte arrives twice
    stalls: float = 0.0  # nothing moves for a while
    stall_s: float = 0.2
    console: bytes = b""  # the device prints this between frames, after every so many bytes of its own
    console_every: int = 0
    fifo: int = 0  # bytes that the device's port holds unread; what comes on top is lost. 0: it never loses any
    seed: int = 0


class Events:
    """Positions at which something happens, each byte with the same chance."""

    def __init__(self, seed: str, rate: float) -> None:
        self._random = Random(seed)
        self._rate = rate
        self.at = -1
        self.move_on()

    def move_on(self) -> None:
        """To the next position: gaps between independent events are geometric."""
        if self._rate <= 0.0:
            self.at = NEVER
        elif self._rate >= 1.0:
            self.at += 1
        else:
            self.at += 1 + int(math.log(1.0 - self._random.random()) / math.log(1.0 - self._rate))

    def strikes(self, position: int) -> bool:
        """Does it happen here? Asked for each position in turn."""
        if position != self.at:
            return False
        self.move_on()
        return True


class Noise:
    """The faults of one direction."""

    def __init__(self, line: Line, direction: str) -> None:
        self._line = line
        self._position = 0
        self._lost_until = 0
        self._values = Random(f"{line.seed} {direction} values")
        kinds = (
            ("errors", line.byte_errors),
            ("bursts", line.bursts),
            ("doubles", line.duplicates),
            ("stalls", line.stalls),
        )
        self._errors, self._bursts, self._doubles, self._stalls = (
            Events(f"{line.seed} {direction} {kind}", rate) for kind, rate in kinds
        )

    def apply(self, data: bytes) -> tuple[bytes, float]:
        """What arrives of the data, and for how many seconds the line stalls before it does."""
        end = self._position + len(data)
        struck = min(self._errors.at, self._bursts.at, self._doubles.at, self._stalls.at)
        if struck >= end and self._lost_until <= self._position:
            self._position = end
            return data, 0.0
        return self._apply_each(data)

    def _apply_each(self, data: bytes) -> tuple[bytes, float]:
        arrived = bytearray()
        stall = 0.0
        for byte in data:
            position = self._position
            self._position += 1
            stall += self._line.stall_s * self._stalls.strikes(position)
            if self._bursts.strikes(position):
                self._lost_until = position + self._line.burst_bytes
            wrong, twice = self._errors.strikes(position), self._doubles.strikes(position)
            if position >= self._lost_until:
                value = byte ^ self._values.randrange(1, 256) if wrong else byte
                arrived += bytes((value,)) * (1 + twice)
        return bytes(arrived), stall


class Console:
    """Text that the device prints while it also sends frames: put in before a frame's first flag."""

    def __init__(self, text: bytes, every: int) -> None:
        self._text = text
        self._every = every if text else NEVER
        self._since = 0  # bytes since the text came last
        self._inside = False  # of a frame
        self._flag = False  # the last byte was a flag

    def apply(self, data: bytes) -> bytes:
        """The data with the text in it, where it is due."""
        if self._every >= NEVER:
            return data
        out = bytearray()
        for byte in data:
            self._since += 1
            if self._opens(byte) and self._since >= self._every:
                out += self._text
                self._since = 0
            out.append(byte)
        return bytes(out)

    def _opens(self, byte: int) -> bool:
        """Is this the first flag of a frame? What follows a flag tells if we had it wrong, after a frame cut short."""
        if self._flag and byte != FLAG:
            self._inside = byte in FRAME_STARTS
        self._flag = byte == FLAG
        if self._flag:
            self._inside = not self._inside
        return self._flag and self._inside
