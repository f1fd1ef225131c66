"""Answers to the requests that open a sync and tell what changed. Changes no object, and reads no content.

Each handler is a generator (`conversation`); those for contents are `content_handlers`, and APPLY has `apply`.
"""

from cradle_device import stages
from cradle_device.apply import apply
from cradle_device.conversation import FLASH, WAIT, WORK, single
from cradle_device.metadata import PATH_MAX
from cradle_protocol.errors import (
    BAD_MESSAGE,
    LIMIT,
    NO_STORE,
    NO_TYPE,
    RemoteError,
)
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.change import change_of
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.version import HIGHEST
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.records import encode_change
from cradle_protocol.wire.messages.sync import (
    Changes,
    ChangesEnd,
    Pass,
    Replicas,
    ReplicasReply,
    SyncClose,
    SyncOpen,
    SyncOpenReply,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_device.conversation import Conversation, Steps
    from cradle_device.replica import Replica
    from cradle_protocol.provider.store import ObjectStore
    from cradle_protocol.sync.metadata import Metadata


class Channel:
    """One object type, open in one session. `meta` is an overlay on a preview.

    made     what the desktop made its changes with; comes with PASS
    forgotten  what it has forgotten, where that is to be taken over
    staged   {name: length} of contents that an earlier session left half received
    stashed  {name: digest} of copies made in this one
    refused  ids of changes that belong together and failed together: in this pass they fail again
    """

    def __init__(self, number: int, replica: "Replica", meta: "Metadata", preview: bool) -> None:
        self.number, self.replica, self.meta, self.preview = number, replica, meta, preview
        self.store = replica.store
        self.made: Knowledge | None = None
        self.forgotten: Knowledge | None = None
        self.staged: dict[str, int] = {}
        self.stashed: dict[str, bytes] = {}
        self.refused: list[bytes] = []
        self._store_id = self.store.store_id()

    def refresh(self) -> None:
        """Before each request: is it still the store that was opened? Raises StoreError, OSError."""
        if self.store.store_id() != self._store_id:
            raise StoreError(NO_STORE, "another store is in its place: sync again")
        if not self.preview:
            self.meta = self.replica.settled()


def _hold(talk: "Conversation", replica: "Replica") -> "Steps":
    """Wait until no other session has this type open: what one judges, another must not change before it is done."""
    while replica.holder is not None and replica.holder is not talk:
        yield WAIT
    replica.holder = talk


# -- opening and closing


def sync_open(talk: "Conversation", request: int, body: memoryview, more: bool) -> "Steps":
    """Scan, and say what is here."""
    single(more)
    asked = SyncOpen.from_bytes(body)
    replica = talk.agent.replicas.get(asked.type)
    if replica is None:
        raise RemoteError(NO_TYPE, "this device offers no type %s" % asked.type)
    number = talk.free_channel()
    yield from _hold(talk, replica)
    preview = asked.flags & c.PREVIEW != 0
    yield WORK if preview else FLASH
    meta: Metadata
    if preview:
        meta, scan = yield from replica.look()
    else:
        yield from replica.check_tick(asked.known)
        scan = yield from replica.scan()
        meta = replica.meta()
    channel = talk.channels[number] = Channel(number, replica, meta, preview)
    if not preview:
        channel.staged = stages.survey(channel.store, meta, talk.agent.limits.batch_items)
    store = channel.store
    flags = (c.UNITS_MODE if store.holds(1) else 0) | (c.CLOCK_TRUSTED if _trusted(talk, store) else 0)
    flags |= store.names | (c.RENAMES if store.renames else 0)
    generation, text = replica.filter()
    reply = SyncOpenReply(
        number, store.store_id(), meta.replicas[0], meta.tick, meta.live(), scan.scanned, flags,
        store.name_max, min(PATH_MAX, store.path_max), meta.replicas, meta.knowledge.to_bytes(),
        meta.forgotten.to_bytes(), stages.listed(channel.staged),
        [(status, identity) for identity, status in scan.skipped], generation, text,
    )  # fmt: skip
    yield from talk.reply_joined(request, c.SYNC_OPEN_REPLY, reply.to_bytes())


def _trusted(talk: "Conversation", store: "ObjectStore") -> bool:
    """Was the clock set? A store that knows more of it is asked."""
    ask = getattr(store, "trusted", None)
    return talk.agent.device_time() > 0 and (ask is None or ask())


def sync_close(talk: "Conversation", request: int, body: memoryview, more: bool) -> "Steps":
    """Everything that was applied is durable already; give back what the channel held."""
    single(more)
    number = SyncClose.from_bytes(body).channel
    channel = talk.channel(number, closing=True)
    if talk.passing is channel:
        talk.passing = None
    del talk.channels[number]
    talk.release()
    channel.store.close()
    talk.session.reply(request, c.SYNC_CLOSE_REPLY)
    return
    yield WORK


def replicas(talk: "Conversation", request: int, body: memoryview, more: bool) -> "Steps":
    """Give keys to replica ids. They are durable when the answer goes: a rollback must not take them back."""
    single(more)
    asked = Replicas.from_bytes(body)
    meta = talk.channel(asked.channel, True).meta
    first = len(meta.replicas)
    if first + len(asked.ids) > talk.agent.limits.replicas:
        raise RemoteError(LIMIT, "more than %d replicas took part" % talk.agent.limits.replicas)
    for replica_id in asked.ids:
        if meta.key_of(replica_id) < first:
            raise RemoteError(BAD_MESSAGE, "a replica id is in the device's list already")
    meta.commit()
    talk.session.reply(request, c.REPLICAS_REPLY, ReplicasReply(first).to_bytes())
    return
    yield WORK


def begin_pass(talk: "Conversation", request: int, body: memoryview, more: bool) -> "Steps":
    """What the batches that follow were made with."""
    whole = talk.join(body, more)
    if whole is not None:
        asked = Pass.from_bytes(whole)
        channel = talk.channel(asked.channel, True)
        channel.made = _knowledge(asked.made_with, channel.meta)
        channel.forgotten = _knowledge(asked.forgotten, channel.meta) if asked.flags & c.FULL else None
        channel.refused = []
        talk.passing = channel
        talk.session.reply(request, c.PASS_REPLY)
    return
    yield WORK


def _knowledge(data: bytes, meta: "Metadata") -> Knowledge:
    """Knowledge in our keys; one that names a key we did not give is refused."""
    keys = list(range(len(meta.replicas)))
    return Knowledge.from_bytes(data, keys)


# -- what changed


def changes(talk: "Conversation", request: int, body: memoryview, more: bool) -> "Steps":
    """Records, in the order of ids, of what the desktop's knowledge lacks; no more than it gave credit for."""
    whole = talk.join(body, more)
    if whole is None:
        return
    asked = Changes.from_bytes(whole)
    channel = talk.channel(asked.channel)
    known = _knowledge(asked.knowledge, channel.meta)
    at: "bytes | None" = asked.start
    credit = asked.credit
    while at is not None:
        buffer = talk.buffer()
        room = min(len(buffer), talk.session.max_body())
        size, at = _records(channel.meta, known, at, buffer, min(room, credit))
        credit -= size
        if size:
            talk.session.reply(request, c.CHANGES_REPLY, memoryview(buffer)[:size], True)
            yield WORK
        elif at is not None:
            break
    end = ChangesEnd(1 if at is None else 0, HIGHEST if at is None else at)
    talk.session.reply(request, c.CHANGES_END, end.to_bytes())


def _records(
    meta: "Metadata", known: Knowledge, start: bytes, buffer: bytearray, room: int
) -> "tuple[int, bytes | None]":
    """Fill the buffer with records; their size, and the id of the first that did not fit (None: all are there)."""
    size = 0
    for item in meta.lacking(known, start):
        record = encode_change(change_of(item, not known.knows(item.id, item.created)))
        end = size + len(record)
        if end > room:
            return size, item.id
        buffer[size:end] = record
        size = end
    return size, None


def ages(talk: "Conversation", request: int, body: memoryview, more: bool) -> "Steps":
    """Say how old contents are."""
    from cradle_device.ages import answer  # a board loads it when somebody asks

    single(more)
    answer(talk, request, body)
    return
    yield WORK


def filter_of(talk: "Conversation", request: int, body: memoryview, more: bool) -> "Steps":
    """Tell what the store's filter is, and perhaps change it."""
    from cradle_device.filters import answer  # a board loads it when somebody asks

    single(more)
    yield from answer(talk, request, body)


def move(talk: "Conversation", request: int, body: memoryview, more: bool) -> "Steps":
    """Give objects other names."""
    from cradle_device.renames import move as moving  # a board loads it when something moved

    single(more)
    yield from moving(talk, request, body)


HANDLERS = (
    (c.SYNC_OPEN, sync_open), (c.REPLICAS, replicas), (c.CHANGES, changes), (c.PASS, begin_pass), (c.APPLY, apply),
    (c.SYNC_CLOSE, sync_close), (c.AGES, ages), (c.FILTER, filter_of), (c.MOVE, move),
)  # fmt: skip
