"""Carries out the vectors of protocol/vectors/worlds between real replicas; their README says what the words mean."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cradle_protocol.errors
from cradle_desktop.sync.filter import Filter
from cradle_desktop.sync.report import Counts, TypeResult
from cradle_protocol.sync.item import item_id
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.version import LOWEST
from cradle_testing.worlds import Cut, World

FOLDER = Path(__file__).parents[2] / "protocol/vectors/worlds"
FAMILIES = sorted(path.stem for path in FOLDER.glob("*.json"))

Step = dict[str, Any]


def vectors(family: str) -> "list[dict[str, Any]]":
    """The vectors of a file."""
    found: list[dict[str, Any]] = json.loads((FOLDER / f"{family}.json").read_text(encoding="utf-8"))["vectors"]
    return found


class Told:
    """A vector being carried out in a world. counts: does the world count contents on the wire?"""

    counts = True

    def __init__(self, world: World) -> None:
        self.world = world

    def run(self, steps: "list[Step]") -> None:
        for number, step in enumerate(steps):
            words = [word for word in step if hasattr(self, "do_" + word)]
            assert len(words) == 1, step
            try:
                getattr(self, "do_" + words[0])(step[words[0]], step)
            except AssertionError as error:
                raise AssertionError(f"step {number + 1} {json.dumps(step)}: {error}") from error

    # -- acts

    def do_at(self, name: str, step: Step) -> None:
        store = self.world[name].store
        store.advance(10)
        for word, path, *more in step["does"]:
            if word == "write":
                store.write(path, more[0].encode())
            elif word == "chmod":
                store.chmod(path, int(more[0], 8))
            else:
                getattr(store, word)(path, *more)

    def do_fails(self, where: "dict[str, dict[str, str]]", _: Step) -> None:
        for name, paths in where.items():
            statuses = {path: getattr(cradle_protocol.errors, status) for path, status in paths.items()}
            self.world[name].store.failing_writes = statuses

    def do_forget(self, name: str, _: Step) -> None:
        self.world.forget(name)

    def do_filter(self, wanted: "dict[str, str]", _: Step) -> None:
        for name, text in wanted.items():
            self.world.set_filter(name, Filter.read(text.encode()))

    def do_sync(self, pair: "list[str]", step: Step) -> None:
        self.world.advance()
        self.world.content_bytes = 0
        try:
            result = self.world.sync(*pair, policy=step.get("policy", "desktop"), cut_after=step.get("cut"))
        except Cut:
            assert "cut" in step
            return
        self.check(result, step)

    def check(self, result: TypeResult, step: Step) -> None:
        assert result.conflicts == step.get("conflicts", 0), result.conflicts
        assert [path for path, _ in result.skipped] == step.get("skipped", []), result.skipped
        assert result.absent == step.get("absent", 0), result.absent
        for side in ("to_device", "to_desktop"):
            if side in step:
                assert _counts(getattr(result, side)) == step[side], _counts(getattr(result, side))
        if "content" in step and self.counts:
            assert self.world.content_bytes == step["content"], self.world.content_bytes

    # -- what must be true

    def do_holds(self, names: "list[str]", step: Step) -> None:
        for name in names:
            found = {path: content.decode() for path, content in self.world[name].store.tree().items()}
            assert found == step["files"], (name, found)
            for path, mode in step.get("modes", {}).items():
                assert f"{self.world[name].store.mode(path):o}" == mode, (name, path)

    def do_names(self, where: "dict[str, list[str]]", _: Step) -> None:
        """What is there by name only."""
        for name in self.open_books(where):
            assert sorted(self.world.ghosts(name)) == where[name], (name, self.world.ghosts(name))

    def do_losers(self, expected: "list[str]", _: Step) -> None:
        assert self.world.losers() == sorted(text.encode() for text in expected), self.world.losers()

    def do_knows(self, where: "dict[str, dict[str, int]]", _: Step) -> None:
        for name in self.open_books(where):
            meta, expected = self.meta(name), where[name]
            assert meta.knowledge.exceptions == {}, (name, meta.knowledge.exceptions)
            assert self.letters(name, meta.knowledge) == expected, (name, self.letters(name, meta.knowledge))

    def do_versions(self, where: "dict[str, dict[str, list[str]]]", _: Step) -> None:
        """Versions of the content: replica and tick."""
        for name in self.open_books(where):
            names = self.names(name)
            for path, expected in where[name].items():
                item = self.meta(name).get(item_id("files", path))
                assert item is not None, (name, path)
                found = [f"{names[key]}:{tick}" for tick, key in item.versions]
                assert found == expected, (name, path, found)

    def do_rest(self, _: int, __: Step) -> None:
        self.world.settle_and_check()

    # -- replicas

    def open_books(self, where: "Mapping[str, object]") -> "list[str]":
        """Those of which the metadata can be looked at."""
        return list(where)

    def replica(self, name: str) -> bytes:
        """The id of a replica."""
        return bytes(self.meta(name).replicas[0])

    def meta(self, name: str) -> Any:
        if name in self.world.desks:
            return self.world.desks[name].meta
        return self.world.boards[name].end.agent.replicas["files"].meta()

    def names(self, name: str) -> "list[str]":
        """Names of replicas by the keys of this one."""
        ids = {self.replica(one): one for one in self.world.names}
        return [ids[replica] for replica in self.meta(name).replicas]

    def letters(self, name: str, knowledge: Knowledge) -> "dict[str, int]":
        names = self.names(name)
        return {names[key]: tick for key, tick in knowledge.vector(LOWEST).items()}


def _counts(counts: Counts) -> "list[int]":
    return [counts.created, counts.updated, counts.renamed, counts.deleted]


def names_of(vector: "Mapping[str, Any]") -> "tuple[tuple[str, ...], tuple[str, ...]]":
    """(desktops, devices) that a vector names."""
    names = sorted({name for step in vector["steps"] for name in (*step.get("sync", ()), step.get("at", "D1"))})
    return tuple(n for n in names if n[0] == "D"), tuple(n for n in names if n[0] == "R")


def carry_out(vector: "Mapping[str, Any]", folder: Path) -> None:
    """A vector in a world in memory."""
    desktops, devices = names_of(vector)
    world = World(folder, desktops, devices, vector.get("modes"), vector.get("batch_items", 1000))
    for name in vector.get("caseless", ()):
        world[name].store.caseless = True
    Told(world).run(vector["steps"])
