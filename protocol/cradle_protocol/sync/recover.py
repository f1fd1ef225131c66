"""After a restart: what of the intents became visible, and what must be forgotten. Runs once, before the first scan.

Per intent: the store shows the old state: the intent is dropped, also a tombstone's over nothing at all, which proves
nothing of what was to happen together with it. It shows the new state: that is adopted with its version and the
made-with of that item. It shows a torn write of our own: it is put back in line to be sent again. Neither: what is
there is a local edit of the old version, which the next scan finds; but where a delete was under way it is a new
object: as an edit of the old one it would follow a move, and replace what was moved. What leaves the store by its
filter is removed like what is deleted, and its item lives on.
"""

from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.item import IMPLIED, RACY, phantom
from cradle_protocol.sync.slices import whole
from cradle_protocol.sync.values import digest_of, is_file, is_lazy, size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.provider.store import ObjectStore
    from cradle_protocol.sync.item import Item
    from cradle_protocol.sync.metadata import Metadata
    from cradle_protocol.sync.slices import Slices
    from cradle_protocol.sync.version import Vector


def recover(store: "ObjectStore", meta: "Metadata") -> int:
    """Settle all pending intents and commit. Returns how many were adopted; StoreError if the store is missing."""
    return whole(recovering(store, meta))


def recovering(store: "ObjectStore", meta: "Metadata") -> "Slices[int]":
    """`recover` in slices. One that is not run to its end has committed nothing."""
    adopted = 0
    pending = meta.pending()
    for item, made in pending:
        yield
        try:
            adopted += yield from _settle(store, meta, item, made)
        except StoreError:
            continue  # it cannot be read just now: the scan makes of it what it can
    if pending:
        meta.knowledge.raise_own(0, meta.tick)
        meta.commit()
    return adopted


def _settle(store: "ObjectStore", meta: "Metadata", item: "Item", made: "Vector") -> "Slices[int]":
    """One intent. Returns 1 if it was adopted."""
    shown, old = store.stamp(item.identity), meta.get(item.id)
    lived = old is not None and old.held()
    if shown == (old.stamp if lived and old is not None else None):
        return 0
    if item.held():
        if (yield from _shows(store, item, shown)):
            item.flags &= ~IMPLIED
            return _adopt(store, meta, item, made, shown)
        if shown is not None and _torn(store, item, shown):
            _resend(store, meta, old, item.identity, shown)
        return 0
    if lived:
        return _adopt(store, meta, item, made, shown)
    if item.flags & IMPLIED and shown is not None and not is_file(store.values(shown)[0]):
        implied = old or phantom(item.id, item.identity, meta.units)
        implied.flags |= IMPLIED  # a directory that was made only for a child: of its own metadata nothing has come
        meta.put(implied)
    return 0


def _adopt(store: "ObjectStore", meta: "Metadata", item: "Item", made: "Vector", shown: "bytes | None") -> int:
    item.stamp = shown or b"" if item.held() else b""
    item.flags = item.flags & ~RACY | (RACY if item.stamp and store.racy(item.stamp) else 0)
    meta.put(item)
    meta.knowledge.learn_item(item.id, made)
    return 1


def _shows(store: "ObjectStore", item: "Item", shown: "bytes | None") -> "Slices[bool]":
    """Does the store show this living item as it was meant to become?"""
    if shown is None:
        return False
    values = store.values(shown)
    for u in range(1, len(values)):
        if store.holds(u) and item.values[u] and values[u] != item.values[u]:
            return False
    want = item.values[0]
    if not is_file(want) or not is_file(values[0]) or size_of(want) != size_of(values[0]):
        return want == values[0]
    return not is_lazy(want) and (yield from store.hashing(item.identity, size_of(want))) == digest_of(want)


def _torn(store: "ObjectStore", item: "Item", shown: bytes) -> bool:
    """A file system that lost data it had not written shows an empty file where ours was put in place."""
    return size_of(item.values[0]) > 0 and is_file(store.values(shown)[0]) and (size_of(store.values(shown)[0]) == 0)


def _resend(store: "ObjectStore", meta: "Metadata", old: "Item | None", identity: str, shown: bytes) -> None:
    """Make the torn file look unchanged, or be gone, so that it is overwritten and never sent as an edit."""
    if old is None or not old.held():
        store.remove(identity, shown)
    else:
        old.stamp = shown
        old.flags &= ~RACY
        meta.put(old)
