"""A change on its way: what one replica tells another about one item. Not applied, not judged, carries no content.

`wire.messages` encodes it; the keys in its versions are those of whoever holds the object (a session maps them).
"""

from cradle_protocol.sync.item import GHOST, Item, Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.sync.version import Version


class Change:
    """id, oid (the agent's number for the item, 0 if it has none yet), identity (None: the receiver knows it by id),
    dead, created, versions (per unit), values (per unit; None on a tombstone), link (Link or None), ghost (the sender
    does not hold the content; or the receiver shall not)."""

    __slots__ = ("created", "dead", "ghost", "id", "identity", "link", "oid", "values", "versions")

    def __init__(
        self,
        item_id: bytes,
        oid: int,
        identity: "str | None",
        dead: bool,
        created: "Version",
        versions: "list[Version]",
        values: "list[bytes] | None",
        link: "Link | None" = None,
        ghost: bool = False,
    ) -> None:
        self.id, self.oid, self.identity, self.dead, self.created = item_id, oid, identity, dead, created
        self.versions, self.values, self.link, self.ghost = versions, values, link, ghost

    def _key(self) -> "tuple[object, ...]":
        told = self.id, self.oid, self.identity, self.dead, self.created, self.versions, self.values
        return told + (self.link, self.ghost)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Change) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return "<Change %r %s %r>" % (self.identity or self.id, "dead" if self.dead else "live", self.versions)


def change_of(item: Item, named: bool = True) -> Change:
    """The change that tells a peer of this item as it is now; `named` says its identity too."""
    identity = item.identity if named else None
    values = None if item.dead else item.values
    ghost = bool(item.flags & GHOST)
    return Change(item.id, item.oid, identity, item.dead, item.created, item.versions, values, item.link, ghost)


def remap(change: Change, keys: "list[int]") -> Change:
    """The same change with `keys[k]` for every replica key k. Raises IndexError for a key beyond the map."""
    link = change.link
    if link is not None:
        base = [(_mapped(version, keys), value) for version, value in link.base]
        link = Link(link.id, _mapped(link.created, keys), base)
    created = _mapped(change.created, keys)
    versions = [_mapped(version, keys) for version in change.versions]
    return Change(
        change.id, change.oid, change.identity, change.dead, created, versions, change.values, link, change.ghost
    )


def _mapped(version: "Version", keys: "list[int]") -> "Version":
    return version[0], keys[version[1]]
