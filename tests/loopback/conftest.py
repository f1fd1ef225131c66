"""Fixtures for whole-system tests: real processes, ended whatever happens."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopback.rig import Agent, Desktop, Pair, nursery

ADDRESSES = {"plain": "tcp://127.0.0.1:0?plain=1", "tls": "tcp://127.0.0.1:0"}
KEPT = "as they met"


@pytest.fixture(scope="session", autouse=True)
def nobody_in_the_nursery() -> Iterator[None]:
    """What forks commands ends with the run."""
    yield
    if nursery.cache_info().currsize:
        nursery().close()


@pytest.fixture
def desktop(tmp_path: Path) -> Desktop:
    return Desktop(tmp_path / "home")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(tmp_path / "device") as running:
        yield running


@pytest.fixture(scope="session")
def met(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A pair that met, and whose agent has ended; its folders have a copy under `KEPT`."""
    base = tmp_path_factory.mktemp("pair")
    with Agent(base / "now" / "device") as agent:
        both = Pair(Desktop(base / "now" / "home"), agent)
        both.meet()
        assert agent.stop() == 0
    shutil.copytree(base / "now", base / KEPT)
    return both


@pytest.fixture
def pair(met: Pair) -> Iterator[Pair]:
    """Paired over plain TCP, `files` enabled, as if it had met for this test alone: the same folders and port again."""
    now = met.desktop.home.parent
    shutil.rmtree(now)
    shutil.copytree(now.parent / KEPT, now)
    agent = Agent(now / "device")
    agent.address = met.agent.address
    with agent:
        yield Pair(met.desktop, agent)
