"""Sticks between desktops and devices: chains, rings and stars of partners that meet in no other way."""

import random
import shutil
from pathlib import Path

import pytest

from cradle_desktop.opening import connect
from cradle_protocol.wire.session import Identity
from cradle_testing.chaos import Users
from cradle_testing.script import DIRECTORIES, FILES, NAMES, Edit
from cradle_testing.sticks import KEY, StickWorld

CHAIN = (("D1", "S1"), ("D2", "S1"), ("D2", "R1"))
RING = (("D1", "S1"), ("D2", "S1"), ("D2", "S2"), ("D1", "S2"))
STAR = (("D1", "S1"), ("D2", "S1"), ("D3", "S1"), ("D3", "R1"))
SHAPES = {"chain": CHAIN, "ring": RING, "star": STAR}
# Steps of a random world, and the share of them that are edits.
STEPS, EDITS = 24, 0.6
SHORT, LONG = 1, 60  # seeds


@pytest.mark.parametrize("shape", SHAPES)
def test_news_go_from_one_end_to_the_other(tmp_path: Path, shape: str) -> None:
    """Made, edited, moved and deleted at each end in turn; no content travels twice over one route."""
    w = StickWorld(tmp_path, SHAPES[shape])
    ends = [name for name in w.names if name not in w.sticks]
    for k, name in enumerate(ends):
        w[name].store.write(f"from {name}", b"made on " + name.encode())
        w[name].store.write(f"d/{k}", b"%d" % k)
    w.settle_and_check()
    for name, other in zip(ends, reversed(ends), strict=True):
        w[name].store.advance(10)
        w[name].store.write(f"from {other}", b"edited on " + name.encode())
    w.settle_and_check()
    w[ends[0]].store.rename("d", "e")
    w[ends[-1]].store.delete(f"from {ends[0]}")
    w.settle_and_check()
    assert set(w["D1"].store.tree()) == {f"from {name}" for name in ends[1:]} | {
        "e/",
        *(f"e/{k}" for k in range(len(ends))),
    }
    assert not w.losers()


def test_an_edit_on_the_stick_itself(tmp_path: Path) -> None:
    """A third machine without cradle writes on it: whoever comes first brings it in, once."""
    w = StickWorld(tmp_path, CHAIN)
    w["D1"].store.write("a", b"1")
    w.settle_and_check()
    w["S1"].store.write("a", b"on the stick")
    w["S1"].store.write("b/c", b"made there")
    w["S1"].store.rename("b", "moved")
    assert w.sync("D2", "S1").to_desktop.total() == 3
    assert w.sync("D1", "S1").conflicts == 0
    w.settle_and_check()
    assert w["R1"].store.tree() == {"a": b"on the stick", "moved/": b"", "moved/c": b"made there"}


def test_both_desktops_edit_between_two_meetings(tmp_path: Path) -> None:
    """The stick comes to one, then to the other: one conflict, one loser, the same winner on every machine."""
    w = StickWorld(tmp_path, STAR)
    w["D1"].store.write("a", b"0")
    w.settle_and_check()
    for name in ("D1", "D2", "D3"):
        w[name].store.advance(10)
        w[name].store.write("a", b"edited on " + name.encode())
    w.settle_and_check()
    written = {b"edited on " + name.encode() for name in ("D1", "D2", "D3")}
    assert {w["R1"].store.read("a"), *w.losers()} == written


def test_a_ring_brings_nothing_back(tmp_path: Path) -> None:
    """What came by one stick is known when the other one arrives: no echo, no conflict."""
    w = StickWorld(tmp_path, RING)
    w["D1"].store.write("a", b"x" * 1000)
    w.sync("D1", "S1")
    w.sync("D1", "S2")
    w.sync("D2", "S1")
    result = w.sync("D2", "S2")
    assert (result.to_desktop.total(), result.to_device.total(), result.conflicts) == (0, 0, 0)
    w["D2"].store.delete("a")
    w.sync("D2", "S2")
    w.sync("D1", "S2")
    assert w["D1"].store.tree() == {}
    assert w.sync("D1", "S1").to_device.deleted == 1
    assert w.sync("D2", "S1").to_device.total() == 0
    w.settle_and_check()


@pytest.mark.parametrize("shown", [True, False])
def test_ce11_two_copies_of_a_stick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: bool) -> None:
    """Each is edited and comes to another desktop, then they are exchanged; also where no mark tells them apart."""
    if not shown:
        monkeypatch.setattr("cradle_desktop.stick.agent.marks", lambda folder: [])
    w = StickWorld(tmp_path, CHAIN)
    w["D1"].store.write("a", b"0")
    w["D1"].store.write("b", b"0")
    w["S1"].store.write("both", b"0")
    w.settle_and_check()
    w.copy("S1", "S2")
    for name, path in (("S1", "a"), ("S2", "b")):
        w[name].store.write(path, b"edited on " + name.encode())
        w[name].store.write("both", b"edited on " + name.encode())
    w.sync("D1", "S1")
    w.sync("D2", "S2")
    w.routes = (*w.routes, ("D1", "S2"), ("D2", "S2"))
    w.settle_and_check()
    tree = w["R1"].store.tree()
    assert (tree["a"], tree["b"]) == (b"edited on S1", b"edited on S2")
    assert {tree["both"], *w.losers()} == {b"edited on S1", b"edited on S2"}


def test_a_stick_from_a_backup_comes_to_another_desktop_first(tmp_path: Path) -> None:
    """The one that saw what came after the backup is not there to say so; the edits of then and of now are kept."""
    w = StickWorld(tmp_path, CHAIN)
    w["D1"].store.write("a", b"0")
    w["D1"].store.write("b", b"0")
    w.settle_and_check()
    shutil.copytree(w["S1"].folder, tmp_path / "backup")
    w["S1"].store.write("a", b"before it was put back")
    w.sync("D1", "S1")
    shutil.rmtree(w["S1"].folder / ".cradle")
    shutil.copytree(tmp_path / "backup", w["S1"].folder, dirs_exist_ok=True)
    w["S1"].store.write("b", b"after it was put back")
    w.sync("D2", "S1")
    w.settle_and_check()
    assert w["R1"].store.tree() == {"a": b"before it was put back", "b": b"after it was put back"}
    assert not w.losers()


def test_a_stick_that_is_set_back_to_before_its_first_sync(tmp_path: Path) -> None:
    """It had an id already, of which the desktop has seen ticks that would be used twice."""
    w = StickWorld(tmp_path, CHAIN)
    own = w["S1"].folder / ".cradle"
    with connect(str(w["S1"].folder), KEY, Identity(b"desktop %8d" % 0, "D1"), name="S1"):
        pass  # and nothing is synced
    shutil.copytree(own, tmp_path / "backup")
    w["S1"].store.write("a", b"before it was put back")
    w.sync("D1", "S1")
    shutil.rmtree(own)
    shutil.copytree(tmp_path / "backup", own)
    w["S1"].store.write("a", b"after it was put back")
    w.settle_and_check()
    assert b"after it was put back" in w.contents()


def test_many_desktops_share_a_stick(tmp_path: Path) -> None:
    """It has a replica id for each, and no more however often they take turns."""
    w = StickWorld(tmp_path, STAR)
    for k in range(9):
        w["S1"].store.write("a", b"%d" % k)
        w.sync(("D1", "D2", "D3")[k % 3], "S1")
    w.settle_and_check()
    assert w["R1"].store.read("a") == b"8"
    of_devices = [replica for replica in w.desks["D3"].meta.replicas if not replica[0] & 1]
    assert len(of_devices) == 3 + 1  # and that of R1


def random_world(folder: Path, routes: "tuple[tuple[str, str], ...]", seed: int) -> None:
    """Users edit where they are, sticks go about; in the end all are equal and no write is lost."""
    draw, w = random.Random(seed), StickWorld(folder, routes)
    users = Users(w)
    ends = [name for name in w.names if name not in w.sticks]
    for k in range(STEPS):
        if draw.random() < EDITS:
            kind = draw.choice(("write", "write", "write", "delete", "move", "mkdir"))
            path = draw.choice(DIRECTORIES if kind == "mkdir" else FILES if kind == "write" else NAMES)
            more = draw.choice(NAMES) if kind == "move" else k
            users.edit(Edit(draw.choice(ends), kind, path, more, draw.choice((0, 3))))
        else:
            w.sync(*draw.choice(routes))
    w.settle_and_check()
    kept = {*w.contents(), *w.losers()}
    assert not (users.written - users.gone - kept), (seed, users.written - users.gone - kept)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(SHORT))
def test_random_worlds(tmp_path: Path, shape: str, seed: int) -> None:
    random_world(tmp_path, SHAPES[shape], seed)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("shape", SHAPES)
def test_many_random_worlds(tmp_path: Path, shape: str) -> None:
    for seed in range(SHORT, SHORT + LONG):
        (tmp_path / str(seed)).mkdir()
        random_world(tmp_path / str(seed), SHAPES[shape], seed)
