"""New files in an open folder, many at once: three calls of the kernel to stage one, two to show it. Replaces nothing.

It is `Staging.put` and the creating half of `Installer` with the looking left out. Nobody but us writes what is staged,
so that a time of modification that is over, by the disk's own clock, when showing begins is one that no later write can
leave: what `stat` shows under its name afterwards is known for our file by that. The few that were staged in that very
tick of the clock are given such a time (as by `seal`). Whatever is not as simple (another disk below the folder, a name
that is taken, a directory that may not be written) is not shown, and left to the installer. Only for disks that keep
times and permission bits as they are set.
"""

import os
import stat
import time
from collections.abc import Sequence

from cradle_desktop.providers.folder import Folder, Place, acting
from cradle_desktop.providers.kernel import Kernel
from cradle_desktop.providers.staging import CREATE, DEFAULT, Staging, write_all
from cradle_desktop.providers.stamps import IS_FILE, LAYOUT, mode_of
from cradle_protocol.errors import FAILED
from cradle_protocol.provider.newfiles import NewFile, NewFiles
from cradle_protocol.provider.store import StoreError


class FolderNewFiles(NewFiles):
    """`usable` is False on a disk that does not keep what is set; then no file is taken."""

    def __init__(self, folder: Folder, kernel: Kernel, staging: Staging, umask: int) -> None:
        self._folder, self._kernel, self._staging = folder, kernel, staging
        self._mode = DEFAULT & ~umask
        self.usable = True
        self._tried = False
        self._over = 0  # what was modified before is over by the disk's clock; 0: not asked since the last stage

    def stage(self, file: NewFile, data: memoryview) -> None:
        try:
            fd = os.open(file.name, CREATE | os.O_EXCL, DEFAULT, dir_fd=self._staging.fd())
            try:
                write_all(fd, data)
                file.sealed = time.time_ns()
                if not self._tried:
                    self._try(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise acting(error) from error
        self._over = 0

    def _try(self, fd: int) -> None:
        """Does the disk keep what is set?"""
        sealed = time.time_ns() | 1
        os.utime(fd, ns=(sealed, sealed))
        there = os.fstat(fd)
        self._tried = True
        self.usable = there.st_mtime_ns == sealed and stat.S_IMODE(there.st_mode) == self._mode
        if not self.usable:
            raise StoreError(FAILED)

    def reaches(self, file: NewFile) -> bool:
        try:
            self._folder.near(file.identity)
        except (OSError, StoreError):
            return False
        return True

    def _tick(self, tmp: int) -> int:
        """Now, by the disk's clock: what is modified from here on has no earlier time."""
        os.utime(tmp)
        return os.fstat(tmp).st_mtime_ns

    def show(self, files: "Sequence[NewFile]") -> None:
        folder, rename_new, tmp = self._folder, self._kernel.rename_new, self._staging.fd()
        start = files[0].identity.rfind("/") + 1
        try:
            place = folder.near(files[0].identity)
            over = self._over = self._over or self._tick(tmp)
        except (OSError, StoreError):
            return
        for file in files:
            identity, mode = file.identity, mode_of(file.mode)
            try:
                folder.check(identity)
                place.name = identity[start:] if identity.isascii() else folder.near(identity).name
                if file.sealed >= over:
                    file.sealed = time.time_ns() | 1
                    os.utime(file.name, ns=(file.sealed, file.sealed), dir_fd=tmp)
                if mode is None:
                    mode = self._mode
                elif mode != self._mode:
                    os.chmod(file.name, mode, dir_fd=tmp)
                rename_new(tmp, file.name, place.fd, place.name)
            except (OSError, StoreError):
                continue
            file.stamp = self._stamp(place, file, mode)

    def _stamp(self, place: Place, file: NewFile, mode: int) -> bytes:
        """The stamp of what was put there; an edit that came right after it differs from it."""
        try:
            there = os.stat(place.name, dir_fd=place.fd, follow_symlinks=False)
            mtime = there.st_mtime_ns
            ours = mtime < self._over or mtime == file.sealed
            if ours and (there.st_size, there.st_mode) == (file.size, stat.S_IFREG | mode):
                return LAYOUT.pack(IS_FILE, mode, file.size, mtime, there.st_ctime_ns, there.st_ino)
        except OSError:
            pass
        return LAYOUT.pack(IS_FILE, mode, file.size, file.sealed, 0, 0)
