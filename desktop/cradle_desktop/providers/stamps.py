"""Quick stamps of files: what `stat` says, packed, and what can be told from it later. Touches no disk.

    u8 kind | u16 permission bits | u64 size | i64 mtime_ns | i64 ctime_ns | u64 inode

A directory's times are left out: they change with every child, and it has no content to be racy.
"""

import os
import stat
import struct

from cradle_protocol.sync.values import DIRECTORY, UNKNOWN, file_value

LAYOUT = struct.Struct("<BHQqqQ")
IS_DIRECTORY, IS_FILE = 1, 2
PERMISSIONS = 0o777  # what the mode unit carries; set-id and sticky bits stay where they are

SECOND = 1_000_000_000  # ns
RACY_NS = 2 * SECOND  # FAT's times are that coarse
TRUSTED_FROM = 1_704_067_200 * SECOND  # 2024-01-01: an earlier clock was never set

# Disks that keep no permission bits of their own (they show what they were mounted with), and number their files anew
# at each mount: there the stamp is size and time alone.
PLAIN_DISKS = frozenset({"vfat", "msdos", "exfat", "fuseblk", "ntfs", "cifs", "smb3"})
# Those of them that refuse what Windows refuses in a name.
FAT_DISKS = frozenset({"vfat", "msdos", "exfat"})

_MODE_VALUES = [mode.to_bytes(2, "big") for mode in range(PERMISSIONS + 1)]


class Stamps:
    """Packs and reads the stamps of one disk. full: it has permission bits and lasting inode numbers."""

    def __init__(self, full: bool = True) -> None:
        self.full = full

    def pack(self, st: os.stat_result) -> "bytes | None":
        """The stamp of a file or directory, None for anything else."""
        mode = st.st_mode
        bits, inode = (mode & PERMISSIONS, st.st_ino) if self.full else (0, 0)
        if stat.S_ISREG(mode):
            return LAYOUT.pack(IS_FILE, bits, st.st_size, st.st_mtime_ns, st.st_ctime_ns if self.full else 0, inode)
        if stat.S_ISDIR(mode):
            return LAYOUT.pack(IS_DIRECTORY, bits, 0, 0, 0, inode)
        return None

    def seen(self, st: os.stat_result, scanned_ns: int) -> "tuple[bytes, list[bytes], bool] | None":
        """`pack`, `values` and `racy` of a file at once; None for anything else."""
        if not stat.S_ISREG(st.st_mode):
            return None
        size, mtime, ctime, bits, inode = st.st_size, st.st_mtime_ns, 0, 0, 0
        mode = UNKNOWN
        if self.full:
            ctime, bits, inode = st.st_ctime_ns, st.st_mode & PERMISSIONS, st.st_ino
            mode = _MODE_VALUES[bits]
        racy = scanned_ns < TRUSTED_FROM or mtime > scanned_ns - RACY_NS or ctime > scanned_ns - RACY_NS
        return LAYOUT.pack(IS_FILE, bits, size, mtime, ctime, inode), [file_value(size), mode], racy

    def still(self, st: "os.stat_result | None", stamp: bytes) -> bool:
        """Is this the object of the stamp, unchanged? A rename and a second name, which only touch ctime, are none."""
        now = None if st is None else self.pack(st)
        if now is None:
            return False
        a, b = LAYOUT.unpack(now), LAYOUT.unpack(stamp)
        return (*a[:4], a[5]) == (*b[:4], b[5])

    def values(self, stamp: bytes) -> "list[bytes]":
        """Unit values: content without a digest, mode."""
        kind, mode, size, _, _, _ = LAYOUT.unpack(stamp)
        content = DIRECTORY if kind == IS_DIRECTORY else file_value(size)
        return [content, _MODE_VALUES[mode] if self.full else UNKNOWN]

    def racy(self, stamp: bytes, scanned_ns: int) -> bool:
        """Could an edit after a scan at that time have left the same stamp?"""
        kind, _, _, mtime, ctime, _ = LAYOUT.unpack(stamp)
        if kind == IS_DIRECTORY:
            return False
        return scanned_ns < TRUSTED_FROM or max(mtime, ctime) > scanned_ns - RACY_NS

    def age(self, stamp: bytes, now_ns: int) -> int:
        """Seconds since the content was written; -1 under a clock that was never set."""
        mtime: int = LAYOUT.unpack(stamp)[3]
        return -1 if now_ns < TRUSTED_FROM else (now_ns - mtime) // SECOND

    def object_key(self, stamp: bytes) -> bytes:
        """The same under every name of an object whose content is untouched: inode, size and mtime, not the mode."""
        kind, _, size, mtime, _, inode = LAYOUT.unpack(stamp)
        return LAYOUT.pack(kind, 0, size, mtime, 0, inode)


def mode_of(value: bytes) -> "int | None":
    """Permission bits of a mode unit's value, None if it says nothing."""
    return int.from_bytes(value, "big") & PERMISSIONS if value else None
