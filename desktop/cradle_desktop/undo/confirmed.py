"""A sync that came to its end: what earlier ones were to displace on the device is gone. Every sync loads this."""

from cradle_desktop.metadata.database import Database
from cradle_protocol.sync.item import item_id
from cradle_protocol.sync.metadata import Metadata

# A conflict that waits keeps an edit from being sent.
_UNSURE = (
    "SELECT act, identity FROM former JOIN act ON number = act "
    "WHERE unsure AND act.partner = ? AND act.type = ? AND location = ? AND NOT EXISTS (SELECT 1 FROM conflict WHERE "
    "conflict.partner = act.partner AND conflict.type = act.type AND conflict.identity = former.identity "
    "AND NOT held AND resolved IS NULL)"
)


def confirmed(database: Database, meta: Metadata, partner: str, object_type: str, location: str) -> None:
    """Nothing of this store and partner is `unsure` any more (see `journal`), and it was left as `meta` has it now."""
    with database.sentences():
        found = database.connection.execute(_UNSURE, (partner, object_type, location)).fetchall()
    if not found:
        return
    from cradle_desktop.undo.journal import packed

    rows = []
    for act, identity in found:
        item = meta.get(item_id(object_type, identity))
        rows.append((packed(None if item is None or item.dead else item.values), act, identity))
    with database.transaction() as connection:
        connection.executemany("UPDATE former SET unsure = 0, new = ? WHERE act = ? AND identity = ?", rows)
