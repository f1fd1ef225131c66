"""Names that a side cannot hold, or cannot tell apart: skipped or renamed, planned and told, never the end of a sync.

Real engine, real agent, stores in memory that fold case as FAT does.
"""

import random
import unicodedata
from pathlib import Path

import pytest

from cradle_desktop.conflict.resolve import kept_name
from cradle_desktop.sync.filter import Filter
from cradle_desktop.sync.naming import Names
from cradle_protocol.errors import NO_ROOM, READ_ONLY
from cradle_protocol.provider.paths import CASELESS, COMPOSED, FAT_NAMES
from cradle_protocol.sync.item import item_id
from cradle_testing.scenes import SIDES, TWO_DESKTOPS, TWO_DEVICES, sync_in_a_power_cut
from cradle_testing.stores import MemoryStore
from cradle_testing.worlds import Cut, World

FAT = CASELESS | FAT_NAMES


def beside(path: str) -> str:
    """What a path is called that had to give way."""
    return kept_name(path, "", item_id("files", path))


def pair_of(*paths: str) -> "tuple[str, str]":
    """Of two paths the one that stays and the one that gives way."""
    first, second = sorted(paths, key=lambda path: item_id("files", path))
    return first, second


def caseless(w: World, *names: str) -> None:
    for name in names:
        w[name].store.names = FAT


# -- two names that are one


@pytest.mark.parametrize("folding", ["D1", "R1"])
def test_names_that_differ_by_case_are_both_had(tmp_path: Path, folding: str) -> None:
    """The other side has both, or each side has one: the same one gives way, on both sides, and content is not lost."""
    w = World(tmp_path)
    caseless(w, folding)
    other = "R1" if folding == "D1" else "D1"
    w[other].store.write("Readme.txt", b"1")
    w[other].store.write("readme.txt", b"22")
    w.advance()
    result = w.sync("D1", "R1")
    stays, gives = pair_of("Readme.txt", "readme.txt")
    contents = {"Readme.txt": b"1", "readme.txt": b"22"}
    assert w["D1"].store.tree() == {stays: contents[stays], beside(gives): contents[gives]}
    assert (result.skipped, result.conflicts) == ([], 0)
    assert w.notes == [f"{gives} was renamed to {beside(gives)}: one name with another on {_side(folding)}"]
    w.settle_and_check()


def _side(name: str) -> str:
    return "this desktop" if name == "D1" else name


@pytest.mark.parametrize("mine", ["readme", "README"])
def test_each_side_has_one_of_two_names(tmp_path: Path, mine: str) -> None:
    w = World(tmp_path)
    caseless(w, "R1")
    theirs = "README" if mine == "readme" else "readme"
    w["D1"].store.write(mine, b"desktop")
    w["R1"].store.write(theirs, b"device")
    w.advance()
    lines = w.preview("D1", "R1").lines()
    w.sync("D1", "R1")
    stays, gives = pair_of("readme", "README")
    by = {mine: b"desktop", theirs: b"device"}
    assert w["D1"].store.tree() == w["R1"].store.tree() == {stays: by[stays], beside(gives): by[gives]}
    assert f"rename    {gives} to {beside(gives)}: one name with another on R1" in lines
    w.settle_and_check()


@pytest.mark.parametrize("known", [False, True])
def test_a_name_that_gives_way_carries_no_content_twice(tmp_path: Path, known: bool) -> None:
    """What the device has already it renames itself: its content does not come back to it."""
    w = World(tmp_path)
    caseless(w, "R1")
    stays, gives = pair_of("readme", "README")
    w["R1"].store.write(gives, b"x" * 1000)
    w.advance()
    if known:
        w.sync("D1", "R1")
    w["D1"].store.write(stays, b"y")
    w.advance()
    w.content_bytes = 0
    w.sync("D1", "R1")
    assert w.content_bytes == (1 if known else 1001)
    assert w["R1"].store.tree() == {stays: b"y", beside(gives): b"x" * 1000}
    w.settle_and_check()


def test_equal_contents_under_two_names_become_one(tmp_path: Path) -> None:
    """A card whose names were all written in capitals meets its own contents: nothing is doubled, nothing is sent."""
    w = World(tmp_path)
    caseless(w, "R1")
    for k in range(12):
        w["D1"].store.write(f"photo{k}.jpg", b"picture %d" % k)
        w["R1"].store.write(f"PHOTO{k}.JPG", b"picture %d" % k)
    w.advance()
    plan = w.preview("D1", "R1")
    assert sum(line.startswith("merge ") for line in plan.lines()) == 12
    result = w.sync("D1", "R1")
    assert w["D1"].store.tree() == w["R1"].store.tree() and len(w["D1"].store.tree()) == 12
    assert set(w["D1"].store.tree()) == {pair_of(f"photo{k}.jpg", f"PHOTO{k}.JPG")[0] for k in range(12)}
    assert (result.conflicts, w.content_bytes, len(w.notes)) == (0, 0, 11)
    assert w.notes[-1] == "2 more names gave way for the same reason"
    w.settle_and_check()


@pytest.mark.parametrize("folding", [("R1",), ("D1",), ("D1", "R1")])
def test_folders_that_are_one_become_one(tmp_path: Path, folding: "tuple[str, ...]") -> None:
    w = World(tmp_path)
    caseless(w, *folding)
    w["D1"].store.write("Docs/mine", b"1")
    w["D1"].store.write("Docs/sub/both", b"desktop")
    w["R1"].store.write("docs/theirs", b"2")
    w["R1"].store.write("docs/SUB/both", b"device!")
    w["R1"].store.mkdir("docs/empty")
    w.advance()
    w.sync("D1", "R1")
    w.settle_and_check()
    tree = w["D1"].store.tree()
    docs = pair_of("Docs", "docs")[0]
    assert {path.split("/")[0] for path in tree} == {docs}
    assert tree[f"{docs}/mine"] == b"1" and tree[f"{docs}/theirs"] == b"2" and f"{docs}/empty/" in tree
    assert {b"desktop", b"device!"} <= set(w.contents())
    assert len([path for path in tree if path.endswith("/")]) == 3


@pytest.mark.parametrize("where", SIDES)
def test_a_file_gives_way_to_a_folder(tmp_path: Path, where: "tuple[str, str]") -> None:
    w = World(tmp_path)
    caseless(w, "R1")
    w[where[0]].store.write("NOTES", b"a file")
    w[where[1]].store.write("notes/a", b"in a folder")
    w.advance()
    w.sync("D1", "R1")
    w.settle_and_check()
    assert w["D1"].store.tree() == {"notes/": b"", "notes/a": b"in a folder", beside("NOTES"): b"a file"}


def test_ce14_two_desktops_settle_one_collision_alone(tmp_path: Path) -> None:
    """Each desktop meets the collision with a device of its own, then they meet: the same names, no third copy."""
    w = World(tmp_path, desktops=TWO_DESKTOPS, devices=("R1", "R2", "R3"))
    caseless(w, "R1", "R2")
    for desktop in TWO_DESKTOPS:
        w[desktop].store.write("readme", b"small")
        w[desktop].store.write("README", b"LARGE")
        w[desktop].store.write("Dir/a", b"in Dir")
        w[desktop].store.write("dir/a", b"in dir")
    w.advance()
    w.sync("D1", "R1")
    w.sync("D2", "R2")
    assert w["D1"].store.tree() == w["D2"].store.tree()
    before = w["D1"].store.tree()
    w.sync("D1", "R3")
    w.sync("D2", "R3")
    w.settle_and_check()
    assert w["R3"].store.tree() == before and len(before) == 5
    assert not w.losers()


def test_ce14_edits_on_both_sides_of_a_collision(tmp_path: Path) -> None:
    """What gives way was edited elsewhere under its old name meanwhile: the edit follows it."""
    w = World(tmp_path, desktops=TWO_DESKTOPS, devices=TWO_DEVICES)
    stays, gives = pair_of("readme", "README")
    w["D1"].store.write(stays, b"stays")
    w["D1"].store.write(gives, b"gives")
    w.advance()
    w.settle(2)
    w["D2"].store.write(gives, b"edited")
    w.advance()
    w["R1"].store.objects.clear()
    w["R1"].store.names = FAT  # its files were copied to a card
    w["R1"].store.write(stays, b"stays")
    w.sync("D1", "R1")
    w.sync("D2", "R2")
    w.settle_and_check()
    assert b"edited" in w["D1"].store.tree().values()


@pytest.mark.parametrize("step", range(1, 8))
def test_a_power_cut_while_a_name_gives_way(tmp_path: Path, step: int) -> None:
    w = World(tmp_path)
    caseless(w, "R1")
    w["D1"].store.write("readme", b"small")
    w["D1"].store.write("Dir/a", b"in Dir")
    w["D1"].store.sync()
    w["R1"].store.write("README", b"LARGE")
    w["R1"].store.write("dir/a", b"in dir")
    w.advance()
    sync_in_a_power_cut(w, step)
    w.settle_and_check()
    assert {b"small", b"LARGE", b"in Dir", b"in dir"} == set(w["D1"].store.tree().values()) - {b""}


@pytest.mark.parametrize("cut", range(200, 3200, 150))
def test_a_cut_while_a_name_gives_way(tmp_path: Path, cut: int) -> None:
    w = World(tmp_path, batch_items=2)
    caseless(w, "R1")
    for name in ("readme", "Dir/a", "other"):
        w["D1"].store.write(name, b"d" * 300)
    for name in ("README", "dir/a"):
        w["R1"].store.write(name, b"R" * 300)
    w.advance()
    try:
        w.sync("D1", "R1", cut_after=cut)
    except Cut:
        w["R1"].restart()
    w.settle_and_check()
    assert sorted(w["D1"].store.tree().values()) == [b""] + [b"R" * 300] * 2 + [b"d" * 300] * 3


@pytest.mark.parametrize("how", ["policy skip", "policy ask", "setting", "one way"])
@pytest.mark.parametrize("folding", ["D1", "R1"])
def test_names_may_be_left_as_they_are(tmp_path: Path, how: str, folding: str) -> None:
    """What came later is left out, each time the same; no content is sent for it."""
    w = World(tmp_path)
    caseless(w, folding)
    other = "R1" if folding == "D1" else "D1"
    w[folding].store.write("README", b"one")
    w.advance()
    w.sync("D1", "R1")
    w[other].store.write("readme", b"two")
    w.advance()
    w.content_bytes = 0
    options = {"policy": how[7:]} if how.startswith("policy") else {}
    if how == "one way":
        options = {"direction": "to-desktop" if folding == "D1" else "to-device"}
    w.collision = "skip" if how == "setting" else "rename"
    told = [w.sync("D1", "R1", **options).skipped for _ in range(3)]  # type: ignore[arg-type]
    assert told[0] == told[1] == told[2] and [path for path, _ in told[0]] == ["readme"]
    assert "one name with another" in told[0][0][1] and told[0][0][1].startswith("on R1: " if folding == "R1" else "it")
    assert w.content_bytes == 0 and w[folding].store.tree() == {"README": b"one"}
    w[other].store.rename("readme", "read me")
    w.advance()
    w.settle_and_check()
    assert set(w["D1"].store.tree()) == {"README", "read me"}


def test_a_name_comes_free(tmp_path: Path) -> None:
    """No collision: one of the two goes in the same sync, or is renamed by its case alone."""
    w = World(tmp_path)
    caseless(w, "R1")
    w["D1"].store.write("readme", b"x")
    w["D1"].store.write("old", b"old")
    w.sync("D1", "R1")
    w.advance()
    w["D1"].store.rename("readme", "README")
    w["D1"].store.delete("old")
    w["D1"].store.write("OLD", b"other")
    w.advance()
    result = w.sync("D1", "R1")
    assert not result.skipped and w.notes == []
    assert w["R1"].store.tree() == {"README": b"x", "OLD": b"other"}
    w.settle_and_check()


def test_what_a_device_does_not_want_is_in_nobodys_way(tmp_path: Path) -> None:
    """A device with a filter has it by name only: no collision, until the filter changes."""
    w = World(tmp_path)
    caseless(w, "R1")
    w.set_filter("R1", Filter(exclude=("README",)))
    w["D1"].store.write("README", b"LARGE")
    w["D1"].store.write("readme", b"small")
    w.advance()
    assert not w.sync("D1", "R1").skipped and w.notes == []
    assert set(w["D1"].store.tree()) == {"README", "readme"} and w["R1"].store.tree() == {"readme": b"small"}
    w.set_filter("R1", Filter())
    w.sync("D1", "R1")
    w.settle_and_check()
    stays, gives = pair_of("README", "readme")
    assert set(w["R1"].store.tree()) == {stays, beside(gives)}


def test_a_folder_that_holds_what_cannot_be_there_does_not_give_way_for_ever(tmp_path: Path) -> None:
    """It would have to live again for that at each sync, and give way again."""
    w = World(tmp_path)
    caseless(w, "R1")
    stays, gives = pair_of("d", "D")
    w["D1"].store.write(f"{stays}/a", b"1")
    w["D1"].store.write(f"{gives}/b:c", b"2")
    w["D1"].store.write(f"{gives}/e", b"3")
    for _ in range(3):
        w.sync("D1", "R1")
        w.advance()
    before = w["D1"].store.tree(), w["R1"].store.tree()
    result = w.sync("D1", "R1")
    assert sorted(item for item, _ in result.skipped) == [gives, f"{gives}/b:c"]
    assert result.to_desktop.total() + result.to_device.total() == 0
    assert (w["D1"].store.tree(), w["R1"].store.tree()) == before
    assert before[1] == {f"{stays}/": b"", f"{stays}/a": b"1", f"{stays}/e": b"3"}


# -- composed and decomposed accents

NFC = unicodedata.normalize("NFC", "crème.txt")
NFD = unicodedata.normalize("NFD", NFC)


@pytest.mark.parametrize("twin", [None, b"same", b"other"])
def test_a_decomposed_name_is_composed(tmp_path: Path, twin: "bytes | None") -> None:
    """A board keeps names byte by byte; a desktop's folder has one spelling of an accent."""
    w = World(tmp_path)
    w["D1"].store.names = COMPOSED
    w["R1"].store.write(NFD, b"same")
    if twin is not None:
        w["R1"].store.write(NFC, twin)
    w.advance()
    result = w.sync("D1", "R1")
    w.settle_and_check()
    expected = {NFC: twin or b"same"} | ({beside(NFD.replace(NFD, NFC)): b"same"} if twin == b"other" else {})
    tree = w["D1"].store.tree()
    assert result.skipped == [] and len(tree) == len(expected) and sorted(tree.values()) == sorted(expected.values())
    assert all(unicodedata.is_normalized("NFC", path) for path in tree)


def test_a_decomposed_folder_is_composed(tmp_path: Path) -> None:
    w = World(tmp_path)
    w["D1"].store.names = COMPOSED
    w["R1"].store.write(f"{NFD}/a", b"1")
    w["D1"].store.write(f"{NFC}/b", b"2")
    w.advance()
    w.sync("D1", "R1")
    w.settle_and_check()
    assert w["R1"].store.tree() == {f"{NFC}/": b"", f"{NFC}/a": b"1", f"{NFC}/b": b"2"}


# -- names that are not possible

ILLEGAL = ["a:b", "what?", "end.", "end ", "tab\t", "x:/y", 'a"b', "CRADLE~1", "cradle~2/y"]


@pytest.mark.parametrize("name", ILLEGAL)
@pytest.mark.parametrize("tight", ["D1", "R1"])
def test_an_impossible_name_is_skipped_with_a_reason(tmp_path: Path, name: str, tight: str) -> None:
    w = World(tmp_path)
    caseless(w, tight)
    other = "R1" if tight == "D1" else "D1"
    w[other].store.write(name, b"x" * 100)
    w[other].store.write("fine", b"f")
    w.advance()
    lines = w.preview("D1", "R1").lines()
    w.content_bytes = 0
    result = w.sync("D1", "R1")
    assert w[tight].store.tree() == {"fine": b"f"} and w.content_bytes == 1
    top = name.split("/")[0]
    assert {path.split("/")[0] for path, _ in result.skipped} == {top}
    where = "it cannot be on this desktop: " if tight == "D1" else "on R1: it cannot be there: "
    assert all(reason.startswith(where + "a name ") for _, reason in result.skipped)
    assert [f"skip      {path}: {reason}" for path, reason in result.skipped] == lines[-len(result.skipped) :]
    assert w.sync("D1", "R1").skipped == result.skipped
    w[other].store.rename(top, "renamed")
    w.advance()
    w.settle_and_check()


@pytest.mark.parametrize("name", ILLEGAL)
@pytest.mark.parametrize("tight", ["D1", "R1"])
def test_an_impossible_name_may_be_renamed(tmp_path: Path, name: str, tight: str) -> None:
    w = World(tmp_path)
    caseless(w, tight)
    w.impossible = "rename"
    other = "R1" if tight == "D1" else "D1"
    w[other].store.write(name, b"x")
    w.advance()
    result = w.sync("D1", "R1")
    assert result.skipped == [] and len(w.notes) == 1 + ("/" in name)
    w.settle_and_check()
    assert b"x" in w[tight].store.tree().values() and not any(":" in path for path in w[other].store.tree())


@pytest.mark.parametrize("side", ["D1", "R1"])
def test_a_name_or_path_that_is_too_long(tmp_path: Path, side: str) -> None:
    w = World(tmp_path)
    w[side].store.name_max, w[side].store.path_max = 20, 60
    other = "R1" if side == "D1" else "D1"
    long, deep, accents = "n" * 21, "/".join(["folder"] * 9), "é" * 11
    for path in (long, deep, accents, "fine", "é" * 10):
        w[other].store.write(path, path.encode())
    w.advance()
    result = w.sync("D1", "R1")
    assert {path for path, _ in result.skipped} == {long, deep, accents}
    assert {"fine", "é" * 10} <= set(w[side].store.tree())
    reasons = dict(result.skipped)
    assert "a name is longer than 20 bytes" in reasons[long] and "the path is longer than 60 bytes" in reasons[deep]


def test_a_copy_that_is_kept_beside_is_fitted_as_well(tmp_path: Path) -> None:
    """`both` makes a name of its own: where that is too long for the device it stays on the desktop, and is told."""
    w = World(tmp_path)
    w["R1"].store.name_max = 20
    w["D1"].store.write("a name of 18.bytes", b"base")
    w.sync("D1", "R1")
    w.advance()
    w["D1"].store.write("a name of 18.bytes", b"desktop")
    w["R1"].store.write("a name of 18.bytes", b"device")
    w.advance()
    result = w.sync("D1", "R1", policy="both")
    assert sorted(w["D1"].store.tree().values()) == [b"desktop", b"device"]
    assert len(result.skipped) == 1 and "longer than 20 bytes" in result.skipped[0][1]
    assert w["R1"].store.tree() == {"a name of 18.bytes": b"desktop"}


# -- no room, read-only, a parent that cannot be


@pytest.mark.parametrize("side", ["D1", "R1"])
@pytest.mark.parametrize("status", [NO_ROOM, READ_ONLY])
def test_what_cannot_be_written_is_skipped_alone(tmp_path: Path, side: str, status: int) -> None:
    w = World(tmp_path)
    other = "R1" if side == "D1" else "D1"
    for name in ("a", "b", "d/c"):
        w[other].store.write(name, name.encode())
    w[side].store.failing_writes.update({"b": status, "d": status, "d/c": status})
    w.advance()
    result = w.sync("D1", "R1")
    assert {path for path, _ in result.skipped} == {"b", "d", "d/c"} and w[side].store.tree() == {"a": b"a"}
    assert all(reason for _, reason in result.skipped)
    w[side].store.failing_writes.clear()
    w.settle_and_check()
    assert len(w["D1"].store.tree()) == 4


@pytest.mark.parametrize("side", ["D1", "R1"])
def test_a_full_store_takes_what_fits(tmp_path: Path, side: str) -> None:
    w = World(tmp_path)
    other = "R1" if side == "D1" else "D1"
    for k in range(6):
        w[other].store.write(f"f{k}", b"x" * 100)
    w[side].store.full = 350
    w.advance()
    result = w.sync("D1", "R1")
    assert len(w[side].store.tree()) == 3 and len(result.skipped) == 3
    assert {reason for _, reason in result.skipped} <= {"there is no room left", "on R1: there is no room left"}
    w[side].store.full = None
    w.settle_and_check()


@pytest.mark.parametrize("side", ["D1", "R1"])
def test_something_stands_where_a_folder_must_be(tmp_path: Path, side: str) -> None:
    """A link, say, that no scan shows: what is below it is skipped, the rest goes on."""
    w = World(tmp_path)
    other = "R1" if side == "D1" else "D1"
    w[other].store.write("d/f", b"1")
    w[other].store.write("e", b"2")
    w[side].store.write("d", b"in the way")
    w[side].store.hidden["d"] = 7
    w.advance()
    result = w.sync("D1", "R1")
    assert {"d", "d/f"} >= {path for path, _ in result.skipped} != set()
    assert w[side].store.read("d") == b"in the way" and w[side].store.read("e") == b"2"
    del w[side].store.hidden["d"]
    w[side].store.delete("d")
    w.advance()
    w.settle_and_check()
    assert w["D1"].store.read("d/f") == b"1"


# -- random worlds


def random_names(seed: int, folder: Path) -> None:
    """Two desktops, two devices, some of which fold names; random files and syncs. All comes to rest, all is there."""
    rng = random.Random(seed)
    w = World(folder, desktops=TWO_DESKTOPS, devices=TWO_DEVICES, batch_items=rng.choice((1, 3, 100)))
    caseless(w, *rng.sample(w.names, rng.randrange(1, 5)))
    w.impossible = "rename"
    written: set[bytes] = set()
    for step in range(rng.randrange(3, 9)):
        store = w[rng.choice(w.names)].store
        path = "/".join(rng.choice(("a", "A", "b", "B" if store.names else "B:")) for _ in range(rng.randrange(1, 4)))
        if _free(store, path):
            store.write(path, b"%d" % (step // 2))
            written.add(b"%d" % (step // 2))
        w.advance()
        if rng.random() < 0.6:
            w.sync(rng.choice(TWO_DESKTOPS), rng.choice(TWO_DEVICES))
    w.settle_and_check()
    assert written <= set(w.contents())


def _free(store: MemoryStore, path: str) -> bool:
    """Can a file come there without another one going?"""
    rules = Names(store.names)
    taken = {rules.key(found): one.content for found, one in store.objects.items()}
    key = rules.key(path)
    above = [key.rsplit("/", n)[0] for n in range(1, key.count("/") + 1)]
    return key not in taken and all(taken.get(one) is None for one in above)


@pytest.mark.parametrize("seed", range(20))
def test_random_names(tmp_path: Path, seed: int) -> None:
    random_names(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20, 400))
def test_random_names_at_length(tmp_path: Path, seed: int) -> None:
    random_names(seed, tmp_path)
