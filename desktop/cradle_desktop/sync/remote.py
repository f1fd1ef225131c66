"""The device's replica of one type, as the engine asks it: typed requests over a connection. Decides nothing.

All versions and knowledge that leave this module are in the desktop's replica keys; on the wire they are in the
agent's. Requests are pipelined; what streams (contents) is handed over as views that live until the next one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator

from cradle_desktop.connection import Connection
from cradle_desktop.errors import RequestFailed
from cradle_desktop.sync.naming import Names
from cradle_protocol.compat import sha256
from cradle_protocol.errors import BAD_MESSAGE, LIMIT, NOT_ALLOWED, RemoteError
from cradle_protocol.provider.paths import CASELESS, COMPOSED, FAT_NAMES
from cradle_protocol.sync.change import Change, remap
from cradle_protocol.sync.item import Item, Link, item_id
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.moved import PROOF_SIZE, prove
from cradle_protocol.sync.values import digest_of
from cradle_protocol.sync.version import LOWEST
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.sync import (
    Ages,
    AgesReply,
    Changes,
    ChangesEnd,
    Fetch,
    Hash,
    HashReply,
    Move,
    MoveReply,
    Pass,
    Replicas,
    ReplicasReply,
    Stash,
    StashReply,
    SyncClose,
    SyncOpen,
    SyncOpenReply,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cradle_desktop.sync.former import Former
    from cradle_desktop.sync.moves import Rename
    from cradle_desktop.sync.upload import Upload
    from cradle_protocol.sync.version import Version

    Bytes = bytes | bytearray | memoryview
    MoveRow = tuple[bytes, bytes, Version, str]

NONE, FOLLOWS, RESUME, STAGED = c.CONTENT_NONE, c.CONTENT_FOLLOWS, c.CONTENT_RESUME, c.CONTENT_STAGED

# Bytes of change records granted per CHANGES request: a few thousand records, one round trip each.
CHANGES_CREDIT = 1 << 20
# Contents named in one FETCH request; two requests under way keep the line busy.
FETCH_ITEMS = 256
FETCH_DEPTH = 2
_FETCH_ENTRY = 16  # bytes: u32 oid, 6 bytes version, u48 offset
# Records asked for at once: each makes the knowledge that is sent longer, and a board reads its whole index for it.
RECORDS_LEAST, RECORDS_MOST = 32, 1000
_FORGET_ENTRY = 17  # bytes of knowledge: id, u8 entries
_HASH_ENTRY = 37  # bytes of a reply: u32 oid, u8 status, digest
_AGE_ENTRY = 4  # bytes: u32
_STASH_ENTRY = 70  # bytes: two ids, digest, version
_MOVE_HEAD, _MOVE_ENTRY = 3, 40  # bytes: channel and count; id, proof, version, length of the name


class Segment:
    """One piece of a fetched content. `digest` comes with the last piece, `status` instead if it failed."""

    __slots__ = ("data", "digest", "last", "oid", "status")

    def __init__(self, oid: int, data: Bytes, last: bool, digest: bytes | None, status: int | None) -> None:
        self.oid, self.data, self.last, self.digest, self.status = oid, data, last, digest, status


class RemoteReplica:
    """One channel on the device's replica: the constructor asks it to scan, `finish` waits for that."""

    def __init__(self, connection: Connection, meta: Metadata, type_name: str, preview: bool) -> None:
        """Ask the device to scan; it works while we do."""
        self.connection, self.meta = connection, meta
        self.limits = connection.peer
        self.name, self.type = connection.peer.name, type_name
        flags = c.PREVIEW if preview else 0
        self._expected = next((one[2] for one in connection.peer.types if one[0] == type_name), b"")
        self._seen = _newest(meta, self._expected)
        body = SyncOpen(flags, type_name, meta.replicas[0], self._seen).to_bytes()
        self._opening = connection.start(c.SYNC_OPEN, body)
        self.finished = False
        self.shown: dict[bytes, Change] = {}
        self.former: Former = {}  # what changed here, as the device may have it still

    def finish(self) -> None:
        """Wait for the scan's end and learn what the device says of its replica."""
        parts = [bytes(body) for _, body, _ in self.connection.replies(self._opening)]
        self.finished = True
        reply = SyncOpenReply.from_bytes(b"".join(parts))
        self.channel, self.store_id, self.objects = reply.channel, reply.store_id, reply.objects
        self.replica_id = reply.replica_id
        self.replicas, self.met_before = reply.replicas, reply.replica_id in self.meta.replicas
        self.set_back = self._seen > 0 and self.replica_id != self._expected
        self.skipped = worth_telling([(path, status) for status, path in reply.skipped], self.type, self.meta)
        self.holds_mode, self.renames = bool(reply.flags & c.UNITS_MODE), bool(reply.flags & c.RENAMES)
        self.names = Names(reply.flags & (CASELESS | FAT_NAMES | COMPOSED), reply.name_max, reply.path_max)
        self._ours = [self.meta.key_of(replica) for replica in reply.replicas]
        self._theirs: dict[int, int] = {ours: k for k, ours in enumerate(self._ours)}
        self.knowledge = Knowledge.from_bytes(reply.knowledge, self._ours)
        self.forgotten = Knowledge.from_bytes(reply.forgotten, self._ours)
        self.generation, self.filter = reply.generation, reply.filter
        self._staged = {(i, self._mine(version)): length for i, version, length in reply.staged}

    def untouched(self) -> bool:
        """Does the device hold and know nothing at all, wants it everything, could it look everywhere?"""
        nothing = Knowledge()
        known = not nothing.contains(self.knowledge) or not nothing.contains(self.forgotten)
        return not (known or self.objects or self.skipped or self.generation or self._staged)

    def _mine(self, version: Version) -> Version:
        if version[1] >= len(self._ours):
            raise RemoteError(BAD_MESSAGE, "the device named an unknown replica")
        return version[0], self._ours[version[1]]

    def _their(self, version: Version) -> Version:
        return version[0], self._theirs[version[1]]

    # -- from the device

    def changes(self, knowledge: Knowledge) -> list[Change]:
        """Everything that the device has and `knowledge` lacks, in the order of ids."""
        try:
            return self._changes(knowledge)
        except RequestFailed as error:
            if error.status != LIMIT or not knowledge.exceptions:
                raise
            return self._changes(_without_exceptions(knowledge))  # the device cannot hold all of it: that asks for more

    def _changes(self, knowledge: Knowledge) -> list[Change]:
        body, found, start = knowledge.to_bytes(self._theirs), [], LOWEST
        while True:
            request = Changes(self.channel, CHANGES_CREDIT, start, body).to_bytes()
            end: ChangesEnd | None = None
            for kind, part, _ in self.connection.replies(self.connection.start_long(c.CHANGES, request)):
                if kind == c.CHANGES_END:
                    end = ChangesEnd.from_bytes(part)
                else:
                    found += self._records(part)
            if end is None:
                raise RemoteError(BAD_MESSAGE, "the device's list of changes has no end")
            if end.complete:
                return found
            if end.next <= start:
                raise RemoteError(BAD_MESSAGE, "the device's list of changes does not advance")
            start = end.next

    def _records(self, part: Bytes) -> list[Change]:
        from cradle_protocol.wire.messages.records import decode_change  # its tables are compiled: not for a no-op

        at, found = 0, []
        while at < len(part):
            record, at = decode_change(part, at, self.meta.units)
            try:
                found.append(remap(_change(record, self.type), self._ours))
            except IndexError:
                raise RemoteError(BAD_MESSAGE, "a change names an unknown replica") from None
        return found

    def records(self, ids: list[bytes]) -> dict[bytes, Change]:
        """{item id: what the device holds under it}, also of what it has not shown in this session."""
        known, found = self.meta.knowledge.to_bytes(self._theirs), list[Change]()
        step = min(RECORDS_MOST, max(RECORDS_LEAST, (self.limits.max_message - len(known)) // _FORGET_ENTRY))
        for k in range(0, len(ids), step):
            lacking = self.meta.knowledge.copy()
            for i in ids[k : k + step]:
                lacking.forget_item(i)
            found += self.changes(lacking)
        return {change.id: change for change in found}

    def digests(self, changes: list[Change]) -> dict[bytes, bytes]:
        """{item id: SHA-256} of the device's contents; what it could not read is missing."""
        ids = {change.oid: change.id for change in changes}
        oids, found = list(ids), {}
        step = max(1, min(FETCH_ITEMS, (self.limits.max_message - 2) // _HASH_ENTRY))
        for k in range(0, len(oids), step):
            request = Hash(self.channel, oids[k : k + step]).to_bytes()
            for oid, status, digest in HashReply.from_bytes(self.connection.call(c.HASH, request)).hashes:
                if not status and oid in ids:
                    found[ids[oid]] = digest
        return found

    def ages(self, changes: list[Change]) -> dict[bytes, int]:
        """{item id: seconds since the content was written, by the device's clock}; what it cannot tell is missing."""
        found: dict[bytes, int] = {}
        step = max(1, (self.limits.max_message - 3) // _AGE_ENTRY)
        for k in range(0, len(changes), step):
            some = changes[k : k + step]
            request = Ages(self.channel, [change.oid for change in some]).to_bytes()
            answers = AgesReply.from_bytes(self.connection.call(c.AGES, request)).ages
            if len(answers) != len(some):
                raise RemoteError(BAD_MESSAGE, "the device gave another number of ages than was asked for")
            pairs = zip(some, answers, strict=True)
            found.update((change.id, age) for change, age in pairs if age != c.AGE_UNKNOWN)
        return found

    def written(self, ids: list[bytes]) -> dict[bytes, int]:
        """{item id: when the content that the device has shown was written}, Unix seconds, as far as it can tell."""
        changes = [self.shown[i] for i in ids if i in self.shown]
        ages, now = self.ages(changes) if changes else {}, int(time.time())
        return {i: now - age for i, age in ages.items()}

    def fetch(self, wanted: list[tuple[Change, int]]) -> Generator[Segment, None, None]:
        """The contents of the wanted changes, each from its offset on, back to back in that order."""
        entries = [(change.oid, self._their(change.versions[0]), offset) for change, offset in wanted]
        step = max(1, min(FETCH_ITEMS, (self.limits.max_message - 3) // _FETCH_ENTRY))
        lots = deque(entries[k : k + step] for k in range(0, len(entries), step))
        flight: deque[int] = deque()
        while lots or flight:
            while lots and len(flight) < min(FETCH_DEPTH, self.limits.max_requests):
                flight.append(self.connection.start(c.FETCH, Fetch(self.channel, lots.popleft()).to_bytes()))
            for _, body, _ in self.connection.replies(flight.popleft()):
                yield from _segments(body)

    def contents(self, wanted: list[Change]) -> dict[bytes, bytes]:
        """{item id: content} of small objects; what could not be read, or is not what its change says, is missing."""
        found: dict[bytes, bytes] = {}
        by_oid = {change.oid: change for change in wanted}
        data = bytearray()
        for segment in self.fetch([(change, 0) for change in wanted]):
            data += segment.data
            if segment.last:
                change, digest = by_oid.get(segment.oid), sha256(data).digest()
                if change is not None and change.values and segment.digest == digest == digest_of(change.values[0]):
                    found[change.id] = bytes(data)
                data.clear()
        return found

    # -- to the device

    def stash(self, moves: list[tuple[tuple[bytes, bytes], Item]]) -> list[int]:
        """Have the device stage contents that it holds: ((source id, digest), target). One status each."""
        rows = [(source, digest, item.id, self._their(item.versions[0])) for (source, digest), item in moves]
        step = max(1, (self.limits.max_message - 3) // _STASH_ENTRY)
        statuses: list[int] = []
        for k in range(0, len(rows), step):
            request = Stash(self.channel, rows[k : k + step]).to_bytes()
            statuses += StashReply.from_bytes(self.connection.call(c.STASH, request)).statuses
        return statuses

    def move(self, moves: list[Rename]) -> list[int]:
        """Have the device rename what it holds, each with all that lies in it. One status each; within a pass."""
        rows = [
            (one.source.id, self._proof(one), self._their(one.target.created), one.target.identity) for one in moves
        ]
        statuses: list[int] = []
        for some in _parts(rows, self.limits.max_message):
            try:
                body = self.connection.call(c.MOVE, Move(self.channel, some).to_bytes())
                statuses += MoveReply.from_bytes(body).statuses
            except RequestFailed as error:
                if error.status != LIMIT:
                    raise
                statuses += [LIMIT] * len(some)  # it has no memory for that
        return statuses

    def _proof(self, one: Rename) -> bytes:
        """Of what has to be alive there below the old name."""
        hasher = sha256()
        for gone, _ in sorted(one.pairs, key=lambda pair: pair[0].id):
            base = gone.link.base if gone.link is not None else []
            prove(hasher, gone.id, self._their(gone.created), [self._their(version) for version, _ in base])
        return hasher.digest()[:PROOF_SIZE]

    def staged_length(self, item: Item) -> int:
        """How much of this item's content the device has staged by an earlier session."""
        return self._staged.get((item.id, item.versions[0]), 0)

    def forget_staged(self, item: Item) -> None:
        """The device has dropped what it had staged: the content starts from its beginning again."""
        self._staged.pop((item.id, item.versions[0]), None)

    def begin_pass(self, meta: Metadata, but: Collection[bytes]) -> bool:
        """Give keys to the replicas that the device does not know, and say what our changes were made with, `but` for
        these ids: of them it learns nothing.

        What is forgotten here it takes over with what it learns, if it has not yet. False: our knowledge is too long
        for it; see `begin_part`.
        """
        strangers = [k for k in range(len(meta.replicas)) if k not in self._theirs]
        if strangers:
            body = Replicas(self.channel, [meta.replicas[k] for k in strangers]).to_bytes()
            first = ReplicasReply.from_bytes(self.connection.call(c.REPLICAS, body)).first_key
            self._theirs.update({k: first + n for n, k in enumerate(strangers)})
        self._keys = [self._theirs[k] for k in range(len(meta.replicas))]
        flags = 0 if self.forgotten.contains(meta.forgotten) else c.FULL
        forgotten = (meta.forgotten if flags else Knowledge()).to_bytes(self._theirs)
        known = meta.knowledge.copy() if but else meta.knowledge
        for i in but:
            known.forget_item(i)
        made = Pass(self.channel, flags, known.to_bytes(self._theirs), forgotten)
        try:
            self._tell(made)
        except RequestFailed as error:
            if error.status != LIMIT or not known.exceptions:
                raise
            return False
        return True

    def begin_part(self, meta: Metadata, ids: list[bytes]) -> None:
        """The same, for changes of these items alone, of which the device learns one by one."""
        made = Knowledge()
        for i in ids:
            made.learn_item(i, meta.knowledge.vector(i))
        self._tell(Pass(self.channel, 0, made.to_bytes(self._theirs), Knowledge().to_bytes()))

    def _tell(self, made: Pass) -> None:
        for _ in self.connection.replies(self.connection.start_long(c.PASS, made.to_bytes())):
            pass

    def upload(self, leaving: Callable[[bool], None]) -> Upload:
        """What the batches of the pass go through. `leaving`: see there."""
        from cradle_desktop.sync.upload import Upload

        return Upload(self.connection, self.limits.max_message, self._keys, leaving)

    def close(self) -> None:
        """Close the channel."""
        self.connection.call(c.SYNC_CLOSE, SyncClose(self.channel).to_bytes())


def _parts(rows: list[MoveRow], most: int) -> Iterator[list[MoveRow]]:
    """As many of them at a time as a message of that length holds."""
    some: list[MoveRow] = []
    room = most
    for row in rows:
        size = _MOVE_ENTRY + len(row[3].encode())
        if some and size > room:
            yield some
            some, room = [], most
        room -= size + (0 if some else _MOVE_HEAD)
        some.append(row)
    yield some


def _without_exceptions(knowledge: Knowledge) -> Knowledge:
    """The same in fewer bytes, which holds less."""
    return Knowledge.from_bytes(knowledge.to_bytes(), None, 0)


def _newest(meta: Metadata, replica: bytes) -> int:
    """The newest tick of another replica that is known here."""
    return newest(meta.knowledge, meta.replicas.index(replica)) if replica in meta.replicas else 0


def newest(knowledge: Knowledge, key: int) -> int:
    """The newest tick of a replica that this knowledge holds anywhere."""
    return max(vector.get(key, 0) for vector in [*knowledge.vectors, *knowledge.exceptions.values()])


def worth_telling(skipped: list[tuple[str, int]], type_name: str, meta: Metadata) -> list[tuple[str, int]]:
    """What a scan left out, but for links, pipes and devices that were never objects: nobody expects those to sync."""
    return [
        (identity, status)
        for identity, status in skipped
        if status != NOT_ALLOWED or _alive(meta.get(item_id(type_name, identity)))
    ]


def _alive(item: Item | None) -> bool:
    return item is not None and not item.dead


def _change(record: tuple[Any, ...], type_name: str) -> Change:
    """A change out of its record; one that names the identity is given the id that follows from it."""
    i, oid, identity, dead, created, versions, values, link, ghost = record
    if i is None:
        i = item_id(type_name, identity)
    return Change(i, oid, identity, dead, created, versions, values, None if link is None else Link(*link), ghost)


def _segments(body: Bytes) -> Iterator[Segment]:
    from cradle_protocol.wire.messages.records import decode_segment

    at = 0
    while at < len(body):
        (oid, flags, data, digest), at = decode_segment(body, at)
        if flags & c.SEGMENT_FAILED:
            yield Segment(oid, data[:0], True, None, data[0])
        else:
            yield Segment(oid, data, digest is not None, digest, None)
