"""Changes that flow one way: what the receiving side changed by itself is shown, and dropped when the user says so."""

from pathlib import Path

import pytest

from cradle_desktop.sync import batches
from cradle_desktop.sync.report import TypeResult
from cradle_protocol.errors import UNREADABLE
from cradle_testing.pair import Cut
from cradle_testing.worlds import PowerCut, World
from sync.test_mended_decisions import TWO_DESKTOPS, known_everywhere

DIRECTIONS = ["to-device", "to-desktop"]


def ends(direction: str) -> "tuple[str, str]":
    """(where changes come from, where they go)."""
    return ("D1", "R1") if direction == "to-device" else ("R1", "D1")


def sync(w: World, direction: str, revert: bool = False, desktop: str = "D1") -> TypeResult:
    result = w.sync(desktop, "R1", direction=direction, revert=revert)  # type: ignore[arg-type]
    w.advance()
    return result


def deviations(w: World, direction: str) -> "list[tuple[str, str, str]]":
    plan = w.preview("D1", "R1", direction=direction)  # type: ignore[arg-type]
    return sorted((one.identity, one.side, one.change) for one in plan.deviations)


def strayed(folder: Path, direction: str) -> World:
    """The receiving side edited, deleted, made and renamed; the other one made something as well."""
    w = World(folder)
    known_everywhere(w, rounds=2, edited=b"e1", deleted=b"d1", moved=b"m1", kept=b"k1")
    origin, receiver = ends(direction)
    w[receiver].store.write("edited", b"e2, astray")
    w[receiver].store.delete("deleted")
    w[receiver].store.write("dir/made", b"made astray")
    w[receiver].store.rename("moved", "moved away")
    w[origin].store.write("news", b"n1")
    w.advance()
    return w


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_deviations_are_shown_and_stay(tmp_path: Path, direction: str) -> None:
    w = strayed(tmp_path, direction)
    origin, receiver = ends(direction)
    side = "desktop" if receiver == "D1" else "device"
    found = deviations(w, direction)
    assert {one[0] for one in found} >= {"edited", "deleted", "dir", "dir/made", "moved away"}
    assert ("edited", side, "changed") in found and ("deleted", side, "deleted") in found
    before, right = w[receiver].store.tree(), w[origin].store.tree()
    for _ in range(2):
        assert sync(w, direction).deviations == len(found)
    assert w[receiver].store.tree() == before | {"news": b"n1"}
    assert w[origin].store.tree() == right
    assert deviations(w, direction) == found


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_revert_drops_them(tmp_path: Path, direction: str) -> None:
    w = strayed(tmp_path, direction)
    sync(w, direction)
    origin, receiver = ends(direction)
    want = w[origin].store.tree()
    result = sync(w, direction, revert=True)
    assert w[receiver].store.tree() == w[origin].store.tree() == want
    assert (result.conflicts, result.skipped, result.deviations) == (0, [], 0)
    assert deviations(w, direction) == [] and w.preview("D1", "R1").lines() == []
    if receiver == "R1":
        assert {b"e2, astray", b"made astray"} <= set(w.losers())
    w.settle_and_check()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_revert_settles_what_both_changed(tmp_path: Path, direction: str) -> None:
    w = World(tmp_path)
    known_everywhere(w, rounds=2, a=b"base", b=b"base", c=b"base")
    origin, receiver = ends(direction)
    for name, content in ((origin, b"right"), (receiver, b"astray")):
        w[name].store.write("a", content)
    w[origin].store.delete("b")
    w[receiver].store.write("b", b"astray")
    w[origin].store.write("c", b"right")
    w[receiver].store.delete("c")
    w.advance()
    result = sync(w, direction, revert=True)
    assert w["D1"].store.tree() == w["R1"].store.tree() == {"a": b"right", "c": b"right"}
    assert (result.conflicts, result.skipped) == (0, [])
    w.settle_and_check()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_file_and_a_directory_under_one_name(tmp_path: Path, direction: str) -> None:
    w = World(tmp_path)
    known_everywhere(w, rounds=2, x=b"file")
    receiver = ends(direction)[1]
    w[receiver].store.delete("x")
    w[receiver].store.write("x/inside", b"astray")
    w.advance()
    sync(w, direction, revert=True)
    sync(w, direction, revert=True)
    assert w["D1"].store.tree() == w["R1"].store.tree() == {"x": b"file"}
    w.settle_and_check()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_what_cannot_be_read_is_not_dropped(tmp_path: Path, direction: str) -> None:
    w = World(tmp_path)
    known_everywhere(w, rounds=2, a=b"right", b=b"right")
    receiver = ends(direction)[1]
    for name in ("a", "b"):
        w[receiver].store.write(name, b"astray " + name.encode())
    w.advance()
    w["R1"].store.failing_reads["a"] = UNREADABLE
    sync(w, direction, revert=True)
    assert w[receiver].store.tree() == {"a": b"astray a", "b": b"right"}
    w["R1"].store.failing_reads.clear()
    sync(w, direction, revert=True)
    assert w[receiver].store.tree() == {"a": b"right", "b": b"right"}
    w.settle_and_check()


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("at", [500, 900, 1300, 1700, 2100])
def test_a_cut_revert_goes_on(tmp_path: Path, direction: str, at: int) -> None:
    w = strayed(tmp_path, direction)
    origin, receiver = ends(direction)
    want = w[origin].store.tree()
    try:
        w.sync("D1", "R1", direction=direction, revert=True, cut_after=at)  # type: ignore[arg-type]
    except Cut:
        w.boards["R1"].restart()
    w.advance()
    for _ in range(2):
        sync(w, direction, revert=True)
    assert w[receiver].store.tree() == w[origin].store.tree() == want
    w.settle_and_check()


def test_what_was_dropped_here_travels_nowhere_else(tmp_path: Path) -> None:
    """The fresh stamp of what was dropped beats the edit that another device has by now."""
    w = World(tmp_path, devices=("R1", "R2"))
    w["D1"].store.write("a", b"right")
    for _ in range(2):
        for device in w.devices:
            w.sync("D1", device)
    w.advance()
    w["D1"].store.write("a", b"astray")
    w.advance()
    w.sync("D1", "R2")
    sync(w, "to-desktop", revert=True)
    assert w["D1"].store.read("a") == b"right"
    w.settle_and_check()
    assert w["R2"].store.read("a") == b"right"


def test_another_desktop_sees_what_was_dropped_on_the_device(tmp_path: Path) -> None:
    w = World(tmp_path, desktops=TWO_DESKTOPS)
    known_everywhere(w, a=b"right")
    w["R1"].store.write("a", b"astray")
    w["R1"].store.write("new", b"astray")
    w.advance()
    w.sync("D2", "R1")
    sync(w, "to-device", revert=True)
    w.settle_and_check()
    assert w["D2"].store.tree() == {"a": b"right"} and b"astray" in w.losers()


def test_steps_that_belong_together_are_in_one_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy beside has any id: where a batch ended behind it, what lay before that id was learned and never came."""
    monkeypatch.setattr(batches, "BATCH_ITEMS", 1)
    w = World(tmp_path)
    names = [f"f{k}" for k in range(12)]
    known_everywhere(w, rounds=2, **dict.fromkeys(names, b"base"))
    for k, name in enumerate(names):
        w["D1"].store.write(name, b"ours %d" % k)
        w["R1"].store.write(name, b"theirs %d" % k)
    w.advance()
    w.desks["D1"].meta.crash_before_commit = 9
    with pytest.raises(PowerCut):
        w.sync("D1", "R1", policy="both")
    w.desks["D1"].restart()
    w.sync("D1", "R1", policy="both")
    w.settle_and_check()
    contents = w.contents()
    assert all(b"ours %d" % k in contents and b"theirs %d" % k in contents for k in range(len(names)))
