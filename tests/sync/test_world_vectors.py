"""The vectors of protocol/vectors/worlds: real engine and real agent, on every kind of metadata (`conftest`)."""

from pathlib import Path
from typing import Any

import pytest

from sync.world_vectors import FAMILIES, carry_out, vectors

ALL = [pytest.param(one, id=f"{family}: {one['name']}") for family in FAMILIES for one in vectors(family)]


@pytest.mark.parametrize("vector", ALL)
def test_vector(tmp_path: Path, vector: "dict[str, Any]") -> None:
    carry_out(vector, tmp_path)
