"""A brake for slow lines: it keeps the queue below us short, so that a repeated frame does not wait behind seconds
of others. Pure: it takes the time and never waits.
"""

QUEUE_S = 0.15  # seconds of line that may lie in the driver's queue: more than a busy scheduler oversleeps
REFILL = 0.5  # of it: below that more is handed out, so that pieces are not tiny


class Pacer:
    """How many bytes a line of `rate` bytes a second should get now. A rate of 0 is no brake."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._free_at = 0.0  # when the line will have sent all that it got

    def room(self, now: float) -> int:
        """Bytes to hand out at most; 0 while enough is queued."""
        if not self._rate:
            return 1 << 30
        if self.delay(now) > 0:
            return 0
        queued = max(self._free_at - now, 0.0)
        return max(int((QUEUE_S - queued) * self._rate), 1)

    def delay(self, now: float) -> float:
        """Seconds until there is room; 0.0 when there is."""
        return max(self._free_at - now - QUEUE_S * REFILL, 0.0) if self._rate else 0.0

    def sent(self, count: int, now: float) -> None:
        """The driver took so many bytes."""
        if self._rate:
            self._free_at = max(self._free_at, now) + count / self._rate
