"""Rows in a SQLite database: a table `readings` with a column for each field, and how far each stream is beside it.

Rows and position are one transaction. The database may hold other tables, and be read by others at any time.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from cradle_desktop.providers.row_values import MORE, cell, column_of, split, time_text
from cradle_protocol.errors import BUSY, NO_ROOM, NOT_ALLOWED, UNREADABLE, WRITE_FAILED
from cradle_protocol.provider.rows import Batch, RowStore
from cradle_protocol.provider.store import StoreError

# Seconds to wait for somebody who writes to the database.
PATIENCE = 10.0
_TABLES = """
CREATE TABLE readings (
    time        TEXT,
    device_time TEXT NOT NULL,
    stream      INTEGER NOT NULL REFERENCES readings_streams,
    row         INTEGER NOT NULL,
    PRIMARY KEY (stream, row)
) WITHOUT ROWID;
CREATE TABLE readings_streams (
    number   INTEGER PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE,
    device   TEXT NOT NULL,
    position INTEGER NOT NULL
);
CREATE TABLE readings_fields (field TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE);
CREATE TABLE readings_gaps (
    stream INTEGER NOT NULL REFERENCES readings_streams, row INTEGER NOT NULL, rows INTEGER NOT NULL,
    PRIMARY KEY (stream, row)
);
CREATE TABLE readings_clocks (
    stream INTEGER NOT NULL REFERENCES readings_streams, era INTEGER NOT NULL,
    device_time TEXT NOT NULL, time TEXT NOT NULL, offset_s REAL NOT NULL,
    PRIMARY KEY (stream, era, device_time)
);
"""


class SqliteRows(RowStore):
    """The tables are made if there are none. Raises StoreError for what is none, or has tables of these names."""

    def __init__(self, location: str) -> None:
        with _sentences():
            self._db = sqlite3.connect(location, timeout=PATIENCE, isolation_level=None)
            try:
                self._db.execute("PRAGMA synchronous = FULL")
                self._prepare()
            except BaseException:
                self._db.close()
                raise
        self._columns: dict[str, str] = dict(self._db.execute("SELECT field, name FROM readings_fields"))

    def close(self) -> None:
        self._db.close()

    def position(self, stream: bytes) -> "int | None":
        with _sentences():
            query = "SELECT position FROM readings_streams WHERE id = ?"
            found: tuple[int] | None = self._db.execute(query, (stream.hex(),)).fetchone()
        return None if found is None else found[0]

    def add(self, batch: Batch) -> None:
        with _sentences(), self._transaction():
            number = self._stream(batch)
            self._insert(number, batch)
            gaps = [(number, first, rows) for first, rows in batch.gaps]
            self._db.executemany("INSERT OR REPLACE INTO readings_gaps VALUES (?, ?, ?)", gaps)
            clocks = [
                (number, era, time_text(device), time_text(true), (true - device) / 1000)
                for era, (device, true) in batch.clocks.items()
            ]
            self._db.executemany("INSERT OR REPLACE INTO readings_clocks VALUES (?, ?, ?, ?, ?)", clocks)

    # -- inside

    def _prepare(self) -> None:
        names = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE name LIKE 'readings%'")}
        if "readings_streams" in names:
            return
        if "readings" in names:
            raise StoreError(NOT_ALLOWED, "it has a table readings that is not ours; name another file")
        with self._transaction():
            for statement in _TABLES.split(";"):
                self._db.execute(statement)

    @contextmanager
    def _transaction(self) -> "Iterator[None]":
        self._db.execute("BEGIN IMMEDIATE")
        columns = dict(getattr(self, "_columns", {}))
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._columns = columns
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _stream(self, batch: Batch) -> int:
        """The stream's number here; its position becomes the batch's end."""
        row = self._db.execute(
            "INSERT INTO readings_streams (id, device, position) VALUES (?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET device = excluded.device, position = excluded.position RETURNING number",
            (batch.stream.hex(), batch.source, batch.end),
        ).fetchone()
        return int(row[0])

    def _insert(self, number: int, batch: Batch) -> None:
        """Rows of the same fields go in together."""
        alike: dict[tuple[str, ...], list[tuple[object, ...]]] = {}
        for row, device, true, values in batch.rows:
            new, rest = split(values, self._columns)
            for field in new:
                self._add_column(field)
            cells = {self._columns[field]: cell(value) for field, value in values.items() if field not in rest}
            if rest:
                cells[self._more()] = json.dumps(rest, ensure_ascii=False)
            one = (time_text(true), time_text(device), number, row, *cells.values())
            alike.setdefault(tuple(cells), []).append(one)
        for names, rows in alike.items():
            listed = ", ".join(["time", "device_time", "stream", "row", *map(_quoted, names)])
            marks = ", ".join("?" * (4 + len(names)))
            self._db.executemany(f"INSERT INTO readings ({listed}) VALUES ({marks})", rows)

    def _add_column(self, field: str) -> None:
        """A column for a field that is new here. Names differ in more than case."""
        taken = {name.casefold() for name in self._columns.values()}
        name = base = column_of(field)
        count = 1
        while name.casefold() in taken:
            count += 1
            name = f"{base}_{count}"
        self._db.execute(f"ALTER TABLE readings ADD COLUMN {_quoted(name)}")
        self._db.execute("INSERT INTO readings_fields VALUES (?, ?)", (field, name))
        self._columns[field] = name

    def _more(self) -> str:
        if not any(row[1] == MORE for row in self._db.execute("PRAGMA table_info(readings)")):
            self._db.execute(f"ALTER TABLE readings ADD COLUMN {MORE}")
        return MORE


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _sentences() -> "Iterator[None]":
    """What SQLite raises, as StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        name = str(getattr(error, "sqlite_errorname", ""))
        if name.startswith("SQLITE_FULL"):
            raise StoreError(NO_ROOM, "its disk is full") from error
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise StoreError(BUSY, f"another program has kept it busy for {PATIENCE:.0f} s") from error
        if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            raise StoreError(UNREADABLE, f"it is no sound SQLite database ({error})") from error
        raise StoreError(WRITE_FAILED, str(error)) from error
