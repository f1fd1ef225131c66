"""New files in bulk: the same answers, files, items and log as the way of every object. CPython only."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cradle_desktop.providers.files import FilesStore
from cradle_device import host_apply
from cradle_device.agent import Agent
from cradle_device.host import HostMetadata
from cradle_device.metadata import LogMetadata
from cradle_protocol.errors import BAD_NAME, CHANGED, MISMATCH, WRITE_FAILED
from cradle_protocol.provider.newfiles import NewFile, NewFiles
from cradle_protocol.provider.store import ObjectStore, StoreError
from cradle_protocol.sync.item import item_id
from cradle_protocol.sync.version import HIGHEST, LOWEST
from cradle_protocol.wire import constants as c
from cradle_testing.folder_hand import FolderHand
from cradle_testing.metadata import OWN
from device.hands import SMALL, Hand, LittleStore, make_agent
from device.place import PLACE

BIG = bytes(range(256)) * 20


class Watched(NewFiles):
    """The ways of the store, with a look at what goes the short one; `before` is called before files are shown."""

    def __init__(self, ways: NewFiles) -> None:
        self.ways = ways
        self.shown: list[str] = []
        self.before: Callable[[], None] | None = None

    def stage(self, file: NewFile, data: memoryview) -> None:
        self.ways.stage(file, data)

    def reaches(self, file: NewFile) -> bool:
        return self.ways.reaches(file)

    def show(self, files: "list[NewFile]") -> None:  # type: ignore[override]
        if self.before is not None:
            self.before()
        self.ways.show(files)
        self.shown += [file.identity for file in files if file.stamp]


def watch(store: ObjectStore, ways: NewFiles) -> Watched:
    watched = Watched(ways)
    store.new_files = lambda: watched  # type: ignore[attr-defined]
    return watched


def agent_of(name: str, store: ObjectStore, host: bool, fresh: bool = True) -> Agent:
    agent = make_agent(name, store, fresh, SMALL, log=HostMetadata if host else LogMetadata)
    if host:
        agent.handlers[c.APPLY] = host_apply.apply
    return agent


def facts(agent: Agent) -> "list[tuple[object, ...]]":
    meta = agent.replicas["files"].meta()
    assert meta.pending() == []
    return [(item.identity, item.oid > 0, item.flags, item.link, *item.facts()) for item in meta.items()]


def little() -> "tuple[LittleStore, Callable[[str, bytes], None]]":
    store = LittleStore()
    return store, store.edit


def folder() -> "tuple[FilesStore, Callable[[str, bytes], None]]":
    root = Path(PLACE) / "host batch root"
    shutil.rmtree(root, ignore_errors=True)
    return FilesStore.create(root), FolderHand(root).write


def live_through(
    host: bool, make: "Callable[[], tuple[ObjectStore, Callable[[str, bytes], None]]]"
) -> "tuple[object, ...]":
    """Everything that can be told of an agent after some batches; with `host` also what went the short way."""
    store, edit = make()
    watched = watch(store, getattr(store, "new_files", lambda: NewFiles(store))()) if host else None
    agent = agent_of("host batch", store, host)
    hand = Hand(agent)
    hand.open()
    edit("taken", b"user's")
    edit("dir that is a file", b"user's")
    contents = {
        "d/a": b"a", "d/b": b"bb", "n/deep/x": b"x", "n/deep/y": b"y", "top": b"t", "empty": b"", "ünï.txt": b"u",
        "big": BIG, "wrong": b"not this", "taken": b"ours", "dir that is a file/f": b"f",
    }  # fmt: skip
    changes = [hand.create(path, 2, b"but this" if path == "wrong" else data) for path, data in contents.items()]
    changes += [hand.create("d", 1), hand.create("made", 1, b"", b"\x01\x6d")]
    contents["made"] = b""
    answers = [hand.send(changes, contents)]
    again = hand.create("d/a", 3, b"changed")
    again.created = (2, hand.mine)
    place = hand.create("top", 4)
    place.created = (2, hand.mine)
    more = [again, place, hand.create("top/in", 5, b"in"), hand.delete("d/b", 6, (2, hand.mine))]
    more += [hand.create(f"more/{k}", 7, b"%d" % k) for k in range(9)]
    contents = {"d/a": b"changed", "top/in": b"in"} | {f"more/{k}": b"%d" % k for k in range(9)}
    answers.append(hand.send(more, contents))
    answers.append(hand.send(more, contents))  # known by now
    meta = agent.replicas["files"].meta()
    stamps = [store.stamp(item.identity) == item.stamp for item in meta.items() if not item.dead]
    known = [meta.knowledge.vector(i) for i in (LOWEST, HIGHEST, *[item_id("files", path) for path in contents])]
    before = facts(agent)
    agent.close()
    agent = agent_of("host batch", store, False, fresh=False)
    assert facts(agent) == before, "what the log says after a restart"
    opened = Hand(agent).open()
    agent.close()
    tree = sorted(store.items(), key=lambda one: one[0])
    values = [(path, store.values(stamp)) for path, stamp in tree]
    assert store.staged() == []
    if watched is not None:
        assert {"top", "empty", "n/deep/y", "ünï.txt"} <= set(watched.shown) and len(watched.shown) >= 10
        assert not {"taken", "wrong", "big", "d/f"} & set(watched.shown)
    return answers, values, before, stamps, known, opened.tick


@pytest.mark.parametrize("make", [little, folder])
def test_both_ways_end_the_same(make: "Callable[[], tuple[ObjectStore, Callable[[str, bytes], None]]]") -> None:
    plain, host = live_through(False, make), live_through(True, make)
    assert plain == host
    answers = host[0]
    assert isinstance(answers, list)
    assert answers[0]["taken"] == CHANGED and answers[0]["wrong"] == MISMATCH and "d/a" not in answers[0]
    assert answers[1:] == [{}, {}]


def test_intents_are_durable_before_anything_is_visible() -> None:
    store = LittleStore()
    watched = watch(store, NewFiles(store))
    agent = agent_of("host intents", store, True)
    hand = Hand(agent)
    hand.open()
    found: list[set[str]] = []

    def look() -> None:
        path = next(Path(PLACE, "host intents").glob("files-*.log"))
        shutil.copy(path, path.with_suffix(".copy"))
        meta = LogMetadata(str(path.with_suffix(".copy")), 2, OWN)
        found.append({item.identity for item, made in meta.pending() if made.get(hand.mine) == 3})
        meta.close()

    watched.before = look
    contents = {"a": b"1", "b": b"2", "d/c": b"3", "d/e": b"4"}
    assert hand.send([hand.create(path, 3, data) for path, data in contents.items()], contents) == {}
    assert found[0] >= set(contents) | {"d"} and len(found) >= 2
    agent.close()


def test_a_batch_that_dies_after_it_was_shown_is_adopted() -> None:
    """CE-02: what is visible and was not committed is what the desktop sent, no edit of the user's."""
    store = LittleStore()
    watched = watch(store, NewFiles(store))
    agent = agent_of("host dies", store, True)
    hand = Hand(agent)
    hand.open()

    class Died(BaseException):
        pass

    def die() -> None:
        raise Died

    watched.before = lambda: die() if watched.shown else None
    contents = {"a": b"1", "d/c": b"3", "e/f": b"4", "e/g": b"5", "d/x": b"6"}
    with pytest.raises(Died):
        hand.send([hand.create(path, 3, data) for path, data in contents.items()], contents)
    shown = set(watched.shown)
    assert shown and shown < set(contents)
    agent.replicas["files"].close()
    agent.close()
    agent = agent_of("host dies", store, True, fresh=False)
    hand = Hand(agent)
    assert hand.open().tick == 0, "nothing was stamped"
    meta = agent.replicas["files"].meta()
    for path in shown:
        item = meta.get(item_id("files", path))
        assert item is not None and item.versions == [(3, hand.mine)] * 2 and item.stamp == store.stamp(path)
    watch(store, NewFiles(store))
    assert hand.send([hand.create(path, 3, data) for path, data in contents.items()], contents) == {}
    assert {path: one[0] for path, one in store.objects.items() if one[0] is not None} == contents
    agent.close()


def test_a_file_that_cannot_be_staged_or_shown_fails_alone() -> None:
    store = LittleStore()
    watched = watch(store, NewFiles(store))
    stage = watched.ways.stage

    def refuse(file: NewFile, data: memoryview) -> None:
        if file.identity == "not staged":
            raise StoreError(WRITE_FAILED)
        stage(file, data)

    watched.ways.stage = refuse  # type: ignore[method-assign]
    store.failing["not shown"] = BAD_NAME
    agent = agent_of("host fails", store, True)
    hand = Hand(agent)
    hand.open()
    contents = {"not staged": b"1", "not shown": b"2", "fine": b"3"}
    made = [hand.create(path, 3, data) for path, data in contents.items()]
    assert hand.send(made, contents) == {"not shown": BAD_NAME}
    assert store.objects["not staged"][0] == b"1" and store.objects["fine"][0] == b"3" and store.stages == {}
    knowledge = agent.replicas["files"].meta().knowledge
    assert [path for path in contents if not knowledge.knows(item_id("files", path), (3, hand.mine))] == ["not shown"]
    agent.close()
