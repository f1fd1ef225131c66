"""How large the frames are and how long the timers, from what the line has done lately. Decides nothing else."""

from cradle_protocol.compat import const, ticks_diff

# Octets that every frame costs besides its information, with its share of an SREJ: what a short frame wastes.
FRAME_COST = const(12)
# Octets after which old experience counts half. Some 130 frames of the best size at an error rate of 1e-4.
MEMORY = const(65536)
# A line of which nothing is known: one loss in 32 KiB, hence frames of some 600 octets.
_PRIOR_OCTETS = const(32768)
_LOSS = const(16)  # one loss, in the fixed point that lets halving forget it
_SIZE_LEAST = const(48)  # octets: below, the frame's cost exceeds what any line gains
_SIZE_EVERY = const(16)  # frames between two looks at the size: the root costs a board 0.1 ms

T1_FIRST_MS = const(500)  # before the first answer was timed
T1_LEAST_MS = const(100)  # a board that collects garbage answers this late
T1_MOST_MS = const(3000)  # 32 KiB in an adapter's buffer at 115200
T1_BUSY_MS = const(500)  # toward a busy peer: a flash erase takes up to 400 ms
_MARGIN_MS = const(40)  # answers wait for the frame that is on the line


class FrameSize:
    """The information that a frame should carry: sqrt(cost / error rate) loses least."""

    def __init__(self, most: int) -> None:
        self.reset(most)

    def reset(self, most: int) -> None:
        """Forget everything; frames of `most` octets at the most."""
        self._most = most
        self._octets = _PRIOR_OCTETS
        self._losses = _LOSS
        self._count = 0
        self._update()

    def sent(self, size: int) -> None:
        """A frame of this size went out."""
        self._octets += size + FRAME_COST
        if self._octets > MEMORY:
            self._octets >>= 1
            self._losses >>= 1
        self._count += 1
        if self._count >= _SIZE_EVERY:
            self._update()

    def lost(self) -> None:
        """A frame, or a run of frames next to each other, was lost."""
        self._losses += _LOSS
        self._update()

    def _update(self) -> None:
        self._count = 0
        best = _root(FRAME_COST * _LOSS * self._octets // self._losses) if self._losses else self._most
        self.size = min(max(best, _SIZE_LEAST), self._most)


def _root(number: int) -> int:
    """The integer square root, by Newton's method."""
    root = 4096
    while True:
        better = (root + number // root) >> 1
        if abs(better - root) <= 1:
            return better
        root = better


class RoundTrip:
    """RFC 6298's smoothed round trip, of polls and their answers."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._mean = -1
        self._deviation = 0

    def sample(self, sent: int, now: int) -> None:
        """The poll sent at `sent` is answered."""
        taken = max(0, ticks_diff(now, sent))
        if self._mean < 0:
            self._mean, self._deviation = taken, taken >> 1
            return
        self._deviation += (abs(taken - self._mean) - self._deviation) >> 2
        self._mean += (taken - self._mean) >> 3

    def timeout(self, retries: int, busy: bool) -> int:
        """Milliseconds to wait for an answer, after so many polls without one, toward a busy peer or not."""
        base = T1_FIRST_MS if self._mean < 0 else self._mean + 4 * self._deviation + _MARGIN_MS
        base = max(base, T1_BUSY_MS if busy else T1_LEAST_MS)
        return min(base << min(retries, 4), T1_MOST_MS)
