"""How old a tombstone is, without a date on each: once a day what a replica knows is noted, with the time.

A tombstone all of whose versions were known at a noted time is at least that old. Decides when tombstones go; how
they go is `cradle_protocol.sync.forget`.
"""

import json

from cradle_desktop.metadata.database import Database
from cradle_protocol.sync.forget import forget, tombstones
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.version import knows_all

# Seconds between two notes: the age of a tombstone is known to the day, and 90 of them are a few kilobytes.
_DAY = 86400


class Horizons:
    """The notes of all replicas of this desktop."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def clean(self, meta: Metadata, now: int, age: float) -> int:
        """Forget tombstones that are older than `age` seconds, and note the day. Returns how many went.

        A clock that was set back makes tombstones younger, never older.
        """
        replica, count = meta.replicas[0], 0
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM horizon WHERE replica = ? AND noted > ?", (replica, now))
            rows = connection.execute(
                "SELECT noted, known FROM horizon WHERE replica = ? ORDER BY noted DESC", (replica,)
            ).fetchall()
            if not rows or now - rows[0][0] >= _DAY:
                known = json.dumps(sorted(meta.knowledge.lowest().items()))
                connection.execute("INSERT INTO horizon VALUES (?, ?, ?)", (replica, now, known))
        old = next(((noted, known) for noted, known in rows if now - noted >= age), None)
        if old is not None:
            vector = dict(json.loads(old[1]))
            gone = tombstones(meta, lambda item: knows_all(vector, item.versions))
            count = len(gone)
            if gone:
                forget(meta, gone)
                meta.commit()
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM horizon WHERE replica = ? AND noted <= ?", (replica, old[0]))
        return count
