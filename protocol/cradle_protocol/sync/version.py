"""Versions: which replica made a change, and at which of its ticks. Not times: ticks count, no clock makes them.

A version is a plain tuple (tick, key): tick is an unsigned 32-bit count of the replica's own changes, key is the
number that *this* replica (or this session) has given to the replica that made the change. Keys are local: a version
that crossed a link is mapped before it is compared. Key 0 is always the owner of the key map itself.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    Version = tuple[int, int]
    Vector = dict[int, int]

# No replica ever makes tick 0, so a version of tick 0 is known to everyone and is sent to nobody.
NEVER = (0, 0)

# 16 bytes: ids of items, replicas, devices and stores; the lowest and the highest bound of a range of item ids.
ID_SIZE = 16
LOWEST = b"\x00" * ID_SIZE
HIGHEST = b"\xff" * ID_SIZE

# Bit 0 of the first byte of a replica id says whose it is: set for a desktop's replica, clear for a device's.
_DESKTOP_BIT = 1


def new_replica_id(random: bytes, desktop: bool) -> bytes:
    """A replica id from 16 random bytes, with the role bit put in."""
    first = random[0] | _DESKTOP_BIT if desktop else random[0] & ~_DESKTOP_BIT
    return bytes([first]) + random[1:ID_SIZE]


def is_desktop(replica_id: bytes) -> bool:
    """Is this the replica of a desktop?"""
    return bool(replica_id[0] & _DESKTOP_BIT)


def knows(vector: "Vector", version: "Version") -> bool:
    """Does a clock vector {key: tick} hold this version? An entry holds every tick up to its own."""
    return vector.get(version[1], 0) >= version[0]


def knows_all(vector: "Vector", versions: "list[Version]") -> bool:
    """Does the vector hold every one of the versions?"""
    for tick, key in versions:
        if vector.get(key, 0) < tick:
            return False
    return True


def join(vector: "Vector", other: "Vector") -> None:
    """Raise `vector`, in place, to the component-wise maximum of both."""
    for key, tick in other.items():
        if tick > vector.get(key, 0):
            vector[key] = tick


def covers(vector: "Vector", other: "Vector") -> bool:
    """Is `vector` at least `other` in every component?"""
    for key, tick in other.items():
        if vector.get(key, 0) < tick:
            return False
    return True


def order(version: "Version", replicas: "list[bytes]") -> "tuple[int, bytes]":
    """The total order that every replica agrees on: tick first, then the replica's id (never its local key)."""
    return version[0], replicas[version[1]]


def greater(a: "Version", b: "Version", replicas: "list[bytes]") -> "Version":
    """The greater of two versions in the order that every replica agrees on."""
    return a if order(a, replicas) >= order(b, replicas) else b
