"""A world of model replicas: users, sessions, faults, and what must be true in the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sync.model import (
    DIRECTORIES,
    DIRECTORY,
    DIRECTORY_MODE,
    FILE_MODE,
    FILES,
    UNITS,
    UNIVERSE,
    Filter,
    Item,
    ModelFailure,
    Node,
    Replica,
    Value,
    Vectors,
    contains,
    knows,
    knows_all,
    parent_of,
    set_universe,
    vectors,
)
from sync.model_pass import Faults, Pass, Stopped
from sync.model_plan import Loss, NewName, Planner

SETTLE_ROUNDS = 8


@dataclass(frozen=True)
class Edit:
    """What one user does: write (content), line (one of a file, by its last digit), mkdir, chmod (mode), rm, mv (to);
    forget is tombstone cleanup, filter changes what a device wants (value)."""

    what: str
    who: str
    path: str = ""
    value: str | int | Filter = 0

    def __str__(self) -> str:
        return f"{self.who}: {self.what} {self.path} {self.value or ''}".rstrip()


@dataclass(frozen=True)
class Sync:
    """One session. size: items in a batch; during: edits as the k-th batch of the pass up or down begins."""

    desktop: str
    device: str
    policy: str = "desktop"
    size: int = 99
    up: Faults = field(default_factory=Faults)
    down: Faults = field(default_factory=Faults)
    during: tuple[tuple[str, int, Edit], ...] = ()

    def __str__(self) -> str:
        words = [f"sync {self.desktop} {self.device}, {self.policy} wins"]
        words += [f"batches of {self.size}"] if self.size < 99 else []
        words += [f"{way} {faults}" for way, faults in (("up", self.up), ("down", self.down)) if faults != Faults()]
        return ", ".join(words + [f"{edit} in batch {k} {way}" for way, k, edit in self.during])


Step = Edit | Sync

TICK = 60  # seconds between two edits of one user: a clock stands still while another's goes on
LINES, FURTHER = 3, "\n\n"  # of a text; edits of two lines can be merged where others are between them


def with_line(content: str, line: str) -> str:
    """The content, with this line in the place that its last digit says."""
    lines = (content.split(FURTHER) + [""] * LINES)[:LINES]
    lines[int(line[-1]) % LINES] = line
    return FURTHER.join(lines)


class ModelWorld:
    """Model replicas by name. `losses`: what resolutions displaced; `written`, `gone`: what users wrote and ended;
    `merged`: what went into a text of two; `common`, `joint`: what a pair had in common and knew then, for merges."""

    def __init__(self, desktops: tuple[str, ...], devices: tuple[str, ...]) -> None:
        self.desktops, self.devices = desktops, devices
        self.replicas = {name: Replica(name) for name in desktops + devices}
        self.losses: list[Loss] = []
        self.sent = 0
        self.written: set[tuple[int, Value]] = set()
        self.gone: set[tuple[int, Value]] = set()
        self.merged: set[Value] = set()
        self.common: dict[tuple[str, str], dict[str, str]] = {}
        self.joint: dict[tuple[str, str], Vectors] = {}

    # -- users

    def edit(self, edit: Edit) -> bool:
        """Do it if a user could; False if not."""
        replica = self.replicas[edit.who]
        if edit.what == "forget":
            return self._forget(replica)
        if isinstance(edit.value, Filter):
            replica.restart()  # who is told of a filter opens its metadata first
            replica.filter, replica.generation = edit.value, replica.generation + 1
            return True
        acts: dict[str, Callable[[Replica, str, str | int], bool]] = {
            "write": self._write, "line": self._line, "mkdir": self._mkdir, "chmod": self._chmod, "rm": self._remove,
            "mv": self._move,
        }  # fmt: skip
        replica.now += TICK
        done = acts[edit.what](replica, edit.path, edit.value)
        replica.now -= 0 if done else TICK
        return done

    def _forget(self, replica: Replica) -> bool:
        replica.restart()
        replica.scan()
        replica.forget(replica.tombstones())
        return True

    def _write(self, replica: Replica, path: str, value: str | int) -> bool:
        content, node = str(value), replica.store.get(path)
        if self._rewrites(replica, path, content) or not self._make_parent(replica, path):
            return False
        self.written.add((0, content))
        if node is None:
            self._cover(replica, path)
            replica.store[path] = Node(content, FILE_MODE, replica.now)
        else:
            self._overwrite(node, 0)
            node.write(content, replica.now)
        return True

    def _line(self, replica: Replica, path: str, value: str | int) -> bool:
        node = replica.store.get(path)
        return node is not None and self._write(replica, path, with_line(node.content, str(value)))

    @staticmethod
    def _rewrites(replica: Replica, path: str, content: str) -> bool:
        """To write what is there, or what was there at the last scan, is an edit to some stores and none to others."""
        node, item = replica.store.get(path), replica.items.get(path)
        return (node is not None and node.content == content) or (item is not None and item.values[0] == content)

    def _make_parent(self, replica: Replica, path: str) -> bool:
        parent = parent_of(path)
        return not parent or parent in replica.store or self._mkdir(replica, parent, 0)

    def _mkdir(self, replica: Replica, path: str, _: str | int) -> bool:
        if path in replica.store or not self._make_parent(replica, path):
            return False
        self._cover(replica, path)
        replica.store[path] = Node(DIRECTORY, DIRECTORY_MODE, replica.now)
        return True

    def _chmod(self, replica: Replica, path: str, mode: str | int) -> bool:
        node = replica.store.get(path)
        if node is None or path in replica.implied:
            return False
        if node.content != DIRECTORY:
            self.written.add((1, mode))
            self._overwrite(node, 1)
        node.mode = int(mode)
        return True

    def _remove(self, replica: Replica, path: str, _: str | int) -> bool:
        for p in [path, *replica.children(path)]:
            self._overwrite(replica.store.pop(p, None), *UNITS)
        return True

    def _move(self, replica: Replica, old: str, target: str | int) -> bool:
        new, store = str(target), replica.store
        if old not in store or old in replica.implied or new.startswith(old + "/") or old.startswith(new + "/"):
            return False
        names = {p: new + p[len(old) :] for p in [old, *replica.children(old)]}
        if any(q not in (DIRECTORIES if store[p].content == DIRECTORY else FILES) for p, q in names.items()):
            return False
        if (new in DIRECTORIES and new in store) or (parent_of(new) and parent_of(new) not in store):
            return False
        if any(self._rewrites(replica, q, store[p].content) for p, q in names.items() if q in FILES):
            return False
        self._overwrite(store.get(new), *UNITS)
        for q in names.values():
            self._cover(replica, q)
        moved = {names[p]: store.pop(p) for p in names}
        store.update(moved)
        return True

    def _cover(self, replica: Replica, path: str) -> None:
        """What a store had written itself, and has by name only now, is replaced there by what gets its name."""
        item = replica.items.get(path)
        if item is not None and not item.dead and path not in replica.store:
            self.gone |= {(u, item.values[u]) for u in UNITS if item.versions[u][1] == replica.name}

    def _overwrite(self, node: Node | None, *units: int) -> None:
        """A user's own hand ends these values here."""
        if node is not None and node.content != DIRECTORY:
            self.gone |= {(u, node.values()[u]) for u in units}

    # -- sessions

    def sync(self, sync: Sync) -> None:
        """One session to its end, or to its fault."""
        desktop, device = self.replicas[sync.desktop], self.replicas[sync.device]
        for replica in (desktop, device):
            replica.restart()
            replica.scan()
        known = device.shadow().knowledge
        try:
            up = self._one_way(device, desktop, sync, "up", sync.up, {}, set())
            shown, left = ({}, set[str]()) if up is None else (up.plan.sent_items(), up.missed)
            down = self._one_way(desktop, device, sync, "down", sync.down, shown, left)
        except Stopped:
            return
        if sync.policy == "merge":
            self._remember(desktop, device, known, [one for one in (up, down) if one is not None])

    def _remember(self, desktop: Replica, device: Replica, known: Vectors, passes: list[Pass]) -> None:
        """What has changed since both remembered last: what both have of it now is what the next merge starts from."""
        pair = desktop.name, device.name
        common, before = self.common.setdefault(pair, {}), self.joint.get(pair) or vectors()
        touched = {path for one in passes for path in one.touched()}
        missed = {path for one in passes for path in one.missed}
        for path, item in desktop.items.items():
            if path in missed or (path not in touched and knows_all(before[path], item)):
                continue
            common.pop(path, None)
            both = path in touched or knows(known[path], item.versions[0])
            if both and not item.dead and item.values[0] != DIRECTORY:
                common[path] = str(item.values[0])
        self.joint[pair] = {path: before[path] if path in missed else dict(v) for path, v in desktop.knowledge.items()}

    def _mergeable(self, desktop: Replica, device: Replica) -> dict[str, str]:
        """Of what they had in common that of which both cannot have heard anything since, on other ways."""
        pair = desktop.name, device.name
        joint = self.joint.get(pair, {})

        def alone(path: str) -> bool:
            ours, theirs = desktop.knowledge[path], device.knowledge[path]
            return all(min(tick, ours.get(name, 0)) <= joint[path].get(name, 0) for name, tick in theirs.items())

        return {path: text for path, text in self.common.get(pair, {}).items() if alone(path)}

    def _one_way(
        self,
        source: Replica,
        target: Replica,
        sync: Sync,
        way: str,
        faults: Faults,
        shown: dict[str, Item],
        left: set[str],
    ) -> Pass | None:
        """One pass, if there is anything to it."""
        news = not contains(target.knowledge, source.knowledge) or not contains(target.knowledge, source.forgotten)
        news = news or (source.desktop and not contains(target.forgotten, source.forgotten))
        if source.desktop:
            self._bury(source, target)
        turned = source.desktop and source.reconciled.get(target.name, 0) != target.generation
        if not news and not turned and not (target.desktop and target.implied):
            return None
        common = self._mergeable(target, source) if target.desktop else {}
        plan = Planner(source, target, sync.policy, shown, common, left)
        if not news and not turned and not plan.tail:
            return None
        self.sent += len(plan.entries) + len(plan.tail)

        def during(batch: int) -> None:
            for direction, k, edit in sync.during:
                if (direction, k) == (way, batch):
                    self.edit(edit)

        if not news and not any(entry.acts for entry in plan.entries + plan.tail):
            return self._carried_out(source, target, None)
        execution = Pass(plan, target, self.losses, self.merged)
        execution.run(sync.size, faults, during)
        return self._carried_out(source, target, execution)

    @staticmethod
    def _carried_out(source: Replica, target: Replica, execution: Pass | None) -> Pass | None:
        """The device's filter is carried out if there is nothing that it wants and has by name only."""
        missing = any(item.ghost and target.filter.wants(path, item) for path, item in target.items.items())
        if source.desktop and not missing:
            source.reconciled[target.name] = target.generation
        return execution

    @staticmethod
    def _bury(desktop: Replica, device: Replica) -> None:
        """A device that missed deletes which are forgotten here: each is made again, for what it still has."""
        if contains(device.knowledge, desktop.forgotten):
            return
        for path in UNIVERSE:
            theirs, ours = device.items.get(path), desktop.items.get(path)
            if theirs is None or theirs.dead or not knows_all(desktop.knowledge[path], theirs):
                continue
            if ours is None or (ours.dead and knows_all(device.knowledge[path], ours)):
                grave = theirs.copy()
                grave.die(desktop.stamp())
                desktop.items[path] = grave
        desktop.raise_own()

    def settle(self, rounds: int = SETTLE_ROUNDS) -> None:
        """Everybody with everybody, often enough."""
        for _ in range(rounds):
            for desktop in self.desktops:
                for device in self.devices:
                    self.sync(Sync(desktop, device))

    def step(self, step: Step) -> bool:
        """Do one step; False for an edit that no user could do."""
        if isinstance(step, Edit):
            return self.edit(step)
        self.sync(step)
        return True

    # -- what must be true

    def tree(self, name: str) -> dict[str, tuple[str, int]]:
        """{path: (content, mode)} of a store."""
        return {path: (node.content, node.mode) for path, node in sorted(self.replicas[name].store.items())}

    @staticmethod
    def _part(replica: Replica, whole: dict[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
        """Of a whole tree what this store must show: all but what it has by name only and does not want."""
        part = {}
        for path, (content, mode) in whole.items():
            item = replica.items.get(path)
            if item is None or not item.ghost or replica.filter.wants(path, item):
                part[path] = content, mode
            elif path in replica.implied:
                part[path] = content, DIRECTORY_MODE
            elif item.values != [content, mode]:
                raise ModelFailure(f"outdated: {replica.name} {path} {item}")
        return part

    def check(self) -> None:
        """Everybody equal and at rest, nothing lost, nothing half done. Raises ModelFailure."""
        self.settle()
        first = self.tree(self.desktops[0])
        for name, replica in self.replicas.items():
            if self.tree(name) != self._part(replica, first):
                raise ModelFailure(f"diverged: {self.desktops[0]} {first}, {name} {self.tree(name)} {replica.items}")
        self.sent, before = 0, len(self.losses)
        self.settle(rounds=1)
        if self.sent or len(self.losses) > before:
            raise ModelFailure(f"restless: {self.sent} sent, {self.losses[before:]} after everything was settled")
        kept: set[tuple[int, Value | None]] = {(u, one[u]) for one in first.values() for u in UNITS}
        kept |= {(u, value) for _, _, u, value in self.losses}
        kept |= {(0, value) for value in self.merged}
        if lost := self.written - self.gone - kept:
            raise ModelFailure(f"lost: {sorted(lost, key=str)}; all have {first}")
        for replica in self.replicas.values():
            if not all(replica.clean(path) for path in UNIVERSE):
                raise ModelFailure(f"unscanned: {replica.name}")


def name_everything(desktops: tuple[str, ...], devices: tuple[str, ...], steps: tuple[Step, ...]) -> None:
    """Set the universe to what this world needs: what names kept copies get is only seen by going through it."""
    kept: set[str] = set()
    while True:
        set_universe(kept)
        world = ModelWorld(desktops, devices)
        try:
            for step in steps if any(isinstance(step, Sync) and step.policy == "both" for step in steps) else ():
                world.step(step)
            return
        except NewName as name:
            kept.add(str(name))
