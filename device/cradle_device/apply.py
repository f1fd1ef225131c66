"""APPLY: one batch of changes, from its first element to its answer. Judges and stages; `install` makes it visible.

Theory: elements are taken as they come and contents go to staged objects at once, so that a batch needs no memory but
for its items. A change that cannot be taken gets a status, its content is read over, and the batch goes on: nothing
about one item ends a session. At COMMIT the staged data become durable, then the intents, then the objects visible,
then the metadata with the knowledge of the range.
"""

from cradle_device import stages
from cradle_device.conversation import FLASH, WORK
from cradle_device.install import Installer
from cradle_device.metadata import PATH_MAX
from cradle_protocol.compat import MICROPYTHON, sha256
from cradle_protocol.errors import (
    BAD_MESSAGE,
    BAD_NAME,
    CHANGED,
    LIMIT,
    MISMATCH,
    NO_ROOM,
    OK,
    STALE,
    RemoteError,
)
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.change import Change
from cradle_protocol.sync.item import GHOST, IMPLIED, Link, item_id
from cradle_protocol.sync.rules import KNOWN, TAKE, judge
from cradle_protocol.sync.values import EQUAL, UNDECIDED, compare, digest_of, is_file, is_lazy, size_of, with_digest
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.records import decode_apply
from cradle_protocol.wire.messages.sync import ApplyReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cradle_device.conversation import Conversation, Steps
    from cradle_device.sync_handlers import Channel
    from cradle_protocol.compat import Hash
    from cradle_protocol.provider.store import Writer
    from cradle_protocol.sync.item import Item
    from cradle_protocol.sync.slices import Slices

# What a power cut may cost of a large content that is on its way: flash is flushed so often, a disk more rarely.
_FLUSH_EVERY = 65536 if MICROPYTHON else 8 << 20


class Entry:
    """One change of a batch.

    new      the item as it becomes; None where there is nothing to do
    old      the item as it is, None if there is none
    name     of the staged content, "" where none is needed
    waiting  content is still to come
    status   OK, or why this change is not applied
    """

    def __init__(self, new: "Item | None", old: "Item | None", status: int = OK) -> None:
        self.new, self.old, self.status = new, old, status
        self.name = ""
        self.waiting = False


class Batch:
    """A batch that is coming in, or being committed."""

    def __init__(self, channel: "Channel", request: int, most: int) -> None:
        self.channel, self.request = channel, request
        self.committing = False
        self.entries: list[Entry] = []
        self.ids: list[bytes] = []
        self.lower = self.upper = b""
        self.learn = self.together = False
        self._most = most
        self._begun = False
        self._writer: "Writer | None" = None
        self._hasher: "Hash | None" = None
        self._length = self._unflushed = 0
        self._room = 0  # bytes that the store is known to have room for

    # -- elements

    def take(self, view: memoryview) -> "Steps":
        """All elements of one part. Raises RemoteError for what is out of order."""
        at = 0
        while at < len(view):
            tag, values, at = decode_apply(view, at, self.channel.meta.units)
            yield FLASH if tag == c.DATA else WORK
            yield from self._element(tag, values)

    def _element(self, tag: int, values: "tuple[Any, ...]") -> "Slices[None]":
        if self.committing or (tag == c.BEGIN) == self._begun:
            raise RemoteError(BAD_MESSAGE, "a batch begins once and ends with its commit")
        if tag == c.BEGIN:
            self._begun = True
            self.lower, self.upper, flags = values
            self.learn, self.together = flags & c.LEARN != 0, flags & c.TOGETHER != 0
        elif tag == c.CHANGE:
            yield from self._change(values)
        elif tag == c.DATA:
            yield from self._data(values)
        else:
            self.committing = True

    def _change(self, values: "tuple[Any, ...]") -> "Slices[None]":
        facts, content, offset = values
        i, oid, identity, dead, created, versions, unit_values, link, ghost = facts
        if i is None:
            i = item_id(self.channel.store.type, identity)
        if len(self.entries) >= self._most:
            raise RemoteError(LIMIT, "a batch has more than %d changes" % self._most)
        if not self.lower <= i <= self.upper or (self.ids and i <= self.ids[-1]):
            raise RemoteError(BAD_MESSAGE, "a change is out of its batch's range or order")
        if len(versions) != self.channel.meta.units or not (
            dead or (unit_values and len(unit_values) == len(versions))
        ):
            raise RemoteError(BAD_MESSAGE, "a change has not the units of this type")
        self._check_keys(versions, created, link)
        self._end_content()
        link = Link(link[0], link[1], link[2]) if link is not None else None
        ghost = ghost and not dead
        change = Change(i, oid, identity, dead, created, versions, None if dead else unit_values, link, ghost)
        self.ids.append(i)
        entry = self._judge(change)
        self.entries.append(entry)
        if content != c.CONTENT_NONE:
            entry.waiting = content != c.CONTENT_STAGED
        if entry.new is not None and not entry.status:
            yield from self._expect(entry, change, content, offset)

    def _check_keys(self, versions: "list[tuple[int, int]]", created: "tuple[int, int]", link: "Any") -> None:
        known = len(self.channel.meta.replicas)
        named = versions + [created]
        if link is not None:
            named = named + [link[1]] + [version for version, _ in link[2]]
        for version in named:
            if version[1] >= known:
                raise RemoteError(BAD_MESSAGE, "a version names an unknown replica key")

    def _judge(self, change: Change) -> Entry:
        """May this change be taken, and what does the item become?"""
        meta, made = self.channel.meta, self.channel.made
        assert made is not None
        old = meta.get(change.id)
        mine = meta.knowledge.vector(change.id)
        verdict, new = judge(change, old, mine, made.vector(change.id), meta.replicas)
        if verdict == KNOWN:
            if old is None or change.dead or old.dead or old.versions != change.versions:
                return Entry(None, old)
            if bool(old.flags & GHOST) == change.ghost:
                return Entry(None, old)
            new = old.copy()  # the filter has changed: the content comes, or goes
        elif verdict != TAKE or new is None or change.id in self.channel.refused:
            return Entry(None, old, STALE)
        if (not new.identity and not new.dead) or len(new.identity.encode()) > PATH_MAX:
            return Entry(None, old, BAD_NAME)
        try:
            if old is not None and not old.dead and not self._as_seen(old):
                return Entry(None, old, STALE)
        except StoreError as error:
            return Entry(None, old, error.status)
        if change.values and (new.versions[0] == change.versions[0] or new.values[0] == change.values[0]):
            # Else the content stays another one than that of which the mark speaks.
            new.flags = new.flags | GHOST if change.ghost else new.flags & ~GHOST
        return Entry(new, old)

    def _as_seen(self, old: "Item") -> bool:
        """Does the store show of a living item what the scan saw?"""
        if old.flags & IMPLIED:
            return True
        if old.held():
            return self.channel.store.stamp(old.identity) == old.stamp
        try:
            return self.channel.store.stamp(old.identity) is None
        except StoreError:
            return True  # known by a name that cannot be here

    # -- contents

    def _expect(self, entry: Entry, change: Change, content: int, offset: "int | None") -> "Slices[None]":
        """Make ready for the content of an entry, or see that what is here already is the one that is meant."""
        new, store = entry.new, self.channel.store
        assert new is not None
        if not new.held() or not is_file(new.values[0]):
            return
        name = stages.name_of(new.id, change.versions[0])
        try:
            if content == c.CONTENT_NONE:
                entry.status = yield from self._held(entry)
            elif content == c.CONTENT_STAGED:
                entry.name = name
                digest = self.channel.stashed.get(name) or (yield from store.staged_hashing(name))
                if digest_of(new.values[0]) not in (b"", digest):
                    raise StoreError(MISMATCH)
                new.values[0] = with_digest(new.values[0], digest)
            elif not self._fits(size_of(new.values[0]) - (offset or 0)):
                entry.status = NO_ROOM
            else:
                entry.name = name
                self._begin_content(entry, offset or 0)
        except StoreError as error:
            entry.status = error.status
            if entry.name:
                self._forget_content(entry)

    def _fits(self, size: int) -> bool:
        """Is there room? The store is asked again only when what it said is used up."""
        if size > self._room:
            self._room = self.channel.store.room()
        self._room -= size
        return self._room >= 0

    def _held(self, entry: Entry) -> "Slices[int]":
        """Is the content of the new item what the old one has? It is hashed here if nobody has done that."""
        new, old = entry.new, entry.old
        if new is None or old is None or not old.held() or not is_file(old.values[0]):
            return STALE
        if old.values[0] == new.values[0]:
            return OK
        alike = compare(new.values[0], old.values[0])
        if alike == UNDECIDED and is_lazy(old.values[0]) and not is_lazy(new.values[0]):
            size = size_of(old.values[0])
            hashed = with_digest(old.values[0], (yield from self.channel.store.hashing(old.identity, size)))
            alike = compare(new.values[0], hashed)
            if alike == EQUAL:
                old.values[0] = hashed
        return OK if alike == EQUAL else STALE

    def _begin_content(self, entry: Entry, offset: int) -> None:
        if offset and self.channel.staged.get(entry.name) != offset:
            entry.status = MISMATCH
            return
        self._length = offset
        self._hasher = None if offset else sha256()

    def _data(self, values: "tuple[Any, ...]") -> "Slices[None]":
        """A piece of content: always of the last change."""
        index, flags, data, digest = values
        if index != len(self.entries) - 1 or not self.entries[index].waiting:
            raise RemoteError(BAD_MESSAGE, "content came for a change that waits for none")
        entry = self.entries[index]
        if flags & (c.END | c.ABORT):
            entry.waiting = False
        if entry.status or not entry.name:
            return
        try:
            if flags & c.ABORT:
                raise StoreError(CHANGED)
            yield from self._write(entry, data, digest)
        except StoreError as error:
            entry.status = error.status
            self._forget_content(entry)

    def _write(self, entry: Entry, data: memoryview, digest: "bytes | None") -> "Slices[None]":
        """Stage a piece; with the digest it was the last one. Raises StoreError."""
        store, hasher = self.channel.store, self._hasher
        if hasher is not None:
            hasher.update(data)
        whole = digest is not None and self._writer is None and self._length == 0
        if whole:
            store.stage_bytes(entry.name, data)
        elif len(data):
            if self._writer is None:
                self._writer = store.stage(entry.name, self._length > 0)
            self._writer.write(data)
        self._length += len(data)
        if digest is not None:
            self._close_writer()
            found = hasher.digest() if hasher is not None else (yield from store.staged_hashing(entry.name))
            self._verify(entry, found, digest)
        else:
            self._flush(len(data))

    def _flush(self, count: int) -> None:
        self._unflushed += count
        if self._unflushed >= _FLUSH_EVERY and self._writer is not None:
            self._writer.flush()
            self._unflushed = 0

    def _verify(self, entry: Entry, found: bytes, digest: bytes) -> None:
        """The whole content is here: is it the one that was meant?"""
        new = entry.new
        assert new is not None
        if found != digest or self._length != size_of(new.values[0]) or digest_of(new.values[0]) not in (b"", digest):
            raise StoreError(MISMATCH)
        new.values[0] = with_digest(new.values[0], digest)

    def _end_content(self) -> None:
        """The next change begins, or the batch ends: the last content must be complete."""
        if self.entries and self.entries[-1].waiting:
            raise RemoteError(BAD_MESSAGE, "a content has no end")
        self._close_writer()

    def _close_writer(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()
        self._unflushed = 0

    def _forget_content(self, entry: Entry) -> None:
        self._close_writer()
        try:
            self.channel.store.unstage(entry.name)
        except StoreError:
            pass
        self.channel.staged.pop(entry.name, None)

    def drop(self) -> None:
        """The batch ends here. What was staged stays, so that the next session can go on from there."""
        if self._writer is not None:
            try:
                self._writer.flush()
            except StoreError:
                pass
            self._close_writer()

    # -- the end

    def commit(self) -> "Steps":
        """Make the batch visible and durable."""
        self._end_content()
        settled = False
        try:
            yield FLASH
            if self.together:
                from cradle_device.together import install  # a board loads it when objects belong together

                if not install(self._installer(), self.channel.store, self.entries):
                    self.channel.refused += self.ids
            else:
                yield from self._installer().run()
            self._learn()
            self.channel.meta.commit()
            settled = True
        finally:
            if not settled:
                self.channel.replica.unsettled()
        self.committing = False
        yield from self.channel.replica.tidy()

    def _installer(self) -> Installer:
        return Installer(self.channel, self.entries)

    def _learn(self) -> None:
        meta, made = self.channel.meta, self.channel.made
        assert made is not None
        if self.learn:
            skipped = [self.ids[k] for k in range(len(self.ids)) if self.entries[k].status]
            learned = meta.knowledge.learn(self.lower, self.upper, made, skipped)
            if learned and self.channel.forgotten is not None:
                from cradle_protocol.sync.forget import heed  # a board loads it when there is something to forget

                heed(meta, self.channel.forgotten, self.lower, self.upper, skipped)
            meta.knowledge.raise_own(0, meta.tick)

    def failures(self) -> "list[tuple[int, int]]":
        """(index, status) of the changes that were not applied."""
        return [(k, self.entries[k].status) for k in range(len(self.entries)) if self.entries[k].status]


def apply(talk: "Conversation", request: int, body: memoryview, more: bool, kind: "type[Batch]" = Batch) -> "Steps":
    """One part of an APPLY request; the last one brings the commit and gets the answer."""
    if talk.batch is None:
        channel = talk.passing
        if channel is None or channel.made is None:
            raise RemoteError(BAD_MESSAGE, "a batch came before its pass")
        channel.refresh()
        talk.batch = kind(channel, request, talk.agent.limits.batch_items)
    batch = talk.batch
    if batch.request != request:
        raise RemoteError(BAD_MESSAGE, "two batches came at once")
    yield from batch.take(body)
    if more:
        return
    if not batch.committing:
        raise RemoteError(BAD_MESSAGE, "a batch ended without its commit")
    yield from batch.commit()
    talk.batch = None
    failures = batch.failures()
    reply = ApplyReply(len(batch.entries) - len(failures), failures)
    yield from talk.reply_joined(request, c.APPLY_REPLY, reply.to_bytes())
