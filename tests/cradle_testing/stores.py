"""A store in memory with every fault on a switch. CPython only.

`MemoryStore` is a real store, not a mock: the engine's tests run on it. Its clock is turned by hand. The suite that it
and every other store pass is `cradle_testing.store_contract`.
"""

import struct
from collections.abc import Iterator

from cradle_protocol.compat import sha256
from cradle_protocol.errors import BAD_NAME, CHANGED, COLLISION, NO_PARENT, NO_STORE, UNREADABLE
from cradle_protocol.provider.keeping import KeepingStore
from cradle_protocol.provider.paths import MAX_NAME, MAX_PATH, bad_path
from cradle_protocol.provider.store import Reader, StoreError, Writer
from cradle_protocol.sync.values import DIRECTORY, file_value
from cradle_testing.memory_disk import DEFAULT_DIRECTORY, DEFAULT_FILE, SECOND, MemoryDisk, Stored

RACY_NS = 2 * SECOND
_STAMP = struct.Struct("<cHQqQ")  # kind, permission bits, size, mtime in ns, inode


class MemoryReader(Reader):
    """Reads the content as it was when it was opened."""

    def __init__(self, store: "MemoryStore", identity: str, content: bytes, offset: int) -> None:
        self.store, self.identity, self.rest = store, identity, memoryview(content)[offset:]

    def read_into(self, buffer: memoryview) -> int:
        self.store.fault(self.identity, reading=True)
        n = min(len(buffer), len(self.rest))
        buffer[:n] = self.rest[:n]
        self.rest = self.rest[n:]
        self.store.bytes_read += n
        return n

    def close(self) -> None:
        self.rest = memoryview(b"")


class MemoryWriter(Writer):
    """Appends to a staged object."""

    def __init__(self, store: "MemoryStore", name: str) -> None:
        self.store, self.name = store, name

    def write(self, data: "bytes | bytearray | memoryview") -> None:
        self.store.act()
        self.store.take(len(data))
        self.store.stages[self.name] += bytes(data)

    def flush(self) -> None:
        self.store.act()
        self.store.durable_stages[self.name] = self.store.stages[self.name]

    def close(self) -> None:
        pass


class MemoryStore(MemoryDisk, KeepingStore):
    """Files and directories of a `MemoryDisk`, which has the switches and the user's side."""

    renames = True

    # -- looking

    def store_id(self) -> bytes:
        if self.missing:
            raise StoreError(NO_STORE)
        return self.id

    def items(self) -> "Iterator[tuple[str, bytes]]":
        self.store_id()
        if self.on_scan is not None:
            self.on_scan()
        self.scanned_ns = self.now_ns
        self.skipped = [(path, status) for path, status in self.hidden.items() if path in self.objects]
        for count, path in enumerate(sorted(self.objects)):
            if self.missing or count == self.ends_after:
                raise StoreError(NO_STORE)
            if not any(path == h or path.startswith(h + "/") for h in self.hidden):
                yield path, self._stamp(self.objects[path])

    def names_only(self) -> "Iterator[tuple[str, bool]]":
        """As `FilesStore` has it."""
        for path, stamp in self.items():
            yield path, stamp[:1] == b"d"

    def size(self, identity: str) -> int:
        """As `FilesStore` has it."""
        one = self.objects.get(identity)
        return len(one.content or b"") if one is not None else 0

    def visit(self, identity: str, buffer: memoryview) -> "tuple[int, bytes, list[bytes], bool] | None":
        """As `FilesStore` has it."""
        self.store_id()
        self.fault(identity, reading=True)
        one = self.objects.get(identity)
        if one is None or one.content is None:
            return None
        self.reads += 1
        data = one.content[: len(buffer)]
        buffer[: len(data)] = data
        self.bytes_read += len(data)
        stamp = self._stamp(one)
        return len(data), stamp, self.values(stamp), self.racy(stamp)

    def _stamp(self, one: Stored) -> bytes:
        mode = one.mode if self.modes else 0
        if one.content is None:
            return _STAMP.pack(b"d", mode, 0, 0, one.inode)
        return _STAMP.pack(b"f", mode, len(one.content), one.mtime, one.inode)

    def stamp(self, identity: str) -> "bytes | None":
        self.store_id()
        if bad_path(identity, self.caseless):
            raise StoreError(BAD_NAME)
        if (self.names, self.name_max, self.path_max) != (0, MAX_NAME, MAX_PATH) and self._rules().wrong(identity):
            raise StoreError(BAD_NAME)
        one = self.objects.get(identity)
        return None if one is None else self._stamp(one)

    def values(self, stamp: bytes) -> "list[bytes]":
        kind, mode, size, _, _ = _STAMP.unpack(stamp)
        content = DIRECTORY if kind == b"d" else file_value(size)
        return [content, mode.to_bytes(2, "big") if self.modes else b""]

    def holds(self, unit: int) -> bool:
        return unit == 0 or self.modes

    def racy(self, stamp: bytes) -> bool:
        kind, _, _, mtime, _ = _STAMP.unpack(stamp)
        return bool(kind == b"f" and mtime > self.scanned_ns - RACY_NS)

    def age(self, stamp: bytes) -> int:
        return -1 if self.lost_clock else (self.now_ns - _STAMP.unpack(stamp)[3]) // SECOND

    def object_key(self, stamp: bytes) -> bytes:
        kind, _, size, mtime, inode = _STAMP.unpack(stamp)
        return _STAMP.pack(kind, 0, size, mtime, inode)

    def digest(self, identity: str) -> bytes:
        return sha256(self._content(identity)).digest()

    def open(self, identity: str, offset: int = 0) -> Reader:
        return MemoryReader(self, identity, self._content(identity), offset)

    def _content(self, identity: str) -> bytes:
        self.store_id()
        if self.on_open is not None:
            self.on_open(identity)
        self.fault(identity, reading=True)
        one = self.objects.get(identity)
        if one is None or one.content is None:
            raise StoreError(UNREADABLE)
        self.reads += 1
        return one.content

    # -- staging

    def stage(self, name: str, append: bool = False) -> Writer:
        self.store_id()
        self.act()
        if not append or name not in self.stages:
            self.stages[name] = b""
        return MemoryWriter(self, name)

    def stage_copy(self, identity: str, name: str) -> None:
        content = self._content(identity)
        self.act()
        self.copies += 1
        self.take(len(content))
        self.stages[name] = content

    def staged(self) -> "list[tuple[str, int]]":
        return [(name, len(content)) for name, content in sorted(self.stages.items())]

    def open_staged(self, name: str) -> Reader:
        if name not in self.stages:
            raise StoreError(UNREADABLE)
        return MemoryReader(self, "", self.stages[name], 0)

    def staged_digest(self, name: str) -> bytes:
        if name not in self.stages:
            raise StoreError(UNREADABLE)
        return sha256(self.stages[name]).digest()

    def unstage(self, name: str) -> None:
        self.act()
        self.stages.pop(name, None)

    # -- keeping what is displaced

    def keep_next(self, name: str) -> None:
        self._keep = name

    def _displace(self, old: "Stored | None") -> None:
        if old is not None and old.content is not None:
            if self._keep:
                self.held[self._keep] = old.content
            self._keep = ""

    def keep_staged(self, staged: str, name: str) -> None:
        self.act()
        if staged not in self.stages:
            raise StoreError(UNREADABLE)
        self.held[name] = self.stages.pop(staged)

    def kept(self) -> "list[tuple[str, int]]":
        return [(name, len(content)) for name, content in sorted(self.held.items())]

    def open_kept(self, name: str) -> Reader:
        if name not in self.held:
            raise StoreError(UNREADABLE)
        return MemoryReader(self, "", self.held[name], 0)

    def drop_kept(self, name: str) -> None:
        self.held.pop(name, None)

    # -- acting

    def install(
        self, identity: str, staged: "str | None", values: "list[bytes]", expected: "bytes | None", content: bool = True
    ) -> bytes:
        if self.on_install is not None:
            self.on_install(identity)
        self.act()
        self.installs += 1
        self.fault(identity, reading=False)
        old = self._expect(identity, expected, values[0] == DIRECTORY)
        self._no_twin(identity)
        data = self._new_content(old, staged, values[0] == DIRECTORY, content)
        self._make_parents(identity)
        keeps = old is not None and data is old.content
        if not keeps:
            self._displace(old)
        mode = int.from_bytes(values[1], "big") if values[1] and self.modes else self._default_mode(old, data)
        mtime, inode = (old.mtime, old.inode) if old is not None and keeps else (self.now_ns, self._new_inode())
        one = self.objects[identity] = Stored(data, mode, mtime, inode)
        return self._stamp(one)

    def _expect(self, identity: str, expected: "bytes | None", directory: bool) -> "Stored | None":
        """What is there, if it is what was expected, and if a file may come in its place."""
        found = self.stamp(identity)
        old = self.objects.get(identity)
        merges = expected is None and directory and old is not None and old.content is None
        if found != expected and not merges:
            raise StoreError(CHANGED)
        if old is not None and old.content is None and not directory and not self._empty(identity):
            raise StoreError(CHANGED)
        return old

    def _empty(self, identity: str) -> bool:
        return not any(p.startswith(identity + "/") for p in self.objects)

    def _no_twin(self, identity: str) -> None:
        """No file above it and, on a caseless store, nothing of its name in another spelling."""
        parts = identity.split("/")
        for n in range(1, len(parts)):
            above = self.objects.get("/".join(parts[:n]))
            if above is not None and above.content is not None:
                raise StoreError(NO_PARENT)
        if self.names and identity not in self.objects and self._found(identity) != identity:
            raise StoreError(COLLISION)

    def _new_content(
        self, old: "Stored | None", staged: "str | None", directory: bool, content: bool
    ) -> "bytes | None":
        if directory:
            return None
        if staged is None or not content:
            if old is None or old.content is None:
                raise StoreError(CHANGED)
            return old.content
        if staged not in self.stages:
            raise StoreError(UNREADABLE, "nothing is staged under that name")
        return self.stages.pop(staged)

    @staticmethod
    def _default_mode(old: "Stored | None", data: "bytes | None") -> int:
        if old is not None and (old.content is None) == (data is None):
            return old.mode
        return DEFAULT_DIRECTORY if data is None else DEFAULT_FILE

    def remove(self, identity: str, expected: bytes) -> None:
        if self.on_remove is not None:
            self.on_remove(identity)
        self.act()
        self.removals += 1
        self.fault(identity, reading=False)
        if self.stamp(identity) != expected or not self._empty(identity):
            raise StoreError(CHANGED)
        self._displace(self.objects.pop(identity))

    def move(self, identity: str, expected: bytes, target: str) -> bytes:
        if self.on_install is not None:
            self.on_install(target)
        self.act()
        for path in (identity, target):
            self.fault(path, reading=False)
        if self.stamp(identity) != expected or self.stamp(target) is not None:
            raise StoreError(CHANGED)
        self._no_twin(target)
        self.moves += 1
        self.rename(identity, target)
        return self._stamp(self.objects[target])

    def respell(self, identity: str, wanted: str) -> None:
        self.fault(identity, reading=False)
        if self._rules().key(identity) != self._rules().key(wanted) or identity not in self.objects:
            raise StoreError(CHANGED)
        for path in [p for p in self.objects if p == identity or p.startswith(identity + "/")]:
            self.objects[wanted + path[len(identity) :]] = self.objects.pop(path)

    def prune(self, identity: str) -> bool:
        one = self.objects.get(identity)
        if one is None or one.content is not None or not self._empty(identity):
            return False
        self.act()
        self.removals += 1
        del self.objects[identity]
        return True

    def sync(self) -> None:
        self.store_id()
        self.act()
        self.syncs += 1
        self.durable, self.durable_stages, self.durable_held = dict(self.objects), dict(self.stages), dict(self.held)
