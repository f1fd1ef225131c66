"""The type `readings` on the desktop: rows in a SQLite database, in CSV or in JSON Lines, by the name of the file."""

import os

from cradle_desktop.providers.row_values import sync_folder
from cradle_protocol.errors import BAD_NAME, NO_STORE
from cradle_protocol.provider.rows import RowStore
from cradle_protocol.provider.store import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

TYPE = "readings"
_DATABASES = (".db", ".sqlite", ".sqlite3")
_LINES = (".csv", ".jsonl", ".ndjson")


def open_rows(location: str, known: "Mapping[bytes, int]") -> RowStore:
    """The store in a file that is there. `known`: {stream: rows before this one were safe here once}. StoreError."""
    if not os.path.isfile(location):
        raise StoreError(NO_STORE)
    return _store(location, known)


def create_rows(location: str) -> RowStore:
    """The store in a file, made if there is none. Raises StoreError, also for a file of somebody else's."""
    if os.path.isdir(location):
        raise StoreError(
            BAD_NAME, "readings are kept in a file, and this is a folder: name a .db, .csv or .jsonl in it"
        )
    ending = os.path.splitext(location)[1].lower()
    if ending not in _DATABASES + _LINES:
        raise StoreError(BAD_NAME, "the file for readings is named *.db, *.csv or *.jsonl")
    try:
        os.makedirs(os.path.dirname(location) or ".", exist_ok=True)
        with open(location, "ab"):
            pass
        sync_folder(location)
    except OSError as error:
        raise StoreError(NO_STORE, f"it cannot be made ({error.strerror})") from error
    return _store(location, {})


def _store(location: str, known: "Mapping[bytes, int]") -> RowStore:
    ending = os.path.splitext(location)[1].lower()
    if ending in _DATABASES:
        from cradle_desktop.providers.rows_sqlite import SqliteRows

        return SqliteRows(location)
    from cradle_desktop.providers.rows_lines import CsvRows, JsonRows

    return CsvRows(location, known) if ending == ".csv" else JsonRows(location, known)
