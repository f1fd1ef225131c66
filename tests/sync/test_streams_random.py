"""Random lives of a logger with two desktops: cut links, restarts, a desktop that is put back to an earlier state.

Its file of rows is put back with it, or alone. In the end each row is there once and in order, or counted as lost.
"""

import json
import os
import random
import shutil
from pathlib import Path

import pytest

from cradle_desktop.metadata.database import Database
from cradle_testing.pair import Cut
from sync.test_streams import LoggerEnd, Reader, csv_rows

SEEDS = int(os.environ.get("CRADLE_SEEDS", "8"))
ACTS = ("record", "record", "sync", "sync", "cut", "restart", "save", "restore", "restore rows")


class Desk(Reader):
    """A desktop that notes which rows it was told are lost, and can be put back."""

    def __init__(self, folder: Path, number: int, name: str) -> None:
        super().__init__(folder, number, name)
        self.lost: set[int] = set()
        self._copy, self._lost = folder.with_name(folder.name + "-copy"), set[int]()

    def meet(self, end: LoggerEnd, cut: "int | None" = None) -> None:
        try:
            self.tell(self.sync(end, cut).gaps)
        except Cut:  # what it was told in a page that was kept is in its notes
            notes = self.database.connection.execute("SELECT row, rows FROM stream_gap").fetchall()
            self.tell(notes)

    def tell(self, gaps: "list[tuple[int, int]]") -> None:
        for first, rows in gaps:
            self.lost |= set(range(first, first + rows))

    def save(self) -> None:
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self.folder, self._copy)
        self._lost = set(self.lost)

    def restore(self, rows_only: bool) -> None:
        """What it was told meanwhile stays true, and where its own notes stay it is not told again."""
        if not self._copy.exists():
            return
        if rows_only:
            shutil.copyfile(self._copy / self.place.name, self.place)
            return
        self.database.close()
        shutil.rmtree(self.folder)
        shutil.copytree(self._copy, self.folder)
        self.database, self.lost = Database(str(self.folder / "cradle.db")), set(self._lost)

    def first(self) -> int:
        """The first row that its file was to have: an empty one begins with what is there."""
        (found,) = self.database.connection.execute("SELECT first FROM stream").fetchone()
        return int(found)

    def numbers(self) -> "list[int]":
        if self.place.suffix == ".db":
            return self.rows()
        if self.place.suffix == ".csv":
            return csv_rows(self.place)
        found = [json.loads(line) for line in self.place.read_text().splitlines()]
        return [one["row"] for one in found if "gap" not in one]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_each_row_is_there_once_or_told_to_be_lost(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    end = LoggerEnd(tmp_path / "device", segment=1024, bound=rng.choice([4096, 1 << 20]))
    name = rng.choice(["rows.db", "rows.csv", "rows.jsonl"])
    desks = [Desk(tmp_path / f"desk{k}", k, name) for k in (0, 1)]
    for desk in desks:
        desk.meet(end)
    for _ in range(30):
        act, desk = rng.choice(ACTS), rng.choice(desks)
        if act == "record":
            end.record(rng.randrange(1, 40))
        elif act == "restart":
            end.restart()
        elif act == "save":
            desk.save()
        elif act in ("sync", "cut"):
            desk.meet(end, rng.randrange(3000) if act == "cut" else None)
        else:
            desk.restore(act == "restore rows")
    for desk in desks:
        desk.meet(end)
        rows = desk.numbers()
        assert rows == sorted(set(rows)), "once, and in order"
        missing = set(range(desk.first(), end.readings.segments.next)) - set(rows) - desk.lost
        assert not missing, "but for those before it began with this file"
    end.agent.close()
