"""Random worlds out of seeds: `make sim FIRST=SEED SEEDS=1` runs one again. And the simulation itself can fail."""

import pytest

from cradle_testing.script import FEATURES, FILTERS, Author, Edit, Script, Session, Trouble
from cradle_testing.sim import check_seed, failure, kind, shrink
from cradle_testing.worlds import MemoryConflicts

SHORT, LONG = 6, 300  # seeds
PORTION = 20  # of the long run in one test


@pytest.mark.parametrize("seed", range(SHORT))
def test_seed(seed: int) -> None:
    assert check_seed(seed) == ""


@pytest.mark.parametrize("seed", range(SHORT))
def test_seed_with_filters(seed: int) -> None:
    assert failure(Author(seed, {*FEATURES, FILTERS}).script()) == ""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(SHORT, SHORT + LONG, PORTION))
def test_many_seeds(first: int) -> None:
    found = {seed: check_seed(seed) for seed in range(first, first + PORTION)}
    assert {seed: text for seed, text in found.items() if text} == {}


def test_a_seed_writes_the_same_script_again() -> None:
    assert Author(7).script() == Author(7).script() != Author(8).script()


# Both edit `a`; the rest has nothing to do with it.
CLASH = Script(
    ("D1", "D2"),
    ("R1",),
    ("D2",),
    2,
    (
        Edit("D1", "write", "b", 1),
        Edit("D1", "write", "a", 2),
        Session("D1", "R1", "device", cut=100_000),
        Trouble("R1", "restart"),
        Edit("D1", "write", "a", 3, 60),
        Edit("R1", "write", "a", 4, 60),
        Session("D1", "R1", "ask", decisions=(("a", "device"),)),
    ),
)


def test_a_loser_that_is_not_kept_is_found_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that keeps no loser: the simulation says so, and with how little."""
    assert failure(CLASH) == ""
    monkeypatch.setattr(MemoryConflicts, "add", lambda *_: 0)
    found = failure(CLASH)
    assert kind(found).startswith("AssertionError in check") and "token" in found
    script = shrink(CLASH, lambda less: kind(failure(less)) == kind(found))
    assert (script.desktops, script.modeless, script.batch_items) == (("D1",), (), 1000)
    assert [type(step) for step in script.steps] == [Edit, Edit]
