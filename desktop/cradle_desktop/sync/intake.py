"""Brings the contents that a plan needs into the store's staging place: fetched, resumed, or copied from another name.

Decides nothing and installs nothing. Contents are asked for in the order of the steps, streamed, checked by hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator

from cradle_desktop.sync.outcome import Lost
from cradle_desktop.sync.plan import Step
from cradle_desktop.sync.remote import RemoteReplica, Segment
from cradle_desktop.sync.report import TypeResult
from cradle_protocol.errors import BAD_MESSAGE, CHANGED, MISMATCH, NO_ROOM, STATUS_TEXT, RemoteError
from cradle_protocol.provider.store import ObjectStore, StoreError, Writer
from cradle_protocol.sync.change import Change
from cradle_protocol.sync.values import digest_of, is_file, is_lazy, size_of, with_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    Bytes = bytes | bytearray | memoryview


class Want:
    """Content to be fetched: of this change, staged under this name, from this offset on."""

    def __init__(self, change: Change, name: str, offset: int) -> None:
        self.change, self.name, self.offset = change, name, offset


class Intake:
    """The contents of one pass. `took(bytes)` hears of what has come."""

    def __init__(
        self,
        store: ObjectStore,
        remote: RemoteReplica,
        replicas: list[bytes],
        steps: list[Step],
        result: TypeResult,
        took: Callable[[int], None],
    ) -> None:
        self.store, self.remote, self.replicas, self.steps = store, remote, replicas, steps
        self.result, self.took = result, took
        self._digests: dict[str, bytes] = {}
        self._uncopied: dict[str, StoreError] = {}

    def begin(self) -> int:
        """Drop what has been superseded, copy what is here, ask for the rest. Returns the bytes that will come."""
        wants = self._wants()
        wanted = {want.name for want in wants}
        shown = {i.hex() for i in self.remote.shown}
        for name, _ in self.store.staged():
            if name not in wanted and name.partition("-")[0] in shown:
                self.store.unstage(name)
        # Before the first batch may take an old name away.
        for step in self.steps:
            if step.copy is not None:
                self.copy(step)
        self._want = iter(wants)
        self._segments = self.remote.fetch([(want.change, want.offset) for want in wants])
        return sum(size_of(_value(want.change)) - want.offset for want in wants)

    def close(self) -> None:
        """Ask for nothing more."""
        self._segments.close()

    # -- names

    def name(self, step: Step) -> str:
        """Where the content of a step is staged: found again by whoever wants the same."""
        if step.fetch is not None:
            tick, key = step.fetch.versions[0]
            return _name(step.new.id, self.replicas[key] + b"%d" % tick)
        source = b"" if step.copy is None else step.copy.id
        return _name(step.new.id, b"copy" + source + step.new.values[0])  # or made here: then there is no source

    @staticmethod
    def lost_name(lost: Lost) -> str:
        """Where a displaced content of the device is staged."""
        return _name(lost.item_id, b"lost%d" % lost.unit + lost.value)

    def lost_digest(self, lost: Lost) -> bytes:
        """SHA-256 of a displaced content that nobody had hashed before."""
        return self.store.digest(lost.held) if isinstance(lost.held, str) else self._digests[self.lost_name(lost)]

    # -- contents

    def _wants(self) -> list[Want]:
        staged = dict(self.store.staged())
        wants: list[Want] = []
        for step in self.steps:
            for change, name in self._contents(step):
                offset = staged.get(name, 0)
                wants.append(Want(change, name, offset if offset <= size_of(_value(change)) else 0))
        return wants

    def _contents(self, step: Step) -> list[tuple[Change, str]]:
        """What must be fetched for a step: what it displaces on the device, and what it wants."""
        found = [
            (self.remote.shown[lost.held], self.lost_name(lost))
            for lost in step.lost
            if isinstance(lost.held, bytes) and is_file(lost.value)
        ]
        if step.fetch is not None:
            found.append((step.fetch, self.name(step)))
        return [(change, name) for change, name in found if is_file(_value(change))]

    def copy(self, step: Step) -> None:
        """Stage what is here under another name, before that goes away."""
        assert step.copy is not None
        name = self.name(step)
        try:
            self.store.stage_copy(step.copy.identity, name)
            if self.store.stamp(step.copy.identity) != step.copy.stamp:
                raise StoreError(CHANGED)
        except StoreError as error:
            self._uncopied[name] = error

    def stage(self, step: Step) -> None:
        """Stage the contents of a step. Takes exactly them off the line, also where it raises StoreError."""
        failed: StoreError | None = None
        for _, name in self._contents(step):
            want = next(self._want)
            try:
                digest = self._receive(want)
                if step.fetch is not None and name == self.name(step):
                    step.new.values[0] = with_digest(step.new.values[0], digest)
                else:
                    self._digests[name] = digest
            except StoreError as error:
                failed = error
        if step.copy is not None:
            failed = self._uncopied.get(self.name(step), failed)
        if step.made is not None:
            self.store.stage_bytes(self.name(step), step.made)
        if failed is not None:
            raise failed

    def _receive(self, want: Want) -> bytes:
        """Stage one content as its segments come. Returns its digest."""
        content = _content(self._segments, want.change.oid)
        try:
            first = next(content, None)
            if first is None:
                raise RemoteError(BAD_MESSAGE, "the device left out a content that was asked for")
            whole = first.last and first.status is None and want.offset == 0
            if whole and len(first.data) == size_of(_value(want.change)):
                return self._receive_small(want, first)
            return self._receive_stream(want, first, content)
        except StoreError:
            for _ in content:
                pass  # what follows on the line belongs to the next content only when this one is off it
            self.store.unstage(want.name)
            raise

    def _receive_small(self, want: Want, segment: Segment) -> bytes:
        digest = _checked(want, hashlib.sha256(segment.data).digest(), segment)
        self.store.stage_bytes(want.name, segment.data)
        self.took(len(segment.data))
        return digest

    def _receive_stream(self, want: Want, segment: Segment, rest: Iterator[Segment]) -> bytes:
        """Append segments to the staged object."""
        if size_of(_value(want.change)) - want.offset > self.store.room():
            raise StoreError(NO_ROOM)
        self.result.down.resumed += want.offset
        writer = self.store.stage(want.name, append=want.offset > 0)
        hasher = hashlib.sha256()
        try:
            self._append(writer, hasher.update, segment)
            for segment in rest:
                self._append(writer, hasher.update, segment)
        finally:
            writer.close()
        if segment.status is not None:
            there = f"on {self.remote.name}: "
            raise StoreError(segment.status, there + STATUS_TEXT.get(segment.status, ""))
        digest = hasher.digest() if want.offset == 0 else self.store.staged_digest(want.name)
        return _checked(want, digest, segment)

    def _append(
        self, writer: Writer, update: Callable[[bytes | bytearray | memoryview], None], segment: Segment
    ) -> None:
        if segment.data:
            writer.write(segment.data)
            update(segment.data)
            self.took(len(segment.data))


def _content(segments: Generator[Segment, None, None], oid: int) -> Iterator[Segment]:
    """The segments of one content, to its last."""
    for segment in segments:
        if segment.oid != oid:
            raise RemoteError(BAD_MESSAGE, "the device sent another content than the one that was its turn")
        yield segment
        if segment.last:
            return


def _checked(want: Want, digest: bytes, last: Segment) -> bytes:
    """The digest, if it is what the device says of the content, now and when it told of the change."""
    value = _value(want.change)
    if digest != last.digest or (not is_lazy(value) and digest_of(value) != digest):
        raise StoreError(MISMATCH)
    return digest


def _value(change: Change) -> bytes:
    """The content value of a change, b"" for a tombstone."""
    return change.values[0] if change.values else b""


def _name(item_id: bytes, what: bytes) -> str:
    """A name for the staging place: the item, and which content of it."""
    return item_id.hex() + "-" + hashlib.sha256(what).hexdigest()[:16]
