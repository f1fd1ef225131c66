"""The power goes at every step that a stream takes on its disk, and it is killed there; no acknowledged row is lost.

CPython only; LittleFS is in `test_readings_flash`.
"""

import io
import json
import os
import shutil
from pathlib import Path
from random import Random
from tempfile import mkdtemp

import pytest

from cradle_device import readings, system
from cradle_device.readings import Readings
from device import test_readings_flash
from device.place import PLACE
from device.power import PoweredDisk
from device.rows import OTHER, Clock
from device.test_readings_flash import DESKTOP, Life

# Seeds of what a power cut leaves, for each step.
SEEDS = int(os.environ.get("CRADLE_SEEDS", "2"))


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stream with sixty rows, all of them at the desktop. In memory: it is flushed thousands of times."""
    place = Path(mkdtemp(dir=PLACE))
    monkeypatch.setattr(test_readings_flash.Owner, "state", str(place / "now"))
    (place / "now").mkdir()
    Life().run()
    shutil.copytree(place / "now", place / "before")
    return place


def set_back(place: Path) -> Life:
    shutil.rmtree(place / "now")
    shutil.copytree(place / "before", place / "now")
    life = Life()
    life.had = 60
    return life


def steps(place: Path) -> int:
    """How many steps the life takes."""
    with pytest.MonkeyPatch.context() as patch:
        disk = PoweredDisk(patch, Random(0))
        set_back(place).run()
        return disk.done


@pytest.mark.parametrize("power", [True, False], ids=["power", "kill"])
def test_the_end_at_every_step(before: Path, power: bool) -> None:
    count = steps(before)
    assert count > 40
    for step in range(count):
        for seed in range(SEEDS):
            life = set_back(before)
            with pytest.MonkeyPatch.context() as patch:
                disk = PoweredDisk(patch, Random(seed * 1000 + step), step)
                try:
                    life.run()
                except OSError:
                    pass
                if power:
                    disk.lose()
            life.check()


def test_twice_without_power(before: Path) -> None:
    """Killed, and then without power before anything was written: what a restart showed is durable."""
    count = steps(before)
    for step in range(count):
        life = set_back(before)
        random = Random(step)
        with pytest.MonkeyPatch.context() as patch:
            disk = PoweredDisk(patch, random, step)
            try:
                life.run()
            except OSError:
                pass
            disk.dead, disk.left = False, -1
            again = life.stream()
            life.acknowledged = again.acknowledged
            disk.lose()
        life.check()


def test_a_disk_that_fails_once(before: Path) -> None:
    """No row is lost, none comes twice: those that wait are written at the next opportunity."""
    count = steps(before)
    for step in range(count):
        life = set_back(before)
        with pytest.MonkeyPatch.context() as patch:
            PoweredDisk(patch, Random(step), step, hiccup=True)
            try:
                life.run()
                assert life.acknowledged == 120 or step >= count - 2, "it failed while the program ended"
            except OSError:  # a desktop's request met it
                pass
        life.check()


class FullDisk:
    """A disk of so many bytes, of which `used` are somebody else's."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path, size: int) -> None:
        self.folder, self.size, self.used = folder, size, 0
        real = system.open_private
        disk = self

        class Bounded(io.FileIO):
            def write(self, data) -> int:  # type: ignore[no-untyped-def]
                if self.tell() + len(data) > os.fstat(self.fileno()).st_size and disk.taken() + len(data) > disk.size:
                    raise OSError(28, "No space left on device")
                return super().write(data)

        def open_private(path: str) -> Bounded:
            real(path).close()
            return Bounded(path, "r+b")

        patch.setattr(system, "open_private", open_private)

    def taken(self) -> int:
        return self.used + sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def test_a_full_disk_takes_the_oldest_rows_then_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program never hears of it; what is lost is counted, and what is kept is in order."""
    monkeypatch.setattr(readings, "_WAITING", 2000)
    monkeypatch.setattr(test_readings_flash.Owner, "state", str(tmp_path))
    disk = FullDisk(monkeypatch, tmp_path, 8000)
    stream = Readings(test_readings_flash.Owner(), segment=1024, bound=1 << 20, size=150, seconds=0, clock=Clock())
    for n in range(400):
        assert stream.append({"n": n}) == n
    assert stream.lost == 0 and stream.segments.first > 0 and stream.acknowledged > 390, "the oldest made room"
    oldest = stream.segments.first
    disk.used = 8000
    for n in range(400, 900):
        assert stream.append({"n": n}) == n
        stream.poll()
    lost = stream.lost
    assert lost > 200 and stream.segments.first > oldest
    disk.used = 0
    stream.poll()
    assert stream.append({"n": 900}) == 900 and stream.flush() and stream.lost == lost
    found, position = [], stream.segments.first
    while (one := stream.segments.row(position)) is not None:
        found.append(one[0])
        assert json.loads(bytes(one[2][6:]))["n"] == one[0]
        position = one[0] + 1
    assert found == sorted(set(found)) and found[-1] == 900
    assert 900 - found[0] + 1 - len(found) == lost
    stream.close()


def test_a_program_starts_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut left of its notes cannot be mended; rows are recorded, and no desktop is told a lie."""
    monkeypatch.setattr(test_readings_flash.Owner, "state", str(tmp_path))
    disk = FullDisk(monkeypatch, tmp_path, 8000)
    made = {"segment": 1024, "bound": 1 << 20, "size": 150, "clock": Clock()}
    stream = Readings(test_readings_flash.Owner(), **made)
    stream.append({"n": 0})
    stream.close()
    log = tmp_path / "readings" / "cursors.log"
    log.write_bytes(log.read_bytes()[:-3])
    disk.used = 8000
    stream = Readings(test_readings_flash.Owner(), **made)
    assert stream.append({"n": 1}) == 1
    with pytest.raises(OSError, match="No space"):
        stream.opened(b"D" * 16, bytes(16), 0, 0, 0)
    disk.used = 0
    stream.opened(b"D" * 16, bytes(16), 0, 0, 0)
    name = stream.cursors.stream
    stream.close()
    stream = Readings(test_readings_flash.Owner(), **made)
    assert stream.cursors.stream == name and stream.cursors.rows == {b"D" * 16: 0} and stream.acknowledged == 2
    stream.close()


def test_a_full_disk_gives_its_rows_to_a_desktop_that_it_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That makes room. A desktop whose cursor cannot be kept is refused, or its rows might go before it comes."""
    monkeypatch.setattr(test_readings_flash.Owner, "state", str(tmp_path))
    disk = FullDisk(monkeypatch, tmp_path, 1 << 20)
    owner = test_readings_flash.Owner()
    monkeypatch.setattr(owner, "partners", lambda: [(DESKTOP, "desk"), (OTHER.id, "laptop")])
    stream = Readings(owner, segment=1024, bound=1 << 20, size=150, clock=Clock())
    name = stream.cursors.stream
    stream.opened(DESKTOP, name, 0, 0, 0)
    for n in range(100):
        stream.append({"n": n})
    stream.flush()
    disk.size = 0
    before = stream.segments.stored()
    for _ in range(2):  # what could not be kept the first time does not count as kept the second time
        with pytest.raises(OSError, match="No space"):
            stream.opened(OTHER.id, name, 0, 0, 0)
    stream.opened(DESKTOP, name, 0, 0, 0)
    assert stream.segments.row(99) is not None
    with pytest.raises(OSError, match="No space"):
        stream.passed(DESKTOP, 100)
    assert stream.segments.stored() < before / 4
    disk.size = 1 << 20
    stream.passed(DESKTOP, 100)
    stream.close()
    stream = Readings(owner, segment=1024, bound=1 << 20, size=150, clock=Clock())
    assert stream.cursors.rows == {DESKTOP: 100} and stream.segments.next == 100
    stream.close()
