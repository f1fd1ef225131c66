"""What the benchmark of growth tells of its figures; and, slowly, that it runs."""

from pathlib import Path

import pytest

from benchmarks import cost
from benchmarks.cost import Cost, Grown


def grown(objects: int, noop: int, wire: int) -> Grown:
    """A size with these bytes on the wire; its CPU is a microsecond an object."""
    seconds = objects / 1e6
    steps = {step: Cost(1.0, seconds, seconds, wire) for step in cost.STEPS} | {"no-op": Cost(1.0, 0.0, 0.0, noop)}
    return Grown(objects, steps, names=30, stamps=40, database=200, log=190, change=35)


def test_growth_is_told_per_object() -> None:
    lines = cost.growth_table([grown(1000, 450, 2000), grown(10_000, 450, 29_000)]).splitlines()
    assert lines[2] == "| initial | desktop CPU s | 0.00 | 0.01 | 1.0 us |"
    assert lines[4] == "| initial | wire bytes | 2,000 | 29,000 | 3.00 |"
    assert lines[7] == "| no-op | wire bytes | 450 | 450 | 0.00 |"


def test_goals_are_told_met_or_missed() -> None:
    met = cost.goals([grown(1000, 450, 2000), grown(10_000, 450, 2000)])
    assert [reached for _, reached, _ in met] == ["450", "2,000", "2,000", "35.0", "130"] and all(
        good for _, _, good in met
    )
    one = grown(10_000, 451, 2001)
    one.change, one.database = 41.0, 471.0
    assert [good for _, _, good in cost.goals([grown(1000, 450, 2000), one])] == [False] * 5


@pytest.mark.slow
def test_a_small_store_is_measured(tmp_path: Path) -> None:
    found = cost.measure(tmp_path / "store", 200)
    assert list(found.steps) == list(cost.STEPS) and all(good for _, _, good in cost.goals([found]))
    assert found.steps["no-op"].wire < found.steps["1 new file"].wire < found.steps["10 new files"].wire
    assert 100 < found.database < 1000 and 100 < found.log < 1000
