"""The one SQLite file of a CRADLE_HOME: opening, schema version, transactions, and its errors as sentences.

Knows no table's meaning. One object is used by one thread at a time; several processes may have the file open.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from cradle_desktop.metadata.interface import StateError
from cradle_desktop.metadata.schema import APPLICATION_ID, SCRIPTS, VERSION

FILE_NAME = "cradle.db"
# Seconds to wait for another process's transaction: the longest (100,000 new items) takes about two.
BUSY_TIMEOUT = 15.0
# Pages of 4 KiB kept in memory: 8 MiB hold the rows of about 40,000 items. SQLite's own default is 2 MiB.
_CACHE_KIB = 8192

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def private_folder(path: str) -> str:
    """Make a folder that only its owner can enter. One that is there and is not empty stays as its owner set it."""
    try:
        os.makedirs(path, PRIVATE_FOLDER, exist_ok=True)
        if os.stat(path).st_mode & 0o077 and not os.listdir(path):
            os.chmod(path, PRIVATE_FOLDER)
    except OSError as error:
        raise StateError(f"The folder {path} cannot be made ({error.strerror}); set CRADLE_HOME to another.") from None
    return path


def _private_file(path: str) -> None:
    """Keys are in it: nobody but the owner may read it, from before its first byte on (WAL and SHM take its mode)."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        if os.fstat(fd).st_mode & 0o077:
            os.fchmod(fd, PRIVATE_FILE)
    finally:
        os.close(fd)


class Database:
    """An open state database. `connection` runs in autocommit mode: every write goes through `transaction`."""

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        self.path = os.fspath(path)
        private_folder(os.path.dirname(self.path))
        with self.sentences():
            _private_file(self.path)
            # Between threads it is handed over, never shared: see the module.
            self.connection = sqlite3.connect(
                self.path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=64
            )
            try:
                self._prepare()
            except BaseException:
                self.connection.close()
                raise

    def _prepare(self) -> None:
        run = self.connection.execute
        version = self._version()
        if version > VERSION:
            raise StateError(
                f"The state in {self.path} was written by a newer cradle (schema {version}, this one knows {VERSION}); "
                "update cradle or set CRADLE_HOME to another folder."
            )
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("PRAGMA foreign_keys = ON")
        run(f"PRAGMA cache_size = -{_CACHE_KIB}")
        if version < VERSION:
            self._upgrade()

    def _version(self) -> int:
        """The schema version of the file, 0 for an empty one. A database of somebody else's is refused."""
        application = int(self.connection.execute("PRAGMA application_id").fetchone()[0])
        version = int(self.connection.execute("PRAGMA user_version").fetchone()[0])
        tables = self.connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if application != APPLICATION_ID and tables:
            raise StateError(f"{self.path} is no state of cradle; move it away or set CRADLE_HOME to another folder.")
        return version

    def _upgrade(self) -> None:
        with self.transaction() as connection:
            for number in range(self._version(), VERSION):  # asked again: another process may have been faster
                for statement in SCRIPTS[number].split(";"):
                    if statement.strip():
                        connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def transaction(self) -> "Iterator[sqlite3.Connection]":
        """All that is written inside becomes durable in one step, or, if it raises, not at all."""
        with self.sentences():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    @contextmanager
    def sentences(self) -> "Iterator[None]":
        """Turn the errors of the database and of its file into `StateError`."""
        try:
            yield
        except sqlite3.Error as error:
            raise StateError(_sentence(self.path, error)) from error
        except OSError as error:
            raise StateError(f"The state in {self.path} cannot be opened ({error.strerror}).") from error

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; safe to call twice. What was not committed is gone."""
        self.connection.close()


def _sentence(path: str, error: sqlite3.Error) -> str:
    name = str(getattr(error, "sqlite_errorname", ""))
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"Another cradle has kept the state in {path} busy for {BUSY_TIMEOUT:.0f} s; wait for it or end it."
    if name.startswith("SQLITE_FULL"):
        return f"The disk that holds {path} is full; free some space and sync again."
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return f"The state in {path} is damaged ({error}); move it away and pair again: files are compared, not lost."
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return f"The state in {path} cannot be written ({error}); check its permissions."
    return f"The state in {path} failed: {error}."
