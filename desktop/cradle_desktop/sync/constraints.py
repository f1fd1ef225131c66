"""Makes a plan fit what both stores can hold: names that are one name there, and names that are not possible there.

Theory of operation. When both halves of a plan are known, the names that are new to a side are held against what its
store has declared (`naming`). What cannot be there is skipped, each with its reason. Of two names that are one object
there, one gives way: folders become one, equal contents become one, else one of the two is renamed. Who stays and
what the other is called follows from paths, ids and contents alone, so that two desktops that find out the same
collision independently do the same. A resolution is a move by this desktop, part of the pass from the device.

Pure but for `digests`: works on an `Overlay`, touches no store, uses no tick that is not the overlay's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from cradle_desktop.conflict.resolve import kept_names
from cradle_desktop.sync.arrivals import needs_content
from cradle_desktop.sync.naming import Names
from cradle_desktop.sync.plan import CREATE, FILL, METADATA, RENAME, UPDATE, Departure, Fitted, Plan, Step
from cradle_desktop.sync.revive import with_ancestors
from cradle_protocol.sync.item import IMPLIED, Item, Link, item_id
from cradle_protocol.sync.overlay import Overlay
from cradle_protocol.sync.values import DIRECTORY, EQUAL, compare, is_file, is_lazy, with_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.sync.version import Version

# What becomes of names that cannot be as they are; of collisions and of impossible names, each.
RENAMED, SKIPPED = "rename", "skip"

_KIND_AND_SIZE = 7  # bytes of a content value before its digest


class Move:
    """An item that gets another path. into: the living item that it becomes one with, None: it is renamed."""

    def __init__(self, item: Item, path: str, into: Item | None) -> None:
        self.item, self.path, self.into = item, path, into


class Fitter:
    """Fits one plan. here, there: what the stores of desktop and device can hold; device: its name.

    collision, impossible  RENAMED or SKIPPED
    digests                gives {id: SHA-256} of contents that nobody has hashed, as far as they can be read
    wanted                 does the device want this item, or only its name?
    barred                 ids that are not for the device, found here
    """

    def __init__(
        self, meta: Overlay, plan: Plan, skipped: set[bytes], here: Names, there: Names, device: str, type: str,
        collision: str, impossible: str, digests: Callable[[list[Item]], dict[bytes, bytes]],
        wanted: Callable[[Item], bool],
    ) -> None:  # fmt: skip
        self.meta, self.plan, self.skipped, self.type = meta, plan, skipped, type
        self.here, self.there, self.device, self.names = here, there, device, here.both(there)
        self.collision, self.impossible, self.digests, self.wanted = collision, impossible, digests, wanted
        self.barred: set[bytes] = set()

    def fit(self, departures: list[Departure]) -> bool:
        """Fit the plan. True if it is another one now, so that what departs must be found anew."""
        self._planned = {step.new.id: step for step in self._steps()}
        self._arriving = {step.new.id: step.new for step in self._planned.values() if _comes(step)}
        self._leaving = {one.item.id: one.item for one in departures if _leaves(one)}
        before = len(self.plan.steps), len(self.plan.tail)
        if self.impossible == SKIPPED:
            self._skip_impossible()
        if self._tight() and self._collides():
            self._resolve()
        return bool(self.barred or self.plan.fitted) or before != (len(self.plan.steps), len(self.plan.tail))

    def _steps(self) -> list[Step]:
        return self.plan.steps + self.plan.tail

    # -- what is not possible

    def _skip_impossible(self) -> None:
        for item in _suspects(self._arriving.values(), self.here):
            why = self.here.wrong(item.identity)
            if why and not (self.collision == RENAMED and not self.here.wrong(self._spelled(item.identity))):
                self._leave_out(item, f"it cannot be on this desktop: {why}")
        for item in _suspects(self._leaving.values(), self.there):
            why = self.there.wrong(item.identity)
            if why and not (self.collision == RENAMED and not self.there.wrong(self._spelled(item.identity))):
                self._bar(item, f"it cannot be there: {why}")

    def _spelled(self, path: str) -> str:
        return "/".join(self.names.spelled(name) for name in path.split("/"))

    def _leave_out(self, item: Item, reason: str) -> None:
        """The device's change is not taken, nor what is tied to it."""
        step = self._planned.get(item.id)
        if step is None or step.new.id in self.skipped:
            return
        group = {one.new.id for one in step.group or [step]}
        self.plan.steps = [one for one in self.plan.steps if one.new.id not in group]
        self.plan.tail = [one for one in self.plan.tail if one.new.id not in group]
        self.skipped.update(group)
        for i in group:
            self.meta.changed.pop(i, None)
            self._arriving.pop(i, None)
        self.plan.skipped.append((item.identity, reason))

    def _bar(self, item: Item, reason: str) -> None:
        """The device does not get it."""
        self.barred.add(item.id)
        self._leaving.pop(item.id, None)
        self.plan.skipped.append((item.identity, f"on {self.device}: {reason}"))

    # -- two names that are one

    def _tight(self) -> bool:
        """Is there a new name of which more is to be asked than how long it is?"""
        fresh = [*self._arriving.values(), *self._leaving.values()]
        if not fresh:
            return False
        if self.here.caseless() or self.there.caseless():
            return True
        return any(self.names.wrong(item.identity) for item in _suspects(fresh, self.names))

    def _living(self) -> Iterator[Item]:
        """What lives and can be in each other's way: what the device does not get is not, where only it folds names."""
        if self.here.caseless():
            return (item for item in self.meta.items() if not item.dead)
        return (
            item for item in self.meta.items() if not item.dead and item.id not in self.barred and self.wanted(item)
        )

    def _collides(self) -> bool:
        """Is a new name, or a folder that it is in, another spelling of a living one, or one that cannot stay?"""
        key, spelled = self.names.key, dict[str, str]()
        fresh = [item.identity for item in [*self._arriving.values(), *self._leaving.values()]]
        if any(self._name(path) != path.rpartition("/")[2] for path in fresh):
            return True
        for path in fresh:
            if _clash(spelled, key(path), path, add=True):
                return True
        return any(_clash(spelled, key(item.identity), item.identity) for item in self._living())

    def _name(self, path: str) -> str:
        """The last name of a path as it can be."""
        name = path.rpartition("/")[2]
        return self.names.spelled(name) if self.impossible == SKIPPED else self.names.legal(name)

    def _resolve(self) -> None:
        self._instead: dict[int, list[Step]] = {}
        for move in list(self._moves()):
            reason = self._may_not(move)
            if not reason:
                self._move(move)
            elif move.item.id in self._leaving and self.there.folds():
                self._bar(move.item, f"it is one name with another there{reason}; rename one of them")
            elif move.item.id in self._arriving and self.here.folds():
                self._leave_out(move.item, f"it is one name with another on this desktop{reason}; rename one of them")
        self._rewrite()
        self.meta.knowledge.raise_own(0, self.meta.tick)

    def _may_not(self, move: Move) -> str:
        """Why this item is not moved: words to put behind a sentence; "" if it is."""
        if self.collision != RENAMED:
            return ", and names are left as they are"
        if move.item.id in self.skipped:
            return ", and a conflict waits"
        if move.item.identity in self._tied:
            return ", and not all that is in it can go along"
        return ", and the new name would be too long" if not move.path or self.names.wrong(move.path) else ""

    def _moves(self) -> Iterator[Move]:
        """Every item that cannot stay at its path, folders before what lies in them, and where it goes."""
        self._plant()
        self._hash(self._twins())
        self._left = [("", [""])]
        while self._left:
            yield from self._folder(*self._left.pop())

    def _plant(self) -> None:
        """All living paths as a tree. None: a folder that is there for what lies in it only.

        A folder in which lives what is none of it (the device has that by name only, or cannot hold it) cannot give
        way: it would have to live again for that, and give way again.
        """
        self._items: dict[str, Item | None] = {"": None}
        self._below: dict[str, list[str]] = {}
        for item in self._living():
            path, known = item.identity, item.identity in self._items
            self._items[path] = item
            while not known:
                above = path.rpartition("/")[0]
                self._below.setdefault(above, []).append(path)
                path, known = above, above in self._items
                self._items.setdefault(above, None)
        others = {item.identity for item in self.meta.items() if not item.dead and item.identity not in self._items}
        self._tied = with_ancestors(others) - others

    def _folder(self, place: str, sources: list[str]) -> Iterator[Move]:
        """What lies in these folders, which all become the one at `place`."""
        names: dict[str, list[str]] = {}
        for path in [below for source in sources for below in self._below.get(source, [])]:
            names.setdefault(self.names.key(self._home(place, path)), []).append(path)
        for key in sorted(names):
            yield from self._name_of(place, names[key], names)

    def _twins(self) -> list[Item]:
        """Files of one name and one size: they may turn out to be equal."""
        found: dict[tuple[str, bytes], list[Item]] = {}
        for path, item in self._items.items():
            if item is not None and is_file(item.values[0]):
                found.setdefault((self.names.key(path), item.values[0][:_KIND_AND_SIZE]), []).append(item)
        return [item for some in found.values() if len(some) > 1 for item in some]

    def _hash(self, items: list[Item]) -> None:
        """Give them digests, all at once, if they have none."""
        unsure = [item for item in items if is_lazy(item.values[0])]
        found = self.digests(unsure) if unsure else {}
        for item in unsure:
            if item.id in found:
                item.values[0] = with_digest(item.values[0], found[item.id])
                self.meta.put(item)

    def _name_of(self, above: str, paths: list[str], names: dict[str, list[str]]) -> Iterator[Move]:
        """The objects that would have one name in the folder `above`, of which `names` has all."""

        def rank(path: str) -> tuple[bool, bool, bool, bytes]:
            item = self._items[path]
            stays = self.collision == RENAMED or self._is_held(item)
            return not stays, self._home(above, path) != path, not _is_folder(item), item_id(self.type, path)

        order = sorted(paths, key=rank)
        first = self._items[order[0]]
        folders: list[str] = []
        inside = place = self._home(above, order[0])
        for path in order:
            item = self._items[path]
            if path == order[0] or self._become_one(item, first):
                goes = place
            elif _is_folder(item) and folders:
                goes = inside
            else:
                goes = self._beside(self._home(above, path), path, names)
            if _is_folder(item):
                folders.append(path)
                inside = goes
                self._respell(above, path, goes)
            if item is not None and goes != path:
                yield Move(item, goes, self._alive(goes))
        if folders:
            self._left.append((inside, folders))

    def _home(self, above: str, path: str) -> str:
        """Where a path would be in this folder if nothing else had its name."""
        was, name = path.rpartition("/")[2], self._name(path)
        home = f"{above}/{name}" if above else name
        return home if name == self.names.spelled(was) else self._tagged(home, path)[0]

    def _tagged(self, home: str, path: str) -> list[str]:
        return kept_names(home, "", item_id(self.type, path), self.names.name_max)

    def _beside(self, home: str, path: str, names: dict[str, list[str]]) -> str:
        """A name that nothing in the folder has; "" if there is none."""
        return next((one for one in self._tagged(home, path) if self.names.key(one) not in names), "")

    def _become_one(self, item: Item | None, other: Item | None) -> bool:
        """Are both folders, or files of one content?"""
        if item is None or other is None or not is_file(item.values[0]):
            return _is_folder(item) and _is_folder(other)
        if item.values[0][:_KIND_AND_SIZE] != other.values[0][:_KIND_AND_SIZE]:
            return False
        self._hash([item, other])
        return compare(item.values[0], other.values[0]) == EQUAL

    def _respell(self, above: str, path: str, place: str) -> None:
        """A folder that is on this desktop, where names are folded, is given its new spelling as it is."""
        there, name = self.meta.base.get(item_id(self.type, path)), path.rpartition("/")[2]
        now = f"{above}/{name}" if above else name
        here = there is not None and (not there.dead or bool(there.flags & IMPLIED))
        one = self.here.key(path) == self.here.key(now) == self.here.key(place)
        if here and one and now != place and self.collision == RENAMED:
            self.plan.respelled.append((now, place))

    def _is_held(self, item: Item | None) -> bool:
        """Is it where names are folded already, so that another spelling must stay out?"""
        if item is None:
            return True
        leaves, comes = item.id in self._leaving and self.there.folds(), item.id in self._arriving and self.here.folds()
        return not leaves and not comes

    def _alive(self, path: str) -> Item | None:
        found = self.meta.get(item_id(self.type, path))
        return found if found is not None and not found.dead else None

    # -- giving way

    def _move(self, move: Move) -> None:
        """The item's steps, and what it displaced, become those of its new path."""
        old, here = self._planned.get(move.item.id), self.meta.base.get(move.item.id)
        stands = here is not None and not here.dead and self.here.folds()
        respelled = stands and self.here.key(move.path) == self.here.key(move.item.identity)
        made = [] if move.into is not None else [self._arrival(move, old, respelled)]
        target = move.into if move.into is not None else made[0].new
        grave = move.item.copy()
        grave.die(self.meta.next_version(), Link(target.id, target.created, _base(grave)))
        gone = respelled and (made or not is_file(grave.values[0]))  # under its new spelling, that is
        before = None if gone else here
        steps = [Step(grave, before, METADATA), *made]
        steps[0].lost = old.lost if old is not None else []
        for step in steps:
            step.group = steps
            self.meta.put(step.new)
        if old is None:
            self.plan.steps += steps
        else:
            self._instead[id(old)] = steps
        if move.into is not None and is_file(move.item.values[0]):
            self._share(move.item, move.into)
        merged, why = move.into is not None, self._why(move)
        self.plan.fitted.append(Fitted(move.item.id, move.item.identity, move.path, merged, why))

    def _rewrite(self) -> None:
        """Put the new steps into the places, and the groups, of those that they replace."""
        instead, plan = self._instead, self.plan

        def renewed(steps: list[Step]) -> list[Step]:
            return [one for step in steps for one in instead.get(id(step), [step])]

        for old in [step for step in self._steps() if id(step) in instead]:
            group = renewed(old.group or [old])
            for step in group:
                step.group = group
        plan.steps, plan.tail = renewed(plan.steps), renewed(plan.tail)
        plan.steps.sort(key=Step.change_id)

    def _share(self, gives: Item, stays: Item) -> None:
        """Of two files of one content: each side has it under a name of its own, so that it need not travel."""
        step, here = self._planned.get(stays.id), self.meta.base.get(gives.id)
        if step is not None and step.fetch is not None and here is not None and not here.dead:
            step.fetch, step.copy = None, here
            step.new.values[0] = stays.values[0]
        elif stays.id in self._leaving:
            stays.link = Link(gives.id, gives.created, [])
            self.meta.put(stays)

    def _why(self, move: Move) -> str:
        sides = [self.device] if self.there.folds() else []
        sides += ["this desktop"] if self.here.folds() else []
        wrong = self.names.wrong(move.item.identity)
        return wrong or f"one name with another on {' and '.join(sides)}"

    def _arrival(self, move: Move, old: Step | None, respelled: bool) -> Step:
        """The step that makes the item at its new path. respelled: it will be there already, as it was here."""
        new, here = self._renamed(move), self.meta.base.get(move.item.id)
        before = self.meta.base.get(new.id)
        if respelled and here is not None:
            before = here.copy()
            before.identity, new.stamp, new.flags = new.identity, here.stamp, here.flags
        step = Step(new, before, RENAME if here is not None and not here.dead else CREATE)
        if needs_content(new, before):
            if old is not None:
                step.fetch, step.copy, step.made = old.fetch, old.copy, old.made
            if step.fetch is None and step.copy is None and step.made is None:
                step.copy = here
        return step

    def _renamed(self, move: Move) -> Item:
        """The item under its new path, all of it stamped fresh."""
        version, i, values = self.meta.next_version(), item_id(self.type, move.path), move.item.values
        new = self.meta.get(i)
        if new is None or new.phantom():
            oid, flags = (0, 0) if new is None else (new.oid, new.flags)
            new = Item(i, oid, move.path, version, [version] * len(values), list(values), b"", flags)
        new.live(version, values)
        new.link = Link(move.item.id, move.item.created, [])
        return new


def _base(item: Item) -> list[tuple[Version, bytes]]:
    """What a tombstone says was moved."""
    return list(zip(item.versions, item.values, strict=True))


def _comes(step: Step) -> bool:
    """Is this an object that this desktop does not have yet?"""
    return not step.new.dead and (step.old is None or step.old.dead)


def _leaves(one: Departure) -> bool:
    """Is this an object that the device perhaps does not have yet?"""
    return not one.item.dead and one.verb in (CREATE, FILL, RENAME, UPDATE)


def _suspects(items: Iterable[Item], names: Names) -> list[Item]:
    """Those of which `names.wrong` has to be asked: a short ASCII name is possible wherever names are free."""
    if names.free():
        return [one for one in items if len(one.identity) > names.name_max or not one.identity.isascii()]
    return list(items)


def _is_folder(item: Item | None) -> bool:
    return item is None or item.values[0] == DIRECTORY


def _clash(spelled: dict[str, str], key: str, path: str, add: bool = False) -> bool:
    """Has a folder above the path, or the path itself, another spelling? With `add` they are noted."""
    while path:
        found = spelled.setdefault(key, path) if add else spelled.get(key, path)
        if found != path:
            return True
        path, key = path.rpartition("/")[0], key.rpartition("/")[0]
    return False
