"""Making an object in an open folder be what it should be, and taking it away. Decides which step; `replace` takes it.

What becomes visible has its content, its mode and its owner already. What fails leaves the old object, the stage, and
no directory that was made on the way.
"""

import errno
import os
import stat
import time
from collections.abc import Callable

from cradle_desktop.providers.folder import MISSING, Folder, Place, acting
from cradle_desktop.providers.kept import Kept
from cradle_desktop.providers.kernel import READ, Kernel, default_umask
from cradle_desktop.providers.replace import Bench, Replacer
from cradle_desktop.providers.staging import Ready, Staging, copy_all, seal
from cradle_desktop.providers.stamps import PERMISSIONS, Stamps, mode_of
from cradle_protocol.errors import CHANGED, COLLISION, UNREADABLE
from cradle_protocol.provider.paths import OWN_PREFIX
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.values import DIRECTORY

_ALL_FILE, _ALL_DIRECTORY = 0o666, 0o777
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Installer:
    """Installs and removes in one open folder."""

    def __init__(self, folder: Folder, kernel: Kernel, staging: Staging, kept: Kept, stamps: Stamps) -> None:
        self._folder, self._staging, self._stamps = folder, staging, stamps
        self._replacer = Replacer(kernel, staging, kept, stamps)
        self.umask = default_umask()
        self.sure = b""  # the stamp of what was installed last, if no later edit can leave the same one

    def install(
        self, identity: str, staged: "str | None", values: "list[bytes]", expected: "bytes | None", content: bool
    ) -> bytes:
        """See `ObjectStore.install`."""
        made: list[str] = []
        self.sure = b""
        try:
            if not self._folder.exact(identity):
                raise StoreError(COLLISION, "a name that differs only in case is there")
            if expected is None and content and staged in self._staging.ready and values[0] != DIRECTORY:
                stamp = self._create_near(identity, staged, values)
                if stamp:
                    return stamp
            with self._reach(identity, made if expected is None else None) as place:
                return _unlocked(place, lambda: self._install(place, staged, values, expected, content))
        except OSError as error:
            self._unmake(made)
            raise acting(error) from error
        except StoreError:
            self._unmake(made)
            raise

    def _reach(self, identity: str, made: "list[str] | None") -> Place:
        """The place of an object; `made` gets the directories that were made for it, None: none are."""
        try:
            return self._folder.place(identity)
        except FileNotFoundError:
            if made is None:
                raise
        self._folder.make_parents(identity, made)
        return self._folder.place(identity)

    def _unmake(self, made: "list[str]") -> None:
        for path in reversed(made):
            self.prune(path)

    def _install(
        self, place: Place, staged: "str | None", values: "list[bytes]", expected: "bytes | None", content: bool
    ) -> bytes:
        mode = mode_of(values[1]) if self._stamps.full else None
        if values[0] == DIRECTORY:
            return self._install_directory(place, mode, expected)
        if staged is not None and content:
            return self._install_file(place, staged, mode, expected)
        if expected is None:
            raise StoreError(CHANGED)
        return self._set_mode(place, mode, expected)

    def _expect(self, place: Place, expected: bytes) -> os.stat_result:
        """What is there, if it is what was expected."""
        there = place.stat()
        if there is None or self._stamps.pack(there) != expected:
            raise StoreError(CHANGED)
        return there

    # -- files

    def _create_near(self, identity: str, staged: str, values: "list[bytes]") -> bytes:
        """The common case: a new file, in a directory that is there. b"": it is not that, the careful way tells why."""
        ready, fd = self._staging.ready[staged], self._staging.fd()
        try:
            place = self._folder.near(identity)
            self._set_bits(fd, staged, ready[0], mode_of(values[1]) if self._stamps.full else None)
            self._replacer.kernel.rename_new(fd, staged, place.fd, place.name)
        except OSError:
            self._folder.let_go()
            return b""
        del self._staging.ready[staged]
        return self._stamp_of(place, ready)

    def _set_bits(self, fd: int, name: str, st: os.stat_result, mode: "int | None") -> None:
        """Permission bits of a new file, before it becomes visible; None: as the umask says."""
        if self._stamps.full:
            mode = _ALL_FILE & ~self.umask if mode is None else mode
            if stat.S_IMODE(st.st_mode) != mode:
                os.chmod(name, mode, dir_fd=fd)

    def _install_file(self, place: Place, staged: str, mode: "int | None", expected: "bytes | None") -> bytes:
        like = None if expected is None else self._expect(place, expected)
        bench = self._bench()
        ready = self._dress(bench.fd, staged, mode, like)
        try:
            self._move_in(place, bench, staged, expected)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            ready = self._install_across(place, staged, mode, like, expected)
        return self._stamp_of(place, ready)

    def _move_in(self, place: Place, bench: Bench, name: str, expected: "bytes | None") -> None:
        if expected is None:
            self._replacer.create(place, bench, name)
        else:
            self._replacer.replace(place, bench, name, expected)

    def _install_across(
        self, place: Place, staged: str, mode: "int | None", like: "os.stat_result | None", expected: "bytes | None"
    ) -> "Ready":
        """The directory is on another disk that is mounted there: make the object ready beside its place."""
        bench = self._bench_at(place)
        name = bench.aside()
        source = os.open(staged, READ, dir_fd=self._staging.fd())
        try:
            target = os.open(name, _NEW, _ALL_FILE, dir_fd=place.fd)
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
        self._staging.drop(staged)
        return ready

    def _bench(self) -> Bench:
        return Bench(self._staging.fd(), self._staging.aside)

    def _bench_at(self, place: Place) -> Bench:
        return Bench(place.fd, lambda: OWN_PREFIX + self._staging.aside())

    def _dress(self, fd: int, name: str, mode: "int | None", like: "os.stat_result | None") -> "Ready":
        """Give what is ready its mode, and the owner of what it replaces, before it becomes visible."""
        try:
            ready = seal(fd, self._stamps.full, name)
        except FileNotFoundError as error:
            raise StoreError(UNREADABLE, "nothing is staged under that name") from error
        st = ready[0]
        if like is not None and self._stamps.full:
            if mode is None and stat.S_ISREG(like.st_mode):
                mode = like.st_mode & PERMISSIONS
            if (like.st_uid, like.st_gid) != (st.st_uid, st.st_gid):
                _give(fd, name, like.st_uid, like.st_gid)
        self._set_bits(fd, name, st, mode)
        return ready

    def _stamp_of(self, place: Place, ready: "Ready") -> bytes:
        """The stamp of what we put there; an edit that came right after it must differ from it."""
        st, sealed = ready
        now = place.stat()
        facts = (st.st_ino, st.st_size, st.st_mtime_ns)
        ours = now is not None and (now.st_ino, now.st_size, now.st_mtime_ns) == facts
        stamp = self._stamps.pack(now if ours and now is not None else st) or b""
        self.sure = stamp if sealed and ours else b""
        return stamp

    # -- directories and modes

    def _install_directory(self, place: Place, mode: "int | None", expected: "bytes | None") -> bytes:
        there = place.stat()
        if there is None:
            if expected is not None:
                raise StoreError(CHANGED)
            os.mkdir(place.name, _ALL_DIRECTORY if mode is None else mode, dir_fd=place.fd)
        elif expected is not None and self._stamps.pack(there) != expected:
            raise StoreError(CHANGED)
        elif not stat.S_ISDIR(there.st_mode):
            if expected is None:
                raise self._replacer.taken(place)
            self._replace_by_directory(place, mode, expected)
        return self._set_mode(place, mode, None)

    def _replace_by_directory(self, place: Place, mode: "int | None", expected: bytes) -> None:
        try:
            self._swap_in_directory(place, self._bench(), mode, expected)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._swap_in_directory(place, self._bench_at(place), mode, expected)

    def _swap_in_directory(self, place: Place, bench: Bench, mode: "int | None", expected: bytes) -> None:
        name = bench.aside()
        os.mkdir(name, _ALL_DIRECTORY if mode is None else mode, dir_fd=bench.fd)
        try:
            self._replacer.replace(place, bench, name, expected)
        except (OSError, StoreError):
            os.rmdir(name, dir_fd=bench.fd)
            raise

    def _set_mode(self, place: Place, mode: "int | None", expected: "bytes | None") -> bytes:
        """Change permission bits of the very object that was looked at, and no other bits."""
        fd = os.open(place.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place.fd)
        try:
            there = os.fstat(fd)
            stamp = self._stamps.pack(there)
            if stamp is None or (expected is not None and stamp != expected):
                raise StoreError(CHANGED)
            if mode is not None and there.st_mode & PERMISSIONS != mode:
                os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(there.st_mode) & ~PERMISSIONS | mode)
                stamp = self._stamps.pack(os.fstat(fd))
            return stamp or b""
        finally:
            os.close(fd)

    # -- taking away

    def remove(self, identity: str, expected: bytes) -> None:
        """See `ObjectStore.remove`."""
        try:
            if not self._folder.exact(identity):
                raise StoreError(CHANGED)
            with self._folder.place(identity) as place:
                _unlocked(place, lambda: self._remove(place, expected))
            self._folder.let_go()
        except OSError as error:
            raise acting(error) from error

    def _remove(self, place: Place, expected: bytes) -> bytes:
        if stat.S_ISDIR(self._expect(place, expected).st_mode):
            os.rmdir(place.name, dir_fd=place.fd)
            return b""
        try:
            self._replacer.remove(place, self._bench(), expected)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._replacer.remove(place, self._bench_at(place), expected)
        return b""

    def move(self, identity: str, expected: bytes, target: str) -> bytes:
        """See `ObjectStore.move`."""
        made: list[str] = []
        self.sure = b""
        try:
            if not (self._folder.exact(identity) and self._folder.exact(target)):
                raise StoreError(COLLISION, "a name that differs only in case is there")
            with self._folder.place(identity) as here, self._reach(target, made) as there:
                return _unlocked(here, lambda: _unlocked(there, lambda: self._move(here, there, expected)))
        except (OSError, StoreError) as error:
            self._unmake(made)
            raise acting(error) if isinstance(error, OSError) else error from error

    def _move(self, here: Place, there: Place, expected: bytes) -> bytes:
        """Rename, then look whether it was what was expected: a save that came in between goes back with its name."""
        self._expect(here, expected)
        try:
            self._replacer.kernel.rename_new(here.fd, here.name, there.fd, there.name)
        except FileExistsError as error:
            raise self._replacer.taken(there) from error
        self._folder.forget()
        now = there.stat()
        if now is None or not self._stamps.still(now, expected):
            self._replacer.put_back(here, there)
            raise StoreError(CHANGED)
        stamp = self._stamps.pack(now) or b""
        if not self._stamps.racy(expected, time.time_ns()):
            self.sure = stamp  # the rename touched ctime alone: an edit after it leaves another mtime
        return stamp

    def respell(self, identity: str, wanted: str) -> None:
        """See `ObjectStore.respell`. In one step: a crash must not leave the directory under a name of ours."""
        try:
            if not self._folder.exact(identity):
                raise StoreError(CHANGED)
            with self._folder.place(identity) as here, self._folder.place(wanted) as there:
                self._replacer.kernel.rename(here.fd, here.name, there.fd, there.name)
            self._folder.forget()
            if not self._folder.exact(wanted):
                raise StoreError(COLLISION, "this disk does not change the case of a name")
        except OSError as error:
            raise acting(error) from error

    def prune(self, identity: str) -> bool:
        """See `ObjectStore.prune`."""
        try:
            with self._folder.place(identity) as place:
                os.rmdir(place.name, dir_fd=place.fd)
            self._folder.let_go()
        except OSError as error:
            if error.errno in (*MISSING, errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise acting(error) from error
        return True


def _unlocked(place: Place, act: "Callable[[], bytes]") -> bytes:
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


def _give(fd: int, name: str, uid: int, gid: int) -> None:
    """Owner and group, or the group alone, or neither: as far as we may."""
    for owner in (uid, -1):
        try:
            os.chown(name, owner, gid, dir_fd=fd, follow_symlinks=False)
            return
        except PermissionError:
            continue
