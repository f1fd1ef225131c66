"""The harness itself: what runs the tests must be able to fail."""

from pathlib import Path

import pytest

from cradle_testing.clock import FakeClock
from cradle_testing.trees import read_modes, read_tree, write_tree
from micropython.test_dual import RUNNER, micropython


@pytest.mark.micropython
@pytest.mark.parametrize(("body", "status"), [("assert 1 + 1 == 2", 0), ("assert 1 + 1 == 3", 1)])
def test_the_second_interpreter_can_fail(tmp_path: Path, body: str, status: int) -> None:
    (tmp_path / "test_probe.py").write_text(f"def test_sum():\n    {body}\n")
    assert micropython(RUNNER, str(tmp_path), "test_probe").returncode == status


@pytest.mark.micropython
def test_a_file_without_tests_fails_there(tmp_path: Path) -> None:
    (tmp_path / "test_empty.py").write_text("x = 1\n")
    assert micropython(RUNNER, str(tmp_path), "test_empty").returncode == 1


def test_the_clock_moves_only_by_hand_and_wraps() -> None:
    clock = FakeClock(now_ms=2**30 - 5, wrap=2**30)
    assert (clock(), clock.advance(7), clock()) == (2**30 - 5, 2, 2)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)


def test_a_tree_comes_back_as_it_was_written(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {"a/b.txt": (b"x", 0o640), "c/": b"", ".cradle/id": b"mine"})
    assert read_tree(root) == {"a/": b"", "a/b.txt": b"x", "c/": b""}
    assert read_modes(root)["a/b.txt"] == 0o640
