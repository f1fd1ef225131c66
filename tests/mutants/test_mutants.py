"""Does the suite notice when a rule is broken? `pytest tests/mutants -m slow`; some of them: `-k learns`.

Each rule of `table` is broken in a copy of the tree, and the tests that it names must fail there.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mutants.table import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("protocol", "device", "hardware", "desktop")
FAILED = 1  # how pytest ends where a test failed: not the end of one that could not even begin
PATIENCE = 600  # seconds for one rule
# The sweeps over every step belong to it, since the few steps of the short run move with every change of the code; what
# takes minutes does not.
CHOSEN = ("-m", "not alone", "-k", "not many_worlds and not every_byte")


def copied(folder: Path) -> Path:
    """The tree, without what was built from it."""
    for name in (*PACKAGES, "tests", "pyproject.toml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(source, folder / name)
    return folder


def broken(mutant: Mutant) -> str:
    """The file's text with the rule broken. AssertionError if the place has changed."""
    text = (ROOT / mutant.file).read_text()
    found = text.count(mutant.old)
    assert found == 1, f"{mutant.file} has the place of {mutant.name!r} {found} times: say anew what breaks it"
    return text.replace(mutant.old, mutant.new)


def run(tree: Path, tests: "tuple[str, ...]") -> "subprocess.CompletedProcess[str]":
    """The tests of these files on that tree, but for the longest, up to the first that fails."""
    paths = [str(tree / name) for name in (*PACKAGES, "tests")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *CHOSEN]
    return subprocess.run(
        [*command, *tests], cwd=tree, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_the_place_of_a_rule_is_still_there(mutant: Mutant) -> None:
    compile(broken(mutant), mutant.file, "exec")
    for test in mutant.tests:
        assert (ROOT / test.partition("::")[0]).exists(), f"{test} of {mutant.name!r} is gone: name others"


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE + 60)
@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_broken_rule_is_noticed(tmp_path: Path, mutant: Mutant) -> None:
    tree = copied(tmp_path)
    (tree / mutant.file).write_text(broken(mutant))
    result = run(tree, mutant.tests)
    assert result.returncode == FAILED, f"{mutant.rule}: nothing notices {mutant.name!r}\n{result.stdout[-2000:]}"
    assert re.search(r"^FAILED ", result.stdout, re.MULTILINE), result.stdout[-2000:]


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE + 60)
def test_nothing_is_noticed_where_nothing_is_broken(tmp_path: Path) -> None:
    result = run(copied(tmp_path), tuple(sorted({test for mutant in MUTANTS for test in mutant.tests})))
    assert result.returncode == 0, result.stdout[-2000:]
