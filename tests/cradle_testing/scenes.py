"""What many traces of sync begin with, in a world of their own: who edits, what all know, where the power goes."""

from collections.abc import Callable
from typing import Any

from cradle_protocol.sync.item import item_id
from cradle_testing.worlds import PowerCut, World

TWO_DESKTOPS = ("D1", "D2")
TWO_DEVICES = ("R1", "R2")
SIDES = [("D1", "R1"), ("R1", "D1")]
NAMES = ["d", "e", "x", "k"]  # a directory's id lies before or behind its child's


def other(side: str) -> str:
    """The other one of D1 and R1."""
    return "R1" if side == "D1" else "D1"


def known_everywhere(w: World, rounds: int = 3, **files: bytes) -> None:
    """D1 makes the files; everybody has them, and their stamps are no longer racy."""
    for path, content in files.items():
        w["D1"].store.write(path, content)
    rest(w, rounds)


def rest(w: World, rounds: int) -> None:
    """Everybody with R1, in turn, and time goes by."""
    for _ in range(rounds):
        for desktop in w.desktops:
            w.sync(desktop, "R1")
        w.advance()


def failing(method: Callable[..., Any], call: int, error: BaseException, before: bool = True) -> Callable[..., Any]:
    """The method, but its n-th call raises, before it has done its work or after."""
    calls = 0

    def called(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if before and calls == call:
            raise error
        result = method(*args, **options)
        if calls == call:
            raise error
        return result

    return called


def record(w: World, path: str) -> Any:
    """What D1's metadata have of a path."""
    item = w.desks["D1"].meta.get(item_id("files", path))
    assert item is not None
    return item


def sync_in_a_power_cut(w: World, commit: int) -> None:
    """D1 with R1; the desktop loses its power at this commit, if there are so many, and starts again."""
    w.desks["D1"].meta.crash_before_commit = commit
    try:
        w.sync("D1", "R1")
    except PowerCut:
        w.desks["D1"].restart()
    w.desks["D1"].meta.crash_before_commit = 0
