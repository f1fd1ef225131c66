"""tests/NUMBERED.md, where the vectors TV-nn and the traces CE-nn run, says what is so."""

import json
import re
from pathlib import Path

from micropython.dual import ROOT, dual_files
from sync.conftest import NUMBERED

TESTS = ROOT / "tests"
VECTORS = ROOT / "protocol/vectors"
ALL = [f"TV-{k:02}" for k in range(1, 15)] + [f"CE-{k:02}" for k in range(1, 28)]
# One kind of metadata is enough for these: the desktop's store of old contents, streams, the simulation.
ON_ONE_KIND = ("test_undo_device", "test_streams", "test_chaos")


def rows() -> "dict[str, list[list[str]]]":
    """{number: [references of each column]}."""
    found = {}
    for line in (TESTS / "NUMBERED.md").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\| ((?:TV|CE)-\d\d) [^|]*\| (.*) \| (.*) \|$", line):
            found[match[1]] = [re.findall(r"`([^`]+)`", cell) for cell in match.groups()[1:]]
    return found


def defined(path: Path, name: str) -> bool:
    return f"def {name}(" in path.read_text(encoding="utf-8")


def test_every_number_has_its_row() -> None:
    assert sorted(rows()) == sorted(ALL)
    assert not [number for number, cells in rows().items() if not any(cells)]


def test_replicas_meet_on_every_kind_of_metadata() -> None:
    for number, (cell, _) in rows().items():
        for reference in (one for one in cell if "::" in one):
            module, name = reference.split("::")
            assert module in NUMBERED + ON_ONE_KIND, (number, module)
            assert defined(TESTS / "sync" / f"{module}.py", name), (number, reference)


def test_the_devices_half_runs_on_both_interpreters() -> None:
    dual = dual_files()
    assert TESTS / "device/test_agent_vectors.py" in dual
    for number, (_, cell) in rows().items():
        for reference in (one for one in cell if "::" in one):
            module, name = reference.split("::")
            path = TESTS / f"{module}.py"
            assert path in dual and defined(path, name), (number, reference)


def test_vectors_are_there() -> None:
    for number, cells in rows().items():
        for reference in (one for cell in cells for one in cell if "::" not in one):
            family, _, start = reference.partition(": ")
            held = json.loads((VECTORS / f"{family}.json").read_text(encoding="utf-8"))["vectors"]
            assert any(vector["name"].startswith(start) for vector in held), (number, reference)
