"""The power goes at every step that a stream takes on its disk, and it is killed there; no acknowledged row is lost.

CPython only; LittleFS is in `test_readings_flash`.
"""

import os
import shutil
from pathlib import Path
from random import Random
from tempfile import mkdtemp

import pytest

from device import test_readings_flash
from device.place import PLACE
from device.power import PoweredDisk
from device.test_readings_flash import Life

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
