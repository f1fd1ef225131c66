"""What random worlds have found since, each as a trace of its own. Real engine, real agent, stores in memory."""

from pathlib import Path

from cradle_protocol.errors import READ_ONLY
from cradle_testing.scenes import TWO_DESKTOPS, known_everywhere
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
