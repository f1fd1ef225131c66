"""Names of staged contents, and which of them a restart left. Reads and writes no content.

A name says what is staged: item id, tick and replica key of the content version, so that the same content is found
again by whoever wants it next. Keys never change in one log, so that the name holds over restarts.
"""

from binascii import hexlify, unhexlify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.provider.store import ObjectStore
    from cradle_protocol.sync.metadata import Metadata
    from cradle_protocol.sync.version import Version

_ID = 32  # characters


def name_of(item_id: bytes, version: "Version") -> str:
    """The name under which this content of this item is staged."""
    return "%s-%x-%x" % (hexlify(item_id).decode(), version[0], version[1])


def parse(name: str) -> "tuple[bytes, Version] | None":
    """(item id, content version) in a name; None for a name of somebody else's."""
    parts = name.split("-")
    try:
        if len(parts) == 3 and len(parts[0]) == _ID:
            return unhexlify(parts[0]), (int(parts[1], 16), int(parts[2], 16))
    except ValueError:
        pass
    return None


def survey(store: "ObjectStore", meta: "Metadata", most: int) -> "dict[str, int]":
    """{name: length} of what is staged and still of use; the rest is removed. At most `most` are kept."""
    kept: dict[str, int] = {}
    for name, length in store.staged():
        found = parse(name)
        if found is None or len(kept) >= most or _had(meta, found[0], found[1]):
            store.unstage(name)
        else:
            kept[name] = length
    return kept


def _had(meta: "Metadata", item_id: bytes, version: "Version") -> bool:
    """Is this content known already? What is known by name only may still be wanted."""
    if not meta.knowledge.knows(item_id, version):
        return False
    item = meta.get(item_id)
    return item is None or item.dead or item.held() or item.versions[0] != version


def listed(staged: "dict[str, int]") -> "list[tuple[bytes, Version, int]]":
    """The same as SYNC_OPEN_REPLY tells it."""
    found = []
    for name, length in staged.items():
        parts = parse(name)
        if parts is not None:
            found.append((parts[0], parts[1], length))
    return found
