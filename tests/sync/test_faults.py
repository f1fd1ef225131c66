"""What may go wrong in a sync: the link is cut anywhere, a disk is full, an object changes while it is read."""

import shutil
from pathlib import Path

import pytest

from cradle_protocol.errors import READ_ONLY
from cradle_testing.worlds import Cut, World

# A sync of this world moves so many bytes and a few more; the last cuts come after its end.
WHOLE = 1400
# The default run tries every so manieth byte, the long one every one.
STRIDE = 61


def small_world(folder: Path) -> World:
    """Both sides have something for the other: creates, an edit, a rename, a delete, a mode, a directory."""
    w = World(folder)
    for name in ("kept", "edited", "moved", "deleted"):
        w["D1"].store.write(name, b"old " + name.encode())
    w.sync("D1", "R1")
    for name in ("D1", "R1"):
        w[name].store.advance(10)
    w["D1"].store.write("edited", b"new from the desktop")
    w["D1"].store.rename("moved", "d/moved")
    w["D1"].store.write("d/new", b"n" * 100)
    w["R1"].store.delete("deleted")
    w["R1"].store.chmod("kept", 0o755)
    w["R1"].store.write("r/new", b"r" * 100)
    return w


WHAT_WILL_BE = {
    "kept": b"old kept", "edited": b"new from the desktop", "d/": b"", "d/moved": b"old moved", "d/new": b"n" * 100,
    "r/": b"", "r/new": b"r" * 100,
}  # fmt: skip


def cut_and_go_on(folder: Path, cut: int) -> None:
    w = small_world(folder)
    try:
        w.sync("D1", "R1", cut_after=cut)
    except Cut:
        pass
    for name in ("D1", "R1"):  # whole-old or whole-new
        for path, content in w[name].store.tree().items():
            assert content in (b"old " + path.encode(), WHAT_WILL_BE.get(path)), (cut, name, path, content)
    result = w.sync("D1", "R1")
    assert not result.skipped and not result.conflicts, cut
    assert w["D1"].store.tree() == w["R1"].store.tree() == WHAT_WILL_BE, cut
    assert w["D1"].store.mode("kept") == w["R1"].store.mode("kept") == 0o755
    w.settle_and_check(rounds=1)


def cut_everywhere(folder: Path, stride: int) -> None:
    for cut in range(0, WHOLE, stride):
        cut_and_go_on(folder / str(cut), cut)
        shutil.rmtree(folder / str(cut))


def test_cut_at_many_bytes(tmp_path: Path) -> None:
    cut_everywhere(tmp_path, STRIDE)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_cut_at_every_byte(tmp_path: Path) -> None:
    cut_everywhere(tmp_path, 1)


def test_the_cuts_reach_the_end(tmp_path: Path) -> None:
    """Guards the tests above: WHOLE is more than a whole sync moves."""
    w = small_world(tmp_path)
    result = w.sync("D1", "R1", cut_after=WHOLE)
    assert WHOLE // 2 < result.bytes_sent + result.bytes_received <= WHOLE


def test_cut_in_a_large_content_both_ways(tmp_path: Path) -> None:
    """What was staged is not sent again, whichever way it went."""
    large = bytes(range(256)) * 800
    for k, source in enumerate(("D1", "R1")):
        w = World(tmp_path / source)
        w["D1"].store.write("before", b"so that the replicas have met")
        w.sync("D1", "R1")
        w[source].store.write("large", large)
        with pytest.raises(Cut):
            w.sync("D1", "R1", cut_after=len(large) // 2)
        result = w.sync("D1", "R1")
        assert result.resumed_bytes > len(large) // 4, k
        assert w["D1"].store.read("large") == w["R1"].store.read("large") == large
        w.settle_and_check()


@pytest.mark.parametrize("full", ["D1", "R1"])
def test_a_full_disk(tmp_path: Path, full: str) -> None:
    w = World(tmp_path)
    other = "R1" if full == "D1" else "D1"
    w[other].store.write("large", b"x" * 50_000)
    w[other].store.write("small", b"x")
    w[full].store.full = 20_000
    result = w.sync("D1", "R1")
    assert [item for item, _ in result.skipped] == ["large"]
    assert "room" in result.skipped[0][1]
    assert w[full].store.tree() == {"small": b"x"}
    assert not w[full].store.stages
    w[full].store.full = None
    assert not w.sync("D1", "R1").skipped
    w.settle_and_check()


@pytest.mark.parametrize("side", ["D1", "R1"])
def test_changed_while_it_is_read(tmp_path: Path, side: str) -> None:
    w = World(tmp_path)
    w[side].store.write("log", b"line\n" * 10_000)
    w[side].store.write("other", b"o")

    def grow(identity: str) -> None:
        if identity == "log":
            w[side].store.on_open = None
            w[side].store.advance(1)
            w[side].store.write("log", b"line\n" * 10_001)

    w[side].store.on_open = grow
    result = w.sync("D1", "R1")
    assert [item for item, _ in result.skipped] == ["log"]
    assert not w.sync("D1", "R1").skipped
    assert w["D1"].store.read("log") == w["R1"].store.read("log") == b"line\n" * 10_001
    w.settle_and_check()


@pytest.mark.parametrize("side", ["D1", "R1"])
def test_replaced_by_a_directory_meanwhile(tmp_path: Path, side: str) -> None:
    """A file is replaced by a directory between the scan and the write: the directory stays, the item waits."""
    w = World(tmp_path)
    w["D1"].store.write("x", b"1")
    w.sync("D1", "R1")
    other = "R1" if side == "D1" else "D1"
    w[other].store.advance(10)
    w[other].store.write("x", b"22")

    def replace(identity: str) -> None:
        w[side].store.on_install = None
        w[side].store.delete("x")
        w[side].store.write("x/inside", b"mine")

    w[side].store.on_install = replace
    result = w.sync("D1", "R1")
    assert [item for item, _ in result.skipped] == ["x"]
    assert w[side].store.read("x/inside") == b"mine"
    w.sync("D1", "R1")
    w.sync("D1", "R1")
    assert w["D1"].store.tree() == w["R1"].store.tree() == {"x/": b"", "x/inside": b"mine"}
    assert w.losers() == [b"22"]
    w.settle_and_check()


def test_a_read_only_object(tmp_path: Path) -> None:
    w = World(tmp_path)
    w["D1"].store.write("a", b"1")
    w["D1"].store.write("b", b"1")
    w["R1"].store.failing_writes["a"] = READ_ONLY
    result = w.sync("D1", "R1")
    assert [item for item, _ in result.skipped] == ["a"]
    w["R1"].store.failing_writes.clear()
    w.sync("D1", "R1")
    w.settle_and_check()


def test_a_scan_that_could_not_look_deletes_nothing(tmp_path: Path) -> None:
    w = World(tmp_path)
    w["D1"].store.write("d/a", b"1")
    w["D1"].store.write("b", b"1")
    w.sync("D1", "R1")
    w["D1"].store.hidden["d"] = 13
    result = w.sync("D1", "R1")
    assert ("d", "the object cannot be read") in result.skipped
    assert "d/a" in w["R1"].store.tree()
    w["D1"].store.hidden.clear()
    w.settle_and_check()
