"""What tells a stick from a copy of it, as far as Linux shows it to everybody: marks of the disk it lies on.

    disk    a card's own number (CID), a USB stick's serial number; a card in a USB reader shows the reader's
    system  the UUID or volume number of the file system: `dd` copies it, a copy by hand does not
    folder  the folder's inode number, where those last: a copy by hand has another one

None is there for certain, and one that is missing says nothing: no sysfs, no udev, a FAT disk (no inode numbers), a
reader in place of the card. `dd` from one card to another, both read by one reader, is a copy that nobody sees here. It
does no harm (`agent.StickReplica` has an id for each desktop), but nobody can tell the user.
"""

import os
from hashlib import sha256

from cradle_desktop.providers.kernel import disk_type

DISK, SYSTEM, FOLDER = b"d", b"s", b"f"
# Bytes of a mark: its kind and a hash; by chance two are equal once in 2**64.
_HASH = 8
MARK = 1 + _HASH
# File systems whose inode numbers are the same at every mount and on every machine.
_LASTING = frozenset({"ext2", "ext3", "ext4", "xfs", "f2fs", "tmpfs"})


def marks(folder: str, sys: str = "/sys", uuids: str = "/dev/disk/by-uuid") -> "list[bytes]":
    """Marks of the disk and folder, each of a kind of its own. OSError if there is no such folder."""
    there = os.stat(folder)
    device = there.st_dev
    place = os.path.realpath(f"{sys}/dev/block/{os.major(device)}:{os.minor(device)}")
    inode = str(there.st_ino) if disk_type(device) in _LASTING else ""
    found = ((DISK, serial(place)), (SYSTEM, _uuid(device, uuids)), (FOLDER, inode))
    return [kind + sha256(text.encode()).digest()[:_HASH] for kind, text in found if text]


def copied(known: bytes, now: "list[bytes]") -> bool:
    """Is a mark of today none of those known of its kind? `known`: marks, one after the other."""
    have = _apart(known)
    kinds = {mark[:1] for mark in have}
    return any(mark[:1] in kinds and mark not in have for mark in now)


def joined(known: bytes, now: "list[bytes]") -> bytes:
    """The known marks and today's: a card that goes from reader to reader is no copy each time."""
    have = _apart(known)
    return known + b"".join(mark for mark in now if mark not in have)


def _apart(known: bytes) -> "set[bytes]":
    return {known[at : at + MARK] for at in range(0, len(known), MARK)}


def serial(place: str) -> str:
    """The number of the piece of hardware that a block device (its folder in sysfs) is on, "" if it shows none."""
    below = _listed(place + "/slaves")
    if below:  # an encrypted disk lies on another one
        return serial(os.path.realpath(f"{place}/slaves/{below[0]}"))
    while os.path.basename(place) not in ("", "devices"):
        if cid := _read(place + "/cid"):
            return "cid " + cid
        if _read(place + "/idVendor"):
            number = _read(place + "/serial")
            return f"usb {_read(place + '/idVendor')}:{_read(place + '/idProduct')} {number}" if number else ""
        if number := _read(place + "/serial"):
            return "disk " + number
        place = os.path.dirname(place)
    return ""


def _uuid(device: int, uuids: str) -> str:
    for name in _listed(uuids):
        try:
            if os.stat(f"{uuids}/{name}").st_rdev == device:
                return name
        except OSError:
            continue
    return ""


def _listed(folder: str) -> "list[str]":
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(256).strip()
    except OSError:
        return ""
