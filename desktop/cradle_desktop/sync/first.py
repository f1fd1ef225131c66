"""A first sync to an empty device: each object is looked at, read and sent in one go. Decides nothing about conflicts.

A scan, a plan and a pass, one after the other, keep the device idle during the first two. Where this desktop has no
record of anything, and the device holds nothing and has heard of nothing, the plan is known beforehand: every object
here comes into being there, and nothing is displaced or deleted on either side. So only names are listed at first, the
device gets the first batch a moment later, and an object is stamped when it leaves. The ticks of all of them are
durable before that. What a crash takes of the rest is new at the next scan, as after any scan that held its finds back.
"""

from __future__ import annotations

from hashlib import sha256

from cradle_desktop.connection import Connection
from cradle_desktop.sync.depart import BATCHES_IN_FLIGHT, WHOLE, Departing
from cradle_desktop.sync.execute import Job
from cradle_desktop.sync.meter import safe_point, stop_now, watched
from cradle_desktop.sync.plan import CREATE, Departure, Plan
from cradle_desktop.sync.remote import RemoteReplica, worth_telling
from cradle_desktop.sync.report import Observer, Progress
from cradle_protocol.errors import CHANGED, STATUS_TEXT
from cradle_protocol.provider.desktop import RecordStore
from cradle_protocol.provider.store import ObjectStore, StoreError
from cradle_protocol.sync.item import RACY, Item, item_id
from cradle_protocol.sync.knowledge import after
from cradle_protocol.sync.values import is_file, size_of
from cradle_protocol.sync.version import HIGHEST, LOWEST

# Objects of the first batch: the sooner it leaves, the sooner the device has something to do.
FIRST_BATCH = 64
# The next ones may have so many times as many as the one before.
GROWTH = 8
# Bytes of content in a batch, at the most.
BATCH_BYTES = 8 << 20

Name = tuple[bytes, int, str, bool]  # item id, place in the scan from 1 on, identity, is it a directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Protocol

    from cradle_protocol.sync.version import Version

    class Visited(Protocol):
        """A store that tells names alone, and looks at an object while it reads it: see `providers.files`."""

        type: str

        def names_only(self) -> Iterator[tuple[str, bool]]: ...
        def size(self, identity: str) -> int: ...
        def visit(self, identity: str, buffer: memoryview) -> tuple[int, bytes, list[bytes], bool] | None: ...


def listed(store: Any, connection: Connection, observer: Observer) -> list[Name]:
    """All names, in the order of ids. Raises StoreError, and Cancelled if the observer asks for the end."""
    visited: Visited = store
    type_name = visited.type
    found = watched(visited.names_only(), connection, observer)
    return sorted([(item_id(type_name, one[0]), number, *one) for number, one in enumerate(found, 1)])


def possible(names: list[Name], store: ObjectStore, remote: RemoteReplica) -> bool:
    """Is all of this new to the device, and can each name be there and stay what it is?"""
    there = remote.names
    return (
        bool(names)
        and not isinstance(store, RecordStore)
        and remote.untouched()
        and there.free()
        and not there.caseless()
        and not any(
            there.wrong(identity)
            for _, _, identity, _ in names
            if len(identity) > there.name_max or not identity.isascii()
        )
    )


class First(Job):
    """Executes such a sync."""

    def send(self, names: list[Name]) -> None:
        """Raises what a pass to the device raises."""
        store, options, observer = self.store, self.options, self.observer
        plan = Plan(options.partner, options.policy)
        left = worth_telling(store.skipped, store.type, self.meta)
        plan.skipped = [(identity, STATUS_TEXT.get(status, "")) for identity, status in left]
        observer.progress(Progress(store.type, "scan", len(names)))
        safe_point(observer)
        self.remote.connection.on_wait = lambda: stop_now(observer)  # from here on what is in hand is finished
        self._note_left_out(plan)
        going = Going(self, names)
        try:
            going.run()
        finally:
            plan.departures = going.departures
            self.result.to_device = plan.to_device(going.undone)
            self.result.up.applied = self.result.to_device.total()
        self._remember(plan, going.undone)
        self.conflicts.waiting(options.partner, store.type, [])


class Going(Departing):
    """The pass to the device, its departures found on the way."""

    store: Any

    def __init__(self, job: First, names: list[Name]) -> None:
        super().__init__(job.store, job.meta, job.remote, [], set(), set(), True, job.observer, job.result)
        self._names = names
        self._base = job.meta.tick
        self._meter.total = len(names)
        self._next = 0  # of the names
        self._most = min(BATCH_BYTES, job.remote.limits.batch_bytes)
        self._room = memoryview(bytearray(WHOLE + 1))
        self._young = False  # may a power cut take what was visited?

    def run(self, alone: bool = False) -> None:
        """See `Departing.run`."""
        self.store.sync()  # what a power cut took from the disk must not look deleted: data before metadata
        self.meta.tick += len(self._names)
        self.meta.knowledge.raise_own(0, self.meta.tick)
        super().run(alone)

    def _send_all(self, alone: bool) -> None:
        lower, most = LOWEST, FIRST_BATCH
        while self._next < len(self._names) and not self._meter.ends():
            self._land(min(BATCHES_IN_FLIGHT, self.remote.limits.max_requests) - 1)
            names = self._next_batch(min(most, self.remote.limits.batch_items))
            upper = names[-1][0] if self._next < len(self._names) else HIGHEST
            self._send_names(names, lower, upper)
            lower, most = after(upper) or HIGHEST, most * GROWTH
        self._land(0)
        if not self._meter.ends():
            self._retry(set())

    def _next_batch(self, most: int) -> list[Name]:
        """The next names, as many as a batch may have: a larger object travels alone."""
        start, total, size_of_file = self._next, 0, self.store.size
        for _, _, identity, directory in self._names[start : start + most]:
            if not directory:
                total += size_of_file(identity)
                if total > self._most and self._next > start:
                    break
            self._next += 1
        return self._names[start : self._next]

    def _send_names(self, names: list[Name], lower: bytes, upper: bytes) -> None:
        upload, batch = self._upload, list[Departure]()
        room = self._room[: min(WHOLE, upload.piece) + 1]
        upload.begin(lower, upper)
        for name in names:
            item, size = self._visit(name, room)
            if item is None:
                continue
            departure = Departure(item, True, CREATE, not name[3])
            if size < 0:
                self._send_one(upload, len(batch), departure, set())
            else:
                digest = sha256(room[:size]).digest()
                upload.file(len(batch), item, True, room[:size], digest)
                item.values[0] += digest  # not before: it is told once, behind the content
                self._unkept.append(item)
                self.result.up.bytes += size
            batch.append(departure)
        self.departures += batch
        self.undone.update([departure.item.id for departure in batch])
        self._flight.append((upload.commit(), batch))

    def _visit(self, name: Name, room: memoryview) -> tuple[Item | None, int]:
        """(item of a name, size): None where nothing can be sent; from 0 on: all of the content is in `room`."""
        i, number, identity, directory = name
        version = self._base + number, 0
        try:
            if directory:
                return self._visit_directory(i, identity, version), -1
            seen = self.store.visit(identity, room)
            if seen is None:
                if self.store.stamp(identity) is None:
                    return None, -1  # it was deleted meanwhile
                self._leave(identity, CHANGED)
                return None, -1
        except StoreError as error:
            self._leave(identity, error.status)
            return None, -1
        size, stamp, values, racy = seen
        if size == len(room) or size != size_of(values[0]) or (racy and not self._same(identity, room, seen)):
            size = -1
        return self.meta.create(i, identity, values, stamp, RACY if racy else 0, version), size

    def _visit_directory(self, i: bytes, identity: str, version: Version) -> Item | None:
        stamp = self.store.stamp(identity)
        if stamp is None:
            return None
        values = self.store.values(stamp)
        if is_file(values[0]):
            self._leave(identity, CHANGED)
            return None
        return self.meta.create(i, identity, values, stamp, 0, version)

    def _same(self, identity: str, room: memoryview, seen: tuple[int, bytes, list[bytes], bool]) -> bool:
        """Read a file once more that is so young that it may have been written while it was read."""
        self._young = True
        try:
            return bool(self.store.visit(identity, room) == seen)
        except StoreError:
            return False

    def _leave(self, identity: str, status: int) -> None:
        self.result.skipped.append((identity, STATUS_TEXT.get(status, "")))
        self.result.up.skipped += 1

    def _keep(self) -> None:
        if self._young:
            self.store.sync()
            self._young = False
        super()._keep()
