"""A stream on a board's file system, LittleFS: a power cut at every program and erase; a disk that is full.

Does nothing on CPython, where `test_readings_crash` has a disk of its own.
"""

# MicroPython heap: 8m, as `test_agent`

import json

from cradle_device.readings import Readings
from cradle_protocol.compat import MICROPYTHON
from device.flash import mounted
from device.rows import NOW, Clock

DESKTOP, OTHER = b"D" * 16, b"E" * 16
BLOCKS = 40


class Owner:
    """What a stream asks of its agent."""

    state, hardware = "/f", b""

    def __init__(self):
        self.streams, self.handlers = {}, {}

    def partners(self):
        return [(DESKTOP, "desk"), (OTHER, "laptop")]


class Life:
    """A program that records, and a desktop that comes by; what they know for certain.

    acknowledged  rows before this one are durable; had: rows before this one are safe with the desktop
    """

    def __init__(self):
        self.acknowledged = self.had = 0

    def stream(self):
        return Readings(Owner(), segment=1024, bound=4096, size=150, clock=Clock())

    def run(self, rows=60):
        readings = self.stream()
        begun = readings.segments.next
        try:
            for n in range(begun, begun + rows):
                assert readings.append({"n": n, "text": "x" * 20}) == n
                self.acknowledged = max(self.acknowledged, readings.acknowledged)
                if n % 16 == 9:
                    self.sync(readings)
                if n % 16 == 14:  # another desktop comes by, and wants no more after the next rows
                    readings.opened(OTHER, readings.cursors.stream, self.had, 0, NOW)
                if n % 16 == 3:
                    readings.forget(OTHER)
        finally:
            readings.close()
            self.acknowledged = max(self.acknowledged, readings.acknowledged)

    def sync(self, readings):
        readings.opened(DESKTOP, readings.cursors.stream, self.had, 0, NOW)
        self.acknowledged = max(self.acknowledged, readings.acknowledged)
        had = readings.segments.next
        self.had = had  # the desktop has committed before it says so
        readings.passed(DESKTOP, had)

    def check(self):
        """All acknowledged rows that the desktop lacks are here, whole and in order, and the program goes on."""
        readings = self.stream()
        assert readings.segments.next >= self.acknowledged, (readings.segments.next, self.acknowledged)
        assert readings.segments.first <= self.had, (readings.segments.first, self.had)
        end = self.read(readings)
        assert readings.append({"n": end}) == end
        readings.close()
        readings = self.stream()
        assert self.read(readings) == end + 1
        readings.close()

    def read(self, readings):
        """Number of the row after the last."""
        segments = readings.segments
        position = min(self.had, segments.next)
        while position < segments.next:
            number, _, data = segments.row(position)
            assert number == position and json.loads(bytes(data[6:]))["n"] == number, (number, position)
            position += 1
        assert segments.row(position) is None
        return position


def test_a_power_cut_at_every_operation():
    if not MICROPYTHON:
        return
    before, _ = mounted(Life().run, "lfs", BLOCKS)
    _, operations = mounted(Life().run, "lfs", BLOCKS, bytearray(before))
    assert operations > 60
    for cut in range(operations):
        data, life = bytearray(before), Life()
        life.had = 60
        try:
            mounted(life.run, "lfs", BLOCKS, data, cut)
        except OSError:
            pass
        mounted(life.check, "lfs", BLOCKS, data)


def full():
    """Somebody else has filled the disk: the oldest rows go, then the newest, and all that is lost is counted."""
    readings = Readings(Owner(), segment=1024, bound=1 << 20, size=150, clock=Clock())
    appended = 0
    while readings.segments.first == 0 and appended < 2000:
        readings.append({"n": appended})
        appended += 1
    assert appended < 2000 and readings.lost == 0, "the oldest segment made room"
    for _ in range(200):
        readings.append({"n": appended})
        appended += 1
    assert readings.lost == 0 and readings.segments.first > 0
    position, end = readings.segments.first, readings.segments.next
    assert end > appended - 20
    while position < end:
        number, _, data = readings.segments.row(position)
        assert number == position and json.loads(bytes(data[6:]))["n"] == number
        position += 1
    readings.close()


def test_a_full_disk():
    if MICROPYTHON:
        mounted(full, "lfs", 30)
