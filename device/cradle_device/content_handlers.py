"""Answers to the requests for contents: contents themselves, hashes, copies under other names. Changes no object.

Each handler is a generator (`conversation`). Optimistic concurrency: whatever is read is checked against its stamp
after the last byte, so that nothing torn is ever sent as whole.
"""

from cradle_device import stages
from cradle_device.conversation import FLASH, WORK, single
from cradle_protocol.compat import MICROPYTHON, sha256
from cradle_protocol.errors import (
    BAD_MESSAGE,
    CHANGED,
    LIMIT,
    MISMATCH,
    MISSING_SOURCE,
    OK,
    RemoteError,
)
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.item import RACY
from cradle_protocol.sync.values import digest_of, is_file, is_lazy, size_of, with_digest
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.codec import RECORD, functions, least
from cradle_protocol.wire.messages.records import segment_head
from cradle_protocol.wire.messages.sync import (
    Fetch,
    Hash,
    HashReply,
    Stash,
    StashReply,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cradle_device.conversation import Conversation, Steps
    from cradle_device.sync_handlers import Channel
    from cradle_protocol.compat import Hash as Hasher
    from cradle_protocol.provider.store import Reader
    from cradle_protocol.sync.item import Item
    from cradle_protocol.sync.slices import Slices

_SEGMENT_HEAD = 8
_DIGEST = 32
# A content is begun in a part only if this much of it fits behind what is there.
_WORTH = 64
_HASH_ENTRY = 37
# Fetch's list begins behind the channel and the count; its elements are taken one by one.
_LIST_AT = 3
_WANTED = Fetch.FIELDS[1][1][2]
_WANTED_SIZE = least((RECORD, _WANTED))
_decode_wanted = functions(_WANTED)[1]
# Copies whose hash is known when their change comes; the others are hashed then.
_STASHED = 8 if MICROPYTHON else 65536


def fetch(talk: "Conversation", request: int, body: memoryview, more: bool) -> "Steps":
    """The contents asked for, back to back; a digest that had to be computed is kept."""
    single(more)
    channel = talk.channel(body[0] if len(body) else 0)
    part = _Part(talk, request, channel)
    for oid, version, offset in _wanted(body):
        item = channel.meta.by_oid(oid)
        if item is None or not item.held() or item.versions[0] != version or not is_file(item.values[0]):
            yield from part.failed(oid, CHANGED)
            continue
        try:
            yield from _send(part, channel, item, oid, offset)
        except StoreError as error:
            yield from part.failed(oid, error.status)
    yield from part.flush(False)


def _wanted(body: memoryview) -> "Iterator[tuple[int, tuple[int, int], int]]":
    """What `Fetch.wanted` holds, one at a time: the whole list is more than a board has room for."""
    at = _LIST_AT
    if len(body) < at or len(body) - at != int.from_bytes(body[at - 2 : at], "big") * _WANTED_SIZE:
        raise RemoteError(BAD_MESSAGE, "a list of contents is cut short")
    while at < len(body):
        values, at = _decode_wanted(body, at)
        yield values[0], values[1], values[2]


def _send(part: "_Part", channel: "Channel", item: "Item", oid: int, offset: int) -> "Steps":
    """One content from an offset on. Raises StoreError for what cannot be read, or changed meanwhile."""
    store, value = channel.store, item.values[0]
    size = size_of(value)
    hasher = sha256() if is_lazy(value) else None
    reader = store.open(item.identity, 0 if hasher is not None else offset)
    try:
        if hasher is not None and offset:
            yield from _skip(part.talk, reader, hasher, offset)
        position = offset
        while True:
            if part.room() < _WORTH:
                yield from part.flush(True)
            count = part.read(reader, min(part.room(), max(1, size - position)), hasher)
            position += count
            if not count or position >= size:
                break
            part.close(oid, 0, count)
    finally:
        reader.close()
    if position != size or store.stamp(item.identity) != item.stamp:
        raise StoreError(CHANGED)
    digest = hasher.digest() if hasher is not None else digest_of(value)
    if hasher is not None and not channel.preview:
        part.hashed = _keep_digest(channel, item, digest) or part.hashed
    part.close(oid, c.END, count, digest)


def _skip(talk: "Conversation", reader: "Reader", hasher: "Hasher", size: int) -> "Steps":
    """Read what the desktop has already, for the hash alone."""
    view = memoryview(bytearray(min(size, max(len(talk.buffer()), 512))))
    while size:
        count = reader.read_into(view[: min(size, len(view))])
        if not count:
            return
        hasher.update(view[:count])
        size -= count
        yield WORK


def _keep_digest(channel: "Channel", item: "Item", digest: bytes) -> bool:
    """Put the digest into the item, unless another session has changed that meanwhile."""
    now = channel.meta.get(item.id)
    if now is None or now.values[0] != item.values[0] or now.stamp != item.stamp:
        return False
    now.values[0] = with_digest(now.values[0], digest)
    channel.meta.put(now)
    return True


class _Part:
    """One part of FETCH_REPLY being filled, in the session's one buffer for replies.

    hashed  it holds the end of a content whose digest is new. That is durable before the part goes: content without a
            digest is content that no peer has (`detect` relies on it)
    """

    def __init__(self, talk: "Conversation", request: int, channel: "Channel") -> None:
        self.talk, self._request, self._channel = talk, request, channel
        self.hashed = False
        self._view = memoryview(talk.buffer())
        self._at = 0

    def room(self) -> int:
        """Bytes of content that a segment may still hold here; negative if not even its head fits."""
        return len(self._view) - self._at - _SEGMENT_HEAD - _DIGEST

    def read(self, reader: "Reader", most: int, hasher: "Hasher | None") -> int:
        """Read content to where it will be sent from."""
        start = self._at + _SEGMENT_HEAD
        view = self._view[start : start + most]
        count = 0
        while count < most:
            got = reader.read_into(view[count:])
            if not got:
                break
            count += got
        if hasher is not None:
            hasher.update(view[:count])
        return count

    def close(self, oid: int, flags: int, count: int, digest: bytes = b"") -> None:
        """Make a segment of the `count` bytes read."""
        end = self._at + _SEGMENT_HEAD + count
        self._view[self._at : self._at + _SEGMENT_HEAD] = segment_head(oid, flags, count)
        self._view[end : end + len(digest)] = digest
        self._at = end + len(digest)

    def failed(self, oid: int, status: int) -> "Steps":
        """A segment that says why nothing more comes for this object."""
        if self.room() < 1:
            yield from self.flush(True)
        self._view[self._at + _SEGMENT_HEAD] = status
        self.close(oid, c.SEGMENT_FAILED, 1)

    def flush(self, more: bool) -> "Steps":
        """Send the part; the buffer is free again when this is done."""
        if self.hashed:
            yield FLASH
            self._channel.meta.commit()
            self.hashed = False
        self.talk.session.reply(self._request, c.FETCH_REPLY, self._view[: self._at], more)
        self._at = 0
        if more:
            yield WORK


def hash_contents(talk: "Conversation", request: int, body: memoryview, more: bool) -> "Steps":
    """Hash contents, and keep the hashes."""
    single(more)
    asked = Hash.from_bytes(body)
    channel = talk.channel(asked.channel)
    if len(asked.oids) * _HASH_ENTRY + 2 > talk.session.max_body():
        raise RemoteError(LIMIT, "the answer to %d hashes is longer than a message" % len(asked.oids))
    answers = []
    kept = False
    for oid in asked.oids:
        item = channel.meta.by_oid(oid)
        if item is None or not item.held() or not is_file(item.values[0]):
            answers.append((oid, CHANGED, bytes(_DIGEST)))
            continue
        digest, status = digest_of(item.values[0]), OK
        if not digest:
            digest, status = yield from _hashed(channel, item)
            if status == OK and not channel.preview:
                kept = _keep_digest(channel, item, digest) or kept
        answers.append((oid, status, digest))
    if kept:
        yield FLASH
        channel.meta.commit()
    talk.session.reply(request, c.HASH_REPLY, HashReply(answers).to_bytes())


def _hashed(channel: "Channel", item: "Item") -> "Slices[tuple[bytes, int]]":
    """(digest, status) of a content."""
    try:
        digest = yield from channel.store.hashing(item.identity, size_of(item.values[0]))
        if channel.store.stamp(item.identity) != item.stamp:
            return bytes(_DIGEST), CHANGED
    except StoreError as error:
        return bytes(_DIGEST), error.status
    return digest, OK


def stash(talk: "Conversation", request: int, body: memoryview, more: bool) -> "Steps":
    """Stage copies of contents that are here, for items that are to come."""
    single(more)
    asked = Stash.from_bytes(body)
    channel = talk.channel(asked.channel, True)
    statuses = []
    for source, digest, target, version in asked.copies:
        yield FLASH
        try:
            yield from _copy(channel, source, digest, stages.name_of(target, version))
            statuses.append(OK)
        except StoreError as error:
            statuses.append(error.status)
    talk.session.reply(request, c.STASH_REPLY, StashReply(statuses).to_bytes())


def _copy(channel: "Channel", source: bytes, digest: bytes, name: str) -> "Steps":
    """Stage a copy of an item's content if it is the expected one. Raises StoreError."""
    store, item = channel.store, channel.meta.get(source)
    if item is None or not item.held() or not is_file(item.values[0]):
        raise StoreError(MISSING_SOURCE)
    if digest_of(item.values[0]) not in (b"", digest):
        raise StoreError(MISMATCH)
    yield from store.copying(item.identity, name)
    doubtful = item.flags & RACY or is_lazy(item.values[0])
    same = not doubtful or (yield from store.staged_hashing(name)) == digest
    if not same or store.stamp(item.identity) != item.stamp:
        store.unstage(name)
        raise StoreError(CHANGED)
    if len(channel.stashed) < _STASHED:
        channel.stashed[name] = digest


HANDLERS = ((c.FETCH, fetch), (c.HASH, hash_contents), (c.STASH, stash))
