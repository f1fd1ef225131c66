"""The receiving half of a link: numbered frames in, their information out in order. Sends nothing."""

from cradle_protocol.wire.constants import MISSING_LIMIT, MODULUS_MASK
from cradle_protocol.wire.outgoing import slots_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.compat import Bytes


class Incoming:
    """Frames that came and that the owner has not taken yet; fixed buffers.

    first     the oldest number that the owner has not taken: N(R) of everything we send
    top       one more than the highest number that came
    gaps      numbers found missing and not reported yet, as octets of an SREJ
    rejected  a frame was thrown away for want of memory, and not reported yet

    With fewer slots than the window it announces, it keeps no frame out of order, and asks for repetition by REJ.
    """

    def __init__(self, window: int, slots: int, most: int) -> None:
        self.window = window
        self._selective = slots >= window
        count = slots_for(slots)
        self._mask = count - 1
        self._slots = [memoryview(bytearray(most)) for _ in range(count)]
        self._sizes = [-1] * count
        self.gaps = bytearray(MISSING_LIMIT)
        self.reset()

    def reset(self) -> None:
        """Empty, for a new connection."""
        for slot in range(len(self._sizes)):
            self._sizes[slot] = -1
        self.first = self.top = 0
        self.gap_count = 0
        self.rejected = False
        self._rejecting = False  # REJ was sent for this gap
        self._taken = False  # the frame at `first` is with the owner

    def accept(self, number: int, info: "Bytes") -> None:
        """A frame came. Old ones, second copies and those beyond the window change nothing."""
        ahead = (number - self.first) & MODULUS_MASK
        known = (self.top - self.first) & MODULUS_MASK
        slot = number & self._mask
        if ahead >= self.window or (ahead < known and self._sizes[slot] >= 0):
            return
        if not self._selective and (ahead != known or self._sizes[slot] >= 0):
            if ahead >= known and not self._rejecting:
                self.rejected = self._rejecting = True
            return
        if len(info) > len(self._slots[slot]):
            return
        self._slots[slot][: len(info)] = info
        self._sizes[slot] = len(info)
        self._rejecting = False
        if ahead >= known:
            self._note_gap(number)
            self.top = (number + 1) & MODULUS_MASK

    def _note_gap(self, number: int) -> None:
        missing = self.top
        while missing != number and self.gap_count < MISSING_LIMIT:
            self.gaps[self.gap_count] = missing << 1
            self.gap_count += 1
            missing = (missing + 1) & MODULUS_MASK

    def missing(self, out: bytearray, at: int) -> int:
        """Write what is missing below the top to out[at:], as many numbers as an answer may hold; where it ends."""
        number, limit = self.first, at + MISSING_LIMIT
        while number != self.top and at < limit:
            if self._sizes[number & self._mask] < 0:
                out[at] = number << 1
                at += 1
            number = (number + 1) & MODULUS_MASK
        return at

    def take(self) -> "memoryview | None":
        """The next information in order, None if it is not there. The one given before is taken then."""
        self.release()
        slot = self.first & self._mask
        if self.first == self.top or self._sizes[slot] < 0:
            return None
        self._taken = True
        return self._slots[slot][: self._sizes[slot]]

    def release(self) -> None:
        """The owner is done with the information that `take` gave."""
        if self._taken:
            self._taken = False
            self._sizes[self.first & self._mask] = -1
            self.first = (self.first + 1) & MODULUS_MASK
