"""Writes a conversation into a file, for `cradle trace`: the message streams of both directions, with their times.

Keys are never in it but for a pairing over a cable, whose one message carries the key: such a file is as secret as the
partnership, so every capture is readable by its owner only. Reading one is `inspect`'s.
"""

import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

from cradle_desktop.pump import Capture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from cradle_desktop.pump import Chunk

MAGIC = b"cradle trace 1\n"
# u8 direction, u32 milliseconds since the start, u32 length; then so many bytes.
RECORD = struct.Struct(">BII")
TO_DEVICE, TO_DESKTOP = 0, 1
OWNER_ONLY = 0o600


class FileCapture(Capture):
    """Appends what it hears to an open file, which is its maker's to close."""

    def __init__(self, file: "BinaryIO") -> None:
        self._file = file
        self._start = time.monotonic()
        file.write(MAGIC)

    def sent(self, data: "Chunk") -> None:
        self._add(TO_DEVICE, data)

    def received(self, data: "Chunk") -> None:
        self._add(TO_DESKTOP, data)

    def _add(self, direction: int, data: "Chunk") -> None:
        self._file.write(RECORD.pack(direction, int((time.monotonic() - self._start) * 1000), len(data)))
        self._file.write(data)


@contextmanager
def captured(path: str | None) -> Iterator[Capture | None]:
    """A capture into a file while the block runs; None without a path."""
    if path is None:
        yield None
        return
    with open(path, "wb", opener=_owner_only) as file:
        yield FileCapture(file)


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, OWNER_ONLY)
