"""The plan: what a sync will do on either side, as data. Pure: touches no store, sends nothing, uses no tick.

Theory of operation. A pass from the device to the desktop comes first: each change is judged in the order of ids and
becomes a `Step`; clashes are resolved; edits that follow a move and directories that must be revived are decided when
everything has arrived (the tail). Then whatever this desktop holds that the device lacks becomes a `Departure`. Both
work on an `Overlay`: the same code makes the plan that `cradle diff` prints and the plan that `cradle sync` executes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from cradle_desktop.sync.report import Counts
from cradle_desktop.sync.resolve import DIRECTORY_MODE, FILE_MODE, Lost, Outcome, Resolver
from cradle_protocol.sync.change import Change, change_of
from cradle_protocol.sync.item import Item, item_id
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.overlay import Overlay
from cradle_protocol.sync.rules import CLASH, KNOWN, TAKE, UNHASHED, judge
from cradle_protocol.sync.values import (
    DIRECTORY,
    EQUAL,
    UNKNOWN,
    compare,
    digest_of,
    is_file,
    is_lazy,
    size_of,
    with_digest,
)
from cradle_protocol.sync.version import HIGHEST, LOWEST, knows, knows_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.conflict.store import Loser
    from cradle_desktop.sync.report import Policy

# What a step is called in the plan. METADATA steps are not shown: nothing a user can see changes.
CREATE, UPDATE, RENAME, DELETE, MODE, METADATA = "create", "update", "rename", "delete", "mode", ""
_COUNTED = {CREATE: "created", UPDATE: "updated", RENAME: "renamed", DELETE: "deleted", MODE: "updated"}


@dataclass
class Step:
    """One item that becomes different on the desktop.

    lost    what it displaces; group: steps that happen together or not at all, this one among them
    kept    what of `lost` is in the conflict store; reason: why it was skipped (both while it is executed)
    fetch   the change whose content must be fetched from the device, None if no content is needed
    copy    the local item whose content, as it was before the pass, is the one wanted; None if there is none
    """

    new: Item
    old: Item | None
    verb: str
    fetch: Change | None = None
    copy: Item | None = None
    lost: list[Lost] = field(default_factory=list)
    group: list[Step] = field(default_factory=list)
    kept: list[Loser] = field(default_factory=list)
    reason: str = ""


@dataclass
class Departure:
    """One item that the device lacks. content: must bytes follow; source: (id, digest) of its copy on the device."""

    item: Item
    change: Change
    verb: str
    content: bool
    source: tuple[bytes, bytes] | None = None


@dataclass
class Plan:
    """What will happen. `steps` in the order of ids, then `tail`; `waiting`: conflicts that policy leaves alone."""

    partner: str
    steps: list[Step] = field(default_factory=list)
    tail: list[Step] = field(default_factory=list)
    departures: list[Departure] = field(default_factory=list)
    waiting: list[Lost] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def to_desktop(self, but: Collection[bytes] = ()) -> Counts:
        """Objects touched on the desktop, but for the items with these ids."""
        return _count(step.verb for step in self.steps + self.tail if step.new.id not in but)

    def to_device(self, but: Collection[bytes] = ()) -> Counts:
        """Objects touched on the device, but for the items with these ids."""
        return _count(departure.verb for departure in self.departures if departure.item.id not in but)

    def conflicts(self) -> list[Lost]:
        """What will be displaced into the conflict store, and what waits for a decision."""
        return [lost for step in self.steps + self.tail for lost in step.lost] + self.waiting

    def lines(self) -> list[str]:
        """The plan in words, one line an object, the desktop's side first."""
        lines = [_line("desktop", step.verb, step.new) for step in self.steps + self.tail if step.verb]
        lines += [_line(self.partner, one.verb, one.item) for one in self.departures if one.verb]
        lines += [_conflict_line(lost, waits=False) for step in self.steps + self.tail for lost in step.lost]
        lines += [_conflict_line(lost, waits=True) for lost in self.waiting]
        return lines + [f"skip      {identity}: {reason}" for identity, reason in self.skipped]


def _count(verbs: Iterable[str]) -> Counts:
    counts = Counts()
    for verb in verbs:
        if verb in _COUNTED:
            name = _COUNTED[verb]
            setattr(counts, name, getattr(counts, name) + 1)
    return counts


def _line(where: str, verb: str, item: Item) -> str:
    size = f" ({size_of(item.values[0]):,} bytes)" if verb in (CREATE, UPDATE) and is_file(item.values[0]) else ""
    return f"{verb:<9} {item.identity}{size} on {where}"


def _conflict_line(lost: Lost, waits: bool) -> str:
    if waits:
        return f"conflict  {lost.identity}: both sides changed it, left as it is on both"
    if lost.value == UNKNOWN:
        return f"conflict  {lost.identity}: deleted on the {lost.side}, changed on the other side: the change stays"
    return f"conflict  {lost.identity}: the {lost.side}'s version goes to the conflict store"


@dataclass
class Arrivals:
    """Plans the pass from the device. `hash_both` gives (the device's digest, ours) for contents nobody has hashed."""

    meta: Overlay
    made: Knowledge
    policy: Policy
    holds_mode: bool
    hash_both: Callable[[list[tuple[Change, Item]]], dict[bytes, tuple[bytes, bytes]]]
    type: str = "files"
    decisions: dict[bytes, str] = field(default_factory=dict)
    skipped: set[bytes] = field(default_factory=set)

    def plan(self, changes: list[Change], plan: Plan) -> None:
        """Judge all changes, resolve what clashes and fill in steps, tail and waiting conflicts."""
        resolver = Resolver(self.meta, self.made, self.policy, self.type, self.decisions)
        by_id = {change.id: change for change in changes}
        later: list[Change] = []
        for change, verdict, item in self._judged(changes):
            if self._unsure(change, verdict) is not None:
                self._skip(plan, change, "its content cannot be read just now")
            elif verdict == TAKE and item is not None:
                self._step(plan.steps, by_id, change, [item], [])
            elif verdict != KNOWN:
                local = self.meta.get(change.id)
                assert local is not None
                self._settle(plan, by_id, change, resolver.resolve(change, local, last=False), later)
        self.meta.knowledge.learn(LOWEST, HIGHEST, self.made, list(self.skipped))
        for change in later:
            self._settle_late(plan, by_id, change, resolver)
        self._clear_the_way(plan)
        changed = [step.new for step in plan.steps + plan.tail]
        for directory in resolver.parents_to_revive(changed):
            plan.tail.append(Step(directory, self.meta.base.get(directory.id), METADATA))
        self.meta.knowledge.raise_own(0, self.meta.tick)

    # -- judging

    def _judged(self, changes: list[Change]) -> list[tuple[Change, int, Item | None]]:
        """Every change with its verdict; where that hangs on contents that nobody has hashed, both are hashed first."""
        judged = [(change, *self._judge(change)) for change in changes]
        unsure = [(change, local) for change, verdict, _ in judged if (local := self._unsure(change, verdict))]
        if not unsure:
            return judged
        digests = self.hash_both(unsure)
        for change, local in unsure:
            theirs, ours = digests.get(change.id, (b"", b""))
            if theirs and ours:
                change.values = [with_digest(change.values[0], theirs), *change.values[1:]] if change.values else None
                local.values[0] = with_digest(local.values[0], ours)
                self.meta.put(local)
        again = {change.id for change, _ in unsure}
        return [(c, *self._judge(c)) if c.id in again else (c, v, item) for c, v, item in judged]

    def _judge(self, change: Change) -> tuple[int, Item | None]:
        mine, made = self.meta.knowledge.vector(change.id), self.made.vector(change.id)
        return judge(change, self.meta.get(change.id), mine, made, self.meta.replicas)

    def _unsure(self, change: Change, verdict: int) -> Item | None:
        """The local item, if the verdict depends on a content that was not hashed."""
        local = self.meta.get(change.id) if verdict in (CLASH, UNHASHED) else None
        if local is None or local.dead or change.dead or not change.values:
            return None
        theirs, ours = change.values[0], local.values[0]
        lazy = is_lazy(theirs) or is_lazy(ours)
        return local if lazy and is_file(theirs) and is_file(ours) else None

    # -- steps

    def _settle(
        self, plan: Plan, by_id: dict[bytes, Change], change: Change, outcome: Outcome, later: list[Change]
    ) -> None:
        if outcome.later:
            later.append(change)
            self.skipped.add(change.id)
        elif outcome.waits:
            self._wait(plan, change)
        else:
            self._step(plan.steps, by_id, change, outcome.items, outcome.lost)

    def _settle_late(self, plan: Plan, by_id: dict[bytes, Change], change: Change, resolver: Resolver) -> None:
        """The pass has arrived: an edit of a moved object finds its target now or waits for another session."""
        local = self.meta.get(change.id)
        assert local is not None
        outcome = resolver.resolve(change, local, last=True)
        if outcome.waits:
            self._wait(plan, change)
            return
        self._step(plan.tail, by_id, change, outcome.items, outcome.lost)
        self.skipped.remove(change.id)
        self.meta.knowledge.learn_item(change.id, self.made.vector(change.id))

    def _skip(self, plan: Plan, change: Change, reason: str) -> None:
        local = self.meta.get(change.id)
        plan.skipped.append((local.identity if local is not None else change.identity or "", reason))
        self.skipped.add(change.id)

    def _clear_the_way(self, plan: Plan) -> None:
        """A directory with living children beats a file of its name, which goes to the conflict store.

        The directory comes (back) in the tail, and after it what this pass brings into it.
        """
        for path in sorted(self._files_with_children(plan)):
            i = item_id(self.type, path)
            file, old = self.meta.get(i), self.meta.base.get(i)
            assert file is not None
            side, held = _holder(path, [step for step in plan.steps if step.new.id == i])
            directory = file.copy()
            directory.live(self.meta.next_version(), [DIRECTORY, DIRECTORY_MODE][: len(file.values)])
            self.meta.put(directory)
            inside = [step for step in plan.steps if step.new.identity.startswith(path + "/")]
            away = {id(step) for step in inside} | {id(step) for step in plan.steps if step.new.id == i}
            plan.steps = [step for step in plan.steps if id(step) not in away]
            lost = Lost(path, i, 0, "update-update", side, file.values[0], held)
            plan.tail += [Step(directory, old, verb_of(directory, old), lost=[lost]), *inside]

    def _files_with_children(self, plan: Plan) -> set[str]:
        """Paths that would be a living file with something living below."""
        files: dict[str, bool] = {}
        found: set[str] = set()
        for step in plan.steps + plan.tail:
            path = step.new.identity
            if step.new.dead:
                continue
            turned = step.old is not None and step.old.values[0] == DIRECTORY and step.new.values[0] != DIRECTORY
            if turned and self._has_children(path):
                found.add(path)
            while path := path.rpartition("/")[0]:
                if path not in files:
                    above = self.meta.get(item_id(self.type, path))
                    files[path] = above is not None and not above.dead and above.values[0] != DIRECTORY
                if files[path]:
                    found.add(path)
        return found

    def _has_children(self, path: str) -> bool:
        return any(not item.dead and item.identity.startswith(path + "/") for item in self.meta.items())

    def _wait(self, plan: Plan, change: Change) -> None:
        self.skipped.add(change.id)
        local = self.meta.get(change.id)
        if local is not None:
            kind = "update-delete" if change.dead else "delete-update" if local.dead else "update-update"
            plan.waiting.append(Lost(local.identity, local.id, 0, kind, "device", UNKNOWN, change.id))

    def _step(
        self, steps: list[Step], by_id: dict[bytes, Change], change: Change, items: list[Item], lost: list[Lost]
    ) -> None:
        """Items that change together; the first carries the rest and what is displaced."""
        made: list[Step] = []
        for new in items:
            old = self.meta.get(new.id)
            self._complete(new, old)
            step = Step(new, old, verb_of(new, old))
            if needs_content(new, old):
                self._find_content(step, by_id, change)
            made.append(step)
        for step in made:
            self.meta.put(step.new)
        made[0].lost = lost
        for step in made:
            step.group = made
        steps += made

    def _complete(self, new: Item, old: Item | None) -> None:
        """A unit that the device cannot say is said by the desktop, with a stamp of its own."""
        if new.dead or len(new.values) < 2 or new.values[1] != UNKNOWN or not self.holds_mode:
            return
        source = old if new.link is None else self.meta.base.get(new.link.id)
        kept = source.values[1] if source is not None and len(source.values) > 1 else UNKNOWN
        new.values[1] = kept or (DIRECTORY_MODE if new.values[0] == DIRECTORY else FILE_MODE)
        new.versions[1] = self.meta.next_version()

    def _find_content(self, step: Step, by_id: dict[bytes, Change], change: Change) -> None:
        """Where the wanted content is: under another local name, or on the device."""
        want, link = step.new.values[0], step.new.link
        for near in (link.id if link is not None else b"", change.id):
            source = self.meta.base.get(near) if near else None
            if source is None or source.dead:
                continue
            own = near == change.id and source.values[0] == want  # the very value, also if nobody has hashed it yet
            if own or compare(source.values[0], want) == EQUAL:
                step.copy = source
                if step.verb == CREATE and link is not None and near == link.id:
                    step.verb = RENAME
                return
        step.fetch = by_id.get(step.new.id, change)
        if step.fetch.values is None or step.fetch.values[0] != want:
            step.fetch = change


def _holder(path: str, steps: list[Step]) -> tuple[str, str | bytes]:
    """Whose file it is that would have this path, and where its content is: see `Lost.held`."""
    for step in steps:
        if step.fetch is not None:
            return "device", step.fetch.id
        if step.copy is not None:
            return "device", step.copy.identity
    return "desktop", path


def needs_content(new: Item, old: Item | None) -> bool:
    """Must bytes be put in place for this item to become real?"""
    if new.dead or not is_file(new.values[0]):
        return False
    return old is None or old.dead or new.values[0] != old.values[0]


def verb_of(new: Item, old: Item | None) -> str:
    """What a user would call the change from old to new."""
    was = old is not None and not old.dead
    if new.dead:
        return DELETE if was and new.link is None else METADATA
    if not was:
        return CREATE
    assert old is not None
    if new.values[0] != old.values[0]:
        return UPDATE
    return MODE if new.values[1:] != old.values[1:] else METADATA


@dataclass
class Departures:
    """Plans the pass to the device. theirs: its knowledge, in our keys; shown: the values it sent in this session.

    waiting: items of which the device has a version that we left out. They are told to the device all the same, without
    content: its answer is STALE, and it learns nothing of them. gone: items that are deleted there as well.
    """

    meta: Metadata
    theirs: Knowledge
    shown: dict[bytes, list[bytes]]
    holds_mode: bool
    waiting: Collection[bytes] = ()
    gone: Collection[bytes] = ()

    def plan(self) -> list[Departure]:
        """All items with a version that the device lacks, in the order of ids."""
        if self.theirs.contains(self.meta.knowledge):
            return []
        return [self._depart(item) for item in self.meta.lacking(self.theirs)]

    def _depart(self, item: Item) -> Departure:
        vector = self.theirs.vector(item.id)
        has = knows(vector, item.created) or item.id in self.shown
        change = change_of(item, named=not has)
        if item.id in self.waiting:
            return Departure(item, change, METADATA, False)
        if item.dead:
            deletes = has and item.link is None and item.id not in self.gone
            return Departure(item, change, DELETE if deletes else METADATA, False)
        held = self.shown.get(item.id)
        known = knows(vector, item.versions[0]) or (held is not None and compare(held[0], item.values[0]) == EQUAL)
        content = is_file(item.values[0]) and not known
        source = self._source(item) if content and not has else None
        return Departure(item, change, self._verb(item, has, known, source), content, source)

    def _verb(self, item: Item, has: bool, known: bool, source: tuple[bytes, bytes] | None) -> str:
        if not has:
            return RENAME if source is not None else CREATE
        if not known:
            return UPDATE
        held = self.shown.get(item.id)
        same = (held is not None and held[1:] == item.values[1:]) or (
            held is None and knows_all(self.theirs.vector(item.id), item.versions[1:])
        )
        return METADATA if same or not self.holds_mode else MODE

    def _source(self, item: Item) -> tuple[bytes, bytes] | None:
        """The device's own copy of a moved object: (id of the source there, its digest)."""
        if item.link is None or is_lazy(item.values[0]):
            return None
        source = self.meta.get(item.link.id)
        if source is None or not source.dead or source.link is None or not source.link.base:
            return None
        version, value = source.link.base[0]
        if not knows(self.theirs.vector(source.id), version) or compare(value, item.values[0]) != EQUAL:
            return None
        return source.id, digest_of(value)
