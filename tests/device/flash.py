"""The file systems of boards in memory, with a power cut at any program or erase. Does nothing on CPython. No tests."""

from cradle_protocol.compat import MICROPYTHON

BLOCK = 512


class Flash:
    """A block device in memory that refuses everything after so many programs and erases; -1: never."""

    def __init__(self, data, cut=-1):
        self.data, self.cut, self.operations = data, cut, 0

    def _off(self):
        self.operations += 1
        return 0 <= self.cut < self.operations

    def readblocks(self, block, buffer, offset=0):
        at = block * BLOCK + offset
        buffer[:] = self.data[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        if self._off():
            return -5  # EIO
        at = block * BLOCK + offset
        self.data[at : at + len(buffer)] = buffer
        return 0

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.data) // BLOCK
        if op == 5:
            return BLOCK
        if op == 6:
            return -5 if self._off() else 0
        return 0


def mounted(act, kind="lfs", blocks=96, data=None, cut=-1):
    """Run `act()` with the file system at /f (made if `data` is None); returns the data and operations used."""
    if not MICROPYTHON:
        return bytearray(), 0
    import vfs

    kind = vfs.VfsLfs2 if kind == "lfs" else vfs.VfsFat
    fresh = data is None
    data = bytearray(blocks * BLOCK) if fresh else data
    flash = Flash(data, cut)
    if fresh:
        kind.mkfs(flash)
    vfs.mount(kind(flash), "/f")
    try:
        act()
    finally:
        try:
            vfs.umount("/f")
        except OSError:
            pass
    return data, flash.operations
