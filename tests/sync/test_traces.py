"""The traces CE-nn: ways in which a plausible synchronizer loses data. Real engine, real agent, stores in memory."""

from pathlib import Path

import pytest

from cradle_protocol.errors import CHANGED
from cradle_testing.scenes import sync_in_a_power_cut
from cradle_testing.worlds import PowerCut, World


def test_ce01_rename_chain_and_a_stranger(tmp_path: Path) -> None:
    """A device renames a to b and makes a new a; a desktop filled with the same files by hand meets it."""
    w = World(tmp_path, devices=("R1",), desktops=("D1", "D2"))
    w["R1"].store.write("a", b"first")
    w.sync("D1", "R1")
    w["R1"].store.rename("a", "b")
    w["R1"].store.write("a", b"second")
    w.sync("D1", "R1")
    w["D2"].store.write("a", b"second")
    w["D2"].store.write("b", b"first")
    w.content_bytes = 0
    result = w.sync("D2", "R1")
    assert result.conflicts == 0
    assert result.to_device.total() == result.to_desktop.total() == 0
    assert w.content_bytes == 0
    assert w["D2"].store.tree() == {"a": b"second", "b": b"first"}
    w.settle_and_check()


def test_ce01_wiped_database(tmp_path: Path) -> None:
    w = World(tmp_path)
    for k in range(30):
        w["D1"].store.write(f"f{k}", b"content %d" % k)
    w.sync("D1", "R1")
    w["D1"].forget_everything()
    w.content_bytes = 0
    result = w.sync("D1", "R1")
    assert (result.conflicts, w.content_bytes) == (0, 0)
    assert len(w["D1"].store.tree()) == 30
    w.settle_and_check()


def test_ce02_crash_between_data_and_metadata(tmp_path: Path) -> None:
    w = World(tmp_path)
    w["R1"].store.write("f", b"x")
    w["D1"].meta.crash_before_commit = 3  # the scan commits, the batch notes its intents, then it commits
    with pytest.raises(PowerCut):
        w.sync("D1", "R1")
    assert w["D1"].store.tree() == {"f": b"x"}
    w["D1"].restart()
    w["R1"].store.advance(10)
    w["R1"].store.write("f", b"yy")
    result = w.sync("D1", "R1")
    assert result.conflicts == 0
    assert w["D1"].store.tree() == {"f": b"yy"}
    w.settle_and_check()


@pytest.mark.parametrize("commits", range(1, 4))
@pytest.mark.parametrize("torn", [False, True])
def test_ce03_power_cut_loses_no_data_under_metadata(tmp_path: Path, commits: int, torn: bool) -> None:
    """At every commit the power goes, and with it everything that was not flushed."""
    w = World(tmp_path)
    w["R1"].store.write("f", b"content")
    w["D1"].store.write("g", b"other")
    w["D1"].store.sync()
    w["D1"].meta.crash_before_commit = commits
    with pytest.raises(PowerCut):
        w.sync("D1", "R1")
        raise PowerCut
    w["D1"].restart()
    if torn and "f" in w["D1"].store.objects:
        w["D1"].store.write("f", b"")
    w.sync("D1", "R1")
    assert w["D1"].store.tree() == {"f": b"content", "g": b"other"} == w["R1"].store.tree()
    w.settle_and_check()


def test_ce05_swap(tmp_path: Path) -> None:
    w = World(tmp_path)
    w["D1"].store.write("a", b"was a")
    w["D1"].store.write("b", b"was b")
    w.sync("D1", "R1")
    w["D1"].store.rename("a", "t")
    w["D1"].store.rename("b", "a")
    w["D1"].store.rename("t", "b")
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {"a": b"was b", "b": b"was a"}
    w.settle_and_check()


def test_ce05_crossed_directories(tmp_path: Path) -> None:
    w = World(tmp_path)
    w["R1"].store.write("d/a", b"1")
    w["R1"].store.write("e/b", b"2")
    w.sync("D1", "R1")
    w.content_bytes = 0
    w["R1"].store.rename("d", "t")
    w["R1"].store.rename("e", "d")
    w["R1"].store.rename("t", "e")
    result = w.sync("D1", "R1")
    assert w["D1"].store.tree() == {"d/": b"", "d/b": b"2", "e/": b"", "e/a": b"1"}
    assert w.content_bytes == 0, "renames carry no content"
    assert result.conflicts == 0
    w.settle_and_check()


def test_ce06_saved_while_it_is_replaced(tmp_path: Path) -> None:
    """The desktop's user saves between the scan and the replacement: the save is current, nothing is lost."""
    w = World(tmp_path)
    w["D1"].store.write("f", b"base")
    w.sync("D1", "R1")
    w["R1"].store.advance(10)
    w["R1"].store.write("f", b"from the device")

    def save(identity: str) -> None:
        w["D1"].store.on_install = None
        w["D1"].store.advance(10)
        w["D1"].store.write(identity, b"saved meanwhile")

    w["D1"].store.on_install = save
    result = w.sync("D1", "R1")
    assert [item for item, _ in result.skipped] == ["f"]
    assert w["D1"].store.read("f") == b"saved meanwhile"
    result = w.sync("D1", "R1")
    assert result.conflicts == 1
    assert {w["D1"].store.read("f"), *w.losers()} == {b"saved meanwhile", b"from the device"}
    w.settle_and_check()


def test_ce06_name_created_while_it_is_created(tmp_path: Path) -> None:
    w = World(tmp_path)
    w["R1"].store.write("f", b"from the device")

    def save(identity: str) -> None:
        w["D1"].store.on_install = None
        w["D1"].store.write(identity, b"mine")

    w["D1"].store.on_install = save
    w.sync("D1", "R1")
    assert w["D1"].store.read("f") == b"mine"
    w.sync("D1", "R1")
    assert {w["D1"].store.read("f"), *w.losers()} == {b"mine", b"from the device"}
    w.settle_and_check()


def test_ce06_saved_on_the_device_while_it_is_replaced(tmp_path: Path) -> None:
    w = World(tmp_path)
    w["D1"].store.write("f", b"base")
    w.sync("D1", "R1")
    w["D1"].store.advance(10)
    w["D1"].store.write("f", b"from the desktop")

    def save(identity: str) -> None:
        w["R1"].store.on_install = None
        w["R1"].store.advance(10)
        w["R1"].store.write(identity, b"saved meanwhile")

    w["R1"].store.on_install = save
    result = w.sync("D1", "R1")
    assert [item for item, _ in result.skipped] == ["f"]
    assert w["R1"].store.read("f") == b"saved meanwhile"
    w.sync("D1", "R1")
    assert {w["R1"].store.read("f"), *w.losers()} == {b"saved meanwhile", b"from the desktop"}
    w.settle_and_check()


def test_ce08_undelete_without_content(tmp_path: Path) -> None:
    w = World(tmp_path)
    w["D1"].store.write("f", b"content")
    w.sync("D1", "R1")
    w["D1"].store.delete("f")
    w["R1"].store.chmod("f", 0o755)
    w.sync("D1", "R1")
    for name in ("D1", "R1"):
        assert w[name].store.read("f") == b"content"
        assert w[name].store.mode("f") == 0o755
    w.settle_and_check()


def test_ce08_renamed_here_deleted_there(tmp_path: Path) -> None:
    w = World(tmp_path)
    w["D1"].store.write("f", b"content")
    w.sync("D1", "R1")
    w["D1"].store.delete("f")
    w["R1"].store.rename("f", "g")
    w.sync("D1", "R1")
    assert w["D1"].store.tree() == w["R1"].store.tree() == {"g": b"content"}
    w.settle_and_check()


@pytest.mark.parametrize("side", ["D1", "R1"])
def test_ce10_racy_edit_of_the_same_size(tmp_path: Path, side: str) -> None:
    """Edited in place within the clock tick of the scan: the stamp cannot tell."""
    w = World(tmp_path)
    w[side].store.write("f", b"one")
    w.sync("D1", "R1")
    w[side].store.write("f", b"two")  # the hand-turned clock has not moved
    w.sync("D1", "R1")
    other = "R1" if side == "D1" else "D1"
    assert w[other].store.read("f") == b"two"
    w.settle_and_check()


def test_ce12_an_editors_save(tmp_path: Path) -> None:
    """`mv a a~; write a` while the peer edited a: a conflict on a, and a~ is new."""
    w = World(tmp_path)
    w["D1"].store.write("a", b"base")
    w.sync("D1", "R1")
    for name in ("D1", "R1"):
        w[name].store.advance(10)
    w["D1"].store.rename("a", "a~")
    w["D1"].store.write("a", b"desktop")
    w["R1"].store.write("a", b"device")
    result = w.sync("D1", "R1")
    assert result.conflicts == 1
    assert w["R1"].store.tree() == {"a": b"desktop", "a~": b"base"}
    assert w.losers() == [b"device"]
    w.settle_and_check()


def test_ce13_create_over_a_foreign_tombstone(tmp_path: Path) -> None:
    w = World(tmp_path, desktops=("D1", "D2"))
    w["D1"].store.write("a.txt", b"old")
    w.sync("D1", "R1")
    w["D1"].store.delete("a.txt")
    w.sync("D1", "R1")
    w["D2"].store.write("a.txt", b"new")
    result = w.sync("D2", "R1")
    assert result.conflicts == 0
    assert w["R1"].store.read("a.txt") == b"new"
    result = w.sync("D1", "R1")
    assert result.conflicts == 0
    w.settle_and_check()


def test_ce15_directories(tmp_path: Path) -> None:
    """d gets d/g here and chmod there; then d is removed there while d/f was edited here."""
    w = World(tmp_path)
    w["D1"].store.write("d/f", b"f")
    w.sync("D1", "R1")
    w["D1"].store.write("d/g", b"g")
    w["R1"].store.chmod("d", 0o700)
    w.sync("D1", "R1")
    assert w["D1"].store.mode("d") == 0o700
    w["D1"].store.advance(10)
    w["D1"].store.write("d/f", b"edited")
    w["R1"].store.delete("d")
    w.sync("D1", "R1")
    assert w["D1"].store.read("d/f") == b"edited" == w["R1"].store.read("d/f")
    assert w["D1"].store.mode("d") == w["R1"].store.mode("d") == 0o700
    assert "d/g" not in w["D1"].store.tree()
    w.settle_and_check()


def test_ce16_a_store_without_modes(tmp_path: Path) -> None:
    w = World(tmp_path, desktops=("D1", "D2"), modes={"R1": False})
    w["D1"].store.write("script.sh", b"#!", mode=0o755)
    w["R1"].store.write("notes", b"n")
    for desktop in ("D1", "D2"):
        w.sync(desktop, "R1")
    assert w["D2"].store.mode("script.sh") == 0o755
    assert w["D2"].store.mode("notes") == w["D1"].store.mode("notes")
    result = w.sync("D1", "R1")
    assert result.to_device.total() == result.to_desktop.total() == result.conflicts == 0
    w.settle_and_check()


@pytest.mark.parametrize("mover", ["D1", "R1"])
def test_ce21_move_against_edit(tmp_path: Path, mover: str) -> None:
    """One side moves a to b, the other edits a: one file, b, with the edit."""
    w = World(tmp_path)
    w["D1"].store.write("a", b"base")
    w.sync("D1", "R1")
    editor = "R1" if mover == "D1" else "D1"
    w[editor].store.advance(10)
    w[mover].store.rename("a", "b")
    w[editor].store.write("a", b"edited")
    result = w.sync("D1", "R1")
    w.sync("D1", "R1")
    assert w["D1"].store.tree() == w["R1"].store.tree() == {"b": b"edited"}
    assert result.conflicts == 0
    w.settle_and_check()


def test_ce21_two_desktops_find_it_out_alone(tmp_path: Path) -> None:
    w = World(tmp_path, desktops=("D1", "D2"), devices=("R1", "R2"))
    w["D1"].store.write("a", b"base")
    w.settle()
    w["D1"].store.rename("a", "b")
    w.sync("D1", "R1")
    w["D2"].store.advance(10)
    w["D2"].store.write("a", b"edited")
    w.sync("D2", "R2")
    w.settle()
    assert w["D1"].store.tree() == {"b": b"edited"}
    assert not w.losers()
    w.settle_and_check()


def test_ce27_preview_writes_nothing(tmp_path: Path) -> None:
    w = World(tmp_path)
    w["D1"].store.write("a", b"1")
    w["R1"].store.write("b", b"2")
    w.sync("D1", "R1")
    w["D1"].store.advance(10)
    w["D1"].store.write("a", b"3")
    w["R1"].store.write("c", b"4")
    before = w.everything()
    lines = w.preview("D1", "R1").lines()
    assert w.everything() == before
    assert lines == ["create    c (1 bytes) on desktop", "update    a (1 bytes) on R1"]
    w.sync("D1", "R1")
    w.settle_and_check()


def test_failing_items_wait_and_come_with_the_next_sync(tmp_path: Path) -> None:
    w = World(tmp_path)
    for k in range(5):
        w["R1"].store.write(f"r{k}", b"r")
        w["D1"].store.write(f"d{k}", b"d")
    w["R1"].store.failing_reads["r3"] = CHANGED
    w["D1"].store.failing_reads["d2"] = CHANGED
    result = w.sync("D1", "R1")
    assert sorted(item for item, _ in result.skipped) == ["d2", "r3"]
    assert len(w["D1"].store.tree()) == len(w["R1"].store.tree()) == 9
    w["R1"].store.failing_reads.clear()
    w["D1"].store.failing_reads.clear()
    result = w.sync("D1", "R1")
    assert (result.to_device.created, result.to_desktop.created) == (1, 1)
    w.settle_and_check()


@pytest.mark.parametrize("crash", range(1, 7))
@pytest.mark.parametrize("side", ["D1", "R1"])
def test_ce05_swaps_with_a_power_cut_at_every_step(tmp_path: Path, side: str, crash: int) -> None:
    """a and b swap, c goes to d and e comes to c, two directories are crossed; the desktop dies at every commit."""
    w = World(tmp_path)
    for name in ("a", "b", "c", "e", "x/1", "y/2"):
        w[side].store.write(name, b"was " + name.encode())
    w.sync("D1", "R1")
    store = w[side].store
    for old, new in (("a", "t"), ("b", "a"), ("t", "b"), ("c", "d"), ("e", "c"), ("x", "t"), ("y", "x"), ("t", "y")):
        store.rename(old, new)
    store.sync()
    sync_in_a_power_cut(w, crash)
    w.content_bytes = 0
    w.sync("D1", "R1")
    expected = {
        "a": b"was b", "b": b"was a", "c": b"was e", "d": b"was c", "x/": b"", "x/2": b"was y/2", "y/": b"",
        "y/1": b"was x/1",
    }  # fmt: skip
    assert w["D1"].store.tree() == w["R1"].store.tree() == expected
    assert not w.losers()
    w.settle_and_check(rounds=1)
