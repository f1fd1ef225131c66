"""Devices that were restored, copied or emptied, and a desktop that was: healed without loss, and said in a sentence.

The same for a stick: `test_cli_stick`. What the engine does then is in tests/sync.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cradle_testing.trees import read_tree
from loopback.rig import CODE, Agent, Pair, command, environment

IN_ANOTHER_MACHINE = 'mount --bind "$1" /etc/machine-id || exit 77; shift; exec "$@"'


def quiet(pair: Pair) -> bool:
    """Is a further sync without a word, and without anything to do?"""
    result = pair.desktop.run("sync")
    return result.err == "" and "nothing to transfer" in result.out


def met(pair: Pair) -> None:
    pair.fill({"a": b"1", "b": b"2", "c": b"3"})
    pair.desktop.run("sync")


def put_back(pair: Pair, backup: Path) -> None:
    """Root and state of the device are as they were."""
    for name in ("root", "state"):
        shutil.rmtree(pair.agent.base / name)
        shutil.copytree(backup / name, pair.agent.base / name)


def test_a_device_from_a_backup(pair: Pair, tmp_path: Path) -> None:
    met(pair)
    pair.agent.stop()
    for name in ("root", "state"):
        shutil.copytree(pair.agent.base / name, tmp_path / "backup" / name)
    pair.agent.start()
    pair.fill(right={"a": b"newer"})
    pair.desktop.run("sync")
    pair.agent.stop()
    put_back(pair, tmp_path / "backup")
    pair.fill(right={"b": b"after the backup"})
    pair.agent.start()
    result = pair.desktop.run("sync")
    assert "kiosk was set back to an earlier state" in result.err and result.err.count("\n") == 1
    assert read_tree(pair.left) == read_tree(pair.right) == {"a": b"newer", "b": b"after the backup", "c": b"3"}
    assert quiet(pair)


class CopiedAgent(Agent):
    """An agent in a machine of its own: with another machine id."""

    def launch(self, out: int, err: int) -> "subprocess.Popen[bytes]":
        number = self.base / "machine-id"
        number.write_text("0123456789abcdef0123456789abcdef\n")
        around = ["unshare", "-m", "sh", "-c", IN_ANOTHER_MACHINE, "sh", str(number)]
        words = ["--listen", self.address, "--root", str(self.root), "--state", str(self.state), "--name", self.name]
        return subprocess.Popen(
            [*around, *command("agent", "run", *words)], env=environment(self.base), stdout=out, stderr=err
        )


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare") or not os.path.exists("/etc/machine-id"),
    reason="needs root, unshare and a machine id to make a second machine",
)
def test_a_copied_card(pair: Pair, tmp_path: Path) -> None:
    """Both copies go on, each with its own edits; the desktop meets one, then the other, then the first again."""
    met(pair)
    pair.agent.stop()
    shutil.copytree(pair.agent.base, tmp_path / "copy")
    pair.fill(right={"a": b"on the first"})
    pair.agent.start()
    pair.desktop.run("sync")
    pair.agent.stop()
    copy = CopiedAgent(tmp_path / "copy", pair.agent.address)
    copy.address = pair.agent.address
    (copy.root / "b").write_bytes(b"on the copy")
    with copy:
        result = pair.desktop.run("sync")
        assert "kiosk is another copy than at the last sync" in result.err and result.err.count("\n") == 1
        assert quiet(pair)
    pair.agent.start()
    assert "another copy" in pair.desktop.run("sync").err
    assert pair.trees() == ({"a": b"on the first", "b": b"on the copy", "c": b"3"},) * 2
    assert quiet(pair)


def test_a_device_with_another_folder(pair: Pair) -> None:
    """A new card in the old device, empty: nothing is deleted on the desktop, and it gets everything."""
    met(pair)
    pair.agent.stop()
    shutil.rmtree(pair.agent.root)
    pair.agent.root.mkdir()
    pair.agent.start()
    result = pair.desktop.run("sync")
    assert "kiosk serves another folder or card" in result.err and result.err.count("\n") == 1
    assert pair.equal() and len(read_tree(pair.left)) == 3
    assert quiet(pair)


def test_a_device_that_lost_its_records(pair: Pair) -> None:
    met(pair)
    pair.agent.stop()
    for log in pair.agent.state.glob("files-*.log"):
        log.unlink()
    pair.agent.start()
    result = pair.desktop.run("sync")
    assert "kiosk has lost what it knew" in result.err and result.err.count("\n") == 1
    assert pair.equal() and quiet(pair)


def test_a_desktop_that_lost_its_records(pair: Pair) -> None:
    """Paired and enabled again on the same folder: no conflict, nothing is sent, and it is said."""
    met(pair)
    shutil.rmtree(pair.desktop.home / "state")
    pair.desktop.run("pair", pair.agent.address, "--code", CODE)
    result = pair.desktop.run("enable", "kiosk", "files", "--store", str(pair.left))
    assert "no record of that" in result.err and result.err.count("\n") == 1
    assert quiet(pair) and pair.equal()
