"""Ctrl-C during a sync: once, it ends when what is in hand is done; once more, at once. Not a command."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from cradle_desktop.manager import ServiceManager
from cradle_desktop.output import NORMAL, Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

WORDS = b"cradle: ending when what is in hand is done; Ctrl-C once more ends at once\n"
STDERR = 2


@contextmanager
def gently(manager: ServiceManager, output: Output) -> Iterator[None]:
    """While the block runs, the first Ctrl-C asks the manager to end its sync; every other is a KeyboardInterrupt.

    So is the first where no sync is under way yet, and where Ctrl-C is not ours to handle nothing changes: it is
    ignored in a background job, and outside the main thread no handler can be set.
    """
    before = signal.getsignal(signal.SIGINT)
    asked = False

    def hear(number: int, frame: "FrameType | None") -> None:
        nonlocal asked
        if asked or not manager.cancel():
            raise KeyboardInterrupt
        asked = True
        if output.level >= NORMAL:
            bar = b"\n" * os.isatty(STDERR)  # of progress, or the ^C
            os.write(STDERR, bar + WORDS)  # print may be in the middle of something

    if before is not signal.default_int_handler:
        yield
        return
    try:
        signal.signal(signal.SIGINT, hear)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
