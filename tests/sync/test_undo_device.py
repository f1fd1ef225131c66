"""What a sync overwrote and deleted on the device comes back as well (CE-17). Real engine, stores in memory."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from cradle_desktop.conflict.store import ConflictStore, Loser
from cradle_desktop.sync.report import UNDO_FETCH, Observer, Progress
from cradle_desktop.sync.salvage import Salvage
from cradle_desktop.undo.back import CHANGED_SINCE, NEVER_KEPT, UNSURE
from cradle_desktop.undo.journal import Former
from cradle_protocol.errors import READ_ONLY, UNREADABLE
from cradle_protocol.sync.item import item_id
from cradle_protocol.sync.values import UNKNOWN
from cradle_testing.pair import Cut
from cradle_testing.stores import MemoryStore
from cradle_testing.worlds import PowerCut
from sync.test_mended_decisions import known_everywhere
from sync.test_undo import Home

BEFORE = {"a": b"a1", "b": b"b1", "c": b"c1"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    known_everywhere(made.world, rounds=2, a=b"a1", b=b"b1", c=b"c1")
    yield made
    made.database.close()


def formers(home: Home) -> "list[Former]":
    act = home.journal().last()
    return [] if act is None else home.opened.formers(act)


def test_a_delete_by_mistake_is_taken_back_on_both_sides(home: Home) -> None:
    """CE-17: the desktop's user deletes f, the sync deletes it on the device, undo, sync."""
    home.store.delete("b")
    home.sync()
    assert "b" not in home.board.tree() and home.kept() == [b"b1"]
    done = home.undo()
    assert (done.restored, done.left) == (["b"], []) and home.store.tree() == BEFORE
    home.sync()
    assert home.board.tree() == BEFORE
    home.world.settle_and_check()


def test_an_overwrite_is_taken_back_on_both_sides(home: Home) -> None:
    home.store.write("a", b"a2, a mistake")
    home.sync()
    assert home.board.read("a") == b"a2, a mistake" and home.kept() == [b"a1"]
    assert home.undo().restored == ["a"] and home.store.read("a") == b"a1"
    home.sync()
    assert home.board.tree() == home.store.tree() == BEFORE
    home.undo()  # of the sync that carried the undo
    assert home.store.read("a") == b"a2, a mistake"
    home.world.settle_and_check()


def test_both_directions_of_one_sync_are_one_act(home: Home) -> None:
    home.store.delete("a")
    home.board.write("b", b"b2, edited there")
    home.board.delete("c")
    home.sync()
    assert sorted(home.kept()) == [b"a1", b"b1", b"c1"]
    done = home.undo()
    assert (sorted(done.restored), done.left) == (["a", "b", "c"], []) and home.store.tree() == BEFORE
    home.sync()
    assert home.board.tree() == BEFORE
    home.world.settle_and_check()


def test_directories_modes_and_what_became_something_else(home: Home) -> None:
    home.store.write("d/e/x", b"x1")
    home.store.mkdir("d/empty", 0o700)
    home.store.write("was a file", b"file")
    home.store.mkdir("was a folder")
    home.sync()
    before = home.store.tree()
    home.store.delete("d")
    home.store.chmod("c", 0o600)
    home.store.delete("was a file")
    home.store.mkdir("was a file")
    home.store.delete("was a folder")
    home.store.write("was a folder", b"a file now")
    home.sync()
    assert home.board.mode("c") == 0o600 and home.board.tree() == home.store.tree()
    assert home.undo().left == [] and home.store.tree() == before
    assert home.store.mode("c") == 0o644 and home.store.mode("d/empty") == 0o700
    home.sync()
    assert home.board.tree() == before and home.board.mode("d/empty") == 0o700 and home.board.mode("c") == 0o644
    home.world.settle_and_check()


def test_a_mode_that_the_device_cannot_hold_comes_back_from_here(tmp_path: Path) -> None:
    made = Home(tmp_path, {"R1": False})
    made.store.write("a", b"a1")
    made.store.chmod("a", 0o750)
    made.sync()
    made.store.delete("a")
    made.sync()
    assert made.undo().restored == ["a"] and made.store.mode("a") == 0o750
    made.database.close()


def test_what_moves_or_is_new_is_not_fetched(home: Home) -> None:
    home.store.rename("a", "moved")
    home.store.write("new", b"new")
    before = home.board.bytes_read
    home.sync()
    assert home.board.tree() == {"moved": b"a1", "new": b"new", "b": b"b1", "c": b"c1"}
    assert home.board.bytes_read <= before + 2 and formers(home) == []  # a local copy at the device


def test_an_overwrite_beyond_the_bound_is_not_fetched_and_undo_says_so(home: Home) -> None:
    home.store.write("a", bytes(UNDO_FETCH + 1))
    home.store.write("b", bytes(UNDO_FETCH))
    home.sync()
    home.store.write("a", b"small")
    home.store.write("b", b"small")
    home.sync()
    assert home.kept() == [bytes(UNDO_FETCH), b"a1", b"b1"] and home.opened.large == []
    done = home.undo()
    assert (done.restored, done.left) == (["b"], [("a", NEVER_KEPT)])
    home.store.write("large", bytes(UNDO_FETCH + 1))
    home.sync()
    home.store.delete("large")
    home.sync()
    assert home.undo().restored == ["large"]  # deletes always


def test_what_changed_since_is_left_alone(home: Home) -> None:
    home.store.delete("a")
    home.store.write("b", b"b2")
    home.store.write("c", b"c2")
    home.sync()
    home.store.write("a", b"written again")
    home.store.write("c", b"c3")
    done = home.undo()
    assert (done.restored, sorted(done.left)) == (["b"], [("a", CHANGED_SINCE), ("c", CHANGED_SINCE)])


def test_a_loser_of_a_conflict_is_not_fetched_twice(home: Home) -> None:
    """It is in the conflict store, and has a command of its own."""
    home.store.write("a", b"mine")
    home.board.write("a", b"theirs")
    home.sync()
    assert home.world.losers() == [b"theirs"] and formers(home) == [] and home.kept() == []


def test_what_the_device_refused_was_not_displaced(home: Home) -> None:
    home.store.write("a", b"a2")
    home.store.delete("b")
    home.board.failing_writes["a"] = home.board.failing_writes["b"] = READ_ONLY
    home.sync()
    home.board.failing_writes.clear()
    assert formers(home) == [] and home.kept() == []
    home.sync()
    assert sorted(home.undo().restored) == ["a", "b"]


def test_what_the_device_cannot_read_is_said(home: Home) -> None:
    home.board.failing_reads["b"] = UNREADABLE
    home.store.delete("a")
    home.store.delete("b")
    home.sync()
    home.board.failing_reads.clear()
    assert home.opened.large == ["b"] and home.kept() == [b"a1"]
    done = home.undo()
    assert (done.restored, done.left) == (["a"], [("b", NEVER_KEPT)])


def test_equal_edits_on_both_sides_displace_nothing(home: Home) -> None:
    home.store.write("a", b"the same")
    home.board.write("a", b"the same")
    home.sync()
    assert formers(home) == [] and home.kept() == []


def test_an_undo_of_an_edit_that_nobody_had_hashed(home: Home) -> None:
    """What departs is hashed on its way; an edit of the same size since is seen."""
    home.store.write("a", b"a2")
    home.sync()
    home.store.write("a", b"a3")
    assert home.undo().left == [("a", CHANGED_SINCE)]


@pytest.mark.parametrize("cut", range(200, 4200, 250))
def test_a_cut_anywhere_loses_nothing_that_can_be_taken_back(home: Home, cut: int) -> None:
    """However often it is cut: what the device had before is kept, once it is gone there."""
    home.store.write("a", b"a2" * 300)
    home.store.delete("b")
    home.store.write("c", b"c2" * 300)
    try:
        home.sync(cut_after=cut)
    except Cut:
        home.world.advance()
        gone = [old for path, old in BEFORE.items() if home.board.tree().get(path) != old]
        assert set(gone) <= set(home.kept()), cut
        home.sync()
    assert {b"a1", b"b1", b"c1"} <= set(home.kept())
    for _ in range(2):  # the one act, or both
        if home.store.tree() != BEFORE and home.journal().last() is not None:
            home.undo()
    home.world.settle_and_check()


def killed(home: Home, monkeypatch: pytest.MonkeyPatch, **how: int) -> None:
    """A sync that ends with its process: nothing tidies up. how: see `World.sync`, or the commit at which it dies."""
    meta = home.world.desks["D1"].meta
    meta.crash_before_commit = how.pop("commit", 0)
    with monkeypatch.context() as patch:
        patch.setattr(Salvage, "end", lambda *_: None)
        with pytest.raises((Cut, PowerCut)):
            home.sync(**how)
    home.world.desks["D1"].restart()
    home.world.advance()
    meta.crash_before_commit = 0


@pytest.mark.parametrize("how", [{"commit": 1}, {"commit": 2}, *({"cut_after": k} for k in range(300, 2000, 300))])
def test_an_undo_after_a_kill_takes_back_no_edit_that_was_not_sent(
    home: Home, monkeypatch: pytest.MonkeyPatch, how: "dict[str, int]"
) -> None:
    """Nobody knows then what was sent. What was is taken back after the next sync; what was not stays, and is sent."""
    edits = {"a": b"a2" * 300, "c": b"c2" * 300}
    for path, edit in edits.items():
        home.store.write(path, edit)
    killed(home, monkeypatch, **how)
    sent = {path for path in edits if home.board.read(path) != BEFORE[path]}
    if home.journal().last() is not None:
        done = home.undo()
        assert set(done.restored) <= sent and {reason for _, reason in done.left} <= {UNSURE}
        assert home.store.tree() == {**BEFORE, **edits}
    home.sync()
    assert home.board.tree() == home.store.tree() == {**BEFORE, **edits}
    assert {b"a1", b"c1"} <= set(home.kept())
    for _ in range(2):  # of the sync that was broken off, or of the one after it, or some of each
        act = home.journal().last()
        if act is None or home.store.tree() == BEFORE:
            break
        assert home.undo().left == []
        home.sync()
    home.world.settle_and_check()


def test_what_was_sent_before_a_kill_is_taken_back_after_the_next_sync(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a sync in which nothing moves."""
    home.store.write("a", b"a2, of another size")
    home.store.delete("b")
    with monkeypatch.context() as patch:
        patch.setattr(Salvage, "end", lambda *_: None)
        home.world.sync("D1", "R1", journal=home.journal)
    assert home.undo().left == [("a", UNSURE), ("b", UNSURE)] and "b" not in home.store.tree()
    assert home.sync().to_device.total() == 0
    assert sorted(home.undo().restored) == ["a", "b"] and home.store.tree() == BEFORE


def test_an_edit_that_waits_was_not_sent(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sync after the kill comes to its end, and leaves a conflict about it alone."""
    home.store.write("a", b"a2, of another size")
    killed(home, monkeypatch, commit=2)
    assert home.board.read("a") == b"a1" and home.journal().last() is not None
    home.board.write("a", b"a3, edited there")
    lost = Loser("R1", "files", item_id("files", "a"), "a", 0, "update-update", "", "", UNKNOWN)
    ConflictStore(home.database, "never used").waiting("R1", "files", [lost])
    home.sync(policy="ask")
    assert home.undo().left == [("a", UNSURE)]


def test_a_cut_while_an_old_content_is_fetched(home: Home) -> None:
    """Nothing was sent, so there is nothing to take back; the fetch goes on where it was."""
    home.store.write("old", bytes(900_000))
    home.sync()
    home.store.write("old", b"new")
    with pytest.raises(Cut):
        home.sync(cut_after=400_000)
    assert home.board.read("old") == bytes(900_000) and formers(home) == [] and home.kept() == []
    rest = home.sync()
    assert rest.down.resumed > 300_000 and rest.down.resumed + rest.down.bytes == 900_000
    assert home.undo().restored == ["old"] and home.store.read("old") == bytes(900_000)


class Early(Observer):
    """Asks for the end while old contents are fetched."""

    def progress(self, event: Progress) -> None:
        if event.stage == "receive" and not self.cancelled:
            self.cancel()


def test_an_end_while_old_contents_are_fetched_sends_nothing(home: Home) -> None:
    home.store.write("a", b"a2")
    home.store.delete("b")
    result = home.sync(observer=Early())
    assert result.cancelled and result.up.applied == 0 and home.board.tree() == BEFORE
    assert formers(home) == [] and home.kept() == []
    home.sync()
    assert sorted(home.undo().restored) == ["a", "b"]


def test_many_are_asked_for_in_lots(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cradle_desktop.sync.remote.RECORDS_MOST", 7)
    for k in range(30):
        home.store.write(f"n{k}", b"%d" % k)
    home.sync()
    for k in range(30):
        home.store.delete(f"n{k}")
    home.sync()
    assert len(home.kept()) == 30 and len(home.undo().restored) == 30
    home.world.settle_and_check()


def act(store: MemoryStore, dice: Random, number: int) -> None:
    """Something that a user does."""
    there = [path for path in store.tree() if not path.endswith("/")]
    what = dice.choice(["write", "write", "delete", "rename", "chmod", "tree"])
    if what == "write" or not there:
        path = dice.choice([*there, "again", f"new {number}", f"d/e/new {number}"])
        store.write(path, b"%d " % number * dice.choice([1, 500]))
    elif what == "delete":
        store.delete(dice.choice(there))
    elif what == "rename":
        store.rename(dice.choice(there), f"moved {number}")
    elif what == "chmod":
        store.chmod(dice.choice(there), dice.choice([0o600, 0o640, 0o755]))
    elif "d/" in store.tree():
        store.delete("d")


def contents(*stores: MemoryStore) -> "set[bytes]":
    return {content for store in stores for path, content in store.tree().items() if not path.endswith("/")}


def nothing_is_lost(folder: Path, seed: int) -> None:
    """Whatever both users do, and wherever it is cut: what a sync takes away is a loser, or is kept."""
    home, dice = Home(folder), Random(seed)
    for number in range(25):
        for store in (home.store, home.board):
            for k in range(dice.randrange(3)):
                act(store, dice, 10 * number + k + 5 * (store is home.board))
        before = contents(home.store, home.board)
        try:
            home.sync(policy=dice.choice(["desktop", "device", "both"]), cut_after=dice.choice([None, None, 700, 2500]))
        except Cut:
            home.world.advance()
        had = contents(home.store, home.board) | set(home.kept()) | set(home.world.losers())
        assert before <= had, (seed, number, before - had)
        if dice.random() < 0.2 and home.journal().last() is not None:
            home.undo()
    home.world.settle_and_check()
    home.database.close()


@pytest.mark.parametrize("seed", range(8))
def test_what_a_sync_takes_away_is_never_lost(tmp_path: Path, seed: int) -> None:
    nothing_is_lost(tmp_path, seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 400, 50))
def test_what_many_syncs_take_away_is_never_lost(tmp_path: Path, first: int) -> None:
    for seed in range(first, first + 50):
        nothing_is_lost(tmp_path / str(seed), seed)


@pytest.mark.parametrize("again", ["on the desktop", "on another device", "in the same session"])
def test_a_name_that_was_used_before_takes_away_what_the_device_has_of_it(tmp_path: Path, again: str) -> None:
    """The device never heard that it was deleted, and holds it still: to the desktop the new file is just new."""
    made = Home(tmp_path, devices=("R1", "R2"))
    made.store.write("a", b"a1")
    made.sync()
    made.world.sync("D1", "R2")
    made.store.delete("a")
    made.world.sync("D1", "R2")
    made.world.advance()
    there = made.store if again != "on another device" else made.world["R2"].store
    there.write("a", b"another a")
    if again != "in the same session":
        made.world.sync("D1", "R2")
        made.world.advance()
    made.sync()
    assert made.board.read("a") == b"another a" and made.kept() == [b"a1"]
    assert made.undo().restored == ["a"] and made.store.read("a") == b"a1"
    made.sync()
    assert made.board.read("a") == b"a1"
    made.world.settle_and_check()
    made.database.close()
