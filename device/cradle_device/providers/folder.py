"""The folder of `files` as it is looked at: which objects there are, and their versions. Opens none of them.

It carries its store id in `.cradle/store`; without it the folder is missing, not empty. Names are taken as the disk has
them; a link, and whatever is behind one, is nothing.
"""

import os
import struct
import time

from cradle_device.providers import disk
from cradle_device.providers.disk import HOSTED, SECOND, listing, look
from cradle_device.providers.disk_error import looking
from cradle_protocol.compat import const
from cradle_protocol.errors import BAD_NAME, LIMIT, NO_STORE, NOT_ALLOWED, UNREADABLE
from cradle_protocol.provider.paths import CASELESS, FAT_NAMES, MAX_NAME, OWN_FOLDER, bad_path, own_name
from cradle_protocol.provider.store import ObjectStore, StoreError
from cradle_protocol.sync.values import DIRECTORY, UNKNOWN, file_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The kinds of `disk`, folded by the compiler.
_NOTHING = const(0)
_DIRECTORY = const(1)
_OTHER = const(3)

_RACY = const(2)  # seconds: FAT's times are that coarse
# Directories within directories: each holds a directory open during a scan. Deeper ones are skipped.
MAX_DEPTH = 16
_ID_SIZE = const(16)
# 2024-01-01 by the clock's own count, which begins in 1970 or in 2000: an earlier clock was never set.
_TRUSTED_FROM = 1704067200 - (0 if time.gmtime(0)[0] == 1970 else 946684800)

# kind, size, mtime; and the inode where one lasts. A board's disks hold no larger files.
_LAYOUT = "<BQQQ" if HOSTED else "<BII"
_MASK = 0xFFFFFFFFFFFFFFFF if HOSTED else 0xFFFFFFFF


def stamp_of(facts: "tuple[int, int, int, int]") -> bytes:
    """The version of what `look` found."""
    kind, size, mtime, inode = facts
    if kind == _DIRECTORY:
        size = mtime = 0  # they change with every child
    if HOSTED:
        return struct.pack(_LAYOUT, kind, size & _MASK, mtime & _MASK, inode & _MASK)
    return struct.pack(_LAYOUT, kind, size & _MASK, mtime & _MASK)


class Folder(ObjectStore):
    """A store that can be looked at. now, highest: see `FilesStore`."""

    type = "files"
    units = ("content", "mode")
    moves_by_identity = HOSTED

    def __init__(self, root: str, now: "Callable[[], float]", highest: int) -> None:
        self.root = root.rstrip("/")
        self.highest = highest
        self.skipped: list[tuple[str, int]] = []
        self._now = now
        self._own = self.root + "/" + OWN_FOLDER
        self._scanned = 0
        self._caseless: bool | None = None
        self._sure = ""  # the directory that was last found to be one, without a link above it

    def store_id(self) -> bytes:
        try:
            file = disk.open_file(self._own + "/store", "rb")
            found = file.read(_ID_SIZE + 1) or b""
            file.close()
        except OSError:
            raise StoreError(NO_STORE, "%s is missing, or not a store" % (self.root or "/"))
        if len(found) != _ID_SIZE:
            raise StoreError(NO_STORE, "%s/store does not hold a store id" % self._own)
        if self._caseless is None:
            self._caseless = look(self._own + "/STORE")[0] != _NOTHING
            self.names = CASELESS | FAT_NAMES if self._caseless else 0
            self.name_max = min(MAX_NAME, os.statvfs(self._own)[9])
        return found

    def trusted(self) -> bool:
        """Is the clock one that was set, and did it not go back?"""
        return self._now() >= max(_TRUSTED_FROM, self.highest)

    def items(self) -> "Iterator[tuple[str, bytes]]":
        self.store_id()
        self._sure = ""
        self._scanned = int(self._now()) if self.trusted() else 0
        self.skipped = []
        open_directories = [("", self._listing(""))]
        while open_directories:
            above, entries = open_directories[-1]
            try:
                name, kind = next(entries)
            except StopIteration:
                open_directories.pop()
                continue
            except UnicodeError:  # MicroPython, at a name that is not UTF-8: it cannot even be told
                self.skipped.append((above[:-1], BAD_NAME))
                continue
            except OSError:
                self._unreadable(above)
                open_directories.pop()
                continue
            if own_name(name):
                continue
            identity = above + name
            stamp = self._meet(identity, kind)
            if stamp is None:
                continue
            yield identity, stamp
            if kind == _DIRECTORY and len(open_directories) < MAX_DEPTH:
                open_directories.append((identity + "/", self._listing(identity)))
            elif kind == _DIRECTORY:
                self.skipped.append((identity, LIMIT))
        self.store_id()

    def _listing(self, identity: str) -> "Iterator[tuple[str, int]]":
        return listing(self.root + "/" + identity)

    def _unreadable(self, above: str) -> None:
        """Nothing below may be taken for deleted; without its own folder there is no store."""
        if not above:
            raise StoreError(NO_STORE)
        self.skipped.append((above[:-1], UNREADABLE))

    def _meet(self, identity: str, kind: int) -> "bytes | None":
        """The stamp of an object that a scan met; None, and skipped, where it cannot be synced."""
        try:
            identity.encode()
            facts = look(self.root + "/" + identity)
        except UnicodeError:
            shown = identity.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            self.skipped.append((shown, BAD_NAME))
            return None
        except OSError:
            self.skipped.append((identity, UNREADABLE))
            return None
        if kind == _OTHER or facts[0] == _OTHER:
            self.skipped.append((identity, NOT_ALLOWED))
            return None
        return None if facts[0] != kind else stamp_of(facts)

    def stamp(self, identity: str) -> "bytes | None":
        facts = self._look(identity)
        if facts[0] in (_NOTHING, _OTHER) or not self._exact(identity):
            return None
        return stamp_of(facts)

    def _check(self, identity: str) -> str:
        """The object's path on the disk. Raises StoreError(BAD_NAME)."""
        if self._caseless is None:
            self.store_id()
        if bad_path(identity, bool(self._caseless)):
            raise StoreError(BAD_NAME)
        return self.root + "/" + identity

    def _look(self, identity: str) -> "tuple[int, int, int, int]":
        """What is there. A link, and whatever is behind one, is nothing."""
        path = self._check(identity)
        try:
            above, _, name = identity.rpartition("/")
            if not self._is_directory(above):
                return _NOTHING, 0, 0, 0
            if disk.is_link(path[: -len(name) - 1], name):
                return _OTHER, 0, 0, 0
            return look(path)
        except OSError as error:
            raise looking(error)

    def _is_directory(self, above: str) -> bool:
        """Are this path and all above it directories, spelled like this, and no links?

        The last answer is remembered until a scan, but not where a directory may be swapped for a link.
        """
        if not above or (above == self._sure and not HOSTED):
            return True
        path = ""
        for name in above.split("/"):
            if disk.is_link(self.root + path or "/", name):
                return False
            path += "/" + name
            if look(self.root + path)[0] != _DIRECTORY or not self._exact(path[1:]):
                return False
        self._sure = above
        return True

    def _exact(self, identity: str) -> bool:
        """On a disk that does not tell case: is the last name spelled like this there?"""
        if not self._caseless:
            return True
        above, _, name = identity.rpartition("/")
        for found, _ in listing(self.root + "/" + above):
            if found == name:
                return True
        return False

    def values(self, stamp: bytes) -> "list[bytes]":
        facts = struct.unpack(_LAYOUT, stamp)
        return [DIRECTORY if facts[0] == _DIRECTORY else file_value(facts[1]), UNKNOWN]

    def holds(self, unit: int) -> bool:
        return unit == 0

    def racy(self, stamp: bytes) -> bool:
        facts = struct.unpack(_LAYOUT, stamp)
        if facts[0] == _DIRECTORY:
            return False
        return not self._scanned or bool(facts[2] > (self._scanned - _RACY) * SECOND)

    def age(self, stamp: bytes) -> int:
        age = int(self._now()) - struct.unpack(_LAYOUT, stamp)[2] // SECOND
        return age if self.trusted() else -1

    def object_key(self, stamp: bytes) -> bytes:
        return stamp

    def room(self) -> int:
        facts = os.statvfs(self.root or "/")
        return facts[1] * facts[4]
