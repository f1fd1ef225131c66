"""Sync metadata in SQLite: one row per item, one transaction per batch. Holds no rule and reads no store.

What changed since the last commit is held in a dict; a scan works on {id: mark}, fetched once; everything else is read
from the database when it is asked for. Only one process may have a replica open: see `cradle_desktop.lock`.
"""

import os
from collections.abc import Iterator

from cradle_desktop.metadata.database import Database
from cradle_desktop.metadata.interface import MetadataStore, ReplicaInfo, StateError
from cradle_desktop.metadata.record import (
    DEAD,
    body_of,
    item_from,
    lacks,
    mark_of,
    may_lack,
    pack_intents,
    unpack_intents,
)
from cradle_desktop.metadata.witness import Witness
from cradle_protocol.errors import RemoteError
from cradle_protocol.sync.item import IMPLIED, RACY, Item
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.memory import MemoryMetadata
from cradle_protocol.sync.metadata import ABSENT, DIFFERENT, SAME, Metadata
from cradle_protocol.sync.rules import news
from cradle_protocol.sync.version import ID_SIZE, LOWEST, new_replica_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cradle_protocol.sync.version import Vector, Version

# Rows fetched at a time while items stream: some 200 KB, and no cursor stays open between two of them.
PAGE = 1000
# Items kept as they were committed, some 700 bytes each: what a scan has just found is asked for at once.
RECENT = 20000

_ALIVE = f"count(*) FILTER (WHERE substr(mark, 1, 1) < x'{DEAD:02x}')"
_INFO = f"SELECT location, type, replica.id, store_id, {_ALIVE} FROM replica LEFT JOIN item ON item.replica = number "
_STORE_ID = "SELECT store_id FROM replica WHERE location = ? AND type = ?"
_INSERT = (
    "INSERT INTO replica (location, type, id, store_id, units, keys, knowledge, forgotten) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE = "UPDATE replica SET tick = ?, oid = ?, keys = ?, knowledge = ?, forgotten = ?, witness = ? WHERE number = ?"
_RESERVE = "UPDATE replica SET tick = ?, oid = ?, keys = ?, witness = ? WHERE number = ?"
_UPSERT = (
    "INSERT INTO item (replica, id, oid, identity, mark, body) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
    "SET oid = excluded.oid, identity = excluded.identity, mark = excluded.mark, body = excluded.body, "
    f"reborn = reborn OR (substr(mark, 1, 1) >= x'{DEAD:02x}' AND substr(excluded.mark, 1, 1) < x'{DEAD:02x}')"
)
_PAGE = "SELECT id, oid, identity, mark, body FROM item WHERE replica = ? AND id {} ?{} ORDER BY id LIMIT ?"

_Row = tuple[bytes, int, str, bytes, bytes]


class SqliteStore(MetadataStore):
    """The metadata of all replicas of this desktop."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open_replica(self, location: str, object_type: str, units: int, store_id: bytes = b"") -> "SqliteMetadata":
        with self._database.sentences():
            known = self._database.connection.execute(_STORE_ID, (location, object_type)).fetchone()
        if known is not None and store_id and known[0] and known[0] != store_id:
            self.drop_replica(location, object_type)
            known = None
        if known is None:
            self._make(location, object_type, units, store_id)
        elif store_id and not known[0]:
            with self._database.transaction() as connection:
                where = (store_id, location, object_type)
                connection.execute("UPDATE replica SET store_id = ? WHERE location = ? AND type = ?", where)
        return SqliteMetadata(self._database, location, object_type)

    def preview_replica(self, location: str, object_type: str, units: int, store_id: bytes = b"") -> Metadata:
        known = self.replica(location, object_type)
        if known is None or (store_id and known.store_id and known.store_id != store_id):
            return MemoryMetadata(new_replica_id(os.urandom(ID_SIZE), True), units)
        return SqliteMetadata(self._database, location, object_type)

    def _make(self, location: str, object_type: str, units: int, store_id: bytes) -> None:
        own = new_replica_id(os.urandom(ID_SIZE), True)
        nothing = Knowledge().to_bytes()
        with self._database.transaction() as connection:
            connection.execute(_INSERT, (location, object_type, own, store_id, units, own, nothing, nothing))

    def replica(self, location: str, object_type: str) -> "ReplicaInfo | None":
        found = self._infos("WHERE location = ? AND type = ?", (location, object_type))
        return found[0] if found else None

    def replicas(self) -> "list[ReplicaInfo]":
        return self._infos("", ())

    def _infos(self, where: str, values: "tuple[str, ...]") -> "list[ReplicaInfo]":
        with self._database.sentences():
            rows = self._database.connection.execute(
                _INFO + where + " GROUP BY number ORDER BY location, type", values
            ).fetchall()
        return [ReplicaInfo(*row) for row in rows]

    def drop_replica(self, location: str, object_type: str) -> None:
        gone = "DELETE FROM replica WHERE location = ? AND type = ? RETURNING id"
        with self._database.transaction() as connection:
            found = connection.execute(gone, (location, object_type)).fetchall()
        with self._database.sentences():
            for (replica,) in found:
                Witness(self._database.path, replica).remove()


class SqliteMetadata(Metadata):
    """Metadata of one replica. Made by `SqliteStore.open_replica`.

    set_back  this is not what was committed last (`witness`): ticks may be used up that are not known here. Until the
              replica has another id, nothing says otherwise
    """

    def __init__(self, database: Database, location: str, object_type: str) -> None:
        self._database = database
        row = self._one(
            "SELECT number, id, units, store_id, witness FROM replica WHERE location = ? AND type = ?",
            (location, object_type),
        )
        if row is None:
            raise StateError(f"There is no replica of {object_type} at {location}; enable it first.")
        self._number: int = row[0]
        super().__init__(row[1], row[2])
        self.store_id: bytes = row[3]
        self._seen: bytes = row[4]
        self._witness, self._witnessed = Witness(database.path, row[1]), False
        with database.sentences():
            self.set_back = self._witness.now() != self._seen
        self._load()

    def _one(self, statement: str, values: "tuple[Any, ...]") -> "tuple[Any, ...] | None":
        with self._database.sentences():
            row: tuple[Any, ...] | None = self._database.connection.execute(statement, values).fetchone()
        return row

    def _all(self, statement: str, values: "tuple[Any, ...]") -> "list[Any]":
        with self._database.sentences():
            return self._database.connection.execute(statement, values).fetchall()

    def _load(self) -> None:
        """Take everything but the items from the database, and drop what was not committed."""
        row = self._one(
            "SELECT tick, oid, keys, knowledge, forgotten FROM replica WHERE number = ?", (self._number,)
        ) or (0, 0, b"", b"", b"")
        self.tick, self._oid, keys = row[0], row[1], row[2]
        self.replicas = [keys[k : k + ID_SIZE] for k in range(0, len(keys), ID_SIZE)]
        self._own = self.replicas[0]
        try:
            self.knowledge = Knowledge.from_bytes(row[3])
            self.forgotten = Knowledge.from_bytes(row[4])
        except RemoteError as error:
            text = f"The state in {self._database.path} is damaged ({error}); move it away and pair again."
            raise StateError(text) from error
        self._saved = row
        self._changed: dict[bytes, Item | None] = {}
        self._recent: dict[bytes, Item] = {}  # some of what the table holds
        self._marks: dict[bytes, bytes] | None = None
        self._by_oid: dict[int, bytes] | None = None
        self._risen: set[bytes] = set()  # what the table does not call reborn yet
        self._met: set[bytes] = set()
        self._intended = bool(self._all("SELECT number FROM intent WHERE replica = ?", (self._number,)))

    # -- items

    def get(self, item_id: bytes) -> "Item | None":
        if item_id in self._changed:
            item = self._changed[item_id]
            return None if item is None else item.copy()
        if self._marks is not None and item_id not in self._marks:
            return None
        if item_id in self._recent:
            return self._recent[item_id].copy()
        row = self._one(
            "SELECT oid, identity, mark, body FROM item WHERE replica = ? AND id = ?", (self._number, item_id)
        )
        return None if row is None else item_from(item_id, *row)

    def put(self, item: Item) -> None:
        if not item.oid:
            self._oid += 1
            item.oid = self._oid
        self._hold(item if self._changed.get(item.id) is item else item.copy(), mark_of(item))

    def create(
        self,
        item_id: bytes,
        identity: str,
        values: "list[bytes]",
        stamp: bytes,
        flags: int,
        version: "Version | None" = None,
    ) -> Item:
        self._oid += 1
        version = version or self.next_version()
        item = Item(item_id, self._oid, identity, version, [version] * len(values), values, stamp, flags)
        self._hold(item, bytes((flags,)) + stamp)
        return item

    def _hold(self, item: Item, mark: bytes) -> None:
        """Until the next commit this object is what the item is."""
        self._changed[item.id] = item
        if self._marks is not None:
            if mark[0] < DEAD <= self._marks.get(item.id, mark)[0]:
                self._risen.add(item.id)
            self._marks[item.id] = mark
        if self._by_oid is not None:
            self._by_oid[item.oid] = item.id

    def drop(self, item_id: bytes) -> None:
        self._changed[item_id] = None
        if self._marks is not None:
            self._marks.pop(item_id, None)

    def items(self, lower: bytes = LOWEST) -> "Iterator[Item]":
        return (item.copy() for item in self._stream(lower, None))

    def lacking(self, knowledge: Knowledge, lower: bytes = LOWEST) -> "Iterator[Item]":
        return self._stream(lower, knowledge)

    def _stream(self, lower: bytes, knowledge: "Knowledge | None") -> "Iterator[Item]":
        """Rows and held items merged by id; with a knowledge only what it lacks, before an Item is made of a row."""
        near: dict[bytes, Item | None] = {**self._recent, **self._changed}
        held = [item for i in sorted(near) if i >= lower and (item := near[i]) is not None]
        if knowledge is not None:
            held = [item for item in held if news(item, knowledge.vector(item.id))]
        at = 0
        all_near = self._marks is not None and self._marks.keys() <= near.keys()
        for row in () if all_near else self._rows(lower, knowledge):
            if row[0] in near or (knowledge is not None and not lacks(knowledge.vector(row[0]), row[4])):
                continue
            while at < len(held) and held[at].id < row[0]:
                yield held[at]
                at += 1
            yield item_from(*row)
        yield from held[at:]

    def _rows(self, lower: bytes, knowledge: "Knowledge | None") -> "Iterator[_Row]":
        """Rows in the order of ids; with a knowledge those alone that it may lack: the database leaves out the rest."""
        more = "" if knowledge is None else f" AND ({may_lack(self.units, knowledge.lowest())})"
        page: list[_Row] = self._all(_PAGE.format(">=", more), (self._number, lower, PAGE))
        while page:
            yield from page
            if len(page) < PAGE:
                return
            page = self._all(_PAGE.format(">", more), (self._number, page[-1][0], PAGE))

    def implied(self) -> "list[Item]":
        found = [self.get(item_id) for item_id, mark in self._loaded().items() if mark[0] & IMPLIED]
        return [item for item in found if item is not None]

    def by_oid(self, oid: int) -> "Item | None":
        if self._by_oid is None:
            rows = self._all("SELECT oid, id FROM item WHERE replica = ?", (self._number,))
            self._by_oid = dict(rows)
            self._by_oid.update({item.oid: item.id for item in self._changed.values() if item is not None})
        item_id = self._by_oid.get(oid)
        item = None if item_id is None else self.get(item_id)
        return item if item is not None and item.oid == oid else None

    def reborn(self) -> "set[bytes]":
        rows = self._all("SELECT id FROM item WHERE replica = ? AND reborn", (self._number,))
        return self._risen.union(*rows)

    def live(self) -> int:
        return sum(1 for mark in self._loaded().values() if mark[0] < DEAD)

    # -- scan marks

    def _loaded(self) -> "dict[bytes, bytes]":
        """{id: mark} of all items, as they are now: two short byte strings an item, for a whole scan."""
        if self._marks is None:
            self._marks = dict(self._all("SELECT id, mark FROM item WHERE replica = ?", (self._number,)))
            for item_id, item in self._changed.items():
                if item is None:
                    self._marks.pop(item_id, None)
                else:
                    self._marks[item_id] = mark_of(item)
        return self._marks

    def begin_scan(self) -> None:
        self._loaded()
        self._met = set()

    def seen(self, item_id: bytes, stamp: bytes) -> int:
        self._met.add(item_id)
        mark = self._loaded().get(item_id)
        if mark is None:
            return ABSENT
        flags = mark[0]
        if not flags:
            return SAME if mark[1:] == stamp else DIFFERENT
        if flags & IMPLIED:
            return SAME
        if flags & DEAD:
            return ABSENT
        return SAME if mark[1:] == stamp and not flags & RACY else DIFFERENT

    def unseen(self) -> "Iterator[bytes]":
        met = self._met
        return iter(sorted(i for i, mark in self._loaded().items() if mark[0] < DEAD and i not in met))

    # -- durability

    def _head(self) -> "tuple[Any, ...]":
        keys = b"".join(self.replicas)
        return self.tick, self._oid, keys, self.knowledge.to_bytes(), self.forgotten.to_bytes()

    def _testified(self) -> bytes:
        """What the database is to hold of the witness: a new one with the first tick since this was opened."""
        if self.set_back and self.replicas[0] == self._own:
            return self._seen  # who opens this after a crash has to see it as well
        if not self._witnessed and (self.set_back or self.tick != self._saved[0]):
            with self._database.sentences():
                self._seen = self._witness.renew()
            self._witnessed, self.set_back = True, False
        return self._seen

    def intend(self, items: "list[Item]", made: "list[Vector]") -> None:
        body, seen = pack_intents(items, made), self._testified()
        reserved = self.tick, self._oid, b"".join(self.replicas)
        with self._database.transaction() as connection:
            connection.execute("INSERT INTO intent (replica, body) VALUES (?, ?)", (self._number, body))
            connection.execute(_RESERVE, (*reserved, seen, self._number))
        self._intended = True
        self._saved = (*reserved, *self._saved[3:])

    def pending(self) -> "list[tuple[Item, Vector]]":
        if not self._intended:
            return []
        found: dict[bytes, tuple[Item, Vector]] = {}
        for (body,) in self._all("SELECT body FROM intent WHERE replica = ? ORDER BY number", (self._number,)):
            for item, vector in unpack_intents(body):
                found[item.id] = item, vector
        return list(found.values())

    def keep(self, items: "list[Item]") -> None:
        changed = self._changed
        for item in items:
            if changed.get(item.id) is not item:
                self.put(item)
        kept = {item.id: changed[item.id] for item in items}
        rows, head, seen = list(self._rows_of(kept)), self._head(), self._testified()
        with self._database.transaction() as connection:
            connection.executemany(_UPSERT, rows)
            connection.execute(_UPDATE, (*head, seen, self._number))
        self._saved = head
        self._remember(kept)
        for _, item_id, _, _, mark, _ in rows:
            del changed[item_id]
            if self._marks is not None:
                self._marks[item_id] = mark

    def commit(self) -> None:
        head = self._head()
        if not self._changed and not self._intended and head == self._saved:
            return
        seen = self._testified()
        with self._database.transaction() as connection:
            gone = sorted(item_id for item_id, item in self._changed.items() if item is None)
            connection.executemany("DELETE FROM item WHERE replica = ? AND id = ?", [(self._number, i) for i in gone])
            connection.executemany(_UPSERT, self._rows_of(self._changed))
            connection.execute(_UPDATE, (*head, seen, self._number))
            connection.execute("DELETE FROM intent WHERE replica = ?", (self._number,))
        self._saved = head
        self._remember(self._changed)
        self._changed = {}
        self._intended = False

    def _remember(self, committed: "dict[bytes, Item | None]") -> None:
        """This is what the table holds now."""
        if len(self._recent) + len(committed) > RECENT:
            self._recent = {}
        if len(committed) > RECENT:
            return
        for item_id, item in committed.items():
            if item is None:
                self._recent.pop(item_id, None)
            else:
                self._recent[item_id] = item

    def _rows_of(self, changed: "dict[bytes, Item | None]") -> "Iterator[tuple[int, bytes, int, str, bytes, bytes]]":
        """In the order of the table: neighbouring rows go to the same page."""
        number = self._number
        for item_id in sorted(changed):
            item = changed[item_id]
            if item is not None:
                yield number, item_id, item.oid, item.identity, mark_of(item), body_of(item)

    def rollback(self) -> None:
        self._load()


__all__ = ["SqliteMetadata", "SqliteStore"]
