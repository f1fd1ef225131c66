"""Filters together with everything else: policies, directions, moves, undo, set-back, clones, names. Real engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cradle_desktop.sync.filter import Filter, FilterError
from cradle_desktop.sync.report import MassDelete
from cradle_desktop.sync.store_filter import StoreFilter
from cradle_device.replica import FILTER
from cradle_protocol.errors import STATUS_TEXT, UNREADABLE
from cradle_protocol.provider.paths import CASELESS, FAT_NAMES
from cradle_testing.worlds import World
from sync.test_filters import NO_JPG, filtered, two_ways
from sync.test_records import ANN, People2
from sync.test_undo import Home

CAMERA, DESKTOP = b"from the camera", b"from the desktop"


# -- deletes and undo


def test_a_filtered_store_that_looks_empty_stops(tmp_path: Path) -> None:
    """It held a tenth of everything, so all of that is a small share of what the desktop has."""
    w = filtered(tmp_path, Filter(include=["wanted/"]))
    for k in range(100):
        w["D1"].store.write(f"{'wanted' if k % 10 == 0 else 'rest'}/{k}", b"content %d" % k)
    w.sync("D1", "R1")
    w["R1"].store.objects.clear()
    with pytest.raises(MassDelete, match="on the desktop 11 of the 11 objects that R1 held"):
        w.sync("D1", "R1", max_delete=25.0)
    w.sync("D1", "R1")
    assert len(w["D1"].store.tree()) == 91


def test_an_overwrite_by_what_is_not_wanted_any_more_is_taken_back(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.world.set_filter("R1", Filter(max_size=5))
    home.store.write("a", b"12345")
    home.store.write("b", b"1")
    home.sync()
    home.world.advance()
    home.store.write("a", b"123456, a mistake")
    home.world.set_filter("R1", Filter(max_size=5, exclude=["b"]))
    home.sync()
    assert home.board.tree() == {} and home.kept() == [b"12345"], "what only leaves is here as it is"
    assert home.undo().restored == ["a"]
    home.sync()
    assert home.board.tree() == {"a": b"12345"}
    home.world.settle_and_check()
    home.database.close()


def test_what_is_there_by_name_only_moves_and_goes_and_there_is_nothing_to_keep(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.world.set_filter("R1", NO_JPG)
    for name in ("a.jpg", "d/b.jpg", "d/b.txt"):
        home.store.write(name, name.encode())
    home.sync()
    home.world.advance()
    home.store.rename("a.jpg", "b.jpg")
    home.store.rename("d", "e")
    home.sync()
    assert home.board.tree() == {"e/": b"", "e/b.txt": b"d/b.txt"}
    home.store.delete("b.jpg")
    home.sync()
    assert home.kept() == []
    home.world.settle_and_check()
    home.database.close()


def test_what_was_asked_for_is_deleted_there_as_anywhere(tmp_path: Path) -> None:
    w = filtered(tmp_path, Filter(on_demand=True, pins=["a"]))
    for name in ("a", "b"):
        w["D1"].store.write(name, name.encode())
    w.sync("D1", "R1")
    w["R1"].store.delete("a")
    w.settle_and_check()
    assert w["D1"].store.tree() == {"b": b"b"}


def test_nothing_leaves_that_is_in_a_folder_here_which_cannot_be_looked_at(tmp_path: Path) -> None:
    """Perhaps the disk under it is gone, and then what the device has is all there is."""
    w = World(tmp_path)
    store = w.desks["D1"].store
    for name in ("d/a", "b"):
        store.write(name, name.encode())
    w.sync("D1", "R1")
    w.set_filter("R1", Filter(exclude=["*"]))
    away, items = store.objects.pop("d/a"), store.items

    def hidden() -> "Iterator[tuple[str, bytes]]":
        yield from items()
        store.skipped = [("d", UNREADABLE)]

    store.items = hidden  # type: ignore[method-assign]
    for _ in range(2):
        assert w.sync("D1", "R1").skipped == [("d", STATUS_TEXT[UNREADABLE])]
        assert w["R1"].store.tree() == {"d/": b"", "d/a": b"d/a"}
    store.items = items  # type: ignore[method-assign]
    store.objects["d/a"] = away
    w.settle_and_check()
    assert w["R1"].store.tree() == {}


# -- policies


@pytest.mark.parametrize("policy", ["desktop", "device", "newest", "both", "merge", "skip", "provider"])
def test_a_file_of_the_devices_user_where_a_name_stands(tmp_path: Path, policy: str) -> None:
    """A conflict like any other. What wins as its user made it there stays there; what loses is kept."""
    w = filtered(tmp_path, NO_JPG)
    w["D1"].store.write("a.jpg", DESKTOP)
    w.sync("D1", "R1")
    w.advance()
    w["R1"].store.write("a.jpg", CAMERA)
    w.advance()
    for _ in range(2):
        result = w.sync("D1", "R1", policy=policy)  # type: ignore[arg-type]
        assert result.skipped == []
    wins, waits = policy in ("device", "newest"), policy in ("skip", "provider")
    assert w["R1"].store.tree() == ({"a.jpg": CAMERA} if wins or waits else {})
    assert w["D1"].store.read("a.jpg") == (CAMERA if wins else DESKTOP)
    assert {DESKTOP, CAMERA} <= set(w.contents())
    w.settle_and_check()


# -- directions


@pytest.mark.parametrize("revert", [False, True])
def test_to_device(tmp_path: Path, revert: bool) -> None:
    """The filter is carried out; what the device's own user made astray is shown, and goes with `--revert` alone."""
    w = filtered(tmp_path, NO_JPG)
    for name in ("a.jpg", "b.jpg", "c"):
        w["D1"].store.write(name, name.encode())
    w.sync("D1", "R1", direction="to-device")
    w.set_filter("R1", Filter(exclude=["c", "a.jpg"]))
    assert w.sync("D1", "R1", direction="to-device").left == 1
    w.advance()
    w["R1"].store.write("a.jpg", b"astray, under a name")
    w["R1"].store.write("own", b"astray")
    differing = [one.identity for one in w.preview("D1", "R1", direction="to-device").deviations]
    assert differing == ["a.jpg", "own"]
    w.sync("D1", "R1", direction="to-device", revert=revert)
    there = {"b.jpg": b"b.jpg"}
    assert w["R1"].store.tree() == (there if revert else there | {"a.jpg": b"astray, under a name", "own": b"astray"})
    assert w["D1"].store.tree() == {name: name.encode() for name in ("a.jpg", "b.jpg", "c")}
    assert w.losers() == ([b"astray", b"astray, under a name"] if revert else [])
    w.settle_and_check()


@pytest.mark.parametrize("revert", [False, True])
def test_to_desktop(tmp_path: Path, revert: bool) -> None:
    """Nothing goes to the device, so its filter is no deviation of this desktop's, and nothing is due."""
    w = filtered(tmp_path, NO_JPG)
    for name in ("a.jpg", "b.jpg", "c"):
        w["D1"].store.write(name, name.encode())
    w.sync("D1", "R1")
    w.set_filter("R1", Filter(exclude=["c"]))
    assert w.preview("D1", "R1", direction="to-desktop").lines() == []
    result = w.sync("D1", "R1", direction="to-desktop", revert=revert)
    assert (result.deviations, result.left, w["R1"].store.tree()) == (0, 0, {"c": b"c"})
    w.advance()
    w["D1"].store.write("own.jpg", b"astray")
    w["D1"].store.chmod("a.jpg", 0o600)
    assert w.sync("D1", "R1", direction="to-desktop").deviations == 1
    w.sync("D1", "R1", direction="to-desktop", revert=revert)
    assert ("own.jpg" in w["D1"].store.objects) != revert
    assert {"a.jpg", "b.jpg", "c"} <= w["D1"].store.objects.keys() and w["R1"].store.tree() == {"c": b"c"}
    w.settle_and_check()


# -- records, time


@pytest.mark.parametrize("policy", ["desktop", "device", "provider"])
def test_records_that_belong_together_where_one_is_not_wanted(tmp_path: Path, policy: str) -> None:
    """Field groups merge past a device that has the record by name only; a household is half there."""
    w = People2(tmp_path, desktops=("D1", "D2"), devices=("R1", "R2"))
    w.set_filter("R1", Filter(exclude=["bob", "h/y"]))
    w.known("ann", "bob", "h/x", "h/y")
    w.edit("D1", "bob", last="Smith")
    w.edit("D2", "bob", phone="2222")
    for name in ("h/x", "h/y"):
        w.edit("D1", name, last="moved in")
    w.advance()
    w.sync("D1", "R1", policy=policy)  # type: ignore[arg-type]
    result = w.sync("D2", "R1", policy=policy)  # type: ignore[arg-type]
    assert w["R1"].store.tree().keys() == {"ann", "h/x"}
    assert (result.absent, result.skipped, result.conflicts) == (2, [], 0)
    w.settle()
    assert w.people("D1").record("bob") == ANN | {"last": "Smith", "phone": "2222"}
    w.set_filter("R1", Filter())
    w.settle_and_check()
    assert w["R1"].store.tree() == w["D1"].store.tree()


def test_time_passes_for_each_desktop_by_its_own_clock(tmp_path: Path) -> None:
    """What aged out leaves once, comes back with an edit or another limit, and no two desktops send it to and fro."""
    w = two_ways(tmp_path, Filter(newer_than=3600))
    w["D1"].store.write("a", b"a")
    w.settle(1)
    w.advance(3000)
    w["D2"].store.write("b", b"b")
    w.sync("D2", "R1")
    w.advance(700)
    assert "leave     a on R1: its filter does not want it, the name stays" in w.preview("D1", "R1").lines()
    assert [w.sync(name, "R1").left for name in ("D2", "D1", "D2", "D1")] == [1, 0, 0, 0]
    w["D1"].store.chmod("a", 0o600)
    w["D1"].store.rename("a", "aa")
    w.settle(1)
    assert w["R1"].store.tree() == {"b": b"b"}, "neither makes it young"
    w.advance(10)
    w["D1"].store.write("aa", b"edited")
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {"aa": b"edited", "b": b"b"}
    w.advance(9999)
    w.settle_and_check()
    assert w["R1"].store.tree() == {}
    w.set_filter("R1", Filter(newer_than=10**6))
    w.settle_and_check()
    assert w["R1"].store.tree() == {"aa": b"edited", "b": b"b"}


# -- folders, moves


def test_a_folder_made_by_hand_where_a_name_stands_and_removed_takes_nothing_along(tmp_path: Path) -> None:
    w = filtered(tmp_path, Filter(on_demand=True))
    for name in ("d/a", "d/e/b", "f/h"):
        w["D1"].store.write(name, name.encode())
    w.sync("D1", "R1")
    for name in ("d", "f"):
        w["R1"].store.mkdir(name, 0o700)
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {"d/": b"", "f/": b""}
    w["R1"].store.delete("d")
    w.sync("D1", "R1")
    assert w["D1"].store.tree().keys() == {"d/", "d/a", "d/e/", "d/e/b", "f/", "f/h"}
    w.settle_and_check()


def test_a_file_where_the_name_of_a_folder_stands(tmp_path: Path) -> None:
    w = filtered(tmp_path, NO_JPG)
    w["D1"].store.write("d.jpg/a", b"a")
    w.sync("D1", "R1")
    w.advance()
    w["R1"].store.write("d.jpg", CAMERA)
    assert w.sync("D1", "R1").skipped == []
    assert w.losers() == [CAMERA] and w["D1"].store.tree() == {"d.jpg/": b"", "d.jpg/a": b"a"}
    w.settle_and_check()


def test_a_folder_where_the_name_of_a_file_stands(tmp_path: Path) -> None:
    w = filtered(tmp_path, NO_JPG)
    w["D1"].store.write("d.jpg", DESKTOP)
    w.sync("D1", "R1")
    w.advance()
    w["R1"].store.write("d.jpg/new", CAMERA)
    w.sync("D1", "R1")
    assert w.losers() == [DESKTOP] and w["D1"].store.tree() == {"d.jpg/": b"", "d.jpg/new": CAMERA}
    w.settle_and_check()


def test_edits_follow_a_folder_out_of_the_filter(tmp_path: Path) -> None:
    w = two_ways(tmp_path, Filter(exclude=["/out/"]))
    w["D1"].store.write("in/a", b"a" * 50)
    w.settle(2)
    w.advance()
    w["D1"].store.rename("in", "out")
    w["D2"].store.write("in/a", b"edited meanwhile")
    w["R1"].store.write("in/a", b"edited on R1 too")
    w.advance()
    w.settle()
    assert {b"edited meanwhile", b"edited on R1 too"} <= set(w.contents())
    w.settle_and_check()
    assert w["D1"].store.tree().keys() == {"out/", "out/a"}


def test_the_devices_user_moves_something_out_of_the_filter_and_it_stays(tmp_path: Path) -> None:
    w = filtered(tmp_path, Filter(exclude=["/out/"]))
    w["D1"].store.write("in/a", b"a" * 50)
    w["D1"].store.write("out/b", b"b" * 50)
    w.sync("D1", "R1")
    w.advance()
    w["R1"].store.rename("in", "out")
    w.settle_and_check()
    assert w["R1"].store.tree() == {"out/": b"", "out/a": b"a" * 50}
    assert w["D1"].store.tree() == {"out/": b"", "out/a": b"a" * 50, "out/b": b"b" * 50}


# -- names


def test_a_name_that_cannot_be_there_is_known_there_all_the_same(tmp_path: Path) -> None:
    w = filtered(tmp_path, NO_JPG)
    w["R1"].store.names = CASELESS | FAT_NAMES
    for name in ("a:b.jpg", "x.JPG", "X.jpg"):
        w["D1"].store.write(name, name.encode())
    assert w.sync("D1", "R1").skipped == []
    w.advance()
    w["D1"].store.write("a:b.jpg", b"edited")
    assert w.sync("D1", "R1").skipped == []
    w["D1"].store.delete("a:b.jpg")
    assert w.sync("D1", "R1").skipped == []
    w.settle_and_check()


def test_a_file_whose_name_differs_from_a_name_by_case(tmp_path: Path) -> None:
    w = filtered(tmp_path, NO_JPG)
    w["R1"].store.names = CASELESS | FAT_NAMES
    w["D1"].store.write("x.jpg", b"1")
    w.sync("D1", "R1")
    w.advance()
    w["R1"].store.write("X.JPG", CAMERA)
    w.sync("D1", "R1")
    w.advance()
    w["D1"].store.write("x.jpg", b"edited")
    assert w.sync("D1", "R1").skipped == []
    assert w["D1"].store.tree() == {"x.jpg": b"edited", "X.JPG": CAMERA}
    w.settle_and_check()


def test_a_name_that_is_filled_gives_way_or_another_does(tmp_path: Path) -> None:
    w = filtered(tmp_path, Filter(exclude=["x.jpg"]))
    w["R1"].store.names = CASELESS | FAT_NAMES
    for name in ("x.jpg", "X.JPG"):
        w["D1"].store.write(name, name.encode())
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {"X.JPG": b"X.JPG"}
    w.set_filter("R1", Filter())
    assert w.sync("D1", "R1").skipped == []
    assert sorted(w["R1"].store.tree().values()) == [b"X.JPG", b"x.jpg"]
    w.settle_and_check()


def test_a_folder_that_holds_what_is_not_wanted_does_not_give_way_for_ever(tmp_path: Path) -> None:
    """It would have to live again for that at each sync, and give way again."""
    w = World(tmp_path, desktops=("D1", "D2"), devices=("R1", "R2"))
    w["R1"].store.names = CASELESS | FAT_NAMES
    w.set_filter("R1", Filter(exclude=["a"]))
    w["D1"].store.write("D/a", b"upper")
    w["D2"].store.write("d/a", b"lower")
    w.settle(4)
    before = [w[name].store.tree() for name in w.names]
    for desktop in w.desktops:
        for device in w.devices:
            result = w.sync(desktop, device)
            assert result.to_device.total() + result.to_desktop.total() == 0
            assert [item for item, _ in result.skipped] == (["D"] if device == "R1" else [])
    assert [w[name].store.tree() for name in w.names] == before
    assert before[0] == before[1] == before[3] == {"D/": b"", "D/a": b"upper", "d/": b"", "d/a": b"lower"}
    assert before[2] == {"d/": b""}


# -- copies and states that were put back


def test_a_copy_of_a_filtered_device_has_its_filter(tmp_path: Path) -> None:
    w = World(tmp_path, devices=("R1", "R2"))
    w.set_filter("R1", NO_JPG)
    for name in ("a.jpg", "b"):
        w["D1"].store.write(name, name.encode())
    w.sync("D1", "R1")
    w.clone("R1", "R2")
    w["D1"].store.write("c.jpg", b"c")
    w["R2"].store.write("e", b"e")
    w.settle(1)
    assert w["R2"].store.tree() == {"b": b"b", "e": b"e"}
    w.set_filter("R2", Filter())
    w.settle_and_check()
    assert w["R2"].store.tree() == w["D1"].store.tree()


def test_a_device_that_was_put_back_to_before_its_filter_was_carried_out(tmp_path: Path) -> None:
    w = World(tmp_path)
    for name in ("a.jpg", "b"):
        w["D1"].store.write(name, name.encode())
    w.sync("D1", "R1")
    w.set_filter("R1", NO_JPG)
    backup = w.save("R1", tmp_path / "backup")
    for edit in (w["R1"].store.write, lambda name, _: w["R1"].store.delete(name)):
        edit("c", b"c")
        w.sync("D1", "R1")
    w.put_back("R1", backup)
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {"b": b"b"}
    w.settle_and_check()


def test_a_desktop_that_was_wiped_and_edits_what_is_there_by_name_only(tmp_path: Path) -> None:
    w = two_ways(tmp_path, NO_JPG)
    for name in ("a.jpg", "b", "d/c.jpg"):
        w["D1"].store.write(name, name.encode())
    w.settle(2)
    w.forget_everything("D1")
    w.advance()
    w["D1"].store.write("a.jpg", b"edited then")
    assert w.sync("D1", "R1").absent == 1
    w.settle()
    assert {b"edited then", b"a.jpg"} <= set(w.contents()) and w["D2"].store.read("d/c.jpg") == b"d/c.jpg"
    w.settle_and_check()


# -- whose it is


def test_a_filter_that_nobody_here_can_read_can_be_ended(tmp_path: Path) -> None:
    """A later version set it, or the desktop that did is gone."""
    w = World(tmp_path)
    w["D1"].store.write("a", b"a")
    meta = w.boards["R1"].end.agent.replicas["files"].settled()
    meta.set_note(FILTER, (7).to_bytes(4, "big") + b"colour red\n")
    meta.commit()
    with pytest.raises(FilterError, match="newer cradle"):
        w.sync("D1", "R1")
    connection, pump = w._connect("D1", "R1", None)
    store = StoreFilter(connection, "files")
    with pytest.raises(FilterError, match="newer cradle"):
        store.own(Filter("me", exclude=["a"]))
    store.own(Filter("me"))
    assert store.filter.everything() and store.filter.owner == "me"
    pump.end_session()
    w.settle_and_check()
    assert w["R1"].store.tree() == {"a": b"a"}
