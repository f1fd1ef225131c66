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
from cradle_protocol.sync.values import digest_of, is_file, size_of

# Bytes of texts in all, over all partners: some ten thousand source files.
LIMIT = 10**8
# Texts made durable at a time.
_BATCH = 1000

_WHERE = "WHERE replica = ? AND partner = ?"
_Row = tuple[bytes, bytes, int]  # item, digest, size


class Ancestors:
    """The ancestors of one replica and partner."""

    def __init__(
        self, database: Database, partner: str, replica: bytes, folder: "str | None" = None, limit: int = LIMIT
    ) -> None:
        self._database, self._key, self._limit = database, (replica, partner), limit
        self._contents = Contents(folder or ancestors_folder())

    def empty(self) -> bool:
        """Is there none yet?"""
        return self._digest("") is None

    def text(self, item_id: bytes) -> "bytes | None":
        """The text that both had, None if it is not known."""
        digest = self._digest("AND item = ?", item_id)
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

    def learn(self, store: ObjectStore, items: Iterable[Item]) -> None:
        """Both sides have these items as they are now: keep the texts among them."""
        batch: list[tuple[_Row, bytes | None]] = []
        for item in items:
            found = self._read(store, item)
            digest = b"" if found is None else sha256(found).digest()
            if found is None or self._digest("AND item = ?", item.id) != digest:
                batch.append(((item.id, digest, len(found or b"")), found))
            if len(batch) >= _BATCH:
                self._keep(batch)
                batch = []
        if batch:
            self._keep(batch)

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
            drop = f"DELETE FROM ancestor {_WHERE} AND item = ?"
            connection.executemany(drop, [(*self._key, row[0]) for row, _ in batch])
            add = "INSERT INTO ancestor (replica, partner, item, digest, size) VALUES (?, ?, ?, ?, ?)"
            connection.executemany(add, [(*self._key, *row) for row, text in batch if text is not None])
            rows = connection.execute("SELECT number, size FROM ancestor ORDER BY number").fetchall()
            excess = sum(size for _, size in rows) - self._limit
            for number, size in rows:
                if excess <= 0:
                    break
                connection.execute("DELETE FROM ancestor WHERE number = ?", (number,))
                excess -= size
            named = {digest for (digest,) in connection.execute("SELECT DISTINCT digest FROM ancestor")}
        self._contents.keep_only(named)
