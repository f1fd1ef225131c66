"""Renames of every kind travel without content, found by inode or by hash, and an edit follows its file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cradle_protocol.errors import UNREADABLE
from cradle_testing.scenes import SIDES, sync_in_a_power_cut
from cradle_testing.stores import MemoryStore
from cradle_testing.worlds import Cut, World

SIZES = {"a": 300, "b": 400, "c": 500}


def swap(store: MemoryStore) -> None:
    store.rename("a", "t")
    store.rename("b", "a")
    store.rename("t", "b")


def cycle(store: MemoryStore) -> None:
    store.rename("a", "t")
    store.rename("c", "a")
    store.rename("b", "c")
    store.rename("t", "b")


def chain(store: MemoryStore) -> None:
    store.rename("b", "z")
    store.rename("a", "b")


def onto(store: MemoryStore) -> None:
    store.rename("a", "b")


def folder(store: MemoryStore) -> None:
    store.rename("d", "moved")


def crossed(store: MemoryStore) -> None:
    store.rename("d", "t")
    store.rename("e", "d")
    store.rename("t", "e")


def into(store: MemoryStore) -> None:
    store.rename("d", "e/d")


def out(store: MemoryStore) -> None:
    store.rename("d/sub", "sub")


RENAMES = [swap, cycle, chain, onto, folder, crossed, into, out]


def filled(folder: Path, by_identity: bool, same_size: bool, **parts: "tuple[str, ...]") -> World:
    """A world in which both sides hold the same, with stamps at rest."""
    w = World(folder, **parts)  # type: ignore[arg-type]
    for name in w.names:
        w[name].store.moves_by_identity = by_identity
    for name, size in SIZES.items():
        w["D1"].store.write(name, name.encode() * (300 if same_size else size))
    for k in range(4):
        w["D1"].store.write(f"d/sub/f{k}", b"d%d" % k * 300)
        w["D1"].store.write(f"e/g{k}", b"e%d" % k * 300)
    for _ in range(2):
        for desktop in w.desktops:
            w.sync(desktop, "R1")
        w.advance()
    w.content_bytes = 0
    return w


@pytest.mark.parametrize("side", ["D1", "R1"])
@pytest.mark.parametrize("by_identity", [True, False])
@pytest.mark.parametrize("same_size", [True, False])
@pytest.mark.parametrize("rename", RENAMES, ids=lambda rename: rename.__name__)
def test_ce05_no_rename_sends_content(
    tmp_path: Path, side: str, by_identity: bool, same_size: bool, rename: "Callable[[MemoryStore], None]"
) -> None:
    w = filled(tmp_path, by_identity, same_size)
    rename(w[side].store)
    w.advance()
    expected = w[side].store.tree()
    result = w.sync("D1", "R1")
    assert w["D1"].store.tree() == w["R1"].store.tree() == expected
    assert (w.content_bytes, result.conflicts, result.skipped, w.losers()) == (0, 0, [], [])
    w.settle_and_check()


@pytest.mark.parametrize("side", ["D1", "R1"])
def test_another_desktop_takes_a_swap_without_content(tmp_path: Path, side: str) -> None:
    w = filled(tmp_path, True, True, desktops=("D1", "D2"))
    swap(w[side].store)
    w.advance()
    w.sync("D1", "R1")
    w.sync("D2", "R1")
    assert w["D2"].store.tree() == w["D1"].store.tree() and w.content_bytes == 0
    w.settle_and_check()


@pytest.mark.parametrize("mover", ["D1", "R1"])
@pytest.mark.parametrize("by_identity", [True, False])
def test_edits_follow_what_is_in_a_folder_that_moved(tmp_path: Path, mover: str, by_identity: bool) -> None:
    w = filled(tmp_path, by_identity, True)
    editor = "R1" if mover == "D1" else "D1"
    w[mover].store.rename("d", "moved")
    w[editor].store.write("d/sub/f1", b"edited")
    w[editor].store.write("d/sub/new", b"new")
    w.advance()
    assert w.sync("D1", "R1").conflicts == 0
    w.settle_and_check()
    tree = w["D1"].store.tree()
    assert tree["moved/sub/f1"] == b"edited" and tree["moved/sub/f2"] == b"d2" * 300
    assert tree["d/sub/new"] == b"new" and "d/sub/f1" not in tree


@pytest.mark.parametrize(("mover", "editor"), SIDES)
def test_an_edit_beside_a_swap_is_a_conflict_of_that_path(tmp_path: Path, mover: str, editor: str) -> None:
    """A swap is two plain changes: who edits one of the names meanwhile clashes there, and nothing is lost."""
    w = filled(tmp_path, True, True)
    swap(w[mover].store)
    w[editor].store.write("a", b"edited")
    w.advance()
    assert w.sync("D1", "R1").conflicts == 1
    assert {b"a" * 300, b"b" * 300, b"edited"} <= set(w.contents())
    w.settle_and_check()


@pytest.mark.parametrize("side", ["D1", "R1"])
def test_a_copy_that_cannot_be_made_is_sent(tmp_path: Path, side: str) -> None:
    """The other side cannot read what it would copy from: the content comes over the line, now or the next time."""
    w = filled(tmp_path, True, True)
    other = "R1" if side == "D1" else "D1"
    swap(w[side].store)
    w[other].store.failing_reads["a"] = UNREADABLE
    w.advance()
    w.sync("D1", "R1")
    w[other].store.failing_reads.clear()
    w.settle_and_check()
    assert w["D1"].store.read("a") == b"b" * 300 and w["R1"].store.read("b") == b"a" * 300


@pytest.mark.parametrize("step", range(1, 8))
@pytest.mark.parametrize("side", ["D1", "R1"])
def test_a_cycle_with_a_power_cut_at_every_commit(tmp_path: Path, side: str, step: int) -> None:
    w = filled(tmp_path, True, False)
    w["D1"].store.sync()
    w["R1"].store.sync()
    cycle(w[side].store)
    w[side].store.sync()
    w.advance()
    expected = w[side].store.tree()
    sync_in_a_power_cut(w, step)
    w.settle_and_check()
    assert w["D1"].store.tree() == expected and not w.losers()


@pytest.mark.parametrize("cut", range(100, 1300, 200))
def test_a_cycle_that_is_cut(tmp_path: Path, cut: int) -> None:
    w = filled(tmp_path, True, False)
    w["R1"].store.sync()
    cycle(w["D1"].store)
    w["D1"].store.sync()
    w.advance()
    expected = w["D1"].store.tree()
    try:
        w.sync("D1", "R1", cut_after=cut)
    except Cut:
        w.boards["R1"].restart()
    w.settle_and_check()
    assert w["R1"].store.tree() == expected and not w.losers()
