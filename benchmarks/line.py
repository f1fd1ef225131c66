"""A serial line between two ptys: paced at its baud rate, 1 ms late, with seeded byte errors. It counts.

Written apart from `cradle_hardware`'s emulated line on purpose: what is measured does not measure itself.
"""

import contextlib
import os
import pty
import random
import select
import threading
import time
import tty
from collections import deque

BITS_A_BYTE = 10  # 8N1
LATENCY = 0.001  # seconds from one end to the other
AHEAD = 0.002  # seconds of bytes that the sender's UART takes before they are on the wire (a 16-byte FIFO and a half)
POLL = 0.001  # seconds; shorter than AHEAD, so that the wire never idles while bytes wait
READ_MAX = 4096


class Direction:
    """One way of the line: what is read from `source` comes out at `sink` when its last bit has passed."""

    def __init__(self, source: int, sink: int, rate: float, error_rate: float, seed: int) -> None:
        self.source, self.sink, self.rate = source, sink, rate
        self.error_rate = error_rate
        self.chance = random.Random(seed)
        self.until_error = self._gap()
        self.free_at = 0.0  # when the wire has sent all that it took
        self.backlog = False  # more may wait in the sender's buffer: the wire did not idle
        self.in_flight: deque[tuple[float, bytes]] = deque()
        self.bytes = 0
        self.first = self.last = 0.0

    def _gap(self) -> int:
        return int(self.chance.expovariate(self.error_rate)) if self.error_rate else 1 << 62

    def room(self, now: float) -> int:
        """Bytes that the wire takes now."""
        if not self.backlog:
            self.free_at = max(self.free_at, now)
        return max(0, min(READ_MAX, int((now + AHEAD - self.free_at) * self.rate)))

    def take(self, now: float) -> None:
        """Read what fits and put it on the wire."""
        room = self.room(now)
        if not room:
            return
        try:
            data = os.read(self.source, room)
        except (BlockingIOError, OSError):
            data = b""
        self.backlog = len(data) == room
        if data:
            self.first = self.first or self.free_at
            self.free_at += len(data) / self.rate
            self.last = self.free_at + LATENCY
            self.bytes += len(data)
            self.in_flight.append((self.last, self._damage(data)))

    def _damage(self, data: bytes) -> bytes:
        """Flip one random bit of each byte that is hit."""
        if self.until_error >= len(data):
            self.until_error -= len(data)
            return data
        hit = bytearray(data)
        while self.until_error < len(data):
            hit[self.until_error] ^= 1 << self.chance.randrange(8)
            self.until_error += 1 + self._gap()
        self.until_error -= len(data)
        return bytes(hit)

    def deliver(self, now: float) -> None:
        """Hand over what has arrived; a full receiver holds the rest up."""
        while self.in_flight and self.in_flight[0][0] <= now:
            due, data = self.in_flight.popleft()
            try:
                sent = os.write(self.sink, data)
            except BlockingIOError:
                sent = 0
            if sent < len(data):
                self.in_flight.appendleft((due, data[sent:]))
                return


class Line:
    """Two ends, `paths`; both slaves stay open here, so that raw mode and bytes survive a program's end."""

    def __init__(self, baud: int, error_rate: float, seed: int) -> None:
        pairs = [pty.openpty(), pty.openpty()]
        self.masters = [master for master, _ in pairs]
        self.slaves = [slave for _, slave in pairs]
        self.paths = [os.ttyname(slave) for slave in self.slaves]
        for slave in self.slaves:
            tty.setraw(slave)
        for master in self.masters:
            os.set_blocking(master, False)
        a, b = self.masters
        rate = baud / BITS_A_BYTE
        self.rate = rate
        self.directions = [Direction(a, b, rate, error_rate, seed), Direction(b, a, rate, error_rate, seed + 1)]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def reset(self) -> None:
        """Count from here."""
        for way in self.directions:
            way.bytes, way.first, way.last = 0, 0.0, 0.0

    def busy_time(self) -> float:
        """Seconds from the first to the last byte on the wire, in whichever direction."""
        used = [way for way in self.directions if way.bytes]
        return max(w.last for w in used) - min(w.first for w in used) if used else 0.0

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        for fd in (*self.masters, *self.slaves):
            with contextlib.suppress(OSError):
                os.close(fd)

    def _run(self) -> None:
        while not self._ended.is_set():
            now = time.monotonic()
            for way in self.directions:
                way.take(now)
                way.deliver(now)
            idle = not any(way.in_flight or way.backlog for way in self.directions)
            if idle:  # wake with the first byte
                select.select(self.masters, [], [], 0.05)
            else:
                time.sleep(POLL)
