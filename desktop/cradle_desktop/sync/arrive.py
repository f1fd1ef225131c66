"""Executes a plan's first half: what the device has becomes real on the desktop. Decides nothing.

Per batch, in the order of ids: contents are staged, what is displaced goes to the conflict store, all that is made
durable, the intents are noted, the objects are installed, made durable, and the metadata with the knowledge of the
range are committed in one step. A cut at any point leaves every object all-old or all-new and the next sync goes on.
"""

from collections.abc import Iterator

from cradle_desktop.conflict.resolve import written_at
from cradle_desktop.conflict.store import ConflictStore, Loser
from cradle_desktop.sync.arrivals import needs_content
from cradle_desktop.sync.displace import Displacing
from cradle_desktop.sync.intake import Intake
from cradle_desktop.sync.meter import Meter
from cradle_desktop.sync.outcome import Lost
from cradle_desktop.sync.plan import Plan, Step
from cradle_desktop.sync.remote import RemoteReplica
from cradle_desktop.sync.report import Observer, Tally, TypeResult
from cradle_desktop.undo.journal import Journal
from cradle_protocol.errors import CHANGED, COLLISION, NO_PARENT, NO_ROOM
from cradle_protocol.provider.store import ObjectStore, Reader, StoreError
from cradle_protocol.provider.together import show_together
from cradle_protocol.sync.detect import check_racy, unimply
from cradle_protocol.sync.item import IMPLIED, RACY, Item, item_id, phantom
from cradle_protocol.sync.knowledge import Knowledge, after
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.values import DIRECTORY, digest_of, is_file, is_lazy, size_of, with_digest
from cradle_protocol.sync.version import HIGHEST, LOWEST

# A batch is one durable step: large enough that its two flushes cost nothing per object, small enough to redo.
BATCH_ITEMS = 1000
BATCH_BYTES = 8 << 20
# What an object that comes later in the pass may still mend: a folder that is still a file, a name that is still taken.
MENDABLE = (CHANGED, COLLISION, NO_PARENT)


class Arriving:
    """One pass from the device, being executed.

    skipped    ids that are left out; what fails is added
    undone     ids that were not come to: the link went, or the end was asked for
    forgotten  what the device has forgotten, where this side missed some of it: learned with the rest
    """

    def __init__(
        self,
        store: ObjectStore,
        meta: Metadata,
        remote: RemoteReplica,
        conflicts: ConflictStore,
        plan: Plan,
        made: Knowledge,
        skipped: set[bytes],
        observer: Observer,
        result: TypeResult,
        decisions: dict[bytes, str],
        journal: Journal | None,
        forgotten: Knowledge | None = None,
    ) -> None:
        self.store, self.meta, self.remote, self.conflicts = store, meta, remote, conflicts
        self.forgotten = forgotten
        self.plan, self.made, self.skipped = plan, made, skipped
        self.result, self.decisions = result, decisions
        self._former = Displacing(journal, plan) if journal is not None else None
        self._unlearned: set[bytes] = set()
        self._again: list[Step] = []
        self._known_directories: set[str] = set()
        self._done = 0
        steps = plan.steps + plan.tail
        self._meter = Meter(observer, remote.connection, store.type, "receive", len(steps))
        self._tail = {step.new.id for step in plan.tail}
        self.undone = {step.new.id for step in steps}

    def run(self) -> None:
        """Execute steps and tail. Raises LinkGone where the link ends; what was staged stays staged."""
        steps = self.plan.steps + self.plan.tail
        self._respell(steps)
        self._intake = Intake(self.store, self.remote, self.meta.replicas, steps, self.result, self._progress)
        self._device_wrote = self.remote.written([i for step in steps for lost in step.lost if (i := _there(lost))])
        self._meter.total_bytes = self._intake.begin()
        # Before it is real, nothing of the tail is learned; but what is in place already must be known here.
        self._unlearned = self._tail - {step.new.id for step in self.plan.steps}
        lower = LOWEST
        try:
            batches = list(_batches(self.plan.steps)) or [[]]
            for k, batch in enumerate(batches):
                upper = HIGHEST if k == len(batches) - 1 else _change_id(batch[-1])
                self._batch(batch, lower, upper)
                lower = after(upper) or HIGHEST
                if self._meter.ends():
                    return
            self._retry()
            for group in _groups(self.plan.tail):
                if self._meter.ends():
                    return
                self._build_on_what_is(group)
                self._batch(group)
        finally:
            self._intake.close()

    def _respell(self, steps: list[Step]) -> None:
        """Folders whose name changes in its spelling only, with all that is in them: as their user would do it."""
        for now, wanted in self.plan.respelled:
            try:
                self.store.respell(now, wanted)
            except StoreError as error:
                for step in steps:
                    if (step.new.identity + "/").startswith((now + "/", wanted + "/")):
                        self._skip(step, error)

    def _retry(self) -> None:
        """What failed for something that has come since is tried once more; its content is still staged."""
        again, self._again = self._again, []
        for step in again:
            self.skipped.discard(step.new.id)
            self.result.skipped.remove((step.new.identity, step.reason))
            self.result.down.failed -= 1
        if again:
            self._install_all(again)
            self._learn_alone(again)

    def _build_on_what_is(self, group: list[Step]) -> None:
        """What the tail builds on was planned; by now it is real, with stamp and object id, or was skipped."""
        if any(step.new.id in self.skipped for step in group):
            self.skipped.update(step.new.id for step in group)
        for step in group:
            step.old = self.meta.get(step.new.id)
            if step.old is not None:
                step.new.oid, step.new.stamp, step.new.flags = step.old.oid, step.old.stamp, step.old.flags

    def _progress(self, size: int = 0) -> None:
        self.result.down.bytes += size
        self._meter.at(self._done, self.result.down.bytes)

    # -- one batch

    def _batch(self, batch: list[Step], lower: bytes | None = None, upper: bytes | None = None) -> None:
        """Stage, note, install, commit. Without bounds (the tail) each item is learned alone.

        A batch in which the end was asked for is over with the steps that are staged by then.
        """
        ready, come_to = self._prepare(batch)
        if come_to < len(batch):
            batch = batch[:come_to]
            upper = _change_id(batch[-1]) if batch else None
            if not batch:
                return
        self._install_all(ready)
        if lower is None or upper is None:
            self._learn_alone(batch)
        else:
            left = list(self.skipped | self._unlearned)
            if self.meta.knowledge.learn(lower, upper, self.made, left) and self.forgotten is not None:
                self.meta.forgotten.learn(lower, upper, self.forgotten, left)
            self._commit()
        self._done += len(batch)
        done = {step.new.id for step in batch}
        self.undone -= done if lower is None else done - self._tail
        self._progress()

    def _learn_alone(self, steps: list[Step]) -> None:
        for step in steps:
            if step.new.id not in self.skipped:
                self.meta.knowledge.learn_item(step.new.id, self.made.vector(step.new.id))
                if self.forgotten is not None:
                    self.meta.forgotten.learn_item(step.new.id, self.forgotten.vector(step.new.id))
        self._commit()

    def _commit(self) -> None:
        self.meta.knowledge.raise_own(0, self.meta.tick)
        self.meta.commit()

    def _install_all(self, ready: list[Step]) -> None:
        """Note the intents durably, make the objects real, make that durable."""
        if not ready:
            return
        implied = self._implied_parents(ready)
        self.store.sync()
        items = [step.new for step in ready] + implied
        self.meta.intend(items, [self.made.vector(item.id) for item in items])
        if self._former is not None:
            self._former.note(ready)
        if ready[0].together:
            self._act_together(ready)
        else:
            for step in _in_order(ready):
                self._act(step)
        if self._former is not None:
            self._former.end()
        for parent in implied:
            if self._is_there(parent.identity):
                self.meta.put(parent)
        self.store.sync()

    def _implied_parents(self, ready: list[Step]) -> list[Item]:
        """Records of the directories that will be made only because a child arrives first."""
        found: dict[bytes, Item] = {}
        batch = {step.new.id: step.new for step in ready}
        for step in ready:
            parent = step.new.identity.rpartition("/")[0]
            if step.new.dead or not parent or parent in self._known_directories:
                continue
            for path in self._missing(step.new.identity):
                i = item_id(self.store.type, path)
                item = batch.get(i) or self.meta.get(i) or phantom(i, path, self.meta.units)
                if item.dead:
                    item.flags |= IMPLIED
                    found[i] = item
            self._known_directories.add(parent)
        return [item for i, item in found.items() if i not in batch]

    def _is_there(self, identity: str) -> bool:
        try:
            return self.store.stamp(identity) is not None
        except StoreError:
            return False  # a name that is not possible here: what should lie below it has failed

    def _missing(self, identity: str) -> list[str]:
        """Directories above an object that are not there; none for a name that its install will refuse."""
        try:
            return self.store.missing_parents(identity)
        except StoreError:
            return []

    # -- what is displaced

    def _prepare(self, batch: list[Step]) -> tuple[list[Step], int]:
        """Stage every step and keep what it displaces; what fails is skipped whole, with the steps tied to it.

        Returns what is ready, and to how many steps it came before the end was asked for.
        """
        ready: list[Step] = []
        come_to = 0
        try:
            with self.conflicts.batch():
                for group in _groups(batch):
                    if self._meter.ends():
                        break
                    for step in group:
                        self._prepare_one(step, ready)
                    come_to += len(group)
        except StoreError as error:  # they could not be made durable: none of them may be displaced
            for step in ready:
                if step.kept and step.new.id not in self.skipped:
                    self._skip(step, error)
        return [step for step in ready if step.new.id not in self.skipped], come_to

    def _prepare_one(self, step: Step, ready: list[Step]) -> None:
        try:
            self._intake.stage(step)
            if step.new.id not in self.skipped:
                self._keep(step)
                ready.append(step)
        except StoreError as error:
            self._skip(step, error)

    def _keep(self, step: Step) -> None:
        """Into the conflict store with what the step displaces. Raises StoreError(NO_ROOM) if it does not fit."""
        for lost in step.lost:
            content, name = is_file(lost.value), self._intake.lost_name(lost)
            self._check_held(step, lost)
            if content and not self.conflicts.room(size_of(lost.value)):
                raise StoreError(NO_ROOM, "the conflict store has no room for the version that would be displaced")
            if content and is_lazy(lost.value):
                lost.value = with_digest(lost.value, self._intake.lost_digest(lost))
            taken = self.decisions.get(lost.item_id, "")
            loser = self._loser(lost)
            known = self.conflicts.add(loser, self._open(lost, name) if content else None, taken)
            if not known:
                step.kept.append(loser)
            if isinstance(lost.held, bytes):
                self.store.unstage(name)
            self._tally(loser).conflicts += not taken

    def _tally(self, loser: Loser) -> Tally:
        """Of the side on which this version loses its place."""
        return self.result.down if loser.loser == "desktop" else self.result.up

    def _check_held(self, step: Step, lost: Lost) -> None:
        """What is about to be kept must still be what the scan saw."""
        local = step.old if step.old is not None and step.old.identity == lost.held else None
        if local is not None and not local.dead and self.store.stamp(local.identity) != local.stamp:
            raise StoreError(CHANGED)

    def _open(self, lost: Lost, name: str) -> Reader:
        return self.store.open(lost.held) if isinstance(lost.held, str) else self.store.open_staged(name)

    def _loser(self, lost: Lost) -> Loser:
        winner = "desktop" if lost.side == "device" else "device"
        return Loser(
            partner=self.plan.partner, type=self.store.type, item_id=lost.item_id, identity=lost.identity,
            unit=lost.unit, kind=lost.kind, winner=winner, loser=lost.side, value=lost.value,
            digest=digest_of(lost.value), size=size_of(lost.value), written=self._written(lost),
        )  # fmt: skip

    def _written(self, lost: Lost) -> int | None:
        """When this content was written, by its own side's clock; None: nobody can tell."""
        if not is_file(lost.value):
            return None
        if isinstance(lost.held, str):
            return written_at(self.store, self.store.stamp(lost.held))
        return self._device_wrote.get(lost.held)

    def _skip(self, step: Step, error: StoreError) -> None:
        """Skip an item whole, and what is tied to it. What was kept was not displaced after all, if not done yet."""
        step.reason = error.text
        self.result.skipped.append((step.new.identity, error.text))
        self.result.down.failed += 1
        for other in step.group or [step]:
            self.skipped.add(other.new.id)
            if other.done:
                continue
            for loser in other.kept:
                self._tally(loser).conflicts -= not self.decisions.get(loser.item_id)
                self.conflicts.withdraw(loser)
            other.kept.clear()

    # -- one object

    def _act(self, step: Step) -> None:
        """Make one item real and put its metadata; an object that is not what was expected is left alone."""
        if step.new.id in self.skipped:
            return
        try:
            self._make(step)
        except StoreError as error:
            self._skip(step, error)
            self._known_directories.discard(step.new.identity.rpartition("/")[0])
            if error.status in MENDABLE and not step.lost and len(step.group) < 2:
                self._again.append(step)
            return
        self._made(step)

    def _act_together(self, steps: list[Step]) -> None:
        """Make items real in one step, all of them or none."""
        try:
            show_together(self.store, _in_order(steps), self._make)
        except StoreError as error:
            for step in steps:
                self._skip(step, error)
            return
        for step in steps:
            self._made(step)

    def _make(self, step: Step) -> None:
        if self._former is not None:
            self._former.begin(step)
        if step.new.dead:
            self._delete(step)
        else:
            self._install(step)

    def _made(self, step: Step) -> None:
        step.done = True
        if self._former is not None:
            self._former.done(step)
        self._put(step.new)
        if step.new.dead:
            self._prune_above(step.new.identity)

    def _put(self, item: Item) -> None:
        """Keep an item; a tombstone of a directory that is there for a child stays implied."""
        now = self.meta.get(item.id) if item.dead else None
        if now is not None and now.dead:
            item.flags |= now.flags & IMPLIED
        self.meta.put(item)

    def _install(self, step: Step) -> None:
        new, old = step.new, step.old
        was = old is not None and not old.dead
        content = not was or needs_content(new, old) or (old is not None and new.values[0] != old.values[0])
        if was and not content and new.values[1:] == (old.values[1:] if old else []):
            return
        if was:
            check_racy(self.store, old)
        staged = self._intake.name(step) if needs_content(new, old) else None
        expected = old.stamp if old is not None and was else None
        new.stamp = self.store.install(new.identity, staged, new.values, expected, content)
        new.flags = RACY if self.store.racy(new.stamp) else 0
        if new.values[0] == DIRECTORY:
            self._known_directories.add(new.identity)

    def _delete(self, step: Step) -> None:
        new, old = step.new, step.old
        if old is None or old.dead:
            return
        if old.values[0] == DIRECTORY:
            if not self.store.prune(old.identity) and self.store.stamp(old.identity) is not None:
                new.flags |= IMPLIED
        else:
            check_racy(self.store, old)
            self.store.remove(old.identity, old.stamp)

    def _prune_above(self, identity: str) -> None:
        """Implied directories go when their last child goes."""
        while identity := identity.rpartition("/")[0]:
            item = self.meta.get(item_id(self.store.type, identity))
            if item is None or not item.flags & IMPLIED or not self.store.prune(identity):
                return
            unimply(self.meta, item)
            self._known_directories.discard(identity)


def _there(lost: Lost) -> bytes:
    """The id of the item whose content only the device has, b"" for anything else."""
    return lost.held if isinstance(lost.held, bytes) and is_file(lost.value) else b""


def _groups(steps: list[Step]) -> Iterator[list[Step]]:
    """The steps in their order, those that are tied together as one."""
    k = 0
    while k < len(steps):
        size = max(1, len(steps[k].group))
        yield steps[k : k + size]
        k += size


def _change_id(step: Step) -> bytes:
    """The id of the change that a step comes from: a copy beside it, or a move, has any other one."""
    return (step.group or [step])[0].new.id


def _batches(steps: list[Step]) -> Iterator[list[Step]]:
    """Steps that belong together stay together."""
    batch: list[Step] = []
    size = 0
    for group in _groups(steps):
        batch += group
        size += sum(size_of(step.new.values[0]) for step in group if step.fetch or step.copy)
        if len(batch) >= BATCH_ITEMS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _in_order(steps: list[Step]) -> list[Step]:
    """Directories before what lies in them, then files, then deletes from the inside out.

    A copy beside comes before what takes its place: if it cannot be put there, nothing of it was overwritten.
    """
    directories = sorted((s for s in steps if _makes_directory(s)), key=lambda s: s.new.identity)
    files = [s for s in steps if not s.new.dead and not _makes_directory(s)]
    files.sort(key=lambda s: not s.group or s.group[0] is s)
    deletes = sorted((s for s in steps if s.new.dead), key=lambda s: s.new.identity, reverse=True)
    return directories + files + deletes


def _makes_directory(step: Step) -> bool:
    return not step.new.dead and step.new.values[0] == DIRECTORY
