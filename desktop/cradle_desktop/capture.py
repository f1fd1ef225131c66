"""Keeps the bytes of a link in a file, as they crossed it, for `cradle trace` (SPEC, appendix A). Decodes nothing.

A pairing over a cable carries the key itself, so a capture of one is as secret as the partnership: whoever makes the
file makes it readable by its owner only.
"""

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

MAGIC = b"CRADLECP"
VERSION = 1

STREAM = 0  # the bytes are messages
SERIAL = 1  # the bytes are frames and console text

TO_DEVICE = 0
TO_DESKTOP = 1

HEADER = struct.Struct(">8sBB")  # magic, version, medium
RECORD = struct.Struct(">BII")  # direction, milliseconds since the capture began, length

# No writer makes a longer record: a connection reads and writes at most 1 MiB at once.
RECORD_LIMIT = 16 * 1024 * 1024


class CaptureError(Exception):
    """The file is no capture, or not a whole one. One sentence."""


class Record(NamedTuple):
    """Bytes that crossed the link at one moment."""

    to_device: bool
    ms: int
    data: bytes


class Capture:
    """Writes a capture. `now` gives milliseconds and never goes back; the owner of the file closes it."""

    def __init__(self, file: BinaryIO, serial: bool, now: Callable[[], int]) -> None:
        self._file = file
        self._now = now
        self._start = now()
        file.write(HEADER.pack(MAGIC, VERSION, SERIAL if serial else STREAM))

    def sent(self, data: "bytes | bytearray | memoryview") -> None:
        """The desktop wrote these bytes."""
        self._write(TO_DEVICE, data)

    def received(self, data: "bytes | bytearray | memoryview") -> None:
        """The desktop read these bytes."""
        self._write(TO_DESKTOP, data)

    def _write(self, direction: int, data: "bytes | bytearray | memoryview") -> None:
        self._file.write(RECORD.pack(direction, (self._now() - self._start) & 0xFFFFFFFF, len(data)))
        self._file.write(data)


def read_capture(file: BinaryIO) -> tuple[bool, Iterator[Record]]:
    """Is it of a serial line, and its records. Raises CaptureError, also while the records are read."""
    header = file.read(HEADER.size)
    if len(header) < HEADER.size or not header.startswith(MAGIC):
        raise CaptureError("This file is not a capture: it does not begin with " + MAGIC.decode() + ".")
    _, version, medium = HEADER.unpack(header)
    if version != VERSION or medium not in (STREAM, SERIAL):
        raise CaptureError(f"This capture is of version {version}, which this program does not read.")
    return medium == SERIAL, _records(file)


def _records(file: BinaryIO) -> Iterator[Record]:
    while header := file.read(RECORD.size):
        if len(header) < RECORD.size:
            raise CaptureError("The capture ends inside a record: its writer was stopped.")
        direction, ms, length = RECORD.unpack(header)
        if direction > TO_DESKTOP or length > RECORD_LIMIT:
            raise CaptureError(f"The capture is damaged: a record of direction {direction} and {length} bytes.")
        data = file.read(length)
        if len(data) < length:
            raise CaptureError("The capture ends inside a record: its writer was stopped.")
        yield Record(direction == TO_DEVICE, ms, data)
