"""A disk as boards see it: what little both interpreters can ask of one. Knows no stores; follows no link.

Boards have no links. The unix port of MicroPython has, and cannot ask for one but by listing the directory it is in.
"""

import os
import sys

from cradle_protocol.compat import MICROPYTHON, const

TYPE_CHECKING = False

# What is under a name. A board's program reads them here; the compiler folds them only where they are private.
NOTHING = 0
DIRECTORY = 1
FILE = 2
OTHER = 3
_KIND = const(0xF000)
_IS_DIRECTORY = const(0x4000)
_IS_FILE = const(0x8000)
_ENOENT = const(2)
_ENOTDIR = const(20)

# A machine with an operating system below: its files have lasting inode numbers, and there may be links.
HOSTED = sys.platform in ("linux", "darwin")

if TYPE_CHECKING or not MICROPYTHON:
    from cradle_device.providers.disk_cpython import SECOND, flush_disk, flush_file, is_link, listing, look, open_file
else:
    SECOND = 1

    def _kind(mode):  # type: ignore[no-untyped-def]
        mode &= _KIND
        return DIRECTORY if mode == _IS_DIRECTORY else FILE if mode == _IS_FILE else OTHER

    def look(path):  # type: ignore[no-untyped-def]
        try:
            st = os.stat(path)
        except OSError as error:
            if error.errno in (_ENOENT, _ENOTDIR):
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

    open_file = open

    def flush_file(file):  # type: ignore[no-untyped-def]
        file.flush()  # a sync on flash, an fsync on the unix port

    def flush_disk():  # type: ignore[no-untyped-def]
        pass  # closing a file and renaming commit on LittleFS; there is no call for more


__all__ = ["SECOND", "flush_disk", "flush_file", "is_link", "listing", "look", "open_file"]
