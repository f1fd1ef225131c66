"""What happens between a scan and an act: nothing that was not expected is overwritten, deleted or given a name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cradle_testing.pair import CutLink
from cradle_testing.scenes import other
from cradle_testing.stores import MemoryStore
from cradle_testing.worlds import World

FIRST = "d"  # a directory comes before all files of its batch: then the rest was judged and is about to be done


def edit_in_between(store: MemoryStore, edit: Callable[[], None]) -> None:
    """The user of a store edits when the first thing of a batch is made there."""

    def act(identity: str) -> None:
        if identity == FIRST:
            store.on_install = None
            edit()

    store.on_install = act


def met(folder: Path) -> World:
    """Both have x, with stamps that hide nothing."""
    w = World(folder)
    w["D1"].store.write("x", b"base")
    w.sync("D1", "R1")
    w.advance()
    w.sync("D1", "R1")
    return w


@pytest.mark.parametrize("side", ["D1", "R1"])
@pytest.mark.parametrize("what", ["overwritten", "deleted"])
def test_an_edit_since_the_scan_is_not(tmp_path: Path, side: str, what: str) -> None:
    w = met(tmp_path)
    store, far = w[side].store, w[other(side)].store
    far.mkdir(FIRST)
    if what == "deleted":
        far.delete("x")
    else:
        far.write("x", b"from there")
    w.advance()

    def edit() -> None:
        store.advance(10)
        store.write("x", b"edited here")

    edit_in_between(store, edit)
    result = w.sync("D1", "R1")
    assert [path for path, _ in result.skipped] == ["x"] and store.read("x") == b"edited here"
    w.advance()
    w.settle_and_check()
    assert b"edited here" in w.contents() and (what == "deleted" or b"from there" in w.contents())


@pytest.mark.parametrize("side", ["D1", "R1"])
@pytest.mark.parametrize("what", ["overwritten", "deleted"])
def test_an_edit_that_its_stamp_hides_is_not(tmp_path: Path, side: str, what: str) -> None:
    """The same, in the tick of the clock in which the object was last written, and of the same size."""
    w = World(tmp_path)
    store, far = w[side].store, w[other(side)].store
    store.write("x", b"one")
    w.sync("D1", "R1")
    far.advance(60)
    far.mkdir(FIRST)
    if what == "deleted":
        far.delete("x")
    else:
        far.write("x", b"from there")
    edit_in_between(store, lambda: store.write("x", b"two"))
    result = w.sync("D1", "R1")
    assert [path for path, _ in result.skipped] == ["x"] and store.read("x") == b"two"
    w.advance()
    w.settle_and_check()
    assert b"two" in w.contents()


@pytest.mark.parametrize("side", ["D1", "R1"])
def test_a_content_that_was_damaged_on_its_way_gets_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    """A link that is not as reliable as it says."""
    w = World(tmp_path)
    w[other(side)].store.write("x", b"a precious content")
    real_read, real_write = CutLink.read_into, CutLink.write_some

    def read(link: CutLink, view: memoryview, timeout: float = 0.0) -> int:
        count = real_read(link, view, timeout)
        at = bytes(view[:count]).find(b"precious")
        if at >= 0:
            view[at] ^= 1
        return count

    def write(link: CutLink, chunks: "list[bytes]") -> int:
        return real_write(link, [b"".join(map(bytes, chunks)).replace(b"precious", b"qrecious")])

    monkeypatch.setattr(CutLink, "read_into", read)
    monkeypatch.setattr(CutLink, "write_some", write)
    result = w.sync("D1", "R1")
    assert [path for path, _ in result.skipped] == ["x"] and w[side].store.tree() == {}
    monkeypatch.undo()
    assert not w.sync("D1", "R1").skipped
    w.settle_and_check()
    assert w[side].store.read("x") == b"a precious content"


@pytest.mark.parametrize("side", ["D1", "R1"])
@pytest.mark.parametrize("before", ["made", "changed", "installed"])
def test_an_edit_in_the_same_tick_is_seen_by_the_next_scan(tmp_path: Path, side: str, before: str) -> None:
    """Of the same size, where a scan or a sync had just noted the stamp, which stays as it was."""
    w = World(tmp_path) if before == "made" else met(tmp_path)
    store, far = w[side].store, w[other(side)].store
    (far if before == "installed" else store).write("x", b"one")
    w.sync("D1", "R1")
    stamp = store.stamp("x")
    store.write("x", b"two")
    assert store.stamp("x") == stamp, "it tells nothing"
    w.sync("D1", "R1")
    assert far.read("x") == b"two"
    w.settle_and_check()
