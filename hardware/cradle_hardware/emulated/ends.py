"""The two kinds of sockets that an emulated line has: pseudo terminals, and links inside the process.

Both give what the line's thread needs: take and put bytes without waiting, and see how much lies unread.
"""

import fcntl
import os
import select
import socket
import struct
import termios
import tty
from pathlib import Path
from typing import Protocol

from cradle_hardware.stream import StreamLink

INT = struct.Struct("i")
SMALL = 4096  # bytes of a socket's buffers: about what a serial driver queues


class End(Protocol):
    """One end of the line, as the line's thread sees it."""

    descriptor: int

    def take(self, size: int) -> bytes:
        """Bytes that whoever is plugged in has sent; b"" is none."""
        ...

    def put(self, data: bytes) -> int:
        """How many bytes went in."""
        ...

    def unread(self) -> int:
        """Bytes put in that nobody fetched yet."""
        ...

    def in_use(self) -> bool:
        """Has anybody opened it? If not, bytes sent there are lost, and its descriptor is not to be waited for."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class PtyEnd:
    """A pseudo terminal with a stable name: a link in `folder`, as udev makes them for real ports.

    With `held` our own open keeps it in use: a UART that is powered whether or not a program reads it.
    """

    def __init__(self, folder: Path, name: str, held: bool) -> None:
        self.descriptor, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.descriptor, False)
        self.path = folder / name
        self._place = os.ttyname(self._slave)
        self._held = held
        self._poll = select.poll()
        self._poll.register(self.descriptor, 0)
        if not held:
            os.close(self._slave)
        self._link()

    def _link(self) -> None:
        draft = self.path.with_name(self.path.name + ".new")
        draft.unlink(missing_ok=True)
        draft.symlink_to(self._place)
        os.replace(draft, self.path)

    def take(self, size: int) -> bytes:
        try:
            return os.read(self.descriptor, size)
        except OSError:
            return b""  # nothing there (EAGAIN), or nobody (EIO)

    def put(self, data: bytes) -> int:
        try:
            return os.write(self.descriptor, data)
        except OSError:
            return 0

    def unread(self) -> int:
        count: int = INT.unpack(fcntl.ioctl(self._slave, termios.FIONREAD, bytes(INT.size)))[0]
        return count

    def in_use(self) -> bool:
        return self._held or not self._poll.poll(0)

    def close(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)
        if self._held:
            os.close(self._slave)


class MemoryLink(StreamLink):
    """A serial-like link whose other end is an emulated line."""

    reliable = False
    cable = True

    def __init__(self, sock: socket.socket, name: str, rate: int) -> None:
        super().__init__(sock, name)
        self.rate = rate


class MemoryEnd:
    """A link inside the process, given out once."""

    def __init__(self, name: str, rate: int) -> None:
        self._near, far = socket.socketpair()
        for sock in (self._near, far):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        self._far = far.dup()  # to see what lies unread
        self.descriptor = self._near.fileno()
        self.link = MemoryLink(far, name, rate)

    def take(self, size: int) -> bytes:
        try:
            return self._near.recv(size)
        except OSError:
            return b""

    def put(self, data: bytes) -> int:
        try:
            return self._near.send(data)
        except OSError:
            return 0

    def unread(self) -> int:
        count: int = INT.unpack(fcntl.ioctl(self._far.fileno(), termios.FIONREAD, bytes(INT.size)))[0]
        return count

    def in_use(self) -> bool:
        return not self.link.closed

    def close(self) -> None:
        """The link reads what is there, then finds itself lost."""
        self._far.close()
        self._near.close()
