"""What links on a file descriptor share: waiting, counting, reading with a timeout. Not a link by itself."""

import math
import select
import time
from collections.abc import Sequence
from typing import Self

from cradle_hardware.link import Buffer, LinkLost

NOTHING_YET = -1  # what _receive gives when no byte is there; 0 is the end of the link

READABLE = select.POLLIN | select.POLLPRI
WRITABLE = select.POLLOUT
ENDED = select.POLLHUP | select.POLLERR | select.POLLNVAL


class DescriptorLink:
    """A link whose readiness a poll of one descriptor tells. Subclasses give _receive, _transmit and _release."""

    reliable = True
    cable = False
    binding = b""
    rate = 0

    def __init__(self, descriptor: int, name: str) -> None:
        self.name = name
        self.sent = 0
        self.received = 0
        self._descriptor = descriptor
        self._poll = select.poll()

    def _receive(self, view: memoryview) -> int:
        """Bytes put into the view, NOTHING_YET, or 0 for the end."""
        raise NotImplementedError

    def _transmit(self, chunks: Sequence[Buffer]) -> int:
        """Bytes taken; 0 when there is no room now."""
        raise NotImplementedError

    def _release(self) -> None:
        """Give the descriptor back. Called once."""
        raise NotImplementedError

    def read_into(self, view: memoryview | bytearray, timeout: float = 0.0) -> int:
        """See Link."""
        if not len(view):
            return 0
        room = memoryview(view)
        self._check_open()
        count = self._receive(room)
        if count < 0 and timeout > 0:
            count = self._receive_within(room, timeout)
        if count == 0:
            raise self._lost("the other side closed it")
        self.received += max(count, 0)
        return max(count, 0)

    def _receive_within(self, room: memoryview, timeout: float) -> int:
        """Readiness may be a false alarm, so ask again until the time is up."""
        until = time.monotonic() + timeout
        count = NOTHING_YET
        while count < 0 and (left := until - time.monotonic()) > 0:
            self.wait(True, False, left)
            count = self._receive(room)
        return count

    def read(self, size: int, timeout: float = 0.0) -> bytes:
        """See Link."""
        room = bytearray(size)
        return bytes(room[: self.read_into(room, timeout)])

    def write_some(self, chunks: Sequence[Buffer]) -> int:
        """See Link."""
        self._check_open()
        taken = self._transmit(chunks) if chunks else 0
        self.sent += taken
        return taken

    def wait(self, read: bool, write: bool, timeout: float | None) -> tuple[bool, bool]:
        """See Link."""
        self._check_open()
        events = self._events(READABLE * read | WRITABLE * write, timeout)
        return bool(events & (READABLE | ENDED)), write and bool(events & (WRITABLE | ENDED))

    def _events(self, wanted: int, timeout: float | None) -> int:
        """What the descriptor is ready for. Never early: a millisecond begun is waited for."""
        self._poll.register(self._descriptor, wanted)
        found = self._poll.poll(None if timeout is None else math.ceil(max(timeout, 0.0) * 1000))
        return found[0][1] if found else 0

    def fileno(self) -> int:
        """See Link."""
        self._check_open()
        return self._descriptor

    def close(self) -> None:
        """See Link."""
        if self._descriptor >= 0:
            self._descriptor = -1
            self._release()

    @property
    def closed(self) -> bool:
        """Was it closed on this side?"""
        return self._descriptor < 0

    def _check_open(self) -> None:
        if self._descriptor < 0:
            raise self._lost("it was closed on this side")

    def _lost(self, why: str | OSError) -> LinkLost:
        return LinkLost(self.name, why if isinstance(why, str) else (why.strerror or str(why)).lower())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
