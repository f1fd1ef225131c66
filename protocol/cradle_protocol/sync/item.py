"""One synchronized thing as its metadata know it: versions and values per change unit. Neither content nor place."""

from cradle_protocol.compat import sha256
from cradle_protocol.sync.version import ID_SIZE, NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.sync.version import Version

    Base = list[tuple[Version, bytes]]

# The stamp was taken too soon after the last write, or under a clock that is not trusted: hash the object at each scan.
RACY = 1
# A directory that exists only for its children: no change at a scan, removed when its last child goes.
IMPLIED = 2
# Alive, and its content is not in this store, by the store's filter: known by name, size and hash only.
GHOST = 4


def item_id(object_type: str, identity: str) -> bytes:
    """First 16 bytes of SHA-256 over object type, a zero byte and identity (a relative path in NFC, a UID, a key)."""
    return sha256(object_type.encode() + b"\x00" + identity.encode()).digest()[:ID_SIZE]


class Link:
    """Where a move went (on a tombstone) or came from (on a create).

    id       16 bytes, the other end of the move
    created  creation version of the other end's item
    base     per unit (version, value) that was moved; empty on a create
    """

    __slots__ = ("base", "created", "id")

    def __init__(self, item_id: bytes, created: "Version", base: "Base") -> None:
        self.id, self.created, self.base = item_id, created, base

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Link) and (self.id, self.created, self.base) == (other.id, other.created, other.base)

    def __hash__(self) -> int:
        return hash(self.id)


class Item:
    """Metadata of one item in one replica.

    id        16 bytes
    oid       this replica's own 32-bit number for it, ascending, never reused; 0 while it has none
    identity  relative path, UID or key; a tombstone keeps it
    dead      a tombstone
    created   creation version
    versions  one version per change unit
    values    one value per change unit (see `values`); a tombstone keeps the last ones
    stamp     the store's quick stamp (opaque bytes), b"" for a tombstone
    flags     RACY, IMPLIED, GHOST
    link      Link or None
    """

    __slots__ = ("created", "dead", "flags", "id", "identity", "link", "oid", "stamp", "values", "versions")

    def __init__(
        self,
        item_id: bytes,
        oid: int,
        identity: str,
        created: "Version",
        versions: "list[Version]",
        values: "list[bytes]",
        stamp: bytes = b"",
        flags: int = 0,
        dead: bool = False,
        link: "Link | None" = None,
    ) -> None:
        self.id, self.oid, self.identity, self.created = item_id, oid, identity, created
        self.versions, self.values, self.stamp = versions, values, stamp
        self.flags, self.dead, self.link = flags, dead, link

    def copy(self) -> "Item":
        """A copy whose versions and values can be changed alone."""
        return Item(
            self.id, self.oid, self.identity, self.created, list(self.versions), list(self.values),
            self.stamp, self.flags, self.dead, self.link,
        )  # fmt: skip

    def held(self) -> bool:
        """Is it an object that the store has?"""
        return not self.dead and not self.flags & GHOST

    def phantom(self) -> bool:
        """Is this only the record of an implied directory of which no metadata have arrived?"""
        return self.created == NEVER

    def die(self, version: "Version", link: "Link | None" = None) -> None:
        """Become a tombstone: a delete is a change of every unit. The last values stay, for a revival."""
        self.dead, self.link, self.stamp = True, link, b""
        self.versions = [version] * len(self.versions)
        self.flags &= ~(RACY | GHOST)

    def live(self, version: "Version", values: "list[bytes]") -> None:
        """Come (back) to life: a result that keeps an item alive restamps every unit."""
        self.dead, self.link, self.values = False, None, list(values)
        self.versions = [version] * len(values)

    def facts(self) -> "tuple[object, ...]":
        """What two replicas must agree on."""
        return self.id, self.dead, self.created, self.versions, None if self.dead else self.values

    def __repr__(self) -> str:
        state = "dead" if self.dead else "live"
        return "<Item %r %s created %r versions %r>" % (self.identity, state, self.created, self.versions)


def phantom(identity_id: bytes, identity: str, units: int) -> Item:
    """The record of a directory that was made only because a child arrived first."""
    return Item(identity_id, 0, identity, NEVER, [NEVER] * units, [b""] * units, b"", IMPLIED, True)
