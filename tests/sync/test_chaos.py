"""Random worlds out of seeds. A failing seed is run again with `pytest tests/sync/test_chaos.py -k SEED`."""

from pathlib import Path

import pytest

from cradle_testing.chaos import Chaos
from cradle_testing.worlds import World


def run(folder: Path, seed: int, faults: bool, directories: bool) -> None:
    desktops = ("D1", "D2", "D3")[: 1 + seed % 3]
    devices = ("R1", "R2", "R3")[: 1 + seed // 3 % 3]
    world = World(folder, desktops=desktops, devices=devices, batch_items=(1000, 2)[seed % 2])
    chaos = Chaos(world, seed, faults=faults, directories=directories)
    try:
        chaos.run(12 + seed % 29)
        chaos.check()
    except BaseException:
        print(  # noqa: T201  pytest shows it with the failure
            f"seed {seed}, faults={faults}, directories={directories}:", *chaos.log, sep="\n    "
        )
        raise


@pytest.mark.parametrize("seed", range(25))
def test_files_only(tmp_path: Path, seed: int) -> None:
    run(tmp_path, seed, faults=False, directories=False)


@pytest.mark.parametrize("seed", range(25))
def test_directories(tmp_path: Path, seed: int) -> None:
    run(tmp_path, 1000 + seed, faults=False, directories=True)


@pytest.mark.parametrize("seed", range(25))
def test_cuts_and_power_cuts(tmp_path: Path, seed: int) -> None:
    run(tmp_path, 2000 + seed, faults=True, directories=True)
