"""A disk with the manners of FAT, in user space: a FUSE server in memory, for machines whose kernel has no FAT.

Run as a program: `fat.py PLACE SIZE PULLED`. It mounts itself at PLACE as `fuse.vfat`, says "ready", and serves until
it is killed. While the file PULLED exists, every call fails with EIO.

What is FAT's here: names find in any case and keep the one they were made with; '"*:<>?|\\' are refused, dots at the
end of a name fall off; times are even seconds; there are no modes, owners, links, and no exchange of two names.
"""

import ctypes
import errno
import os
import stat
import struct
import sys
import time
from collections.abc import Callable

HEAD, REPLY = struct.Struct("<IIQQIIIHH"), struct.Struct("<IiQ")
ATTR = struct.Struct("<QQQQQQIIIIIIIIII")
SETATTR = struct.Struct("<IIQQQQQQIIIIIIII")
MOST = 1 << 17  # bytes of one write
MODES = {True: stat.S_IFDIR | 0o755, False: stat.S_IFREG | 0o755}
MODE, SIZE_OF, MTIME, MTIME_NOW = 1, 8, 32, 256  # what a SETATTR sets
NO_REPLACE = 1
ROOT = 1
MAX_PAGES = 1 << 22  # of INIT's flags


class Node:
    """A file or a folder. parts: {folded name: node} of a folder, None in a file."""

    def __init__(self, number: int, name: str, folder: bool) -> None:
        self.number, self.name = number, name
        self.parts: dict[str, Node] | None = {} if folder else None
        self.data = bytearray()
        self.touch()

    def touch(self, now: "float | None" = None) -> None:
        self.mtime = int(time.time() if now is None else now) // 2 * 2

    def attr(self) -> bytes:
        size, when = len(self.data), self.mtime
        mode = MODES[self.parts is not None]
        return ATTR.pack(
            self.number, size, -(-size // 512), when, when, when, 0, 0, 0, mode, 1, 0, 0, 0, 512, 0
        )  # fmt: skip


class Fat:
    """The disk. `handlers`: {opcode: method}, each gets the node and the body of a call and returns that of a reply."""

    def __init__(self, size: int) -> None:
        self.size, self.used = size, 0
        self.nodes = {ROOT: Node(ROOT, "", True)}
        self.handlers: dict[int, Callable[[Node, bytes], bytes]] = {
            1: self.lookup, 3: self.getattr, 4: self.setattr, 9: self.mkdir, 10: self.unlink, 11: self.rmdir,
            12: self.rename, 14: self.open, 15: self.read, 16: self.write, 17: self.statfs, 18: self.nothing,
            20: self.nothing, 25: self.nothing, 26: self.init, 27: self.open, 28: self.readdir, 29: self.nothing,
            30: self.nothing, 35: self.create, 45: self.rename2, 50: self.nothing,
            6: self.refused, 8: self.refused, 13: self.refused,
        }  # fmt: skip

    # -- names

    def named(self, raw: bytes) -> str:
        name = raw.rstrip(b"\0").decode()
        if any(letter in '"*:<>?|\\' or ord(letter) < 32 for letter in name) or name.endswith(" "):
            raise OSError(errno.EINVAL, "")
        return name.rstrip(".") or name

    def parts(self, node: Node) -> "dict[str, Node]":
        if node.parts is None:
            raise OSError(errno.ENOTDIR, "")
        return node.parts

    def child(self, node: Node, name: str) -> Node:
        found = self.parts(node).get(name.upper())
        if found is None:
            raise OSError(errno.ENOENT, "")
        return found

    def add(self, above: Node, name: str, folder: bool) -> Node:
        if name.upper() in self.parts(above):
            raise OSError(errno.EEXIST, "")
        node = Node(max(self.nodes) + 1, name, folder)
        self.nodes[node.number] = self.parts(above)[name.upper()] = node
        return node

    def drop(self, above: Node, name: str, folder: bool) -> None:
        node = self.child(above, name)
        if folder != (node.parts is not None):
            raise OSError(errno.ENOTDIR if folder else errno.EISDIR, "")
        if node.parts:
            raise OSError(errno.ENOTEMPTY, "")
        self.used -= len(node.data)
        del self.parts(above)[name.upper()]

    @staticmethod
    def entry(node: Node) -> bytes:
        return struct.pack("<QQQQII", node.number, 0, 0, 0, 0, 0) + node.attr()

    # -- calls

    def init(self, node: Node, body: bytes) -> bytes:
        _, minor, ahead, flags = struct.unpack_from("<IIII", body)
        return struct.pack("<IIIIHHIIHH32x", 7, min(minor, 31), ahead, flags & MAX_PAGES, 12, 9, MOST, 1, 32, 0)

    def nothing(self, node: Node, body: bytes) -> bytes:
        return b""

    def refused(self, node: Node, body: bytes) -> bytes:
        raise OSError(errno.EPERM, "")

    def lookup(self, node: Node, body: bytes) -> bytes:
        return self.entry(self.child(node, self.named(body)))

    def getattr(self, node: Node, body: bytes) -> bytes:
        return struct.pack("<QII", 0, 0, 0) + node.attr()

    def setattr(self, node: Node, body: bytes) -> bytes:
        valid, _, _, size, _, _, mtime, _, _, _, _, mode, *_ = SETATTR.unpack_from(body)
        if valid & MODE and mode & 0o777 != 0o755:
            raise OSError(errno.EPERM, "")
        if valid & SIZE_OF:
            self.resize(node, size)
            node.touch()
        if valid & MTIME:
            node.touch(None if valid & MTIME_NOW else mtime)
        return self.getattr(node, body)

    def resize(self, node: Node, size: int) -> None:
        if self.used + size - len(node.data) > self.size:
            raise OSError(errno.ENOSPC, "")
        self.used += size - len(node.data)
        del node.data[size:]
        node.data.extend(bytes(size - len(node.data)))

    def mkdir(self, node: Node, body: bytes) -> bytes:
        return self.entry(self.add(node, self.named(body[8:]), True))

    def create(self, node: Node, body: bytes) -> bytes:
        return self.entry(self.add(node, self.named(body[16:]), False)) + self.open(node, body)

    def unlink(self, node: Node, body: bytes) -> bytes:
        self.drop(node, self.named(body), False)
        return b""

    def rmdir(self, node: Node, body: bytes) -> bytes:
        self.drop(node, self.named(body), True)
        return b""

    def rename(self, node: Node, body: bytes) -> bytes:
        return self.move(node, struct.unpack_from("<Q", body)[0], 0, body[8:])

    def rename2(self, node: Node, body: bytes) -> bytes:
        above, flags, _ = struct.unpack_from("<QII", body)
        if flags & ~NO_REPLACE:
            raise OSError(errno.EINVAL, "")
        return self.move(node, above, flags, body[16:])

    def move(self, source: Node, above: int, flags: int, names: bytes) -> bytes:
        old, new = (self.named(name) for name in names.rstrip(b"\0").split(b"\0"))
        target, node = self.nodes[above], self.child(source, old)
        there = self.parts(target).get(new.upper())
        if there is not None and there is not node:
            if flags & NO_REPLACE:
                raise OSError(errno.EEXIST, "")
            self.drop(target, new, node.parts is not None)
        del self.parts(source)[old.upper()]
        node.name = new
        self.parts(target)[new.upper()] = node
        return b""

    def open(self, node: Node, body: bytes) -> bytes:
        return struct.pack("<QII", 0, 0, 0)

    def read(self, node: Node, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        return bytes(node.data[offset : offset + size])

    def write(self, node: Node, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        self.resize(node, max(len(node.data), offset + size))
        node.data[offset : offset + size] = body[40 : 40 + size]
        node.touch()
        return struct.pack("<II", size, 0)

    def statfs(self, node: Node, body: bytes) -> bytes:
        free = (self.size - self.used) // 512
        return struct.pack("<QQQQQIIII24x", self.size // 512, free, free, 0, 0, 512, 255, 512, 0)

    def readdir(self, node: Node, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        out = b""
        for k, part in enumerate(list(self.parts(node).values())[offset:], offset + 1):
            name = part.name.encode()
            record = struct.pack("<QQII", part.number, k, len(name), MODES[part.parts is not None] >> 12) + name
            record += bytes(-len(record) % 8)
            if len(out) + len(record) > size:
                break
            out += record
        return out

    def answer(self, call: bytes, pulled: bool) -> "bytes | None":
        """The reply to a call, None where none is wanted."""
        _, code, unique, number, *_ = HEAD.unpack_from(call)
        if code in (2, 36, 42):  # forget, interrupt
            return None
        try:
            if pulled:
                raise OSError(errno.EIO, "")
            body = self.handlers[code](self.nodes[number] if number else self.nodes[ROOT], call[HEAD.size :])
        except KeyError:
            return REPLY.pack(REPLY.size, -errno.ENOSYS, unique)
        except OSError as error:
            return REPLY.pack(REPLY.size, -(error.errno or errno.EIO), unique)
        return REPLY.pack(REPLY.size + len(body), 0, unique) + body


def mounted(place: str) -> int:
    """Mount the disk; the descriptor on which its calls come."""
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"/dev/fuse", place.encode(), b"fuse.vfat", 0, options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), place)
    return fd


def main(place: str, size: str, pulled: str) -> None:
    """Serve until nobody has it mounted."""
    fd, disk = mounted(place), Fat(int(size))
    os.write(1, b"ready\n")
    while True:
        try:
            call = os.read(fd, MOST + (1 << 13))
        except OSError as error:
            if error.errno == errno.ENODEV:
                return
            raise
        reply = disk.answer(call, os.path.exists(pulled))
        if reply is not None:
            os.write(fd, reply)


if __name__ == "__main__":
    main(*sys.argv[1:])
