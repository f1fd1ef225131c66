"""Executes a plan's second half: what the desktop has travels to the device. Decides nothing, waits only for answers.

Content that the device holds under another name is staged there first (one request for all moves). Then batches go
out back to back, records and contents packed together in messages of the negotiated size; the device answers one
short message a batch, and the next batches are under way by then.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field

from cradle_desktop.sync.plan import Departure
from cradle_desktop.sync.remote import FOLLOWS, NONE, RESUME, STAGED, RemoteReplica
from cradle_desktop.sync.report import Observer, TypeResult
from cradle_desktop.sync.upload import Upload
from cradle_protocol.errors import OK, STALE, STATUS_TEXT
from cradle_protocol.provider.store import ObjectStore, StoreError
from cradle_protocol.sync.item import Item
from cradle_protocol.sync.knowledge import after
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.values import digest_of, is_lazy, size_of, with_digest
from cradle_protocol.sync.version import HIGHEST, LOWEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    ReadWhole = Callable[[str, int], tuple[bytes, bytes | None]]

# Content is read in pieces of this size; several are under way at once, so they are used in rotation.
PIECE = 256 << 10
# Contents up to this size are read in one go where the store can do that.
WHOLE = 64 << 10
# Answers are awaited when so many batches are under way, or as many as the device allows.
BATCHES_IN_FLIGHT = 4


@dataclass
class Departing:
    """One pass to the device, being executed."""

    store: ObjectStore
    meta: Metadata
    remote: RemoteReplica
    departures: list[Departure]
    waiting: set[bytes]
    observer: Observer
    result: TypeResult
    _flight: deque[tuple[Upload, list[Departure]]] = field(default_factory=deque)
    _failed: list[tuple[Departure, int]] = field(default_factory=list)
    _hashed: list[Item] = field(default_factory=list)
    _done: int = 0
    _bytes: int = 0

    def run(self) -> set[bytes]:
        """Send everything, then what failed once more. Returns the ids that failed; raises LinkGone."""
        self._read_whole: ReadWhole | None = getattr(self.store, "read_whole", None)
        self._total_bytes = sum(size_of(d.item.values[0]) for d in self.departures if d.content)
        self.remote.begin_pass(self.meta)
        staged = self._stash()
        lower = LOWEST
        batches = self._batches() or [[]]
        for k, batch in enumerate(batches):
            upper = HIGHEST if k == len(batches) - 1 else batch[-1].item.id
            self._send(batch, lower, upper, staged)
            lower = after(upper) or HIGHEST
        self._land(0)
        self._retry(staged)
        self._report()
        return {departure.item.id for departure, _ in self._failed}

    def _stash(self) -> set[bytes]:
        """Let the device stage what it holds under another name. Returns the ids for which that worked."""
        moves = [d for d in self.departures if d.source is not None]
        if not moves:
            return set()
        answers = self.remote.stash([(d.source, d.item) for d in moves if d.source is not None])
        return {d.item.id for d, status in zip(moves, answers, strict=True) if status == OK}

    def _batches(self) -> list[list[Departure]]:
        """Within the device's limits: so many items, so many bytes; a larger object travels alone."""
        limits = self.remote.limits
        batches: list[list[Departure]] = []
        size = limits.batch_bytes
        for departure in self.departures:
            weight = size_of(departure.item.values[0]) if departure.content else 0
            if not batches or len(batches[-1]) >= limits.batch_items or size + weight > limits.batch_bytes:
                batches.append([])
                size = 0
            batches[-1].append(departure)
            size += weight
        return batches

    # -- sending

    def _send(self, batch: list[Departure], lower: bytes, upper: bytes, staged: set[bytes]) -> None:
        self._land(min(BATCHES_IN_FLIGHT, self.remote.limits.max_requests) - 1)
        upload = self.remote.apply(lower, upper)
        for index, departure in enumerate(batch):
            self._send_one(upload, index, departure, staged)
        self._note_digests()
        upload.commit()
        self._flight.append((upload, batch))

    def _send_one(self, upload: Upload, index: int, departure: Departure, staged: set[bytes]) -> None:
        item = departure.item
        if not departure.content:
            upload.change(departure.change, NONE, 0)
        elif item.id in staged:
            upload.change(departure.change, STAGED, 0)
        else:
            offset = self.remote.staged_length(item)
            self.result.resumed_bytes += offset
            upload.change(departure.change, RESUME if offset else FOLLOWS, offset)
            if self._read_whole is not None and not offset and size_of(item.values[0]) <= min(WHOLE, upload.piece):
                self._send_whole(upload, index, item, self._read_whole)
            else:
                self._send_content(upload, index, item, offset)

    def _send_whole(self, upload: Upload, index: int, item: Item, read: ReadWhole) -> None:
        """A small content: the same as `_send_content` in fewer steps."""
        size = size_of(item.values[0])
        try:
            data, stamp = read(item.identity, size)
        except StoreError:
            upload.abort(index)
            return
        digest = hashlib.sha256(data).digest()
        if len(data) == size and stamp == item.stamp and self._is_content(item, digest):
            upload.whole(index, data, digest)
            self._progress(size)
        else:
            upload.abort(index)

    def _is_content(self, item: Item, digest: bytes) -> bool:
        """Is this the content that the item means? One that nobody has hashed yet is noted."""
        if not is_lazy(item.values[0]):
            return digest == digest_of(item.values[0])
        item.values[0] = with_digest(item.values[0], digest)
        self._hashed.append(item)
        return True

    def _send_content(self, upload: Upload, index: int, item: Item, offset: int) -> None:
        """Read once, hash while reading; if the object changed meanwhile the item is withdrawn."""
        try:
            digest = self._pump(upload, index, item, offset)
            if digest is None or self.store.stamp(item.identity) != item.stamp:
                upload.abort(index)
            elif self._is_content(item, digest):
                upload.end(index, digest)
            else:
                upload.abort(index)
        except StoreError:
            upload.abort(index)

    def _pump(self, upload: Upload, index: int, item: Item, offset: int) -> bytes | None:
        """Send the content from the offset on; the part before it is read for its hash alone."""
        hasher, position, size = hashlib.sha256(), 0, size_of(item.values[0])
        reader = self.store.open(item.identity)
        try:
            while True:
                piece = upload.buffer(PIECE)
                if position < offset:
                    piece = piece[: offset - position]
                count = reader.read_into(piece)
                if not count:
                    return hasher.digest() if position == size else None
                hasher.update(piece[:count])
                if position >= offset:
                    upload.data(index, piece[:count])
                    self._progress(count)
                position += count
        finally:
            reader.close()

    def _progress(self, size: int = 0) -> None:
        self._bytes += size
        self.observer.progress("send", self._done, len(self.departures), self._bytes, self._total_bytes)

    # -- answers

    def _land(self, most: int) -> None:
        """Read answers until at most so many batches are under way."""
        while len(self._flight) > most:
            upload, batch = self._flight.popleft()
            for index, status in upload.answer():
                self._failed.append((batch[index], status))
            self._done += len(batch)
            self._progress()

    def _retry(self, staged: set[bytes]) -> None:
        """What failed is sent once more, each as a range of its own, with its content."""
        again = [departure for departure, status in self._failed if status != STALE]
        if not again:
            return
        stale = [(departure, status) for departure, status in self._failed if status == STALE]
        self._failed = []
        for departure in again:
            self.remote.forget_staged(departure.item)
            self._send([departure], departure.item.id, departure.item.id, set())
        self._land(0)
        self._failed += stale

    def _report(self) -> None:
        for departure, status in self._failed:
            if departure.item.id in self.waiting:
                continue  # told already, as a conflict that waits or as skipped on its way here
            text = STATUS_TEXT.get(status, f"status {status}")
            self.result.skipped.append((departure.item.identity, f"on {self.remote.name}: {text}"))

    def _note_digests(self) -> None:
        """Contents that were hashed on their way out need not be hashed again.

        Noted before the device may take the batch: content without a digest is content that no peer has.
        """
        for item in self._hashed:
            self.meta.put(item)
        if self._hashed:
            self.meta.commit()
        self._hashed.clear()
