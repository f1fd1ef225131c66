"""Folders against files, edits against deletes above them, losers that are kept. Real engine and agent, no disk."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from cradle_desktop.conflict import contents
from cradle_desktop.conflict.store import ConflictStore
from cradle_desktop.metadata.database import Database
from cradle_testing.scenes import SIDES, TWO_DESKTOPS, TWO_DEVICES, known_everywhere
from cradle_testing.stores import MemoryStore
from cradle_testing.worlds import World

# -- a folder is deleted here, something in it is changed there


def _edit(store: MemoryStore) -> None:
    store.write("d/e/f", b"edited")


def _chmod(store: MemoryStore) -> None:
    store.chmod("d/e/f", 0o755)


def _add(store: MemoryStore) -> None:
    store.write("d/e/new", b"new")


def _add_folder(store: MemoryStore) -> None:
    store.mkdir("d/e/sub")


def _move_in(store: MemoryStore) -> None:
    store.rename("outside", "d/e/inside")


def _move_out(store: MemoryStore) -> None:
    store.rename("d/e/f", "rescued")


CHANGES = {
    _edit: {"d/e/f": b"edited"}, _chmod: {"d/e/f": b"f"}, _add: {"d/e/new": b"new"}, _add_folder: {"d/e/sub/": b""},
    _move_in: {"d/e/inside": b"out"}, _move_out: {"rescued": b"f"},
}  # fmt: skip


@pytest.mark.parametrize("deleter", ["D1", "R1"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_folder_is_deleted_while_something_in_it_is_changed(
    tmp_path: Path, deleter: str, change: "Callable[[MemoryStore], None]"
) -> None:
    """What was changed lives with the folders above it; its siblings go, as the delete said."""
    w = World(tmp_path)
    known_everywhere(w, **{"d/e/f": b"f", "d/e/g": b"g", "d/h": b"h", "outside": b"out"})
    other = "R1" if deleter == "D1" else "D1"
    w[deleter].store.delete("d")
    change(w[other].store)
    w.advance()
    w.sync("D1", "R1")
    w.settle_and_check()
    tree = w["D1"].store.tree()
    assert {path: content for path, content in tree.items() if path in CHANGES[change]} == CHANGES[change]
    assert not {"d/e/g", "d/h"} & set(tree)
    assert ("d/e/" in tree) == any(path.startswith("d/e/") for path in CHANGES[change])


@pytest.mark.parametrize("order", [("D1", "D2"), ("D2", "D1")])
def test_two_desktops_delete_and_edit(tmp_path: Path, order: "tuple[str, str]") -> None:
    w = World(tmp_path, desktops=TWO_DESKTOPS, devices=TWO_DEVICES)
    known_everywhere(w, **{"d/f": b"f", "d/g": b"g"})
    w.settle(2)
    w["D1"].store.delete("d")
    w["D2"].store.write("d/f", b"edited")
    w.advance()
    for desktop in order:
        w.sync(desktop, "R1")
    w.settle_and_check()
    assert w["R2"].store.tree() == {"d/": b"", "d/f": b"edited"}


# -- a file here, a folder there


def _nothing(store: MemoryStore) -> None:
    pass


def _file(store: MemoryStore) -> None:
    store.delete("x") if "x" in store.objects else None
    store.write("x", b"file")


def _empty(store: MemoryStore) -> None:
    store.delete("x") if "x" in store.objects else None
    store.mkdir("x")


def _full(store: MemoryStore) -> None:
    _empty(store)
    store.write("x/deep/child", b"child")


STATES = {_file: b"file", _empty: None, _full: b"child"}


@pytest.mark.parametrize("before", [_nothing, *STATES], ids=lambda state: "was" + state.__name__)
@pytest.mark.parametrize(("mine", "theirs"), list(product(STATES, STATES)), ids=lambda state: state.__name__)
@pytest.mark.parametrize("policy", ["desktop", "device"])
def test_a_file_against_a_folder(
    tmp_path: Path, before: "Callable[[MemoryStore], None]", mine: "Callable[[MemoryStore], None]",
    theirs: "Callable[[MemoryStore], None]", policy: str,
) -> None:  # fmt: skip
    """Whatever was there: a folder with something in it stays, and a file that gives way is kept."""
    w = World(tmp_path)
    before(w["D1"].store)
    w.sync("D1", "R1")
    w.sync("D1", "R1")
    w.advance()
    mine(w["D1"].store)
    theirs(w["R1"].store)
    w.advance()
    changed = {state for state, side in ((mine, "D1"), (theirs, "R1")) if state is not before}
    w.sync("D1", "R1", policy=policy)  # type: ignore[arg-type]
    w.settle_and_check()
    tree = w["D1"].store.tree()
    if _full in changed:
        assert tree == {"x/": b"", "x/deep/": b"", "x/deep/child": b"child"}
    for state in changed:
        assert STATES[state] is None or STATES[state] in w.contents()


@pytest.mark.parametrize(("filer", "folder"), SIDES)
@pytest.mark.parametrize("first", ["D1", "D2"])
def test_a_file_against_a_folder_on_the_way_through_a_device(
    tmp_path: Path, filer: str, folder: str, first: str
) -> None:
    """Two desktops, one made a file and one a folder of that name; the device has heard of either first."""
    w = World(tmp_path, desktops=TWO_DESKTOPS)
    names = {"D1": "D1", "R1": "D2"}
    w[names[filer]].store.write("x", b"file")
    w[names[folder]].store.write("x/child", b"child")
    w.advance()
    w.sync(first, "R1")
    w.sync("D2" if first == "D1" else "D1", "R1")
    w.settle_and_check()
    assert w["R1"].store.tree() == {"x/": b"", "x/child": b"child"} and b"file" in w.losers()


# -- what loses cannot be kept


@pytest.mark.parametrize("real", [False, True])
def test_losers_that_cannot_be_made_durable_displace_nothing(
    tmp_path: Path, real: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk of the conflict store fails at the end of a batch: its items wait, both versions where they were, and
    what displaces nothing arrives."""
    w = World(tmp_path)
    known_everywhere(w, a=b"base", b=b"base", c=b"base")
    if real:
        database = Database(tmp_path / "cradle.db")
        w.desks["D1"].conflicts = ConflictStore(database, str(tmp_path / "conflicts"))  # type: ignore[assignment]
    for name in ("a", "b"):
        w["D1"].store.write(name, b"desktop " + name.encode())
        w["R1"].store.write(name, b"device " + name.encode())
    w["R1"].store.write("c", b"plain")
    w.advance()
    before = w["D1"].store.tree(), w["R1"].store.tree()
    with monkeypatch.context() as patch:
        if real:
            patch.setattr(contents, "_flush", _broken)
        else:
            w.desks["D1"].conflicts.broken = True
        result = w.sync("D1", "R1")
        w.desks["D1"].conflicts.broken = False
    assert sorted(path for path, _ in result.skipped) == ["a", "b"] and result.conflicts == 0
    assert all("conflict store cannot be written" in reason for _, reason in result.skipped)
    assert w["D1"].store.tree() == before[0] | {"c": b"plain"} and w["R1"].store.tree() == before[1]
    assert w.sync("D1", "R1").conflicts == 2
    assert w["R1"].store.read("a") == b"desktop a"


def _broken(path: str) -> None:
    raise OSError(5, "Input/output error")
