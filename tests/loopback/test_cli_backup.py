"""A desktop's state folder comes from a backup, as a home folder does after a disk has died. Real processes."""

import shutil

from cradle_testing.trees import write_tree
from loopback.rig import Pair


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
    assert "this desktop was set back to an earlier" in pair.desktop.run("sync").err
    expected = {"note.txt": b"edit 4", "plan.txt": b"edited after it", "new.txt": b"made after it"}
    assert pair.trees() == (expected, expected)
    assert "set back" not in pair.desktop.run("sync").err
