"""Traces and vectors run on every kind of metadata: in memory, in SQLite, in a board's log and in a large machine's."""

import pytest

from cradle_testing.pair import AgentEnd
from cradle_testing.worlds import World

NUMBERED = ("test_traces", "test_topology", "test_tombstones", "test_vectors", "test_filters", "test_world_vectors")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.rpartition(".")[2] in NUMBERED:
        metafunc.fixturenames.append("stores")
        metafunc.parametrize("stores", ["memory+board", "sqlite+host"], indirect=True)


@pytest.fixture
def stores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What desktops and devices of this test's worlds keep their metadata in."""
    host = request.param == "sqlite+host"
    monkeypatch.setattr(World, "sqlite", host)
    monkeypatch.setattr(AgentEnd, "always_host", host)
    monkeypatch.setattr(AgentEnd, "alternates", False)
