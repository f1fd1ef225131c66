"""The `files` type in a folder, for CPython on Linux: fast scans, and writes that lose no edit and leave no folder.

The folder carries its store id in `.cradle/store`; without it the folder is missing, not empty. Links, sockets, pipes
and devices are never synced: they are skipped with NOT_ALLOWED, so that nothing is taken for deleted where one stands.
Permission bits are kept where the disk has them. A hard link is broken when one of its names is replaced.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator

from cradle_desktop.providers.folder import MISSING, Folder, acting, looking
from cradle_desktop.providers.install import Installer
from cradle_desktop.providers.kept import Kept
from cradle_desktop.providers.kernel import LIST, READ, Kernel, disk_type
from cradle_desktop.providers.newfiles import FolderNewFiles
from cradle_desktop.providers.scan import Scanner
from cradle_desktop.providers.staging import FileReader, Staging, digest_of
from cradle_desktop.providers.stamps import FAT_DISKS, PLAIN_DISKS, Stamps
from cradle_protocol.errors import NO_STORE, UNREADABLE
from cradle_protocol.provider.keeping import KeepingStore
from cradle_protocol.provider.newfiles import NewFiles
from cradle_protocol.provider.paths import CASELESS, COMPOSED, FAT_NAMES, MAX_NAME, OWN_FOLDER
from cradle_protocol.provider.store import Reader, StoreError, Writer

ID_FILE, ID_SIZE = "store", 16
_PRIVATE = 0o700


class FilesStore(KeepingStore):
    """A folder as a store. Opens it at the first call and holds it open until `close`; not for several threads.

    nested  identities of directories that are stores themselves, as the last scan met them
    clock   nanoseconds since 1970, for the racy rule
    kernel  the calls it uses
    """

    type = "files"
    units = ("content", "mode")
    renames = True

    def __init__(
        self, root: "str | os.PathLike[str]", clock: "Callable[[], int]" = time.time_ns, kernel: "Kernel | None" = None
    ) -> None:
        self.root = os.path.abspath(os.fspath(root))
        self.clock, self.kernel = clock, kernel or Kernel()
        self.skipped = []
        self.nested: list[str] = []
        self.stamps = Stamps()
        self._scanned = 0
        self._sure = b""  # see `Installer.sure`
        self._folder: Folder | None = None

    @classmethod
    def create(cls, root: "str | os.PathLike[str]", store_id: bytes = b"") -> "FilesStore":
        """Make the folder a store; one that is a store already stays the store that it is. Raises StoreError."""
        store = cls(root)
        own = os.path.join(store.root, OWN_FOLDER)
        try:
            os.makedirs(store.root, exist_ok=True)
            try:
                os.mkdir(own, _PRIVATE)
            except FileExistsError:
                pass
            _write_id(own, store_id or os.urandom(ID_SIZE))
        except OSError as error:
            raise acting(error) from error
        store.store_id()
        return store

    # -- the folder

    def store_id(self) -> bytes:
        folder = self._open()
        if not self._is_current(folder):
            self.close()  # the path leads to another folder by now: that one counts
            folder = self._open()
        return self._read_id(folder)

    def _read_id(self, folder: Folder) -> bytes:
        try:
            found = folder.read_own(ID_FILE, ID_SIZE + 1)
        except OSError as error:
            raise StoreError(NO_STORE, f"{self.root} is not a store: it has no {OWN_FOLDER}/{ID_FILE}") from error
        if len(found) != ID_SIZE:
            raise StoreError(NO_STORE, f"{self.root}/{OWN_FOLDER}/{ID_FILE} does not hold a store id")
        return found

    def _is_current(self, folder: Folder) -> bool:
        try:
            here, there = os.fstat(folder.fd), os.stat(self.root)
        except OSError:
            return False
        return os.path.samestat(here, there)

    def _open(self) -> Folder:
        if self._folder is None:
            try:
                folder = Folder(self.root, self.kernel)
            except OSError as error:
                raise StoreError(NO_STORE, f"{self.root} is missing") from error
            try:
                self._read_id(folder)
                self._learn(folder)
            except BaseException:
                folder.close()
                raise
            self._folder = folder
        return self._folder

    def _learn(self, folder: Folder) -> None:
        """What kind of disk is it?"""
        kind = disk_type(os.fstat(folder.fd).st_dev)
        full = kind not in PLAIN_DISKS
        self.moves_by_identity = full
        self.stamps = Stamps(full)
        own = folder.directory(OWN_FOLDER)
        try:
            folder.caseless = self.kernel.exists(own, ID_FILE.upper())
            self.name_max = min(MAX_NAME, os.fstatvfs(own).f_namemax)
        finally:
            os.close(own)
        self.names = COMPOSED | (CASELESS if folder.caseless else 0) | (FAT_NAMES if kind in FAT_DISKS else 0)
        self.staging = Staging(folder)
        self.staging.full = full
        self.held = Kept(folder)
        self._installer = Installer(folder, self.kernel, self.staging, self.held, self.stamps)
        self._new_files = FolderNewFiles(folder, self.kernel, self.staging, self._installer.umask)

    def close(self) -> None:
        if self._folder is not None:
            self.staging.close()
            self.held.close()
            self._folder.close()
            self._folder = None

    # -- looking

    def items(self) -> "Iterator[tuple[str, bytes]]":
        scanner = self._scanner()
        yield from scanner.run()
        self._end_scan()

    def names_only(self) -> "Iterator[tuple[str, bool]]":
        """As `items`, but (identity, is it a directory): nothing is looked at yet; `visit` does that."""
        scanner = self._scanner()
        yield from scanner.names()
        self._end_scan()

    def _scanner(self) -> Scanner:
        self.store_id()
        folder = self._open()
        self._scanned = self.clock()
        scanner = Scanner(folder, self.stamps.full)
        self.skipped, self.nested = scanner.skipped, scanner.nested
        return scanner

    def _end_scan(self) -> None:
        folder = self._open()
        if not self._is_current(folder):
            raise StoreError(NO_STORE, f"{self.root} went away during the scan")
        self._read_id(folder)

    def stamp(self, identity: str) -> "bytes | None":
        folder = self._open()
        try:
            with folder.place(identity) as place:
                there = place.stat()
        except OSError as error:
            if error.errno in MISSING:
                return None
            raise looking(error) from error
        if there is None or not folder.exact(identity):
            return None
        return self.stamps.pack(there)

    def values(self, stamp: bytes) -> "list[bytes]":
        return self.stamps.values(stamp)

    def holds(self, unit: int) -> bool:
        self._open()
        return unit == 0 or self.stamps.full

    def racy(self, stamp: bytes) -> bool:
        return stamp != self._sure and self.stamps.racy(stamp, self._scanned)

    def age(self, stamp: bytes) -> int:
        return self.stamps.age(stamp, self.clock())

    def object_key(self, stamp: bytes) -> bytes:
        return self.stamps.object_key(stamp)

    def _read(self, identity: str) -> int:
        """A descriptor of a regular file, not followed if it is a link, not waited for if it is a pipe."""
        try:
            with self._open().place(identity) as place:
                fd = os.open(place.name, READ, dir_fd=place.fd)
        except OSError as error:
            raise looking(error) from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise StoreError(UNREADABLE, "that is no file")
        return fd

    def digest(self, identity: str) -> bytes:
        fd = self._read(identity)
        try:
            return digest_of(fd)
        finally:
            os.close(fd)

    def open(self, identity: str, offset: int = 0) -> Reader:
        return FileReader(self._read(identity), offset)

    def read_whole(self, identity: str, size: int) -> "tuple[bytes, bytes | None]":
        """A small content in one go, up to one byte more than `size`, and the stamp of what was read, afterwards."""
        folder = self._open()
        try:
            place = folder.near(identity)
            fd = os.open(place.name, READ, dir_fd=place.fd)
            try:
                return os.read(fd, size + 1), self.stamps.pack(os.fstat(fd))
            finally:
                os.close(fd)
        except OSError as error:
            raise looking(error) from error

    def size(self, identity: str) -> int:
        """Bytes of a file as it is now, 0 if there is none or it cannot be looked at: for planning."""
        try:
            place = self._open().near(identity)
            return os.stat(place.name, dir_fd=place.fd, follow_symlinks=False).st_size
        except (OSError, StoreError):
            return 0

    def visit(self, identity: str, buffer: memoryview) -> "tuple[int, bytes, list[bytes], bool] | None":
        """The beginning of a file, read into the buffer: (how much of it, stamp, values, is the stamp racy).

        The stamp is that of what was read, taken afterwards; if it is not racy nothing was written meanwhile. None:
        there is no such file.
        """
        try:
            place = self._open().near(identity)
            fd = os.open(place.name, READ, dir_fd=place.fd)
            try:
                count, there = os.readv(fd, (buffer,)), os.fstat(fd)
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno in MISSING:
                return None
            raise looking(error) from error
        seen = self.stamps.seen(there, self._scanned)
        return None if seen is None else (count, *seen)

    def room(self) -> int:
        disk = os.fstatvfs(self._open().fd)
        return disk.f_bavail * disk.f_frsize

    # -- staging

    def stage(self, name: str, append: bool = False) -> Writer:
        self._open()
        return self.staging.writer(name, append)

    def stage_bytes(self, name: str, data: "bytes | bytearray | memoryview") -> None:
        self._open()
        self.staging.put(name, data)

    def stage_copy(self, identity: str, name: str) -> None:
        fd = self._read(identity)
        try:
            self.staging.copy(fd, name)
        finally:
            os.close(fd)

    def open_staged(self, name: str) -> Reader:
        self._open()
        return FileReader(self.staging.read(name))

    def staged(self) -> "list[tuple[str, int]]":
        self._open()
        return self.staging.names()

    def staged_digest(self, name: str) -> bytes:
        self._open()
        return self.staging.digest(name)

    def unstage(self, name: str) -> None:
        self._open()
        self.staging.drop(name)

    def new_files(self) -> NewFiles:
        """A short way for many new files, where the disk has one."""
        folder = self._open()
        plain = self.stamps.full and not folder.caseless and self._new_files.usable
        return self._new_files if plain else NewFiles(self)

    # -- keeping what is displaced

    def keep_next(self, name: str) -> None:
        self._open()
        self.held.next = name

    def keep_staged(self, staged: str, name: str) -> None:
        self._open()
        self.held.adopt(self.staging, staged, name)

    def kept(self) -> "list[tuple[str, int]]":
        self._open()
        return self.held.names()

    def open_kept(self, name: str) -> Reader:
        self._open()
        return FileReader(self.held.read(name))

    def drop_kept(self, name: str) -> None:
        self._open()
        self.held.drop(name)

    # -- acting

    def install(
        self, identity: str, staged: "str | None", values: "list[bytes]", expected: "bytes | None", content: bool = True
    ) -> bytes:
        self._open()
        stamp = self._installer.install(identity, staged, values, expected, content)
        self._sure = self._installer.sure
        return stamp

    def missing_parents(self, identity: str) -> "list[str]":
        try:
            return self._open().missing(identity)
        except OSError as error:
            raise looking(error) from error

    def remove(self, identity: str, expected: bytes) -> None:
        self._open()
        self._installer.remove(identity, expected)

    def prune(self, identity: str) -> bool:
        self._open()
        return self._installer.prune(identity)

    def move(self, identity: str, expected: bytes, target: str) -> bytes:
        self._open()
        stamp = self._installer.move(identity, expected, target)
        self._sure = self._installer.sure
        return stamp

    def respell(self, identity: str, wanted: str) -> None:
        self._open()
        self._installer.respell(identity, wanted)

    def sync(self) -> None:
        folder = self._open()
        folder.let_go()
        try:
            self.kernel.flush(folder.fd)
        except OSError as error:
            raise acting(error) from error


def _write_id(own: str, store_id: bytes) -> None:
    """Write the id file whole, unless there is one."""
    path, fresh = os.path.join(own, ID_FILE), os.path.join(own, f"{ID_FILE}.{os.getpid()}")
    if os.path.exists(path):
        return
    with open(fresh, "wb") as file:
        file.write(store_id)
        file.flush()
        os.fsync(file.fileno())
    fd = os.open(own, LIST)
    try:
        Kernel().rename_new(fd, os.path.basename(fresh), fd, ID_FILE)
        os.fsync(fd)
    except FileExistsError:
        os.unlink(fresh)
    finally:
        os.close(fd)
