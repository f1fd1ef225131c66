"""MOVE: an object gets another name with all that lies in it, where this device has exactly what the desktop means.

Theory: the proof says which items, at which versions, are alive under the old name. If they are the same here, what
becomes of them follows from the one version of the move: for each a tombstone that names its target, and a new item
that names its source. Intents are durable before the one rename, all metadata after it are one commit, and of each
item what the desktop's pass was made with is learned. Whatever is not as it should be is refused before anything was
done: the desktop sends the changes one by one then. Read item by item: a board has no room for a folder's records.
"""

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
    MISSING_SOURCE,
    OK,
    STALE,
    RemoteError,
)
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.item import GHOST, IMPLIED, RACY, Link, item_id
from cradle_protocol.sync.moved import PROOF_SIZE, prove
from cradle_protocol.sync.slices import STRIDE
from cradle_protocol.sync.version import knows, knows_all
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.sync import Move, MoveReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cradle_device.conversation import Conversation, Steps
    from cradle_device.sync_handlers import Channel
    from cradle_protocol.sync.item import Item
    from cradle_protocol.sync.slices import Slices
    from cradle_protocol.sync.version import Version

# Objects that one move may take along: on a board each costs about 500 bytes until the pass has ended.
_MOST = 32 if MICROPYTHON else 1 << 20
# Intents that are written at a time.
_INTENDED = 4 if MICROPYTHON else 2048


def move(talk: "Conversation", request: int, body: memoryview) -> "Steps":
    """Give objects other names, one after the other, each with all that lies in it or not at all."""
    asked = Move.from_bytes(body)
    channel = talk.channel(asked.channel, True)
    if channel.made is None:
        raise RemoteError(BAD_MESSAGE, "a move came before its pass")
    statuses = []
    for source, proof, version, target in asked.moves:
        if version[1] >= len(channel.meta.replicas):
            raise RemoteError(BAD_MESSAGE, "a version names an unknown replica key")
        yield FLASH
        channel.refresh()  # the one before may have been broken off
        try:
            yield from _move(channel, channel.meta.get(source), proof, version, target)
            statuses.append(OK)
        except StoreError as error:
            statuses.append(error.status)
    talk.session.reply(request, c.MOVE_REPLY, MoveReply(statuses).to_bytes())


def _move(channel: "Channel", source: "Item | None", proof: bytes, version: "Version", target: str) -> "Steps":
    """One move. Raises StoreError, with nothing done, where it cannot be."""
    if source is None or not source.held():
        raise StoreError(MISSING_SOURCE)  # also where it went by this very change: perhaps without what lies in it
    ids: list[bytes] = []
    yield from _look(channel, source, proof, ids)
    for _ in _pairs(channel, source, version, target, ids):
        yield WORK
    done = False
    try:
        yield from _act(channel, source, version, target, ids)
        done = True
    finally:
        if not done:
            channel.replica.unsettled()


def _look(channel: "Channel", source: "Item", proof: bytes, ids: "list[bytes]") -> "Slices[None]":
    """Is what is alive under the old name what is meant, and as the last scan saw it? Fills in its ids."""
    hasher, below, knowledge = sha256(), source.identity + "/", channel.meta.knowledge
    most = min(_MOST, (knowledge.limit - len(knowledge.exceptions)) // 2)
    for n, item in enumerate(channel.meta.items()):
        if n % STRIDE == STRIDE - 1:
            yield
        if item.id != source.id and not item.identity.startswith(below):
            continue
        if item.flags & (IMPLIED | GHOST):
            raise StoreError(MISMATCH)
        if item.dead:
            continue
        if channel.store.stamp(item.identity) != item.stamp:
            raise StoreError(CHANGED)
        if len(ids) >= most:
            raise StoreError(LIMIT)
        ids.append(item.id)
        prove(hasher, item.id, item.created, item.versions)
    if hasher.digest()[:PROOF_SIZE] != proof:
        raise StoreError(MISMATCH)


def _act(channel: "Channel", source: "Item", version: "Version", target: str, ids: "list[bytes]") -> "Steps":
    """Intents, the rename, the metadata."""
    store, meta, made, installer = channel.store, channel.meta, channel.made, Installer(channel, [])
    assert made is not None
    missing = store.missing_parents(target)
    items = [item for path in missing if (item := installer.implied_item(path)) is not None]
    for pair in _pairs(channel, source, version, target, ids):
        items += pair
        if len(items) >= _INTENDED:
            meta.intend(items, [made.vector(item.id) for item in items])
            items = []
        yield WORK
    meta.intend(items, [made.vector(item.id) for item in items])
    yield FLASH
    stamp = store.move(source.identity, source.stamp, target)
    store.sync()
    for path in missing:
        installer.imply(path)
    for new, gone in _pairs(channel, source, version, target, ids):
        if gone.id == source.id:
            new.stamp = stamp
            new.flags |= RACY if store.racy(stamp) else 0
        for item in (new, gone):
            meta.put(item)
            meta.knowledge.learn_item(item.id, made.vector(item.id))
        yield WORK
    installer.prune_above(source.identity)
    meta.knowledge.raise_own(0, meta.tick)
    meta.commit()


def _pairs(
    channel: "Channel", source: "Item", version: "Version", target: str, ids: "list[bytes]"
) -> "Iterator[tuple[Item, Item]]":
    """Of each object (what it becomes, the tombstone that stays). Raises StoreError where that cannot be taken.

    The proof says that the desktop knew what goes away; here is to be seen whether it knew what is at the target.
    """
    meta, made = channel.meta, channel.made
    assert made is not None
    for i in ids:
        gone = meta.get(i)
        assert gone is not None
        identity = target + gone.identity[len(source.identity) :]
        if target.startswith(source.identity + "/") or len(identity.encode()) > min(PATH_MAX, channel.store.path_max):
            raise StoreError(BAD_NAME)  # a folder in itself: some disks make a loop of it, which nobody can reach
        there = item_id(channel.store.type, identity)
        local, new = meta.get(there), gone.copy()
        if knows(meta.knowledge.vector(there), version) or (
            local is not None and not (local.dead and knows_all(made.vector(there), local.versions))
        ):
            raise StoreError(STALE)
        new.id, new.oid, new.identity = there, 0 if local is None else local.oid, identity
        new.created, new.versions = version, [version] * meta.units
        new.link = Link(i, gone.created, [])
        base = [(gone.versions[u], gone.values[u]) for u in range(len(gone.versions))]
        gone.die(version, Link(there, version, base))
        yield new, gone
