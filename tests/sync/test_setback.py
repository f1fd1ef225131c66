"""A desktop whose state comes from a backup goes on as a new replica: its new edits are not what others have seen."""

import copy
from pathlib import Path

from cradle_desktop.metadata.database import Database
from cradle_desktop.metadata.sqlite import SqliteStore
from cradle_desktop.sync.setback import SET_BACK, renew
from cradle_protocol.sync.version import is_desktop
from cradle_testing.metadata import strange_items
from cradle_testing.worlds import World


def _behind(folder: Path, devices: tuple[str, ...] = ("R1",)) -> World:
    """D1 synced nine edits of `a` with R1 after the backup that it was put back to, store and state."""
    w = World(folder, desktops=("D1", "D2"), devices=devices)
    desk = w.desks["D1"]
    for name in ("a", "b", "gone", "moved"):
        desk.store.write(name, b"old " + name.encode())
    for device in devices:
        w.sync("D1", device)
        w.sync("D2", device)
    meta, objects = copy.deepcopy(desk.meta), dict(desk.store.objects)
    for k in range(9):
        w.advance(10)
        desk.store.write("a", b"new a %d" % k)
        w.sync("D1", "R1")
    desk.meta, desk.store.objects = meta, objects
    w.advance(100)
    return w


def _edit(w: World) -> dict[str, bytes]:
    """Something of every kind, in fewer ticks than were lost. What must be everywhere in the end."""
    store = w.desks["D1"].store
    store.write("b", b"edited after it")
    store.write("c", b"made after it")
    store.delete("gone")
    store.rename("moved", "new")
    return {"a": b"new a 8", "b": b"edited after it", "c": b"made after it", "new": b"old moved"}


def test_a_desktop_that_was_set_back_loses_no_edit(tmp_path: Path) -> None:
    """Its edits after the backup have the ticks of those that the device knows; without a new id none would travel."""
    w = _behind(tmp_path)
    expected, old = _edit(w), w.desks["D1"].meta.replicas[0]
    result = w.sync("D1", "R1")
    sent = result.to_device
    assert (sent.created, sent.updated, sent.renamed, sent.deleted, result.conflicts) == (1, 1, 1, 1, 0)
    assert w["D1"].store.tree() == w["R1"].store.tree() == expected
    replicas = w.desks["D1"].meta.replicas
    assert replicas[0] != old and is_desktop(replicas[0]) and old in replicas
    assert w.notes == [SET_BACK]
    w.settle_and_check()
    assert w["D2"].store.tree() == expected
    assert w.notes == [SET_BACK]


def test_a_desktop_that_was_set_back_and_changed_nothing_gets_what_it_missed(tmp_path: Path) -> None:
    w = _behind(tmp_path)
    result = w.sync("D1", "R1")
    assert (result.to_desktop.total(), result.to_device.total(), result.conflicts) == (1, 0, 0)
    assert w["D1"].store.tree() == w["R1"].store.tree()
    w.settle_and_check()


def test_an_edit_on_both_sides_of_a_backup_is_a_conflict(tmp_path: Path) -> None:
    w = _behind(tmp_path)
    w["D1"].store.write("a", b"edited after it")
    assert w.sync("D1", "R1").conflicts == 1
    assert sorted(w["R1"].store.tree()) == ["a", "b", "gone", "moved"]
    assert {b"new a 8", b"edited after it"} <= set(w.contents())
    w.settle_and_check()


def test_who_never_saw_what_was_lost_comes_first(tmp_path: Path) -> None:
    """R2 cannot say that ticks are used up, only the witness of the metadata can. R1 saw as many as are used now."""
    w = _behind(tmp_path, ("R1", "R2"))
    expected = _edit(w)
    w.desks["D1"].set_back = True
    plan = w.preview("D1", "R2")
    sent = w.sync("D1", "R2").to_device
    assert vars(plan.to_device()) == vars(sent) and sent.total() == 4
    w["D1"].store.write("more", b"so that more ticks are used than were lost")
    for k in range(9):
        w["D1"].store.mkdir(f"more {k}")
    w.sync("D1", "R2")
    w.settle_and_check()
    tree = {path: data for path, data in w["R1"].store.tree().items() if not path.startswith("more")}
    assert tree == expected and not w.losers() and w.notes == [SET_BACK]


def test_a_preview_of_a_desktop_that_was_set_back_shows_what_the_sync_does(tmp_path: Path) -> None:
    w = _behind(tmp_path)
    _edit(w)
    before = w.everything()
    plan = w.preview("D1", "R1")
    assert w.everything() == before
    result = w.sync("D1", "R1")
    assert vars(plan.to_device()) == vars(result.to_device)
    assert vars(plan.to_desktop()) == vars(result.to_desktop)


def test_versions_after_the_backup_are_the_new_replicas(tmp_path: Path) -> None:
    """In a database, with links, tombstones and other replicas' versions."""
    store = SqliteStore(Database(tmp_path / "state.db"))
    meta = store.open_replica("/folder", "files", 2)
    old = meta.replicas[0]
    meta.key_of(b"another replica.")
    items = strange_items()
    for item in items:
        meta.put(item)
    meta.tick = 9
    meta.knowledge.raise_own(0, 9)
    renew(meta, 7)
    meta = store.open_replica("/folder", "files", 2)
    assert meta.replicas[1:] == [b"another replica.", old] and old != meta.replicas[0]
    assert meta.tick == 9 and meta.knowledge.lowest() == {0: 9, 2: 7}
    moved, target = meta.get(items[1].id), meta.get(items[2].id)
    assert moved is not None and moved.link is not None and target is not None and target.link is not None
    assert (moved.created, moved.versions) == ((7, 2), [(9, 0), (9, 0)])
    assert (moved.link.created, [version for version, _ in moved.link.base]) == ((9, 0), [(7, 2), (8, 1)])
    assert (target.created, target.link.created) == ((9, 0), (7, 2))
    phantom = meta.get(items[5].id)
    assert phantom is not None and phantom.phantom()
