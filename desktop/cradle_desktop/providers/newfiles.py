"""New files in an open folder, many at once: four calls of the kernel to stage one, two to show it. Replaces nothing.

It is `Staging.put` and the creating half of `Installer` with the looking left out. A staged file carries a time of
modification that nothing else has (`seal`), so that what `stat` shows under its name afterwards is known for it by
that. Whatever is not as simple (another disk below the folder, a name that is taken, a directory that may not be
written) is not shown, and left to the installer. Only for disks that keep times and permission bits as they are set.
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

    def stage(self, file: NewFile, data: memoryview) -> None:
        try:
            fd = os.open(file.name, CREATE | os.O_EXCL, DEFAULT, dir_fd=self._staging.fd())
            try:
                write_all(fd, data)
                file.sealed = now = time.time_ns() | 1
                os.utime(fd, ns=(now, now))
                if not self._tried:
                    self._try(fd, now)
            finally:
                os.close(fd)
        except OSError as error:
            raise acting(error) from error

    def _try(self, fd: int, sealed: int) -> None:
        """Does the disk keep what is set?"""
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

    def show(self, files: "Sequence[NewFile]") -> None:
        folder, rename_new, tmp = self._folder, self._kernel.rename_new, self._staging.fd()
        start = files[0].identity.rfind("/") + 1
        try:
            place = folder.near(files[0].identity)
        except (OSError, StoreError):
            return
        for file in files:
            identity, mode = file.identity, mode_of(file.mode)
            try:
                folder.check(identity)
                place.name = identity[start:] if identity.isascii() else folder.near(identity).name
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
        inode = ctime = 0
        try:
            there = os.stat(place.name, dir_fd=place.fd, follow_symlinks=False)
            if (there.st_mtime_ns, there.st_size, there.st_mode) == (file.sealed, file.size, stat.S_IFREG | mode):
                ctime, inode = there.st_ctime_ns, there.st_ino
        except OSError:
            pass
        return LAYOUT.pack(IS_FILE, mode, file.size, file.sealed, ctime, inode)
