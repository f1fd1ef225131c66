"""What a sync overwrote and deleted here comes back, and travels as an edit. Real engine, stores in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cradle_desktop.conflict.contents import Contents
from cradle_desktop.metadata.database import Database
from cradle_desktop.settings import DAY, Bound
from cradle_desktop.sync.report import TypeResult
from cradle_desktop.undo.back import CHANGED_SINCE, NEVER_KEPT, NOT_KEPT, Outcome, take_back
from cradle_desktop.undo.confirmed import confirmed
from cradle_desktop.undo.journal import Journal
from cradle_protocol.errors import READ_ONLY, UNREADABLE
from cradle_testing.pair import Cut
from cradle_testing.worlds import PowerCut, World
from sync.test_mended_decisions import known_everywhere


class Home:
    """D1 of a world, with a journal on disk. `settings`: the bound of the next journal."""

    def __init__(
        self, folder: Path, modes: "dict[str, bool] | None" = None, devices: "tuple[str, ...]" = ("R1",)
    ) -> None:
        self.world = World(folder / "world", devices=devices, modes=modes)
        self.store, self.board = self.world.desks["D1"].store, self.world.boards["R1"].store
        self.database = Database(folder / "cradle.db")
        self.contents = Contents(str(folder / "conflicts"))
        self.bound, self.now = Bound(), 1_760_000_000.0
        self.opened = self.journal()

    def journal(self) -> Journal:
        self.opened = Journal(self.database, self.store, "R1", "/home/d1", self.bound, lambda: self.now)
        return self.opened

    def sync(self, **options: object) -> TypeResult:
        result = self.world.sync("D1", "R1", journal=self.journal, **options)  # type: ignore[arg-type]
        if not result.cancelled:
            confirmed(self.database, self.world.desks["D1"].meta, "R1", "files", "/home/d1")
        self.world.advance()
        self.now += 60
        return result

    def undo(self) -> Outcome:
        outcome = take_back(self.journal(), self.contents)
        assert outcome is not None
        self.world.advance()
        self.now += 60
        return outcome

    def kept(self) -> "list[bytes]":
        return sorted(self.store.held.values())


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    known_everywhere(made.world, rounds=2, a=b"a1", b=b"b1", c=b"c1")
    yield made
    made.database.close()


def test_overwrites_and_deletes_come_back_and_travel(home: Home) -> None:
    home.board.write("a", b"a2, edited there")
    home.board.delete("b")
    home.board.write("new", b"made there")
    home.sync()
    assert home.store.tree() == {"a": b"a2, edited there", "c": b"c1", "new": b"made there"}
    assert home.kept() == [b"a1", b"b1"]
    done = home.undo()
    assert (sorted(done.restored), done.left) == (["a", "b"], [])
    want = {"a": b"a1", "b": b"b1", "c": b"c1", "new": b"made there"}
    assert home.store.tree() == want and home.board.read("a") == b"a2, edited there"
    home.sync()
    assert home.board.tree() == want
    home.world.settle_and_check()


def test_keeping_reads_nothing(home: Home) -> None:
    home.board.write("a", b"a2")
    home.board.delete("b")
    before = home.store.bytes_read
    home.sync()
    assert home.store.bytes_read == before and len(home.kept()) == 2


def test_undoing_once_more_takes_the_undo_back(home: Home) -> None:
    home.board.write("a", b"a2")
    home.board.delete("b")
    home.sync()
    after = home.store.tree()
    home.undo()
    before = home.store.tree()
    for tree in (after, before, after):
        assert home.undo().left == [] and home.store.tree() == tree


def test_what_changed_since_is_left_alone_and_stays_kept(home: Home) -> None:
    home.board.write("a", b"a2")
    home.board.write("b", b"b2")
    home.board.delete("c")
    home.sync()
    home.store.write("a", b"a3, mine")
    home.store.write("c", b"c2, mine")
    done = home.undo()
    assert (done.restored, sorted(done.left)) == (["b"], [("a", CHANGED_SINCE), ("c", CHANGED_SINCE)])
    assert home.store.tree() == {"a": b"a3, mine", "b": b"b1", "c": b"c2, mine"}
    assert b"a1" in home.kept() and b"c1" in home.kept()


def test_an_edit_of_the_same_size_since_is_seen(home: Home) -> None:
    home.board.write("a", b"a2")
    home.sync()
    home.store.write("a", b"a3")
    assert home.undo().left == [("a", CHANGED_SINCE)] and home.store.read("a") == b"a3"


def test_what_cannot_be_read_now_stays_kept(home: Home) -> None:
    home.board.write("a", b"a2")
    home.sync()
    home.store.failing_reads["a"] = UNREADABLE
    done = home.undo()
    assert [identity for identity, _ in done.left] == ["a"] and done.left[0][1] != NOT_KEPT
    home.store.failing_reads.clear()
    assert home.undo().restored == ["a"] and home.store.read("a") == b"a1"


def test_two_equal_contents_and_empty_ones_come_back(home: Home) -> None:
    for name in ("e1", "e2"):
        home.store.write(name, b"")
    for name in ("s1", "s2"):
        home.store.write(name, b"same")
    home.sync()
    before = home.store.tree()
    for name in ("e1", "e2", "s1", "s2"):
        home.board.delete(name)
    home.sync()
    assert home.undo().left == [] and home.store.tree() == before and not home.store.stages


def test_directories_and_modes(tmp_path: Path, home: Home) -> None:
    home.store.write("d/e/x", b"x1")
    home.store.mkdir("d/empty", 0o700)
    home.sync()
    home.board.delete("d")
    home.board.chmod("c", 0o600)
    home.sync()
    assert home.store.tree() == {"a": b"a1", "b": b"b1", "c": b"c1"} and home.store.mode("c") == 0o600
    assert home.undo().left == []
    assert home.store.tree() == {
        "a": b"a1",
        "b": b"b1",
        "c": b"c1",
        "d/": b"",
        "d/e/": b"",
        "d/e/x": b"x1",
        "d/empty/": b"",
    }
    assert home.store.mode("c") == 0o644 and home.store.mode("d/empty") == 0o700
    home.sync()
    home.world.settle_and_check()
    assert home.board.read("d/e/x") == b"x1"


def test_a_file_that_became_a_directory_comes_back_where_nothing_lies_in_it(home: Home) -> None:
    home.board.delete("a")
    home.board.mkdir("a")
    home.board.delete("b")
    home.board.write("b/inside", b"1")
    home.sync()
    done = home.undo()
    assert done.restored == ["a"] and [identity for identity, _ in done.left] == ["b"]
    assert home.store.read("a") == b"a1" and home.store.read("b/inside") == b"1" and b"b1" in home.kept()


def test_a_rename_displaces_nothing(home: Home) -> None:
    home.board.rename("a", "moved")
    home.sync()
    assert home.kept() == [] and home.store.read("moved") == b"a1"
    assert take_back(home.journal(), home.contents) is None


def test_an_old_content_whose_move_was_edited_is_kept(home: Home) -> None:
    home.board.rename("a", "moved")
    home.world.boards["R1"].end.restart()
    home.world.preview("D1", "R1")
    home.board.write("moved", b"moved and edited")
    home.sync()
    contents = home.world.contents() + home.kept()
    assert b"a1" in contents and b"moved and edited" in contents


def test_what_failed_was_not_displaced(home: Home) -> None:
    home.board.write("a", b"a2")
    home.store.failing_writes["a"] = READ_ONLY
    home.sync()
    home.store.failing_writes.clear()
    assert home.kept() == [] and home.opened.last() is None
    home.sync()
    assert home.undo().restored == ["a"] and home.store.read("a") == b"a1"


def test_a_sync_in_which_all_of_it_failed_does_not_hide_the_one_before(home: Home) -> None:
    home.board.write("a", b"a2")
    home.sync()
    home.board.write("b", b"b2")
    home.store.failing_writes["b"] = READ_ONLY
    home.sync()
    home.store.failing_writes.clear()
    assert home.undo().restored == ["a"] and home.store.read("a") == b"a1"


def test_a_cut_and_a_crash_leave_what_was_displaced_so_far(home: Home) -> None:
    home.board.write("a", b"a2")
    home.board.write("big", bytes(200_000))
    home.board.delete("b")
    home.world.desks["D1"].meta.crash_before_commit = 3
    with pytest.raises(PowerCut):
        home.sync()
    home.world.desks["D1"].restart()
    home.sync()
    for _ in range(2):  # the one act, or both
        if "b" not in home.store.tree():
            home.undo()
    assert home.store.read("b") == b"b1"


def test_a_bound_by_size_lets_the_oldest_go_and_says_so(home: Home) -> None:
    home.bound = Bound(size=5)
    home.board.write("a", b"a2")
    home.sync()
    home.board.write("b", b"b2")
    home.sync()
    assert home.kept() == [b"a1", b"b1"] and home.opened.dropped == 0
    home.board.write("c", b"c2")
    home.sync()
    assert home.kept() == [b"b1", b"c1"] and home.opened.dropped == 1
    home.board.write("c", b"large, " + bytes(50))
    home.sync()
    home.board.write("c", b"c3")
    home.sync()
    assert home.opened.large == ["c"]
    assert home.undo().left == [("c", NEVER_KEPT)]


def test_a_bound_by_age(home: Home) -> None:
    home.bound = Bound(days=1)
    home.board.write("a", b"a2")
    home.sync()
    home.now += DAY + 1
    home.board.write("b", b"b2")
    home.sync()
    assert home.kept() == [b"b1"] and home.opened.dropped == 1
    assert home.undo().restored == ["b"]
    last = home.journal().last()
    assert last is not None and [former.identity for former in home.opened.formers(last)] == ["b"]


def test_a_nearly_full_disk_keeps_little(home: Home) -> None:
    home.store.full = 40
    home.board.write("a", b"a2")
    home.board.delete("b")
    home.store.write("fill", bytes(30))
    home.sync()
    assert home.store.read("a") == b"a2" and home.kept() == [] and sorted(home.opened.large) == ["a", "b"]


def test_a_loser_of_a_conflict_is_not_kept_twice(home: Home) -> None:
    home.store.write("a", b"mine")
    home.board.write("a", b"theirs")
    home.sync(policy="device")
    assert home.store.read("a") == b"theirs" and home.kept() == [] and home.world.losers() == [b"mine"]
    home.contents.keep([home.contents.draft(loser_reader(home))])
    assert home.undo().restored == ["a"] and home.store.read("a") == b"mine"


def loser_reader(home: Home) -> "object":
    """The world's conflict store has no folder; put its loser where the real one would."""
    other = type(home.store)()
    other.write("x", home.world.losers()[0])
    return other.open("x")


def test_a_cut_while_receiving(home: Home) -> None:
    home.board.delete("b")
    home.board.write("z", bytes(100_000))
    with pytest.raises(Cut):
        home.sync(cut_after=20_000)
    home.sync()
    assert b"b1" in home.kept()
