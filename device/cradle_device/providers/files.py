"""The `files` type on a board: a folder on flash or a card, through one fixed buffer. Keeps no modes.

`folder` has the looks; here are the contents, and all that changes. A replacement is a rename, which LittleFS and
POSIX make in one step and FAT in two. Between the look and the rename or removal there is a window in which the
program beside us may write: a board has no calls to close it (a CPython agent serves its files by
`cradle_desktop.providers.files`, which has). Where a file becomes a directory its name is free for an instant.
LittleFS leaves a file empty that was being written when the disk filled up.
"""

import os
import time

from cradle_device.providers import disk
from cradle_device.providers.disk import listing, look
from cradle_device.providers.disk_error import acting, looking, not_empty
from cradle_device.providers.folder import Folder, stamp_of
from cradle_protocol.compat import const
from cradle_protocol.errors import BAD_NAME, CHANGED, COLLISION, NO_PARENT, UNREADABLE
from cradle_protocol.provider.store import Reader, StoreError, Writer
from cradle_protocol.sync.slices import SPAN, hashing, whole
from cradle_protocol.sync.values import DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO

    from cradle_protocol.sync.slices import Slices

# The kinds of `disk`, folded by the compiler.
_NOTHING = const(0)
_DIRECTORY = const(1)
_FILE = const(2)
_OTHER = const(3)

_BUFFER = const(512)  # bytes: a read of flash is no faster with more
_MAX_STAGE_NAME = const(64)
_STAGE_NAME = "0123456789abcdefABCDEF-"


class FileReader(Reader):
    """Content of an open file."""

    def __init__(self, file: "FileIO") -> None:
        self._file = file

    def read_into(self, buffer: memoryview) -> int:
        try:
            return self._file.readinto(buffer) or 0
        except OSError as error:
            raise looking(error)

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
            raise acting(error)

    def flush(self) -> None:
        try:
            disk.flush_file(self._file)
        except OSError as error:
            raise acting(error)

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise acting(error)


class FilesStore(Folder):
    """A folder as a store.

    buffer   what content passes through, the caller's to reuse between calls
    now      seconds by the board's clock, in the count that file times have
    highest  the highest such time ever seen (the agent keeps it): a clock below it is not trusted
    """

    renames = True

    def __init__(
        self,
        root: str,
        buffer: "bytearray | None" = None,
        now: "Callable[[], float]" = time.time,
        highest: int = 0,
    ) -> None:
        super().__init__(root, now, highest)
        self._buffer = memoryview(buffer or bytearray(_BUFFER))

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
            raise acting(error)
        store.store_id()
        return store

    # -- contents

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
            raise looking(error)

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
            raise acting(error)

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
            raise looking(error)

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
            raise acting(error)

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
            raise acting(error)
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
        elif expected is not None and (kind == _NOTHING or stamp_of(facts) != expected):
            raise StoreError(CHANGED)
        return kind

    def _install_directory(self, identity: str, there: int) -> bytes:
        path = self.root + "/" + identity
        if there == _FILE:
            os.remove(path)
        if there != _DIRECTORY:
            os.mkdir(path)
        return stamp_of(look(path))

    def _install_file(self, identity: str, staged: str, there: int) -> bytes:
        path, ready = self.root + "/" + identity, self._staged(staged)
        facts = look(ready)
        if facts[0] != _FILE:
            raise StoreError(UNREADABLE, "nothing is staged under that name")
        if there == _DIRECTORY:
            self._remove_directory(identity, path)
        os.rename(ready, path)
        return stamp_of(facts)  # as it was before the rename: an edit right after it must differ

    def move(self, identity: str, expected: bytes, target: str) -> bytes:
        self._expect(identity, expected, False)
        if self._look(target)[0] != _NOTHING:
            raise StoreError(CHANGED if self._exact(target) else COLLISION)
        made: list[str] = []
        try:
            made = self._make_parents(target)
            os.rename(self.root + "/" + identity, self.root + "/" + target)
        except OSError as error:
            self._unmake(made)
            raise acting(error)
        self._sure = ""
        return stamp_of(look(self.root + "/" + target))

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
            raise looking(error)
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
            raise acting(error)

    def prune(self, identity: str) -> bool:
        if self._look(identity)[0] != _DIRECTORY:
            return False
        try:
            self._remove_directory(identity, self.root + "/" + identity)
        except StoreError:
            return False
        except OSError as error:
            if not_empty(error):
                return False
            raise acting(error)
        return True

    def sync(self) -> None:
        disk.flush_disk()
