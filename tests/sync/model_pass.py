"""The model executes what `model_plan` has planned: batch by batch, until the end or a fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sync.model import (
    DIRECTORY,
    UNIVERSE,
    ModelFailure,
    Replica,
    Value,
    above,
    join,
    knows_all,
)
from sync.model_plan import Act, Entry, Loss, Planner


class Stopped(Exception):
    """The link was cut, or a process died: the session ends here."""


@dataclass
class Faults:
    """What goes wrong in one pass.

    stop   the link is cut after so many batches
    kill   (batch, acts): the receiver dies in that batch with something to note, after so many installs and removals
    """

    stop: int | None = None
    kill: tuple[int, int] | None = None


@dataclass
class Batch:
    """Entries that become durable together, and the paths that are learned with them."""

    entries: list[Entry]
    learned: list[str]


class Pass:
    """Executes a plan. `during(batch)` is called as each batch begins: users edit while it runs.

    merged  takes the contents of which one was made
    """

    def __init__(self, plan: Planner, target: Replica, losses: list[Loss], merged: set[Value]) -> None:
        self.plan, self.target, self.losses, self.merged = plan, target, losses, merged
        self.missed = {entry.path for entry in plan.entries if entry.bad}
        self.contents = {node.content for store in (plan.source.store, target.store) for node in store.values()}

    def touched(self) -> set[str]:
        """What a desktop got, or what was sent to a device."""
        if not self.target.desktop:
            return set(self.plan.sent)
        return {act.path for entry in self.plan.entries + self.plan.tail for act in entry.acts}

    def run(self, size: int, faults: Faults, during: Callable[[int], None]) -> None:
        """Raises Stopped where the session ends."""
        self.target.tick = self.plan.target.tick
        self.target.forget(self.plan.dropped)
        noted = done = 0
        batches = self._batches(size)
        for k, batch in enumerate(batches):
            during(k)
            ready = [entry for entry in batch.entries if not entry.bad and self._clean(entry)]
            self.losses += [loss for entry in ready for loss in entry.lost]
            self.merged |= {value for entry in ready for value in entry.merged}
            self._check_contents(ready)
            acts = _in_order([act for entry in ready for act in entry.acts], self.target.desktop)
            if self._notes(acts):
                if faults.kill is not None and faults.kill[0] == noted:
                    self._die(acts, faults.kill[1])
                noted += 1
            self._execute(acts, None)
            self._learn(batch)
            done += bool(batch.entries) or len(batches) == 1
            if faults.stop == done:
                raise Stopped

    def _batches(self, size: int) -> list[Batch]:
        """A desktop counts what changes, a device what it is told; the tail of a pass comes one by one."""
        batches, start = [], 0
        told = [entry for entry in self.plan.entries if entry.acts or not self.target.desktop]
        if not self.target.desktop:
            judged = {entry.path: entry for entry in self.plan.entries}
            told = [judged.get(p, Entry(p)) for p in UNIVERSE if p in self.plan.sent or p in judged]
        chunks = self._chunks(told, size) or [[]]
        for k, chunk in enumerate(chunks):
            end = len(UNIVERSE) if k == len(chunks) - 1 else UNIVERSE.index(chunk[-1].path) + 1
            batches.append(Batch(chunk, UNIVERSE[start:end]))
            start = end
        return batches + [Batch([entry], [act.path for act in entry.acts]) for entry in self.plan.tail]

    def _check_contents(self, entries: list[Entry]) -> None:
        """What is put in place, or kept when it loses, is a content that one of the two stores has had."""
        made = [a.new.values[0] for e in entries if not e.merged for a in e.acts if a.new.held and _visible(a)]
        lost = [value for entry in entries for _, _, u, value in entry.lost if u == 0 and value is not None]
        if alien := set(made + lost) - self.contents - {DIRECTORY}:
            raise ModelFailure(f"conjured: {self.target.name} got {alien} from {self.plan.source.name}")

    def _chunks(self, told: list[Entry], size: int) -> list[list[Entry]]:
        """A chunk is full where it has so many acts on a desktop, so many changes on a device."""
        chunks: list[list[Entry]] = []
        room = 0
        for entry in told:
            if room <= 0:
                chunks.append([])
                room = size
            chunks[-1].append(entry)
            room -= len(entry.acts) if self.target.desktop else 1
        return chunks

    def _clean(self, entry: Entry) -> bool:
        """Nothing was edited since the scan, on either side; else the entry is skipped whole."""
        source = self.plan.source
        good = all(self.target.clean(act.path) for act in entry.acts)
        good = good and (entry.path not in self.plan.snapshot or source.clean(entry.path))
        if not good or self.missed & {act.path for act in entry.acts} - {entry.path}:
            self.missed |= {entry.path} | {act.path for act in entry.acts}
            return False
        self.missed.discard(entry.path)
        return True

    def _notes(self, acts: list[Act]) -> list[Act]:
        """What is noted durably beforehand: a device notes only what its store will show."""
        return acts if self.target.desktop else [act for act in acts if _visible(act)]

    def _die(self, acts: list[Act], count: int) -> None:
        """The first acts are in place, their metadata are not; the notes are durable."""
        target = self.target
        items, implied = {path: item.copy() for path, item in target.items.items()}, set(target.implied)
        noted = [(act.path, act.new.copy(), dict(self.plan.made[act.path])) for act in self._notes(acts)]
        parents = {p for act in acts if act.new.held for p in above(act.path)}
        missing = {p for p in parents - {act.path for act in acts} if p not in target.store and not target.holds(p)}
        self._execute(acts, count)
        target.items, target.implied = items, implied
        target.pending, target.pending_implied = noted, missing
        raise Stopped

    def _execute(self, acts: list[Act], count: int | None) -> None:
        """Make items real, all of them or as many as `count` installs and removals allow."""
        target = self.target
        for act in acts:
            if _counted(act) and count is not None:
                if not count:
                    return
                count -= 1
            if not act.new.held:
                self._delete(act)
            elif _visible(act):
                target.install(act.path, act.new, act.sent)
            else:
                act.new.stamp = target.items[act.path].stamp
            target.items[act.path] = act.new
            if target.desktop and not act.new.held:
                target.prune_above(act.path)
        for act in acts if not target.desktop else []:
            if not act.new.held:
                target.prune_above(act.path)

    def _delete(self, act: Act) -> None:
        target = self.target
        if act.was is None or not act.was.held:
            return
        if act.was.values[0] != DIRECTORY:
            target.store.pop(act.path, None)
        elif not target.prune(act.path) and act.path in target.store:
            target.implied.add(act.path)

    def _forget(self, path: str) -> None:
        """A desktop takes over what it missed; a device all that the desktop has forgotten, and drops it as well."""
        target, forgotten = self.target, self.plan.source.forgotten[path]
        if not target.desktop and self.plan.told:
            return
        if self.plan.full or not target.desktop:
            join(target.forgotten[path], forgotten)
        dead = not target.desktop and path in target.tombstones()
        if dead and knows_all(target.forgotten[path], target.items[path]):
            del target.items[path]

    def _learn(self, batch: Batch) -> None:
        for path in batch.learned:
            if path not in self.missed:
                join(self.target.knowledge[path], self.plan.made[path])
                self._forget(path)
        self.target.raise_own()


def _visible(act: Act) -> bool:
    """Does the store have to change?"""
    was = act.was is not None and act.was.held
    if not act.new.held or act.was is None or not was:
        return was or act.new.held
    return act.sent or act.new.values != act.was.values


def _counted(act: Act) -> bool:
    """Is it one install or removal of the store?"""
    dies = not act.new.held
    return _visible(act) and not (dies and act.was is not None and act.was.values[0] == DIRECTORY)


def _in_order(acts: list[Act], desktop: bool) -> list[Act]:
    """Directories from the outside in, files, deletes from the inside out."""
    dies = [act for act in acts if not act.new.held]
    lives = [act for act in acts if act.new.held]
    folders = sorted((act for act in lives if _folder(act)), key=lambda act: act.path)
    files = [act for act in lives if not _folder(act)]
    files.sort(key=lambda act: not act.beside if desktop else act.path)
    return folders + files + sorted(dies, key=lambda act: act.path, reverse=True)


def _folder(act: Act) -> bool:
    return act.new.values[0] == DIRECTORY
