"""The emulated line itself: two ends, two lanes and the one thread that owns them."""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Self

from cradle_hardware.emulated.ends import End, MemoryEnd, PtyEnd
from cradle_hardware.emulated.lane import BITS, DUE, SOURCE, Lane, Meter
from cradle_hardware.emulated.noise import Console, Line
from cradle_hardware.link import Link

# Seconds between looks at an end that nobody has open: a pseudo terminal does not say when somebody comes.
LOOK_S = 0.02
JOIN_S = 5.0  # for the thread to answer or end; it needs milliseconds


class EmulatedLine:
    """A paced, noisy full duplex serial line.

    With a folder its ends are two pseudo terminals, found under stable names in that folder; without, two links in
    this process. The thread owns all descriptors: others hand it commands and wait until they are done.
    """

    def __init__(self, line: Line, folder: Path | None = None) -> None:
        self.line = line
        self._folder = folder
        silent = Console(b"", 0)
        self._to_device = Lane(line, "to device", line.fifo, silent)
        self._to_desktop = Lane(line, "to desktop", 0, Console(line.console, line.console_every))
        self._device = self._new_end("device")
        self._desktop: End | None = None
        self._plug(self._new_end("desktop"))
        self._commands: deque[tuple[Callable[[], None], threading.Event]] = deque()
        self._ear, self._bell = os.pipe()
        self._running = True
        self._thread = threading.Thread(target=self._run, name="emulated line", daemon=True)
        self._thread.start()

    def _new_end(self, name: str) -> End:
        if self._folder is None:
            return MemoryEnd(f"emulated:{name}", self.line.baud // BITS)
        return PtyEnd(self._folder, name, held=name == "device" and self.line.fifo > 0)

    # What its user asks

    @property
    def desktop_address(self) -> str:
        """Where the desktop opens the line."""
        return self._address("desktop")

    @property
    def device_address(self) -> str:
        """Where the agent opens it."""
        return self._address("device")

    def _address(self, name: str) -> str:
        if self._folder is None:
            raise ValueError("this line has its ends in memory: ask for desktop_link() and device_link()")
        return f"serial:{self._folder / name}?baud={self.line.baud}"

    def desktop_link(self) -> Link:
        """The desktop's end in memory: since the last mend(), one and the same."""
        return _link(self._desktop)

    def device_link(self) -> Link:
        """The device's end in memory."""
        return _link(self._device)

    @property
    def plugged(self) -> bool:
        """Is the desktop's end there?"""
        return self._desktop is not None

    def cut(self) -> None:
        """Pull the cable at the desktop: its port vanishes, the device hears silence and speaks to nobody."""
        self._call(self._unplug)

    def mend(self) -> None:
        """Plug it in again: the same name or a new link, and nothing left from before."""
        if not self.plugged:
            end = self._new_end("desktop")
            self._call(lambda: self._plug(end))

    def cut_after(self, count: int, to_device: bool) -> None:
        """Cut exactly when so many more bytes have passed in that direction."""
        lane = self._lane(to_device)

        def limit() -> None:
            lane.cut_at = lane.passed + count

        self._call(limit)

    def meter(self, to_device: bool) -> Meter:
        """What has gone over one direction since the last reset."""
        return self._lane(to_device).meter

    def reset_meters(self) -> None:
        """Start to count anew."""

        def reset() -> None:
            self._to_device.meter = self._to_desktop.meter = Meter()

        self._call(reset)

    def _lane(self, to_device: bool) -> Lane:
        return self._to_device if to_device else self._to_desktop

    def _call(self, command: Callable[[], None]) -> None:
        """Have the thread do it, and wait until it is done."""
        if not self._running:
            raise ValueError("this line is closed")
        done = threading.Event()
        self._commands.append((command, done))
        os.write(self._bell, b"!")
        if not done.wait(JOIN_S):
            raise RuntimeError("the emulated line does not answer")

    def close(self) -> None:
        """Hang up both ends and end the thread."""
        if self._running:
            self._call(self._stop)
            self._thread.join(JOIN_S)
            os.close(self._ear)
            os.close(self._bell)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # What the thread does

    def _run(self) -> None:
        while self._running:
            now = time.monotonic()
            for lane in (self._to_device, self._to_desktop):
                lane.step(now)
                if lane.cut:
                    self._unplug()
            self._wait(now)
            self._obey()

    def _wait(self, now: float) -> None:
        """Until a lane can go on or a command comes."""
        readers, writers, spans = [self._ear], list[int](), list[float]()
        for lane in (self._to_device, self._to_desktop):
            end = lane.source if lane.waits_for == SOURCE else lane.sink
            if lane.waits_for == DUE:
                spans.append(max(lane.due - now, 0.0))
            elif end is not None and not end.in_use():
                spans.append(LOOK_S)
            elif end is not None:
                (readers if lane.waits_for == SOURCE else writers).append(end.descriptor)
        select.select(readers, writers, [], min(spans, default=None))

    def _obey(self) -> None:
        while self._commands:
            command, done = self._commands.popleft()
            os.read(self._ear, 1)
            command()
            done.set()

    def _plug(self, end: End) -> None:
        self._desktop = end
        self._to_device.source = self._to_desktop.sink = end
        self._to_desktop.source = self._to_device.sink = self._device

    def _unplug(self) -> None:
        self._to_device.lose()
        self._to_desktop.lose()
        if self._desktop is not None:
            self._desktop.close()
        self._desktop = self._to_device.source = self._to_desktop.sink = None

    def _stop(self) -> None:
        self._unplug()
        self._device.close()
        self._running = False


def _link(end: End | None) -> Link:
    if not isinstance(end, MemoryEnd):
        raise ValueError("there is no link: the line is cut, or its ends are pseudo terminals with addresses")
    return end.link
