"""The engine and the model do the same in the same random worlds. More: `python tests/sync/twins.py 1000`."""

from pathlib import Path

import pytest

from sync.model import Filter, ModelFailure
from sync.model_pass import Faults
from sync.model_world import Edit, ModelWorld, Sync, name_everything
from sync.steps import ALL, FILTERED, Generator, Script, shrink
from sync.twins import COMPARED, Twins, run_seed

# What random worlds have found in engine or model, each as short as the shrinker made it.
FOUND = {
    "an object that was made anew where one was moved away does not follow": Script(
        ("D1", "D2"), ("R1",),
        (
            Edit("write", "D1", "a", "content 0101"), Sync("D1", "R1"), Sync("D2", "R1"), Edit("mv", "R1", "a", "b"),
            Sync("D2", "R1", up=Faults(kill=(0, 3))), Edit("write", "D2", "a", "content 0118"),
        ),
    ),
    "another object of the same name does not replace what was moved": Script(
        ("D1", "D2", "D3"), ("R1", "R2"),
        (
            Edit("write", "D2", "d/b", "content 0001"), Sync("D2", "R2"), Edit("write", "D1", "d/b", "content 0110"),
            Edit("mv", "R2", "d/b", "b"), Sync("D3", "R2", "skip"),
        ),
    ),
    "a tombstone over nothing is not adopted without what belongs to it": Script(
        ("D1",), ("R1", "R2"),
        (
            Edit("write", "R1", "d/a", "content 0103"), Sync("D1", "R1"), Sync("D1", "R2"),
            Edit("mv", "R1", "d/a", "d/b"), Edit("chmod", "R2", "d/a", 111), Sync("D1", "R1"),
            Sync("D1", "R2", up=Faults(kill=(0, 0))),
        ),
    ),
    "what is in place is known, also where a pass is cut before its tail": Script(
        ("D2",), ("R2", "R3"),
        (
            Edit("write", "R3", "d/a", "content 0103"), Sync("D2", "R3"), Edit("write", "R3", "c", "content 0111"),
            Edit("mv", "R3", "d/a", "a"), Edit("write", "D2", "d/a", "content 0114"),
            Sync("D2", "R3", size=1, up=Faults(stop=2)), Sync("D2", "R2"),
        ),
    ),
    "what a device has forgotten is told to it with its name, whoever made it": Script(
        ("D1", "D2"), ("R1", "R2"),
        (
            Edit("mkdir", "R2", "d"), Sync("D1", "R2", "device"), Edit("rm", "D1", "d"),
            Edit("write", "R2", "d/a", "content 0002"), Sync("D1", "R1", "skip"), Edit("forget", "R1"),
            Sync("D2", "R2", "skip"),
        ),
    ),
    "a directory that must live again does so after a cut, with nothing new to come": Script(
        ("D1", "D2"), ("R1", "R2"),
        (
            Edit("mkdir", "D2", "e"), Sync("D2", "R2"), Edit("mkdir", "D1", "e/d"), Edit("rm", "D2", "e"),
            Sync("D1", "R2", "device"), Sync("D2", "R2", "skip", up=Faults(stop=1)), Sync("D2", "R1", "device"),
        ),
    ),
    "an object that lives again is sent whole, also to a device that knows its version and never had it": Script(
        ("D1", "D2"), ("R1", "R2", "R3"),
        (
            Edit("write", "R2", "b", "content 0001"), Edit("write", "R1", "e/d/a", "content 0106"),
            Sync("D2", "R1", "skip"), Sync("D2", "R3", "device"), Sync("D1", "R2", "newest"), Sync("D1", "R3", "both"),
            Edit("mv", "D1", "b", "e/d/a"), Edit("chmod", "R2", "b", 115), Edit("forget", "D1"),
        ),
    ),
    "what is left to the user is not sent to a device that has deleted it and forgotten that": Script(
        ("D1",), ("R1",),
        (
            Edit("write", "R1", "c", "content 0101"), Sync("D1", "R1"), Edit("write", "D1", "c", "content 0001"),
            Edit("rm", "R1", "c"), Edit("forget", "R1"), Sync("D1", "R1", "skip"),
        ),
    ),
    "an edit that follows a move does not replace what its user kept under that very name": Script(
        ("D1", "D2"), ("R1",),
        (
            Edit("write", "R1", "d/a", "content 0108"), Sync("D1", "R1"), Sync("D2", "R1"),
            Edit("mv", "D2", "d/a", "d/b"), Edit("write", "D2", "d/a", "content 0116"), Edit("mv", "D1", "d/a", "d/b"),
        ),
    ),
    "nor does a device's": Script(
        ("D1",), ("R1",),
        (
            Edit("write", "R1", "d/a", "content 0108"), Sync("D1", "R1"),
            Edit("mv", "R1", "d/a", "d/b"), Edit("write", "R1", "d/a", "content 0116"), Edit("mv", "D1", "d/a", "d/b"),
        ),
    ),
    "who is told of a filter adopts what became visible before its user goes on": Script(
        ("D1",), ("R2", "R3"),
        (
            Edit("write", "R2", "e/a", "content 0101"), Sync("D1", "R2"), Sync("D1", "R3", down=Faults(kill=(0, 2))),
            Edit("filter", "R3", "", Filter((), 13)), Edit("write", "R3", "e/a", "content 0115 long"),
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_stays_mended(tmp_path: Path, name: str) -> None:
    Twins(tmp_path, FOUND[name]).run()


@pytest.mark.parametrize("seed", range(12))
def test_engine_and_model_agree(seed: int) -> None:
    assert not run_seed(seed)


@pytest.mark.parametrize("seed", range(2000, 2015))
def test_engine_and_model_agree_behind_filters(seed: int) -> None:
    assert not run_seed(seed, FILTERED - {"during"})


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3000, 3300))
def test_engine_and_model_agree_behind_filters_in_many_worlds(seed: int) -> None:
    assert not run_seed(seed, FILTERED - {"during"})


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1300))
def test_engine_and_model_agree_in_many_worlds(seed: int) -> None:
    assert not run_seed(seed)


def check_model(seed: int, kinds: frozenset[str] = ALL) -> None:
    """One world of the model alone, with users who edit while sessions run, and with cleanup of tombstones."""
    script = Generator(seed, kinds).script()
    name_everything(script.desktops, script.devices, script.steps)
    world = ModelWorld(script.desktops, script.devices)
    for step in script.steps:
        world.step(step)
    world.check()


@pytest.mark.parametrize("first", range(0, 50, 25))
def test_the_model_loses_nothing(first: int) -> None:
    for seed in range(first, first + 25):
        check_model(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(10000, 13000, 250))
def test_the_model_loses_nothing_in_many_worlds(first: int) -> None:
    for seed in range(first, first + 250):
        check_model(seed)


@pytest.mark.parametrize("first", range(20000, 20050, 25))
def test_the_model_loses_nothing_behind_filters(first: int) -> None:
    for seed in range(first, first + 25):
        check_model(seed, FILTERED)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(21000, 24000, 250))
def test_the_model_loses_nothing_behind_filters_in_many_worlds(first: int) -> None:
    for seed in range(first, first + 250):
        check_model(seed, FILTERED)


def test_the_model_would_tell() -> None:
    """A store that was edited behind everybody's back at the end is seen; the shrinker keeps what makes it so."""
    world = ModelWorld(("D1",), ("R1",))
    world.step(Edit("write", "D1", "a", "content 0001"))
    world.check()
    world.written.add((0, "what nobody has"))
    with pytest.raises(ModelFailure, match="lost"):
        world.check()


def test_the_shrinker_leaves_what_fails() -> None:
    script = Generator(7, COMPARED).script()
    guilty = next(step for step in script.steps if isinstance(step, Sync))
    small = shrink(script, lambda less: any(isinstance(s, Sync) and s.device == guilty.device for s in less.steps))
    assert len(small.steps) == 1 and isinstance(small.steps[0], Sync)
    assert small.steps[0].up == small.steps[0].down == Faults()
