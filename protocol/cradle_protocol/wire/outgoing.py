"""The sending half of a link: a ring of bytes, cut into numbered frames, kept until acknowledged. Builds no frames."""

from cradle_protocol.compat import const
from cradle_protocol.wire.constants import MODULUS_MASK, WINDOW_LIMIT
from cradle_protocol.wire.pace import FrameSize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.compat import Bytes

_HELD = const(0)  # sent, not acknowledged
_WANTED = const(1)  # to be sent again
_REPEATED = const(2)  # held, and sent more than once


def slots_for(window: int) -> int:
    """The power of two that holds a window, so that 128 numbers map to slots without a seam."""
    slots = 1
    while slots < window:
        slots *= 2
    return slots


class Outgoing:
    """What the owner gave and the peer has not acknowledged.

    first  V(A), the oldest number that is not acknowledged
    next   V(S), the number of the next new frame
    count  frames sent so far, repetitions included: the clock of checkpoints
    """

    def __init__(self, window: int, size: int, most: int) -> None:
        slots = slots_for(min(window, WINDOW_LIMIT))
        self._mask = slots - 1
        self._starts = [0] * slots
        self._sizes = [0] * slots
        self._counts = [0] * slots
        self._marks = bytearray(slots)
        self._ring = memoryview(bytearray(size))
        self._own_window = window
        self.frame_size = FrameSize(most)
        self.reset(window, most)

    def reset(self, window: int, most: int) -> None:
        """Empty, for a peer that can hold `window` frames of `most` octets."""
        self._window = min(window, self._own_window)
        self.frame_size.reset(most)
        self.first = self.next = self.count = 0
        self._tail = 0  # ring index of the oldest byte held
        self._cut = 0  # ring index of the first byte that is in no frame
        self._used = 0  # bytes in the ring
        self._waiting = 0  # of them, in no frame
        self._wanted = 0  # frames marked _WANTED
        self.repaired = False  # a repetition went out after the last poll

    def room(self) -> int:
        """Bytes that `put` takes."""
        return len(self._ring) - self._used

    def put(self, data: "Bytes") -> int:
        """Take as much of the data as there is room for; how much."""
        size = min(len(data), self.room())
        if not size:
            return 0
        view = memoryview(data)
        start = self._cut + self._waiting
        if start >= len(self._ring):
            start -= len(self._ring)
        until_end = min(size, len(self._ring) - start)
        self._ring[start : start + until_end] = view[:until_end]
        if until_end < size:
            self._ring[: size - until_end] = view[until_end:size]
        self._used += size
        self._waiting += size
        return size

    def unacknowledged(self) -> int:
        """Frames on their way."""
        return (self.next - self.first) & MODULUS_MASK

    def idle(self) -> bool:
        """Is there nothing to send, now or once the peer lets us?"""
        return not self._used

    def take(self) -> int:
        """The number of the frame to send now, or -1: one to repeat before a new one. Counts it as sent."""
        if self._wanted:
            return self._take_wanted()
        if not self._waiting or self.unacknowledged() >= self._window:
            return -1
        number, slot = self.next, self.next & self._mask
        # A frame ends at the ring's end, so that it is one piece: one short frame in a turn of the ring.
        size = min(self._waiting, self.frame_size.size, len(self._ring) - self._cut)
        self._starts[slot], self._sizes[slot], self._marks[slot] = self._cut, size, _HELD
        self._cut += size
        if self._cut == len(self._ring):
            self._cut = 0
        self._waiting -= size
        self.next = (number + 1) & MODULUS_MASK
        return self._count_sent(number)

    def _take_wanted(self) -> int:
        number = self.first
        while self._marks[number & self._mask] != _WANTED:
            number = (number + 1) & MODULUS_MASK
        self._marks[number & self._mask] = _REPEATED
        self._wanted -= 1
        self.repaired = True
        return self._count_sent(number)

    def _count_sent(self, number: int) -> int:
        slot = number & self._mask
        self.count += 1
        self._counts[slot] = self.count
        self.frame_size.sent(self._sizes[slot])
        return number

    def new(self, number: int) -> bool:
        """Was this frame sent once only?"""
        return self._marks[number & self._mask] == _HELD

    def info(self, number: int) -> memoryview:
        """The information of a frame on its way."""
        slot = number & self._mask
        return self._ring[self._starts[slot] : self._starts[slot] + self._sizes[slot]]

    def acknowledge(self, number: int) -> bool:
        """The peer has everything before this number. False if it cannot mean that."""
        if (number - self.first) & MODULUS_MASK > self.unacknowledged():
            return False
        while self.first != number:
            slot = self.first & self._mask
            if self._marks[slot] == _WANTED:
                self._wanted -= 1
            self._used -= self._sizes[slot]
            self._marks[slot] = _HELD
            self.first = (self.first + 1) & MODULUS_MASK
        return True

    def gap(self, numbers: "Bytes") -> None:
        """SREJ: the peer has just seen that these never came. Not again what was repeated since."""
        lost = -2
        for octet in numbers:
            number = octet >> 1
            if self._on_its_way(number) and self._marks[number & self._mask] == _HELD:
                self._want(number, number != lost + 1)
                lost = number

    def go_back(self, number: int) -> None:
        """REJ: the peer has thrown away this frame and all that followed it."""
        first = True
        while number != self.next:
            if self._marks[number & self._mask] != _WANTED:
                self._want(number, first)
                first = False
            number = (number + 1) & MODULUS_MASK

    def checkpoint(self, count: int, missing: "Bytes", top: int) -> None:
        """An answer: of the first `count` frames sent, the peer lacks those `missing` and all from number `top` on."""
        lost = -2
        number = self.first
        end = (top - self.first) & MODULUS_MASK
        for index in range(self.unacknowledged()):
            slot = number & self._mask
            before = self._counts[slot] <= count and self._marks[slot] != _WANTED
            if before and (index >= end or _lists(missing, number)):
                self._want(number, number != lost + 1)
                lost = number
            number = (number + 1) & MODULUS_MASK

    def _want(self, number: int, run_begins: bool) -> None:
        self._marks[number & self._mask] = _WANTED
        self._wanted += 1
        if run_begins:
            self.frame_size.lost()

    def _on_its_way(self, number: int) -> bool:
        return (number - self.first) & MODULUS_MASK < self.unacknowledged()


def _lists(numbers: "Bytes", number: int) -> bool:
    for octet in numbers:
        if octet >> 1 == number:
            return True
    return False
