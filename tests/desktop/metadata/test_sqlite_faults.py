"""SQLite under stress: killed at any moment, a full disk, a busy file; and how few statements a sync may cost."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cradle_desktop.metadata.database import Database
from cradle_desktop.metadata.interface import StateError
from cradle_desktop.metadata.sqlite import SqliteMetadata, SqliteStore
from cradle_protocol.sync.detect import detect
from cradle_protocol.sync.memory import MemoryMetadata
from cradle_testing.metadata import file_item
from cradle_testing.stores import MemoryStore

ROUNDS, PER_ROUND = 6, 50


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "cradle.db"


def open_one(path: Path) -> SqliteMetadata:
    return SqliteStore(Database(path)).open_replica("/folder", "files", 2)


WRITER = f"""
import sys
from cradle_desktop.metadata.database import Database
from cradle_desktop.metadata.sqlite import SqliteStore
from cradle_testing.metadata import file_item
meta = SqliteStore(Database(sys.argv[1])).open_replica("/folder", "files", 2)
while True:
    tick = meta.tick + 1
    items = [file_item(f"file {{tick * {PER_ROUND} + n}}", tick) for n in range({PER_ROUND})]
    meta.tick = tick
    meta.intend(items, [{{0: tick}}] * len(items))
    print("intended", tick, flush=True)
    for item in items:
        meta.put(item)
    meta.knowledge.raise_own(0, tick)
    meta.commit()
    print("committed", tick, flush=True)
"""


def test_a_killed_process_leaves_a_whole_batch_or_none(path: Path) -> None:
    paths = os.pathsep.join(p for p in sys.path if p)
    batches = 0
    for round_ in range(ROUNDS):
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
        ) as writer:
            assert writer.stdout is not None
            said = [writer.stdout.readline().split() for _ in range(4 + round_ % 3)]
            writer.send_signal(signal.SIGKILL)
            said += [line.split() for line in writer.stdout]
        said = [line for line in said if len(line) == 2]
        batches += sum(1 for what, _ in said if what == "committed")
        meta = open_one(path)
        assert meta.live() in (batches * PER_ROUND, (batches + 1) * PER_ROUND)
        batches = meta.live() // PER_ROUND
        assert meta.tick >= max(int(tick) for what, tick in said if what == "intended")
        assert all(meta.knowledge.knows(item.id, item.versions[0]) for item in meta.items())
        assert len(meta.pending()) in (0, PER_ROUND)
        meta.commit()
        meta._database.close()


def test_a_full_disk_is_one_sentence_and_loses_nothing(path: Path) -> None:
    meta = open_one(path)
    meta.put(file_item("a"))
    meta.commit()
    run = meta._database.connection.execute
    pages = run("PRAGMA page_count").fetchone()[0]
    run(f"PRAGMA max_page_count = {pages + 2}")
    for n in range(2000):
        meta.put(file_item(f"file {n}"))
    with pytest.raises(StateError, match="full"):
        meta.commit()
    assert meta.live() == 2001 and open_one(path).live() == 1
    run("PRAGMA max_page_count = 1000000")
    meta.commit()
    assert open_one(path).live() == 2001


def test_a_busy_database_is_one_sentence(path: Path) -> None:
    meta, other = open_one(path), Database(path)
    meta.put(file_item("a"))
    meta._database.connection.execute("PRAGMA busy_timeout = 20")
    with other.transaction(), pytest.raises(StateError, match="busy"):
        meta.commit()
    meta.commit()
    assert open_one(path).live() == 1


def count_statements(meta: SqliteMetadata) -> "list[str]":
    said: list[str] = []
    meta._database.connection.set_trace_callback(said.append)
    return said


def test_a_batch_is_one_transaction(path: Path) -> None:
    meta = open_one(path)
    items = [file_item(f"file {n}") for n in range(500)]
    said = count_statements(meta)
    meta.intend(items, [{}] * len(items))
    for item in items:
        meta.put(item)
    meta.commit()
    assert [s for s in said if s.startswith(("BEGIN", "COMMIT"))] == ["BEGIN IMMEDIATE", "COMMIT"] * 2
    keys = [s for s in said if s.startswith("INSERT INTO item")]
    assert len(keys) == len(items)


def test_a_scan_without_changes_is_a_few_statements(path: Path) -> None:
    store = MemoryStore()
    for n in range(300):
        store.write(f"folder/file {n}", b"x")
    store.advance(10)
    meta = open_one(path)
    assert detect(store, meta).changed == 301
    meta = open_one(path)
    said = count_statements(meta)
    assert detect(store, meta).changed == 0
    assert len(said) <= 3, said


def test_a_preview_makes_and_changes_nothing(path: Path) -> None:
    store = SqliteStore(Database(path))
    assert isinstance(store.preview_replica("/new", "files", 2), MemoryMetadata)
    assert store.replicas() == []
    meta = store.open_replica("/a", "files", 2, b"s" * 16)
    meta.put(file_item("a"))
    meta.commit()
    assert store.preview_replica("/a", "files", 2, b"s" * 16).replicas == meta.replicas
    other = store.preview_replica("/a", "files", 2, b"t" * 16)
    assert other.replicas != meta.replicas and list(other.items()) == []
    (info,) = store.replicas()
    assert (info.id, info.objects, info.store_id) == (meta.replicas[0], 1, b"s" * 16)
