"""Linux calls that Python lacks: open below a folder without links, rename that never replaces, swap, flush a disk.

Each has a fallback for kernels, sandboxes and file systems without it; what the fallback cannot promise is said there.
ctypes is loaded at the first call, not at import.
"""

import errno
import os
from typing import Any

# openat2(2), the same number on every architecture.
_SYS_OPENAT2 = 437
_NO_MAGIC_LINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_NO_REPLACE, _EXCHANGE = 1, 2  # renameat2(2)
_OPEN_HOW_SIZE = 24

WALK = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC  # a directory to act in
LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC  # a directory to list
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a file; a pipe put there must not block us

# The kernel, a sandbox or the file system does not know the call.
_UNKNOWN_CALL = frozenset({errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.EOPNOTSUPP, errno.EINTR, errno.EAGAIN})
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES})


class Kernel:
    """The calls. Switches that tests turn off to reach a fallback: `beneath`, `no_replace`, `exchange`, `links`."""

    def __init__(self) -> None:
        self.beneath = self.no_replace = self.exchange = self.links = True
        self._libc: Any = None
        self._how: dict[int, Any] = {}

    def _load(self) -> Any:
        import ctypes

        class OpenHow(ctypes.Structure):
            _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]

        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t]
        libc.syscall.restype = ctypes.c_long
        resolve = _BENEATH | _NO_SYMLINKS | _NO_MAGIC_LINKS
        self._how = {flags: OpenHow(flags, 0, resolve) for flags in (WALK, LIST)}
        self._address = {flags: ctypes.addressof(how) for flags, how in self._how.items()}
        self._errno = ctypes.get_errno
        if not hasattr(libc, "renameat2"):  # no argtypes: int and bytes are what ctypes makes of them anyway, sooner
            self.no_replace = self.exchange = False
        self._libc = libc
        return libc

    def open_directory(self, root: int, path: str, flags: int) -> int:
        """Open a directory below an open one. No link is followed, at no level; OSError ENOTDIR or ELOOP at one."""
        if self.beneath:
            libc = self._libc or self._load()
            fd = libc.syscall(_SYS_OPENAT2, root, _bytes(path), self._address[flags], _OPEN_HOW_SIZE)
            if fd >= 0:
                return int(fd)
            code = self._errno()
            if code not in _UNKNOWN_CALL:
                raise OSError(code, os.strerror(code), path)
        return _walk(root, path, flags)

    def _renameat2(self, src: int, old: str, dst: int, new: str, flags: int) -> bool:
        """False if the call is not known here."""
        libc = self._libc or self._load()
        if not (self.no_replace if flags == _NO_REPLACE else self.exchange):
            return False
        if libc.renameat2(src, _bytes(old), dst, _bytes(new), flags) == 0:
            return True
        code = self._errno()
        if code in _UNKNOWN_CALL:
            return False
        raise OSError(code, os.strerror(code), old, None, new)

    def rename_new(self, src: int, old: str, dst: int, new: str) -> None:
        """Rename to a name that must be free: FileExistsError if it is not.

        Without renameat2: a hard link, as safe. Without hard links (FAT before Linux 4.9, some network disks): look,
        then rename; a file created between the two is replaced.
        """
        if self._renameat2(src, old, dst, new, _NO_REPLACE):
            return
        if self.links:
            try:
                os.link(old, new, src_dir_fd=src, dst_dir_fd=dst, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
            else:
                os.unlink(old, dir_fd=src)
                return
        if self.exists(dst, new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
        self.rename(src, old, dst, new)

    def rename(self, src: int, old: str, dst: int, new: str) -> None:
        """Rename, replacing what is there."""
        os.rename(old, new, src_dir_fd=src, dst_dir_fd=dst)

    def swap(self, src: int, old: str, dst: int, new: str) -> bool:
        """Exchange two objects in one step. False, and nothing done, where that is not possible."""
        return self._renameat2(src, old, dst, new, _EXCHANGE)

    def link(self, src: int, old: str, dst: int, new: str) -> bool:
        """Give a file a second name. False where the file system has no hard links."""
        if not self.links:
            return False
        try:
            os.link(old, new, src_dir_fd=src, dst_dir_fd=dst, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return False
        return True

    def exists(self, fd: int, name: str) -> bool:
        """Is anything, also a dangling link, under this name in the open directory?"""
        try:
            os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def flush(self, fd: int) -> None:
        """Make everything on the disk that holds this descriptor survive a power cut; all disks where that is all."""
        libc = self._libc or self._load()
        if not hasattr(libc, "syncfs"):
            os.sync()
        elif libc.syncfs(fd) != 0:
            code = self._errno()
            raise OSError(code, os.strerror(code))


def _walk(root: int, path: str, flags: int) -> int:
    """`open_directory` a name at a time: each is opened in the one before it, never through a link."""
    above = os.dup(root)
    try:
        parts = path.split("/")
        for n in range(len(parts)):
            how = flags if n == len(parts) - 1 else WALK
            fd = os.open(parts[n], how | os.O_NOFOLLOW, dir_fd=above)
            os.close(above)
            above = fd
        found, above = above, -1
        return found
    finally:
        if above >= 0:
            os.close(above)


def _bytes(path: str) -> bytes:
    return path.encode() if path.isascii() else os.fsencode(path)


def default_umask() -> int:
    """The process's umask, without setting it for an instant (that would be seen by other threads)."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    except OSError:
        pass
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def disk_type(device: int) -> str:
    """Type name ("ext4", "vfat") of the mounted disk with this st_dev, "" if that cannot be told (btrfs).

    A disk that a program serves ("fuse.exfat") has the type that it gives itself.
    """
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                before, _, after = line.partition(" - ")
                if before.split()[2] == number:
                    return after.split()[0].removeprefix("fuse.")
    except OSError:
        pass
    return ""
