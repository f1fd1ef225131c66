"""Renames of every kind travel without content, found by inode or by hash, and an edit follows its file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cradle_desktop.sync.filter import Filter
from cradle_protocol.errors import UNREADABLE, WRITE_FAILED
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


# -- what it takes: one rename


COUNTS = "moves", "copies", "installs", "removals", "reads"


def counted(store: MemoryStore) -> "dict[str, int]":
    """What the store was asked to do, as far as it was anything, and start to count anew."""
    found = {name: getattr(store, name) for name in COUNTS if getattr(store, name)}
    for name in COUNTS:
        setattr(store, name, 0)
    return found


def other_of(w: World, side: str) -> MemoryStore:
    """The store on the other side, from which on it counts."""
    store = w["R1" if side == "D1" else "D1"].store
    counted(store)
    return store


def swap_folders(store: MemoryStore) -> None:
    store.rename("d/sub", "t")
    store.rename("e", "d/sub")
    store.rename("t", "e")


def nested(store: MemoryStore) -> None:
    store.rename("d", "moved")
    store.rename("moved/sub", "moved/below")


def emptied(store: MemoryStore) -> None:
    store.rename("d/sub/f1", "f1")
    store.rename("d", "moved")


# What each takes on the other side: folders that moved whole are one rename, files that moved alone one each. A folder
# of which something went elsewhere is made anew, and what stays in it renamed into it.
TAKES: "list[tuple[Callable[[MemoryStore], None], dict[str, int]]]" = [
    (folder, {"moves": 1}),
    (into, {"moves": 1}),
    (out, {"moves": 1}),
    (nested, {"moves": 1, "installs": 1, "removals": 1}),
    (emptied, {"moves": 4, "installs": 2, "removals": 2}),
    (swap_folders, {"moves": 8}),
]


@pytest.mark.parametrize("side", ["D1", "R1"])
@pytest.mark.parametrize(("rename", "takes"), TAKES, ids=lambda one: getattr(one, "__name__", ""))
def test_a_rename_is_a_rename_and_nothing_is_copied(
    tmp_path: Path, side: str, rename: "Callable[[MemoryStore], None]", takes: "dict[str, int]"
) -> None:
    w = filled(tmp_path, True, False)
    rename(w[side].store)
    w.advance()
    expected, there = w[side].store.tree(), other_of(w, side)
    result = w.sync("D1", "R1")
    assert there.tree() == expected
    assert (counted(there), w.content_bytes, result.conflicts, result.skipped) == (takes, 0, 0, [])
    w.settle_and_check()


@pytest.mark.parametrize("side", ["D1", "R1"])
def test_files_found_by_hash_are_renamed(tmp_path: Path, side: str) -> None:
    """A board tells moves by hash: it has no link for the folder, which is made and removed."""
    w = filled(tmp_path, False, False)
    folder(w[side].store)
    w.advance()
    there = other_of(w, side)
    w.sync("D1", "R1")
    assert counted(there) == {"moves": 4, "installs": 2, "removals": 2}
    w.settle_and_check()


def test_a_third_side_renames_as_well(tmp_path: Path) -> None:
    w = filled(tmp_path, True, False, desktops=("D1", "D2"), devices=("R1", "R2"))
    for _ in range(2):
        w.settle(1)
        w.advance()
    folder(w["D1"].store)
    w.advance()
    stores = [w[name].store for name in ("R1", "D2", "R2")]
    for store in stores:
        counted(store)
    for pair in (("D1", "R1"), ("D2", "R1"), ("D2", "R2")):
        w.sync(*pair)
    assert [counted(store) for store in stores] == [{"moves": 1}] * 3
    w.settle_and_check()


def test_a_device_that_does_not_rename_is_told_item_by_item(tmp_path: Path) -> None:
    w = filled(tmp_path, True, False)
    there = other_of(w, "D1")
    there.renames = False
    folder(w["D1"].store)
    w.advance()
    expected = w["D1"].store.tree()
    w.sync("D1", "R1")
    assert there.tree() == expected and w.content_bytes == 0
    assert counted(there)["copies"] == 4 and there.moves == 0
    w.settle_and_check()


# -- when the other side is not what was meant, or changes meanwhile


def edits(store: MemoryStore) -> None:
    store.write("d/sub/f1", b"edited")


def makes(store: MemoryStore) -> None:
    store.write("d/sub/new", b"new")


def deletes(store: MemoryStore) -> None:
    store.delete("d/sub/f1")


def moves_too(store: MemoryStore) -> None:
    store.rename("d/sub", "elsewhere")


@pytest.mark.parametrize("side", ["D1", "R1"])
@pytest.mark.parametrize("act", [edits, makes, deletes, moves_too])
@pytest.mark.parametrize("when", ["before", "during"])
def test_a_folder_in_which_the_other_side_does_something(
    tmp_path: Path, side: str, act: "Callable[[MemoryStore], None]", when: str
) -> None:
    """Nothing that its user did is lost, and what did not change moves."""
    w = filled(tmp_path, True, False)
    there = other_of(w, side)
    folder(w[side].store)
    w.advance()
    if when == "before":
        act(there)
        w.advance()
    else:
        there.on_install = lambda _: (setattr(there, "on_install", None), act(there))[0]  # type: ignore[func-returns-value]
    w.sync("D1", "R1")
    w.advance()
    w.settle_and_check()
    tree = w["D1"].store.tree()
    assert {b"edited", b"new"} & set(tree.values()) or act in (deletes, moves_too)
    assert {b"d0" * 300, b"d2" * 300, b"d3" * 300} <= set(tree.values())


def test_a_folder_of_which_a_part_did_not_come_is_not_taken_for_moved(tmp_path: Path) -> None:
    """A device at the bound of its exceptions refuses the rename, and learns nothing of a pass in which a file failed:
    the folder's own change is there, and is no sign that all is that was in it."""
    w = filled(tmp_path, True, False)
    there, meta = w["R1"].store, w.boards["R1"].end.agent.replicas["files"].meta()
    folder(w["D1"].store)
    w.advance()
    limit, meta.knowledge.limit = meta.knowledge.limit, 0
    there.failing_writes["moved/sub/f1"] = WRITE_FAILED
    assert [path for path, _ in w.sync("D1", "R1").skipped] == ["moved/sub/f1"]
    assert "d" not in there.objects and "moved/sub/f1" not in there.objects
    meta.knowledge.limit = limit
    there.failing_writes.clear()
    w.sync("D1", "R1")
    assert there.tree() == w["D1"].store.tree()
    w.settle_and_check()


def test_what_a_filter_keeps_out_does_not_go_along(tmp_path: Path) -> None:
    """The folder on the device has a name only for one file: item by item, and that one comes in by its new name."""
    w = filled(tmp_path, True, False)
    w.set_filter("R1", Filter(exclude=["/d/sub/f1"]))
    w.sync("D1", "R1")
    w.advance()
    assert "d/sub/f1" not in w["R1"].store.tree()
    folder(w["D1"].store)
    w.advance()
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == w["D1"].store.tree()
    w.settle_and_check()


def test_a_folder_that_the_filter_does_not_want_leaves(tmp_path: Path) -> None:
    w = filled(tmp_path, True, False)
    w.set_filter("R1", Filter(exclude=["/moved"]))
    w.sync("D1", "R1")
    folder(w["D1"].store)
    w.advance()
    w.sync("D1", "R1")
    assert not [path for path in w["R1"].store.tree() if path.startswith(("moved", "d/"))]
    w.settle_and_check()


@pytest.mark.parametrize("side", ["D1", "R1"])
def test_a_change_of_case_alone(tmp_path: Path, side: str) -> None:
    """One side cannot tell D from d: there the folder is spelled anew, or made anew; no content is sent."""
    w = filled(tmp_path, True, False)
    there = other_of(w, side)
    there.caseless = True
    w[side].store.rename("d", "D")
    w.advance()
    for _ in range(2):
        w.sync("D1", "R1")
    assert there.tree() == w[side].store.tree() and w.content_bytes == 0
    w.settle_and_check()


# -- when it is interrupted


@pytest.mark.parametrize("step", range(1, 9))
@pytest.mark.parametrize("side", ["D1", "R1"])
def test_a_folder_with_a_power_cut_at_every_commit(tmp_path: Path, side: str, step: int) -> None:
    w = filled(tmp_path, True, False)
    w["D1"].store.sync()
    w["R1"].store.sync()
    folder(w[side].store)
    w[side].store.sync()
    w.advance()
    expected = w[side].store.tree()
    sync_in_a_power_cut(w, step)
    w.settle_and_check()
    assert w["D1"].store.tree() == expected and not w.losers()


class Dead(Exception):
    """The device's process ends here."""


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("step", range(1, 5))
def test_a_folder_with_a_device_that_dies_at_every_step(tmp_path: Path, step: int, durable: bool) -> None:
    """durable: what it did is on the disk, as after a kill; else its power went, and what was not flushed with it."""
    w = filled(tmp_path, True, False)
    there = w["R1"].store
    there.sync()
    folder(w["D1"].store)
    w.advance()
    expected, left = w["D1"].store.tree(), [step]

    def die() -> None:
        left[0] -= 1
        if not left[0]:
            raise Dead

    there.on_act = die
    try:
        w.sync("D1", "R1")
    except Dead:
        there.on_act = None
        if durable:
            w.boards["R1"].end.restart()
        else:
            w.boards["R1"].restart()
    there.on_act = None
    w.settle_and_check()
    assert there.tree() == expected and not w.losers() and w.content_bytes == 0


@pytest.mark.parametrize("side", ["D1", "R1"])
@pytest.mark.parametrize("edited", [True, False])
@pytest.mark.parametrize("cut", range(20, 700, 60))
def test_a_folder_that_is_cut_and_edited_after_that(tmp_path: Path, side: str, edited: bool, cut: int) -> None:
    """What moved before the cut is known to have: an edit of it is no conflict."""
    w = filled(tmp_path, True, False)
    there = other_of(w, side)
    there.sync()
    folder(w[side].store)
    w[side].store.sync()
    w.advance()
    try:
        w.sync("D1", "R1", cut_after=cut)
    except Cut:
        pass
    new, old = "moved/sub/f1", "d/sub/f1"
    if edited:
        there.write(new if new in there.tree() else old, b"edited")
        w.advance()
    w.settle_and_check()
    tree = w["D1"].store.tree()
    assert tree[new] == (b"edited" if edited else b"d1" * 300) and old not in tree
    assert not w.losers()
