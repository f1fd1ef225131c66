"""Numbered vectors and traces that need faults, limits or policies; TV-13, the random worlds, among them."""

from pathlib import Path

import pytest

from cradle_protocol.errors import NO_ROOM
from cradle_testing.sim import check_seed
from cradle_testing.worlds import PowerCut, World
from sync.test_policies import Merging

SET_BACK = (
    "was set back to an earlier state, perhaps from a backup: it goes on as a new replica, and what it has missed is "
    "sent again"
)


def test_tv06_crash_in_a_batch(tmp_path: Path) -> None:
    """The data of a batch are in place, its metadata are not: sent again, nothing is a conflict, nothing an edit."""
    w = World(tmp_path)
    for k in range(3):
        w["R1"].store.write(f"i{k}", b"%d" % k)
    w["D1"].meta.crash_before_commit = 3
    with pytest.raises(PowerCut):
        w.sync("D1", "R1")
    w["D1"].restart()
    result = w.sync("D1", "R1")
    assert result.conflicts == 0 and result.to_device.total() == 0
    assert len(w["D1"].store.tree()) == 3 and not w.losers()
    w.settle_and_check()


def test_tv08_a_skipped_conflict_comes_again(tmp_path: Path) -> None:
    w = World(tmp_path)
    for name in ("i1", "i2"):
        w["D1"].store.write(name, b"x")
    w.sync("D1", "R1")
    for name in ("D1", "R1"):
        w[name].store.advance(10)
    w["R1"].store.write("i1", b"xa")
    w["R1"].store.write("i2", b"ya")
    w["D1"].store.write("i1", b"xb")
    result = w.sync("D1", "R1", policy="skip")
    assert result.conflicts == 1
    assert (w["D1"].store.read("i1"), w["R1"].store.read("i1")) == (b"xb", b"xa")
    assert w["D1"].store.read("i2") == b"ya", "what is beside it goes on"
    assert w.sync("D1", "R1", policy="skip").conflicts == 1
    assert w.sync("D1", "R1", policy="device").conflicts == 1
    assert w["D1"].store.read("i1") == w["R1"].store.read("i1") == b"xa"
    assert w.losers() == [b"xb"]
    w.settle_and_check()


def test_ce04_a_tick_is_not_used_twice(tmp_path: Path) -> None:
    """The device's power goes right after its change was sent; the next edit is another version, and arrives."""
    w = World(tmp_path)
    w["R1"].store.write("f", b"first")
    w["R1"].store.sync()
    w.sync("D1", "R1")
    w["R1"].restart()
    w["R1"].store.write("g", b"second")
    w.sync("D1", "R1")
    assert w["D1"].store.tree() == {"f": b"first", "g": b"second"}
    w.settle_and_check()


@pytest.mark.parametrize("seed", range(6))
def test_tv13_random_worlds(seed: int) -> None:
    """What the simulation runs by the thousand on metadata in memory, on every kind: all replicas end equal."""
    assert check_seed(seed) == ""


@pytest.mark.parametrize("side", ["D1", "R1"])
def test_ce09_more_failing_items_than_the_bound(tmp_path: Path, side: str) -> None:
    """Nothing is claimed that is not held; all arrive when the cause is gone."""
    w = World(tmp_path, batch_items=7)
    source = "R1" if side == "D1" else "D1"
    for k in range(40):
        w[source].store.write(f"f{k}", b"content %d" % k)
        w[side].store.failing_writes[f"f{k}"] = NO_ROOM
    w[source].store.write("good", b"good")
    meta = w.desks["D1"].meta if side == "D1" else w.boards["R1"].end.agent.replicas["files"].meta()
    meta.knowledge.limit = 5
    for _ in range(2):
        result = w.sync("D1", "R1")
        assert len(result.skipped) == 40
        assert w[side].store.tree() == {"good": b"good"}
        for k in range(40):
            other = w.boards["R1"].end.agent.replicas["files"].meta() if side == "D1" else w.desks["D1"].meta
            item = next(item for item in other.items() if item.identity == f"f{k}")
            version = item.versions[0][0], meta.key_of(other.replicas[item.versions[0][1]])
            assert not meta.knowledge.knows(item.id, version)
    w[side].store.failing_writes.clear()
    w.sync("D1", "R1")
    assert len(w[side].store.tree()) == 41
    w.settle_and_check()


def test_ce11_both_clones_edit(tmp_path: Path) -> None:
    """A device's card is copied into a second one; both edit, with different desktops; then the desktops meet."""
    w = World(tmp_path, desktops=("D1", "D2"), devices=("R1", "R2"))
    for name in ("a", "b"):
        w["R1"].store.write(name, b"common")
    w.sync("D1", "R1")
    w.sync("D2", "R1")
    w.clone("R1", "R2")
    for name, path in (("R1", "a"), ("R2", "b")):
        w[name].store.advance(10)
        w[name].store.write(path, b"edited on " + name.encode())
    w.sync("D1", "R1")
    result = w.sync("D2", "R2")
    assert result.conflicts == 0 and result.to_device.total() == 0
    ids = {board.end.agent.replicas["files"].meta().replicas[0] for board in w.boards.values()}
    assert len(ids) == 2
    w.settle()
    for name in w.names:
        assert w[name].store.tree() == {"a": b"edited on R1", "b": b"edited on R2"}
    assert not w.losers()
    w.settle_and_check()


def test_a_device_that_was_set_back_loses_no_edit(tmp_path: Path) -> None:
    """Store and state come from a backup; the edits after it are not taken for those that the desktop knows."""
    w = World(tmp_path / "world", desktops=("D1", "D2"))
    w["R1"].store.write("a", b"old a")
    w["R1"].store.write("b", b"old b")
    w.sync("D1", "R1")
    w.sync("D2", "R1")
    backup = w.save("R1", tmp_path / "backup")
    for k in range(4):
        w["R1"].store.advance(10)
        w["R1"].store.write("a", b"new a %d" % k)
        w.sync("D1", "R1")
    w.put_back("R1", backup)
    w["R1"].store.advance(100)
    w["R1"].store.write("b", b"edited after the backup")
    w["R1"].store.write("c", b"made after the backup")
    before = w.boards["R1"].end.agent.replicas["files"].meta().replicas[0]
    result = w.sync("D1", "R1")
    assert w.notes == [f"R1 {SET_BACK}"]
    assert result.conflicts == 0
    assert w.boards["R1"].end.agent.replicas["files"].meta().replicas[0] != before
    expected = {"a": b"new a 3", "b": b"edited after the backup", "c": b"made after the backup"}
    assert w["D1"].store.tree() == w["R1"].store.tree() == expected
    w.sync("D1", "R1")
    assert len(w.notes) == 1
    w.settle_and_check()


def test_ce14_two_desktops_resolve_the_same_conflict(tmp_path: Path) -> None:
    """Independently, then they meet: the same content everywhere, the same loser, no third copy."""
    w = World(tmp_path, desktops=("D1", "D2"), devices=("R1", "R2"))
    w["D1"].store.write("f", b"base")
    w.settle()
    for name in ("R1", "R2"):
        w[name].store.advance(10)
        w[name].store.write("f", b"edited on " + name.encode())
    w.sync("D1", "R1")
    w.sync("D2", "R2")
    w.sync("D1", "R2")
    w.sync("D2", "R1")
    w.settle()
    winner = w["D1"].store.read("f")
    assert {winner, *w.losers()} == {b"edited on R1", b"edited on R2"}
    assert set(w["D2"].store.tree()) == {"f"}
    w.settle_and_check()


def test_ce18_a_conflict_store_that_is_full(tmp_path: Path) -> None:
    """A loser that does not fit is not displaced: both versions stay where they were, and the reason is told."""
    w = World(tmp_path)
    w["D1"].store.write("f", b"base")
    w.sync("D1", "R1")
    for name in ("D1", "R1"):
        w[name].store.advance(10)
        w[name].store.write("f", b"edited on " + name.encode())
    w.desks["D1"].conflicts.limit = 3
    result = w.sync("D1", "R1")
    assert [item for item, _ in result.skipped] == ["f"] and "room" in result.skipped[0][1]
    assert w["D1"].store.read("f") == b"edited on D1" and w["R1"].store.read("f") == b"edited on R1"
    w.desks["D1"].conflicts.limit = 1000
    assert w.sync("D1", "R1").conflicts == 1
    w.settle_and_check()


NOTE = b"milk\nbread\neggs\nrice\napples\n"
SETTINGS = b"[display]\ncolour = red\n\n[alarm]\nhour = 7\n\n[network]\nname = home\n"


def test_ce19_merge_against_the_last_common_content(tmp_path: Path) -> None:
    """Other lines of a note, other keys of settings: one text of both, and another desktop goes on from it."""
    merging = Merging(tmp_path, desktops=("D1", "D2"))
    w = merging.world
    w["D1"].store.write("note", NOTE)
    w["D1"].store.write("settings", SETTINGS)
    for desktop in ("D1", "D2"):
        merging.sync(desktop)
    for path, ours, theirs in (
        ("note", NOTE.replace(b"milk", b"oat milk"), NOTE.replace(b"apples", b"pears")),
        ("settings", SETTINGS.replace(b"red", b"blue"), SETTINGS.replace(b"home", b"work")),
    ):
        w["D1"].store.write(path, ours)
        w["R1"].store.write(path, theirs)
    w.advance()
    assert merging.sync().conflicts == 0
    both = {
        "note": NOTE.replace(b"milk", b"oat milk").replace(b"apples", b"pears"),
        "settings": SETTINGS.replace(b"red", b"blue").replace(b"home", b"work"),
    }
    assert w["D1"].store.tree() == w["R1"].store.tree() == both
    merging.sync("D2")
    again = both["note"].replace(b"eggs", b"six eggs")
    w["D2"].store.write("note", again)
    w["R1"].store.write("note", both["note"].replace(b"oat", b"soy"))
    w.advance()
    assert merging.sync("D2").conflicts == 0
    merging.sync("D1")
    assert w["D1"].store.read("note") == w["D2"].store.read("note") == again.replace(b"oat", b"soy")
    assert w.losers() == []
    w.settle_and_check()


def test_a_wiped_database_brings_back_nothing_and_loses_nothing(tmp_path: Path) -> None:
    """Equal files are found equal by hash; what either side has alone goes over; what both changed is a conflict."""
    w = World(tmp_path)
    for k in range(20):
        w["D1"].store.write(f"f{k}", b"content %d" % k)
    w.sync("D1", "R1")
    w["D1"].store.delete("f1")
    w["R1"].store.delete("f2")
    w.sync("D1", "R1")
    w["D1"].forget_everything()
    w["D1"].store.advance(10)
    w["D1"].store.write("f3", b"edited on D1")
    w["R1"].store.write("new", b"on R1")
    result = w.sync("D1", "R1")
    assert result.conflicts == 1, "nobody knows any more which f3 came first"
    assert "f1" not in w["D1"].store.tree() and "f2" not in w["R1"].store.tree()
    assert {w["R1"].store.read("f3"), *w.losers()} == {b"edited on D1", b"content 3"}
    w.settle_and_check()
