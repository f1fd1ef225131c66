"""Tombstones go by age, by the desktop's clock, and never too early."""

from pathlib import Path

import pytest

from cradle_desktop.metadata.database import Database
from cradle_desktop.metadata.horizon import Horizons
from cradle_desktop.metadata.sqlite import SqliteMetadata, SqliteStore
from cradle_protocol.sync.item import item_id
from cradle_testing.metadata import file_item

DAY = 86400
AGE = 90 * DAY


class Rig:
    """One replica, its notes, and a clock."""

    def __init__(self, folder: Path) -> None:
        database = Database(folder / "cradle.db")
        self.meta: SqliteMetadata = SqliteStore(database).open_replica("/folder", "files", 2)
        self.horizons = Horizons(database)
        self.count_rows = lambda: database.connection.execute("SELECT count(*) FROM horizon").fetchone()[0]
        self.now = 1_800_000_000

    def delete(self, name: str) -> None:
        """Something is made and deleted."""
        item = file_item(name)
        item.created = self.meta.next_version()
        item.die(self.meta.next_version())
        self.meta.put(item)
        self.meta.knowledge.raise_own(0, self.meta.tick)
        self.meta.commit()

    def day(self, days: int = 1) -> int:
        """So many days pass, with a sync on each."""
        gone = 0
        for _ in range(days):
            self.now += DAY
            gone += self.horizons.clean(self.meta, self.now, AGE)
        return gone


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_a_tombstone_goes_when_it_is_old_enough(rig: Rig) -> None:
    rig.delete("early")
    assert rig.day(89) == 0
    rig.delete("late")
    assert rig.day(2) == 1
    assert rig.meta.get(item_id("files", "early")) is None
    assert rig.meta.get(item_id("files", "late")) is not None
    assert rig.meta.forgotten.vectors == [{0: 2}]
    assert rig.day(90) == 1


def test_a_long_pause_does_not_make_the_last_delete_old(rig: Rig) -> None:
    """What was deleted since the last note may be a minute old."""
    rig.day()
    rig.delete("fresh")
    rig.now += 200 * DAY
    assert rig.horizons.clean(rig.meta, rig.now, AGE) == 0
    assert rig.day(89) == 0 and rig.day(1) == 1


def test_the_notes_are_bounded(rig: Rig) -> None:
    for _ in range(5):
        rig.horizons.clean(rig.meta, rig.now, AGE)
    assert rig.count_rows() == 1, "one a day"
    rig.day(300)
    assert rig.count_rows() <= 91


def test_a_clock_that_is_set_back_makes_nothing_old(rig: Rig) -> None:
    rig.delete("x")
    rig.now += 1000 * DAY
    rig.horizons.clean(rig.meta, rig.now, AGE)
    rig.now -= 1000 * DAY
    assert rig.day(89) == 0
