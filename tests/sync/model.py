"""An executable model of section 4 of the design: what replicas hold, find at a scan, and do after a restart.

Not the engine and not fast: knowledge is {path: {replica: tick}} over a small universe of paths, contents are words or
some lines of them, batches are lists. `model_plan` and `model_pass` have one direction of a session, `steps` the random
worlds, `twins` the comparison with the real engine. A rule that changes here changes there, and the other way round.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from cradle_protocol.sync.item import item_id

FILES = ["a", "b", "c", "d/a", "d/b", "e/a", "e/d/a"]
DIRECTORIES = ["d", "e", "e/d"]
# All paths of a world, in the order of their ids, as batches go. Copies that are kept beside a file have more of them.
UNIVERSE: list[str] = []


def set_universe(kept: Iterable[str]) -> None:
    """From now on worlds have these paths beside those of users."""
    UNIVERSE[:] = sorted({*FILES, *DIRECTORIES, *kept}, key=lambda path: item_id("files", path))


set_universe(())

DIRECTORY = "d"  # the content of one
FILE_MODE, DIRECTORY_MODE = 0o644, 0o755
UNITS = range(2)  # content, mode

Version = tuple[int, str]  # (tick, replica)
Vector = dict[str, int]
Vectors = dict[str, Vector]
Value = str | int


class ModelFailure(Exception):
    """Something that must never be true is true. `kind` is its first word."""

    @property
    def kind(self) -> str:
        """What went wrong, in one word."""
        return str(self).partition(":")[0]


def parent_of(path: str) -> str:
    """The path above, '' at the top."""
    return path.rpartition("/")[0]


def above(path: str) -> list[str]:
    """All paths above, the outermost first."""
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]


def vectors() -> Vectors:
    """Knowledge of nothing."""
    return {path: {} for path in UNIVERSE}


def knows(vector: Vector, version: Version) -> bool:
    """Does the vector hold the version?"""
    return vector.get(version[1], 0) >= version[0]


def knows_all(vector: Vector, item: Item) -> bool:
    """Does the vector hold every unit's version of the item?"""
    return all(knows(vector, version) for version in item.versions)


def join(vector: Vector, other: Vector) -> None:
    """Raise a vector to the component-wise maximum of both."""
    for replica, tick in other.items():
        if tick > vector.get(replica, 0):
            vector[replica] = tick


def contains(one: Vectors, other: Vectors) -> bool:
    """Is all of `other` held in `one`?"""
    return all(one[path].get(replica, 0) >= tick for path in UNIVERSE for replica, tick in other[path].items())


@dataclass
class Move:
    """Where a tombstone's object went, and what went there: per unit (version, value)."""

    path: str
    created: Version
    base: list[tuple[Version, Value]]


@dataclass(frozen=True)
class Filter:
    """What a store wants: nothing of these paths and of what lies below them, no content longer than `limit`."""

    out: tuple[str, ...] = ()
    limit: int = 99

    def wants(self, path: str, item: Item) -> bool:
        """Shall the store hold this living item?"""
        content = str(item.values[0])
        long = content != DIRECTORY and len(content) > self.limit
        return not long and not any(path == p or path.startswith(p + "/") for p in self.out)


@dataclass
class Item:
    """Metadata of one path. A tombstone keeps its last values.

    ghost: alive, and its content is not in this store, by the store's filter; origin: the path that it was moved from
    """

    created: Version
    versions: list[Version]
    values: list[Value]
    stamp: object = None
    dead: bool = False
    move: Move | None = None
    ghost: bool = False
    origin: str = ""

    @property
    def held(self) -> bool:
        """Is it something that the store shows?"""
        return not self.dead and not self.ghost

    def copy(self) -> Item:
        """A copy that can be changed alone."""
        return replace(self, versions=list(self.versions), values=list(self.values))

    def die(self, version: Version, move: Move | None = None) -> None:
        """A delete is a change of every unit."""
        self.dead, self.ghost, self.move, self.versions = True, False, move, [version, version]

    def live(self, version: Version, values: list[Value]) -> None:
        """A result that keeps an item alive restamps every unit."""
        self.dead, self.move, self.origin = False, None, ""
        self.versions, self.values = [version, version], list(values)

    def __repr__(self) -> str:
        state = "dead" if self.dead else ("ghost " if self.ghost else "") + "/".join(map(str, self.values))
        made = ",".join(sorted({f"{replica}{tick}" for tick, replica in self.versions}))
        went = f"->{self.move.path}" if self.move else ""
        return f"{state}@{made}^{self.created[1]}{self.created[0]}{went}"


class Node:
    """What a store shows under a path. `key` stays when it is renamed and goes when it is written, at that time."""

    serial = 0

    def __init__(self, content: str, mode: int, time: int) -> None:
        Node.serial += 1
        self.content, self.mode, self.key, self.time = content, mode, Node.serial, time

    def values(self) -> list[Value]:
        """Values of both units."""
        return [self.content, self.mode]

    def stamp(self) -> object:
        """Differs whenever the object may have changed."""
        return self.key, self.mode

    def write(self, content: str, time: int) -> None:
        """A user writes it in place."""
        Node.serial += 1
        self.content, self.key, self.time = content, Node.serial, time


@dataclass
class Replica:
    """A store and its metadata. implied: directories that are there only for their children; now: its clock.

    filter, generation: of a device, what it wants, and a number for each change of that; reconciled: of a desktop, the
    generation of each device's filter that it has carried out whole
    """

    name: str
    now: int = 0
    tick: int = 0
    knowledge: Vectors = field(default_factory=vectors)
    forgotten: Vectors = field(default_factory=vectors)
    items: dict[str, Item] = field(default_factory=dict)
    store: dict[str, Node] = field(default_factory=dict)
    implied: set[str] = field(default_factory=set)
    pending: list[tuple[str, Item, Vector]] = field(default_factory=list)
    pending_implied: set[str] = field(default_factory=set)
    filter: Filter = field(default_factory=Filter)
    generation: int = 0
    reconciled: dict[str, int] = field(default_factory=dict)

    @property
    def desktop(self) -> bool:
        """Is this a desktop's?"""
        return self.name.startswith("D")

    def shadow(self) -> Replica:
        """What planning works on: metadata of its own, no store."""
        items = {path: item.copy() for path, item in self.items.items()}
        knowledge, forgotten = copy.deepcopy(self.knowledge), copy.deepcopy(self.forgotten)
        return Replica(
            self.name, self.now, self.tick, knowledge, forgotten, items, {}, set(self.implied), filter=self.filter
        )

    def stamp(self) -> Version:
        """A fresh version."""
        self.tick += 1
        return self.tick, self.name

    def raise_own(self) -> None:
        """Local changes are known wherever they are."""
        for vector in self.knowledge.values():
            vector[self.name] = self.tick

    def living(self, path: str) -> bool:
        """Is there a living item of this path?"""
        return path in self.items and not self.items[path].dead

    def holds(self, path: str) -> bool:
        """Is there a living item of this path whose content is here?"""
        return path in self.items and self.items[path].held

    # -- the store

    def children(self, path: str) -> list[str]:
        """Paths of all that lies below."""
        return [p for p in self.store if p.startswith(path + "/")]

    def age(self, path: str) -> int:
        """How long ago the content was written or installed here, by its own clock."""
        return self.now - self.store[path].time

    def clean(self, path: str) -> bool:
        """Does the store still show what the metadata say?"""
        node = self.store.get(path)
        if not self.holds(path):
            return node is None or path in self.implied
        return node is not None and node.stamp() == self.items[path].stamp

    def prune(self, path: str) -> bool:
        """Remove a directory if it is empty."""
        if path not in self.store or self.store[path].content != DIRECTORY or self.children(path):
            return False
        del self.store[path]
        return True

    def prune_above(self, path: str) -> None:
        """Implied directories go when their last child goes."""
        for p in reversed(above(path)):
            if p not in self.implied or not self.prune(p):
                return
            self.implied.discard(p)

    def install(self, path: str, item: Item, anew: bool) -> None:
        """Make a living item real. anew: even where its content is there already."""
        for p in above(path):
            if p not in self.store:
                self.store[p] = Node(DIRECTORY, DIRECTORY_MODE, self.now)
                if not self.holds(p):
                    self.implied.add(p)
        node = self.store.get(path)
        if node is None or anew or node.content != item.values[0]:
            node = self.store[path] = Node(str(item.values[0]), 0, self.now)
        node.mode = int(item.values[1])
        self.implied.discard(path)
        item.stamp = node.stamp()

    # -- change detection

    def scan(self) -> None:
        """Stamp what the user did, in the order in which a store is read."""
        for path in sorted(self.implied, reverse=True):
            if path not in self.store or self.prune(path):
                self.implied.discard(path)
        fresh = [path for path in sorted(self.store) if path not in self.implied and self._meet(path)]
        for path in [p for p in UNIVERSE if self.holds(p) and p not in self.store]:
            item = self.items[path]
            move = self._move(item, fresh)
            if move is not None:
                self.items[move.path].origin = path
            item.die(self.stamp(), move)
        self.raise_own()

    def _meet(self, path: str) -> bool:
        """One object of the store; True if there was none before."""
        node = self.store[path]
        if not self.living(path):
            version = self.stamp()
            self.items[path] = Item(version, [version, version], node.values(), node.stamp())
            return True
        item, version = self.items[path], None
        if item.ghost and node.values() != item.values:
            # Whoever made it has not seen what the name stands for: it is no edit of that, and was made without it.
            self.knowledge[path], version = {}, self.stamp()
            self.items[path] = Item(version, [version, version], node.values(), node.stamp())
            return False
        for u in UNITS:
            if node.values()[u] != item.values[u]:
                version = version or self.stamp()
                item.versions[u], item.values[u] = version, node.values()[u]
        item.stamp, item.ghost = node.stamp(), False
        return False

    def _move(self, item: Item, fresh: list[str]) -> Move | None:
        for path in fresh:
            if (self.store[path].key, item.values[0]) == (_key(item.stamp), self.store[path].content):
                base = list(zip(item.versions, item.values, strict=True))
                return Move(path, self.items[path].created, base)
        return None

    # -- after a crash

    def restart(self) -> None:
        """What of the intents became visible is adopted."""
        self.implied |= {path for path in self.pending_implied if path in self.store and not self.holds(path)}
        self.pending_implied = set()
        for path, new, made in self.pending:
            if self._became(path, new, self.store.get(path)):
                self.items[path] = new
                node = self.store.get(path)
                if new.held and node is not None:
                    new.stamp = node.stamp()
                    self.implied.discard(path)
                join(self.knowledge[path], made)
        self.pending = []
        self.raise_own()

    def _became(self, path: str, new: Item, node: Node | None) -> bool:
        """Has this intent become visible? What shows the old state proves nothing, not even for a tombstone."""
        if self.holds(path):
            if node is not None and node.stamp() == self.items[path].stamp:
                return False
            # Where a delete was under way and something else is there, that is a new object: taken for an edit of the
            # old one, it would follow a move and replace what was moved.
            return not new.held or (node is not None and node.values() == new.values)
        return new.held and node is not None and node.values() == new.values

    def forget(self, paths: list[str]) -> None:
        """Drop these tombstones. What may have been dropped is noted for all paths, as far as each is known here."""
        for path in paths:
            for tick, replica in self.items.pop(path).versions:
                for p in UNIVERSE:
                    join(self.forgotten[p], {replica: min(tick, self.knowledge[p].get(replica, 0))})

    def tombstones(self) -> list[str]:
        """Paths of those that may be dropped."""
        return [path for path, item in self.items.items() if item.dead and path not in self.implied]


def _key(stamp: object) -> object:
    return stamp[0] if isinstance(stamp, tuple) else None
