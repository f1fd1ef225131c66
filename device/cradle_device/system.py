"""What the agent asks of the operating system, and where MicroPython and CPython differ in it. Not a place for helpers.

MicroPython has no fsync (flush does it), no truncate, no exclusive open, no file locks; boards have no modes at all.
"""

import io
import os
import struct
import time

from cradle_protocol.compat import MICROPYTHON, TICKS_MASK, sha256
from cradle_protocol.errors import BUSY, NO_ENTROPY, LocalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import FileIO

ENOENT = 2
ENOSPC = 28
# A clock that shows less was never set: seconds from 1970 to 2025.
CLOCK_SET = 1735689600
# Milliseconds that MicroPython's ports may count from 2000, not from 1970.
_EPOCH_2000 = 946684800000
_PRIVATE, _PRIVATE_FOLDER = 0o600, 0o700
_AF_UNIX, _STREAM = 1, 1

if TYPE_CHECKING or not MICROPYTHON:

    def now_ms() -> int:
        """Milliseconds that never go back, modulo 2**30."""
        return time.monotonic_ns() // 1000000 & TICKS_MASK

    def open_private(path: str) -> "FileIO":
        """Open for reading and writing, unbuffered, made if it is not there; nobody else may read it."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        flags |= getattr(os, "O_NOFOLLOW", 0)  # on a stranger's stick it may be a link to anything
        file = io.FileIO(os.open(path, flags, _PRIVATE), "r+b")
        if os.fstat(file.fileno()).st_mode & 0o077:  # it came from a copy, or from a disk that has no modes
            try:
                os.chmod(path, _PRIVATE)
            except OSError:
                pass
        return file

    def make_folder(path: str) -> None:
        """A directory into which nobody else may look."""
        os.mkdir(path, _PRIVATE_FOLDER)

    def sync_file(file: "FileIO") -> None:
        """What was written survives a power cut when this returns."""
        os.fsync(file.fileno())

    def replace(old: str, new: str) -> None:
        """Rename over what is there, in one step that survives a power cut."""
        os.replace(old, new)
        if hasattr(os, "O_DIRECTORY"):
            folder = os.open(os.path.dirname(new) or ".", os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(folder)
            os.close(folder)
else:
    now_ms = time.ticks_ms
    make_folder = os.mkdir

    def open_private(path):  # type: ignore[no-untyped-def]
        if not exists(path):
            open(path, "wb").close()
        return open(path, "r+b")

    def sync_file(file):  # type: ignore[no-untyped-def]
        file.flush()

    def replace(old, new):  # type: ignore[no-untyped-def]
        os.rename(old, new)


def wall_ms() -> int:
    """Milliseconds since 1970, if somebody has set the clock; it may be set to another time at any moment."""
    now = time.time_ns() // 1000000
    return now + _EPOCH_2000 if MICROPYTHON and time.gmtime(0)[0] == 2000 else now


def exists(path: str) -> bool:
    """Is there a file or directory of this name?"""
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def remove(path: str) -> None:
    """Delete a file; no error if there is none."""
    try:
        os.remove(path)
    except OSError as error:
        if error.errno != ENOENT:
            raise


def make_directory(path: str) -> None:
    """Make a directory and what is missing above it, for ourselves alone."""
    if not path or exists(path):
        return
    parent, _, _ = path.rstrip("/").rpartition("/")
    make_directory(parent)
    try:
        make_folder(path)
    except OSError:
        if not exists(path):
            raise


def random_bytes(count: int) -> bytes:
    """From the machine's source of entropy; a machine without one is refused, never given something weaker."""
    try:
        return os.urandom(count)
    except (AttributeError, NotImplementedError, OSError):
        raise LocalError(NO_ENTROPY)


class StateLock:
    """One agent at a time on a state directory. It ends with the process, so nothing stale is ever left behind.

    On Linux an abstract socket named after the directory's inode, which both interpreters have; where those do not
    exist, a lock on a file; a board runs one program and needs neither. Raises LocalError(BUSY) if it is taken.
    """

    def __init__(self, directory: str) -> None:
        make_directory(directory)
        self._held: list[object] = []
        self._lock_file(directory)
        self._lock_socket(directory)

    def close(self) -> None:
        """Let go; safe to call twice."""
        for held in self._held:
            held.close()  # type: ignore[attr-defined]
        self._held = []

    def _lock_file(self, directory: str) -> None:
        try:
            import fcntl
        except ImportError:
            return
        file = open_private(directory + "/lock")
        self._held.append(file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._taken(directory)

    def _lock_socket(self, directory: str) -> None:
        try:
            import socket

            guard = socket.socket(_AF_UNIX, _STREAM)
        except (ImportError, AttributeError, OSError):
            return
        self._held.append(guard)
        stat = os.stat(directory)
        name = b"\x00cradle-" + sha256(b"%d %d" % (stat[1], stat[2])).digest()[:16]
        address = struct.pack("H", _AF_UNIX) + name if MICROPYTHON else name
        try:
            guard.bind(address)
        except OSError as error:
            if error.errno == 98:  # EADDRINUSE on Linux; anything else means there are no abstract sockets here
                self._taken(directory)

    def _taken(self, directory: str) -> None:
        self.close()
        raise LocalError(BUSY, "another agent is running on the state directory %s: stop it first" % directory)
