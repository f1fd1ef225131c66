"""A state folder that was put back, or copied, is told from one that goes on: on a real disk, by real copies."""

import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from cradle_desktop.metadata.database import Database
from cradle_desktop.metadata.sqlite import SqliteMetadata, SqliteStore
from cradle_desktop.metadata.witness import FOLDER
from cradle_desktop.sync.setback import renew
from cradle_testing.metadata import file_item


class Home:
    """A state folder with one replica in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self) -> SqliteMetadata:
        return SqliteStore(Database(self.folder / "cradle.db")).open_replica("/folder", "files", 2)

    def session(self, name: str = "a") -> bool:
        """Stamp something and end. Was it seen that this is a state of before? Then the replica became another one."""
        meta = self.open()
        found = meta.set_back
        if found:
            renew(meta, meta.tick)
        meta.put(file_item(name, meta.next_version()[0]))
        meta.commit()
        meta._database.close()
        return found

    def look(self) -> bool:
        meta = self.open()
        found = meta.set_back
        meta._database.close()
        return found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "state")
    for k in range(3):
        assert not made.session(f"{k}")
    return made


def test_a_state_that_goes_on(home: Home) -> None:
    assert not home.session() and not home.session() and not home.look()
    moved = home.folder.with_name("moved")
    home.folder.rename(moved)
    assert not Home(moved).session()


@pytest.mark.parametrize("again", [0, 1, 5])
@pytest.mark.parametrize("way", ["replaced", "over", "archive", "database", "witness away"])
def test_a_state_that_was_put_back(home: Home, way: str, again: int) -> None:
    """However it is put back, and however much was done meanwhile, also nothing."""
    backup = home.folder.with_name("backup")
    shutil.copytree(home.folder, backup)
    for k in range(again):
        assert not home.session(f"again {k}")
    if way == "replaced":
        shutil.rmtree(home.folder)
        shutil.copytree(backup, home.folder)
    elif way == "over":
        subprocess.run(["cp", "-a", f"{backup}/.", str(home.folder)], check=True)
    elif way == "archive":
        subprocess.run(["tar", "-C", str(backup), "-cf", f"{backup}.tar", "."], check=True)
        subprocess.run(["tar", "-C", str(home.folder), "-xpf", f"{backup}.tar"], check=True)
    elif way == "database":
        shutil.copy2(backup / "cradle.db", home.folder / "cradle.db")
    else:
        shutil.rmtree(home.folder / FOLDER)
    told = way != "database" or again > 0  # of a state that lacks nothing nobody has to know
    assert home.look() is told
    assert home.session() is told and not home.session()


def test_a_copy_beside_the_first(home: Home) -> None:
    copy = Home(home.folder.with_name("copy"))
    shutil.copytree(home.folder, copy.folder)
    assert copy.session() and not copy.session() and not home.session()


def test_what_ends_before_the_replica_is_another_one_is_seen_again(home: Home) -> None:
    """A crash after the first tick was durable must not make the state of before one that goes on."""
    shutil.copytree(home.folder, home.folder.with_name("backup"))
    assert not home.session()
    shutil.rmtree(home.folder)
    home.folder.with_name("backup").rename(home.folder)
    meta = home.open()
    meta.put(file_item("a", meta.next_version()[0]))
    meta.commit()
    meta.intend([file_item("b", meta.next_version()[0])], [{}])
    meta._database.close()
    assert home.session() and not home.session()


def test_a_session_that_is_killed_is_no_restore(home: Home) -> None:
    meta = home.open()
    meta.intend([file_item("a", meta.next_version()[0])], [{}])
    meta.keep([file_item("b", meta.next_version()[0])])
    meta._database.connection.close()
    assert not home.look()


def test_where_nothing_is_stamped_nothing_is_written(home: Home) -> None:
    def files() -> dict[str, int]:
        return {path.name: path.stat().st_ctime_ns for path in (home.folder / FOLDER).iterdir()}

    before = files()
    meta = home.open()
    meta.put(file_item("a", 1, 1))
    meta.commit()
    meta._database.close()
    assert files() == before
    SqliteStore(Database(home.folder / "cradle.db")).drop_replica("/folder", "files")
    assert files() == {}


def test_a_state_of_an_earlier_schema_goes_on(home: Home) -> None:
    """It never had a witness."""
    shutil.rmtree(home.folder / FOLDER)
    with sqlite3.connect(home.folder / "cradle.db") as connection:
        connection.execute("UPDATE replica SET witness = x''")
    connection.close()
    assert not home.session() and not home.session()
