"""Two desktops and one device: edits reach everyone, nothing echoes, and both may come at the same time."""

import os
from pathlib import Path

import pytest

from loopback.rig import LONG, Desktop, Pair


@pytest.fixture
def other(pair: Pair, tmp_path: Path) -> Pair:
    """A second desktop, paired with the same device; an agent opens pairing by --code at each start."""
    assert pair.agent.stop() == 0
    pair.agent.start()
    second = Pair(Desktop(tmp_path / "second"), pair.agent)
    second.meet()
    return second


def moved(pair: Pair) -> int:
    """Sync; how many objects were touched on either side."""
    [one] = pair.desktop.sync()["types"]
    return sum(one["to_device"].values()) + sum(one["to_desktop"].values())


def test_edits_reach_everyone_and_nothing_echoes(pair: Pair, other: Pair) -> None:
    pair.fill({"a": b"from one"}, {"c": b"from the device"})
    other.fill({"b": b"from two"})
    assert (moved(pair), moved(other), moved(pair)) == (2, 3, 1)
    assert pair.equal() and other.equal() and len(pair.trees()[0]) == 3
    (other.left / "a").write_bytes(b"edited by two")
    (pair.left / "b").unlink()
    moved(other), moved(pair), moved(other)
    assert pair.equal() and other.equal()
    assert pair.trees()[0] == {"a": b"edited by two", "c": b"from the device"}
    assert (moved(pair), moved(other), moved(pair), moved(other)) == (0, 0, 0, 0)


def test_both_come_at_once(pair: Pair, other: Pair) -> None:
    """The device serves both, or tells the second one that it is busy; nothing is lost either way."""
    pair.fill({"large": os.urandom(LONG)})
    other.fill({f"small{k}": os.urandom(2000) for k in range(300)})
    first = pair.desktop.start("sync")
    pair.under_way()
    second = other.desktop.run("sync", expect=None)
    assert second.code == 0 or (second.code == 8 and "busy" in second.err), second
    assert first.communicate(timeout=60) and first.process.returncode in (0, 5)
    for _ in range(2):
        pair.desktop.run("sync")
        other.desktop.run("sync")
    assert pair.equal() and other.equal() and len(pair.trees()[0]) == 301


def test_the_same_name_on_both_desktops(pair: Pair, other: Pair) -> None:
    """Equal contents are no conflict; different ones are one, decided alike everywhere."""
    pair.fill({"equal": b"same", "clash": b"one"})
    other.fill({"equal": b"same", "clash": b"two"})
    pair.desktop.run("sync")
    report = other.desktop.sync(expect=4)
    assert report["types"][0]["conflicts"] == 1
    pair.desktop.run("sync", expect=None)
    other.desktop.run("sync", expect=4)
    assert pair.equal() and other.equal()
    assert moved(pair) == 0
