"""A file beside the database by which a replica's state of before is told from its state of now. Knows no tick.

Theory: the file is written anew before the first tick of a session is durable, and with that tick the database holds
what it was then: random bytes, and the time of its last change (ctime), which the system sets and nobody else can. So a
database that was put back names an older file, and of a folder that was put back, or copied, the file was changed by
that very act. What goes back without the files being written is not told: an image of the whole disk, a snapshot of a
file system or of a machine. Whatever else changes the file (chown, another disk) tells too much, which costs nothing
but a new replica id.
"""

import os

from cradle_desktop.metadata.database import PRIVATE_FILE, private_folder
from cradle_desktop.providers.kernel import disk_type

FOLDER = "witnesses"
_RANDOM = 16  # bytes
_TIME = 8
# What these say of the last change is not the same after the next mount, or is the server's to say.
_NO_CHANGE_TIME = frozenset({"vfat", "msdos", "exfat", "cifs", "smb3", "9p", "sshfs"})


class Witness:
    """Of the replica with this id when it was made, in the home that this database is of."""

    def __init__(self, database: str, replica: bytes) -> None:
        self._folder = os.path.join(os.path.dirname(database), FOLDER)
        self._path = os.path.join(self._folder, replica.hex())

    def now(self) -> bytes:
        """What is to be compared with what the database holds; b"": there is no file."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            return self._seen(fd)
        finally:
            os.close(fd)

    def renew(self) -> bytes:
        """Write the file anew. What it is now, once that is durable. Raises OSError, StateError."""
        private_folder(self._folder)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            os.pwrite(fd, os.urandom(_RANDOM), 0)
            os.fsync(fd)
            return self._seen(fd)
        finally:
            os.close(fd)

    def remove(self) -> None:
        """The replica is no more."""
        try:
            os.remove(self._path)
        except FileNotFoundError:
            pass

    @staticmethod
    def _seen(fd: int) -> bytes:
        there = os.fstat(fd)
        changed = 0 if disk_type(there.st_dev) in _NO_CHANGE_TIME else there.st_ctime_ns
        return os.pread(fd, _RANDOM, 0) + changed.to_bytes(_TIME, "big")
