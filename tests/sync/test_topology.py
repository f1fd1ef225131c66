"""Several desktops and devices, and the vectors TV-nn as sessions between them. Real engine, real agent."""

from pathlib import Path

from cradle_testing.worlds import Cut, World


def test_tv01_concurrent_update(tmp_path: Path) -> None:
    w = World(tmp_path, desktops=("D1", "D2"))
    w["R1"].store.write("i", b"x")
    w.sync("D1", "R1")
    w.sync("D2", "R1")
    for name in ("R1", "D1"):
        w[name].store.advance(10)
    w["R1"].store.write("i", b"xa")
    w["D1"].store.write("i", b"xb")
    assert w.sync("D1", "R1", policy="device").conflicts == 1
    assert w.sync("D2", "R1").conflicts == 0
    assert w["D2"].store.read("i") == w["D1"].store.read("i") == w["R1"].store.read("i") == b"xa"
    assert w.losers() == [b"xb"]
    w.settle_and_check()


def test_tv02_destination_wins(tmp_path: Path) -> None:
    w = World(tmp_path, desktops=("D1", "D2"), devices=("R1", "R2"))
    w["D1"].store.write("i", b"x")
    w.settle()
    for name in ("D1", "R2"):
        w[name].store.advance(10)
    w["D1"].store.write("i", b"xa")
    w.sync("D1", "R1")
    w.sync("D2", "R1")
    w["R2"].store.write("i", b"xb")
    assert w.sync("D2", "R2", policy="desktop").conflicts == 1
    w.settle()
    assert {w[name].store.read("i") for name in ("D1", "D2", "R1", "R2")} == {b"xa"}
    assert len(w.losers()) == 1
    w.settle_and_check()


def test_tv03_opposite_resolutions(tmp_path: Path) -> None:
    """Two desktops resolve one conflict in opposite ways and then meet: everybody ends equal, nothing is lost."""
    w = World(tmp_path, desktops=("D1", "D2"), devices=("R1", "R2"))
    w["D1"].store.write("i", b"x")
    w.settle()
    for name in w.names:
        w[name].store.advance(10)
    w["R1"].store.write("i", b"xa")
    w["R2"].store.write("i", b"xb")
    w.sync("D1", "R1")
    w.sync("D2", "R2")
    w.sync("D1", "R2", policy="device")
    w.sync("D2", "R1", policy="desktop")
    w.settle()
    kept = {w["D1"].store.read("i"), *w.losers()}
    assert {b"xa", b"xb"} <= kept
    w.settle_and_check()


def test_tv04_update_against_delete(tmp_path: Path) -> None:
    w = World(tmp_path, desktops=("D1", "D2"))
    w["R1"].store.write("i", b"x")
    w.sync("D1", "R1")
    w.sync("D2", "R1")
    w["R1"].store.delete("i")
    w["D1"].store.advance(10)
    w["D1"].store.write("i", b"xb")
    w.sync("D1", "R1")
    w.sync("D2", "R1")
    assert {w[name].store.read("i") for name in w.names} == {b"xb"}
    w.settle_and_check()


def test_tv05_interrupted(tmp_path: Path) -> None:
    """Cut after the first of several batches: what was learned stays, only the rest is sent."""
    w = World(tmp_path, batch_items=2)
    for k in range(5):
        w["D1"].store.write(f"i{k}", b"v")
    try:
        w.sync("D1", "R1", cut_after=700)
    except Cut:
        pass
    arrived = len(w["R1"].store.tree())
    assert 0 < arrived < 5
    result = w.sync("D1", "R1")
    assert result.to_device.created == 5 - arrived
    w.settle_and_check()


def test_tv07_recoverable_error(tmp_path: Path) -> None:
    w = World(tmp_path)
    for k in range(3):
        w["D1"].store.write(f"i{k}", b"v")
    w["R1"].store.failing_writes["i1"] = 18
    result = w.sync("D1", "R1")
    assert [item for item, _ in result.skipped] == ["i1"]
    w["R1"].store.failing_writes.clear()
    result = w.sync("D1", "R1")
    assert result.to_device.created == 1
    w.settle_and_check()


def test_tv11_ring_without_echo(tmp_path: Path) -> None:
    w = World(tmp_path, desktops=("D1", "D2"), devices=("R1", "R2"))
    w["D1"].store.write("i", b"x")
    w.sync("D1", "R1")
    w.sync("D2", "R1")
    w.sync("D2", "R2")
    w["R2"].store.advance(10)
    w["R2"].store.write("i", b"xc")
    w.sync("D1", "R2")
    w.sync("D1", "R1")
    result = w.sync("D2", "R2")
    assert result.conflicts == 0
    w.content_bytes = 0
    result = w.sync("D2", "R1")
    assert result.to_desktop.total() == result.to_device.total() == 0
    assert w.content_bytes == 0
    w.settle_and_check()


def test_tv12_both_delete(tmp_path: Path) -> None:
    w = World(tmp_path)
    w["D1"].store.write("i", b"x")
    w.sync("D1", "R1")
    w["D1"].store.delete("i")
    w["R1"].store.delete("i")
    result = w.sync("D1", "R1")
    assert result.conflicts == 0
    assert w["D1"].store.tree() == w["R1"].store.tree() == {}
    w.settle_and_check()


def test_same_name_created_on_both_sides(tmp_path: Path) -> None:
    w = World(tmp_path)
    for name in ("D1", "R1"):
        w[name].store.write("same", b"equal")
    w["D1"].store.write("other", b"desk")
    w["R1"].store.write("other", b"devi")
    result = w.sync("D1", "R1")
    assert result.conflicts == 1
    assert w["R1"].store.tree() == {"same": b"equal", "other": b"desk"}
    assert w.losers() == [b"devi"]
    w.settle_and_check()


def test_one_desktop_folder_and_two_devices(tmp_path: Path) -> None:
    w = World(tmp_path, devices=("R1", "R2"))
    w["R1"].store.write("one", b"1")
    w["R2"].store.write("two", b"2")
    w.settle()
    assert w["R1"].store.tree() == w["R2"].store.tree() == {"one": b"1", "two": b"2"}
    w.content_bytes = 0
    w.settle()
    assert w.content_bytes == 0
    w["R1"].store.delete("two")
    w.settle()
    assert w["R2"].store.tree() == {"one": b"1"}
    w.settle_and_check()


def test_a_file_becomes_a_directory_and_back(tmp_path: Path) -> None:
    w = World(tmp_path)
    w["D1"].store.write("x", b"file")
    w.sync("D1", "R1")
    w["D1"].store.delete("x")
    w["D1"].store.write("x/y", b"inside")
    w.sync("D1", "R1")
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {"x/": b"", "x/y": b"inside"}
    w["R1"].store.delete("x")
    w["R1"].store.write("x", b"a file again")
    w.sync("D1", "R1")
    w.sync("D1", "R1")
    assert w["D1"].store.tree() == {"x": b"a file again"}
    w.settle_and_check()


def test_clocks_that_lie(tmp_path: Path) -> None:
    """A device's clock at 1970, in the future, stepping back: no false change, no lost change."""
    w = World(tmp_path)
    w["R1"].store.write("f", b"0")
    w.sync("D1", "R1")
    for k, seconds in enumerate((-1_750_000_000, 100, 1_900_000_000, -500_000, 0)):
        w["R1"].store.advance(seconds)
        result = w.sync("D1", "R1")
        assert result.to_desktop.total() == result.to_device.total() == 0
        w["R1"].store.write("f", b"%d" % (k + 1))
        w.sync("D1", "R1")
        assert w["D1"].store.read("f") == b"%d" % (k + 1)
    w.settle_and_check()
