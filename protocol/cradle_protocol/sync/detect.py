"""Change detection: compares a store with its metadata and stamps what differs. Reads content only where it must.

Theory: a scan meets every object once. Equal stamps that are not racy are taken for equal objects. What differs in
its stamp is compared by value; content that nobody has hashed yet is not hashed for a scan (it is hashed when it is
first sent, or when two stores turn out to hold the same name). What was alive and was not met is deleted, unless the
scan could not look there. A vanished object and a new one that are the same object are a move: a tombstone that names
its target and a create that names its source.
"""

from cradle_protocol.errors import CHANGED
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.item import GHOST, IMPLIED, RACY, Item, item_id
from cradle_protocol.sync.metadata import ABSENT, SAME
from cradle_protocol.sync.slices import FEW, STRIDE, whole
from cradle_protocol.sync.values import digest_of, is_file, is_lazy, size_of, with_digest
from cradle_protocol.sync.version import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.provider.store import ObjectStore
    from cradle_protocol.sync.metadata import Metadata
    from cradle_protocol.sync.slices import Slices

# Moves are looked for among so many new and vanished objects; beyond it they travel as delete and create. A board
# passes a smaller bound: an entry costs about 100 bytes.
MAX_MOVES = 200000


class Scan:
    """What a scan found.

    scanned  objects met
    changed  items stamped
    held     that are new objects, all of them, and they are not durable yet: see `detect`
    skipped  [(identity, status)] not looked at
    """

    def __init__(self) -> None:
        self.scanned = 0
        self.changed = 0
        self.held = False
        self.skipped: list[tuple[str, int]] = []


def detect(
    store: "ObjectStore", meta: "Metadata", moves: int = MAX_MOVES, look_only: bool = False, hold: bool = False
) -> Scan:
    """Scan the store, stamp every local change in `meta` and commit. Raises StoreError if the store is missing.

    Nothing is deleted on the strength of a scan that raised. `look_only` (with an `Overlay`, for a preview): the store
    is not touched either. `hold`: nothing is committed if all that was found is new objects: the caller keeps or
    commits each before its version leaves. Those that a crash takes are new objects again at the next scan.
    """
    return whole(detecting(store, meta, moves, look_only, hold))


def detecting(
    store: "ObjectStore", meta: "Metadata", moves: int = MAX_MOVES, look_only: bool = False, hold: bool = False
) -> "Slices[Scan]":
    """`detect` in slices. One that is not run to its end has stamped some changes and committed none."""
    scan = Scan()
    yield from _settle_implied(store, meta, look_only)
    meta.begin_scan()
    fresh: list[bytes] = []
    created = 0
    for identity, stamp in store.items():
        scan.scanned += 1
        if scan.scanned % STRIDE == 0:
            yield
        i = item_id(store.type, identity)
        state = meta.seen(i, stamp)
        if state == SAME:
            continue
        try:
            if state == ABSENT:
                meta.create(i, identity, store.values(stamp), stamp, RACY if store.racy(stamp) else 0)
                created += 1
                if created <= moves:
                    fresh.append(i)
            else:
                scan.changed += yield from _refresh(store, meta, i, stamp)
        except StoreError as error:
            scan.skipped.append((identity, error.status))
    scan.changed += created
    scan.skipped += store.skipped
    yield from _bury(store, meta, scan, fresh, moves)
    if scan.changed and not look_only:
        store.sync()  # what a power cut took from the disk must not look deleted: data before metadata
    meta.knowledge.raise_own(0, meta.tick)
    scan.held = hold and scan.changed == created > 0
    if not scan.held:
        meta.commit()
    return scan


def _settle_implied(store: "ObjectStore", meta: "Metadata", look_only: bool) -> "Slices[None]":
    """Directories that existed only for their children: gone, emptied by the user, or a file by now."""
    for item in sorted(meta.implied(), key=lambda one: one.identity, reverse=True):
        yield
        stamp = store.stamp(item.identity)
        if stamp is None or is_file(store.values(stamp)[0]) or (not look_only and store.prune(item.identity)):
            unimply(meta, item)


def check_racy(store: "ObjectStore", item: "Item | None") -> None:
    """Before an object is replaced or removed: a stamp that could hide an edit proves nothing, so its content must.

    Raises StoreError(CHANGED) if it was edited.
    """
    if item is None or item.dead or not item.flags & RACY or not digest_of(item.values[0]):
        return
    if store.digest(item.identity) != digest_of(item.values[0]):
        raise StoreError(CHANGED)


def unimply(meta: "Metadata", item: Item) -> None:
    """An implied directory is gone: a tombstone stays a plain tombstone, a phantom leaves nothing."""
    if item.phantom():
        meta.drop(item.id)
    else:
        item.flags &= ~IMPLIED
        meta.put(item)


def _refresh(store: "ObjectStore", meta: "Metadata", i: bytes, stamp: bytes) -> "Slices[int]":
    """The stamp differs or could not be trusted: compare by value. Returns 1 if a unit changed."""
    item = meta.get(i)
    if item is None:
        return 0
    values = store.values(stamp)
    if _undecided(item.values[0], values[0], item.stamp == stamp):
        values[0] = with_digest(values[0], (yield from store.hashing(item.identity, size_of(values[0]))))
    if item.flags & GHOST and _differ(store, item, values):
        # Whoever made it has not seen what its name stands for elsewhere: it is no edit of that.
        meta.knowledge.forget_item(i)
        meta.create(i, item.identity, values, stamp, RACY if store.racy(stamp) else 0)
        return 1
    version = None
    for u in range(len(values)):
        if values[u] != item.values[u] and store.holds(u):
            version = version or meta.next_version()
            item.versions[u], item.values[u] = version, values[u]
    item.stamp = stamp
    item.flags = item.flags & ~(RACY | GHOST) | (RACY if store.racy(stamp) else 0)
    meta.put(item)
    return 0 if version is None else 1


def _differ(store: "ObjectStore", item: Item, values: "list[bytes]") -> bool:
    for u in range(len(values)):
        if values[u] != item.values[u] and store.holds(u):
            return True
    return False


def _undecided(old: bytes, new: bytes, same_stamp: bool) -> bool:
    """Must the content be hashed, because its size alone does not tell it from the item's?

    Content without a digest is content that no peer has (the digest is noted before a peer may take it), so under the
    same stamp it is whatever it is now; under another one the touch counts as an edit.
    """
    if not is_lazy(new) or not is_file(old) or size_of(old) != size_of(new):
        return False
    return not is_lazy(old) or not same_stamp


def _bury(store: "ObjectStore", meta: "Metadata", scan: Scan, fresh: "list[bytes]", moves: int) -> "Slices[None]":
    """Tombstones for what vanished; those that were moved name their target."""
    hidden = [identity for identity, _ in scan.skipped]
    gone: list[bytes] = []
    for n, i in enumerate(meta.unseen()):
        if n % FEW == FEW - 1:
            yield
        item = meta.get(i)
        if item is None or item.flags & IMPLIED or _under(item.identity, hidden):
            continue
        if _still_there(store, item.identity):
            continue  # renamed while the directory was being read: the next scan meets it
        gone.append(i)
    targets: dict[bytes, bytes] = {}
    if fresh and gone:
        from cradle_protocol.sync.moves import link_move, pair_moves  # a board loads it when something may have moved

        targets = yield from pair_moves(store, meta, gone[:moves], fresh)
    moved = meta.next_version() if targets else NEVER  # of all moves, so that a folder's can be told as one
    for n, i in enumerate(gone):
        if n % FEW == FEW - 1:
            yield
        item = meta.get(i)
        if item is not None:
            target = targets.get(i)
            link = None if target is None else (yield from link_move(store, meta, item, target, moved))
            item.die(meta.next_version() if link is None else moved, link)
            meta.put(item)
            scan.changed += 1


def _still_there(store: "ObjectStore", identity: str) -> bool:
    """Reading a directory is not one step: what was not met is looked at once more before it counts as deleted."""
    try:
        return store.stamp(identity) is not None
    except StoreError:
        return True


def _under(identity: str, hidden: "list[str]") -> bool:
    """Is the object, or a directory above it, one that the scan could not look at?"""
    for path in hidden:
        if identity == path or identity.startswith(path + "/") or not path:
            return True
    return False
