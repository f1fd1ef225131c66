"""Plans the first half of a sync, the pass from the device: every change is judged and becomes a step of the plan.

Pure but for `hash_both`: works on an `Overlay`, touches no store, uses no tick. Theory of operation: `plan`.
"""

from __future__ import annotations

from collections.abc import Callable

from cradle_desktop.sync.former import Former
from cradle_desktop.sync.outcome import DIRECTORY_MODE, FILE_MODE, Answer, Lost, Outcome
from cradle_desktop.sync.plan import CREATE, DELETE, METADATA, MODE, RENAME, UPDATE, Plan, Step
from cradle_desktop.sync.resolve import Resolver, has_children
from cradle_desktop.sync.revert import keep_ours, take_theirs
from cradle_desktop.sync.revive import Reviving
from cradle_protocol.sync.change import Change, change_of
from cradle_protocol.sync.forget import edits_forgotten, forget
from cradle_protocol.sync.item import IMPLIED, Item, item_id
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.overlay import Overlay
from cradle_protocol.sync.rules import CLASH, KNOWN, TAKE, UNHASHED, judge
from cradle_protocol.sync.values import DIRECTORY, EQUAL, UNKNOWN, compare, digest_of, is_file, is_lazy, with_digest
from cradle_protocol.sync.version import HIGHEST, LOWEST, knows, knows_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.sync.report import Policy

    FindOut = Callable[[list[tuple[Change, Item, list[int]]]], dict[bytes, Answer]]

# Policies that have to look at more than versions and hashes.
ASKING = ("newest", "merge", "provider")


class Arrivals:
    """Plans the pass from the device. `hash_both` gives (the device's digest, ours) for contents nobody has hashed,
    `find_out` what the policies `newest` and `merge` have to know of clashing files. `revert`: the side whose own
    changes are dropped, "" for none.

    former   what is here, by its hash, of items that the pass changes
    records  objects have field groups, and no folders (`RecordStore`)
    full     the changes are all that the device has: it has forgotten deletes which never came here
    skipped  ids that are left out of the pass
    dropped  tombstones that must go, with what was forgotten noted, before anything is done
    """

    def __init__(
        self,
        meta: Overlay,
        made: Knowledge,
        policy: Policy,
        holds_mode: bool,
        hash_both: Callable[[list[tuple[Change, Item]]], dict[bytes, tuple[bytes, bytes]]],
        type: str,
        decisions: dict[bytes, str],
        find_out: FindOut,
        revert: str = "",
        full: bool = False,
    ) -> None:
        self.meta, self.made, self.policy, self.holds_mode = meta, made, policy, holds_mode
        self.hash_both, self.type, self.decisions, self.find_out = hash_both, type, decisions, find_out
        self.revert = revert
        self.full, self.skipped = full, set[bytes]()
        self.records = False
        self.former: Former = {}
        self.dropped: list[bytes] = []
        self._hashed: dict[bytes, bytes] = {}  # local values that were hashed for this plan

    def plan(self, changes: list[Change], plan: Plan) -> None:
        """Judge all changes, resolve what clashes and fill in steps, tail and waiting conflicts."""
        resolver = Resolver(self.meta, self.made, self.policy, self.type, self.decisions)
        by_id = {change.id: change for change in changes}
        later: list[Change] = []
        missing = self._missing(by_id) if self.full else []
        forget(self.meta, self.dropped)
        judged = self._judged(changes)
        resolver.answers, resolver.theirs = self._answers(judged), by_id
        for change, verdict, item in judged:
            while missing and missing[0].id < change.id:
                self._bury(plan, missing.pop(0), resolver)
            if self._unsure(change, verdict) is not None:
                self._leave(plan, change)
            elif verdict != KNOWN and (dropped := self._drop(change, verdict)) is not None:
                self._step(plan, plan.steps, by_id, change, dropped.items, dropped.lost)
            elif verdict == TAKE and item is not None:
                self._step(plan, plan.steps, by_id, change, [item], [])
            elif self.records and self._two_edits(change, verdict) and resolver.composer(change.id) is None:
                self._leave(plan, change, "the two edits of it cannot be read just now, or are no records")
            elif verdict != KNOWN:
                outcome = resolver.resolve(change, self.meta.get(change.id), last=False)
                self._settle(plan, by_id, change, outcome, later)
        for item in missing:
            self._bury(plan, item, resolver)
        self.meta.knowledge.learn(LOWEST, HIGHEST, self.made, list(self.skipped))
        for change in later:
            self._settle_late(plan, by_id, change, resolver)
        if not self.records:
            self._clear_the_way(plan)
            changed = [step.new for step in plan.steps + plan.tail]
            for directory in Reviving(self.meta, self.type).run(changed):
                plan.tail.append(Step(directory, self.meta.base.get(directory.id), METADATA))
        self.meta.knowledge.raise_own(0, self.meta.tick)

    def _drop(self, change: Change, verdict: int) -> Outcome | None:
        """What becomes of a change where one side's own changes are dropped; None: what becomes of it anyway."""
        local = self.meta.get(change.id)
        if self.revert == "device":
            return keep_ours(self.meta, change, local)
        if self.revert == "desktop" and verdict == CLASH and local is not None:
            return take_theirs(self.meta, change, local)
        return None

    def drop_ours(self, plan: Plan, deviations: list[Item], changes: list[Change]) -> None:
        """What this desktop changed by itself becomes what the device has, after the rest was planned."""
        by_id = {change.id: change for change in changes}
        for local in deviations:
            change = by_id.get(local.id)
            outcome = take_theirs(self.meta, change, local)
            if change is not None:
                self._step(plan, plan.steps, by_id, change, outcome.items, [])
            else:
                new, old = outcome.items[0], self.meta.get(local.id)
                plan.steps.append(Step(new, old, verb_of(new, old)))
                plan.steps[-1].group = plan.steps[-1:]
                self.meta.put(new)
        plan.steps.sort(key=Step.change_id)
        self.meta.knowledge.raise_own(0, self.meta.tick)

    # -- judging

    def _judged(self, changes: list[Change]) -> list[tuple[Change, int, Item | None]]:
        """Every change with its verdict; where that hangs on contents that nobody has hashed, both are hashed first."""
        for change in filter(_unknowable, changes):
            self._take_hash(change)
        judged = [(change, *self._judge(change)) for change in changes]
        unsure = [(change, local) for change, verdict, _ in judged if (local := self._unsure(change, verdict))]
        unsure = [(change, local) for change, local in unsure if change.values and not _unknowable(change)]
        if not unsure:
            return judged
        digests = self.hash_both(unsure)
        for change, local in unsure:
            theirs, ours = digests.get(change.id, (b"", b""))
            if theirs and ours:
                change.values = [with_digest(change.values[0], theirs), *change.values[1:]] if change.values else None
                local.values[0] = self._hashed[local.id] = with_digest(local.values[0], ours)
                self.meta.put(local)
        again = {change.id for change, _ in unsure}
        return [(c, *self._judge(c)) if c.id in again else (c, v, item) for c, v, item in judged]

    def _take_hash(self, change: Change) -> None:
        """The device has the content by name only, and we have it."""
        local = self.meta.get(change.id)
        if local is not None and not local.dead and change.values and local.versions[0] == change.versions[0]:
            change.values = [local.values[0], *change.values[1:]]

    def _answers(self, judged: list[tuple[Change, int, Item | None]]) -> dict[bytes, Answer]:
        """What has to be known about clashes by the policy, or to make one record of two, for all of them at once."""
        if self.policy not in ASKING and not self.records:
            return {}
        clashes = []
        for change, verdict, _ in judged:
            local = self.meta.get(change.id) if verdict == CLASH else None
            if local is None or self._unsure(change, verdict) is not None:
                continue
            if self._two_edits(change, verdict) and not change.ghost:
                clashes.append((change, local, self._clashing(change, local)))
            elif self.policy == "provider" and (change.dead or local.dead):
                clashes.append((change, local, []))
        return self.find_out(clashes) if clashes else {}

    def _two_edits(self, change: Change, verdict: int) -> bool:
        """Do two contents clash?"""
        local = self.meta.get(change.id) if verdict == CLASH and not change.dead else None
        if local is None or local.dead or not change.values:
            return False
        return is_file(change.values[0]) and is_file(local.values[0])

    def _clashing(self, change: Change, local: Item) -> list[int]:
        """The change units of which two values clash. A record as a whole follows from its field groups."""
        mine, made, values = self.meta.knowledge.vector(change.id), self.made.vector(change.id), change.values or []
        return [
            u
            for u in range(int(self.records), len(values))
            if not knows(mine, change.versions[u]) and not knows(made, local.versions[u])
            and compare(values[u], local.values[u]) != EQUAL
        ]  # fmt: skip

    def _judge(self, change: Change) -> tuple[int, Item | None]:
        mine, made = self.meta.knowledge.vector(change.id), self.made.vector(change.id)
        local = self.meta.get(change.id)
        verdict, item = judge(change, local, mine, made, self.meta.replicas)
        anew = verdict == TAKE and (local is None or local.phantom())
        if anew and edits_forgotten(change, self.meta.forgotten.vector(change.id), made):
            return CLASH, None
        return verdict, item

    def _unsure(self, change: Change, verdict: int) -> Item | None:
        """The local item, if the verdict depends on a content that was not hashed."""
        local = self.meta.get(change.id) if verdict in (CLASH, UNHASHED) else None
        if local is None or local.dead or change.dead or not change.values:
            return None
        theirs, ours = change.values[0], local.values[0]
        lazy = is_lazy(theirs) or is_lazy(ours)
        return local if lazy and is_file(theirs) and is_file(ours) else None

    # -- what the device has deleted and forgotten

    def _missing(self, by_id: dict[bytes, Change]) -> list[Item]:
        """Living items of which the device knows and has no record, in the order of ids.

        A tombstone of that kind is dropped: the device may have forgotten a later one.
        """
        found: list[Item] = []
        for item in self.meta.items():
            made = self.made.vector(item.id)
            if item.id in by_id or not knows(made, item.created):
                continue
            if not item.dead:
                found.append(item)
            elif not item.flags & IMPLIED and knows_all(made, item.versions):
                self.dropped.append(item.id)
        return found

    def _bury(self, plan: Plan, item: Item, resolver: Resolver) -> None:
        """What the device knew as it is here is deleted anew, so that others hear of it; what it did not know stays."""
        change = change_of(item)
        if not knows_all(self.made.vector(item.id), item.versions):
            self._settle(plan, {}, change, resolver.survive(item), [])
            return
        item.die(self.meta.next_version())
        self._step(plan, plan.steps, {}, change, [item], [])

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
            self._step(plan, plan.steps, by_id, change, outcome.items, outcome.lost, outcome.made)

    def _settle_late(self, plan: Plan, by_id: dict[bytes, Change], change: Change, resolver: Resolver) -> None:
        """The pass has arrived: an edit of a moved object finds its target now or waits for another session."""
        local = self.meta.get(change.id)
        assert local is not None
        outcome = resolver.resolve(change, local, last=True)
        if outcome.waits:
            self._wait(plan, change)
            return
        self.skipped.remove(change.id)
        if not self._step(plan, plan.tail, by_id, change, outcome.items, outcome.lost):
            return
        self.meta.knowledge.learn_item(change.id, self.made.vector(change.id))

    def _leave(self, plan: Plan, change: Change, reason: str = "its content cannot be read just now") -> None:
        """Skip an item whole: its content is needed and cannot be had here just now."""
        local = self.meta.get(change.id)
        identity = local.identity if local is not None else change.identity or ""
        if change.ghost:
            plan.absent.append(identity)
        else:
            plan.skipped.append((identity, reason))
        self.skipped.add(change.id)

    def _clear_the_way(self, plan: Plan) -> None:
        """A directory with living children beats a file of its name, which goes to the conflict store.

        The directory comes (back) first in the tail, and after it what this pass brings into it: what an edit that
        followed a move puts there comes later than that, and would be undone by it.
        """
        way: list[Step] = []
        for path in sorted(self._files_with_children(plan)):
            i = item_id(self.type, path)
            file, old = self.meta.get(i), self.meta.base.get(i)
            assert file is not None
            directory = file.copy()
            directory.live(self.meta.next_version(), [DIRECTORY, DIRECTORY_MODE][: len(file.values)])
            self.meta.put(directory)
            inside = [step for step in plan.steps if step.new.identity.startswith(path + "/")]
            came = [step for step in plan.steps if step.new.id == i]
            away = {id(step) for step in inside + came}
            plan.steps = [step for step in plan.steps if id(step) not in away]
            step = Step(directory, old, verb_of(directory, old))
            step.lost = _lost_file(came[-1].new if came else old, *_holder(path, came))
            step.group = [step, *_with_edits(plan, step)]
            way += [*step.group, *inside]
        plan.tail = way + plan.tail

    def _files_with_children(self, plan: Plan) -> set[str]:
        """Paths that would be a living file with something living below."""
        files: dict[str, bool] = {}
        found: set[str] = set()
        for step in plan.steps + plan.tail:
            path = step.new.identity
            if step.new.dead:
                continue
            turned = step.old is not None and step.old.values[0] == DIRECTORY and step.new.values[0] != DIRECTORY
            if turned and has_children(self.meta, path):
                found.add(path)
            while path := path.rpartition("/")[0]:
                if path not in files:
                    above = self.meta.get(item_id(self.type, path))
                    files[path] = above is not None and not above.dead and above.values[0] != DIRECTORY
                if files[path]:
                    found.add(path)
        return found

    def _wait(self, plan: Plan, change: Change) -> None:
        self.skipped.add(change.id)
        local = self.meta.get(change.id)
        identity = change.identity or "" if local is None else local.identity
        dead = local is None or local.dead
        kind = "update-delete" if change.dead else "delete-update" if dead else "update-update"
        plan.waiting.append(Lost(identity, change.id, 0, kind, "device", UNKNOWN, change.id))

    def _step(
        self, plan: Plan, steps: list[Step], by_id: dict[bytes, Change], change: Change, items: list[Item],
        lost: list[Lost], contents: dict[bytes, bytes] | None = None,
    ) -> bool:  # fmt: skip
        """Items that change together; the first carries the rest and what is displaced. False: left alone, because a
        content that is needed is not on the device either."""
        made: list[Step] = []
        for new in items:
            old = self.meta.get(new.id)
            self._complete(new, old)
            step = Step(new, old, verb_of(new, old))
            if needs_content(new, old):
                step.made = (contents or {}).get(new.values[0])
                if step.made is None:
                    self._find_content(step, by_id, change)
            made.append(step)
        fetched = [step.fetch for step in made] + [by_id.get(i) for one in lost if (i := _kept_from(one))]
        if any(one is not None and one.ghost for one in fetched):
            self._leave(plan, change)
            return False
        for step in made:
            self.meta.put(step.new)
        made[0].lost = lost
        for step in made:
            step.group = made
        steps += made
        return True

    def _complete(self, new: Item, old: Item | None) -> None:
        """A unit that the device cannot say is said by the desktop, with a stamp of its own."""
        if new.dead or self.records or new.values[1] != UNKNOWN or not self.holds_mode:
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
            value = self._hashed.get(near, source.values[0])
            own = near == change.id and value == want  # the very value, also if nobody has hashed it yet
            if own or compare(value, want) == EQUAL:
                step.copy = source
                if step.verb == CREATE and link is not None and near == link.id:
                    step.verb = RENAME
                return
        same = self.former.get(digest_of(want))
        if same is not None:
            step.copy = same
            return
        step.fetch = by_id.get(step.new.id, change)
        if step.fetch.values is None or step.fetch.values[0] != want:
            step.fetch = change


def _kept_from(lost: Lost) -> bytes | None:
    """Id of the device's item whose content has to be kept, None if that is here."""
    return lost.held if isinstance(lost.held, bytes) and is_file(lost.value) else None


def _unknowable(change: Change) -> bool:
    """Can nobody tell the hash of its content? What the device has by name only was perhaps never hashed."""
    return change.ghost and bool(change.values) and is_lazy((change.values or [b""])[0])


def _lost_file(file: Item | None, side: str, held: str | bytes) -> list[Lost]:
    """What a directory displaces, if it is a file."""
    if file is None or file.dead or file.values[0] == DIRECTORY:
        return []
    return [Lost(file.identity, file.id, 0, "update-update", side, file.values[0], held)]


def _with_edits(plan: Plan, directory: Step) -> list[Step]:
    """An edit that followed a move to where a directory is now is displaced with the rest: its steps but for that."""
    tied: list[Step] = []
    for step in [step for step in plan.tail if step.new.id == directory.new.id]:
        tied += [other for other in step.group if other is not step]
        moved = [lost for lost in step.lost if lost.held == step.new.identity]
        directory.lost += [lost for lost in step.lost if lost.unit == 0 and lost not in moved]
        if step.copy is not None:
            directory.lost += _lost_file(step.new, "desktop", step.copy.identity)
        elif step.fetch is not None:
            directory.lost += _lost_file(step.new, "device", step.fetch.id)
        plan.tail.remove(step)
    plan.tail = [step for step in plan.tail if step not in tied]
    for step in tied:
        step.group = [directory, *tied]
    return tied


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
