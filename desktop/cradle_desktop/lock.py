"""One sync per replica at a time, over all processes of a home: an advisory lock on a file of its own.

The kernel lets go of it when the process ends, however it ends; the file stays and means nothing by itself.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

from cradle_desktop.config import locks_folder
from cradle_desktop.metadata.database import PRIVATE_FILE, private_folder

_NAME_SIZE = 32  # hex digits of a lock file's name


class Locked(Exception):
    """Somebody else is at work on the replica. `text` is one sentence for the user."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@contextmanager
def replica_lock(location: str, object_type: str, look: bool = False) -> "Iterator[None]":
    """Hold the replica (store location and object type) while the block runs. Raises Locked at once if it is held.

    look: who only looks writes nothing, not even who holds it; where nobody ever synced there is nothing to hold.
    """
    import fcntl  # POSIX only

    name = sha256(f"{location}\0{object_type}".encode()).hexdigest()[:_NAME_SIZE]
    path = os.path.join(locks_folder() if look else private_folder(locks_folder()), name)
    try:
        how = os.O_RDONLY if look else os.O_RDWR | os.O_CREAT
        fd = os.open(path, how | os.O_CLOEXEC, PRIVATE_FILE)
    except FileNotFoundError:
        if not look:
            raise
        yield
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
            who = f"process {holder}" if holder.isdigit() else "another process"
            raise Locked(
                f"{object_type.capitalize()} in {location} are being synced by another cradle ({who}); "
                "wait until it is done, or end it."
            ) from None
        if look:
            yield
            return
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(fd, 0)  # who only looks is not taken for this one
    finally:
        os.close(fd)  # lets go of the lock
