"""Traces that once went wrong, as a reviewer found them. Real engine, real agent, stores in memory."""

from pathlib import Path
from typing import Any

import pytest

from cradle_desktop.sync import batches
from cradle_protocol.errors import UNREADABLE
from cradle_protocol.sync.item import IMPLIED
from cradle_protocol.sync.values import digest_of
from cradle_testing.scenes import (
    NAMES,
    SIDES,
    TWO_DESKTOPS,
    TWO_DEVICES,
    failing,
    known_everywhere,
    other,
    record,
    rest,
    sync_in_a_power_cut,
)
from cradle_testing.stores import MemoryStore
from cradle_testing.worlds import PowerCut, World

# -- an edit that follows a move


def test_an_edit_stays_when_the_target_of_its_move_is_skipped(tmp_path: Path) -> None:
    """The target of a move could not be fetched, and the edit of the old path was deleted all the same."""
    w = World(tmp_path)
    known_everywhere(w, a=b"base")
    w["D1"].store.write("a", b"precious edit")
    w["R1"].store.rename("a", "b")
    w.advance()
    w["R1"].store.failing_reads["b"] = UNREADABLE
    w.sync("D1", "R1")
    assert b"precious edit" in w.contents()
    w["R1"].store.failing_reads.clear()
    w.settle_and_check()
    assert w["R1"].store.tree() == {"b": b"precious edit"}


def test_an_edit_stays_when_the_target_of_its_move_waits(tmp_path: Path) -> None:
    """The user decided for the old path while the target still waited: the edit was deleted."""
    w = World(tmp_path, desktops=TWO_DESKTOPS)
    known_everywhere(w, a=b"base")
    w["R1"].store.rename("a", "b")
    w.advance()
    w["D1"].store.write("a", b"precious edit")
    w["D1"].store.write("b", b"own b")
    w.advance()
    assert w.sync("D1", "R1", policy="ask").conflicts == 2
    w.sync("D1", "R1", policy="ask", decisions={"a": "desktop"})
    assert b"precious edit" in w.contents()


def test_a_rename_to_a_store_without_modes_keeps_the_mode(tmp_path: Path) -> None:
    """A rename on a store without modes lost the mode everywhere else."""
    w = World(tmp_path, modes={"R1": False})
    w["D1"].store.write("script.sh", b"#!", mode=0o755)
    rest(w, 1)
    w["R1"].store.rename("script.sh", "run.sh")
    w.sync("D1", "R1")
    assert w["D1"].store.mode("run.sh") == 0o755
    w.settle_and_check()


def test_a_rename_of_the_case_alone(tmp_path: Path) -> None:
    """A rename that changes only the case collided with itself on a caseless desktop."""
    w = World(tmp_path)
    w["D1"].store.caseless = True
    known_everywhere(w, rounds=1, readme=b"x")
    w["R1"].store.rename("readme", "README")
    assert not w.sync("D1", "R1").skipped
    assert w["D1"].store.tree() == {"README": b"x"}
    w.settle_and_check()


def test_an_unreadable_renamed_file_is_skipped_alone(tmp_path: Path) -> None:
    """One unreadable file, renamed just after it was written, ended the whole sync."""
    w = World(tmp_path)
    w["D1"].store.write("a", b"x")
    w.sync("D1", "R1")
    w["D1"].store.rename("a", "b")
    w["D1"].store.failing_reads["b"] = UNREADABLE
    w["D1"].store.write("other", b"o")
    assert [path for path, _ in w.sync("D1", "R1").skipped] == ["b"]
    assert w["R1"].store.read("other") == b"o"
    w["D1"].store.failing_reads.clear()
    w.settle_and_check()


def test_a_target_installed_just_now_stays_racy(tmp_path: Path) -> None:
    """The tail restamped a target that was just installed: a same-size edit in the same tick was never seen."""
    w = World(tmp_path, desktops=TWO_DESKTOPS)
    known_everywhere(w, a=b"base")
    w["R1"].store.rename("a", "b")
    w.sync("D2", "R1")
    w.advance()
    w["D1"].store.write("a", b"edit")
    w["R1"].store.write("b", b"edit")
    w.advance()
    w.sync("D1", "R1")
    w["D1"].store.write("b", b"EDIT")
    w.advance()
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {"b": b"EDIT"}


def two_moves_to_one_name(folder: Path) -> World:
    """On R1 a went to b, b was deleted, c went to b; D2 saw each of it, D1 nothing yet."""
    w = World(folder, desktops=TWO_DESKTOPS)
    known_everywhere(w, a=b"base a", c=b"base c")
    store = w["R1"].store
    for act in (lambda: store.rename("a", "b"), lambda: store.delete("b"), lambda: store.rename("c", "b")):
        act()
        w.sync("D2", "R1")
        w.advance()
    return w


@pytest.mark.parametrize("policy", ["desktop", "device"])
@pytest.mark.parametrize("edits", [(b"edit one", b"edit two"), (b"one edit?", b"edit two"), (b"edit one", b"z two")])
def test_two_edits_moved_to_one_name(tmp_path: Path, policy: Any, edits: "tuple[bytes, bytes]") -> None:
    """Two edited files had moved to the same name one after the other, and one of the edits was lost."""
    w = two_moves_to_one_name(tmp_path)
    w["D1"].store.write("a", edits[0])
    w["D1"].store.write("c", edits[1])
    w.advance()
    w.sync("D1", "R1", policy=policy)
    w.advance()
    w.settle_and_check()
    assert set(edits) <= set(w.contents())


@pytest.mark.parametrize("policy", ["desktop", "device"])
def test_a_rename_that_is_carried_an_edit(tmp_path: Path, policy: Any) -> None:
    """The target came as a local rename and was then carried an edit: both copies were staged under one name."""
    w = two_moves_to_one_name(tmp_path)
    w["D1"].store.write("a", b"edit of a")
    w.advance()
    w.sync("D1", "R1", policy=policy)
    store = w["D1"].store
    assert digest_of(record(w, "b").values[0]) == store.digest("b"), "the metadata say what the store has"
    w.advance()
    w.settle_and_check()
    assert {b"base c", b"edit of a"} <= set(w.contents())


def test_log_rotation_against_notes(tmp_path: Path) -> None:
    """The device rotated its logs twice while the desktop annotated two of them; a note was lost."""
    w = World(tmp_path, desktops=TWO_DESKTOPS)
    known_everywhere(w, **{"log": b"entries 0", "log.1": b"entries 1"})
    store = w["R1"].store
    for k in range(1, 3):
        for old, new in (("log.2", "log.3"), ("log.1", "log.2"), ("log", "log.1")):
            if old in store.objects:
                store.rename(old, new)
        store.write("log", b"entries new %d" % k)
        w.sync("D2", "R1")
        w.advance()
    w["D1"].store.write("log", b"note A")
    w["D1"].store.write("log.1", b"note BB")
    w.advance()
    w.settle_and_check()
    assert {b"note A", b"note BB"} <= set(w.contents())


# -- files and directories of one name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", ["D1", "R1"])
def test_a_directory_becomes_a_file_while_something_came_into_it(tmp_path: Path, name: str, side: str) -> None:
    """A directory became a file on one side while something new came into it on the other: stuck for ever."""
    w = World(tmp_path)
    w["D1"].store.write(name + "/old", b"old")
    rest(w, 1)
    w[side].store.delete(name)
    w[side].store.write(name, b"now a file")
    w[other(side)].store.write(name + "/new", b"new")
    w.advance()
    w.settle_and_check(rounds=6)
    assert {b"now a file", b"new"} <= set(w.contents())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", ["D1", "R1"])
def test_a_file_here_and_a_directory_there(tmp_path: Path, name: str, side: str) -> None:
    """Both made the name, one as a file and one as a directory with something in it: never equal, or the file lost."""
    w = World(tmp_path)
    w[side].store.write(name, b"file")
    w[other(side)].store.write(name + "/new", b"new")
    w.advance()
    w.settle_and_check(rounds=6)
    assert {b"file", b"new"} <= set(w.contents())


@pytest.mark.parametrize("side", ["D1", "R1"])
def test_a_file_in_the_place_of_an_implied_directory(tmp_path: Path, side: str) -> None:
    """A file that was put in the place of an implied directory was never seen."""
    w = World(tmp_path)
    w["D1"].store.write("d/a", b"base")
    rest(w, 1)
    deleter, editor = ("R1", "D1") if side == "D1" else ("D1", "R1")
    w[deleter].store.delete("d")
    w[editor].store.write("d/a", b"edit")
    w.advance()
    assert w.sync("D1", "R1", policy="ask").conflicts == 1  # d/a waits, and d is there for it alone
    w.advance()
    w[editor].store.delete("d")
    w[editor].store.write("d", b"a new file")
    w.advance()
    rest(w, 4)
    assert w["R1"].store.tree() == w["D1"].store.tree() == {"d": b"a new file"}


# -- directories that are there for a child only


def check_mode_of(w: World, name: str, policy: Any = "desktop") -> None:
    """Three syncs on: no conflict about the directory, and its mode is the one that the user gave."""
    conflicts = 0
    for _ in range(3):
        conflicts += w.sync("D1", "R1", policy=policy).conflicts
        w.advance()
    assert (conflicts, w["D1"].store.mode(name), w["R1"].store.mode(name)) == (0, 0o700, 0o700)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("crash", range(1, 8))
def test_a_power_cut_after_an_implied_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, crash: int
) -> None:
    """A parent that was made for a child was not noted before a crash: the restart took it for the user's own."""
    monkeypatch.setattr(batches, "BATCH_ITEMS", 1)
    w = World(tmp_path)
    w["R1"].store.write(name + "/a", b"x")
    w["R1"].store.chmod(name, 0o700)
    w.advance()
    sync_in_a_power_cut(w, crash)
    check_mode_of(w, name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("flush", range(1, 5))
def test_a_power_cut_of_the_device_after_an_implied_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, flush: int
) -> None:
    """The device noted only the entries, and not the parents that it made for them, before a crash."""
    w = World(tmp_path, batch_items=1)
    w["D1"].store.write(name + "/a", b"x")
    w["D1"].store.chmod(name, 0o700)
    w.advance()
    with monkeypatch.context() as patch:
        patch.setattr(w["R1"].store, "sync", failing(w["R1"].store.sync, flush, PowerCut(), before=False))
        try:
            w.sync("D1", "R1")
        except PowerCut:
            pass
    w["R1"].restart()
    check_mode_of(w, name, policy="device")


@pytest.mark.parametrize("batch", [1, 1000])
@pytest.mark.parametrize("crash", range(1, 9))
def test_a_power_cut_before_a_dead_directory_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, crash: int
) -> None:
    """A directory was deleted on one device while the other put something in it, and the desktop died meanwhile."""
    monkeypatch.setattr(batches, "BATCH_ITEMS", batch)
    w = World(tmp_path, devices=TWO_DEVICES)
    w["D1"].store.write("d/a", b"x")
    for device in (*TWO_DEVICES, *TWO_DEVICES):
        w.sync("D1", device)
        w.advance()
    w["R1"].store.delete("d")
    w["R2"].store.write("d/b", b"new")
    w.sync("D1", "R2")
    w.advance()
    sync_in_a_power_cut(w, crash)
    w.settle_and_check()
    assert (w["D1"].store.tree(), w.losers()) == ({"d/": b"", "d/b": b"new"}, [])


def test_a_directory_that_goes_between_scan_and_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user removed a directory between scan and install: its living record was marked implied, and stayed so."""
    w = World(tmp_path)
    store = w["D1"].store
    store.mkdir("d", 0o755)
    rest(w, 2)
    w["R1"].store.write("d/new", b"n")
    w.advance()

    def stage_bytes(name: str, data: bytes) -> None:
        store.delete("d")
        MemoryStore.stage_bytes(store, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(store, "stage_bytes", stage_bytes)
        w.sync("D1", "R1")
    rest(w, 1)
    assert not record(w, "d").flags & IMPLIED
    store.chmod("d", 0o700)
    store.delete("d/new")
    rest(w, 2)
    assert w["R1"].store.tree() == {"d/": b""}
    assert w["R1"].store.mode("d") == 0o700


def test_a_directory_that_is_revived_for_a_child_that_fails(tmp_path: Path) -> None:
    """A directory came back for a child whose arrival failed: it has to be the same at both sides afterwards."""
    w = World(tmp_path)
    w["D1"].store.write("d/a", b"x")
    rest(w, 2)
    w["D1"].store.delete("d")
    w["R1"].store.write("d/a", b"edit")
    w.advance()
    w["R1"].store.failing_reads["d/a"] = UNREADABLE
    rest(w, 2)
    w["R1"].store.failing_reads.clear()
    w.settle_and_check()
    assert w["D1"].store.tree() == {"d/": b"", "d/a": b"edit"}


def test_a_tombstone_of_a_directory_and_a_living_child(tmp_path: Path) -> None:
    """A batch brought the tombstone of a directory that was never here with a living child: the scan made it living."""
    w = World(tmp_path, desktops=TWO_DESKTOPS, devices=TWO_DEVICES)
    w["R1"].store.write("d/a", b"base")
    for _ in range(2):
        w.sync("D2", "R1")
        w.sync("D2", "R2")
        w.advance()
    w["D2"].store.delete("d")
    w["R1"].store.write("d/a", b"edit")
    w.advance()
    w.sync("D2", "R1", policy="ask")  # on R1 d is now a tombstone, and there for its child alone
    w.advance()
    for _ in range(2):
        assert not w.sync("D1", "R1").skipped
        w.advance()
    found = record(w, "d")
    assert found.created != (0, 0), "the knowledge holds the tombstone, and so must the record"
    assert found.dead and found.flags & IMPLIED


# -- a file here, a directory there


def test_an_edit_that_follows_a_move_onto_a_directory(tmp_path: Path) -> None:
    """The edit took the place of a directory with something in it, could not, and nothing came to rest any more."""
    w = World(tmp_path)
    known_everywhere(w, a=b"base")
    w["D1"].store.write("e/d/a", b"inside")
    w["R1"].store.rename("a", "e")
    w["D1"].store.write("a", b"precious edit")
    w.advance()
    w.settle_and_check()
    assert w["R1"].store.tree() == {"e/": b"", "e/d/": b"", "e/d/a": b"inside"}
    assert w.losers() == [b"base", b"precious edit"]


@pytest.mark.parametrize("policy", ["desktop", "device"])
@pytest.mark.parametrize("side", SIDES, ids=" has the directory, ".join)
def test_a_directory_does_not_take_the_mode_of_a_file(tmp_path: Path, policy: Any, side: "tuple[str, str]") -> None:
    """The contents were decided by kind, the modes by policy: a directory became one that nobody can enter."""
    w = World(tmp_path)
    w[side[0]].store.write("e/a", b"inside")
    w[side[0]].store.chmod("e", 0o750)
    w[side[1]].store.write("e", b"file", mode=0o600)
    w.advance()
    w.sync("D1", "R1", policy=policy)
    assert (w["D1"].store.mode("e"), w["R1"].store.mode("e")) == (0o750, 0o750)
    w.settle_and_check()
    assert w.losers() == [b"file"]


def test_an_edit_follows_a_move_into_a_directory_that_comes_back(tmp_path: Path) -> None:
    """D1 puts a file where the directory was; the delete of the move's target came after the edit that revived it."""
    w = World(tmp_path, desktops=TWO_DESKTOPS)
    known_everywhere(w, **{"d/a": b"base", "e/a": b"other"})
    w["D2"].store.rename("d/a", "e/b")
    w["R1"].store.write("d/a", b"precious edit")
    w.advance()
    w.sync("D2", "R1", policy="skip")
    w.sync("D1", "R1")
    w["D1"].store.delete("e")
    w["D1"].store.write("e", b"a file now")
    w.advance()
    w.settle_and_check()
    assert w["R1"].store.tree() == {"d/": b"", "e/": b"", "e/b": b"precious edit"}
    assert w.losers() == [b"a file now"]
