"""SQLite beside the metadata in memory, through random commits, rollbacks and restarts."""

import tempfile
from pathlib import Path

from hypothesis import settings

from cradle_desktop.metadata.database import Database
from cradle_desktop.metadata.sqlite import SqliteStore
from cradle_protocol.sync.metadata import Metadata
from cradle_testing.metadata_machine import MetadataMachine


class SqliteMachine(MetadataMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()

    def make(self) -> Metadata:
        self.database = Database(Path(self.folder.name) / "cradle.db")
        return SqliteStore(self.database).open_replica("/folder", "files", 2)

    def reopen(self, meta: Metadata) -> Metadata:
        self.database.close()
        return self.make()

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()


TestSqlite = SqliteMachine.TestCase
TestSqlite.settings = settings(stateful_step_count=30)
