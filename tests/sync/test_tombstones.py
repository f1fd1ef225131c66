"""Deletes that were forgotten, and replicas that missed them: TV-09, TV-10, TV-14 and CE-22 between real replicas.

Cleanup may happen on either side. A recovered delete is made anew by the desktop (and not, as in the vectors, carried
out without a tombstone), so that it also reaches those who were away still longer.
"""

from pathlib import Path

import pytest

from cradle_testing.worlds import Cut, World

SIDES = [("D1", "R1", "R2"), ("R1", "D1", "D2")]


def between(w: World, one: str, other: str) -> "tuple[str, str]":
    """Desktop and device of a pair."""
    return (one, other) if one in w.desks else (other, one)


def prepare(folder: Path, names: "tuple[str, str, str]", files: "list[str]") -> World:
    """A has told B and C of the files, deletes the first, tells B of that, and cleans up. A and C have two roles."""
    a, b, c = names
    w = World(folder, tuple(n for n in names if n[0] == "D"), tuple(n for n in names if n[0] == "R"))
    for name in files:
        w[a].store.write(name, b"content of " + name.encode())
    if a[0] == "D":
        w.sync(a, b)
        w.sync(a, c)
    else:
        w.sync(b, a)
        w.sync(c, a)
    w[a].store.delete(files[0])
    w.sync(*between(w, a, b))
    w.forget(a)
    return w


@pytest.mark.parametrize("names", SIDES)
def test_tv09_cleanup_and_a_stale_replica(tmp_path: Path, names: "tuple[str, str, str]") -> None:
    a, _, c = names
    w = prepare(tmp_path, names, ["i1", "i2"])
    w[c].store.write("i3", b"new")
    result = w.sync(*between(w, a, c))
    assert result.conflicts == 0 and not result.skipped
    assert w[c].store.tree() == w[a].store.tree() == {"i2": b"content of i2", "i3": b"new"}
    w.settle_and_check()


@pytest.mark.parametrize("names", SIDES)
def test_tv10_the_stale_replica_edited_what_was_deleted(tmp_path: Path, names: "tuple[str, str, str]") -> None:
    """A forgotten delete against an edit is a conflict, which the edit wins; never a silent delete."""
    a, _, c = names
    w = prepare(tmp_path, names, ["i1", "i2"])
    w[c].store.advance(10)
    w[c].store.write("i1", b"edited")
    result = w.sync(*between(w, a, c))
    assert result.conflicts == 1
    assert w[a].store.read("i1") == w[c].store.read("i1") == b"edited"
    w.settle_and_check()
    assert w["R1"].store.read("i1") == b"edited"


@pytest.mark.parametrize("names", SIDES)
def test_tv10_left_to_the_user(tmp_path: Path, names: "tuple[str, str, str]") -> None:
    """With nobody to decide, both sides stay as they are; an edit that both know of by now is taken at last."""
    a, _, c = names
    w = prepare(tmp_path, names, ["i1", "i2"])
    w[c].store.advance(10)
    w[c].store.write("i1", b"edited")
    result = w.sync(*between(w, a, c), policy="ask")
    assert result.conflicts == 1
    assert w[c].store.read("i1") == b"edited" and "i1" not in w[a].store.tree()
    w.settle_and_check()
    assert w[a].store.read("i1") == b"edited"


@pytest.mark.parametrize("cut", range(100, 2500, 150))
@pytest.mark.parametrize("names", SIDES)
def test_tv14_an_interrupted_recovery(tmp_path: Path, names: "tuple[str, str, str]", cut: int) -> None:
    """Wherever it is cut: what was recovered stays, the rest is recovered the next time, and nothing comes back."""
    a, _, c = names
    w = prepare(tmp_path, names, ["i1", "i2", "i3", "i4", "i5"])
    w[a].store.delete("i5")
    w.sync(*between(w, a, names[1]))
    w.forget(a)
    for board in w.boards.values():
        board.end.agent.limits.batch_items = 2
    try:
        w.sync(*between(w, a, c), cut_after=cut)
    except Cut:
        pass
    assert "i1" not in w[a].store.tree()
    w.sync(*between(w, a, c))
    assert set(w[c].store.tree()) == set(w[a].store.tree()) == {"i2", "i3", "i4"}
    w.settle_and_check()


def test_a_replica_that_was_away_still_longer_hears_of_it_through_one_that_was_recovered(tmp_path: Path) -> None:
    w = World(tmp_path, ("D1", "D2"), ("R1", "R2"))
    w["D1"].store.write("i1", b"1")
    w.settle()
    w["D1"].store.delete("i1")
    w.sync("D1", "R1")
    w.forget("D1")
    w.forget("R1")
    w.sync("D1", "R2")
    w.forget("R2")
    w.sync("D2", "R2")
    assert w["D2"].store.tree() == {}
    w.settle_and_check()


def test_a_new_file_of_the_old_name_is_no_conflict(tmp_path: Path) -> None:
    """The delete is forgotten everywhere, the name is used again on either side."""
    w = World(tmp_path)
    for name in ("a", "b"):
        w["D1"].store.write(name, b"old")
    w.sync("D1", "R1")
    for name in ("a", "b"):
        w["D1"].store.delete(name)
    w.sync("D1", "R1")
    w.forget("D1")
    w.forget("R1")
    w["D1"].store.write("a", b"new")
    w["R1"].store.write("b", b"new")
    result = w.sync("D1", "R1")
    assert result.conflicts == 0 and not result.skipped
    assert w["D1"].store.tree() == w["R1"].store.tree() == {"a": b"new", "b": b"new"}
    w.settle_and_check()


def test_ce22_stale_after_a_boards_own_cleanup(tmp_path: Path) -> None:
    """The board dropped tombstones at its budget; a desktop that comes back after that resurrects nothing."""
    w = World(tmp_path, desktops=("D1", "D2"))
    for k in range(6):
        w["R1"].store.write(f"f{k}", b"%d" % k)
    w.sync("D1", "R1")
    w.sync("D2", "R1")
    for k in range(3):
        w["R1"].store.delete(f"f{k}")
    w["D2"].store.write("mine", b"new here")
    w["D2"].store.advance(10)
    w["D2"].store.write("f2", b"edited while away")
    w.forget("R1")
    result = w.sync("D2", "R1")
    assert result.conflicts == 1
    expected = {"f2": b"edited while away", "f3": b"3", "f4": b"4", "f5": b"5", "mine": b"new here"}
    assert w["D2"].store.tree() == w["R1"].store.tree() == expected
    w.settle_and_check()


def test_a_device_drops_what_the_desktop_has_forgotten(tmp_path: Path) -> None:
    """That is how a board without a clock cleans up."""
    w = World(tmp_path)
    for k in range(4):
        w["D1"].store.write(f"f{k}", b"%d" % k)
    w.sync("D1", "R1")
    w["R1"].store.delete("f0")
    w["D1"].store.delete("f1")
    w.sync("D1", "R1")
    w.forget("D1")
    w.sync("D1", "R1")
    held = {item.identity for item in w.boards["R1"].end.agent.replicas["files"].meta().items()}
    assert held == {"f2", "f3"}
    w.settle_and_check()


def test_a_preview_shows_what_a_recovery_will_delete(tmp_path: Path) -> None:
    w = prepare(tmp_path, ("D1", "R1", "R2"), ["i1", "i2"])
    before = w.everything()
    assert w.preview("D1", "R2").lines() == ["delete    i1 on R2"]
    assert w.everything() == before


def test_a_directory_that_is_deleted_anew_was_made_for_what_came_into_it(tmp_path: Path) -> None:
    """D2 forgot the delete of `e` and all in it; D1 has edited a file in there, and R1 brings that to D2."""
    w = World(tmp_path, ("D1", "D2"), ("R1", "R2"))
    w["R1"].store.write("e/d/a", b"one")
    w["R2"].store.write("e/d/a", b"another")
    w.sync("D1", "R2")
    w["R2"].store.delete("e")
    w.sync("D2", "R2")
    w.forget("D2")
    w.sync("D1", "R1")
    w.sync("D1", "R2")
    w.sync("D2", "R1")
    assert w["D2"].store.tree() == {"e/": b"", "e/d/": b"", "e/d/a": b"another"}
    w._check_metadata(w.desks["D2"].meta, w.desks["D2"].store)
    w.settle_and_check()
