"""Rows in SQLite, CSV and JSON Lines: the contract, and what each format promises to its readers."""

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cradle_desktop.providers.readings import create_rows, open_rows
from cradle_protocol.errors import BAD_NAME, NO_STORE
from cradle_protocol.provider.rows import RowStore, StoreError
from cradle_testing.rows_contract import NOW, OLD, OTHER, STREAM, RowStoreContract, batch

OWN = ("time", "device_time", "stream", "row")


def opened(path: Path, known: "dict[bytes, int] | None" = None) -> RowStore:
    return open_rows(str(path), known or {}) if path.exists() else create_rows(str(path))


class TestSqlite(RowStoreContract):
    STEP = 1024

    def open(self, folder: Path, known: "dict[bytes, int] | None" = None) -> RowStore:
        return opened(folder / "rows.db", known)

    def rows(self, folder: Path) -> "list[tuple[bytes, int, dict[str, Any]]]":
        with closing(sqlite3.connect(folder / "rows.db")) as db:
            db.row_factory = sqlite3.Row
            ids = dict(db.execute("SELECT number, id FROM readings_streams").fetchall())
            found = db.execute("SELECT * FROM readings ORDER BY stream, row").fetchall()
            return [
                (
                    bytes.fromhex(ids[one["stream"]]),
                    one["row"],
                    {k: v for k, v in dict(one).items() if k not in OWN and v is not None},
                )
                for one in found
            ]

    def strange(self, folder: Path) -> None:
        with closing(sqlite3.connect(folder / "rows.db")) as db:
            db.execute("CREATE TABLE readings (x)")
            db.commit()

    def test_for_people(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.add(batch(0, [{"t": 1.5}, {"t": 2.5}], gaps={1: 9}))
        store.close()
        with closing(sqlite3.connect(tmp_path / "rows.db")) as db:
            assert db.execute("SELECT time, device_time, row, t FROM readings").fetchall() == [
                ("2025-11-24T16:00:00.000Z", "2000-01-01T00:00:00.000Z", 0, 1.5),
                ("2025-11-24T16:00:10.000Z", "2000-01-01T00:00:10.000Z", 10, 2.5),
            ]
            assert db.execute("SELECT row, rows FROM readings_gaps").fetchall() == [(1, 9)]
            assert db.execute("SELECT device, position FROM readings_streams").fetchall() == [("porch", 11)]
            assert db.execute("SELECT era, offset_s FROM readings_clocks").fetchall() == [(3, (NOW - OLD) / 1000)]

    def test_names_that_differ_by_case_only(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.add(batch(0, [{"T": 1, "t": 2}, {"t": 3}]))
        store.close()
        assert [one[2] for one in self.rows(tmp_path)] == [{"T": 1, "t_2": 2}, {"t_2": 3}]

    def test_no_database_at_all(self, tmp_path: Path) -> None:
        (tmp_path / "rows.db").write_text("a shopping list, and long enough to be told from a database " * 30)
        with pytest.raises(StoreError):
            self.open(tmp_path)

    def test_somebody_reads_meanwhile(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        with closing(sqlite3.connect(tmp_path / "rows.db")) as db:
            for k in range(3):
                store.add(batch(k, [{"n": k}]))
                assert db.execute("SELECT count(*) FROM readings").fetchone() == (k + 1,)
        store.close()


class LineContract(RowStoreContract):
    """What both text formats promise."""

    NAME = ""

    def open(self, folder: Path, known: "dict[bytes, int] | None" = None) -> RowStore:
        return opened(folder / self.NAME, known)

    def strange(self, folder: Path) -> None:
        (folder / self.NAME).write_text("something of mine\n")

    def test_a_strangers_only_line_stays_as_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / self.NAME
        path.write_text("something of mine")
        with pytest.raises(StoreError):
            self.open(tmp_path)
        assert path.read_text() == "something of mine"

    def test_an_editor_took_the_last_line_end(self, tmp_path: Path) -> None:
        """A row that was safe once stays; one that never was comes again."""
        for known, position in (({STREAM: 2}, 2), ({}, 1), ({STREAM: 1, OTHER: 9}, 1)):
            path = tmp_path / self.NAME
            path.unlink(missing_ok=True)
            store = self.open(tmp_path)
            store.add(batch(0, [{"t": 20.5}, {"t": 21.5}]))
            store.close()
            path.write_bytes(path.read_bytes()[:-1])
            store = self.open(tmp_path, known)
            assert store.position(STREAM) == position
            store.add(batch(position, [{"t": 3}]))
            store.close()
            assert self.numbers(tmp_path) == list(range(position + 1))

    def test_what_a_user_wrote_behind_stays(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.add(batch(0, [{"t": 20.5}]))
        store.close()
        with open(tmp_path / self.NAME, "a") as file:
            file.write("# remember: the sensor was moved")
        store = self.open(tmp_path)
        assert store.position(STREAM) == 1
        store.add(batch(1, [{"t": 21.5}]))
        store.close()
        lines = (tmp_path / self.NAME).read_text().splitlines()
        assert lines[-2] == "# remember: the sensor was moved" and "21.5" in lines[-1]

    def test_a_long_file_of_another_stream(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.add(batch(0, [{"t": 1}], OTHER))
        for k in range(3):
            store.add(batch(k * 2000, [{"text": "x" * 40}] * 2000))
        assert (store.position(OTHER), store.position(STREAM)) == (1, 6000)
        store.close()


class TestJsonLines(LineContract):
    NAME = "rows.jsonl"

    def rows(self, folder: Path) -> "list[tuple[bytes, int, dict[str, Any]]]":
        found = [json.loads(line) for line in (folder / self.NAME).read_text().splitlines()]
        return [
            (bytes.fromhex(one["stream"]), one["row"], {k: v for k, v in one.items() if k not in OWN})
            for one in sorted(found, key=lambda one: one["stream"])
            if "gap" not in one
        ]

    def test_for_people(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.add(batch(0, [{"t": 1.5}, {"t": 2.5}], gaps={1: 9}))
        store.close()
        assert (tmp_path / self.NAME).read_text().splitlines() == [
            '{"time": "2025-11-24T16:00:00.000Z", "device_time": "2000-01-01T00:00:00.000Z", '
            '"stream": "0001020304050607", "row": 0, "t": 1.5}',
            '{"stream": "0001020304050607", "gap": 1, "rows": 9}',
            '{"time": "2025-11-24T16:00:10.000Z", "device_time": "2000-01-01T00:00:10.000Z", '
            '"stream": "0001020304050607", "row": 10, "t": 2.5}',
        ]


class TestCsv(LineContract):
    NAME = "rows.csv"

    def rows(self, folder: Path) -> "list[tuple[bytes, int, dict[str, Any]]]":
        with open(folder / self.NAME, newline="") as file:
            found = [one for one in csv.DictReader(file) if one["stream"]]
        return [
            (
                bytes.fromhex(one["stream"]),
                int(one["row"]),
                {k: _number(v) for k, v in one.items() if k not in OWN and v not in ("", None)},
            )
            for one in sorted(found, key=lambda one: one["stream"])
        ]

    def test_for_people(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.add(batch(0, [{"t": 1.5, "on": True}, {"t": None, "h": "=SUM(A1)"}, {"h": "two\r\nlines, of text"}]))
        store.add(batch(3, [{"new": -1, "t": -2}]))
        store.close()
        assert (tmp_path / self.NAME).read_text().splitlines() == [
            "time,device_time,stream,row,on,t,h,new",
            "2025-11-24T16:00:00.000Z,2000-01-01T00:00:00.000Z,0001020304050607,0,true,1.5,",
            "2025-11-24T16:00:01.000Z,2000-01-01T00:00:01.000Z,0001020304050607,1,,,'=SUM(A1)",
            '2025-11-24T16:00:02.000Z,2000-01-01T00:00:02.000Z,0001020304050607,2,,,"two lines, of text"',
            "2025-11-24T16:00:03.000Z,2000-01-01T00:00:03.000Z,0001020304050607,3,,-2,,-1",
        ]


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def test_places_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name, status in (("rows.txt", BAD_NAME), ("rows", BAD_NAME), ("folder.csv", BAD_NAME)):
        with pytest.raises(StoreError) as error:
            create_rows(str(tmp_path / name))
        assert error.value.status == status
    with pytest.raises(StoreError) as error:
        open_rows(str(tmp_path / "never.db"), {})
    assert error.value.status == NO_STORE and not (tmp_path / "never.db").exists()
    create_rows(str(tmp_path / "deep" / "er" / "rows.db")).close()
    open_rows(str(tmp_path / "deep" / "er" / "rows.db"), {}).close()
