"""The vectors of protocol/vectors/worlds with boards: real engine, and the bundle under MicroPython as the agent.

What needs a hand inside the device (faults, cleanup, a clock, modes, a file system without case, a cut at a byte) is
left to the vectors of protocol/vectors/agent, which run there as well.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sync.far_world import FarWorld
from sync.world_vectors import FAMILIES, Step, Told, names_of, vectors

pytestmark = [pytest.mark.micropython]

SOON = ("TV-01", "TV-11")  # what the default run carries out: a conflict, and three machines
FIT = [
    pytest.param(one, id=f"{family}: {one['name']}", marks=() if one["name"].startswith(SOON) else pytest.mark.slow)
    for family in FAMILIES
    for one in vectors(family)
    if not one.keys() & {"needs", "modes", "batch_items"}
]


class FarTold(Told):
    """A vector being carried out with boards."""

    world: FarWorld
    counts = False

    def open_books(self, where: "Mapping[str, object]") -> "list[str]":
        return [name for name in where if name in self.world.desks]

    def do_names(self, where: "dict[str, list[str]]", _: Step) -> None:
        for name in where:
            assert self.world.named(name) == len(where[name]), (name, self.world.named(name))

    def replica(self, name: str) -> bytes:
        return super().replica(name) if name in self.world.desks else self.world.far[name].replica


@pytest.mark.parametrize("vector", FIT)
def test_vector(tmp_path: Path, board: Path, vector: "dict[str, Any]") -> None:
    with FarWorld(tmp_path, board, *names_of(vector)) as world:
        FarTold(world).run(vector["steps"])


def test_most_of_them_fit() -> None:
    assert len(FIT) > 0.5 * sum(len(vectors(family)) for family in FAMILIES)
