"""CPython only: the calls of `disk` for a machine with an operating system. A board never loads this."""

import os
import stat
from collections.abc import Iterator
from io import FileIO

_NOTHING, _DIRECTORY, _FILE, _OTHER = 0, 1, 2, 3  # as `disk` names them
_FLAGS = {"rb": os.O_RDONLY | os.O_NONBLOCK, "wb": os.O_WRONLY | os.O_TRUNC, "ab": os.O_WRONLY | os.O_APPEND}
_NEW_FILE = 0o666
SECOND = 1000000000  # of the times that `look` gives: nanoseconds


def look(path: str) -> "tuple[int, int, int, int]":
    """(kind, size, mtime, inode) of what is there; kind NOTHING if nothing is. OSError."""
    try:
        st = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return _NOTHING, 0, 0, 0
    kind = _DIRECTORY if stat.S_ISDIR(st.st_mode) else _FILE if stat.S_ISREG(st.st_mode) else _OTHER
    return kind, st.st_size, st.st_mtime_ns, st.st_ino


def listing(path: str) -> "Iterator[tuple[str, int]]":
    """(name, kind) of everything in a directory. OSError."""
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield entry.name, _DIRECTORY
            else:
                yield entry.name, _FILE if entry.is_file(follow_symlinks=False) else _OTHER


def is_link(above: str, name: str) -> bool:
    """Is this name a link?"""
    return os.path.islink(above + "/" + name)


def open_file(path: str, mode: str) -> FileIO:
    """Open unbuffered; a link is an OSError, a pipe does not wait. mode: "rb", "wb" or "ab"."""
    create = 0 if mode == "rb" else os.O_CREAT
    return FileIO(os.open(path, _FLAGS[mode] | create | os.O_NOFOLLOW | os.O_CLOEXEC, _NEW_FILE), mode)


def flush_file(file: FileIO) -> None:
    """What was written survives a power cut when this returns."""
    os.fsync(file.fileno())


def flush_disk() -> None:
    """So does every rename and removal."""
    os.sync()
