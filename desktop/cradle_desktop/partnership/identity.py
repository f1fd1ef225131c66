"""Who this desktop is toward its partners: an id that never changes and a name for people."""

import os

from cradle_desktop.metadata.database import Database
from cradle_protocol.sync.version import ID_SIZE


class Identity:
    """id: 16 random bytes, made once per CRADLE_HOME; name: what devices show, at first the host name."""

    def __init__(self, desktop_id: bytes, name: str) -> None:
        self.id, self.name = desktop_id, name


def own_identity(database: Database) -> Identity:
    """This desktop's identity; made and kept at the first call."""
    found = _read(database)
    if found is None:
        import socket  # for this one call in the life of a home

        name = socket.gethostname().partition(".")[0] or "desktop"
        with database.transaction() as connection:  # OR IGNORE: another process may be faster
            connection.execute("INSERT OR IGNORE INTO identity VALUES (1, ?, ?)", (os.urandom(ID_SIZE), name))
        found = _read(database)
        assert found is not None
    return found


def _read(database: Database) -> "Identity | None":
    with database.sentences():
        row = database.connection.execute("SELECT id, name FROM identity").fetchone()
    return None if row is None else Identity(*row)
