"""The metadata contract on SQLite, and what only a database has: several replicas, schema versions, sentences."""

import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from cradle_desktop.metadata.database import Database
from cradle_desktop.metadata.interface import StateError
from cradle_desktop.metadata.schema import VERSION
from cradle_desktop.metadata.sqlite import PAGE, SqliteMetadata, SqliteStore
from cradle_protocol.sync.item import item_id
from cradle_protocol.sync.knowledge import everything
from cradle_protocol.sync.metadata import SAME, Metadata
from cradle_protocol.sync.version import is_desktop
from cradle_testing.metadata import MetadataContract, fields, file_item

STORE = b"id of the store."


class TestSqliteMetadata(MetadataContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "home" / "cradle.db"

    def make(self) -> Metadata:
        self.database = Database(self.path)
        return SqliteStore(self.database).open_replica("/folder", "files", 2)

    def reopen(self, meta: Metadata) -> Metadata:
        self.database.connection.close()
        return self.make()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "cradle.db"


def open_one(path: Path, location: str = "/folder", object_type: str = "files") -> SqliteMetadata:
    return SqliteStore(Database(path)).open_replica(location, object_type, 2)


def test_replicas_do_not_see_each_other(path: Path) -> None:
    store = SqliteStore(Database(path))
    a, b = store.open_replica("/a", "files", 2), store.open_replica("/b", "files", 2)
    assert a.replicas != b.replicas and is_desktop(a.replicas[0])
    a.put(file_item("one"))
    a.put(file_item("two"))
    b.put(file_item("one"))
    a.commit()
    b.commit()
    assert [(info.location, info.objects) for info in store.replicas()] == [("/a", 2), ("/b", 1)]
    store.drop_replica("/a", "files")
    store.drop_replica("/a", "files")
    assert store.replica("/a", "files") is None
    assert [item.identity for item in store.open_replica("/b", "files", 2).items()] == ["one"]
    assert store.open_replica("/a", "files", 2).live() == 0


def test_another_store_at_the_same_place_starts_anew(path: Path) -> None:
    store = SqliteStore(Database(path))
    first = store.open_replica("/a", "files", 2, STORE)
    first.put(file_item("one"))
    first.commit()
    same = store.open_replica("/a", "files", 2, STORE)
    assert same.replicas == first.replicas and same.live() == 1
    assert store.open_replica("/a", "files", 2).store_id == STORE
    other = store.open_replica("/a", "files", 2, STORE[::-1])
    assert other.replicas != first.replicas and other.live() == 0 and other.store_id == STORE[::-1]


def test_a_store_id_is_noted_when_it_becomes_known(path: Path) -> None:
    store = SqliteStore(Database(path))
    own = store.open_replica("/a", "files", 2).replicas
    assert store.open_replica("/a", "files", 2, STORE).replicas == own
    info = store.replica("/a", "files")
    assert info is not None and info.store_id == STORE


def test_items_stream_over_pages_and_held_changes(path: Path) -> None:
    meta = open_one(path)
    count = 2 * PAGE + 7
    for n in range(count):
        meta.put(file_item(f"file {n}", n + 1))
    meta.commit()
    meta = open_one(path)
    ids = [item.id for item in meta.items()]
    assert ids == sorted(ids) and len(ids) == count
    meta.drop(ids[0])
    meta.drop(ids[PAGE])
    meta.put(file_item("one more", count + 1))
    assert len(list(meta.items())) == count - 1
    late = list(meta.lacking(everything({0: count - 1})))
    assert sorted(item.identity for item in late) == sorted([f"file {count - 1}", "one more"])
    assert [item.id for item in meta.items(ids[PAGE + 1])][:3] == ids[PAGE + 1 : PAGE + 4]


def test_a_commit_of_nothing_writes_nothing(path: Path) -> None:
    meta = open_one(path)
    meta.put(file_item("a"))
    meta.commit()
    before = meta._database.connection.total_changes
    meta.begin_scan()
    assert meta.seen(file_item("a").id, b"stamp") == SAME
    meta.commit()
    assert meta._database.connection.total_changes == before


def test_a_failing_commit_changes_nothing_and_can_be_repeated(path: Path) -> None:
    meta = open_one(path)
    meta.put(file_item("a"))
    meta.commit()
    bad = file_item("b")
    bad.versions[1] = (1, -1)
    meta.put(file_item("c"))
    meta.put(bad)
    with pytest.raises(Exception, match="out of range"):
        meta.commit()
    assert [item.identity for item in open_one(path).items()] == ["a"]
    meta.drop(bad.id)
    meta.commit()
    assert sorted(item.identity for item in open_one(path).items()) == ["a", "c"]


def test_nobody_else_can_read_the_keys(path: Path) -> None:
    open_one(path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()} == {0o600}


def test_a_file_that_others_can_read_is_closed_to_them(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    path.touch(mode=0o644)
    path.chmod(0o644)
    open_one(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755  # was not empty: not ours to change


def test_a_newer_schema_is_one_sentence(path: Path) -> None:
    database = Database(path)
    database.connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    database.close()
    with pytest.raises(StateError, match="newer cradle") as caught:
        Database(path)
    assert "CRADLE_HOME" in caught.value.text and "\n" not in caught.value.text


def test_a_database_of_somebody_else_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE t (x)")
    other.commit()
    other.close()
    with pytest.raises(StateError, match="no state of cradle"):
        Database(path)


def test_garbage_is_one_sentence(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(os.urandom(9000))
    with pytest.raises(StateError, match="damaged"):
        Database(path)


def test_damaged_knowledge_is_one_sentence(path: Path) -> None:
    meta = open_one(path)
    meta._database.connection.execute("UPDATE replica SET knowledge = x'0102'")
    with pytest.raises(StateError, match="damaged"):
        open_one(path)


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="CRADLE_HOME"):
        Database(tmp_path / "file" / "home" / "cradle.db")


def test_two_processes_write_in_turn(path: Path) -> None:
    """Two replicas of one state, each in a database object of its own, as two `cradle sync` have them."""
    open_one(path)
    failures: list[BaseException] = []

    def work(location: str) -> None:
        try:
            meta = open_one(path, location)
            for n in range(20):
                meta.put(file_item(f"file {n}", n + 1))
                meta.commit()
            meta._database.close()
        except BaseException as error:  # noqa: BLE001  told to the test below
            failures.append(error)

    workers = [threading.Thread(target=work, args=(name,)) for name in ("/a", "/b")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []
    assert [info.objects for info in SqliteStore(Database(path)).replicas()] == [20, 20, 0]


def test_what_takes_the_place_of_a_tombstone_is_known_for_good(tmp_path: Path) -> None:
    """A scan and an arrival alike, before the commit and after restarts; what `put` is given stays as it is."""
    path = tmp_path / "cradle.db"
    with Database(path) as database:
        meta = SqliteStore(database).open_replica("/folder", "files", 2)
        for name in ("scanned", "arrived", "deleted", "plain"):
            meta.put(file_item(name))
        meta.commit()
        for name in ("scanned", "arrived", "deleted"):
            item = meta.get(item_id("files", name))
            assert item is not None
            item.die((2, 0))
            meta.put(item)
        meta.commit()
        assert meta.reborn() == set()
        expected = {item_id("files", "scanned"), item_id("files", "arrived")}
        meta.begin_scan()
        meta.create(item_id("files", "scanned"), "scanned", file_item("scanned").values, b"stamp", 0)
        meta.put(file_item("arrived", 3))
        assert meta.reborn() == expected
        meta.commit()
        again = file_item("arrived", 4)
        meta.keep([again])
        assert fields(meta.get(item_id("files", "arrived"))) == fields(again)
    with Database(path) as database:
        meta = SqliteStore(database).open_replica("/folder", "files", 2)
        assert meta.reborn() == expected
        meta.drop(item_id("files", "arrived"))
        meta.commit()
        assert meta.reborn() == {item_id("files", "scanned")}
