"""A clock turned by hand, for tests on both interpreters. It never moves by itself and never sleeps."""


class FakeClock:
    """Milliseconds that only `advance` moves. `wrap` (2**30 on boards) makes it wrap as ticks_ms does."""

    def __init__(self, now_ms: int = 0, wrap: int = 0) -> None:
        self.wrap = wrap
        self.now_ms = now_ms % wrap if wrap else now_ms

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, ms: int) -> int:
        """Move on by `ms` and return the new time."""
        if ms < 0:
            raise ValueError("monotonic time does not go back")
        now = self.now_ms + ms
        self.now_ms = now % self.wrap if self.wrap else now
        return self.now_ms
