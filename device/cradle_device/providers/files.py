"""The `files` type on a board: a folder on flash or a card, through one fixed buffer. Keeps no modes.

The folder carries its store id in `.cradle/store`; without it the folder is missing, not empty. Names are taken as the
disk has them. A replacement is a rename, which LittleFS and POSIX make in one step and FAT in two. Between the look and
the rename or removal there is a window in which the program beside us may write: a board has no calls to close it (a
CPython agent serves its files by `cradle_desktop.providers.files`, which has). Where a file becomes a directory its
name is free for an instant. LittleFS leaves a file empty that was being written when the disk filled up.
"""

import os
import struct
import time

from cradle_device.providers import disk
from cradle_device.providers.disk import HOSTED, SECOND, listing, look
from cradle_protocol.compat import const
from cradle_protocol.errors import (
    BAD_NAME,
    CHANGED,
    COLLISION,
    LIMIT,
    NO_PARENT,
    NO_ROOM,
    NO_STORE,
    NOT_ALLOWED,
    READ_ONLY,
    UNREADABLE,
    WRITE_FAILED,
)
from cradle_protocol.provider.paths import CASELESS, FAT_NAMES, MAX_NAME, OWN_FOLDER, bad_path, own_name
from cradle_protocol.provider.store import ObjectStore, Reader, StoreError, Writer
from cradle_protocol.sync.slices import SPAN, hashing, whole
from cradle_protocol.sync.values import DIRECTORY, UNKNOWN, file_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO

    from cradle_protocol.sync.slices import Slices

# The kinds of `disk`, folded by the compiler.
_NOTHING = const(0)
_DIRECTORY = const(1)
_FILE = const(2)
_OTHER = const(3)

_BUFFER = const(512)  # bytes: a read of flash is no faster with more
_RACY = const(2)  # seconds: FAT's times are that coarse
# Directories within directories: each holds a directory open during a scan. Deeper ones are skipped.
MAX_DEPTH = 16
_ID_SIZE = const(16)
_MAX_STAGE_NAME = const(64)
_STAGE_NAME = "0123456789abcdefABCDEF-"
# 2024-01-01 by the clock's own count, which begins in 1970 or in 2000: an earlier clock was never set.
_TRUSTED_FROM = 1704067200 - (0 if time.gmtime(0)[0] == 1970 else 946684800)

# kind, size, mtime; and the inode where one lasts. A board's disks hold no larger files.
_LAYOUT = "<BQQQ" if HOSTED else "<BII"
_MASK = 0xFFFFFFFFFFFFFFFF if HOSTED else 0xFFFFFFFF

_EPERM = const(1)
_ENOENT = const(2)
_EACCES = const(13)
_EEXIST = const(17)
_ENODEV = const(19)
_ENOTDIR = const(20)
_EISDIR = const(21)
_EINVAL = const(22)
_EFBIG = const(27)
_ENOSPC = const(28)
_EROFS = const(30)
_ENAMETOOLONG = const(36)
_ENOTEMPTY = const(39)
_ELOOP = const(40)
_EILSEQ = const(84)
_EDQUOT = const(122)

_STATUS = {
    _ENOSPC: NO_ROOM,
    _EDQUOT: NO_ROOM,
    _EFBIG: NO_ROOM,
    _EROFS: READ_ONLY,
    _EACCES: READ_ONLY,
    _EPERM: READ_ONLY,
    _EINVAL: BAD_NAME,
    _ENAMETOOLONG: BAD_NAME,
    _EILSEQ: BAD_NAME,
    _ENOTDIR: NO_PARENT,
    _ELOOP: NO_PARENT,
    _ENOENT: CHANGED,
    _EEXIST: CHANGED,
    _ENOTEMPTY: CHANGED,
    _EISDIR: CHANGED,
    _ENODEV: NO_STORE,
}


def _acting(error: OSError) -> StoreError:
    return StoreError(_STATUS.get(error.errno or 0, WRITE_FAILED))


def _looking(error: OSError) -> StoreError:
    status = _STATUS.get(error.errno or 0, UNREADABLE)
    return StoreError(status if status in (BAD_NAME, NO_STORE) else UNREADABLE)


def _stamp(facts: "tuple[int, int, int, int]") -> bytes:
    kind, size, mtime, inode = facts
    if kind == _DIRECTORY:
        size = mtime = 0  # they change with every child
    if HOSTED:
        return struct.pack(_LAYOUT, kind, size & _MASK, mtime & _MASK, inode & _MASK)
    return struct.pack(_LAYOUT, kind, size & _MASK, mtime & _MASK)


class FileReader(Reader):
    """Content of an open file."""

    def __init__(self, file: "FileIO") -> None:
        self._file = file

    def read_into(self, buffer: memoryview) -> int:
        try:
            return self._file.readinto(buffer) or 0
        except OSError as error:
            raise _looking(error)

    def close(self) -> None:
        self._file.close()


class FileWriter(Writer):
    """Appends to a stage."""

    def __init__(self, file: "FileIO") -> None:
        self._file = file

    def write(self, data: "bytes | bytearray | memoryview") -> None:
        try:
            done = self._file.write(data) or 0
            if done < len(data):
                view = memoryview(data)
                while done < len(data):
                    done += self._file.write(view[done:]) or 0
        except OSError as error:
            raise _acting(error)

    def flush(self) -> None:
        try:
            disk.flush_file(self._file)
        except OSError as error:
            raise _acting(error)

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise _acting(error)


class FilesStore(ObjectStore):
    """A folder as a store.

    buffer   what content passes through, the caller's to reuse between calls
    now      seconds by the board's clock, in the count that file times have
    highest  the highest such time ever seen (the agent keeps it): a clock below it is not trusted
    """

    type = "files"
    units = ("content", "mode")
    moves_by_identity = HOSTED

    def __init__(
        self,
        root: str,
        buffer: "bytearray | None" = None,
        now: "Callable[[], float]" = time.time,
        highest: int = 0,
    ) -> None:
        self.root = root.rstrip("/")
        self.highest = highest
        self.skipped: list[tuple[str, int]] = []
        self._buffer = memoryview(buffer or bytearray(_BUFFER))
        self._now = now
        self._own = self.root + "/" + OWN_FOLDER
        self._scanned = 0
        self._caseless: bool | None = None
        self._sure = ""  # the directory that was last found to be one, without a link above it

    @classmethod
    def create(cls, root: str, store_id: bytes) -> "FilesStore":
        """Make the folder a store, with this id; one that is a store already stays the store that it is."""
        store = cls(root)
        try:
            path = ""
            for name in store._own.split("/"):
                path += name
                if path and look(path)[0] == _NOTHING:
                    os.mkdir(path)
                path += "/"
            if look(store._own + "/store")[0] == _NOTHING:
                file = disk.open_file(store._own + "/store.new", "wb")
                file.write(store_id)
                disk.flush_file(file)
                file.close()
                os.rename(store._own + "/store.new", store._own + "/store")
        except OSError as error:
            raise _acting(error)
        store.store_id()
        return store

    # -- looking

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
        return None if facts[0] != kind else _stamp(facts)

    def stamp(self, identity: str) -> "bytes | None":
        facts = self._look(identity)
        if facts[0] in (_NOTHING, _OTHER) or not self._exact(identity):
            return None
        return _stamp(facts)

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
            raise _looking(error)

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

    def digest(self, identity: str) -> bytes:
        return whole(self.hashing(identity, 0))

    def hashing(self, identity: str, size: int) -> "Slices[bytes]":
        return hashing(self.open(identity), self._buffer)

    def open(self, identity: str, offset: int = 0) -> Reader:
        file = self._open(identity)
        if offset:
            file.seek(offset)
        return FileReader(file)

    def _open(self, identity: str) -> "FileIO":
        if self._look(identity)[0] != _FILE:
            raise StoreError(UNREADABLE)
        try:
            return disk.open_file(self.root + "/" + identity, "rb")
        except OSError as error:
            raise _looking(error)

    def room(self) -> int:
        facts = os.statvfs(self.root or "/")
        return facts[1] * facts[4]

    # -- staging

    def _staged(self, name: str, make: bool = False) -> str:
        """Path of a stage."""
        good = 0 < len(name) <= _MAX_STAGE_NAME
        for letter in name:
            good = good and letter in _STAGE_NAME
        if not good:
            raise StoreError(BAD_NAME)
        folder = self._own + "/tmp"
        if make and look(folder)[0] == _NOTHING:
            self.store_id()
            os.mkdir(folder)
        return folder + "/" + name

    def stage(self, name: str, append: bool = False) -> Writer:
        try:
            return FileWriter(disk.open_file(self._staged(name, True), "ab" if append else "wb"))
        except OSError as error:
            raise _acting(error)

    def stage_copy(self, identity: str, name: str) -> None:
        whole(self.copying(identity, name))

    def copying(self, identity: str, name: str) -> "Slices[None]":
        source, done = self.open(identity), 0
        try:
            writer = self.stage(name)
            try:
                while True:
                    n = source.read_into(self._buffer)
                    if not n:
                        break
                    writer.write(self._buffer[:n])
                    done += n
                    if done >= SPAN:
                        done = 0
                        yield
            finally:
                writer.close()
        finally:
            source.close()

    def open_staged(self, name: str) -> Reader:
        try:
            return FileReader(disk.open_file(self._staged(name), "rb"))
        except OSError as error:
            raise _looking(error)

    def staged(self) -> "list[tuple[str, int]]":
        folder = self._own + "/tmp"
        if look(folder)[0] == _NOTHING:
            return []
        names = sorted([name for name, _ in listing(folder)])
        return [(name, look(folder + "/" + name)[1]) for name in names]

    def staged_digest(self, name: str) -> bytes:
        return whole(self.staged_hashing(name))

    def staged_hashing(self, name: str) -> "Slices[bytes]":
        return hashing(self.open_staged(name), self._buffer)

    def unstage(self, name: str) -> None:
        try:
            if look(self._staged(name))[0] == _FILE:
                os.remove(self._staged(name))
        except OSError as error:
            raise _acting(error)

    # -- acting

    def install(
        self, identity: str, staged: "str | None", values: "list[bytes]", expected: "bytes | None", content: bool = True
    ) -> bytes:
        there = self._expect(identity, expected, values[0] == DIRECTORY)
        made: list[str] = []
        try:
            if expected is None:
                made = self._make_parents(identity)
            if values[0] == DIRECTORY:
                return self._install_directory(identity, there)
            if staged is not None and content:
                return self._install_file(identity, staged, there)
            if expected is None:
                raise StoreError(CHANGED)
            return expected  # no other unit is held here
        except OSError as error:
            self._unmake(made)
            raise _acting(error)
        except StoreError:
            self._unmake(made)
            raise

    def _expect(self, identity: str, expected: "bytes | None", directory: bool) -> int:
        """Kind of what is there. Raises StoreError if that is not what was expected."""
        facts = self._look(identity)
        kind = facts[0]
        if kind != _NOTHING and expected is None:
            if kind == _OTHER or not self._exact(identity):
                raise StoreError(COLLISION)
            if kind != _DIRECTORY or not directory:
                raise StoreError(CHANGED)
        elif expected is not None and (kind == _NOTHING or _stamp(facts) != expected):
            raise StoreError(CHANGED)
        return kind

    def _install_directory(self, identity: str, there: int) -> bytes:
        path = self.root + "/" + identity
        if there == _FILE:
            os.remove(path)
        if there != _DIRECTORY:
            os.mkdir(path)
        return _stamp(look(path))

    def _install_file(self, identity: str, staged: str, there: int) -> bytes:
        path, ready = self.root + "/" + identity, self._staged(staged)
        facts = look(ready)
        if facts[0] != _FILE:
            raise StoreError(UNREADABLE, "nothing is staged under that name")
        if there == _DIRECTORY:
            self._remove_directory(identity, path)
        os.rename(ready, path)
        return _stamp(facts)  # as it was before the rename: an edit right after it must differ

    def _make_parents(self, identity: str) -> "list[str]":
        made: list[str] = []
        for path in self.missing_parents(identity):
            if look(self.root + "/" + path)[0] != _NOTHING:
                self._unmake(made)
                raise StoreError(COLLISION if self._caseless and not self._exact(path) else NO_PARENT)
            os.mkdir(self.root + "/" + path)
            made.append(path)
        return made

    def _unmake(self, made: "list[str]") -> None:
        while made:
            self.prune(made.pop())

    def missing_parents(self, identity: str) -> "list[str]":
        self._check(identity)
        missing: list[str] = []
        above = identity.rpartition("/")[0]
        try:
            while above and not self._is_directory(above):
                missing.insert(0, above)
                above = above.rpartition("/")[0]
        except OSError as error:
            raise _looking(error)
        return missing

    def _remove_directory(self, identity: str, path: str) -> None:
        """Remove it if it is empty. FAT answers "denied" at one that is not, and rmdir of LittleFS takes files."""
        for _ in listing(path):
            raise StoreError(CHANGED)
        self._sure = ""
        os.rmdir(path)

    def remove(self, identity: str, expected: bytes) -> None:
        path = self.root + "/" + identity
        try:
            if self._expect(identity, expected, False) == _DIRECTORY:
                self._remove_directory(identity, path)
            else:
                os.remove(path)
        except OSError as error:
            raise _acting(error)

    def prune(self, identity: str) -> bool:
        if self._look(identity)[0] != _DIRECTORY:
            return False
        try:
            self._remove_directory(identity, self.root + "/" + identity)
        except StoreError:
            return False
        except OSError as error:
            if error.errno in (_ENOTEMPTY, _ENOENT, _EEXIST):
                return False
            raise _acting(error)
        return True

    def sync(self) -> None:
        disk.flush_disk()
