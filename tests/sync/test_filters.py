"""Filters: what a device's store does not want it has by name only. Real engine, real agent, stores in memory."""

from pathlib import Path

import pytest

from cradle_desktop.conflict.ancestors import Ancestors
from cradle_desktop.metadata.database import Database
from cradle_desktop.sync.filter import Filter
from cradle_device.agent import BOARD
from cradle_protocol.errors import WRITE_FAILED
from cradle_testing.worlds import Cut, World

NO_JPG = Filter(exclude=["*.jpg"])


def filtered(tmp_path: Path, wanted: Filter, **more: tuple[str, ...]) -> World:
    """A world in which R1 has this filter."""
    w = World(tmp_path, **more)  # type: ignore[arg-type]
    w.set_filter("R1", wanted)
    return w


def two_ways(tmp_path: Path, wanted: Filter) -> World:
    """D1 and D2 share R1, which has the filter, and R2, which has none."""
    return filtered(tmp_path, wanted, desktops=("D1", "D2"), devices=("R1", "R2"))


@pytest.mark.parametrize("count", [500, pytest.param(5000, marks=pytest.mark.slow)])
def test_ce07_a_filter_poisons_no_knowledge(tmp_path: Path, count: int) -> None:
    """D1 to a device that wants a tenth; a second desktop gets what that holds, then everything elsewhere."""
    wanted, rest = count // 10, count - count // 10
    w = two_ways(tmp_path, Filter(include=["wanted/"]))
    for k in range(count):
        w["D1"].store.write(f"{'wanted' if k % 10 == 0 else 'rest'}/{k}", b"content %d" % k)
    w.sync("D1", "R1")
    assert len(w["R1"].store.tree()) == wanted + 1 and len(w.ghosts("R1")) == rest + 1
    result = w.sync("D2", "R1")
    assert (len(w["D2"].store.tree()), result.absent, result.skipped) == (wanted + 2, rest, [])
    assert w.sync("D2", "R1").absent == rest, "what is not here is not taken for known"
    w.sync("D1", "R2")
    w.content_bytes = 0
    w.sync("D2", "R2")
    assert w["D2"].store.tree() == w["D1"].store.tree()
    assert w.content_bytes == sum(len(b"content %d" % k) for k in range(count) if k % 10), "no content comes twice"
    w.settle_and_check(rounds=1)


def test_only_what_is_wanted_travels_and_a_second_sync_moves_nothing(tmp_path: Path) -> None:
    w = filtered(tmp_path, Filter(exclude=["*.jpg", "/raw/"], max_size=10))
    for name in ("a.txt", "b.jpg", "raw/c", "d/e.txt", "d/f.jpg"):
        w["D1"].store.write(name, name.encode())
    w["D1"].store.write("long", b"more than ten bytes")
    assert sorted(w.preview("D1", "R1").lines()) == [
        "create    a.txt (5 bytes) on R1", "create    d on R1", "create    d/e.txt (7 bytes) on R1",
    ]  # fmt: skip
    result = w.sync("D1", "R1")
    assert w["R1"].store.tree() == {"a.txt": b"a.txt", "d/": b"", "d/e.txt": b"d/e.txt"}
    assert (w.content_bytes, result.to_device.created, result.to_device.total()) == (12, 3, 3)
    again = w.sync("D1", "R1")
    assert again.to_device.total() == 0 and again.bytes_sent + again.bytes_received < 1000
    w.settle_and_check(rounds=1)


def test_a_directory_that_is_not_wanted_comes_and_goes_with_what_is(tmp_path: Path) -> None:
    w = filtered(tmp_path, Filter(include=["*.txt"]))
    w["D1"].store.write("d/e/a.txt", b"a")
    w["D1"].store.write("d/e/b.bin", b"b")
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {"d/": b"", "d/e/": b"", "d/e/a.txt": b"a"}
    w["D1"].store.delete("d/e/a.txt")
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {}
    assert w["D1"].store.tree() == {"d/": b"", "d/e/": b"", "d/e/b.bin": b"b"}
    w.settle_and_check(rounds=1)


def test_deletes_and_edits_of_what_is_there_by_name_only(tmp_path: Path) -> None:
    w = two_ways(tmp_path, NO_JPG)
    for name in ("a.jpg", "b.jpg", "c"):
        w["D1"].store.write(name, name.encode())
    w.settle(rounds=1)
    w["D2"].store.delete("a.jpg")
    w["D2"].store.advance(10)
    w["D2"].store.write("b.jpg", b"edited")
    assert w.preview("D2", "R1").lines() == []
    assert w.sync("D2", "R1").to_device.total() == 0
    w.sync("D1", "R1")
    assert w["D1"].store.tree() == {"b.jpg": b"b.jpg", "c": b"c"}, "the delete came, the content could not"
    w.settle()
    assert w["D1"].store.tree() == {"b.jpg": b"edited", "c": b"c"}
    w.settle_and_check(rounds=1)


def test_a_name_goes_with_its_item(tmp_path: Path) -> None:
    """What was deleted elsewhere is not by name only any more; it is counted nowhere."""
    w = filtered(tmp_path, NO_JPG)
    w["D1"].store.write("a.jpg", b"a")
    w.sync("D1", "R1")
    assert w.ghosts("R1") == {"a.jpg"}
    w["D1"].store.delete("a.jpg")
    result = w.sync("D1", "R1")
    assert (w.ghosts("R1"), result.held, result.named) == (set(), 0, 0)
    w["R1"].store.write("a.jpg", b"made anew")
    w.settle_and_check()
    assert w["D1"].store.tree() == {"a.jpg": b"made anew"}


def test_two_desktops_that_had_the_same_before_agree_by_the_name_alone(tmp_path: Path) -> None:
    """A name is told with the hash of its content, and that is all that another desktop needs to see that it has it."""
    w = filtered(tmp_path, NO_JPG, desktops=("D1", "D2"))
    for name in ("D1", "D2"):
        w[name].store.write("a.jpg", b"the same")
    w.sync("D1", "R1")
    assert w.sync("D2", "R1").absent == 0
    assert w.sync("D2", "R1").bytes_received < 500, "there is nothing left to tell"
    w.set_filter("R1", Filter())
    w.sync("D2", "R1")
    assert w["R1"].store.tree() == {"a.jpg": b"the same"}
    w.settle_and_check(rounds=1)


def test_what_grows_out_of_the_filter_leaves_and_what_shrinks_comes_back(tmp_path: Path) -> None:
    w = filtered(tmp_path, Filter(max_size=5))
    w["D1"].store.write("a", b"12345")
    w.sync("D1", "R1")
    w["D1"].store.advance(10)
    w["D1"].store.write("a", b"123456")
    assert w.preview("D1", "R1").lines() == ["leave     a on R1: its filter does not want it, the name stays"]
    result = w.sync("D1", "R1")
    assert (w["R1"].store.tree(), result.left, result.to_device.total()) == ({}, 1, 0)
    assert w["D1"].store.read("a") == b"123456"
    w["D1"].store.advance(10)
    w["D1"].store.write("a", b"12")
    assert w.preview("D1", "R1").lines() == ["create    a (2 bytes) on R1"]
    w.sync("D1", "R1")
    assert w["R1"].store.read("a") == b"12"
    w.settle_and_check(rounds=1)


def test_a_changed_filter_fills_and_removes_and_sends_nothing_twice(tmp_path: Path) -> None:
    w = filtered(tmp_path, Filter(exclude=["b"]))
    for name in "abc":
        w["D1"].store.write(name, name.encode() * 100)
    w.sync("D1", "R1")
    w.set_filter("R1", Filter(exclude=["c"]))
    w.content_bytes = 0
    assert sorted(w.preview("D1", "R1").lines()) == [
        "fill      b (100 bytes) on R1", "leave     c on R1: its filter does not want it, the name stays",
    ]  # fmt: skip
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {"a": b"a" * 100, "b": b"b" * 100}
    assert w.content_bytes == 100, "what was there and is wanted is not sent again"
    assert w["D1"].store.tree().keys() == {"a", "b", "c"}
    w.set_filter("R1", Filter())
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == w["D1"].store.tree()
    w.settle_and_check(rounds=1)


def test_whoever_has_the_content_fills_it_in(tmp_path: Path) -> None:
    """D2, which has it not, carries out the changed filter as far as it can; when it has it, it does the rest."""
    w = two_ways(tmp_path, NO_JPG)
    w["D1"].store.write("a.jpg", b"a")
    w.sync("D1", "R1")
    w.set_filter("R1", Filter())
    w.sync("D2", "R1")
    assert w["R1"].store.tree() == {}
    w.sync("D1", "R2")
    w.sync("D2", "R2")
    w.sync("D2", "R1")
    assert w["R1"].store.tree() == {"a.jpg": b"a"}
    w.settle_and_check(rounds=1)


def test_what_the_devices_user_makes_outside_the_filter_is_sent_and_stays(tmp_path: Path) -> None:
    w = filtered(tmp_path, NO_JPG)
    w["D1"].store.write("a", b"a")
    w.sync("D1", "R1")
    w["R1"].store.write("own.jpg", b"own")
    w.sync("D1", "R1")
    w.sync("D1", "R1")
    assert w["D1"].store.read("own.jpg") == w["R1"].store.read("own.jpg") == b"own"
    w["D1"].store.advance(10)
    w["D1"].store.write("own.jpg", b"changed elsewhere")
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {"a": b"a"}
    w.settle_and_check(rounds=1)


def test_another_file_of_the_devices_user_under_the_same_name_takes_nothing_away(tmp_path: Path) -> None:
    """A camera that counts anew: a device knows its own versions for ever, so what it made does not leave it."""
    w = World(tmp_path)
    w["R1"].store.write("1.jpg", b"first")
    w.sync("D1", "R1")
    w.set_filter("R1", NO_JPG)
    assert w.sync("D1", "R1").left == 0
    assert w["R1"].store.read("1.jpg") == b"first"
    w["D1"].store.advance(10)
    w["D1"].store.write("1.jpg", b"from the desktop")
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {}
    w["R1"].store.write("1.jpg", b"counted anew")
    assert w.sync("D1", "R1").conflicts == 1
    assert {b"from the desktop", b"counted anew"} <= set(w.contents())
    w.settle_and_check()


def test_a_file_made_where_a_name_stands_for_another_is_a_conflict(tmp_path: Path) -> None:
    w = filtered(tmp_path, NO_JPG)
    w["D1"].store.write("a.jpg", b"from the desktop")
    w["D1"].store.write("b.jpg", b"the same")
    w.sync("D1", "R1")
    w["R1"].store.write("a.jpg", b"from the camera")
    w["R1"].store.write("b.jpg", b"the same")
    result = w.sync("D1", "R1", policy="device")
    assert result.conflicts == 1 and w.losers() == [b"from the desktop"]
    assert w["D1"].store.tree() == {"a.jpg": b"from the camera", "b.jpg": b"the same"}
    w.settle_and_check()


@pytest.mark.parametrize("policy", ["desktop", "device", "newest", "merge", "both", "skip"])
def test_a_conflict_whose_other_side_is_not_there_waits_for_it(tmp_path: Path, policy: str) -> None:
    """D2 has edited what D1 edited, and meets R1, which has D1's edit by name only: nothing is displaced unseen."""
    w = two_ways(tmp_path, NO_JPG)
    w["D1"].store.write("a.jpg", b"base")
    w.settle(rounds=1)
    for name in ("D1", "D2"):
        w[name].store.advance(10)
        w[name].store.write("a.jpg", b"edited on " + name.encode())
    w.sync("D1", "R1")
    result = w.sync("D2", "R1", policy=policy)  # type: ignore[arg-type]
    left = (1, 0) if policy == "skip" else (0, 1)  # it is left alone then, wherever its content is
    assert (result.conflicts, result.absent, result.skipped) == (*left, [])
    assert w["D2"].store.read("a.jpg") == b"edited on D2"
    w.settle()
    assert {w["D1"].store.read("a.jpg"), *w.losers()} == {b"edited on D1", b"edited on D2"}
    w.settle_and_check(rounds=1)


def test_a_folder_moves_over_the_edge_of_the_filter(tmp_path: Path) -> None:
    w = two_ways(tmp_path, Filter(exclude=["/out/"]))
    w["D1"].store.write("in/a", b"a" * 50)
    w["D1"].store.write("in/b", b"b" * 50)
    w.settle(rounds=2)
    w["D1"].store.rename("in", "out")
    assert sorted(w.preview("D1", "R1").lines()) == [
        f"leave     {name} on R1: its filter does not want it, the name stays" for name in ("in", "in/a", "in/b")
    ]
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {} and w["D1"].store.tree().keys() == {"out/", "out/a", "out/b"}
    w.content_bytes = 0
    w.sync("D2", "R1")
    assert w["D2"].store.tree() == w["D1"].store.tree(), "the second desktop has the contents under their old names"
    assert w.content_bytes == 0
    w["D1"].store.rename("out", "in")
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {"in/": b"", "in/a": b"a" * 50, "in/b": b"b" * 50}
    assert w.content_bytes == 100, "the device has no copy to make it of"
    w.settle_and_check()


def test_a_cut_in_a_fill_goes_on_where_it_was(tmp_path: Path) -> None:
    w = filtered(tmp_path, Filter(exclude=["large"]))
    w["D1"].store.write("large", bytes(range(256)) * 4000)
    w["D1"].store.write("a", b"a")
    w["D1"].store.advance(10)
    w.sync("D1", "R1")
    w.set_filter("R1", Filter())
    with pytest.raises(Cut):
        w.sync("D1", "R1", cut_after=700_000)
    assert w["R1"].store.tree() == {"a": b"a"}
    assert w.sync("D1", "R1").resumed_bytes > 300_000
    assert w["R1"].store.tree() == w["D1"].store.tree()
    w.settle_and_check(rounds=1)


def test_what_cannot_be_filled_now_is_filled_later(tmp_path: Path) -> None:
    w = filtered(tmp_path, NO_JPG)
    for name in ("a.jpg", "b.jpg"):
        w["D1"].store.write(name, b"x" * 50)
    w.sync("D1", "R1")
    w.set_filter("R1", Filter())
    w["R1"].store.failing_writes["b.jpg"] = WRITE_FAILED
    assert [item for item, _ in w.sync("D1", "R1").skipped] == ["b.jpg"]
    w["R1"].store.failing_writes.clear()
    assert w.sync("D1", "R1").to_device.created == 1
    w.settle_and_check(rounds=1)


def test_an_edit_that_comes_between_saves_a_file_from_leaving(tmp_path: Path) -> None:
    w = filtered(tmp_path, Filter())
    w["D1"].store.write("a.jpg", b"a")
    w.sync("D1", "R1")
    w.set_filter("R1", NO_JPG)

    def save(identity: str) -> None:
        w["R1"].store.on_remove = None
        w["R1"].store.advance(10)
        w["R1"].store.write(identity, b"saved meanwhile")

    w["R1"].store.on_remove = save
    assert [item for item, _ in w.sync("D1", "R1").skipped] == ["a.jpg"]
    assert w["R1"].store.read("a.jpg") == b"saved meanwhile"
    w.sync("D1", "R1")
    assert w["D1"].store.read("a.jpg") == b"saved meanwhile"
    w.settle_and_check()


def test_what_ages_leaves_once_and_is_not_asked_for_again(tmp_path: Path) -> None:
    w = filtered(tmp_path, Filter(newer_than=3600, exclude=["*.tmp"]))
    w["D1"].store.write("old", b"old")
    w["D1"].store.advance(3000)
    w["D1"].store.write("new", b"new")
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {"new": b"new", "old": b"old"}
    w["R1"].store.write("made.tmp", b"outside, and it stays")
    w.sync("D1", "R1")
    w["D1"].store.advance(1000)
    assert w.sync("D1", "R1").left == 1
    assert w["R1"].store.tree() == {"made.tmp": b"outside, and it stays", "new": b"new"}
    assert w["D1"].store.tree().keys() == {"made.tmp", "new", "old"}
    w["D1"].store.write("very old", b"x")
    w["D1"].store.advance(5000)
    w["D1"].store.write("fresh", b"f")
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {"fresh": b"f", "made.tmp": b"outside, and it stays"}
    assert w.sync("D1", "R1").left == 0


def test_pins_fill_in_what_is_there_on_demand(tmp_path: Path) -> None:
    w = two_ways(tmp_path, Filter(on_demand=True))
    for k in range(300):
        w["D1"].store.write(f"d{k % 3}/{k}", b"content %d" % k)
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {} and len(w.ghosts("R1")) == 303
    w.sync("D2", "R1")
    w.set_filter("R1", Filter(on_demand=True, pins=["d1/4", "d2"]))
    result = w.sync("D1", "R1")
    assert result.to_device.created == 102 and len(w["R1"].store.tree()) == 103
    assert result.bytes_received < 15_000, "it told nothing of what was not asked for"
    w.sync("D2", "R1")
    assert len([path for path in w["D2"].store.tree() if path[-1] != "/"]) == 101
    w.settle_and_check()


def test_a_board_takes_more_names_than_it_has_exceptions(tmp_path: Path) -> None:
    w = two_ways(tmp_path, Filter(on_demand=True))
    w.boards["R1"].end.agent.limits = BOARD
    for k in range(600):
        w["D1"].store.write(f"{k}", b"content %d" % k)
    w.sync("D1", "R1")
    assert len(w.ghosts("R1")) == 600
    w["R1"].store.write("made here", b"m")
    w.sync("D2", "R1")
    assert w["D2"].store.tree() == {"made here": b"m"}
    w.settle_and_check()


def test_a_copy_of_a_card_has_filters_of_its_own(tmp_path: Path) -> None:
    """Both count their filters from where they were copied: what was carried out on one is not on the other."""
    w = World(tmp_path, devices=("R1", "R2"))
    w.set_filter("R1", NO_JPG)
    w["D1"].store.write("a.jpg", b"a")
    w.sync("D1", "R1")
    w.clone("R1", "R2")
    for name in w.devices:
        w.set_filter(name, Filter())
        w.sync("D1", name)
        assert w[name].store.tree() == {"a.jpg": b"a"}, name
    w.settle_and_check()


def test_what_is_made_over_a_name_is_no_edit_to_be_merged(tmp_path: Path) -> None:
    """The text that only the desktop had was taken for the last common one, and the new file for an edit of it."""
    w = filtered(tmp_path, Filter(exclude=["a"]))
    ancestors = Ancestors(Database(tmp_path / "d" / "cradle.db"), "R1", w.desks["D1"].meta.replicas[0], str(tmp_path))
    w["D1"].store.write("a", b"on the desktop")
    w.sync("D1", "R1", policy="merge", ancestors=ancestors)
    w["R1"].store.write("a", b"on the device")
    w.sync("D1", "R1", policy="merge", ancestors=ancestors)
    assert {b"on the desktop", b"on the device"} <= set(w.contents())
