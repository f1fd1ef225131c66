"""The tests of protocol/ and device/ once more, under MicroPython with the heap of a board."""

from pathlib import Path

import pytest

from micropython.dual import PACKAGES, ROOT, dual_files, micropython, need, sources

pytestmark = pytest.mark.micropython
RUNNER = str(Path(__file__).with_name("run_dual.py"))


@pytest.mark.parametrize("path", dual_files(), ids=lambda p: str(p.relative_to(ROOT / "tests")))
def test_dual(path: Path) -> None:
    done = micropython(RUNNER, str(path.parent), path.stem)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_imports() -> None:
    """Modules and names that only CPython has are found here, whether or not a test uses them."""
    names = []
    for path in sources():
        folder = next(f for f in PACKAGES.values() if path.is_relative_to(f))
        parts = path.relative_to(folder).with_suffix("").parts
        if parts[0].startswith("cradle_"):
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    need("micropython")
    for name in names:  # one start each: a board never loads all of them at once
        done = micropython("-c", "import " + name)
        assert done.returncode == 0, name + ": " + done.stdout + done.stderr
