"""A store in memory with every fault on a switch, and hands that edit a store behind its back. CPython only.

`MemoryStore` is a real store, not a mock: the engine's tests run on it. Its clock is turned by hand. The suite that it
and every other store pass is `cradle_testing.store_contract`.
"""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from cradle_desktop.sync.naming import Names
from cradle_protocol.compat import sha256
from cradle_protocol.errors import BAD_NAME, CHANGED, COLLISION, NO_PARENT, NO_ROOM, NO_STORE, UNREADABLE
from cradle_protocol.provider.keeping import KeepingStore
from cradle_protocol.provider.paths import CASELESS, MAX_NAME, MAX_PATH, bad_path
from cradle_protocol.provider.store import Reader, StoreError, Writer
from cradle_protocol.sync.values import DIRECTORY, file_value

SECOND = 1_000_000_000  # ns
RACY_NS = 2 * SECOND
_STAMP = struct.Struct("<cHQqQ")  # kind, permission bits, size, mtime in ns, inode
START = 1_750_000_000 * SECOND  # where every MemoryStore's clock begins: in 2025, so that it is trusted
DEFAULT_FILE, DEFAULT_DIRECTORY = 0o644, 0o755


class Stored(NamedTuple):
    """One object: content is None for a directory."""

    content: "bytes | None"
    mode: int
    mtime: int
    inode: int


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


class MemoryStore(KeepingStore):
    """Files and directories in memory. Edit it as a user would with `write`, `mkdir`, `rename`, `delete`, `chmod`.

    Switches, all plain attributes that a test may set at any time:
    failing            {identity: status} raised by every read and write of the object
    failing_reads      the same for reading its content only; `failing_writes` for install and remove only
    hidden             {identity: status} the scan skips it and whatever lies below
    full               bytes that objects and stages may take together, None: no limit
    names, name_max, path_max
                       what names it holds, as `ObjectStore` says; `caseless` is the bit of that name. The hand that
                       writes under another spelling of a name meets the object that has it, as on a real disk
    missing            the store is not there
    lost_clock         the store cannot say how old its contents are
    ends_after         the store goes away after so many objects of a scan, None: it stays
    on_install(identity), on_remove(identity), on_open(identity), on_scan()
                       called before the store looks: what they edit is an edit in between
    on_act()           called before each step that changes what is stored; what it raises ends the step
    now_ns             the clock; `advance(seconds)` turns it
    reads, bytes_read  how many contents were opened or hashed, and how much of them was read

    `crash()` puts back what the last `sync()` (or a stage's `flush()`) made durable.
    """

    def __init__(
        self, caseless: bool = False, modes: bool = True, moves_by_identity: bool = True, store_id: bytes = b"m" * 16
    ) -> None:
        self.modes, self.moves_by_identity = modes, moves_by_identity
        self.names = CASELESS if caseless else 0
        self.id = store_id
        self.objects: dict[str, Stored] = {}
        self.stages: dict[str, bytes] = {}
        self.durable: dict[str, Stored] = {}
        self.durable_stages: dict[str, bytes] = {}
        self.held: dict[str, bytes] = {}  # what is kept of what was displaced
        self.durable_held: dict[str, bytes] = {}
        self._keep = ""
        self.skipped = []
        self.failing: dict[str, int] = {}
        self.failing_reads: dict[str, int] = {}
        self.failing_writes: dict[str, int] = {}
        self.hidden: dict[str, int] = {}
        self.full: int | None = None
        self.missing = False
        self.lost_clock = False
        self.ends_after: int | None = None
        self.on_install: Callable[[str], None] | None = None
        self.on_remove: Callable[[str], None] | None = None
        self.on_open: Callable[[str], None] | None = None
        self.on_scan: Callable[[], None] | None = None
        self.on_act: Callable[[], None] | None = None
        self.now_ns = self.scanned_ns = START
        self.reads = self.bytes_read = self.syncs = 0
        self._inode = 0

    @property
    def caseless(self) -> bool:
        """Are two names that differ by case only one?"""
        return bool(self.names & CASELESS)

    @caseless.setter
    def caseless(self, value: bool) -> None:
        self.names = self.names | CASELESS if value else self.names & ~CASELESS

    def _rules(self) -> Names:
        return Names(self.names, self.name_max, self.path_max)

    def _found(self, identity: str) -> str:
        """The path as the store spells it: objects that are there keep their spelling."""
        if not self.names:
            return identity
        rules = self._rules()
        spelled = {rules.key(path): path for path in self.objects}
        above, _, name = identity.rpartition("/")
        above = self._found(above) + "/" if above else ""
        return spelled.get(rules.key(above + name), above + rules.spelled(name))

    # -- the user's side

    def advance(self, seconds: float) -> None:
        """Turn the clock on."""
        self.now_ns += int(seconds * SECOND)

    def write(self, identity: str, data: bytes, mode: "int | None" = None) -> None:
        """Create the file, or change it in place; directories above it are made."""
        identity = self._found(identity)
        self._make_parents(identity)
        old = self.objects.get(identity)
        bits = mode if mode is not None else old.mode if old else DEFAULT_FILE
        self.objects[identity] = Stored(bytes(data), bits, self.now_ns, old.inode if old else self._new_inode())

    def mkdir(self, identity: str, mode: int = DEFAULT_DIRECTORY) -> None:
        """Make the directory and those above it."""
        identity = self._found(identity)
        self._make_parents(identity)
        if identity not in self.objects:
            self.objects[identity] = Stored(None, mode, self.now_ns, self._new_inode())

    def rename(self, old: str, new: str) -> None:
        """Rename an object with all that lies in it, replacing what is there."""
        self.objects.pop(new, None)
        self._make_parents(new)
        for path in [p for p in self.objects if p == old or p.startswith(old + "/")]:
            self.objects[new + path[len(old) :]] = self.objects.pop(path)

    def delete(self, identity: str) -> None:
        """Remove an object with all that lies in it."""
        for path in [p for p in self.objects if p == identity or p.startswith(identity + "/")]:
            del self.objects[path]

    def chmod(self, identity: str, mode: int) -> None:
        """Change the permission bits."""
        self.objects[identity] = self.objects[identity]._replace(mode=mode)

    def read(self, identity: str) -> bytes:
        """Content of a file; KeyError if there is none."""
        content = self.objects[identity].content
        if content is None:
            raise KeyError(identity)
        return content

    def tree(self) -> "dict[str, bytes]":
        """Everything, as `trees.read_tree` gives it: a directory as `name/` with b""."""
        return {path + "/" if one.content is None else path: one.content or b"" for path, one in self.objects.items()}

    def mode(self, identity: str) -> int:
        """Permission bits of an object."""
        return self.objects[identity].mode

    def crash(self) -> None:
        """The power goes: only what was made durable is left."""
        self.objects, self.stages, self.held = dict(self.durable), dict(self.durable_stages), dict(self.durable_held)

    def _new_inode(self) -> int:
        self._inode += 1
        return self._inode

    def _make_parents(self, identity: str) -> None:
        for path in self.missing_parents(identity):
            self.objects[path] = Stored(None, DEFAULT_DIRECTORY, self.now_ns, self._new_inode())

    # -- faults

    def fault(self, identity: str, reading: bool) -> None:
        """Raise what a switch says about this object."""
        status = self.failing.get(identity) or (self.failing_reads if reading else self.failing_writes).get(identity)
        if status:
            raise StoreError(status)

    def act(self) -> None:
        """A step that changes what is stored is about to be done."""
        if self.on_act is not None:
            self.on_act()

    def take(self, size: int) -> None:
        """Raise NO_ROOM if so many more bytes would not fit."""
        if size > self.room():
            raise StoreError(NO_ROOM)

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

    def visit(self, identity: str, buffer: memoryview) -> "tuple[int, bytes | None]":
        """As `FilesStore` has it."""
        self.store_id()
        self.fault(identity, reading=True)
        one = self.objects.get(identity)
        if one is None or one.content is None:
            return 0, self.stamp(identity)
        self.reads += 1
        data = one.content[: len(buffer)]
        buffer[: len(data)] = data
        self.bytes_read += len(data)
        return len(data), self.stamp(identity)

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

    def room(self) -> int:
        if self.full is None:
            return 1 << 40
        held = sum(len(one.content or b"") for one in self.objects.values())
        return max(0, self.full - held - sum(map(len, self.stages.values())))

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

    def missing_parents(self, identity: str) -> "list[str]":
        parts = identity.split("/")
        above = ["/".join(parts[:n]) for n in range(1, len(parts))]
        return [path for path in above if path not in self.objects]

    def remove(self, identity: str, expected: bytes) -> None:
        if self.on_remove is not None:
            self.on_remove(identity)
        self.act()
        self.fault(identity, reading=False)
        if self.stamp(identity) != expected or not self._empty(identity):
            raise StoreError(CHANGED)
        self._displace(self.objects.pop(identity))

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
        del self.objects[identity]
        return True

    def sync(self) -> None:
        self.store_id()
        self.act()
        self.syncs += 1
        self.durable, self.durable_stages, self.durable_held = dict(self.objects), dict(self.stages), dict(self.held)


class FolderHand:
    """Edits a real folder as a user would, with the same words as `MemoryStore`; `advance` turns a clock handed in."""

    def __init__(self, root: "str | Path", advance: "Callable[[float], None] | None" = None) -> None:
        self.root, self._advance = Path(root), advance

    def advance(self, seconds: float) -> None:
        """Turn the store's clock on."""
        if self._advance is not None:
            self._advance(seconds)

    def write(self, identity: str, data: bytes, mode: "int | None" = None) -> None:
        """Create the file, or change it in place; directories above it are made."""
        path = self.root / identity
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if mode is not None:
            path.chmod(mode)

    def mkdir(self, identity: str, mode: int = DEFAULT_DIRECTORY) -> None:
        """Make the directory and those above it."""
        path = self.root / identity
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)

    def rename(self, old: str, new: str) -> None:
        """Rename, replacing what is there."""
        (self.root / old).replace(self.root / new)

    def delete(self, identity: str) -> None:
        """Remove an object with all that lies in it."""
        path = self.root / identity
        if path.is_dir() and not path.is_symlink():
            for child in list(path.iterdir()):
                self.delete(f"{identity}/{child.name}")
            path.rmdir()
        else:
            path.unlink()

    def chmod(self, identity: str, mode: int) -> None:
        """Change the permission bits."""
        (self.root / identity).chmod(mode)

    def read(self, identity: str) -> bytes:
        """Content of a file."""
        return (self.root / identity).read_bytes()

    def mode(self, identity: str) -> int:
        """Permission bits of an object."""
        return (self.root / identity).stat().st_mode & 0o777
