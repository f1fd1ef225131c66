"""Policies: what becomes of two edits of one file. Real engine, real agent, stores in memory."""

import copy
import shutil
from pathlib import Path

import pytest

from cradle_desktop.conflict.ancestors import Ancestors
from cradle_desktop.metadata.database import Database
from cradle_desktop.sync.report import TypeResult
from cradle_protocol.errors import UNREADABLE
from cradle_testing.worlds import World
from sync.test_mended_decisions import TWO_DESKTOPS, known_everywhere

BASE = b"one\ntwo\nthree\nfour\nfive\n"
OURS = b"ONE\ntwo\nthree\nfour\nfive\n"
THEIRS = b"one\ntwo\nthree\nfour\nFIVE\n"
BOTH = b"ONE\ntwo\nthree\nfour\nFIVE\n"


class Merging:
    """A world in which every desktop merges; `sync` as in `World`."""

    def __init__(self, folder: Path, **parts: "tuple[str, ...]") -> None:
        self.world = World(folder / "world", **parts)  # type: ignore[arg-type]
        self.folder, self.databases = folder, {}  # type: ignore[var-annotated]

    def ancestors(self, desktop: str, device: str, limit: int = 10**8) -> Ancestors:
        database = self.databases.setdefault(desktop, Database(self.folder / desktop / "cradle.db"))
        replica = self.world.desks[desktop].meta.replicas[0]
        return Ancestors(database, device, replica, str(self.folder / desktop / "ancestors"), limit)

    def sync(self, desktop: str = "D1", device: str = "R1", met: bytes = b"") -> TypeResult:
        ancestors = self.ancestors(desktop, device)
        result = self.world.sync(desktop, device, policy="merge", ancestors=ancestors, met=met)
        self.world.advance()
        return result


@pytest.fixture
def merging(tmp_path: Path) -> Merging:
    made = Merging(tmp_path)
    made.world["D1"].store.write("a", BASE)
    made.world["D1"].store.write("picture", b"\0base")
    made.sync()
    made.sync()
    return made


def edit(w: World, path: str, ours: bytes, theirs: bytes) -> None:
    w["D1"].store.write(path, ours)
    w["R1"].store.write(path, theirs)
    w.advance()


# -- merge


def test_two_edits_become_one_text(merging: Merging) -> None:
    w = merging.world
    edit(w, "a", OURS, THEIRS)
    result = merging.sync()
    assert w["D1"].store.read("a") == w["R1"].store.read("a") == BOTH
    assert (result.conflicts, w.losers(), result.skipped) == (0, [], [])
    assert (result.to_desktop.updated, result.to_device.updated) == (1, 1)
    w.settle_and_check()


def test_the_next_merge_starts_from_the_last_one(merging: Merging) -> None:
    w = merging.world
    edit(w, "a", OURS, THEIRS)
    merging.sync()
    edit(w, "a", BOTH.replace(b"ONE", b"1"), BOTH.replace(b"FIVE", b"5"))
    assert merging.sync().conflicts == 0
    assert w["D1"].store.read("a") == w["R1"].store.read("a") == b"1\ntwo\nthree\nfour\n5\n"


def test_what_only_one_side_edited_is_where_the_next_merge_starts(merging: Merging) -> None:
    w = merging.world
    w["R1"].store.write("a", THEIRS)
    w.advance()
    merging.sync()
    w["D1"].store.write("a", BOTH)
    w.advance()
    merging.sync()
    edit(w, "a", BOTH.replace(b"two", b"2"), BOTH + b"six\n")
    assert merging.sync().conflicts == 0
    assert w["D1"].store.read("a") == BOTH.replace(b"two", b"2") + b"six\n"


@pytest.mark.parametrize(
    ("path", "ours", "theirs"),
    [("a", BASE.replace(b"two", b"2"), BASE.replace(b"two", b"zwei")), ("picture", b"\0ours", b"\0theirs")],
)
def test_what_cannot_be_merged_is_a_conflict_that_this_side_wins(
    merging: Merging, path: str, ours: bytes, theirs: bytes
) -> None:
    w = merging.world
    edit(w, path, ours, theirs)
    assert merging.sync().conflicts == 1
    assert w["D1"].store.read(path) == w["R1"].store.read(path) == ours and w.losers() == [theirs]
    w.settle_and_check()


def test_a_later_common_text_that_came_on_two_ways_is_not_passed_over(tmp_path: Path) -> None:
    """From the older one the line that D1 put back would be gone, and nobody told."""
    merging = Merging(tmp_path, desktops=("D1", "D2"), devices=("R1", "R2"))
    w = merging.world
    w["D1"].store.write("a", BASE)
    for pair in (("D1", "R1"), ("D1", "R2"), ("D2", "R1"), ("D2", "R2")) * 2:
        merging.sync(*pair)
    w["R2"].store.write("a", BASE.replace(b"one\n", b""))
    w.advance()
    for pair in (("D1", "R2"), ("D2", "R2"), ("D2", "R1")):
        merging.sync(*pair)
    edit(w, "a", BASE, THEIRS.replace(b"one\n", b""))
    assert merging.sync().conflicts == 1
    assert w["D1"].store.read("a") == w["R1"].store.read("a") == BASE and w.losers() == [THEIRS.replace(b"one\n", b"")]
    merging.sync()
    edit(w, "a", OURS, THEIRS)
    assert merging.sync().conflicts == 0 and w["R1"].store.read("a") == BOTH, "from what both have now"


def test_without_a_common_text_nothing_is_merged(tmp_path: Path) -> None:
    merging = Merging(tmp_path)
    w = merging.world
    edit(w, "a", OURS, THEIRS)
    assert merging.sync().conflicts == 1 and w.losers() == [THEIRS]


def test_what_was_decided_here_and_has_not_left_is_no_common_text(tmp_path: Path) -> None:
    """Changes flowed to the desktop only: what won there was taken for what both had, and its next edit for none."""
    merging = Merging(tmp_path)
    w = merging.world
    edit(w, "a", OURS, THEIRS)
    w.sync("D1", "R1", policy="merge", direction="to-desktop", ancestors=merging.ancestors("D1", "R1"))
    w.advance()
    w["R1"].store.write("a", b"another text")
    w.advance()
    merging.sync()
    assert OURS in w.contents() and b"another text" in w.contents()


def test_a_sync_of_nothing_learns_what_there_is(tmp_path: Path) -> None:
    """The policy was changed to merge: the first sync takes down what both sides have, also where nothing moves."""
    merging = Merging(tmp_path)
    w = merging.world
    known_everywhere(w, rounds=2, a=BASE)
    merging.sync()
    edit(w, "a", OURS, THEIRS)
    merging.sync()
    assert w["R1"].store.read("a") == BOTH


def test_what_failed_is_merged_from_where_it_was(merging: Merging) -> None:
    w = merging.world
    w["D1"].store.write("a", OURS)
    w["R1"].store.failing_writes["a"] = UNREADABLE
    w.advance()
    merging.sync()
    w["R1"].store.failing_writes.clear()
    w["R1"].store.write("a", THEIRS)
    w.advance()
    merging.sync()
    merging.sync()
    assert w["D1"].store.read("a") == w["R1"].store.read("a") == BOTH


def test_a_merge_keeps_to_what_the_scan_saw(merging: Merging) -> None:
    """The user saves while the merged text is put in place: the save stays, and is merged the next time."""
    w = merging.world
    edit(w, "a", OURS, THEIRS)
    late = OURS.replace(b"three", b"3, saved late")

    def save(identity: str) -> None:
        w["D1"].store.on_install = None
        w["D1"].store.write("a", late)

    w["D1"].store.on_install = save
    merging.sync()
    assert w["D1"].store.read("a") == late and w["R1"].store.read("a") == THEIRS
    merging.sync()
    assert w["D1"].store.read("a") == w["R1"].store.read("a") == late.replace(b"five", b"FIVE")


def test_a_preview_of_a_merge_changes_nothing(merging: Merging) -> None:
    w = merging.world
    edit(w, "a", OURS, THEIRS)
    before = w.everything()
    plan = w.preview("D1", "R1", policy="merge", ancestors=merging.ancestors("D1", "R1"))
    assert "merge     a: both edits in one text" in plan.lines() and plan.conflicts() == []
    assert w.everything() == before


# The last common text, and one of before. By the latter a merge would bring back `gone` and drop `back`.
LAST = b"one\ntwo\nback\nthree\nfour\nfive\n"
BEFORE = b"gone\none\ntwo\nthree\nfour\nfive\n"


def _both_edited(merging: Merging, mine: bytes, theirs: bytes) -> None:
    """It is a conflict, both texts are kept, and the sync after that has something to merge from again."""
    w = merging.world
    result = merging.sync()
    assert result.conflicts == 1
    assert {mine, theirs} == {w["R1"].store.read("a"), *w.losers()}
    w.settle_and_check()
    now = w["R1"].store.read("a")
    merging.sync()
    edit(w, "a", now.replace(b"one", b"ONE"), now.replace(b"five", b"FIVE"))
    assert merging.sync().conflicts == 0
    assert w["R1"].store.read("a") == now.replace(b"one", b"ONE").replace(b"five", b"FIVE")


@pytest.mark.parametrize("told", ["by the witness", "by the device"])
def test_a_desktop_that_was_set_back_merges_from_no_older_text(tmp_path: Path, told: str) -> None:
    """State and ancestors are of before the last common text; the folder is as it was left."""
    merging = Merging(tmp_path)
    w = merging.world
    desk = w.desks["D1"]
    desk.store.write("a", BEFORE)
    merging.sync()
    merging.databases.pop("D1").close()
    meta = copy.deepcopy(desk.meta)
    shutil.copytree(tmp_path / "D1", tmp_path / "backup")
    for k in range(3):
        desk.store.write("a", LAST + b"." * k)
        merging.sync()
    desk.store.write("a", LAST)
    merging.sync()
    merging.databases.pop("D1").close()
    shutil.rmtree(tmp_path / "D1")
    (tmp_path / "backup").rename(tmp_path / "D1")
    desk.meta, desk.set_back = meta, told == "by the witness"
    mine, theirs = BEFORE.replace(b"five\n", b"5\n"), LAST.replace(b"one", b"1")
    edit(w, "a", mine, theirs)
    _both_edited(merging, mine, theirs)


def test_a_device_that_was_set_back_is_not_merged_from_what_it_lost(tmp_path: Path) -> None:
    merging = Merging(tmp_path)
    w = merging.world
    w["D1"].store.write("a", BEFORE)
    w["R1"].store.write("b", b"")
    merging.sync()
    backup = w.save("R1", tmp_path / "backup")
    w["R1"].store.write("b", b"so that the desktop knows a later tick of it")
    w["D1"].store.write("a", LAST)
    w.advance()
    merging.sync()
    w.put_back("R1", backup)
    mine, theirs = LAST.replace(b"five\n", b"5\n"), BEFORE.replace(b"one", b"1")
    edit(w, "a", mine, theirs)
    _both_edited(merging, mine, theirs)


def test_another_copy_of_a_device_is_not_merged_from_what_the_first_had(merging: Merging) -> None:
    """What answers under the name is not who did last."""
    w = merging.world
    edit(w, "a", OURS, THEIRS)
    assert merging.sync(met=b"store id of then" + b"replica of then.").conflicts == 1
    assert {OURS, THEIRS} == {w["R1"].store.read("a"), *w.losers()}


def test_texts_are_bounded(merging: Merging) -> None:
    ancestors = merging.ancestors("D1", "R1", limit=30)
    w = merging.world
    for name in ("b", "c"):
        w["D1"].store.write(name, name.encode() * 20)
    w.sync("D1", "R1", policy="merge", ancestors=ancestors)
    kept = list((merging.folder / "D1" / "ancestors").iterdir())
    assert sum(path.stat().st_size for path in kept) <= 30


def test_two_desktops_that_merge_come_to_rest(tmp_path: Path) -> None:
    merging = Merging(tmp_path, desktops=TWO_DESKTOPS)
    w = merging.world
    w["D1"].store.write("a", BASE)
    for _ in range(2):
        for desktop in TWO_DESKTOPS:
            merging.sync(desktop)
    w["D1"].store.write("a", OURS)
    w["D2"].store.write("a", BASE.replace(b"three", b"3"))
    w["R1"].store.write("a", THEIRS)
    w.advance()
    for _ in range(3):
        for desktop in TWO_DESKTOPS:
            merging.sync(desktop)
    w.settle_and_check()
    everything = b"".join([w["D1"].store.read("a"), *w.losers()])
    assert b"ONE" in everything and b"3" in everything and b"FIVE" in everything


# -- both


@pytest.mark.parametrize("same_size", [True, False])
def test_both_are_had_under_two_names(tmp_path: Path, same_size: bool) -> None:
    w = World(tmp_path)
    known_everywhere(w, rounds=2, a=b"base")
    edit(w, "a", b"dd", b"rr" if same_size else b"rrr")
    result = w.sync("D1", "R1", policy="both")
    assert (result.conflicts, w.losers()) == (0, [])
    tree = w["D1"].store.tree()
    assert tree.pop("a") == b"dd" and list(tree.values()) == [w["R1"].store.read(next(iter(tree)))]
    assert next(iter(tree)).startswith("a (device ")
    w.settle_and_check()


def test_both_of_two_desktops_are_had_under_the_same_names(tmp_path: Path) -> None:
    """Between two desktops the greater hash wins, whoever resolves; the other one is beside it, once."""
    w = World(tmp_path, desktops=TWO_DESKTOPS, devices=("R1", "R2"))
    w["D1"].store.write("a", b"base")
    for _ in range(2):
        for desktop in TWO_DESKTOPS:
            for device in w.devices:
                w.sync(desktop, device)
    w.advance()
    w["D1"].store.write("a", b"d1")
    w["D2"].store.write("a", b"d2")
    w.advance()
    w.sync("D1", "R1", policy="both")
    w.sync("D2", "R2", policy="both")
    w.sync("D2", "R1", policy="both")  # both desktops resolve the same conflict
    w.sync("D1", "R2", policy="both")
    w.settle_and_check()
    assert sorted(w["R1"].store.tree().values()) == [b"d1", b"d2"] and w.losers() == []


def test_both_where_the_copy_is_there_already(tmp_path: Path) -> None:
    w = World(tmp_path)
    known_everywhere(w, rounds=2, a=b"base")
    edit(w, "a", b"dd", b"rr")
    w.sync("D1", "R1", policy="both")
    w.advance()
    copies = len(w["D1"].store.tree())
    edit(w, "a", b"dd again", b"rr")
    w.sync("D1", "R1", policy="both")
    assert len(w["D1"].store.tree()) == copies and w.losers() == []
    w.settle_and_check()


# -- newest


@pytest.mark.parametrize("last", ["D1", "R1"])
@pytest.mark.parametrize("hours_off", [0, 5])
def test_the_newest_wins_whatever_time_it_is_elsewhere(tmp_path: Path, last: str, hours_off: int) -> None:
    w = World(tmp_path)
    w["R1"].store.advance(3600 * hours_off)
    known_everywhere(w, rounds=2, a=b"base")
    first = "R1" if last == "D1" else "D1"
    w[first].store.write("a", b"first")
    w.advance()
    w[last].store.write("a", b"later")
    w.advance()
    result = w.sync("D1", "R1", policy="newest")
    assert w["D1"].store.read("a") == w["R1"].store.read("a") == b"later"
    assert (result.conflicts, w.losers()) == (1, [b"first"])
    w.settle_and_check()


@pytest.mark.parametrize("doubt", ["device", "desktop", "same time"])
def test_without_two_clocks_to_trust_this_side_wins(tmp_path: Path, doubt: str) -> None:
    w = World(tmp_path)
    known_everywhere(w, rounds=2, a=b"base")
    w["D1"].store.write("a", b"first")
    w.advance(1 if doubt == "same time" else 60)
    w["R1"].store.write("a", b"later")
    w.advance()
    w["R1"].store.lost_clock, w["D1"].store.lost_clock = doubt == "device", doubt == "desktop"
    w.sync("D1", "R1", policy="newest")
    assert w["R1"].store.read("a") == b"first" and w.losers() == [b"later"]


@pytest.mark.parametrize("policy", ["both", "merge", "newest"])
def test_an_edit_beats_a_delete_under_every_policy(tmp_path: Path, policy: str) -> None:
    w = World(tmp_path)
    known_everywhere(w, rounds=2, a=b"base", b=b"base")
    w["D1"].store.write("a", b"dd")
    w["R1"].store.delete("a")
    w["R1"].store.write("b", b"rr")
    w["D1"].store.delete("b")
    w.advance()
    w.sync("D1", "R1", policy=policy)  # type: ignore[arg-type]
    assert w["D1"].store.tree() == w["R1"].store.tree() == {"a": b"dd", "b": b"rr"}
    w.settle_and_check()


@pytest.mark.parametrize("policy", ["desktop", "device", "newest", "both", "merge", "skip", "ask"])
def test_equal_content_is_no_conflict_under_any_policy(tmp_path: Path, policy: str) -> None:
    w = World(tmp_path)
    known_everywhere(w, rounds=2, a=b"base")
    edit(w, "a", b"same", b"same")
    edit(w, "fresh", b"same", b"same")
    result = w.sync("D1", "R1", policy=policy)  # type: ignore[arg-type]
    assert (result.conflicts, w.losers(), w.desks["D1"].conflicts.left) == (0, [], [])
    assert set(w["D1"].store.tree()) == {"a", "fresh"}
