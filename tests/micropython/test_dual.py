"""The tests of protocol/ and device/ once more, under MicroPython with the heap of a board."""

from pathlib import Path

import pytest

from micropython.dual import ROOT, board_modules, dual_files, micropython, need

pytestmark = pytest.mark.micropython
RUNNER = str(Path(__file__).with_name("run_dual.py"))


@pytest.mark.parametrize("path", dual_files(), ids=lambda p: str(p.relative_to(ROOT / "tests")))
def test_dual(path: Path) -> None:
    done = micropython(RUNNER, str(path.parent), path.stem)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_imports() -> None:
    """Modules and names that only CPython has are found here, whether or not a test uses them."""
    need("micropython")
    for name in board_modules():  # compiling here is no measure of a heap: boards load the bundle
        done = micropython("-c", "import " + name, heap="2m")
        assert done.returncode == 0, name + ": " + done.stdout + done.stderr
