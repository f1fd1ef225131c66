"""Machines that go back to a backup: each goes on as a new replica, and its edits travel."""

from pathlib import Path

import pytest

from cradle_testing.worlds import World

DESKTOPS = ("D1", "D2")
LOST = 3  # edits that came after the backup
# A desktop has a witness of its own, a stick an id for each desktop; a device asks who it meets, and believes them.
UNSEEN = pytest.mark.xfail(
    strict=True, reason="a device that first meets a desktop which has not seen what it lost uses its ticks twice"
)
CASES = [("D1", 0), ("D1", 1), ("S1", 0), ("S1", 1), ("R1", 0), pytest.param("R1", 1, marks=UNSEEN)]


def _partners(name: str) -> "tuple[str, str]":
    """Two others that it syncs with."""
    return ("R1", "R2") if name == "D1" else DESKTOPS


def _sync(w: World, name: str, other: str) -> None:
    w.advance()
    w.sync(*((name, other) if name == "D1" else (other, name)))


def _put_back(folder: Path, name: str, state_only: bool) -> World:
    """The machine has synced edits after its backup with one partner, and not with the other one."""
    w = World(folder / "world", desktops=DESKTOPS, devices=("R1", "R2", "S1"))
    for path in ("a", "b", "c"):
        w["D1"].store.write(path, b"base")
    w.settle(rounds=2)
    w[name].store.write("a", b"before the backup")
    w.settle(rounds=2)
    backup = w.save(name, folder / "backup")
    for k in range(LOST):
        w[name].store.write("a", b"after the backup %d" % k)
        _sync(w, name, _partners(name)[0])
    w.put_back(name, backup, state_only)
    return w


@pytest.mark.parametrize("edits", [LOST, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, LOST + 2))])
@pytest.mark.parametrize("state_only", [False, True])
@pytest.mark.parametrize(("name", "first"), CASES)
def test_edits_after_a_backup_was_put_back_travel(
    tmp_path: Path, name: str, first: int, state_only: bool, edits: int
) -> None:
    """Whoever meets it first, and whether it makes fewer, as many or more edits than were lost."""
    w = _put_back(tmp_path, name, state_only)
    for k in range(edits):
        w[name].store.write("b", b"edited %d" % k)
        w[name].store.write(f"new {k}", b"made %d" % k)
        _sync(w, name, _partners(name)[first])
    w.settle_and_check()
    tree = w["D2"].store.tree()
    assert tree["b"] == b"edited %d" % (edits - 1)
    assert {tree.get(f"new {k}") for k in range(edits)} == {b"made %d" % k for k in range(edits)}
    assert b"after the backup %d" % (LOST - 1) in w.contents()
