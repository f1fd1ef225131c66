"""The logger job: rows of a program on a device arrive in a file of the desktop, once and in order, whatever happens.

The example's logger on CPython, and as a board has it (the bundle under MicroPython), at the end of an emulated line.
"""

import csv
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cradle_device.cursors import Cursors
from cradle_hardware.emulated import EmulatedLine, Line
from loopback.rig import CODE, Agent, Desktop, environment, wait_until
from micropython.dual import ROOT, need

pytestmark = pytest.mark.timeout(240)

HEAP = "192k"  # of the unix port
FAST = 4_000_000  # bit a second


class Logger(Agent):
    """logging_device.py as a process. `board`: the bundle, None for CPython from the sources."""

    board: "Path | None" = None
    every, rows, bound = 5, 1 << 30, 1 << 20

    @property
    def journal(self) -> Path:
        return self.base / "journal"

    def launch(self, out: int, err: int) -> "subprocess.Popen[bytes]":
        program = [str(ROOT / name) for name in ("tests/loopback/logging_device.py", "device/boot", "device/examples")]
        words = ["--listen", self.address or self.listen, "--state", str(self.state), "--name", self.name]
        words += ["--journal", str(self.journal), "--every", str(self.every), "--rows", str(self.rows)]
        words += ["--bound", str(self.bound)]
        if self.board is None:
            return subprocess.Popen(
                [sys.executable, "-u", *program, *words], env=environment(self.base), stdout=out, stderr=err
            )
        started = [need("micropython"), "-X", "heapsize=" + HEAP, *program, *words]
        where = {"PATH": "/usr/bin:/bin", "MICROPYPATH": f"{self.board}:.frozen"}
        return subprocess.Popen(started, env=where, stdout=out, stderr=err)

    def acknowledged(self) -> int:
        """Rows before this one are durable, says the program; it may know of more by now."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return max((int(line.split()[0]) for line in lines if len(line.split()) == 2), default=0)

    def record(self, rows: int) -> None:
        """Start it anew, and wait until it has recorded so many rows and stopped."""
        self.kill()
        self.rows = rows
        self.start()
        self.wait(rows)

    def longest(self) -> int:
        """Milliseconds: the longest turn of the program's loop."""
        return max(int(line.split()[1]) for line in self.journal.read_text().splitlines() if len(line.split()) == 2)

    def wait(self, rows: int) -> None:
        wait_until(lambda: self.acknowledged() >= rows)


@contextmanager
def logging(
    place: Path, board: "Path | None" = None, line: "Line | None" = None, **more: int
) -> "Iterator[tuple[Logger, EmulatedLine]]":
    """A logger at the far end of a line."""
    (place / "line").mkdir(parents=True)
    with EmulatedLine(line or Line(baud=FAST, seed=1), place / "line") as wire:
        agent = Logger(place / "device", wire.device_address, "porch")
        agent.board = board
        for name, value in more.items():
            setattr(agent, name, value)
        with agent:
            yield agent, wire


def meet(desktop: Desktop, wire: EmulatedLine, name: str) -> Path:
    """Pair and enable; the file with the rows."""
    store = desktop.home / name
    desktop.run("pair", wire.desktop_address, "--name", "porch")
    desktop.run("enable", "porch", "readings", "--store", str(store))
    return store


def rows_in(store: Path) -> "list[tuple[str, int, int]]":
    """(stream, row, the number that the program gave it) of each, in the file's order."""
    if store.suffix == ".db":
        with closing(sqlite3.connect(store)) as db:
            return db.execute("SELECT stream, row, number FROM readings ORDER BY stream, row").fetchall()
    if store.suffix == ".csv":
        with open(store, newline="") as file:
            return [(one["stream"], int(one["row"]), int(one["number"])) for one in csv.DictReader(file)]
    found = [json.loads(line) for line in store.read_text().splitlines()]
    return [(one["stream"], one["row"], one["number"]) for one in found if "gap" not in one]


def check(store: Path, least: int, first: int = 0) -> int:
    """Each row once and in order, at least up to one; how many."""
    rows = rows_in(store)
    assert [row for _, row, _ in rows] == list(range(first, first + len(rows)))
    assert all(row == number for _, row, number in rows)
    assert first + len(rows) >= least, (len(rows), least)
    return len(rows)


NAMES = ["rows.db", "rows.csv", "rows.jsonl"]


@pytest.mark.parametrize("name", NAMES)
def test_a_logger_on_cpython(tmp_path: Path, desktop: Desktop, name: str) -> None:
    with logging(tmp_path) as (agent, wire):
        store = meet(desktop, wire, name)
        agent.wait(20)
        report = desktop.sync()["types"][0]
        first = check(store, 20)
        assert report["type"] == "readings" and report["to_desktop"]["created"] == first and report["lost"] == 0
        agent.wait(first + 20)
        assert desktop.sync()["types"][0]["to_desktop"]["created"] == check(store, first + 20) - first
        status = desktop.run("status", "--json").document()["partners"][0]["types"][0]
        assert status["objects"] == len(rows_in(store)) and status["lost"] == 0 and abs(status["clock_behind_s"]) < 5
        assert f"readings  {status['objects']} rows in {store}" in desktop.run("status").out


@pytest.mark.micropython
def test_a_logger_on_a_board(tmp_path: Path, desktop: Desktop, board: Path) -> None:
    """The heap of a board, a noisy line, the console's text among the frames; the program goes on meanwhile."""
    noise = Line(baud=FAST, seed=3, byte_errors=5e-5, bursts=1e-5, console=b"temperature 21.5\r\n", console_every=3000)
    with logging(tmp_path, board, noise) as (agent, wire):
        store = meet(desktop, wire, "rows.db")
        for least in (60, 200, 300):
            agent.wait(least)
            desktop.sync()
            check(store, least)
        assert agent.longest() < 1000, "milliseconds; it shares two processors with the desktop and the line"


def test_what_a_sync_says_before_and_after(tmp_path: Path, desktop: Desktop) -> None:
    with logging(tmp_path, rows=50) as (agent, wire):
        store = meet(desktop, wire, "rows.csv")
        agent.wait(50)
        before = {path: path.read_bytes() for path in agent.state.rglob("*") if path.is_file()}
        out = desktop.run("diff").out
        assert "append    readings 0 to 49 on desktop" in out
        assert {path: path.read_bytes() for path in agent.state.rglob("*") if path.is_file()} == before
        assert store.read_bytes() == b""
        assert "porch readings: to the desktop 50 created" in desktop.run("sync").out
        assert "nothing to do" in desktop.run("diff").out
        trace = tmp_path / "trace"
        desktop.run("sync", "--capture", str(trace))
        lines = desktop.run("trace", str(trace)).out
        assert "STREAM_OPEN #" in lines and "type='readings'" in lines and "STREAM_OPEN_REPLY #" in lines


@pytest.mark.slow  # in one process: tests/sync/test_streams
def test_ce20_two_desktops_and_high_water(tmp_path: Path) -> None:
    """Each desktop has each row once; what one of them was too late for is a counted gap, for that one alone."""
    one, two = Desktop(tmp_path / "one"), Desktop(tmp_path / "two")
    with logging(tmp_path, every=1, bound=16384, rows=20) as (agent, wire):
        first, second = meet(one, wire, "rows.db"), meet(two, wire, "rows.jsonl")
        agent.wait(20)
        assert [desktop.sync()["types"][0]["to_desktop"]["created"] for desktop in (one, two)] == [20, 20]
        for rows in range(120, 601, 120):
            agent.record(rows)
            assert one.sync()["types"][0]["lost"] == 0
        assert check(first, 600) == 600
        had = [row for _, row, _ in rows_in(second)]
        report = two.run("sync", expect=5)
        rows = [row for _, row, _ in rows_in(second)]
        lost = [row for row in range(had[0], 600) if row not in rows]
        assert len(lost) > 100 and rows == had + list(range(lost[-1] + 1, 600))
        assert f"rows {lost[0]} to {lost[-1]} are lost ({len(lost)})" in report.out
        status = two.run("status", "--json").document()["partners"][0]["types"][0]
        assert (status["objects"], status["lost"]) == (len(rows), len(lost))
        assert f"{len(lost)} lost" in two.run("status").out
        assert "lost" not in two.run("sync").out, "it is said once"


def test_a_desktop_that_is_away_for_long(tmp_path: Path, desktop: Desktop) -> None:
    """Nobody comes: the logger goes on, restarts and all, and the newest rows are there."""
    with logging(tmp_path, every=1, bound=8192) as (agent, wire):
        store = meet(desktop, wire, "rows.jsonl")
        desktop.sync(expect=None)  # so many rows a second: the first may be gone
        for _ in range(2):
            agent.wait(agent.acknowledged() + 150)
            agent.kill()
            agent.start()
        newest = agent.acknowledged()
        out = desktop.run("sync", expect=5).out
        assert "or its flash is damaged" in out, "rows are lost: that is no full success"
        rows = [row for _, row, _ in rows_in(store)]
        assert rows[-1] >= newest - 1 and rows == sorted(set(rows))
        assert any("gap" in json.loads(line) for line in store.read_text().splitlines())


def held(agent: Logger) -> int:
    """How many desktops the logger keeps rows for."""
    agent.kill()
    notes = Cursors(str(agent.state / "readings" / "cursors.log"), b"")
    notes.close()
    return len(notes.rows)


def test_a_desktop_that_wants_no_more_rows(tmp_path: Path, desktop: Desktop) -> None:
    """The device is told at once or, where it is away, the next time; then no row is held for this desktop."""
    with logging(tmp_path) as (agent, wire):
        store = meet(desktop, wire, "rows.db")
        desktop.sync()
        assert desktop.run("disable", "porch", "readings").err == ""
        assert held(agent) == 0
        agent.start()
        desktop.run("enable", "porch", "readings", "--store", str(store))
        desktop.sync()
        assert held(agent) == 1
        said = desktop.run("disable", "porch", "readings").err
        assert "porch was not told (no agent answers" in said and "by the next 'cradle sync porch'" in said
        agent.start()
        desktop.run("diff", "porch", expect=1)
        assert held(agent) == 1, "a look changes nothing"
        agent.start()
        assert "nothing is enabled with porch" in desktop.run("sync", "porch", expect=1).err
        assert held(agent) == 0
        agent.start()
        desktop.run("enable", "porch", "readings", "--store", str(store))
        desktop.sync()
        rows = rows_in(store)
        assert len(rows) == len(set(rows)) and held(agent) == 1


def test_a_device_that_was_away_at_the_end(tmp_path: Path, desktop: Desktop) -> None:
    """It learns when the two are paired again that its rows are not wanted any more."""
    with logging(tmp_path) as (agent, wire):
        meet(desktop, wire, "rows.db")
        desktop.sync()
        assert held(agent) == 1
        assert "porch was not told" in desktop.run("unpair", "porch").err
        agent.start()
        desktop.run("pair", wire.desktop_address, "--name", "porch")
        assert held(agent) == 1
        agent.start()
        desktop.run("sync", "porch", expect=1)
        assert held(agent) == 0


def test_what_cannot_be_enabled(desktop: Desktop, agent: Agent, tmp_path: Path) -> None:
    desktop.run("pair", agent.address, "--name", "kiosk", "--code", CODE)
    for words, code, text in (
        (["--store", "rows.txt"], 1, "named *.db, *.csv or *.jsonl"),
        (["--store", "."], 1, "this is a folder"),
        (["--store", "rows.db", "--direction", "to-device"], 2, "leave --direction out"),
    ):
        assert text in desktop.run("enable", "kiosk", "readings", *words, expect=code).err
    desktop.run("enable", "kiosk", "files")
    assert desktop.run("enable", "kiosk", "readings").err == ""
    desktop.run("disable", "kiosk", "files")
    assert (desktop.home / "kiosk-readings.db").exists()
    assert "records no readings" in desktop.run("sync", expect=1).err
    assert "no sync overwrote or deleted anything" in desktop.run("undo", "kiosk").out
    (desktop.home / "kiosk-readings.db").unlink()
    assert "is missing" in desktop.run("sync", expect=1).err


def test_a_full_disk_of_the_desktop(tmp_path: Path, desktop: Desktop) -> None:
    """It is said, nothing is acknowledged, and nothing is lost."""
    with logging(tmp_path, rows=400, every=1) as (agent, wire):
        store = meet(desktop, wire, "rows.csv")
        agent.wait(400)
        running = desktop.start("sync")
        import resource

        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (9000, 9000))
        out, err = running.communicate()
        assert running.process.returncode == 1 and err.count("\n") == 1, (out, err)
        assert desktop.sync()["types"][0]["to_desktop"]["created"] == check(store, 400)


def killed(desktop: Desktop, rng: random.Random) -> None:
    """A sync that is killed after a while, or is through by then."""
    running = desktop.start("sync")
    time.sleep(rng.uniform(0.05, 0.5))
    running.kill()
    running.communicate()


def killed_often(place: Path, desktop: Desktop, name: str, board: "Path | None", rounds: int, seed: int) -> None:
    """Desktop and device die again and again, the cable is pulled, and the line is bad."""
    rng = random.Random(seed)
    line = Line(baud=230_400, seed=seed, byte_errors=2e-5, bursts=5e-6)
    with logging(place, board, line, every=2) as (agent, wire):
        store = meet(desktop, wire, name)
        for _ in range(rounds):
            if rng.random() < 0.3:
                wire.cut_after(rng.randrange(8000), to_device=False)
                assert desktop.run("sync", expect=None).code in (0, 3, 7)
                wire.cut()
                wire.mend()
            else:
                killed(desktop, rng)
                if rng.random() < 0.4:
                    agent.kill()
                    agent.start()
        known = agent.acknowledged()
        assert known > 50
        desktop.sync()
        check(store, known)


@pytest.mark.parametrize("name", [NAMES[0], *[pytest.param(name, marks=pytest.mark.slow) for name in NAMES[1:]]])
def test_killed_at_random(tmp_path: Path, desktop: Desktop, name: str) -> None:
    killed_often(tmp_path, desktop, name, None, 5, 1)


@pytest.mark.slow
@pytest.mark.micropython
@pytest.mark.parametrize("name", NAMES)
def test_killed_often(tmp_path: Path, desktop: Desktop, board: Path, name: str) -> None:
    killed_often(tmp_path, desktop, name, board, 40, int(os.environ.get("CRADLE_SEED", "7")))


def test_the_desktop_stands_still_for_a_while(tmp_path: Path, desktop: Desktop) -> None:
    """The logger does not wait for anybody."""
    with logging(tmp_path, every=2) as (agent, wire):
        store = meet(desktop, wire, "rows.db")
        running = desktop.start("sync")
        time.sleep(0.3)
        running.process.send_signal(signal.SIGSTOP)
        agent.wait(agent.acknowledged() + 300)
        running.process.send_signal(signal.SIGCONT)
        running.communicate()
        desktop.sync()
        check(store, 300)
