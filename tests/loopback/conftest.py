"""Fixtures for whole-system tests: real processes, ended whatever happens."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from loopback.rig import Agent, Desktop, Pair

ADDRESSES = {"plain": "tcp://127.0.0.1:0?plain=1", "tls": "tcp://127.0.0.1:0"}


@pytest.fixture
def desktop(tmp_path: Path) -> Desktop:
    return Desktop(tmp_path / "home")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(tmp_path / "device") as running:
        yield running


@pytest.fixture
def pair(desktop: Desktop, agent: Agent) -> Pair:
    """Paired over plain TCP, `files` enabled."""
    both = Pair(desktop, agent)
    both.meet()
    return both
