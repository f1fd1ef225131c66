"""State of an earlier schema is brought up to this one, with all that is in it."""

import sqlite3
from pathlib import Path

from cradle_desktop.metadata.database import Database
from cradle_desktop.metadata.schema import APPLICATION_ID, SCRIPTS, VERSION
from cradle_desktop.partnership.registry import Registry

PARTNERSHIP = (
    "INSERT INTO partnership VALUES (1, 'porch', zeroblob(16), 'porch', zeroblob(32), 'loop:', x'', '', 5, NULL)"
)
ENABLED = "INSERT INTO enabled VALUES (1, 'files', '/folder', 'device', 'to-device')"


def test_state_of_the_first_schema_opens(tmp_path: Path) -> None:
    path = tmp_path / "cradle.db"
    old = sqlite3.connect(path)
    old.executescript(SCRIPTS[0])
    old.executescript(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1; {PARTNERSHIP}; {ENABLED};")
    old.close()
    with Database(path) as database:
        assert database.connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
        found = Registry(database).by_name("porch")
        assert found is not None
        [one] = found.types
        assert (one.location, one.policy, one.direction, one.deviations) == ("/folder", "device", "to-device", 0)
