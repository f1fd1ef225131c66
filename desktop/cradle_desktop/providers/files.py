"""The `files` type in a folder, for CPython on Linux: fast scans, and writes that lose no edit and leave no folder.

The folder carries its store id in `.cradle/store`; without it the folder is missing, not empty. Links, sockets, pipes
and devices are never synced: they are skipped with NOT_ALLOWED, so that nothing is taken for deleted where one stands.
Permission bits are kept where the disk has them. A hard link is broken when one of its names is replaced.
"""

import errno
import os
import stat
import time
import unicodedata
from collections.abc import Callable, Iterator

from cradle_desktop.providers.folder import Folder, Place, acting, looking
from cradle_desktop.providers.kernel import LIST, READ, Kernel, default_umask, disk_type
from cradle_desktop.providers.replace import Bench, Replacer
from cradle_desktop.providers.staging import FileReader, Staging, copy_all, digest_of
from cradle_desktop.providers.stamps import (
    IS_DIRECTORY,
    IS_FILE,
    LAYOUT,
    PERMISSIONS,
    PLAIN_DISKS,
    Stamps,
    mode_of,
)
from cradle_protocol.errors import BAD_NAME, CHANGED, COLLISION, NO_STORE, NOT_ALLOWED, UNREADABLE
from cradle_protocol.provider.paths import MAX_NAME, MAX_PATH, OWN_FOLDER, OWN_PREFIX, own_name
from cradle_protocol.provider.store import ObjectStore, Reader, StoreError, Writer
from cradle_protocol.sync.values import DIRECTORY

ID_FILE, ID_SIZE = "store", 16
_ALL_FILE, _ALL_DIRECTORY, _PRIVATE = 0o666, 0o777, 0o700
_DEEPEST = MAX_PATH - MAX_NAME - 1  # bytes of a directory's path below which any name fits
# A directory that went between being listed and being opened.
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_KIND, _REGULAR, _FOLDER = 0o170000, stat.S_IFREG, stat.S_IFDIR


class FilesStore(ObjectStore):
    """A folder as a store. Opens it at the first call and holds it open until `close`; not for several threads.

    clock   nanoseconds since 1970, for the racy rule
    kernel  the calls it uses
    """

    type = "files"
    units = ("content", "mode")

    def __init__(
        self, root: "str | os.PathLike[str]", clock: "Callable[[], int]" = time.time_ns, kernel: "Kernel | None" = None
    ) -> None:
        self.root = os.path.abspath(os.fspath(root))
        self.clock, self.kernel = clock, kernel or Kernel()
        self.skipped = []
        self.stamps = Stamps()
        self._scanned = 0
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
        full = disk_type(os.fstat(folder.fd).st_dev) not in PLAIN_DISKS
        self.moves_by_identity = full
        self.stamps = Stamps(full)
        own = folder.directory(OWN_FOLDER)
        try:
            folder.caseless = _finds_capitals(own, ID_FILE)
        finally:
            os.close(own)
        self.staging = Staging(folder)
        self.replacer = Replacer(self.kernel, self.staging, self.stamps)
        self._umask = default_umask()

    def close(self) -> None:
        if self._folder is not None:
            self.staging.close()
            self._folder.close()
            self._folder = None

    # -- looking

    def items(self) -> "Iterator[tuple[str, bytes]]":
        self.store_id()
        folder = self._open()
        folder.forget()
        self._scanned = self.clock()
        skipped = self.skipped = []
        waiting = [("", "")]  # (identity, path on the disk) of directories that were met and not yet listed
        while waiting:
            identity, path = waiting.pop()
            yield from self._survey(folder, identity, path, waiting, skipped)
        if not self._is_current(folder):
            raise StoreError(NO_STORE, f"{self.root} went away during the scan")
        self._read_id(folder)

    def _survey(
        self,
        folder: Folder,
        identity: str,
        path: str,
        waiting: "list[tuple[str, str]]",
        skipped: "list[tuple[str, int]]",
    ) -> "list[tuple[str, bytes]]":
        """All objects of one directory; its directories are added to those that wait."""
        if len(os.fsencode(path)) > _DEEPEST or len(identity.encode()) > _DEEPEST:
            skipped.append((identity, BAD_NAME))
            return []
        try:
            fd = folder.directory(path, LIST)
            try:
                return self._list(folder, fd, identity, path, waiting, skipped)
            finally:
                os.close(fd)
        except OSError as error:
            if not path:
                raise StoreError(NO_STORE, f"{self.root} cannot be read: {error.strerror}") from error
            # Nothing below may be taken for deleted, also where it was only renamed during the scan.
            skipped.append((identity, CHANGED if error.errno in _GONE else UNREADABLE))
            return []

    # long: the hot loop of a scan, a call per file would cost as much as its stat
    def _list(
        self,
        folder: Folder,
        fd: int,
        identity: str,
        path: str,
        waiting: "list[tuple[str, str]]",
        skipped: "list[tuple[str, int]]",
    ) -> "list[tuple[str, bytes]]":
        found: list[tuple[str, bytes]] = []
        here, prefix = identity and identity + "/", path and path + "/"
        names = os.listdir(fd)
        odd = {} if "".join(names).isascii() else _identities(names, here, skipped)
        look, pack, full = os.stat, LAYOUT.pack, self.stamps.full
        for name in names:
            if name[0] == "." and own_name(name):
                continue
            shown: str | None = name
            if odd and name in odd:
                shown = odd[name]
                if shown is None:
                    continue
                if shown != name:
                    folder.spelled[here + shown] = name
            try:
                st = look(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            except PermissionError:
                raise
            except OSError:
                skipped.append((f"{here}{shown}", UNREADABLE))
                continue
            mode = st.st_mode
            kind = mode & _KIND
            bits, inode = (mode & PERMISSIONS, st.st_ino) if full else (0, 0)
            if kind == _REGULAR:
                changed = st.st_ctime_ns if full else 0
                stamp = pack(IS_FILE, bits, st.st_size, st.st_mtime_ns, changed, inode)
            elif kind == _FOLDER:
                stamp = pack(IS_DIRECTORY, bits, 0, 0, 0, inode)
                waiting.append((f"{here}{shown}", prefix + name))
            else:
                skipped.append((f"{here}{shown}", NOT_ALLOWED))
                continue
            found.append((f"{here}{shown}", stamp))
        return found

    def stamp(self, identity: str) -> "bytes | None":
        folder = self._open()
        try:
            with folder.place(identity) as place:
                there = place.stat()
        except OSError as error:
            if error.errno in _GONE:
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
        return self.stamps.racy(stamp, self._scanned)

    def same_object(self, old: bytes, new: bytes) -> bool:
        return self.stamps.same_object(old, new)

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

    def staged(self) -> "list[tuple[str, int]]":
        self._open()
        return self.staging.names()

    def staged_digest(self, name: str) -> bytes:
        self._open()
        return self.staging.digest(name)

    def unstage(self, name: str) -> None:
        self._open()
        self.staging.drop(name)

    # -- acting

    def install(
        self, identity: str, staged: "str | None", values: "list[bytes]", expected: "bytes | None", content: bool = True
    ) -> bytes:
        folder = self._open()
        folder.check(identity)
        made: list[str] = []
        try:
            if not folder.exact(identity):
                raise StoreError(COLLISION, "a name that differs only in case is there")
            place, made = self._reach(folder, identity, expected is None)
            with place:
                return self._unlocked(place, lambda: self._install(place, staged, values, expected, content))
        except OSError as error:
            self._unmake(made)
            raise acting(error) from error
        except StoreError:
            self._unmake(made)
            raise

    def _reach(self, folder: Folder, identity: str, make: bool) -> "tuple[Place, list[str]]":
        """The place of an object, and the directories that were made for it."""
        try:
            return folder.place(identity), []
        except FileNotFoundError:
            if not make:
                raise
        made = folder.make_parents(identity)
        return folder.place(identity), made

    def _unmake(self, made: "list[str]") -> None:
        for path in reversed(made):
            self.prune(path)

    def _unlocked(self, place: Place, act: "Callable[[], bytes]") -> bytes:
        """Act; in a directory of ours that forbids writing, which its own mode unit may say, allow it meanwhile."""
        try:
            return act()
        except PermissionError:
            above = os.stat(".", dir_fd=place.fd)
            bits = stat.S_IMODE(above.st_mode)
            if above.st_uid != os.geteuid() or bits & stat.S_IWUSR:
                raise
            os.chmod(".", bits | stat.S_IWUSR, dir_fd=place.fd)
            try:
                return act()
            finally:
                os.chmod(".", bits, dir_fd=place.fd)

    def _install(
        self, place: Place, staged: "str | None", values: "list[bytes]", expected: "bytes | None", content: bool
    ) -> bytes:
        mode = mode_of(values[1]) if self.stamps.full else None
        if values[0] == DIRECTORY:
            return self._install_directory(place, mode, expected)
        if staged is None or not content:
            return self._change_mode(place, mode, expected)
        return self._install_file(place, staged, mode, expected)

    def _install_file(self, place: Place, staged: str, mode: "int | None", expected: "bytes | None") -> bytes:
        like = None if expected is None else self._expect(place, expected)
        tmp = self.staging.fd()
        ready = self._dress(tmp, staged, mode, like)
        try:
            self._move_in(place, Bench(tmp, self.staging.aside), staged, expected)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            ready = self._install_across(place, staged, mode, like, expected)
        return self._stamp_of(place, ready)

    def _move_in(self, place: Place, bench: Bench, name: str, expected: "bytes | None") -> None:
        if expected is None:
            self.replacer.create(place, bench, name)
        else:
            self.replacer.replace(place, bench, name, expected)

    def _install_across(
        self, place: Place, staged: str, mode: "int | None", like: "os.stat_result | None", expected: "bytes | None"
    ) -> os.stat_result:
        """The directory is on another disk that is mounted there: make the object ready beside its place."""
        bench = self._bench_at(place)
        name = bench.aside()
        source = os.open(staged, READ, dir_fd=self.staging.fd())
        try:
            target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _ALL_FILE, dir_fd=place.fd)
            try:
                copy_all(source, target)
            finally:
                os.close(target)
            ready = self._dress(place.fd, name, mode, like)
            self._move_in(place, bench, name, expected)
        except (OSError, StoreError):
            Place(place.fd, name, own=False).drop()
            raise
        finally:
            os.close(source)
        self.staging.drop(staged)
        return ready

    def _bench_at(self, place: Place) -> Bench:
        return Bench(place.fd, lambda: OWN_PREFIX + self.staging.aside())

    def _dress(self, fd: int, name: str, mode: "int | None", like: "os.stat_result | None") -> os.stat_result:
        """Give what is ready its mode, and the owner of what it replaces, before it becomes visible."""
        try:
            st = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError as error:
            raise StoreError(UNREADABLE, "nothing is staged under that name") from error
        if not self.stamps.full:
            return st
        if mode is None:
            old = like is not None and stat.S_ISREG(like.st_mode)
            mode = like.st_mode & PERMISSIONS if like is not None and old else _ALL_FILE & ~self._umask
        if like is not None and (like.st_uid, like.st_gid) != (st.st_uid, st.st_gid):
            _give(fd, name, like.st_uid, like.st_gid)
        if stat.S_IMODE(st.st_mode) != mode:
            os.chmod(name, mode, dir_fd=fd)
        return st

    def _stamp_of(self, place: Place, ready: os.stat_result) -> bytes:
        """The stamp of what we put there; an edit that came right after it must differ from it."""
        now = place.stat()
        facts = (ready.st_ino, ready.st_size, ready.st_mtime_ns)
        ours = now is not None and (now.st_ino, now.st_size, now.st_mtime_ns) == facts
        return self.stamps.pack(now if ours and now is not None else ready) or b""

    def _expect(self, place: Place, expected: bytes) -> os.stat_result:
        """What is there, if it is what was expected."""
        there = place.stat()
        if there is None or self.stamps.pack(there) != expected:
            raise StoreError(CHANGED)
        return there

    def _install_directory(self, place: Place, mode: "int | None", expected: "bytes | None") -> bytes:
        there = place.stat()
        if there is None:
            if expected is not None:
                raise StoreError(CHANGED)
            os.mkdir(place.name, _ALL_DIRECTORY if mode is None else mode, dir_fd=place.fd)
        elif expected is not None and self.stamps.pack(there) != expected:
            raise StoreError(CHANGED)
        elif not stat.S_ISDIR(there.st_mode):
            if expected is None:
                raise self.replacer.taken(place)
            self._replace_by_directory(place, mode, expected)
        return self._set_mode(place, mode, None)

    def _replace_by_directory(self, place: Place, mode: "int | None", expected: bytes) -> None:
        tmp = self.staging.fd()
        bench = Bench(tmp, self.staging.aside)
        try:
            self._swap_in_directory(place, bench, mode, expected)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._swap_in_directory(place, self._bench_at(place), mode, expected)

    def _swap_in_directory(self, place: Place, bench: Bench, mode: "int | None", expected: bytes) -> None:
        name = bench.aside()
        os.mkdir(name, _ALL_DIRECTORY if mode is None else mode, dir_fd=bench.fd)
        try:
            self.replacer.replace(place, bench, name, expected)
        except (OSError, StoreError):
            os.rmdir(name, dir_fd=bench.fd)
            raise

    def _change_mode(self, place: Place, mode: "int | None", expected: "bytes | None") -> bytes:
        if expected is None:
            raise StoreError(CHANGED)
        return self._set_mode(place, mode, expected)

    def _set_mode(self, place: Place, mode: "int | None", expected: "bytes | None") -> bytes:
        """Change permission bits of the very object that was looked at, and no other bits."""
        fd = os.open(place.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place.fd)
        try:
            there = os.fstat(fd)
            stamp = self.stamps.pack(there)
            if stamp is None or (expected is not None and stamp != expected):
                raise StoreError(CHANGED)
            if mode is not None and there.st_mode & PERMISSIONS != mode:
                os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(there.st_mode) & ~PERMISSIONS | mode)
                stamp = self.stamps.pack(os.fstat(fd))
            return stamp or b""
        finally:
            os.close(fd)

    def missing_parents(self, identity: str) -> "list[str]":
        try:
            return self._open().missing(identity)
        except OSError as error:
            raise looking(error) from error

    def remove(self, identity: str, expected: bytes) -> None:
        folder = self._open()
        try:
            with folder.place(identity) as place:
                self._unlocked(place, lambda: self._remove(place, expected))
        except OSError as error:
            raise acting(error) from error

    def _remove(self, place: Place, expected: bytes) -> bytes:
        if stat.S_ISDIR(self._expect(place, expected).st_mode):
            os.rmdir(place.name, dir_fd=place.fd)
            return b""
        try:
            self.replacer.remove(place, Bench(self.staging.fd(), self.staging.aside), expected)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self.replacer.remove(place, self._bench_at(place), expected)
        return b""

    def prune(self, identity: str) -> bool:
        try:
            with self._open().place(identity) as place:
                os.rmdir(place.name, dir_fd=place.fd)
        except OSError as error:
            if error.errno in (*_GONE, errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise acting(error) from error
        return True

    def sync(self) -> None:
        try:
            self.kernel.flush(self._open().fd)
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


def _finds_capitals(fd: int, name: str) -> bool:
    """`name`, in lower case, is in this directory: is it found in capitals as well?"""
    try:
        os.stat(name.upper(), dir_fd=fd, follow_symlinks=False)
    except OSError:
        return False
    return True


def _give(fd: int, name: str, uid: int, gid: int) -> None:
    """Owner and group, or the group alone, or neither: as far as we may."""
    for owner in (uid, -1):
        try:
            os.chown(name, owner, gid, dir_fd=fd, follow_symlinks=False)
            return
        except PermissionError:
            continue


def _identities(names: "list[str]", here: str, skipped: "list[tuple[str, int]]") -> "dict[str, str | None]":
    """Identity of every name that is not all ASCII; None, and skipped, where it has none of its own."""
    odd: dict[str, str | None] = {}
    owner: dict[str, str] = {}
    for name in names:
        if name.isascii():
            continue
        try:
            shown = unicodedata.normalize("NFC", name)
            too_long = len(shown.encode()) > MAX_NAME
        except UnicodeEncodeError:
            shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            too_long = True
        if too_long:
            odd[name] = None
            skipped.append((here + shown, BAD_NAME))
        elif shown in owner:
            if odd[owner[shown]] is not None:
                skipped.append((here + shown, COLLISION))
            odd[name] = odd[owner[shown]] = None
        else:
            odd[name], owner[shown] = shown, name
    return odd
