"""Executes a plan's second half: what the desktop has travels to the device. Decides nothing, waits only for answers.

Content that the device holds under another name is staged there first (one request for all moves). Then batches go
out back to back, records and contents packed together in messages of the negotiated size; the device answers one
short message a batch, and the next batches are under way by then.

Before the device may take a batch, what it carries is durable here: the items (a scan of new objects leaves that to
us), and the digests of what was hashed on its way, because content without a digest is content that no peer has.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from contextlib import closing

from cradle_desktop.errors import LinkGone
from cradle_desktop.sync.hashing import RunningHash
from cradle_desktop.sync.meter import Meter
from cradle_desktop.sync.plan import Departure
from cradle_desktop.sync.remote import FOLLOWS, NONE, RESUME, STAGED, RemoteReplica
from cradle_desktop.sync.report import Cancelled, Observer, TypeResult
from cradle_desktop.sync.together import named, parties
from cradle_desktop.sync.upload import Upload
from cradle_protocol.errors import OK, STALE, STATUS_TEXT
from cradle_protocol.provider.desktop import RecordStore
from cradle_protocol.provider.store import ObjectStore, StoreError
from cradle_protocol.sync.change import change_of
from cradle_protocol.sync.knowledge import after
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.values import DIRECTORY, digest_of, file_value, is_file, is_lazy, size_of, with_digest
from cradle_protocol.sync.version import HIGHEST, LOWEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cradle_protocol.sync.item import Item

    ReadWhole = Callable[[str, int], tuple[bytes, bytes | None]]

# Content is read in pieces of this size; several are under way at once, so they are used in rotation.
PIECE = 1 << 20
# Contents up to this size are read in one go where the store can do that.
WHOLE = 64 << 10
# Answers are awaited when so many batches are under way, or as many as the device allows.
BATCHES_IN_FLIGHT = 4
# Seconds that a batch of small objects takes on a slow line, at the most.
BATCH_SECONDS = 2
# Seconds between two steps in which what is on its way becomes durable: so much sending is repeated after a crash.
KEEP_EVERY = 0.5
# Items that are told at a time to a device that cannot hold all that we know: some kilobytes of knowledge.
PART = 64


class Departing:
    """One pass to the device, being executed.

    waiting  ids of conflicts that are left alone; barred: of what the device does not get
    held    the versions of what departs may not be durable yet
    undone  ids that the device has not, as far as it has answered; begun: those that it may have by now
    """

    def __init__(
        self,
        store: ObjectStore,
        meta: Metadata,
        remote: RemoteReplica,
        departures: list[Departure],
        waiting: set[bytes],
        barred: set[bytes],
        held: bool,
        observer: Observer,
        result: TypeResult,
    ) -> None:
        # A delete without its content is a delete: one that the device shall not get it is not told of at all.
        self._untold = {one.item.id for one in departures if one.item.dead and one.item.id in barred}
        self.store, self.meta, self.remote = store, meta, remote
        self.departures = [one for one in departures if one.item.id not in self._untold]
        self.waiting, self.held, self.result = waiting | barred, held, result
        self._read_whole: ReadWhole | None = getattr(store, "read_whole", None)
        self._flight: deque[tuple[int, list[Departure]]] = deque()
        self._failed: list[tuple[Departure, int]] = []
        self._unkept: list[Item] = []  # what was packed and is not durable as it is now
        self._kept = time.monotonic()
        self._done = 0
        total = sum([departure.size for departure in departures])
        self._meter = Meter(observer, remote.connection, store.type, "send", len(departures), total)
        self.undone = {departure.item.id for departure in departures}
        self.begun = set[bytes]()

    def run(self, alone: bool = False) -> None:
        """Send everything, then what failed once more. Raises LinkGone, and Cancelled in the middle of a content.

        alone: each item is a range of its own, so that the device learns nothing of what lies between them.
        """
        if self.held:
            self.meta.keep([])  # the tick, which our made-with names
        whole = self.remote.begin_pass(self.meta, self._untold)
        self._upload = self.remote.upload(self._leaving)
        try:
            if whole:
                self._send_all(alone)
            else:
                self._send_parts()
        except (LinkGone, KeyboardInterrupt, Cancelled):
            self._keep()  # what the device has staged of these is not sent again
            raise
        self._report()

    def _send_all(self, alone: bool) -> None:
        staged = self._stage(not alone)
        parted = self._parties()
        for party in parted:
            self._send_together(party, staged)
        self.departures = named(self.departures, parted)
        lower = LOWEST
        batches = [[one] for one in self.departures] if alone else self._batches() or [[]]
        for k, batch in enumerate(batches):
            if self._meter.ends():
                break
            upper = HIGHEST if k == len(batches) - 1 and not alone else batch[-1].item.id
            self._send(batch, upper if alone else lower, upper, staged)
            lower = after(upper) or HIGHEST
        self._land(0)
        if not self._meter.ends():
            self._retry(staged)

    def _send_parts(self) -> None:
        """To a device that is too small for our knowledge: some items at a time, each alone."""
        staged = self._stage(False)
        parted = self._parties()
        bound = {id(one) for party in parted for one in party}
        others = [one for one in self.departures if id(one) not in bound]
        for k, part in enumerate([*parted, *[others[k : k + PART] for k in range(0, len(others), PART)]]):
            self.remote.begin_part(self.meta, [one.item.id for one in part])
            if k < len(parted):
                self._send_together(part, staged)
            for one in part if k >= len(parted) else named(part, [part]):
                if self._meter.ends():
                    break
                self._send([one], one.item.id, one.item.id, staged)
            self._land(0)

    def _parties(self) -> list[list[Departure]]:
        """What belongs together."""
        return parties(self.departures, self.store.group) if isinstance(self.store, RecordStore) else []

    def _send_together(self, party: list[Departure], staged: set[bytes]) -> None:
        """All of it or nothing, before its pass; what fails so fails in the pass again, which tells."""
        if len(party) <= self.remote.limits.batch_items:
            self._send(party, LOWEST, HIGHEST, staged, together=True)
            self._land(0)
            self._failed.clear()
            self._done -= len(party)

    def _stage(self, moving: bool) -> set[bytes]:
        """Have the device rename what moved, and stage what it holds under another name. Returns what is staged.

        Copies come before the renames, which may take a name away; what is refused as a rename goes item by item.
        """
        staged = self._stash([one for one in self.departures if one.rename is None])
        if moving:
            self._move()
        refused = [one for one in self.departures if one.rename is not None]
        for one in refused:
            one.rename = None
        return staged | self._stash(refused)

    def _stash(self, some: list[Departure]) -> set[bytes]:
        """Let the device stage what it holds under another name. Returns the ids for which that worked."""
        moves = [d for d in some if d.source is not None]
        if not moves:
            return set()
        answers = self.remote.stash([(d.source, d.item) for d in moves if d.source is not None])
        return {d.item.id for d, status in zip(moves, answers, strict=True) if status == OK}

    def _move(self) -> None:
        """Let the device rename; what it did so departs no more."""
        tied = {one.item.id: one.rename for one in self.departures if one.rename is not None}
        if not tied:
            return
        moves = list({id(rename): rename for rename in tied.values()}.values())
        self.begun.update(tied)
        answers = self.remote.move(moves)
        done = {id(rename) for rename, status in zip(moves, answers, strict=True) if status == OK}
        moved = {i for i, rename in tied.items() if id(rename) in done}
        self.departures = [one for one in self.departures if one.item.id not in moved]
        self.undone -= moved
        self._done += len(moved)
        self._progress()

    def _batches(self) -> list[list[Departure]]:
        """Within the device's limits: so many items, so many bytes; a larger object travels alone.

        On a slow line in smaller ones: who asks for the end waits for the batch in hand, and a cut costs as much.
        """
        limits, rate = self.remote.limits, self.remote.connection.rate
        most = min(limits.batch_bytes, rate * BATCH_SECONDS) if rate else limits.batch_bytes
        batches: list[list[Departure]] = []
        size = most
        for departure in self.departures:
            if not batches or len(batches[-1]) >= limits.batch_items or size + departure.size > most:
                batches.append([])
                size = 0
            batches[-1].append(departure)
            size += departure.size
        return batches

    # -- sending

    def _send(
        self, batch: list[Departure], lower: bytes, upper: bytes, staged: set[bytes], together: bool = False
    ) -> None:
        self._land(min(BATCHES_IN_FLIGHT, self.remote.limits.max_requests) - 1)
        upload = self._upload
        most = min(WHOLE, upload.piece)
        upload.begin(lower, upper, together)
        self.begun.update([departure.item.id for departure in batch])
        for index, departure in enumerate(batch):
            whole = departure.content and departure.size <= most and departure.item.id not in staged
            if not whole or not self._send_whole(upload, index, departure):
                self._send_one(upload, index, departure, staged)
        self._flight.append((upload.commit(), batch))

    def _leaving(self, last: bool) -> None:
        """A part of a batch is about to leave; after the last one the device may take what the batch carries."""
        if last or time.monotonic() - self._kept >= KEEP_EVERY:
            self._keep()
        self._progress()

    def _keep(self) -> None:
        if self._unkept:
            self.meta.keep(self._unkept)
        self._unkept, self._kept = [], time.monotonic()

    def _send_whole(self, upload: Upload, index: int, departure: Departure) -> bool:
        """A small content in one piece, the same as `_send_one` in fewer steps. False: it is not that simple."""
        item, size = departure.item, departure.size
        if self._read_whole is None or self.remote.staged_length(item):
            return False
        try:
            data, stamp = self._read_whole(item.identity, size)
        except StoreError:
            return False
        digest, value = hashlib.sha256(data).digest(), item.values[0]
        lazy = is_lazy(value)
        if len(data) != size or stamp != item.stamp or not (lazy or digest == digest_of(value)):
            return False
        upload.file(index, item, departure.named, data, digest)
        if lazy:
            item.values[0] = with_digest(value, digest)
        if lazy or self.held:
            self._unkept.append(item)
        self.result.up.bytes += size
        return True

    def _send_one(self, upload: Upload, index: int, departure: Departure, staged: set[bytes]) -> None:
        item = departure.item
        if departure.ghost:
            self._hash(item)
        change = change_of(item, departure.named)
        change.ghost = departure.ghost
        if item.id in self.waiting and change.values and change.values[0] == DIRECTORY:
            change.values = [file_value(0), *change.values[1:]]  # a folder needs no content: it would be taken
        if self.held or departure.source is not None:
            self._unkept.append(item)
        if not departure.content:
            upload.change(change, NONE)
        elif item.id in staged:
            upload.change(change, STAGED)
        else:
            offset = self.remote.staged_length(item)
            self.result.up.resumed += offset
            upload.change(change, RESUME if offset else FOLLOWS, offset)
            self._send_content(upload, index, item, offset)

    def _hash(self, item: Item) -> None:
        """What is told by name only nobody can compare who has not its hash: the device cannot be asked for it."""
        if not is_file(item.values[0]) or not is_lazy(item.values[0]):
            return
        try:
            digest = self.store.digest(item.identity)
            if self.store.stamp(item.identity) == item.stamp:
                self._is_content(item, digest)
        except StoreError:
            return  # its size has to do

    def _is_content(self, item: Item, digest: bytes) -> bool:
        """Is this the content that the item means? One that nobody has hashed yet is noted."""
        if not is_lazy(item.values[0]):
            return digest == digest_of(item.values[0])
        item.values[0] = with_digest(item.values[0], digest)
        self._unkept.append(item)
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
        position, size = 0, size_of(item.values[0])
        with closing(self.store.open(item.identity)) as reader, RunningHash(size) as running:
            while True:
                piece = upload.buffer(PIECE)
                if position < offset:
                    piece = piece[: offset - position]
                count = reader.read_into(piece)
                if not count:
                    return running.digest() if position == size else None
                running.update(piece[:count])
                if position >= offset:
                    self.result.up.bytes += count
                    upload.data(index, piece[:count])
                position += count

    def _progress(self) -> None:
        self._meter.at(self._done, self.result.up.bytes)

    # -- answers

    def _land(self, most: int) -> None:
        """Read answers until at most so many batches are under way."""
        while len(self._flight) > most:
            number, batch = self._flight.popleft()
            failed = [(batch[index], status) for index, status in self._upload.answer(number)]
            self.undone.difference_update([departure.item.id for departure in batch])
            self.undone.update([departure.item.id for departure, _ in failed])
            self._failed += failed
            self._done += len(batch)
            self._progress()

    def _retry(self, staged: set[bytes]) -> None:
        """What failed is sent once more, each as a range of its own, with its content."""
        failed, self._failed = self._failed, []
        for departure, status in failed:
            if status == STALE and not self._lacks_content(departure):
                self._failed.append((departure, status))
                continue
            if status == STALE:
                departure = Departure(departure.item, True, departure.verb, content=True)
            self.remote.forget_staged(departure.item)
            self._send([departure], departure.item.id, departure.item.id, set())
        self._land(0)

    def _lacks_content(self, departure: Departure) -> bool:
        """May it be that no content was sent and the device has none? It can know a version of which it has no record:
        where that was deleted, the delete is forgotten, and elsewhere it lives again.
        """
        item = departure.item
        told = departure.content or departure.ghost or item.id in self.waiting
        return not told and not item.dead and is_file(item.values[0])

    def _report(self) -> None:
        for departure, status in self._failed:
            if departure.item.id in self.waiting:
                continue  # told already, as a conflict that waits or as skipped on its way here
            text = STATUS_TEXT.get(status, f"status {status}")
            self.result.skipped.append((departure.item.identity, f"on {self.remote.name}: {text}"))
            self.result.up.failed += 1
