"""Texts as a partner and this desktop last both had them: the common ancestors that a three-way merge needs.

Kept for types with the policy `merge` alone, each content once by its hash, the oldest let go at the bound. What is not
here cannot be merged, and is a conflict as any other.
"""

from collections.abc import Iterable

from cradle_desktop.config import ancestors_folder
from cradle_desktop.conflict.contents import BytesReader, Contents
from cradle_desktop.conflict.merge3 import read_text
from cradle_desktop.metadata.database import Database
from cradle_protocol.compat import sha256
from cradle_protocol.provider.store import ObjectStore, StoreError
from cradle_protocol.sync.item import Item
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.values import digest_of, is_file, size_of

# Bytes of texts in all, over all partners: some ten thousand source files.
LIMIT = 10**8
# Texts made durable at a time.
_BATCH = 1000
# Hashes asked for in one statement.
_ASKED = 500

_WHERE = "WHERE replica = ? AND partner = ?"
_Row = tuple[bytes, bytes, int]  # item, digest, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from cradle_protocol.sync.version import Vector


class Ancestors:
    """The ancestors of one replica and partner.

    Theory: of two texts that were edited, the ancestor is the *last* one that both had. An older one makes a merge that
    nobody can see is wrong: what was deleted since comes back, what was put back is deleted. What is kept here is what
    both had at the end of their last whole session; what both knew then is kept as well. Where both have heard of
    something since, on other ways, that may be a later common text, so nothing is merged.
    """

    def __init__(
        self, database: Database, partner: str, replica: bytes, folder: "str | None" = None, limit: int = LIMIT
    ) -> None:
        self._database, self._key, self._limit = database, (replica, partner), limit
        self._contents = Contents(folder or ancestors_folder())
        self._doubted: set[tuple[bytes, str]] = set()

    def doubt(self, replica: bytes) -> None:
        """One side is not what it was at the last sync (set back, a copy), or has become this replica: what is kept is
        not what both had last. It goes when something is learned; until then there is nothing to merge from."""
        self._doubted = {self._key, (replica, self._key[1])}
        self._key = replica, self._key[1]

    def known(self) -> Knowledge:
        """What both sides knew when something was learned last, in the replica's keys."""
        row = None if self._doubted else self._one(f"SELECT knowledge FROM common {_WHERE}", *self._key)
        return Knowledge() if row is None else Knowledge.from_bytes(row[0])

    def text(self, item_id: bytes, ours: "Vector", theirs: "Vector") -> "bytes | None":
        """The last text that both had, None if that is not known. ours, theirs: what either side knows of the item."""
        before = self.known().vector(item_id)
        if any(min(tick, ours.get(key, 0)) > before.get(key, 0) for key, tick in theirs.items()):
            return None
        digest = None if self._doubted else self._digest("AND item = ?", item_id)
        if digest is None or not self._contents.holds(digest):
            return None
        try:
            reader = self._contents.open(digest)
            found = read_text(reader, self._size(digest))
        except StoreError:
            return None
        return found if found is not None and sha256(found).digest() == digest else None

    def _digest(self, more: str, *values: bytes) -> "bytes | None":
        row = self._one(f"SELECT digest FROM ancestor {_WHERE} {more} LIMIT 1", *self._key, *values)
        return None if row is None else row[0]

    def _size(self, digest: bytes) -> int:
        row = self._one("SELECT size FROM ancestor WHERE digest = ? LIMIT 1", digest)
        return 0 if row is None else int(row[0])

    def _one(self, statement: str, *values: "bytes | str") -> "tuple[bytes, ...] | None":
        with self._database.sentences():
            row: tuple[bytes, ...] | None = self._database.connection.execute(statement, values).fetchone()
        return row

    def learn(self, store: ObjectStore, items: Iterable[tuple[Item, bool]], known: Knowledge) -> None:
        """Of these items, as they are now, keep the texts that both sides have; the others have none in common.

        known: what both sides know, but for those others.
        """
        self._settle_doubt()
        batch: list[tuple[_Row, bytes | None]] = []
        for item, both in items:
            found = self._read(store, item) if both else None
            digest = b"" if found is None else sha256(found).digest()
            if found is None or self._digest("AND item = ?", item.id) != digest:
                batch.append(((item.id, digest, len(found or b"")), found))
            if len(batch) >= _BATCH:
                self._keep(batch)
                batch = []
        if batch:
            self._keep(batch)
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO common VALUES (?, ?, ?)", (*self._key, known.to_bytes()))

    def _settle_doubt(self) -> None:
        gone: set[bytes] = set()
        if self._doubted:
            with self._database.transaction() as connection:
                for key in self._doubted:
                    connection.execute(f"DELETE FROM common {_WHERE}", key)
                    found = connection.execute(f"DELETE FROM ancestor {_WHERE} RETURNING digest", key)
                    gone.update(digest for (digest,) in found)
                gone -= _named(connection, gone)
            self._doubted = set()
        for digest in gone:
            self._contents.remove(digest)

    @staticmethod
    def _read(store: ObjectStore, item: Item) -> "bytes | None":
        """The content that the item means, if it is a text and still there."""
        value = item.values[0]
        if item.dead or not is_file(value):
            return None
        try:
            found = read_text(store.open(item.identity), size_of(value))
            hashed = digest_of(value)
            if found is not None and hashed:
                return found if sha256(found).digest() == hashed else None
            return found if store.stamp(item.identity) == item.stamp else None
        except StoreError:
            return None

    def _keep(self, batch: "list[tuple[_Row, bytes | None]]") -> None:
        new = {row[1]: text for row, text in batch if text is not None and not self._contents.holds(row[1])}
        self._contents.keep([self._contents.draft(BytesReader(text)) for text in new.values()])
        with self._database.transaction() as connection:
            gone = self._replace(connection, [row for row, _ in batch], {row[0] for row, text in batch if text is None})
            gone |= self._evict(connection)
            if len(batch) < _BATCH:
                gone -= _named(connection, gone)
            else:  # so long a batch pays for a look at everything, which also finds what a process that died has left
                named = {digest for (digest,) in connection.execute("SELECT DISTINCT digest FROM ancestor")}
        if len(batch) < _BATCH:
            for digest in gone:
                self._contents.remove(digest)
        else:
            self._contents.keep_only(named)

    def _replace(self, connection: "sqlite3.Connection", rows: "list[_Row]", without: "set[bytes]") -> "set[bytes]":
        """Put these rows in the place of older ones, but for items `without` a text. What the older ones named."""
        gone: set[bytes] = set()
        for item, _, _ in rows:
            old = connection.execute(f"DELETE FROM ancestor {_WHERE} AND item = ? RETURNING digest", (*self._key, item))
            gone.update(digest for (digest,) in old)
        add = "INSERT INTO ancestor (replica, partner, item, digest, size) VALUES (?, ?, ?, ?, ?)"
        connection.executemany(add, [(*self._key, *row) for row in rows if row[0] not in without])
        return gone

    def _evict(self, connection: "sqlite3.Connection") -> "set[bytes]":
        """Let the oldest go at the bound. Returns what they named."""
        gone: set[bytes] = set()
        excess = connection.execute("SELECT coalesce(sum(size), 0) FROM ancestor").fetchone()[0] - self._limit
        while excess > 0:
            row = connection.execute("SELECT number, size, digest FROM ancestor ORDER BY number LIMIT 1").fetchone()
            connection.execute("DELETE FROM ancestor WHERE number = ?", (row[0],))
            gone.add(row[2])
            excess -= row[1]
        return gone


def _named(connection: "sqlite3.Connection", digests: "set[bytes]") -> "set[bytes]":
    """Those of the digests that some row still names."""
    found: set[bytes] = set()
    asked = sorted(digests)
    for k in range(0, len(asked), _ASKED):
        some = asked[k : k + _ASKED]
        marks = ", ".join("?" * len(some))
        rows = connection.execute(f"SELECT DISTINCT digest FROM ancestor WHERE digest IN ({marks})", some)
        found.update(digest for (digest,) in rows)
    return found
