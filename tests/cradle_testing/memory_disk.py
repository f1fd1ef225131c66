"""A disk in memory, with a user's hands and every fault on a switch: what `MemoryStore` is a store of. CPython only."""

from collections.abc import Callable
from typing import NamedTuple

from cradle_desktop.sync.naming import Names
from cradle_protocol.errors import NO_ROOM
from cradle_protocol.provider.paths import CASELESS, MAX_NAME, MAX_PATH
from cradle_protocol.provider.store import StoreError

SECOND = 1_000_000_000  # ns
START = 1_750_000_000 * SECOND  # where every disk's clock begins: in 2025, so that it is trusted
DEFAULT_FILE, DEFAULT_DIRECTORY = 0o644, 0o755


class Stored(NamedTuple):
    """One object: content is None for a directory."""

    content: "bytes | None"
    mode: int
    mtime: int
    inode: int


class MemoryDisk:
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
    moves, copies, installs, removals  how many of them this store was asked to do

    `crash()` puts back what the last `sync()` (or a stage's `flush()`) made durable.
    """

    name_max, path_max = MAX_NAME, MAX_PATH

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
        self.skipped: list[tuple[str, int]] = []
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
        self.reads = self.bytes_read = self.syncs = self.moves = self.copies = self.installs = self.removals = 0
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

    def missing_parents(self, identity: str) -> "list[str]":
        parts = identity.split("/")
        above = ["/".join(parts[:n]) for n in range(1, len(parts))]
        return [path for path in above if path not in self.objects]

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

    def room(self) -> int:
        if self.full is None:
            return 1 << 40
        held = sum(len(one.content or b"") for one in self.objects.values())
        return max(0, self.full - held - sum(map(len, self.stages.values())))
