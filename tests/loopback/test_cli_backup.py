"""A desktop's state folder comes from a backup, as a home folder does after a disk has died. Real processes."""

import shutil
from pathlib import Path

from cradle_testing.trees import read_tree, write_tree
from loopback.rig import CODE, Agent, Pair


def test_the_state_folder_comes_from_a_backup(pair: Pair) -> None:
    """What is edited afterwards travels, and so does what was missed; the user is told once."""
    state, backup = pair.desktop.home / "state", pair.desktop.home / "backup"
    pair.fill({"note.txt": b"first", "plan.txt": b"first"})
    pair.desktop.sync()
    shutil.copytree(state, backup)
    for k in range(5):
        write_tree(pair.left, {"note.txt": b"edit %d" % k})
        pair.desktop.sync()
    shutil.rmtree(state)
    shutil.copytree(backup, state)
    write_tree(pair.left, {"plan.txt": b"edited after it", "new.txt": b"made after it"})
    assert "this desktop was copied, or set back to an earlier" in pair.desktop.run("sync").err
    expected = {"note.txt": b"edit 4", "plan.txt": b"edited after it", "new.txt": b"made after it"}
    assert pair.trees() == (expected, expected)
    assert "set back" not in pair.desktop.run("sync").err


def test_another_device_comes_first(pair: Pair, tmp_path: Path) -> None:
    """One that never saw what is lost, so it cannot tell: what is edited then still comes to the one that did."""
    state, backup = pair.desktop.home / "state", pair.desktop.home / "backup"
    with Agent(tmp_path / "second", name="porch") as second:
        pair.desktop.run("pair", second.address, "--name", "porch", "--code", CODE)
        pair.desktop.run("enable", "porch", "files", "--store", str(pair.left))
        pair.fill({"note.txt": b"first", "plan.txt": b"first"})
        pair.desktop.run("sync")
        shutil.copytree(state, backup)
        write_tree(pair.left, {"note.txt": b"edited, and lost with the disk"})
        pair.desktop.sync("kiosk")
        shutil.rmtree(state)
        shutil.copytree(backup, state)
        write_tree(pair.left, {"note.txt": b"first", "plan.txt": b"edited after it"})
        assert pair.desktop.run("sync", "porch").err.count("set back to an earlier") == 1
        for _ in range(2):
            assert "set back" not in pair.desktop.run("sync", expect=None).err
        assert read_tree(pair.left) == read_tree(pair.right) == read_tree(second.root)
        assert read_tree(second.root)["plan.txt"] == b"edited after it"
