"""The model's half of a session: one direction is planned on a shadow of the receiver. `model_pass` executes it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cradle_desktop.conflict.merge3 import merge
from cradle_desktop.conflict.resolve import kept_names
from sync.model import (
    DIRECTORY,
    DIRECTORY_MODE,
    UNITS,
    UNIVERSE,
    Item,
    ModelFailure,
    Move,
    Replica,
    Value,
    Vector,
    Version,
    above,
    contains,
    join,
    knows,
    knows_all,
    parent_of,
)

Loss = tuple[str, str, int, "Value | None"]  # (desktop, path, unit, value that was displaced; None: a delete lost)


class NewName(Exception):
    """A copy is kept under this name, which is not in the universe yet."""


@dataclass
class Act:
    """One item as it becomes. sent: its content comes along, needed or not; beside: it is a copy that is kept."""

    path: str
    new: Item
    was: Item | None
    sent: bool = False
    beside: bool = False


@dataclass
class Entry:
    """What becomes of one change: acts that happen together; bad: skipped whole, nothing of it is learned.

    merged  the contents of which a new one was made
    keeps   the content that the source has loses, and must be had for that
    """

    path: str
    acts: list[Act] = field(default_factory=list)
    lost: list[Loss] = field(default_factory=list)
    bad: bool = False
    merged: list[Value] = field(default_factory=list)
    keeps: bool = False


def digest(value: Value) -> bytes:
    """What the greater of two values goes by."""
    return hashlib.sha256(value.encode()).digest() if isinstance(value, str) else value.to_bytes(2, "big")


class Planner:
    """Judges one pass from `source` on a shadow of `target`; `entries` in the order of ids, then `tail`.

    shown    items that the target itself sent in this session
    full     the target missed what the source has forgotten; told: it has heard of all that
    dropped  tombstones that go before anything else does
    common   texts that both had, which `merge` starts from
    left     what was left out on the way up: it is told without its content
    ghosts   what the source does not hold the content of; for a device: what its filter does not want
    """

    def __init__(
        self,
        source: Replica,
        target: Replica,
        policy: str,
        shown: dict[str, Item],
        common: dict[str, str],
        left: set[str],
    ) -> None:
        self.source, self.here, self.target, self.policy = source, target, target.shadow(), policy
        self.common, self.left, self.shown = common, left, shown
        self.base = {path: item.copy() for path, item in target.items.items()}
        self.made = source.shadow().knowledge
        self.full = not contains(target.knowledge, source.forgotten)
        self.snapshot = {path: item.copy() for path, item in source.items.items()}
        self.told = contains(target.forgotten, source.forgotten)
        every = self.full and target.desktop
        self.sent = [p for p, item in self.snapshot.items() if every or not knows_all(target.knowledge[p], item)]
        self.ghosts = self._ghosts()
        if not target.desktop and source.reconciled.get(target.name, 0) != target.generation:
            self.sent += [p for p in self.snapshot if p not in self.sent and self._flips(p)]
        for path in self.sent:
            if not knows_all(source.knowledge[path], self.snapshot[path]):
                raise ModelFailure(f"outside: {source.name} sends {path} {self.snapshot[path]} outside its knowledge")
        self.dropped = self._outdated() if every else []
        self.target.forget(self.dropped)
        self.entries: list[Entry] = []
        self.tail: list[Entry] = []
        self.plan()
        for act in [act for entry in self.entries for act in entry.acts if not target.desktop]:
            change, held = self.snapshot.get(act.path), shown.get(act.path)
            if change is not None and change.values[0] != DIRECTORY:
                equal = held is not None and held.held and held.values[0] == change.values[0]
                here = equal or knows(target.knowledge[act.path], change.versions[0])
                act.sent = change.held and (not here or (act.was is not None and act.was.ghost))

    def _ghosts(self) -> set[str]:
        """Takes the marks from the snapshot for a desktop, which has none; sets them for a device, by its filter."""
        living = {path: item for path, item in self.snapshot.items() if not item.dead}
        if self.target.desktop:
            ghosts = {path for path, item in living.items() if item.ghost}
        else:
            ghosts = {path for path, item in living.items() if not self._stays(path, item)}
        for path, item in self.snapshot.items():
            item.ghost = path in ghosts and not self.target.desktop
        return ghosts

    def _stays(self, path: str, item: Item) -> bool:
        """Does the device want it, or hold it as its own user made it, also where that won a conflict just now?"""
        held, shown = self.target.items.get(path), self.shown.get(path)
        won = shown is not None and not shown.dead and shown.values[0] == item.values[0]
        version = shown.versions[0] if won and shown is not None else item.versions[0]
        made = version[1] == self.target.name and held is not None and held.held
        return made or self.target.filter.wants(path, item)

    def _flips(self, path: str) -> bool:
        """Is it the same on both sides but for whether the device holds it?"""
        change, local = self.snapshot[path], self.target.items.get(path)
        if local is None or local.dead or change.dead:
            return False
        return local.versions == change.versions and local.ghost != change.ghost

    def sent_items(self) -> dict[str, Item]:
        """All that is sent in this pass, as it is there."""
        return {path: self.snapshot[path] for path in self.sent}

    def plan(self) -> None:
        """Judge everything."""
        later: list[str] = []
        for path in UNIVERSE:
            entry: Entry | None = None
            if path in self.sent:
                entry = self._judge(path, later)
                if entry is not None and self._lacks_content(entry):
                    entry = Entry(path, bad=True)
            elif self.full and self.target.desktop and path not in self.snapshot:
                entry = self._absent(path)
            if entry is not None:
                self._take(self.entries, entry)
        bad = {entry.path for entry in self.entries if entry.bad}
        for path in set(UNIVERSE) - bad:
            join(self.target.knowledge[path], self.made[path])
        for path in later:
            entry = self._follow_late(path)
            if entry is not None and not self._lacks_content(entry):
                self._take(self.tail, entry)
                join(self.target.knowledge[path], self.made[path])
        if self.target.desktop:
            self._revive_parents()

    def _lacks_content(self, entry: Entry) -> bool:
        """Is a content needed that the source does not hold, and this desktop has under no other name?"""
        if not self.target.desktop:
            return False
        if entry.keeps and entry.path in self.ghosts:
            return True
        for act in entry.acts:
            want, was = act.new.values[0], act.was
            if act.new.dead or want == DIRECTORY or (was is not None and not was.dead and was.values[0] == want):
                continue
            near = [self.base[p] for p in (act.new.origin, entry.path) if p in self.base]
            if any(not item.dead and item.values[0] == want for item in near):
                continue
            own = act.path in self.sent and self.snapshot[act.path].values[0] == want
            if (act.path if own else entry.path) in self.ghosts:
                return True
        return False

    def _take(self, entries: list[Entry], entry: Entry) -> None:
        entries.append(entry)
        for act in entry.acts:
            self.target.items[act.path] = act.new

    def _entry(self, path: str, new: Item, lost: list[Loss] | None = None) -> Entry:
        return Entry(path, [Act(path, new, self.target.items.get(path))], lost or [])

    # -- one change

    def _judge(self, path: str, later: list[str]) -> Entry | None:
        change, local = self.snapshot[path], self.target.items.get(path)
        made, mine = self.made[path], self.target.knowledge[path]
        if knows_all(mine, change):
            if self.target.desktop or not self._flips(path) or local is None:
                return None
            new = local.copy()
            new.ghost = change.ghost
            return self._entry(path, new)
        if path in self.left and self._needs_content(change, local):
            return Entry(path, bad=True)
        if local is None:
            forgotten = self.target.forgotten[path]
            gone = self.target.desktop and not change.dead and knows(forgotten, change.created)
            if gone and not all(made.get(replica, 0) >= tick for replica, tick in forgotten.items()):
                return self._revive(path, change)
            return self._entry(path, _arrived(change, None))
        seen = knows_all(made, local)
        if change.dead and local.dead:
            greater = seen or change.versions[0] > local.versions[0]
            return self._entry(path, _arrived(change, local)) if greater else Entry(path)
        if not change.dead and not local.dead:
            return self._merge(path, change, local)
        if seen:
            return self._entry(path, _arrived(change, local))
        if not self.target.desktop:
            return Entry(path, bad=True)
        return self._edit_against_delete(path, change, local, later)

    @staticmethod
    def _needs_content(change: Item, local: Item | None) -> bool:
        if change.dead or change.ghost or change.values[0] == DIRECTORY:
            return False
        return local is None or not local.held or local.values[0] != change.values[0]

    def _edit_against_delete(self, path: str, change: Item, local: Item, later: list[str]) -> Entry:
        alive, grave = (local, change) if change.dead else (change, local)
        deleter = self.made[path] if change.dead else self.target.knowledge[path]
        if not knows(deleter, alive.created):
            return self._revive(path, alive, counted=False)
        if self.policy == "skip":
            return Entry(path, bad=True)
        if grave.move is not None:
            later.append(path)
            return Entry(path, bad=True)
        return self._revive(path, alive)

    def _revive(self, path: str, alive: Item, counted: bool = True) -> Entry:
        """An edit beats a delete."""
        if counted and (self.policy == "skip" or not self.target.desktop):
            return Entry(path, bad=True)
        new = alive.copy()
        new.live(self.target.stamp(), alive.values)
        return self._entry(path, new, [(self.target.name, path, 0, None)] if counted else [])

    def _merge(self, path: str, change: Item, local: Item) -> Entry:
        """Both are alive: unit by unit."""
        new, fresh, entry = local.copy(), None, Entry(path)
        new.origin = change.origin or local.origin
        for u in UNITS:
            theirs, ours = change.versions[u], local.versions[u]
            if knows(self.target.knowledge[path], theirs):
                continue
            if knows(self.made[path], ours):
                new.versions[u], new.values[u] = theirs, change.values[u]
            elif change.values[u] == local.values[u]:
                new.versions[u] = max(theirs, ours)
            elif not self.target.desktop or self.policy == "skip":
                return Entry(path, bad=True)
            else:
                fresh = fresh or self.target.stamp()
                new.versions[u], new.values[u] = fresh, self._clash(entry, u, change, local)
        if new.values[0] == change.values[0]:  # else the content stays another one than that of which the mark speaks
            new.ghost = change.ghost
        new.created = max(change.created, local.created)
        entry.acts = [Act(path, new, local)]
        if self.policy == "both":
            self._keep_beside(entry, change, local)
        losers = {value for _, _, u, value in entry.lost if u == 0 and value != DIRECTORY}
        entry.keeps = bool(entry.merged) or change.values[0] in losers - {local.values[0]}
        return entry

    def _clash(self, entry: Entry, u: int, change: Item, local: Item) -> Value:
        """What becomes of a unit that both sides changed."""
        both = self._one_text(entry.path, change, local) if u == 0 and self.policy == "merge" else None
        if both is not None:
            entry.merged = [local.values[0], change.values[0]]
            return both
        newer = self._newer(entry.path, local) if self.policy == "newest" else ""
        mine = self._wins(local.values[u], local.versions[u], change.values[u], change.versions[u], newer)
        winner, loser = (local, change) if mine else (change, local)
        entry.lost.append((self.target.name, entry.path, u, loser.values[u]))
        return winner.values[u]

    def _one_text(self, path: str, change: Item, local: Item) -> str | None:
        """Both edits in one, where a desktop's and a device's were made of the same text and do not touch."""
        if _role(local.versions[0]) == _role(change.versions[0]) or path not in self.common:
            return None
        texts = self.common[path], str(local.values[0]), str(change.values[0])
        both = merge(*[text.encode() for text in texts])
        return None if both is None else both.decode()

    def _newer(self, path: str, local: Item) -> str:
        """The side that wrote last, each by its own clock; "" where nobody can tell."""
        if path in self.ghosts:
            return ""
        ours, theirs = self.here.age(path), self.source.age(path)
        return "" if local.values[0] == DIRECTORY or ours == theirs else "desktop" if ours < theirs else "device"

    def _keep_beside(self, entry: Entry, change: Item, local: Item) -> None:
        """Both are wanted: the content that did not win gets a name of its own, and nothing is displaced."""
        for lost in [one for one in entry.lost if one[2] == 0]:
            _, path, _, value = lost
            assert value is not None
            loser = change if value == change.values[0] else local
            for name in kept_names(path, "desktop" if _role(loser.versions[0]) else "device", digest(value)):
                if name not in UNIVERSE:
                    raise NewName(name)
                there = self.target.items.get(name)
                if there is not None and not there.dead and there.values[0] != value:
                    continue
                entry.lost.remove(lost)
                if there is None or there.dead:
                    entry.acts.append(Act(name, self._anew(there, [value, loser.values[1]]), there, beside=True))
                break

    def _anew(self, there: Item | None, values: list[Value]) -> Item:
        """An item that lives with a fresh stamp, where none does."""
        version = self.target.stamp()
        new = Item(version, [version, version], values) if there is None else there.copy()
        new.live(version, values)
        return new

    def _wins(self, ours: Value, our_version: Version, theirs: Value, their_version: Version, newer: str = "") -> bool:
        """Policy decides only between a desktop's stamp and a device's."""
        our_role, their_role = _role(our_version), _role(their_version)
        if our_role == their_role:
            return digest(ours) > digest(theirs)
        if newer:
            return newer == "desktop"
        return (self.policy != "device") == our_role

    def _outdated(self) -> list[str]:
        """Tombstones of which the source knows and has none: it may have forgotten a later one."""
        mine = [path for path in self.target.tombstones() if path not in self.snapshot]
        return [path for path in mine if knows_all(self.made[path], self.target.items[path])]

    def _absent(self, path: str) -> Entry | None:
        """Full enumeration: the source has no record. What it knows, it has deleted and forgotten: deleted anew."""
        local = self.target.items.get(path)
        if local is None or local.dead or not knows(self.made[path], local.created):
            return None
        if not knows_all(self.made[path], local):
            return self._revive(path, local)
        new = local.copy()
        new.die(self.target.stamp())
        return self._entry(path, new)

    # -- an edit of an object that was moved away

    def _follow_late(self, path: str) -> Entry | None:
        """The pass has arrived, so the targets of moves are known if they ever will be."""
        change, local = self.snapshot[path], self.target.items[path]
        alive, grave = (local, change) if change.dead else (change, local)
        move, target = grave.move, self.target
        assert move is not None
        end, created, circle = self._chase(path, move)
        known = knows(target.knowledge[end], created)
        never = not known and not knows(self.made[end], created)
        if circle or never or (end not in target.items and known):
            return self._revive(path, alive)
        if end not in target.items or not known:
            return None  # it is left out of this pass
        side = target.knowledge[path] if alive is local else self.made[path]
        own = (self.base if alive is local else self.snapshot).get(end)
        both = own is not None and not own.dead and own.created != created and own.values[0] == move.base[0][1]
        # What was not made out of the moved object does not replace it, nor what was made beside a copy of it.
        return self._carry(path, alive, move, end, side if alive.created == grave.created and not both else {})

    def _chase(self, path: str, move: Move) -> tuple[str, Version, bool]:
        """To the end of a chain of moves: (path, creation version, did it run in a circle)."""
        seen, end, created = {path}, move.path, move.created
        while end not in seen:
            item = self.target.items.get(end)
            if item is None or not item.dead or item.move is None:
                return end, created, False
            seen.add(end)
            end, created = item.move.path, item.move.created
        return end, created, True

    def _carry(self, path: str, alive: Item, move: Move, end: str, side: Vector) -> Entry:
        """Bring the edit to where the object went."""
        there, version = self.target.items[end], self.target.stamp()
        new, lost, keeps = there.copy(), list[Loss](), False
        if there.dead:
            new.live(version, alive.values)
        for u, (moved_version, moved) in enumerate(move.base):
            if there.dead or alive.values[u] in (moved, there.values[u]):
                continue
            replaces = there.values[u] == moved and knows(side, moved_version)
            wins = replaces or self._wins(alive.values[u], alive.versions[u], there.values[u], there.versions[u])
            if not replaces:
                lost.append((self.target.name, end, u, there.values[u] if wins else alive.values[u]))
                keeps |= u == 0 and not wins and alive is self.snapshot[path]
            new.versions[u], new.values[u] = version, alive.values[u] if wins else there.values[u]
        gone = alive.copy()
        gone.die(self.target.stamp(), move)
        return Entry(path, [Act(end, new, there), Act(path, gone, self.target.items.get(path))], lost, keeps=keeps)

    # -- what lives needs living parents

    def _revive_parents(self) -> None:
        target, changed = self.target, [act for entry in self.entries + self.tail for act in entry.acts]
        suspects = set(target.implied)
        for act in changed:
            suspects.add(act.path if act.new.dead else parent_of(act.path))
        suspects |= {p for path in suspects for p in above(path)}
        for path in sorted(suspects - {""}, reverse=True):
            children = [p for p in target.items if target.living(p) and parent_of(p) == path]
            if not target.living(path) and any(self._needs(path, child) for child in children):
                old = target.items.get(path)
                known = old is not None and old.values[0] == DIRECTORY
                values = old.values if old is not None and known else [DIRECTORY, DIRECTORY_MODE]
                self._take(self.tail, self._entry(path, self._anew(old, list(values))))

    def _needs(self, path: str, child: str) -> bool:
        knowledge, directory = self.target.knowledge, self.target.items.get(path)
        if directory is None:
            return knows(knowledge[path], self.target.items[child].created)
        return knows_all(knowledge[child], directory)


def _arrived(change: Item, local: Item | None) -> Item:
    """A change in the place of a local item. A tombstone tells no values: it keeps what was here last."""
    new = change.copy()
    if change.dead:
        new.values = ["", 0] if local is None else list(local.values)
    return new


def _role(version: Version) -> bool:
    """Was it stamped by a desktop?"""
    return version[1].startswith("D")
