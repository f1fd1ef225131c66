"""Traces that once went wrong, as a reviewer found them. Real engine, real agent, stores in memory."""

from pathlib import Path

import pytest

from cradle_desktop.errors import RequestFailed
from cradle_desktop.sync.report import MassDelete
from cradle_protocol.errors import CHANGED, NO_STORE, READ_ONLY, UNREADABLE, WRITE_FAILED
from cradle_protocol.provider.store import StoreError
from cradle_testing.pair import Cut
from cradle_testing.scenes import TWO_DESKTOPS, TWO_DEVICES, failing, known_everywhere, rest
from cradle_testing.worlds import PowerCut, World

# -- what the user decided


@pytest.mark.parametrize("take", ["desktop", "device"])
@pytest.mark.parametrize("edits", [(b"one", b"two"), (b"two", b"one")])
def test_a_decision_between_two_devices_edits(tmp_path: Path, take: str, edits: "tuple[bytes, bytes]") -> None:
    """The user's decision was ignored where both versions were stamped by one role."""
    w = World(tmp_path, devices=TWO_DEVICES)
    w["D1"].store.write("a", b"base")
    for device in TWO_DEVICES:
        w.sync("D1", device)
    w.advance()
    for device, edit in zip(TWO_DEVICES, edits):
        w[device].store.write("a", edit)
    w.advance()
    w.sync("D1", "R1")
    assert w.sync("D1", "R2", policy="ask").conflicts == 1
    w.sync("D1", "R2", policy="ask", decisions={"a": take})
    assert w["D1"].store.read("a") == edits[take == "device"]
    assert w.losers() == [edits[take == "desktop"]]


def in_conflict(folder: Path) -> World:
    """Both sides edited `a`."""
    w = World(folder)
    known_everywhere(w, rounds=2, a=b"base")
    w["D1"].store.write("a", b"dd")
    w["R1"].store.write("a", b"rr")
    w.advance()
    return w


def test_a_decision_stands_until_it_is_carried_out(tmp_path: Path) -> None:
    """A decided conflict whose execution failed was taken off the waiting list, and its decision thrown away."""
    w = in_conflict(tmp_path)
    assert w.sync("D1", "R1", policy="ask").conflicts == 1
    w["R1"].store.failing_reads["a"] = UNREADABLE
    w.sync("D1", "R1", policy="ask", decisions={"a": "device"})
    assert [loser.identity for loser in w.desks["D1"].conflicts.left] == ["a"]
    w["R1"].store.failing_reads.clear()
    w.sync("D1", "R1", policy="ask", decisions={"a": "device"})
    assert w["D1"].store.tree() == w["R1"].store.tree() == {"a": b"rr"}
    assert (w.losers(), w.desks["D1"].conflicts.left) == ([b"dd"], [])


def test_both_versions_when_both_were_chosen(tmp_path: Path) -> None:
    """The user chose both versions: one was put in place, and the other waited again as a new conflict."""
    w = in_conflict(tmp_path)
    w.sync("D1", "R1", policy="ask")
    w.sync("D1", "R1", policy="ask", decisions={"a": "both"})
    assert sorted(w["D1"].store.tree().values()) == [b"dd", b"rr"]
    assert w["D1"].store.read("a") == b"dd"
    assert (w.losers(), w.desks["D1"].conflicts.left) == ([], [])
    w.settle_and_check()


def test_no_conflict_is_kept_whose_change_failed(tmp_path: Path) -> None:
    """A loser was kept, and counted again at every sync, although the change that displaces it had failed."""
    w = in_conflict(tmp_path)
    w["D1"].store.failing_writes["a"] = READ_ONLY
    for _ in range(2):
        assert w.sync("D1", "R1", policy="device").conflicts == 0
        assert not w.losers()
    w["D1"].store.failing_writes.clear()
    assert w.sync("D1", "R1", policy="device").conflicts == 1
    assert w.losers() == [b"dd"]
    w.settle_and_check()


def test_a_conflict_that_cannot_be_hashed_just_now(tmp_path: Path) -> None:
    """The device's content of the same size could not be hashed: it was taken to be ours, and overwritten by it."""
    w = World(tmp_path)
    w["D1"].store.write("c", b"token 1")
    w["R1"].store.write("c", b"token 2")
    w.advance()
    w["R1"].store.failing_reads["c"] = CHANGED
    w.sync("D1", "R1", policy="device")
    assert {b"token 1", b"token 2"} <= set(w.contents())
    w["R1"].store.failing_reads.clear()
    w.settle_and_check()
    assert {b"token 1", b"token 2"} <= set(w.contents())


def test_a_create_over_a_foreign_tombstone_asks_nobody(tmp_path: Path) -> None:
    """A plain create over a tombstone of the desktop's waited as a conflict under the policy ask."""
    w = World(tmp_path, devices=TWO_DEVICES)
    w["D1"].store.write("a", b"1")
    rest(w, 1)
    w["D1"].store.delete("a")
    rest(w, 1)
    w["R2"].store.write("a", b"new")
    w.advance()
    assert w.sync("D1", "R2", policy="ask").conflicts == 0
    assert w["D1"].store.tree() == {"a": b"new"}
    w.settle_and_check()


def test_what_waits_is_passed_on_to_nobody(tmp_path: Path) -> None:
    """An item that waited in one direction must not overwrite by way of the other desktop or device."""
    w = World(tmp_path, desktops=TWO_DESKTOPS, devices=TWO_DEVICES)
    w["D1"].store.write("a", b"base")
    w.settle(2)
    w.advance()
    w.settle(1)
    w["D1"].store.write("a", b"dd")
    w["R1"].store.write("a", b"rr")
    w.advance()
    for _ in range(2):
        for desktop, device in (("D1", "R1"), ("D1", "R2"), ("D2", "R2"), ("D2", "R1")):
            w.sync(desktop, device, policy="ask")
    assert (w["D1"].store.read("a"), w["R1"].store.read("a")) == (b"dd", b"rr")
    w.settle_and_check()
    assert w.losers() == [b"rr"]


# -- one way


def test_one_way_and_equal_on_both_sides_already(tmp_path: Path) -> None:
    """Two stores that were filled alike by hand met with `to-device`: every item was refused, at every sync."""
    w = World(tmp_path)
    for name in w.names:
        w[name].store.write("a", b"same")
    w.advance()
    for _ in range(2):
        assert not w.sync("D1", "R1", direction="to-device").skipped
    w.settle_and_check()


def test_one_way_claims_nothing_that_it_does_not_hold(tmp_path: Path) -> None:
    """One-way syncs with third parties about: what was left out has to come with a sync both ways."""
    w = World(tmp_path, desktops=TWO_DESKTOPS, devices=TWO_DEVICES)
    w["R1"].store.write("r", b"r")
    w["D1"].store.write("d", b"d")
    w.sync("D1", "R1", direction="to-device")
    assert w["D1"].store.tree() == {"d": b"d"}
    w.sync("D1", "R1", direction="to-desktop")
    w.sync("D2", "R1", direction="to-device")
    w.sync("D2", "R2")
    w.settle_and_check()
    assert w["D2"].store.tree() == {"r": b"r", "d": b"d"}


# -- suspiciously many deletes


def test_both_sides_deleted_the_same(tmp_path: Path) -> None:
    """Both sides had deleted the same files: nothing was left to delete, and the sync stopped as a mass delete."""
    w = World(tmp_path)
    known_everywhere(w, rounds=1, **{f"f{k}": b"x" for k in range(40)})
    for name in w.names:
        for k in range(20):
            w[name].store.delete(f"f{k}")
    w.advance()
    result = w.sync("D1", "R1", max_delete=25.0)
    assert result.to_device.deleted == result.to_desktop.deleted == 0
    w.settle_and_check()


def test_a_small_store_that_suddenly_looks_empty(tmp_path: Path) -> None:
    """A store of ten objects looked empty, and the other side's ten were deleted without asking."""
    w = World(tmp_path)
    known_everywhere(w, rounds=1, **{f"f{k}": b"x" for k in range(10)})
    w["R1"].store.objects.clear()
    with pytest.raises(MassDelete):
        w.sync("D1", "R1", max_delete=25.0)
    assert len(w["D1"].store.tree()) == 10


# -- faults in mid-sync


def test_contents_stay_with_their_names_when_staging_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`stage` failed once in the middle of a fetch, and the contents after it landed under wrong names."""
    w = World(tmp_path)
    files = {f"f{k}": bytes([65 + k]) * (40000 + k) for k in range(8)}
    for path, content in files.items():
        w["R1"].store.write(path, content)
    with monkeypatch.context() as patch:
        patch.setattr(w["D1"].store, "stage", failing(w["D1"].store.stage, 2, StoreError(WRITE_FAILED)))
        assert len(w.sync("D1", "R1").skipped) == 1
    assert w["D1"].store.tree().items() <= files.items()
    w.sync("D1", "R1")
    assert w["D1"].store.tree() == w["R1"].store.tree() == files


def test_an_unreadable_object_after_a_crash(tmp_path: Path) -> None:
    """After a crash one object that could not be read ended every sync in `recover`."""
    w = World(tmp_path)
    w["R1"].store.write("a", b"x")
    w["R1"].store.write("b", b"y")
    meta = w.desks["D1"].meta
    meta.crash_before_commit = 3
    with pytest.raises(PowerCut):
        w.sync("D1", "R1")
    meta.crash()  # the process died, the disk did not
    assert meta.pending() and "a" in w["D1"].store.objects
    w["D1"].store.failing_reads["a"] = UNREADABLE
    w["D1"].store.write("other", b"o")
    w.sync("D1", "R1")
    assert w["R1"].store.read("other") == b"o"
    w["D1"].store.failing_reads.clear()
    w.settle_and_check()


def test_more_failures_than_exceptions_fit(tmp_path: Path) -> None:
    """More items failed than knowledge can name: those that failed never came again, or were lost to a third party."""
    w = World(tmp_path, devices=TWO_DEVICES)
    w.desks["D1"].meta.knowledge.limit = 3
    for k in range(10):
        w["R1"].store.write(f"f{k}", b"x%d" % k)
    for k in range(6):
        w["R1"].store.failing_reads[f"f{k}"] = UNREADABLE
    w.advance()
    assert len(w.sync("D1", "R1").skipped) == 6
    w.sync("D1", "R2")
    w["R1"].store.failing_reads.clear()
    w.settle_and_check()
    assert len(w["R2"].store.tree()) == 10


def test_nothing_staged_stays_when_nobody_wants_it(tmp_path: Path) -> None:
    """What a cut session had staged on the desktop stayed for ever when its file was deleted meanwhile."""
    w = World(tmp_path)
    w["R1"].store.write("big", b"x" * 100000)
    with pytest.raises(Cut):
        w.sync("D1", "R1", cut_after=60000)
    assert w["D1"].store.stages
    w["R1"].store.delete("big")
    rest(w, 3)
    assert not w["D1"].store.stages


@pytest.mark.parametrize("flush", range(1, 5))
def test_a_stick_that_is_pulled_in_mid_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flush: int) -> None:
    """The store went away in mid-batch, and the process went on with metadata that said more than was stored."""
    w = World(tmp_path, devices=TWO_DEVICES)
    w["R1"].store.write("a", b"one")
    w["R1"].store.write("d/b", b"two")
    w.advance()
    with monkeypatch.context() as patch:
        patch.setattr(w["D1"].store, "sync", failing(w["D1"].store.sync, flush, StoreError(NO_STORE)))
        try:
            w.sync("D1", "R1")
        except StoreError:
            pass
    w.sync("D1", "R2")
    w.settle_and_check()
    assert w["R2"].store.tree() == {"a": b"one", "d/": b"", "d/b": b"two"}


def test_a_store_that_ends_in_mid_scan(tmp_path: Path) -> None:
    """The store ended in mid-scan, when creates were stamped in memory already, and the same process synced again."""
    w = World(tmp_path, devices=TWO_DEVICES)
    for k in range(6):
        w["D1"].store.write(f"f{k}", b"x%d" % k)
    w["D1"].store.ends_after = 3
    with pytest.raises(StoreError):
        w.sync("D1", "R1")
    w["D1"].store.ends_after = None
    w["D1"].store.rename("f0", "g")
    rest(w, 1)
    w["R1"].store.write("r", b"r")
    w["R1"].store.ends_after = 2
    with pytest.raises(RequestFailed):
        w.sync("D1", "R1")
    w["R1"].store.ends_after = None
    w.settle_and_check()
    assert len(w["R2"].store.tree()) == 7
