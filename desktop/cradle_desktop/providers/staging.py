"""`.cradle/tmp`: content on its way in, and what an installation has put aside. No scan shows it. Acts on no object.

What is found aside after a crash may be a user's bytes, so it is never deleted: it goes to `.cradle/rescued`.
"""

import errno
import io
import os
import re
import time
from collections.abc import Callable

from cradle_desktop.providers.folder import Folder, acting, looking
from cradle_desktop.providers.kernel import LIST, READ, WALK
from cradle_protocol.compat import sha256
from cradle_protocol.errors import BAD_NAME, CHANGED, UNREADABLE
from cradle_protocol.provider.paths import OWN_FOLDER
from cradle_protocol.provider.store import Reader, StoreError, Writer

TMP, RESCUED = "tmp", "rescued"
PIECE = 256 * 1024  # bytes read or written at once: the cache holds it, and larger gains nothing
_COPY_PIECE = 64 * 1024 * 1024  # bytes the kernel copies at once
_NAME = re.compile(r"[0-9a-fA-F-]{1,64}")
_ASIDE = "aside."  # no hex digit begins it: never taken for a stage
_PRIVATE = 0o700
CREATE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
DEFAULT = 0o666  # our folder is private; most files keep these bits, less the umask, and need no chmod
_NO_KERNEL_COPY = (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM)


# What an object made ready looks like, and whether its time of modification is one that no later write can have.
Ready = tuple[os.stat_result, bool]
_MOST_READY = 4096  # as many as a few batches hold; the others are looked at again


class FileReader(Reader):
    """Content of an open regular file."""

    def __init__(self, fd: int, offset: int = 0) -> None:
        self._file = io.FileIO(fd)
        if offset:
            self._file.seek(offset)

    def read_into(self, buffer: memoryview) -> int:
        try:
            return self._file.readinto(buffer) or 0
        except OSError as error:
            raise looking(error) from error

    def close(self) -> None:
        self._file.close()


class FileWriter(Writer):
    """Appends to a stage."""

    def __init__(self, fd: int, folder: int) -> None:
        self._fd, self._folder = fd, folder

    def write(self, data: "bytes | bytearray | memoryview") -> None:
        try:
            write_all(self._fd, data)
        except OSError as error:
            raise acting(error) from error

    def flush(self) -> None:
        try:
            os.fdatasync(self._fd)
            os.fsync(self._folder)  # its name, too
        except OSError as error:
            raise acting(error) from error

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __del__(self) -> None:
        self.close()


class Staging:
    """The staging folder of an open store; made when it is first needed (a preview makes nothing)."""

    FOLDER = TMP

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.full = True  # see `Stamps`
        self.ready: dict[str, Ready] = {}  # stages that were put whole and not yet taken over
        self._fd = -1
        self._count = 0

    def close(self) -> None:
        """Let go of it."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
        self.ready = {}

    def fd(self) -> int:
        """Its descriptor."""
        if self._fd < 0:
            try:
                self._fd = self._enter(self.FOLDER)
                self._rescue_all()
            except OSError as error:
                raise acting(error) from error
        return self._fd

    def _enter(self, name: str) -> int:
        own = self.folder.kernel.open_directory(self.folder.fd, OWN_FOLDER, WALK)
        try:
            try:
                os.mkdir(name, _PRIVATE, dir_fd=own)
            except FileExistsError:
                pass
            return os.open(name, LIST | os.O_NOFOLLOW, dir_fd=own)
        finally:
            os.close(own)

    def _look(self) -> int:
        """The descriptor if there is such a folder, -1 if not: looking makes nothing."""
        if self._fd >= 0:
            return self._fd
        try:
            os.close(self.folder.kernel.open_directory(self.folder.fd, f"{OWN_FOLDER}/{self.FOLDER}", WALK))
        except OSError:
            return -1
        return self.fd()

    # -- stages

    def open(self, name: str, append: bool = False) -> int:
        """A descriptor to write a stage with."""
        self.ready.pop(name, None)
        try:
            fresh = os.O_APPEND if append else os.O_TRUNC
            return os.open(_checked(name), CREATE | fresh, DEFAULT, dir_fd=self.fd())
        except OSError as error:
            raise acting(error) from error

    def writer(self, name: str, append: bool) -> FileWriter:
        """A stage to be written piece by piece."""
        return FileWriter(self.open(name, append), self.fd())

    def put(self, name: str, data: "bytes | bytearray | memoryview") -> None:
        """A whole stage at once."""
        fd = self.open(name)
        try:
            write_all(fd, data)
            if len(self.ready) >= _MOST_READY:
                self.ready = {}
            self.ready[name] = seal(fd, self.full)
        except OSError as error:
            raise acting(error) from error
        finally:
            os.close(fd)

    def copy(self, source: int, name: str) -> None:
        """Stage the content of an open file; a file system that can share blocks does."""
        before = os.fstat(source)
        fd = self.open(name)
        try:
            copy_all(source, fd)
            if not unchanged(before, os.fstat(source)):
                raise StoreError(CHANGED)
        except OSError as error:
            raise acting(error) from error
        finally:
            os.close(fd)

    def names(self) -> "list[tuple[str, int]]":
        """[(name, length)] of all stages."""
        fd = self._look()
        if fd < 0:
            return []
        names = [name for name in os.listdir(fd) if _NAME.fullmatch(name)]
        return [(name, os.stat(name, dir_fd=fd, follow_symlinks=False).st_size) for name in sorted(names)]

    def read(self, name: str) -> int:
        """A descriptor to read a stage with."""
        if self._look() < 0:
            raise StoreError(UNREADABLE, "nothing is staged under that name")
        try:
            return os.open(_checked(name), READ, dir_fd=self.fd())
        except OSError as error:
            raise looking(error) from error

    def digest(self, name: str) -> bytes:
        """SHA-256 of a stage."""
        fd = self.read(name)
        try:
            return digest_of(fd)
        finally:
            os.close(fd)

    def drop(self, name: str) -> None:
        """Forget a stage."""
        self.ready.pop(name, None)
        if self._look() >= 0:
            _unlink(self.fd(), _checked(name))

    # -- aside

    def aside(self) -> str:
        """A fresh name for what an installation puts aside."""
        self._count += 1
        return f"{_ASIDE}{os.getpid()}.{self._count}"

    def rescue(self, fd: int, name: str) -> None:
        """Keep what is aside under a name in `.cradle/rescued`: it may be a user's, and its place is taken."""
        rescued = self._enter(RESCUED)
        try:
            os.rename(name, f"{time.time_ns()}.{name}", src_dir_fd=fd, dst_dir_fd=rescued)
        finally:
            os.close(rescued)

    def _rescue_all(self) -> None:
        for name in os.listdir(self._fd):
            if name.startswith(_ASIDE):
                self.rescue(self._fd, name)


def seal(fd: int, full: bool = True, name: str = "") -> "Ready":
    """Give a file (an open one, or a name in an open directory) a time of modification of its own.

    The kernel stamps writes with ticks of a coarse clock, or with the very nanosecond; this is a nanosecond between two
    ticks that is over, so that every later write, also one in the same tick, leaves another time. Where the disk keeps
    coarser times, or lets nobody set them, nothing is gained. full: see `Stamps`.
    """
    now = time.time_ns() | 1
    if full:
        try:
            if name:
                os.utime(name, ns=(now, now), dir_fd=fd, follow_symlinks=False)
            else:
                os.utime(fd, ns=(now, now))
        except OSError:
            now = -1
    there = os.stat(name, dir_fd=fd, follow_symlinks=False) if name else os.fstat(fd)
    return there, full and there.st_mtime_ns == now


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise StoreError(BAD_NAME, "a stage is named with hex digits")
    return name


def _unlink(fd: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=fd)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise acting(error) from error


def write_all(fd: int, data: "bytes | bytearray | memoryview") -> None:
    """Write everything; a disk that fills up in the middle raises OSError."""
    done = os.write(fd, data)
    if done < len(data):
        view = memoryview(data)
        while done < len(view):
            done += os.write(fd, view[done:])


def unchanged(before: os.stat_result, after: os.stat_result) -> bool:
    """Was a file left alone between two looks at it?"""
    one = (before.st_size, before.st_mtime_ns, before.st_ctime_ns)
    return one == (after.st_size, after.st_mtime_ns, after.st_ctime_ns)


def copy_all(source: int, target: int) -> None:
    """Copy from both descriptors' positions on. OSError."""
    try:
        while os.copy_file_range(source, target, _COPY_PIECE):
            pass
    except OSError as error:
        if error.errno not in _NO_KERNEL_COPY:
            raise
    each_piece(source, lambda piece: write_all(target, piece))  # nothing is left where the kernel did it all


def each_piece(fd: int, take: "Callable[[memoryview], object]") -> None:
    """Hand on the rest of a file in pieces of one reused buffer."""
    buffer = memoryview(bytearray(PIECE))
    while n := os.readv(fd, [buffer]):
        take(buffer[:n])


def digest_of(fd: int) -> bytes:
    """SHA-256 of an open file. Raises StoreError(UNREADABLE), or CHANGED if it is written meanwhile."""
    running = sha256()
    try:
        before = os.fstat(fd)
        if before.st_size < PIECE:
            while piece := os.read(fd, before.st_size + 1):
                running.update(piece)
        else:
            each_piece(fd, running.update)
        if not unchanged(before, os.fstat(fd)):
            raise StoreError(CHANGED)
    except OSError as error:
        raise looking(error) from error
    return running.digest()
