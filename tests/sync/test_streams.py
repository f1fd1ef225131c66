"""Streams of rows end to end: a real agent with readings, the real receiver, real files; links cut anywhere."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cradle_desktop.errors import DeviceError
from cradle_desktop.metadata.database import Database
from cradle_desktop.partnership.registry import Registry
from cradle_desktop.providers.readings import create_rows, open_rows
from cradle_desktop.streams import receive
from cradle_desktop.streams.notes import StreamNotes
from cradle_desktop.streams.receive import Receiver
from cradle_desktop.sync.report import Observer, Progress, TypeResult
from cradle_device.agent import Agent
from cradle_device.conversation import WORK, Conversation
from cradle_device.readings import Readings
from cradle_protocol.wire.constants import STREAM_END, STREAM_READ
from cradle_protocol.wire.messages.stream import StreamEnd
from cradle_testing.pair import Cut, PairPump
from cradle_testing.trees import read_tree
from device.hands import SMALL

UNSET = 946684800000  # 2000-01-01, milliseconds: what a board's clock says that nobody has set


class LoggerEnd:
    """A device whose program records. `clock`: milliseconds, what its clock says; None: the true time."""

    def __init__(self, folder: Path, clock: "int | None" = None, **more: int) -> None:
        self.folder, self.clock, self.more = folder, clock, more
        self.keys: dict[bytes, bytes] = {}
        self.start()

    def start(self) -> None:
        self.agent = Agent(str(self.folder), [], "porch", SMALL)
        clock = {} if self.clock is None else {"clock": lambda: self.clock}
        self.readings = Readings(self.agent, **self.more, **clock)  # type: ignore[arg-type]

    def visit(self, desktop_id: bytes) -> None:
        """A desktop comes to it: nothing to do."""

    def restart(self) -> None:
        self.agent.close()
        self.start()

    def record(self, count: int) -> None:
        for _ in range(count):
            self.readings.append({"number": self.readings.next, "text": "some words"})


class Reader:
    """A desktop that fetches readings into a file."""

    def __init__(self, folder: Path, number: int, name: str = "rows.db") -> None:
        self.number, self.folder, self.place = number, folder, folder / name
        folder.mkdir()
        self.database = Database(str(folder / "cradle.db"))
        create_rows(str(self.place)).close()
        self.notes: list[str] = []

    def sync(self, end: LoggerEnd, cut: "int | None" = None, observer: "Observer | None" = None) -> TypeResult:
        """Raises Cut if the link is cut, so many bytes after it was proven."""
        pump = PairPump(self.number, end)  # type: ignore[arg-type]
        try:
            connection = pump.handshake()
            pump.cut_after(cut)
            with closing(open_rows(str(self.place), self._notes().known())) as store:
                receiver = Receiver(connection, store, self._notes(), "readings", self._partner(end))
                return receiver.run(observer or self._observer())
        finally:
            pump.end_session()

    def _notes(self) -> StreamNotes:
        return StreamNotes(self.database, str(self.place))

    def _partner(self, end: LoggerEnd):  # type: ignore[no-untyped-def]
        registry = Registry(self.database)
        device = end.agent.device_id
        return registry.by_device(device) or registry.add(device, bytes(32), "porch", "loop:", "porch")

    def _observer(self) -> Observer:
        reader = self

        class Listening(Observer):
            def note(self, text: str) -> None:
                reader.notes.append(text)

        return Listening()

    def rows(self, what: str = "row") -> "list[int]":
        with closing(sqlite3.connect(self.place)) as db:
            return [one[0] for one in db.execute(f"SELECT {what} FROM readings ORDER BY stream, row")]

    def forget(self) -> None:
        """The database of this desktop is lost, the rows are not."""
        self.database.close()
        (self.folder / "cradle.db").unlink()
        self.database = Database(str(self.folder / "cradle.db"))


def test_ce20_a_stream_with_two_readers(tmp_path: Path) -> None:
    """Each desktop has each row once; a segment goes only when both have it, or as a counted gap at high water."""
    end = LoggerEnd(tmp_path / "device", segment=2048, bound=8192)
    one, two = Reader(tmp_path / "one", 0), Reader(tmp_path / "two", 1)
    for reader in (one, two):
        assert reader.sync(end).to_desktop.created == 0
    for _ in range(3):
        end.record(20)
        assert one.sync(end).gaps == []
        assert end.readings.segments.first == 0
    assert two.sync(end).to_desktop.created == 60
    assert 0 < end.readings.segments.first <= 60 and two.rows() == one.rows() == list(range(60))
    for _ in range(20):
        end.record(20)
        assert one.sync(end).gaps == []
    assert one.rows() == list(range(460))
    oldest = end.readings.segments.first
    result = two.sync(end)
    (first, lost) = result.gaps[0]
    assert len(result.gaps) == 1 and first == 60 and lost > 200 and first + lost == oldest
    assert two.rows() == list(range(60)) + list(range(60 + lost, 460))
    assert one.sync(end).to_desktop.created == two.sync(end).to_desktop.created == 0
    end.agent.close()


@pytest.mark.parametrize("step", [47, pytest.param(9, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["rows.db", "rows.csv"])
def test_a_link_that_is_cut_at_any_byte(tmp_path: Path, name: str, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pulling the cable costs nothing: what has come is kept, nothing comes twice, nothing is freed too early."""
    monkeypatch.setattr(receive, "PAGE", 700)
    end = LoggerEnd(tmp_path / "device", segment=1024, bound=1 << 20)
    reader = Reader(tmp_path / "desktop", 0, name)
    numbers = reader.rows if name == "rows.db" else lambda: csv_rows(reader.place)
    reader.sync(end)
    cut, whole = 1, 0
    while whole < 3:
        end.record(12)
        try:
            reader.sync(end, cut)
            whole += 1
        except Cut:
            whole = 0
        assert numbers() == list(range(len(numbers()))), cut
        assert end.readings.segments.first <= len(numbers())
        cut += step
    assert cut > 1500
    reader.sync(end)
    assert numbers() == list(range(end.readings.next))
    end.agent.close()


def csv_rows(place: Path) -> "list[int]":
    return [int(line.split(",")[3]) for line in place.read_text().splitlines()[1:]]


def test_what_has_come_of_a_page_is_kept(tmp_path: Path) -> None:
    end, reader = LoggerEnd(tmp_path / "device"), Reader(tmp_path / "desktop", 0)
    end.record(400)
    with pytest.raises(Cut):
        reader.sync(end, 12_000)
    had = len(reader.rows())
    assert 50 < had < 300
    assert reader.sync(end).to_desktop.created == 400 - had and reader.rows() == list(range(400))
    end.agent.close()


def test_a_lost_database_repeats_no_row(tmp_path: Path) -> None:
    end, reader = LoggerEnd(tmp_path / "device"), Reader(tmp_path / "desktop", 0)
    end.record(30)
    reader.sync(end)
    reader.forget()
    end.record(30)
    assert reader.sync(end).to_desktop.created == 30 and reader.rows() == list(range(60))
    assert reader.sync(end).to_desktop.created == 0
    end.agent.close()


def test_an_older_file_of_the_desktop_gets_what_is_left(tmp_path: Path) -> None:
    """Its backup was put back: what the device still has comes again, the rest is a counted gap."""
    end, reader = LoggerEnd(tmp_path / "device", segment=1024, bound=1 << 20), Reader(tmp_path / "desktop", 0)
    end.record(10)
    reader.sync(end)
    shutil.copy(reader.place, tmp_path / "backup")
    end.record(100)
    reader.sync(end)
    shutil.copy(tmp_path / "backup", reader.place)
    result = reader.sync(end)
    first = end.readings.segments.first
    assert result.gaps == [(10, first - 10)] and reader.rows() == list(range(10)) + list(range(first, 110))
    end.agent.close()


@pytest.mark.parametrize("more", [3, 40])
def test_a_device_that_was_set_back_loses_no_row(tmp_path: Path, more: int) -> None:
    """Its state was put back from a copy, then it recorded fewer rows, or more, than it had. The user is told."""
    end, reader = LoggerEnd(tmp_path / "device"), Reader(tmp_path / "desktop", 0)
    end.record(10)
    reader.sync(end)
    end.agent.close()
    shutil.copytree(tmp_path / "device", tmp_path / "copy")
    end.start()
    end.record(20)
    reader.sync(end)
    end.agent.close()
    shutil.rmtree(tmp_path / "device")
    shutil.copytree(tmp_path / "copy", tmp_path / "device")
    end.start()
    for n in range(more):
        end.readings.append({"other": n})
    reader.sync(end)
    assert "was set back" in reader.notes[0]
    assert [n for n in reader.rows("other") if n is not None] == list(range(more))
    assert [n for n in reader.rows("number") if n is not None] == list(range(30)) + list(range(10))
    assert reader.sync(end).to_desktop.created == 0 and len(reader.notes) == 1
    end.agent.close()


def test_times_of_a_device_whose_clock_was_never_set(tmp_path: Path) -> None:
    """Rows of a time in which a desktop came by have the true time; of others nobody can tell, and nobody guesses."""
    end, reader = LoggerEnd(tmp_path / "device", UNSET), Reader(tmp_path / "desktop", 0)
    end.record(1)  # nobody comes by before it loses its power
    end.clock = UNSET
    end.restart()
    end.record(1)
    end.clock = UNSET + 1500
    result = reader.sync(end)
    assert "years behind" in result.remarks[0]
    with closing(sqlite3.connect(reader.place)) as db:
        found = db.execute(
            "SELECT device_time, time, (julianday('now') - julianday(time)) * 86400 FROM readings ORDER BY row"
        ).fetchall()
        offset = db.execute("SELECT device_time, offset_s FROM readings_clocks").fetchall()
    assert found[0][:2] == ("2000-01-01T00:00:00.000Z", None)
    assert found[1][0] == "2000-01-01T00:00:00.000Z" and 1 < found[1][2] < 60
    assert offset[0][0] == "2000-01-01T00:00:01.500Z" and offset[0][1] > 25 * 365 * 86400
    end.agent.close()


def test_a_sync_that_is_ended_keeps_its_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ending(Observer):
        def progress(self, event: Progress) -> None:
            self.cancel()

    monkeypatch.setattr(receive, "PAGE", 2000)
    end, reader = LoggerEnd(tmp_path / "device"), Reader(tmp_path / "desktop", 0)
    end.record(200)
    result = reader.sync(end, observer=Ending())
    assert result.cancelled and 10 < result.to_desktop.created == len(reader.rows()) < 100
    assert not reader.sync(end).cancelled and reader.rows() == list(range(200))
    end.agent.close()


def test_rows_that_come_during_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program goes on while a desktop reads, and at high water while it reads what is about to go."""
    monkeypatch.setattr(receive, "PAGE", 1500)
    end = LoggerEnd(tmp_path / "device", segment=1024, bound=4096)
    reader = Reader(tmp_path / "desktop", 0)

    class Recording(Observer):
        def progress(self, event: Progress) -> None:
            end.record(120)

    end.record(60)
    gaps = []
    for _ in range(5):
        gaps += reader.sync(end, observer=Recording()).gaps
    gaps += reader.sync(end).gaps
    lost = [row for first, count in gaps for row in range(first, first + count)]
    assert sorted(reader.rows() + lost) == list(range(end.readings.segments.next)) and lost
    end.agent.close()


def test_a_preview_writes_nothing(tmp_path: Path) -> None:
    end, reader = LoggerEnd(tmp_path / "device"), Reader(tmp_path / "desktop", 0, "rows.csv")
    end.record(10)
    reader.sync(end)
    end.record(20)
    end.readings.flush()
    with open(reader.place, "ab") as file:
        file.write(b"2026-01-0")  # torn
    reader.database.close()  # its own locks are files
    before = read_tree(tmp_path)
    reader.database = Database(str(reader.folder / "cradle.db"))
    pump = PairPump(0, end)  # type: ignore[arg-type]
    with closing(open_rows(str(reader.place), reader._notes().known())) as store:
        receiver = Receiver(pump.handshake(), store, reader._notes(), "readings", reader._partner(end))
        plan = receiver.preview()
    pump.end_session()
    assert plan.lines() == ["append    readings 10 to 29 on desktop"] and plan.to_desktop().created == 20
    reader.database.close()
    assert read_tree(tmp_path) == before
    end.agent.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [(StreamEnd(0, 5), "does not send row 0"), (StreamEnd(5, 5), "names another place to go on than it came to")],
)
def test_a_device_that_sends_no_row_of_those_it_has(tmp_path: Path, answer: StreamEnd, words: str) -> None:
    """It is not asked for ever."""

    def read(talk: Conversation, request: int, body: memoryview, more: bool) -> "Iterator[int]":
        talk.session.reply(request, STREAM_END, answer.to_bytes())
        yield WORK

    end, reader = LoggerEnd(tmp_path / "device"), Reader(tmp_path / "desktop", 0)
    end.record(5)
    end.agent.handlers[STREAM_READ] = read  # type: ignore[assignment]
    with pytest.raises(DeviceError, match=words):
        reader.sync(end)
    assert reader.rows() == []
    end.agent.close()


@pytest.mark.parametrize("name", ["rows.db", "rows.csv", "rows.jsonl"])
def test_rows_that_are_lost_are_told_once(tmp_path: Path, name: str) -> None:
    """Also where no row follows them yet, and in a format that has no line for what is not there."""
    end = LoggerEnd(tmp_path / "device", segment=1024, bound=1 << 20)
    reader = Reader(tmp_path / "desktop", 0, name)
    end.record(5)
    reader.sync(end)
    end.record(5)
    end.agent.close()
    (log,) = (tmp_path / "device" / "readings" / "rows").iterdir()
    data = bytearray(log.read_bytes())
    data[-30] ^= 255  # in row 9, the last one
    end.start()
    end.readings.segments.close()  # what it has read of the file
    log.write_bytes(data)
    assert [reader.sync(end).gaps for _ in range(3)] == [[(9, 1)], [], []]
    end.record(1)
    result = reader.sync(end)
    assert result.to_desktop.created == 1 and result.gaps == []
    end.agent.close()
