"""Executes a plan's first half: what the device has becomes real on the desktop. Decides nothing.

Per batch, in the order of ids: contents are staged, what is displaced goes to the conflict store, all that is made
durable, the intents are noted, the objects are installed, made durable, and the metadata with the knowledge of the
range are committed in one step. A cut at any point leaves every object all-old or all-new and the next sync goes on.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from cradle_desktop.conflict.store import ConflictStore, Loser
from cradle_desktop.sync.plan import Plan, Step, needs_content
from cradle_desktop.sync.remote import RemoteReplica, Segment
from cradle_desktop.sync.report import Observer, TypeResult
from cradle_desktop.sync.resolve import Lost
from cradle_protocol.errors import CHANGED, MISMATCH, NO_ROOM, STATUS_TEXT
from cradle_protocol.provider.store import ObjectStore, Reader, StoreError, Writer
from cradle_protocol.sync.change import Change
from cradle_protocol.sync.detect import check_racy, unimply
from cradle_protocol.sync.item import IMPLIED, RACY, item_id, phantom
from cradle_protocol.sync.knowledge import Knowledge, after
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.values import DIRECTORY, digest_of, is_file, is_lazy, size_of, with_digest
from cradle_protocol.sync.version import HIGHEST, LOWEST

# A batch is one durable step: large enough that its two flushes cost nothing per object, small enough to redo.
BATCH_ITEMS = 1000
BATCH_BYTES = 8 << 20


@dataclass
class Want:
    """Content to be fetched: of this change, staged under this name, from this offset on."""

    change: Change
    name: str
    offset: int


@dataclass
class Arriving:
    """One pass from the device, being executed."""

    store: ObjectStore
    meta: Metadata
    remote: RemoteReplica
    conflicts: ConflictStore
    plan: Plan
    made: Knowledge
    skipped: set[bytes]
    observer: Observer
    result: TypeResult
    decisions: dict[bytes, str] = field(default_factory=dict)
    _unlearned: set[bytes] = field(default_factory=set)
    _digests: dict[str, bytes] = field(default_factory=dict)
    _uncopied: dict[bytes, StoreError] = field(default_factory=dict)
    _known_directories: set[str] = field(default_factory=set)
    _done: int = 0
    _bytes: int = 0

    def run(self) -> None:
        """Execute steps and tail. Raises LinkGone where the link ends; what was staged stays staged."""
        wants = self._wants()
        self._total = len(self.plan.steps) + len(self.plan.tail)
        self._total_bytes = sum(size_of(want.change.values[0]) for want in wants if want.change.values)
        self._copy_moved()
        self._segments = self.remote.fetch([(w.change, w.offset) for w in wants])
        self._want = iter(wants)
        lower = LOWEST
        self._unlearned = {step.new.id for step in self.plan.tail}  # before it is real, nothing of the tail is learned
        try:
            batches = list(_batches(self.plan.steps)) or [[]]
            for k, batch in enumerate(batches):
                upper = HIGHEST if k == len(batches) - 1 else batch[-1].new.id
                self._batch(batch, lower, upper)
                lower = after(upper) or HIGHEST
            if self.plan.tail:
                self._refresh_tail()
                self._batch(self.plan.tail, None, None)
        finally:
            self._segments.close()

    def _refresh_tail(self) -> None:
        """What the tail builds on was planned; by now it is real, with stamps and object ids."""
        for step in self.plan.tail:
            step.old = self.meta.get(step.new.id)
            if step.old is not None:
                step.new.oid, step.new.stamp = step.old.oid, step.old.stamp

    # -- content

    def _copy_moved(self) -> None:
        """Contents that are here under another name are staged before the first batch may take that name away."""
        for step in self.plan.steps + self.plan.tail:
            if step.copy is not None:
                try:
                    self.store.stage_copy(step.copy.identity, self._stage_name(step))
                    if self.store.stamp(step.copy.identity) != step.copy.stamp:
                        raise StoreError(CHANGED)
                except StoreError as error:
                    self._uncopied[step.new.id] = error

    def _wants(self) -> list[Want]:
        """Everything to be fetched, in the order in which the batches will ask for it."""
        staged = dict(self.store.staged())
        wants: list[Want] = []
        for step in self.plan.steps + self.plan.tail:
            for change, name in self._contents(step):
                size = size_of(change.values[0]) if change.values else 0
                offset = staged.get(name, 0)
                wants.append(Want(change, name, offset if offset <= size else 0))
        return wants

    def _contents(self, step: Step) -> list[tuple[Change, str]]:
        found = [
            (self.remote.shown[lost.held], self._lost_name(lost))
            for lost in step.lost
            if isinstance(lost.held, bytes) and is_file(lost.value)
        ]
        if step.fetch is not None:
            found.append((step.fetch, self._stage_name(step)))
        return [(change, name) for change, name in found if change.values and is_file(change.values[0])]

    def _stage_name(self, step: Step) -> str:
        """From what is wanted, so that a staged object is found again by whoever wants the same."""
        if step.fetch is None:
            return _name(step.new.id, b"copy")
        tick, key = step.fetch.versions[0]
        return _name(step.new.id, self.meta.replicas[key] + b"%d" % tick)

    @staticmethod
    def _lost_name(lost: Lost) -> str:
        return _name(lost.item_id, b"lost" + lost.value)

    def _stage(self, step: Step) -> None:
        """Bring the contents of a step, wanted and displaced, into the staging place. Raises StoreError."""
        failed: StoreError | None = None
        for change, name in self._contents(step):
            want = next(self._want)
            assert want.name == name
            try:
                digest = self._receive(want)
                if change is step.fetch and name == self._stage_name(step):
                    step.new.values[0] = with_digest(step.new.values[0], digest)
                else:
                    self._digests[name] = digest
            except StoreError as error:
                failed = error
        if failed is not None:
            raise failed
        if step.new.id in self._uncopied:
            raise self._uncopied[step.new.id]

    def _receive(self, want: Want) -> bytes:
        """Stage one content as its segments come. Returns its digest; raises StoreError."""
        value = (want.change.values or [b""])[0]
        first = next(self._segments)
        if first.last and first.status is None and want.offset == 0 and len(first.data) == size_of(value):
            digest = hashlib.sha256(first.data).digest()
            if digest == first.digest:
                self.store.stage_bytes(want.name, first.data)
            self._progress(len(first.data))
        else:
            digest, first = self._receive_stream(want, first)
        if digest != first.digest or (not is_lazy(value) and digest_of(value) != digest):
            self.store.unstage(want.name)
            raise StoreError(MISMATCH)
        return digest

    def _receive_stream(self, want: Want, segment: Segment) -> tuple[bytes, Segment]:
        """Append segments to the staged object. Returns the digest of the whole and the last segment."""
        error = self._too_large(want)
        hasher = hashlib.sha256()
        writer = None if error else self.store.stage(want.name, append=want.offset > 0)
        self.result.resumed_bytes += want.offset
        try:
            while True:
                if writer is not None and error is None and segment.data:
                    error = _write(writer, segment)
                    hasher.update(segment.data)
                self._progress(len(segment.data))
                if segment.last:
                    break
                segment = next(self._segments)
        finally:
            if writer is not None:
                writer.close()
        if segment.status is not None:
            error = StoreError(segment.status, f"on {self.remote.name}: {STATUS_TEXT.get(segment.status, '')}")
        if error is not None:
            self.store.unstage(want.name)
            raise error
        return (hasher.digest() if want.offset == 0 else self.store.staged_digest(want.name)), segment

    def _too_large(self, want: Want) -> StoreError | None:
        size = size_of((want.change.values or [b""])[0]) - want.offset
        return StoreError(NO_ROOM) if size > self.store.room() else None

    def _progress(self, size: int = 0) -> None:
        self._bytes += size
        self.observer.progress("receive", self._done, self._total, self._bytes, self._total_bytes)

    # -- one batch

    def _batch(self, batch: list[Step], lower: bytes | None, upper: bytes | None) -> None:
        """Stage, note, install, commit. Without bounds (the tail) items are learned by their own stamps only."""
        ready = self._prepare(batch)
        if ready:
            self.store.sync()
            self.meta.intend([step.new for step in ready], [self.made.vector(step.new.id) for step in ready])
            for step in _in_order(ready):
                self._act(step)
            self.store.sync()
        if lower is not None and upper is not None:
            self.meta.knowledge.learn(lower, upper, self.made, list(self.skipped | self._unlearned))
        else:
            for step in batch:
                if step.new.id not in self.skipped:
                    self.meta.knowledge.learn_item(step.new.id, self.made.vector(step.new.id))
        self.meta.knowledge.raise_own(0, self.meta.tick)
        self.meta.commit()
        self._done += len(batch)
        self._progress()

    def _prepare(self, batch: list[Step]) -> list[Step]:
        """Stage every step and keep what it displaces; what fails is skipped whole, with the steps tied to it."""
        ready: list[Step] = []
        with self.conflicts.batch():
            for step in batch:
                try:
                    self._stage(step)
                    self._keep(step)
                    ready.append(step)
                except StoreError as error:
                    self._skip(step, error)
        return [step for step in ready if step.new.id not in self.skipped]

    def _keep(self, step: Step) -> None:
        """Into the conflict store with what the step displaces. Raises StoreError(NO_ROOM) if it does not fit."""
        for lost in step.lost:
            content, name = is_file(lost.value), self._lost_name(lost)
            self._check_held(step, lost)
            if content and not self.conflicts.room(size_of(lost.value)):
                raise StoreError(NO_ROOM, "the conflict store has no room for the version that would be displaced")
            if content and is_lazy(lost.value):
                lost.value = with_digest(lost.value, self._digest(lost))
            taken = self.decisions.get(lost.item_id, "")
            self.conflicts.add(self._loser(lost), self._open(lost, name) if content else None, taken)
            if _is_remote(lost):
                self.store.unstage(name)
            self.result.conflicts += not taken

    def _check_held(self, step: Step, lost: Lost) -> None:
        """What is about to be kept must still be what the scan saw."""
        local = step.old if step.old is not None and step.old.identity == lost.held else None
        if local is not None and not local.dead and self.store.stamp(local.identity) != local.stamp:
            raise StoreError(CHANGED)

    def _digest(self, lost: Lost) -> bytes:
        """SHA-256 of a displaced content that nobody had hashed before."""
        if isinstance(lost.held, str):
            return self.store.digest(lost.held)
        return self._digests[self._lost_name(lost)]

    def _open(self, lost: Lost, name: str) -> Reader:
        return self.store.open(lost.held) if isinstance(lost.held, str) else self.store.open_staged(name)

    def _loser(self, lost: Lost) -> Loser:
        winner = "desktop" if lost.side == "device" else "device"
        return Loser(
            partner=self.plan.partner, type=self.store.type, item_id=lost.item_id, identity=lost.identity,
            unit=lost.unit, kind=lost.kind, winner=winner, loser=lost.side, value=lost.value,
            digest=digest_of(lost.value), size=size_of(lost.value),
        )  # fmt: skip

    def _skip(self, step: Step, error: StoreError) -> None:
        """Skip an item whole, and what is tied to it."""
        self.result.skipped.append((step.new.identity, error.text))
        self.skipped.update([step.new.id, *(other.new.id for other in step.also)])

    # -- one object

    def _act(self, step: Step) -> None:
        """Make one item real and put its metadata; an object that is not what was expected is left alone."""
        if step.new.id in self.skipped:
            return
        try:
            if step.new.dead:
                self._delete(step)
            else:
                self._install(step)
        except StoreError as error:
            self._skip(step, error)
            return
        self.meta.put(step.new)
        if step.new.dead:
            self._prune_above(step.new.identity)

    def _install(self, step: Step) -> None:
        new, old = step.new, step.old
        was = old is not None and not old.dead
        content = not was or needs_content(new, old) or (old is not None and new.values[0] != old.values[0])
        if was and not content and new.values[1:] == (old.values[1:] if old else []):
            return
        if was:
            check_racy(self.store, old)
        self._note_parents(new.identity)
        staged = self._stage_name(step) if needs_content(new, old) else None
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

    def _note_parents(self, identity: str) -> None:
        """Directories that are made only because a child arrives first are recorded as implied."""
        parent = identity.rpartition("/")[0]
        if not parent or parent in self._known_directories:
            return
        for path in self.store.missing_parents(identity):
            i = item_id(self.store.type, path)
            item = self.meta.get(i) or phantom(i, path, self.meta.units)
            item.flags |= IMPLIED
            self.meta.put(item)
        self._known_directories.add(parent)

    def _prune_above(self, identity: str) -> None:
        """Implied directories go when their last child goes."""
        while identity := identity.rpartition("/")[0]:
            item = self.meta.get(item_id(self.store.type, identity))
            if item is None or not item.flags & IMPLIED or not self.store.prune(identity):
                return
            unimply(self.meta, item)
            self._known_directories.discard(identity)


def _name(item_id: bytes, what: bytes) -> str:
    """A name for the staging place: the item, and which content of it."""
    return item_id.hex() + "-" + hashlib.sha256(what).hexdigest()[:16]


def _write(writer: Writer, segment: Segment) -> StoreError | None:
    """Write a segment; what went wrong, so that the rest of the content can be taken off the line."""
    try:
        writer.write(segment.data)
    except StoreError as error:
        return error
    return None


def _is_remote(lost: Lost) -> bool:
    return isinstance(lost.held, bytes) and is_file(lost.value)


def _batches(steps: list[Step]) -> Iterator[list[Step]]:
    batch: list[Step] = []
    size = 0
    for step in steps:
        batch.append(step)
        size += size_of(step.new.values[0]) if step.fetch or step.copy else 0
        if len(batch) >= BATCH_ITEMS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _in_order(steps: list[Step]) -> list[Step]:
    """Directories before what lies in them, then files, then deletes from the inside out."""
    directories = sorted((s for s in steps if _makes_directory(s)), key=lambda s: s.new.identity)
    files = [s for s in steps if not s.new.dead and not _makes_directory(s)]
    deletes = sorted((s for s in steps if s.new.dead), key=lambda s: s.new.identity, reverse=True)
    return directories + files + deletes


def _makes_directory(step: Step) -> bool:
    return not step.new.dead and step.new.values[0] == DIRECTORY
