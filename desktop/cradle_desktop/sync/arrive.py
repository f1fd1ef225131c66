"""Executes a plan's first half: what the device has becomes real on the desktop. Decides nothing.

Per batch, in the order of ids: contents are staged, what is displaced goes to the conflict store, all that is made
durable, the intents are noted, the objects are installed, made durable, and the metadata with the knowledge of the
range are committed in one step. A cut at any point leaves every object all-old or all-new and the next sync goes on.
"""

from cradle_desktop.conflict.store import ConflictStore
from cradle_desktop.sync.arrivals import needs_content
from cradle_desktop.sync.batches import groups, in_batches, in_order
from cradle_desktop.sync.displace import Displacing
from cradle_desktop.sync.intake import Intake
from cradle_desktop.sync.losers import Losers
from cradle_desktop.sync.meter import Meter
from cradle_desktop.sync.moves import arriving
from cradle_desktop.sync.plan import Plan, Step
from cradle_desktop.sync.remote import RemoteReplica
from cradle_desktop.sync.report import Observer, TypeResult
from cradle_desktop.undo.journal import Journal
from cradle_protocol.errors import CHANGED, COLLISION, LIMIT, NO_PARENT
from cradle_protocol.provider.store import ObjectStore, StoreError
from cradle_protocol.provider.together import show_together
from cradle_protocol.sync.detect import check_racy, unimply
from cradle_protocol.sync.item import IMPLIED, RACY, Item, item_id, phantom
from cradle_protocol.sync.knowledge import Knowledge, after
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.values import DIRECTORY, is_file
from cradle_protocol.sync.version import HIGHEST, LOWEST

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
        self.result = result
        self._losers = Losers(store, conflicts, plan.partner, decisions, result)
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
        self._losers.begin(self._intake, self.remote, steps)
        moves = arriving(self.plan.steps, self.meta, self.skipped) if self.store.renames else []
        for step in (come for move in moves for _, come in move):
            step.copy = None
        self._meter.total_bytes = self._intake.begin()
        for move in moves:
            self._move(move)
        # Before it is real, nothing of the tail is learned; but what is in place already must be known here.
        self._unlearned = self._tail - {step.new.id for step in self.plan.steps}
        lower = LOWEST
        try:
            batches = list(in_batches(self.plan.steps)) or [[]]
            for k, batch in enumerate(batches):
                upper = HIGHEST if k == len(batches) - 1 else batch[-1].change_id()
                self._batch(batch, lower, upper)
                lower = after(upper) or HIGHEST
                if self._meter.ends():
                    return
            self._retry()
            for group in groups(self.plan.tail):
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

    def _move(self, steps: list[tuple[Step, Step]]) -> None:
        """One rename with all that goes along; where that cannot be, the steps are taken one by one, as ever."""
        items = [step.new for pair in steps for step in pair]
        source, target = (step.new.identity for step in steps[0])
        try:
            self._check_move(steps)
            implied = self._implied_parents([steps[0][1]])
            self.meta.intend(items + implied, [self.made.vector(item.id) for item in items + implied])
            stamp = self.store.move(source, (steps[0][0].old or steps[0][0].new).stamp, target)
        except StoreError:
            for gone, come in steps:
                if is_file(come.new.values[0]):
                    come.copy = gone.old
                    self._intake.copy(come)
            return
        self.store.sync()
        for parent in implied:
            self.meta.put(parent)
        for gone, come in steps:
            self._moved(gone, come, stamp if come is steps[0][1] else None)
        self._prune_above(source)
        self._commit()

    def _check_move(self, steps: list[tuple[Step, Step]]) -> None:
        """Raise StoreError if something is not as the scan saw it, or if this is the end, or more than can be noted."""
        knowledge = self.meta.knowledge
        if self._meter.ends() or len(knowledge.exceptions) + 2 * len(steps) > knowledge.limit:
            raise StoreError(LIMIT)
        for gone, _ in steps:
            if gone.old is None or self.store.stamp(gone.old.identity) != gone.old.stamp:
                raise StoreError(CHANGED)

    def _moved(self, gone: Step, come: Step, stamp: bytes | None) -> None:
        """The metadata of one object that went along. What could hide an edit still could."""
        old = gone.old
        assert old is not None
        come.new.stamp = old.stamp if stamp is None else stamp
        come.new.flags = old.flags & RACY | (RACY if self.store.racy(come.new.stamp) and stamp is not None else 0)
        for step in (gone, come):
            step.done = True
            self._put(step.new)
            self.meta.knowledge.learn_item(step.new.id, self.made.vector(step.new.id))

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
            upper = batch[-1].change_id() if batch else None
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
            for step in in_order(ready):
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
                for group in groups(batch):
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
        if step.done:
            return
        try:
            self._intake.stage(step)
            if step.new.id not in self.skipped:
                self._losers.keep(step)
                ready.append(step)
        except StoreError as error:
            self._skip(step, error)

    def _skip(self, step: Step, error: StoreError) -> None:
        """Skip an item whole, and what is tied to it. What was kept was not displaced after all, if not done yet."""
        step.reason = error.text
        self.result.skipped.append((step.new.identity, error.text))
        self.result.down.failed += 1
        for other in step.group or [step]:
            self.skipped.add(other.new.id)
            if other.done:
                continue
            self._losers.withdraw(other)

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
            show_together(self.store, in_order(steps), self._make)
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
