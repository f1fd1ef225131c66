"""A real tree with awkward names goes both ways and compares equal: content, names, modes. Then nothing is left."""

import os
import shutil
from pathlib import Path

import mypy
import pytest

from cradle_testing.trees import read_modes, read_tree
from loopback.rig import Pair

LEAST = 1000  # files; an installed package of this size is a real tree
AWKWARD = {
    "-dash": b"1", "--help": b"2", "..dots": b"3", ".hidden": b"4", "trailing.": b"5", "a b  c": b"6", "'quote\"": b"7",
    "tab\tname": b"8", "back\\slash": b"9", "new\nline": b"10", "*?[x]": b"11", "häß-日本-🚀": b"12",
    "e\u0301 decomposed": b"13",
    "n" * 255: b"14", "ü" * 127: b"15", "CASE": b"16", "case": b"17", "Case": b"18", "empty": b"", "con": b"19",
    "deep/" * 40 + "leaf": b"20", "$HOME": b"21", "%s%n": b"22", "\x7f\x01": b"23",
}  # fmt: skip


def composed(tree: "dict[str, bytes]") -> "dict[str, bytes]":
    """The tree with its names in NFC, as both sides agree on them."""
    import unicodedata

    return {unicodedata.normalize("NFC", name): data for name, data in tree.items()}


def test_awkward_names(pair: Pair) -> None:
    pair.fill(AWKWARD)
    assert pair.desktop.sync()["types"][0]["skipped"] == []
    left, right = (composed(tree) for tree in pair.trees())
    assert left == right and set(composed(AWKWARD)) <= set(left)


@pytest.mark.slow  # in one process: tests/sync/test_real_trees.py
def test_a_real_tree(pair: Pair) -> None:
    source = Path(mypy.__file__).parent
    half = pair.left / "package", pair.right / "other"
    for folder in half:
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (half[0] / "__init__.py").chmod(0o750)
    assert sum(1 for p in half[0].rglob("*") if p.is_file()) > LEAST
    report = pair.desktop.sync()
    assert report["types"][0]["skipped"] == []
    left, right = (composed(tree) for tree in pair.trees())
    assert left == right and len(left) > 2 * LEAST
    assert read_modes(pair.right)["package/__init__.py"] == 0o750
    again = pair.desktop.sync()["types"][0]
    assert sum(again["to_device"].values()) + sum(again["to_desktop"].values()) == 0
    assert again["bytes_sent"] + again["bytes_received"] < 1000


def test_a_renamed_folder_travels_without_its_contents(pair: Pair) -> None:
    pair.fill({f"before/f{k}": os.urandom(5000) for k in range(200)})
    pair.desktop.run("sync")
    (pair.left / "before").rename(pair.left / "after")
    one = pair.desktop.sync()["types"][0]
    assert one["bytes_sent"] < 100_000 and pair.equal()
    assert read_tree(pair.right).keys() >= {f"after/f{k}" for k in range(200)}
