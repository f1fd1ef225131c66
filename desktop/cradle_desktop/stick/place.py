"""Where a stick is: told by the id that lies on it, never by its path, which changes from one mount to the next.

Reads the mount table and one small file a place; writes nothing, and serves nothing (`stick.agent`).
"""

import os
import re
from collections.abc import Iterable, Iterator
from hashlib import sha256

from cradle_desktop.errors import NoDevice
from cradle_protocol.provider.paths import OWN_FOLDER

MOUNTS = "/proc/self/mountinfo"
# Its name in a stick's own folder, and its size in bytes: the store id of `FilesStore`.
_ID_FILE, _ID_SIZE = "store", 16
_DEVICE_ID_SIZE = 16
NOT_OURS = (
    "what lies on it belongs to another user: on a disk that keeps owners they are numbers, and your number may be "
    "another one on each machine; make it yours with 'sudo chown -R $USER FOLDER', or format the stick with exFAT"
)
_OCTAL = re.compile(r"\\([0-7]{3})")  # how the mount table writes spaces


def device_id(store_id: bytes) -> bytes:
    """The id that a stick has as a partner. Whoever copies its store id copies the stick."""
    return sha256(b"cradle stick" + store_id).digest()[:_DEVICE_ID_SIZE]


def store_id_in(folder: str) -> bytes:
    """The store id that lies in a folder, b"" if there is none, or none that can be read."""
    try:
        with open(os.path.join(folder, OWN_FOLDER, _ID_FILE), "rb") as file:
            found = file.read(_ID_SIZE + 1)
    except OSError:
        return b""
    return found if len(found) == _ID_SIZE else b""


def id_at(folder: str) -> bytes:
    """The id of the stick in a folder, b"" if there is none."""
    found = store_id_in(folder)
    return device_id(found) if found else b""


def find(recorded: str, device: bytes, name: str, mounts: "Iterable[str] | None" = None) -> str:
    """The folder in which the stick is now: where it was last, else the same folder of any mounted disk.

    Raises NoDevice where it is nowhere, or where two disks have it (one is a copy) and neither is where it was last.
    """
    if id_at(recorded) == device:
        return recorded
    points = mounted() if mounts is None else mounts
    found = sorted({place for place in places(recorded, points) if id_at(place) == device})
    if not found:
        raise NoDevice(absent(recorded, name))
    if len(found) > 1:
        raise NoDevice(
            f"{name} is in more than one place ({' and '.join(found)}), so all but one are copies: unplug those, then "
            "try again"
        )
    return found[0]


def absent(recorded: str, name: str) -> str:
    """Why there is no stick where it was."""
    if forbidden(recorded):
        return f"{name} is at {recorded}, but {NOT_OURS}"
    other = id_at(recorded)
    why = f"{recorded} holds another stick" if other else f"there is nothing of it at {recorded}"
    return (
        f"{name} is not here ({why}): plug it in, or mount it, then try again; if its folder was moved, 'cradle pair "
        "FOLDER' knows it by its id"
    )


def forbidden(folder: str) -> bool:
    """Is it a stick, or may be one, into whose own folder this user may not look?"""
    own = os.path.join(folder, OWN_FOLDER)
    try:
        return not os.access(own, os.R_OK | os.W_OK | os.X_OK) and os.path.isdir(own) and not _read_only(own)
    except OSError:
        return False


def _read_only(folder: str) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def places(recorded: str, mounts: "Iterable[str]") -> Iterator[str]:
    """Where the folder may be: in each mounted disk, at every depth that its last path leaves open."""
    parts = [part for part in recorded.split("/") if part]
    for mount in mounts:
        for k in range(len(parts) + 1):
            yield os.path.join(mount, *parts[k:])


def mounted(table: str = MOUNTS) -> "list[str]":
    """Mount points of real disks. No network disks: one that does not answer would hold up every command."""
    points = []
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                before, _, after = line.partition(" - ")
                if after.split(" ")[1:2] and after.split(" ")[1].startswith("/dev/"):
                    points.append(_OCTAL.sub(lambda found: chr(int(found.group(1), 8)), before.split(" ")[4]))
    except OSError:
        pass  # no such table here: a stick is where it was, or is paired anew
    return points
