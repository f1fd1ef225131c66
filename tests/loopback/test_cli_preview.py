"""CE-27 over real processes: what only looks leaves every byte of both sides and of all metadata as it was."""

import os
from pathlib import Path

from loopback.rig import Agent, Desktop, Pair

KEPT_OLD = {f"same {k}": b"%d" % k for k in range(5)}
BOTH_HAD = {
    "edited here": b"1", "edited there": b"2", "conflict": b"3", "moved here": b"4" * 40, "moved there": b"5" * 40,
    "deleted here": b"6", "deleted there": b"7", "edit against delete": b"8", "folder/moved/a": b"9" * 30,
    "folder/moved/b": b"10", "was a file": b"11", **KEPT_OLD,
}  # fmt: skip


def everything(*folders: Path) -> "dict[str, tuple[int, bytes]]":
    """Every file, directory and link below these folders: mode and bytes. Times are another matter."""
    found = {}
    for folder in folders:
        for path in [folder, *folder.rglob("*")]:
            there = path.lstat()
            found[str(path)] = there.st_mode, path.read_bytes() if path.is_file() else b""
    return found


def pending(pair: Pair) -> None:
    """Changes, conflicts, moves and deletes on both sides, some of which a sync has not met yet."""
    pair.fill(BOTH_HAD)
    pair.desktop.run("sync")
    here, there = pair.left, pair.right
    pair.fill({"edited here": b"new here", "conflict": b"ours", "created": b"here", "both created": b"x"})
    pair.fill(right={"edited there": b"new there", "conflict": b"theirs", "made/there": b"y", "both created": b"z"})
    os.rename(here / "moved here", here / "to here")
    os.rename(there / "moved there", there / "to there")
    os.rename(here / "folder" / "moved", here / "elsewhere")
    os.unlink(here / "deleted here")
    os.unlink(there / "deleted there")
    os.unlink(here / "edit against delete")
    (there / "edit against delete").write_bytes(b"edited")
    os.unlink(here / "was a file")
    (here / "was a file").mkdir()


def nothing_is_touched(pair: Pair) -> None:
    """Look in every way there is: nothing changes, and the plan is the same each time."""
    places = pair.desktop.home, pair.agent.root, pair.agent.state
    before, plans = everything(*places), []
    for words in (["diff"], ["sync", "--dry-run"], ["diff", "--json"], ["sync", "--dry-run", "-q"], ["diff"]):
        plans.append(pair.desktop.run(*words).out)
        after = everything(*places)
        assert after.keys() == before.keys(), words
        assert not {path for path in before if before[path] != after[path]}, words
    assert plans[0] == plans[1] == plans[4] and "conflict" in plans[0]


def look_then_sync(pair: Pair) -> None:
    """With everything pending, and once more with little; each time the sync then does as planned."""
    pending(pair)
    nothing_is_touched(pair)
    [plan] = pair.desktop.run("diff", "--json").document()["types"]
    [done] = pair.desktop.sync(expect=4)["types"]
    assert (plan["to_device"], plan["to_desktop"]) == (done["to_device"], done["to_desktop"])
    assert pair.equal() and not done["skipped"]
    pair.fill({"conflict": b"once more"})
    places = pair.desktop.home, pair.agent.root, pair.agent.state
    before = everything(*places)
    assert "conflict" in pair.desktop.run("diff").out
    assert everything(*places) == before
    pair.desktop.run("sync", expect=4)
    assert pair.equal()


def test_looking_over_tcp_touches_nothing(pair: Pair) -> None:
    look_then_sync(pair)


def test_looking_before_the_first_sync_touches_nothing(pair: Pair) -> None:
    pair.fill({"a": b"1", "c": b"2"}, {"b": b"3", "c": b"4"})
    nothing_is_touched(pair)
    assert pair.desktop.sync(expect=4)["types"][0]["to_device"]["created"] == 1


def test_looking_with_conflicts_that_wait_touches_nothing(desktop: Desktop, agent: Agent) -> None:
    pair = Pair(desktop, agent)
    pair.meet("--policy", "ask")
    pending(pair)
    nothing_is_touched(pair)
    desktop.run("sync", expect=4)
    desktop.run("conflicts", "resolve", "1", "--take", "device")
    nothing_is_touched(pair)


def test_looking_at_a_device_with_another_name_touches_nothing(pair: Pair) -> None:
    """What a sync notes of it, a look does not."""
    pending(pair)
    pair.agent.stop()
    pair.agent.name = "renamed"
    pair.agent.start()
    nothing_is_touched(pair)
