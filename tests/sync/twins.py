"""The real engine beside the model: the same steps in both, compared after every one.

`python tests/sync/twins.py COUNT [FIRST] [KINDS]` runs seeds; what differs is made short and printed.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    root = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(root / part) for part in ("protocol", "device", "hardware", "desktop", "tests")]

from cradle_desktop.conflict.ancestors import Ancestors
from cradle_desktop.conflict.store import Loser
from cradle_desktop.metadata.database import Database
from cradle_desktop.sync import batches
from cradle_desktop.sync.engine import synchronize
from cradle_desktop.sync.filter import Filter as FilterText
from cradle_desktop.sync.report import Observer, Progress, SyncOptions
from cradle_protocol.provider.store import Reader
from cradle_protocol.sync.memory import MemoryMetadata
from cradle_protocol.sync.values import file_value
from cradle_protocol.sync.version import new_replica_id
from cradle_testing.fate import Fate, Killed, fated
from cradle_testing.pair import Cut
from cradle_testing.worlds import MemoryConflicts, World
from sync.model import DIRECTORY, Filter, ModelFailure
from sync.model_pass import Faults
from sync.model_plan import Loss, digest
from sync.model_world import SETTLE_ROUNDS, TICK, Edit, ModelWorld, Step, Sync, name_everything, with_line
from sync.steps import ALL, FILTERED, Generator, Script, shrink

# What the engine is compared in: all but what the model's batches see in other places than the engine's.
COMPARED = ALL - {"during"}


class Recorder(MemoryConflicts):
    """A conflict store that remembers everything that was ever displaced."""

    def __init__(self) -> None:
        super().__init__()
        self.added: list[Loser] = []

    def add(self, loser: Loser, content: Reader | None, taken: str = "") -> int:
        """Remember and keep."""
        self.added.append(loser)
        return super().add(loser, content, taken)


class Watch(Observer):
    """Cuts the link when so many batches have ended in either direction."""

    def __init__(self, up: int | None, down: int | None) -> None:
        self._stops = {"receive": up, "send": down}
        self._done = {"receive": 0, "send": 0}
        self._batches = {"receive": 0, "send": 0}

    def progress(self, event: Progress) -> None:
        """A batch has ended where more objects are done than before, or none were to be done."""
        stage = event.stage
        if stage == "scan" or (event.done == self._done[stage] and event.total):
            return
        self._done[stage] = event.done
        self._batches[stage] += 1
        if self._batches[stage] == self._stops[stage]:
            raise Cut


class RealWorld(World):
    """A world whose processes may be killed, with replica ids that the model's names sort like."""

    def __init__(self, folder: Path, script: Script) -> None:
        super().__init__(folder, script.desktops, script.devices)
        kills = any(isinstance(step, Sync) and step.down.kill for step in script.steps)
        self._folder = folder
        self._databases: dict[str, Database] = {}
        self.fates: dict[str, Fate] = {}
        self.recorders: dict[str, Recorder] = {}
        for name, desk in self.desks.items():
            fate = self.fates[name] = Fate(desk.store, new_replica_id(f"{name} is a replica.".encode(), True))
            desk.meta = fated(MemoryMetadata, fate)(fate.replica_id, 2)
            desk.conflicts = self.recorders[name] = Recorder()
        for name, board in self.boards.items():
            self.fates[name] = Fate(board.store, new_replica_id(f"{name} is a replica.".encode(), False))
            board.end.max_requests = 1  # or a batch would be under way when the one before it is the last
            board.end.adapt = partial(fated, fate=self.fates[name])
            board.end.alternates = not kills  # a machine with memory installs the files of a batch in another order
            board.end.restart()

    def restart(self, name: str) -> None:
        """The process that was killed starts again; its store is as it was."""
        self.fates[name].arm()
        if name in self.boards:
            self.boards[name].end.restart()
        else:
            self.desks[name].meta.crash()

    def run(self, sync: Sync) -> None:
        """One session to its end, or to its fault."""
        desk, board = self.desks[sync.desktop], self.boards[sync.device]
        board.end.agent.limits.batch_items = sync.size
        connection, pump = self._connect(sync.desktop, sync.device, None)
        options = SyncOptions(policy=sync.policy, max_delete=100.0, partner=sync.device)  # type: ignore[arg-type]
        options.filtered, options.met = self.remembered(sync.desktop, sync.device)
        if sync.policy == "merge":
            options.ancestors = self._ancestors(sync)
        for store in (desk.store, board.store):
            store.renames = sync.up == sync.down == Faults()  # the model has no acts that come before all batches
        self.fates[sync.desktop].arm(sync.up.kill)
        self.fates[sync.device].arm(sync.down.kill)
        dead = ""
        try:
            with _batches_of(sync.size):
                watch = Watch(sync.up.stop, sync.down.stop)
                result = synchronize(connection, desk.store, desk.meta, desk.conflicts, options, watch)
                self.remember(sync.desktop, sync.device, result)
        except Cut:
            pass
        except Killed as killed:
            dead = next(name for name, fate in self.fates.items() if fate.replica_id == killed.args[0])
        if dead != sync.device:
            pump.end_session()
        if dead:
            self.restart(dead)
        self.fates[sync.desktop].arm()
        self.fates[sync.device].arm()

    def _ancestors(self, sync: Sync) -> Ancestors:
        folder = self._folder / "ancestors" / sync.desktop
        database = self._databases.setdefault(sync.desktop, Database(folder / "cradle.db"))
        return Ancestors(database, sync.device, self.fates[sync.desktop].replica_id, str(folder / "texts"))

    def edit(self, edit: Edit) -> None:
        """What a user did."""
        if edit.what == "forget":
            self.forget(edit.who)
            return
        if isinstance(edit.value, Filter):
            self.set_filter(
                edit.who, FilterText(exclude=["/" + path for path in edit.value.out], max_size=edit.value.limit)
            )
            return
        store = self[edit.who].store
        store.advance(TICK)
        if edit.what == "write":
            store.write(edit.path, str(edit.value).encode())
        elif edit.what == "line":
            store.write(edit.path, with_line(store.read(edit.path).decode(), str(edit.value)).encode())
        elif edit.what == "mkdir":
            store.mkdir(edit.path)
        elif edit.what == "chmod":
            store.chmod(edit.path, int(edit.value))
        elif edit.what == "rm":
            store.delete(edit.path)
        elif edit.what == "mv":
            store.rename(edit.path, str(edit.value))

    def tree(self, name: str) -> dict[str, tuple[str, int]]:
        """{path: (content, mode)} of a store, as the model gives it."""
        objects = sorted(self[name].store.objects.items())
        return {path: (DIRECTORY if o.content is None else o.content.decode(), o.mode) for path, o in objects}

    def losses(self) -> list[tuple[str, str, int, bytes]]:
        """(desktop, path, unit, value) of all that was ever displaced."""
        every = self.recorders.items()
        return sorted((name, one.identity, one.unit, one.value) for name, found in every for one in found.added)


@contextmanager
def _batches_of(size: int) -> Iterator[None]:
    """The desktop's batches hold so many items."""
    before, batches.BATCH_ITEMS = batches.BATCH_ITEMS, size
    try:
        yield
    finally:
        batches.BATCH_ITEMS = before


class Difference(Exception):
    """The engine did something else than the model."""


class Twins:
    """Both worlds."""

    def __init__(self, folder: Path, script: Script) -> None:
        self.script = script
        name_everything(script.desktops, script.devices, script.steps)
        self.model = ModelWorld(script.desktops, script.devices)
        self.real = RealWorld(folder, script)

    def run(self) -> None:
        """All steps, then everybody with everybody. Raises Difference, ModelFailure, and what the engine raises."""
        for step in self.script.steps:
            self.step(step)
        for _ in range(SETTLE_ROUNDS):
            for desktop in self.script.desktops:
                for device in self.script.devices:
                    self.step(Sync(desktop, device))
        self.model.check()
        self.real.settle_and_check(rounds=1)

    def step(self, step: Step) -> None:
        """One step in both."""
        if not self.model.step(step):
            return
        if isinstance(step, Edit):
            self.real.edit(step)
            return
        self.real.run(step)
        self._compare(step)

    def _compare(self, step: Sync) -> None:
        for name in self.real.names:
            model, real = self.model.tree(name), self.real.tree(name)
            if model != real:
                raise Difference(f"{name} after {step}: model {model}, engine {real}")
        model_losses, real_losses = sorted(map(_encoded, self.model.losses)), self.real.losses()
        if model_losses != real_losses:
            raise Difference(f"displaced after {step}: model {model_losses}, engine {real_losses}")


def _encoded(loss: Loss) -> tuple[str, str, int, bytes]:
    desktop, path, unit, value = loss
    if value is None:
        return desktop, path, unit, b""
    return desktop, path, unit, file_value(len(str(value)), digest(value)) if unit == 0 else digest(value)


def failure(script: Script) -> str:
    """What is wrong with this script, "" if nothing is."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            Twins(Path(folder), script).run()
        except (Difference, ModelFailure, AssertionError, LookupError) as error:
            return f"{type(error).__name__}: {error}"
    return ""


def run_seed(seed: int, kinds: frozenset[str] = COMPARED) -> str:
    """Run one seed. "" or the shortest steps found that fail in the same way, and how."""
    script = Generator(seed, kinds).script()
    found = failure(script)
    if not found:
        return ""
    kind = found.partition(":")[0]
    script = shrink(script, lambda less: failure(less).startswith(kind))
    return f"seed {seed}: {script}\n    {failure(script)}"


def main(arguments: list[str]) -> int:
    """The command."""
    count, first = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 0
    words = arguments[2] if len(arguments) > 2 else ""
    kinds = FILTERED - {"during"} if words == "filtered" else frozenset(words.split("+")) if words else COMPARED
    failed = 0
    for seed in range(first, first + count):
        if found := run_seed(seed, kinds):
            failed += 1
            print(found)  # noqa: T201
    print(f"{count} seeds from {first}: {failed} failed")  # noqa: T201
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
