"""Which other program has a port open, as /proc tells it (Linux). Elsewhere, and of other users' programs: nothing."""

import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
LONGEST = 60  # characters of a command line in a message


def rival(port: str) -> str:
    """The program, not this one, that has the port open, as "thonny (pid 4711)"; "" if none is seen.

    Who holds the master end of a pseudo terminal is what the port leads to, not a rival.
    """
    path = os.path.realpath(port)
    index = path.removeprefix("/dev/pts/")
    for process in _others():
        if _has_open(process, path) and not _is_master(process, index):
            return _name(process)
    return ""


def lock_owner(port: str) -> str:
    """The program that locked the port; "" if that is not seen."""
    try:
        status = os.stat(port)
        locks = (PROC / "locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return ""
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in locks:
        fields = line.split()
        if place in fields:
            pid = fields[fields.index(place) - 1]
            return "this program" if pid == str(os.getpid()) else _name(PROC / pid)
    return ""


def _others() -> Iterator[Path]:
    own = str(os.getpid())
    try:
        names = [entry for entry in os.listdir(PROC) if entry.isdigit() and entry != own]
    except OSError:
        return
    yield from (PROC / name for name in names)


def _descriptors(process: Path) -> Iterator[tuple[str, str]]:
    """(number, what it is) of what a process has open, as far as we may look."""
    folder = f"{process}/fd"
    try:
        numbers = os.listdir(folder)
    except OSError:
        return
    for number in numbers:
        try:
            yield number, os.readlink(f"{folder}/{number}")
        except OSError:
            continue  # closed while we looked


def _has_open(process: Path, path: str) -> bool:
    return any(target == path for _, target in _descriptors(process))


def _is_master(process: Path, index: str) -> bool:
    """Does the process hold the master of pseudo terminal number `index`?"""
    if not index.isdigit():
        return False
    masters = [number for number, target in _descriptors(process) if target.endswith("/ptmx")]
    return any(_tty_index(process, number) == index for number in masters)


def _tty_index(process: Path, number: str) -> str:
    try:
        lines = (process / "fdinfo" / number).read_text(encoding="ascii").splitlines()
    except OSError:
        return ""
    return next((line.split()[1] for line in lines if line.startswith("tty-index:")), "")


def _name(process: Path) -> str:
    """As its user knows it: a script's name rather than the interpreter's alone."""
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return f"a program (pid {process.name})"
    shown = words[:3] if os.path.basename(words[0]).startswith("python") else words[:1]
    return f"{' '.join(map(os.path.basename, shown))[:LONGEST]} (pid {process.name})"
