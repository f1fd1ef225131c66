"""The lists by which a board gets its files, mip's and the manifests', name all that it may load and nothing else."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from micropython.dual import PACKAGES, ROOT, board_modules


def test_mip_installs_what_a_board_has(board: Path) -> None:
    urls = json.loads((ROOT / "device" / "package.json").read_text(encoding="utf-8"))["urls"]
    made = sorted(path.relative_to(board).as_posix() for path in board.rglob("*.mpy"))
    assert sorted(name for name, _ in urls) == made
    assert all(source == f"build/board/lib/{name}" for name, source in urls)


@pytest.mark.parametrize("area", PACKAGES)
def test_a_manifest_freezes_what_a_board_may_load(area: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen: dict[str, set[str]] = {}
    tool = {
        "options": SimpleNamespace(defaults=lambda **_: None, serial=True, tcp=True, files=True, readings=True),
        "include": lambda _: None,
        "package": lambda name, files: frozen.update({name: set(files)}),
    }
    monkeypatch.chdir(PACKAGES[area])
    exec(Path("manifest.py").read_text(encoding="utf-8"), tool)
    package = f"cradle_{area}"
    here = PACKAGES[area] / package
    assert frozen == {package: {p.relative_to(here).as_posix() for p in board_modules().values() if here in p.parents}}
