"""How a sync shows that it goes on: a bar of rich on a terminal, a plain line now and then elsewhere. Only on stderr.

Nothing is shown, and rich is not even imported, before a sync has taken a moment: most are done by then.
"""

import os
import sys
import time

from cradle_desktop.output import NORMAL, Output, size_text
from cradle_desktop.sync.report import Observer, Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import TaskID

# A sync that is done before this many seconds shows no progress.
PATIENCE = 0.7
# Seconds between two refreshes of a bar: as often as an eye follows.
REFRESH = 0.1
# Seconds between two plain lines, where nobody watches but a log.
LINE_EVERY = 5.0
MINUTE, HOUR = 60, 3600  # seconds

STAGES = {"scan": "scanning", "receive": "from the device", "send": "to the device"}


class Display(Observer):
    """Hears the engine and shows what it hears. `close` wipes the bar; safe to call twice."""

    def __init__(self, output: Output, title: str, now: "Callable[[], float]" = time.monotonic) -> None:
        self._output, self._title, self._now = output, title, now
        self._bar: Bar | None = None
        self._live = output.level >= NORMAL and terminal()
        self._next = now() + (PATIENCE if self._live else LINE_EVERY)

    def progress(self, event: Progress) -> None:
        if self._output.level < NORMAL or self._now() < self._next:
            return
        if self._live:
            self._bar = self._bar or Bar()
            self._bar.show(f"{self._title} {STAGES[event.stage]}", event)
            self._next = self._now() + REFRESH
        else:
            self._output.say(line(self._title, event))
            self._next = self._now() + LINE_EVERY

    def note(self, text: str) -> None:
        self.close()
        self._output.say(text)

    def close(self) -> None:
        """Wipe the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Bar:
    """A bar of rich on stderr. It draws only when it is told to: no thread."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._rich: RichProgress = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[objects]}"),
            DownloadColumn(),
            TextColumn("{task.fields[speed]}"),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
        )
        self._task: TaskID | None = None
        self._words = ""
        self._rich.start()

    def show(self, words: str, event: Progress) -> None:
        """Draw this state; other words than before begin a new bar."""
        objects, fast = f"{event.done}/{event.total}" if event.total else f"{event.done}", speed(event)
        if self._task is None or words != self._words:
            if self._task is not None:
                self._rich.remove_task(self._task)
            self._task, self._words = self._rich.add_task(words, total=None, objects=objects, speed=fast), words
        total = event.total_bytes or None
        self._rich.update(self._task, completed=event.bytes, total=total, objects=objects, speed=fast)
        self._rich.refresh()

    def close(self) -> None:
        """Take the bar away."""
        self._rich.stop()


def terminal() -> bool:
    """Is stderr a terminal that can redraw a line?"""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def line(title: str, event: Progress) -> str:
    """An event in one plain line."""
    total = f" of {event.total}" if event.total else ""
    parts = [f"{title} {STAGES[event.stage]}: {event.done}{total} objects"]
    if event.total_bytes:
        share = 100 * event.bytes // event.total_bytes
        parts.append(f"{size_text(event.bytes)} of {size_text(event.total_bytes)} ({share} %)")
    return ", ".join([part for part in (*parts, speed(event)) if part])


def speed(event: Progress) -> str:
    """How fast it goes, and how long it still takes at that rate; "" while that cannot be told."""
    if event.rate < 1:
        return ""
    left = max(0, event.total_bytes - event.bytes) / event.rate
    words = f"{size_text(int(event.rate))}/s"
    return f"{words}, {time_text(left)} left" if left >= 1 else words


def time_text(seconds: float) -> str:
    """A duration for people: 40 s, 12 min, 3.5 h."""
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < 2 * HOUR else f"{seconds / HOUR:.1f} h"
