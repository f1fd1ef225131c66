"""Tells an observer how far a stage of a sync is, and looks whether its end was asked for. Decides nothing else.

Whoever is busy on this side comes by here often, so here the session is kept alive as well: a device hangs up on a
desktop that says nothing for long.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from cradle_desktop.connection import Connection
from cradle_desktop.sync.report import Cancelled, Observer, Progress
from cradle_protocol.provider.store import ObjectStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from cradle_desktop.sync.report import Stage

    _Found = TypeVar("_Found")

# Seconds over which the rate is measured: long enough to be steady, short enough to follow the line.
SPAN = 2.0
# ... and before the first of them is over: a rate of less says nothing.
LEAST = 0.25
# Seconds between two events of a scan, and between two looks at a serial line during it: well below the timers of the
# other end's link machine.
AWAKE = 0.05
# How often the end was asked for, when a pass ends at its next batch, and when it ends at once.
SOON, NOW = 1, 2


class Meter:
    """One stage of one type, told to an observer. `at` says how far it is."""

    def __init__(
        self,
        observer: Observer,
        connection: Connection,
        type: str,
        stage: "Stage",
        total: int = 0,
        total_bytes: int = 0,
        now: "Callable[[], float]" = time.monotonic,
    ) -> None:
        self.observer, self._connection, self._now = observer, connection, now
        self.type, self.stage, self.total, self.total_bytes = type, stage, total, total_bytes
        self._since, self._base, self._rate = now(), 0, 0.0
        self._due = self._since + LEAST

    def at(self, done: int, size: int = 0) -> None:
        """So many objects are done, and `size` bytes of content. Raises Cancelled if the end was asked for twice."""
        now = self._now()
        if now >= self._due:
            self._connection.keep_alive(now)
            self._measure(now, size)
        self.observer.progress(
            Progress(self.type, self.stage, done, self.total, size, self.total_bytes, self._rate)
        )  # fmt: skip
        stop_now(self.observer)

    def _measure(self, now: float, size: int) -> None:
        """The rate since the last SPAN began; within the first one more often."""
        self._rate = (size - self._base) / (now - self._since)
        if now - self._since < SPAN:
            self._due = min(now + LEAST, self._since + SPAN)
        else:
            self._since, self._base, self._due = now, size, now + SPAN

    def ends(self) -> bool:
        """Shall the stage end when what is in hand is done?"""
        return self.observer.cancelled >= SOON


def safe_point(observer: Observer) -> None:
    """Nothing is in hand here. Raises Cancelled if the end was asked for."""
    if observer.cancelled >= SOON:
        raise Cancelled


def stop_now(observer: Observer) -> None:
    """Something is in hand here. Raises Cancelled if that shall not be finished."""
    if observer.cancelled >= NOW:
        raise Cancelled


def watched(
    found: "Iterable[_Found]", connection: Connection, observer: Observer, meter: "Meter | None" = None
) -> "Iterator[_Found]":
    """What a scan finds, while it finds it: told to the meter, ended when the observer wishes, and the connection moves
    its bytes: a serial line must not fall silent.
    """
    due = time.monotonic() + AWAKE
    for done, item in enumerate(found):
        if time.monotonic() >= due:
            safe_point(observer)
            if meter is not None:
                meter.at(done)
            if not connection.steady:
                connection.poll()  # on other links the kernel answers for us
            connection.keep_alive(time.monotonic())
            due = time.monotonic() + AWAKE
        yield item


@contextmanager
def watched_scan(store: ObjectStore, connection: Connection, observer: Observer) -> Iterator[None]:
    """While the block runs, a scan of this store is `watched`."""
    scan, meter = store.items, Meter(observer, connection, store.type, "scan")
    meter.at(0)
    # Of this one object, for as long as it is scanned.
    store.items = lambda: watched(scan(), connection, observer, meter)  # type: ignore[method-assign]
    try:
        yield
    finally:
        store.items = scan  # type: ignore[method-assign]
