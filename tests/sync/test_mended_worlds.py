"""What random worlds have found since, each as a trace of its own. Real engine, real agent, stores in memory."""

from pathlib import Path

import pytest

from cradle_desktop.conflict.resolve import kept_name
from cradle_protocol.compat import sha256
from cradle_protocol.errors import READ_ONLY
from cradle_testing.scenes import TWO_DESKTOPS, TWO_DEVICES, known_everywhere
from cradle_testing.worlds import World


def test_an_edit_of_what_was_moved_by_one_who_is_no_more(tmp_path: Path) -> None:
    """The target of the move reached nobody and its mover was lost: an edit of the old path waited for ever."""
    w = World(tmp_path, desktops=TWO_DESKTOPS)
    known_everywhere(w, a=b"base")
    w["D1"].store.rename("a", "b")
    w["R1"].store.failing_writes["b"] = READ_ONLY
    w.sync("D1", "R1")
    assert w["R1"].store.tree() == {}, "the move has arrived, but not its target"
    w["R1"].store.failing_writes.clear()
    w["D1"].store.objects.clear()
    w.desks["D1"].forget_everything()
    w["D2"].store.write("a", b"edit")
    w.advance()
    w.sync("D2", "R1")
    assert w["R1"].store.tree() == {"a": b"edit"}
    w.settle_and_check()


def test_a_copy_beside_has_the_content_of_its_own(tmp_path: Path) -> None:
    """Of two desktops' edits the other one won, and the copy beside it got the winner's content: the loser was lost."""
    w = World(tmp_path, desktops=TWO_DESKTOPS)
    contents = {b"one", b"two"}
    w["D1"].store.write("a", b"one")
    w["D2"].store.write("a", b"two")
    w.sync("D1", "R1")
    w.sync("D2", "R1", policy="both")
    assert set(w["D2"].store.tree().values()) == set(w["R1"].store.tree().values()) == contents
    w.settle_and_check()


@pytest.mark.parametrize("name", ["D1", "R1"])
def test_the_newest_wins_whoever_brought_it(tmp_path: Path, name: str) -> None:
    """What came to the desktop from a device, and to the device from a desktop, was judged the wrong way round."""
    w = World(tmp_path, desktops=TWO_DESKTOPS, devices=TWO_DEVICES)
    known_everywhere(w, a=b"base")
    w.settle(rounds=1)
    w.advance()
    one, two = ("R2", "D2") if name == "D1" else ("D2", "R2")
    w[one].store.write("a", b"older")
    w.sync("D1", "R2") if one == "R2" else w.sync("D2", "R1")
    w.advance()
    w[two].store.write("a", b"newer")
    w.sync("D1", "R2") if two == "R2" else w.sync("D2", "R1")
    w.advance()
    w.sync("D1", "R1", policy="newest")
    assert w["D1"].store.read("a") == w["R1"].store.read("a") == b"newer" and w.losers() == [b"older"]
    w.settle_and_check()


@pytest.mark.parametrize("edits", [(b"one", b"two"), (b"two", b"one")])
def test_a_loser_stays_kept_where_a_part_of_what_belongs_together_failed(
    tmp_path: Path, edits: "tuple[bytes, bytes]"
) -> None:
    """An edit had followed a move and displaced another one; then the old path could not go: the loser was dropped."""
    w = World(tmp_path)
    known_everywhere(w, b=b"base")
    w["D1"].store.write("b", edits[0])
    w["D1"].store.write("c", edits[1])
    w["R1"].store.rename("b", "c")
    w.advance()
    w["D1"].store.failing_writes["b"] = READ_ONLY
    w.sync("D1", "R1")
    w["D1"].store.failing_writes.clear()
    w["D1"].store.delete("b")  # so that nothing is left of it but what was brought to c
    w.settle_and_check()
    assert set(edits) <= set(w.contents())


def test_a_copy_beside_that_cannot_be_put_there_is_not_overwritten(tmp_path: Path) -> None:
    """Of both versions one was overwritten, before the copy beside turned out to be impossible."""
    w = World(tmp_path, desktops=TWO_DESKTOPS)
    w["D1"].store.write("a", b"one")
    w["D2"].store.write("a", b"two")
    for content in (b"one", b"two"):
        w["D2"].store.failing_writes[kept_name("a", "desktop", sha256(content).digest())] = READ_ONLY
    w.sync("D1", "R1")
    assert [path for path, _ in w.sync("D2", "R1", policy="both").skipped]
    assert {b"one", b"two"} <= set(w.contents())
    w["D2"].store.failing_writes.clear()
    w.sync("D2", "R1", policy="both")
    assert len(w["R1"].store.tree()) == 2
    w.settle_and_check()


@pytest.mark.parametrize("edit", [b"one", b"other"])
def test_an_edit_that_follows_a_file_to_where_a_directory_lives(tmp_path: Path, edit: bytes) -> None:
    """The directory won; of the moved file and the edit one was kept under the hash of the other, and was lost."""
    w = World(tmp_path, desktops=TWO_DESKTOPS)
    known_everywhere(w, b=b"base", **{"d/a": b"base"})
    w["R1"].store.write("b", b"moved")
    w["R1"].store.delete("d")
    w.sync("D2", "R1")
    w["R1"].store.rename("b", "d")
    w["D1"].store.write("b", edit)
    w["D1"].store.write("d/a", b"keeps its directory")
    w.advance()
    assert not w.sync("D1", "R1").skipped
    assert w["D1"].store.tree() == w["R1"].store.tree() == {"d/": b"", "d/a": b"keeps its directory"}
    assert w.losers() == sorted([b"moved", edit])
    w.settle_and_check()
