"""The tests of protocol/ and device/ once more, under MicroPython, all but a few with the heap of a board."""

from pathlib import Path

import pytest

from micropython.dual import ROOT, board_modules, dual_files, heap_of, micropython

pytestmark = pytest.mark.micropython
# Imports each of them as the first of ours, and names the one that fails.
EACH_ALONE = """
import gc, sys
others = set(sys.modules)
for name in %r:
    for loaded in set(sys.modules) - others:
        del sys.modules[loaded]
    gc.collect()
    try:
        __import__(name)
    except Exception as error:
        sys.print_exception(error)
        sys.exit(name)
"""
RUNNER = str(Path(__file__).with_name("run_dual.py"))


@pytest.mark.parametrize("path", dual_files(), ids=lambda p: str(p.relative_to(ROOT / "tests")))
def test_dual(path: Path) -> None:
    done = micropython(RUNNER, str(path.parent), path.stem, heap=heap_of(path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_imports() -> None:
    """Modules and names that only CPython has are found here, whether or not a test uses them."""
    done = micropython("-c", EACH_ALONE % list(board_modules()), heap="8m")  # no measure: boards load the bundle
    assert done.returncode == 0, done.stdout + done.stderr
