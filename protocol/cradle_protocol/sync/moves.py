"""Moves: which vanished object and which new one are the same. A part of change detection, not the rules for moves.

By the store's own identity (inode, size, time of the last write) where it has one, else by equal content. Each vanished
object is paired with at most one new object. The tombstone names the target, the new item names its source.
"""

from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.item import RACY, Link
from cradle_protocol.sync.slices import FEW
from cradle_protocol.sync.values import is_file, is_lazy, size_of, with_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.provider.store import ObjectStore
    from cradle_protocol.sync.item import Item
    from cradle_protocol.sync.metadata import Metadata
    from cradle_protocol.sync.slices import Slices
    from cradle_protocol.sync.version import Version


def pair_moves(
    store: "ObjectStore", meta: "Metadata", gone: "list[bytes]", fresh: "list[bytes]"
) -> "Slices[dict[bytes, bytes]]":
    """{vanished id: new id}, in slices. Hashes new objects only where one of their size has vanished."""
    waiting: dict[bytes, list[bytes]] = {}
    sizes: dict[bytes, bool] = {}
    for k, i in enumerate(gone):
        if k % FEW == FEW - 1:
            yield
        old = meta.get(i)
        key = None if old is None else _key(store, old)
        if old is not None and key:
            waiting.setdefault(key, []).append(i)
            sizes[_size(old)] = True
    pairs: dict[bytes, bytes] = {}
    for k, n in enumerate(fresh):
        if k % FEW == FEW - 1:
            yield
        new = meta.get(n)
        if new is None or not waiting or _size(new) not in sizes:
            continue
        if not store.moves_by_identity and not (yield from _hash(store, meta, new)):
            continue
        same = waiting.get(_key(store, new))
        if same:
            pairs[same.pop()] = n
    return pairs


def _size(item: "Item") -> bytes:
    """Kind and size of an item's content."""
    return item.values[0][:7]


def _key(store: "ObjectStore", item: "Item") -> bytes:
    """Equal for the same object under two names; b"" where nothing can be said."""
    if store.moves_by_identity:
        return store.object_key(item.stamp)
    value = item.values[0]
    return value if is_file(value) and not is_lazy(value) and size_of(value) else b""


def _hash(store: "ObjectStore", meta: "Metadata", item: "Item") -> "Slices[bool]":
    """Give the item its digest; False if the content cannot be read just now."""
    try:
        if is_lazy(item.values[0]):
            digest = yield from store.hashing(item.identity, size_of(item.values[0]))
            item.values[0] = with_digest(item.values[0], digest)
            meta.put(item)
        return True
    except StoreError:
        return False


def link_move(
    store: "ObjectStore", meta: "Metadata", old: "Item", target: bytes, version: "Version"
) -> "Slices[Link | None]":
    """Tie both ends together: the new item names its source, and the link for the tombstone is returned.

    Both are one change, of this version.

    The new item takes over the digest of the old content, but for one whose stamp could hide an edit.
    """
    new = meta.get(target)
    if new is None:
        return None
    new.link = Link(old.id, old.created, [])
    new.created, new.versions = version, [version] * len(new.versions)
    if is_lazy(new.values[0]) and is_file(old.values[0]):
        if old.flags & RACY or store.racy(new.stamp):
            yield from _hash(store, meta, new)
        else:
            new.values[0] = old.values[0]
    for u in range(1, len(old.values)):
        if not store.holds(u):
            new.values[u] = old.values[u]  # what the store cannot say moves with the object
    meta.put(new)
    return Link(new.id, new.created, [(old.versions[u], old.values[u]) for u in range(len(old.versions))])
