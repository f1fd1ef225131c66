"""A disk as boards see it: what little both interpreters can ask of one. Knows no stores; follows no link.

Boards have no links. The unix port of MicroPython has, and cannot ask for one but by listing the directory it is in.
"""

import os
import sys

from cradle_protocol.compat import MICROPYTHON, const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO

NOTHING, DIRECTORY, FILE, OTHER = const(0), const(1), const(2), const(3)
_KIND, _IS_DIRECTORY, _IS_FILE = const(0xF000), const(0x4000), const(0x8000)

EPERM, ENOENT, EACCES, EEXIST, ENOTDIR, EISDIR = const(1), const(2), const(13), const(17), const(20), const(21)
EINVAL, EFBIG, ENOSPC, EROFS, ENAMETOOLONG = const(22), const(27), const(28), const(30), const(36)
ENOTEMPTY, ELOOP, EILSEQ, EDQUOT, ENODEV = const(39), const(40), const(84), const(122), const(19)

# A machine with an operating system below: its files have lasting inode numbers, and there may be links.
HOSTED = sys.platform in ("linux", "darwin")


def _kind(mode: int) -> int:
    mode &= _KIND
    return DIRECTORY if mode == _IS_DIRECTORY else FILE if mode == _IS_FILE else OTHER


if TYPE_CHECKING or not MICROPYTHON:
    SECOND = 1000000000  # of the times that `look` gives: nanoseconds

    def look(path: str) -> "tuple[int, int, int, int]":
        """(kind, size, mtime, inode) of what is there; kind NOTHING if nothing is. OSError."""
        try:
            st = os.lstat(path)
        except OSError as error:
            if error.errno in (ENOENT, ENOTDIR):
                return NOTHING, 0, 0, 0
            raise
        return _kind(st.st_mode), st.st_size, st.st_mtime_ns, st.st_ino

    def listing(path: str) -> "Iterator[tuple[str, int]]":
        """(name, kind) of everything in a directory. OSError."""
        with os.scandir(path) as entries:
            for entry in entries:
                link = entry.is_symlink()
                kind = OTHER if link else DIRECTORY if entry.is_dir() else FILE if entry.is_file() else OTHER
                yield entry.name, kind

    def is_link(above: str, name: str) -> bool:
        """Is this name a link?"""
        return os.path.islink(above + "/" + name)

    def open_file(path: str, mode: str) -> "FileIO":
        """Open unbuffered; a link, or a pipe that would wait, is an OSError. mode: "rb", "wb" or "ab"."""
        flags = {"rb": os.O_RDONLY | os.O_NONBLOCK, "wb": os.O_WRONLY | os.O_TRUNC, "ab": os.O_WRONLY | os.O_APPEND}
        create = 0 if mode == "rb" else os.O_CREAT
        return os.fdopen(os.open(path, flags[mode] | create | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), mode, buffering=0)  # type: ignore[return-value]

    def flush_file(file: "FileIO") -> None:
        """What was written survives a power cut when this returns."""
        os.fsync(file.fileno())

    def flush_disk() -> None:
        """So does every rename and removal."""
        os.sync()
else:
    SECOND = 1

    def look(path):  # type: ignore[no-untyped-def]
        try:
            st = os.stat(path)
        except OSError as error:
            if error.errno in (ENOENT, ENOTDIR):
                return NOTHING, 0, 0, 0
            raise
        return _kind(st[0]), st[6], st[8], st[1]

    def listing(path):  # type: ignore[no-untyped-def]
        for entry in os.ilistdir(path):
            yield entry[0], _kind(entry[1])

    def is_link(above, name):  # type: ignore[no-untyped-def]
        if HOSTED:
            for entry in os.ilistdir(above):
                if entry[0] == name:
                    return _kind(entry[1]) == OTHER
        return False

    def open_file(path, mode):  # type: ignore[no-untyped-def]
        return open(path, mode)

    def flush_file(file):  # type: ignore[no-untyped-def]
        file.flush()  # a sync on flash, an fsync on the unix port

    def flush_disk():  # type: ignore[no-untyped-def]
        pass  # closing a file and renaming commit on LittleFS; there is no call for more
