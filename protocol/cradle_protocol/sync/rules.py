"""The rules of section 4 of the design that both ends share: is an incoming change known, taken, or a clash?

Pure: no store, no wire. A device stops at a clash (it answers STALE and the item waits); the desktop resolves it.
The conflict test in words: a change clashes with the local item where the change's version is unknown here and the
local version is not in the sender's made-with knowledge, unit by unit; equal values are no clash.
"""

from cradle_protocol.sync.item import GHOST, Item
from cradle_protocol.sync.values import EQUAL, UNDECIDED, compare
from cradle_protocol.sync.version import greater, knows, knows_all, order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.sync.change import Change
    from cradle_protocol.sync.version import Vector

# Verdicts. KNOWN: nothing to do. TAKE: the item as it must become. CLASH: a desktop has to resolve it.
# UNHASHED: two contents of one size must be hashed before anything can be said.
KNOWN, TAKE, CLASH, UNHASHED = 0, 1, 2, 3


def judge(
    change: "Change", local: "Item | None", mine: "Vector", made: "Vector", replicas: "list[bytes]"
) -> "tuple[int, Item | None]":
    """Judge one change. All keys are the caller's.

    mine  the caller's knowledge of this id; made  the sender's made-with knowledge of it
    Returns (verdict, the item as it becomes when the verdict is TAKE).
    """
    if knows_all(mine, change.versions):
        return KNOWN, None
    if local is None or local.phantom():
        return TAKE, arrived(change, local)
    seen = knows_all(made, local.versions)
    if change.dead and local.dead:
        if seen or order(change.versions[0], replicas) > order(local.versions[0], replicas):
            return TAKE, arrived(change, local)
        return KNOWN, None
    if change.dead or local.dead:
        return (TAKE, arrived(change, local)) if seen else (CLASH, None)
    return _judge_units(change, local, mine, made, replicas)


def _judge_units(
    change: "Change", local: Item, mine: "Vector", made: "Vector", replicas: "list[bytes]"
) -> "tuple[int, Item | None]":
    """Both are alive: unit by unit."""
    values = change.values or []
    new = local.copy()
    verdict = TAKE
    for u in range(len(values)):
        theirs, ours = change.versions[u], local.versions[u]
        if knows(mine, theirs):
            continue
        if knows(made, ours):
            new.versions[u], new.values[u] = theirs, values[u]
            continue
        alike = compare(values[u], local.values[u])
        if alike == EQUAL:
            new.versions[u] = greater(theirs, ours, replicas)
        elif alike == UNDECIDED and verdict == TAKE:
            verdict = UNHASHED
        else:
            verdict = CLASH
    new.created = greater(change.created, local.created, replicas)
    new.link = change.link if change.link is not None else local.link
    return (TAKE, new) if verdict == TAKE else (verdict, None)


def arrived(change: "Change", local: "Item | None") -> Item:
    """The item that a change describes, in the place of the local one. A tombstone keeps the last local values."""
    identity = change.identity if change.identity is not None else "" if local is None else local.identity
    values = change.values
    if values is None:
        values = [b""] * len(change.versions) if local is None else local.values
    new = Item(change.id, 0, identity, change.created, list(change.versions), list(values))
    new.dead, new.link = change.dead, change.link
    if local is not None:
        new.oid, new.stamp = local.oid, local.stamp
        new.flags = local.flags & ~GHOST if new.dead else local.flags  # a name goes with its item
    return new


def news(item: Item, vector: "Vector") -> bool:
    """Has this item a version that the vector lacks?"""
    return not knows_all(vector, item.versions)
