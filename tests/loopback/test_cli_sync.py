"""Syncs through the command line: what arrives, what is said of it, and every exit code of a sync."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cradle_testing.trees import read_tree
from loopback.conftest import ADDRESSES
from loopback.rig import LONG, Agent, Desktop, Pair, command, environment

NONE = {"created": 0, "updated": 0, "renamed": 0, "deleted": 0}


def files(document: Any) -> Any:
    """The one type of a report."""
    [one] = document["types"]
    return one


@pytest.mark.parametrize("kind", ADDRESSES)
def test_both_sides_become_equal(tmp_path: Path, desktop: Desktop, kind: str) -> None:
    with Agent(tmp_path / "device", ADDRESSES[kind]) as agent:
        both = Pair(desktop, agent)
        both.meet()
        both.fill({"a.txt": b"one", "dir/b": bytes(100_000)}, {"c": b"", "deep/er/d": b"two", "häuschen": b"3"})
        report = desktop.sync("kiosk")
        assert report.keys() == {"schema", "partner", "types", "conflicts_waiting", "duration_s"}
        assert (report["schema"], report["partner"], report["conflicts_waiting"]) == (1, "kiosk", 0)
        one = files(report)
        assert one["type"] == "files" and one["conflicts"] == 0 and one["skipped"] == []
        assert one["to_device"]["created"] == 3 and one["to_desktop"]["created"] == 5
        assert one["bytes_sent"] > 100_000 and one["resumed_bytes"] == 0
        assert both.equal()
        again = files(desktop.sync())
        assert (again["to_device"], again["to_desktop"]) == (NONE, NONE)
        assert again["bytes_sent"] + again["bytes_received"] < 1000


def test_edits_renames_and_deletes_travel(pair: Pair) -> None:
    pair.fill({f"f{k}": b"%d" % k * 100 for k in range(20)})
    pair.desktop.run("sync")
    (pair.left / "f1").write_bytes(b"edited here")
    (pair.right / "f2").write_bytes(b"edited there")
    (pair.left / "f3").rename(pair.left / "moved")
    (pair.right / "f4").unlink()
    one = files(pair.desktop.sync())
    assert one["to_device"] == NONE | {"updated": 1, "renamed": 1}
    assert one["to_desktop"] == NONE | {"updated": 1, "deleted": 1}
    assert pair.equal() and not (pair.left / "f4").exists() and (pair.right / "moved").exists()


def test_diff_says_what_sync_does_and_does_nothing(pair: Pair) -> None:
    pair.fill({"here": b"1"}, {"there": b"2"})
    before = pair.trees()
    lines = pair.desktop.run("diff").out
    assert "here" in lines and "there" in lines
    assert pair.desktop.run("sync", "--dry-run", "kiosk").out == lines
    document = pair.desktop.run("diff", "--json").document()
    assert files(document)["to_device"]["created"] == 1 and files(document)["to_desktop"]["created"] == 1
    assert pair.trees() == before
    report = files(pair.desktop.sync())
    assert (report["to_device"], report["to_desktop"]) == (
        files(document)["to_device"],
        files(document)["to_desktop"],
    )
    assert "nothing to do" in pair.desktop.run("diff").out


def test_the_summary_is_for_people(pair: Pair) -> None:
    pair.fill({"a": b"1"})
    result = pair.desktop.run("sync")
    assert result.out.startswith("kiosk files: to the device 1 created (") and result.err == ""
    assert "nothing to transfer" in pair.desktop.run("sync").out
    assert pair.desktop.run("sync", "-q").out == ""


def test_a_conflict_waits_and_is_taken_back(pair: Pair) -> None:
    pair.fill({"note": b"first\n"})
    pair.desktop.run("sync")
    (pair.left / "note").write_bytes(b"desktop's\n")
    (pair.right / "note").write_bytes(b"device's one\n")
    report = pair.desktop.sync(expect=4)
    assert report["conflicts_waiting"] == 1 and files(report)["conflicts"] == 1
    assert pair.equal() and (pair.left / "note").read_bytes() == b"desktop's\n"
    [conflict] = pair.desktop.run("conflicts", "--json").document()["conflicts"]
    expected = {
        "number": 1, "partner": "kiosk", "type": "files", "item": "note", "kind": "update-update",
        "winner": "desktop", "loser": "device",
    }  # fmt: skip
    assert {k: conflict[k] for k in expected} == expected and conflict["detected_at"].endswith("Z")
    shown = pair.desktop.run("conflicts", "show", "1").out
    assert "-desktop's" in shown and "+device's one" in shown
    assert "1 conflict waits" in pair.desktop.run("sync", expect=4).out
    assert pair.desktop.run("status", "--json").document()["partners"][0]["conflicts_waiting"] == 1
    pair.desktop.run("conflicts", "resolve", "1", "--take", "device")
    pair.desktop.run("sync")
    assert pair.equal() and (pair.right / "note").read_bytes() == b"device's one\n"
    assert pair.desktop.run("conflicts", "--json").document()["conflicts"] == []


def test_both_versions_are_kept(pair: Pair) -> None:
    pair.fill({"note": b"a"}, {"note": b"bb"})
    pair.desktop.run("sync", expect=4)
    pair.desktop.run("conflicts", "resolve", "1", "--take", "both")
    pair.desktop.run("sync")
    assert pair.equal()
    assert sorted(v for v in pair.trees()[1].values() if v) == [b"a", b"bb"]


@pytest.mark.parametrize(("policy", "winner"), [("desktop", b"left"), ("device", b"right one")])
def test_policies(desktop: Desktop, agent: Agent, policy: str, winner: bytes) -> None:
    both = Pair(desktop, agent)
    both.meet("--policy", policy)
    both.fill({"x": b"left"}, {"x": b"right one"})
    desktop.run("sync", expect=4)
    assert both.equal() and both.trees()[0]["x"] == winner


def test_a_conflict_that_nobody_decides(desktop: Desktop, agent: Agent) -> None:
    """Policy `ask`: both versions stay until the user takes one."""
    both = Pair(desktop, agent)
    both.meet("--policy", "ask")
    both.fill({"x": b"left", "y": b"1"}, {"x": b"right one"})
    desktop.run("sync", expect=4)
    assert both.trees()[0]["x"] == b"left" and both.trees()[1] == {"x": b"right one", "y": b"1"}
    number = desktop.run("conflicts", "--json").document()["conflicts"][0]["number"]
    desktop.run("conflicts", "resolve", str(number), "--take", "device")
    desktop.run("sync")
    assert both.equal() and both.trees()[0]["x"] == b"right one"


@pytest.mark.parametrize(("direction", "left", "right"), [("to-device", 1, 2), ("to-desktop", 2, 1)])
def test_directions(desktop: Desktop, agent: Agent, direction: str, left: int, right: int) -> None:
    both = Pair(desktop, agent)
    both.meet("--direction", direction)
    both.fill({"here": b"1"}, {"there": b"2"})
    desktop.run("sync")
    assert [len(tree) for tree in both.trees()] == [left, right]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_object_that_cannot_be_read_is_skipped(pair: Pair) -> None:
    pair.fill({"secret": (b"x", 0o000), "fine": b"1"})
    report = pair.desktop.sync(expect=5)
    assert [one["item"] for one in files(report)["skipped"]] == ["secret"] and files(report)["skipped"][0]["reason"]
    assert (pair.right / "fine").read_bytes() == b"1" and not (pair.right / "secret").exists()
    (pair.left / "secret").chmod(0o644)
    pair.desktop.run("sync")
    assert pair.equal()


def test_no_room_on_the_device(pair: Pair) -> None:
    """The kernel lets the agent write no file above a limit, like a full disk: that item waits, the rest goes on."""
    pair.fill({"large": os.urandom(3_000_000), "small": b"1"})
    pair.agent.limit_files(1_000_000)
    report = pair.desktop.sync(expect=5)
    assert [one["item"] for one in files(report)["skipped"]] == ["large"]
    assert "room" in files(report)["skipped"][0]["reason"]
    assert pair.trees()[1] == {"small": b"1"}
    pair.agent.limit_files(-1)
    pair.desktop.run("sync")
    assert pair.equal()


def test_no_room_on_the_desktop(pair: Pair) -> None:
    pair.fill(right={"large": os.urandom(3_000_000), "small": b"1"})
    line = f"ulimit -f 1000; exec {shlex.join(command('sync', '--json'))}"
    done = subprocess.run(
        ["sh", "-c", line], env=environment(pair.desktop.home), capture_output=True, text=True, check=False
    )
    assert done.returncode == 5 and "Traceback" not in done.stderr, done
    assert pair.trees()[0] == {"small": b"1"}
    pair.desktop.run("sync")
    assert pair.equal()


def test_links_and_pipes_are_left_alone(pair: Pair) -> None:
    """They are never synced, and a folder that has some is not for ever a partial success."""
    pair.fill({"fine": b"1"})
    os.mkfifo(pair.left / "pipe")
    (pair.left / "link").symlink_to("fine")
    pair.desktop.run("sync")
    assert read_tree(pair.right) == {"fine": b"1"} and (pair.left / "link").is_symlink()


def test_a_missing_store_is_not_an_empty_one(pair: Pair) -> None:
    pair.fill({"a": b"1"})
    pair.desktop.run("sync")
    pair.left.rename(pair.left.with_name("elsewhere"))
    result = pair.desktop.run("sync", expect=1)
    assert "missing" in result.err and (pair.right / "a").exists()
    pair.left.mkdir()
    assert "missing" in pair.desktop.run("sync", expect=1).err
    pair.desktop.run("enable", "kiosk", "files", "--store", str(pair.left))
    pair.desktop.run("sync")
    assert (pair.left / "a").read_bytes() == b"1"


def test_a_store_that_suddenly_looks_empty(pair: Pair) -> None:
    pair.fill({f"f{k}": b"%d" % k for k in range(20)})
    pair.desktop.run("sync")
    for k in range(10):
        (pair.left / f"f{k}").unlink()
    result = pair.desktop.run("sync", expect=1)
    assert "10 of 20" in result.err and len(pair.trees()[1]) == 20
    pair.desktop.run("sync", "--max-delete", "60%")
    assert pair.equal() and len(pair.trees()[1]) == 10


def test_two_syncs_at_once(pair: Pair) -> None:
    """The second one is told about the first, which goes on."""
    pair.fill({"large": os.urandom(LONG)})
    with pair.desktop.frozen_sync() as first:
        second = pair.desktop.run("sync", expect=None)
        assert second.code == 1 and f"process {first.process.pid}" in second.err, second
    assert pair.equal()


def test_nobody_is_there(pair: Pair) -> None:
    pair.agent.stop()
    assert "nothing answers" in pair.desktop.run("sync", expect=3).err
    assert "nothing answers" in pair.desktop.run("diff", expect=3).err


def test_several_partners(tmp_path: Path, pair: Pair) -> None:
    """Without a name: all that answer. Both devices share the desktop's folder, so edits reach everyone."""
    with Agent(tmp_path / "porch", name="porch") as porch:
        other = Pair(pair.desktop, porch)
        other.meet()
        pair.fill({"a": b"1"}, {"b": b"2"})
        other.fill(right={"c": b"3"})
        result = pair.desktop.run("sync", "--json")
        assert [__import__("json").loads(line)["partner"] for line in result.out.splitlines()] == ["kiosk", "porch"]
        pair.desktop.run("sync")
        assert pair.equal() and other.equal() and len(pair.trees()[0]) == 3
        porch.stop()
        result = pair.desktop.run("sync")
        assert "porch" in result.err and "kiosk files" in result.out
        pair.agent.stop()
        result = pair.desktop.run("sync", expect=3)
        assert "kiosk" in result.err and "porch" in result.err


def test_nothing_is_enabled(desktop: Desktop, agent: Agent) -> None:
    desktop.run("pair", agent.address, "--code", "418302", "--name", "kiosk")
    assert "cradle enable kiosk files" in desktop.run("sync", expect=1).err
    assert "nonsense" in desktop.run("enable", "kiosk", "nonsense", expect=2).err
    assert "files" in desktop.run("disable", "kiosk", "files", expect=2).err
    desktop.run("enable", "kiosk", "files")
    assert (desktop.home / "kiosk").is_dir()
    desktop.run("disable", "kiosk", "files")
    assert "cradle enable" in desktop.run("sync", expect=1).err


def test_ls_and_status(pair: Pair) -> None:
    pair.fill({"a": b"1"})
    pair.desktop.run("sync")
    devices = pair.desktop.run("ls", "--json").document()["devices"]
    assert ("kiosk", "paired") in [(one["name"], one["state"]) for one in devices]
    [one] = pair.desktop.run("status", "kiosk", "--json").document()["partners"]
    assert one.keys() == {"name", "device_id", "address", "last_sync", "conflicts_waiting", "types"}
    assert len(one["device_id"]) == 32 and one["last_sync"].endswith("Z")
    assert one["types"] == [
        {
            "type": "files", "store": str(pair.left), "policy": "desktop", "direction": "both", "objects": 1,
            "deviations": 0,
        }
    ]  # fmt: skip
    assert "last synced" in pair.desktop.run("status").out
    pair.agent.stop()
    devices = pair.desktop.run("ls", "--json").document()["devices"]
    assert ("kiosk", "away") in [(one["name"], one["state"]) for one in devices]


def test_a_capture_is_readable(pair: Pair) -> None:
    pair.fill({"a": b"look for me"})
    path = pair.desktop.home / "talk"
    pair.desktop.run("sync", "--capture", str(path))
    lines = pair.desktop.run("trace", str(path)).out
    assert "HELLO" in lines.upper() and "APPLY" in lines.upper()


HEAVY = {"ssl", "serial", "cryptography", "rich", "asyncio", "construct", "spake2", "platformdirs", "difflib"}


def test_a_sync_of_nothing_imports_nothing_heavy(pair: Pair) -> None:
    pair.fill({"a": b"1"})
    pair.desktop.run("sync")
    probe = (
        "import sys; from cradle_desktop.cli import main; assert main(['sync']) == 0; "
        "print(','.join(sorted(m.partition('.')[0] for m in sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], env=environment(pair.desktop.home), capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stdout.splitlines()[-1].split(","))


def test_a_vanished_pipe(pair: Pair) -> None:
    """`cradle status | head -0`: no traceback."""
    line = " ".join(command("status")) + " | true"
    done = subprocess.run(
        ["sh", "-c", line], env=environment(pair.desktop.home), capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
