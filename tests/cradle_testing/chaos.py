"""Does a script (`cradle_testing.script`) in a world, and says what must be true then.

What a user writes is a token that no two writes share, so that it can be looked for wherever it may have gone.
Everything is the real engine, session, agent and their metadata; clocks are turned, so it takes no time.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from cradle_desktop.conflict.ancestors import Ancestors
from cradle_desktop.errors import LinkGone, RequestFailed
from cradle_desktop.metadata.database import Database
from cradle_desktop.sync.filter import Filter
from cradle_hardware.emulated.noise import Line
from cradle_protocol.errors import NO_STORE
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.item import item_id
from cradle_protocol.sync.values import DIFFERENT, compare
from cradle_testing.fate import Killed
from cradle_testing.flash import Lifeline
from cradle_testing.memory_disk import Stored
from cradle_testing.script import DIRECTORIES, STICKS, During, Edit, Script, Session, Trouble
from cradle_testing.stores import MemoryStore
from cradle_testing.worlds import Backup, World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.sync.report import Direction

DIRECTIONS: "tuple[Direction, ...]" = ("both", "to-device", "to-desktop")
# Seconds: an edit during a session is never in the very tick of the clock in which the session looked.
TICK = 0.001
DEEPEST = 4  # parts of a path that a rename makes
# What is left of knowledge and of a device's log when all is at rest, at most: about a dozen items, tombstones counted.
RANGES, EXCEPTIONS, LOG_BYTES = 2, 3, 12000
LINES, FURTHER = 3, b"\n\n"  # of a text: edits of two lines can be merged where others are between them
# What a bad serial line does to a byte; most frames of a session still pass.
NOISE = Line(byte_errors=0.0005, bursts=0.0001, duplicates=0.0003, stalls=0.0002)


def tokens(contents: "Iterable[bytes | None]") -> "set[bytes]":
    """All tokens in some contents."""
    return {token for content in contents for token in re.findall(rb"token \d+", content or b"")}


def with_line(content: bytes, line: bytes, place: int) -> "tuple[bytes, bytes]":
    """(the content with this line in it, the line that was there before)."""
    lines = (content.split(FURTHER) + [b""] * LINES)[:LINES]
    before, lines[place % LINES] = lines[place % LINES], line
    return FURTHER.join(lines), before


def is_directory(store: MemoryStore, path: str) -> bool:
    """Is there a directory?"""
    return path in store.objects and store.objects[path].content is None


def is_file(store: MemoryStore, path: str) -> bool:
    """Is there a file?"""
    return path in store.objects and store.objects[path].content is not None


def below(store: MemoryStore, path: str) -> "list[str]":
    """An object and all that lies in it."""
    return [p for p in store.objects if p == path or p.startswith(path + "/")]


def has_place_for(store: MemoryStore, path: str) -> bool:
    """Is everything above a path a directory, or not there?"""
    above = ["/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 1)]
    return not any(is_file(store, p) for p in above)


class Users:
    """They edit the stores of a world. written: all tokens; gone: those that a user's own hand or a power cut ended."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.written: set[bytes] = set()
        self.gone: set[bytes] = set()

    def edit(self, edit: Edit) -> None:
        """Do it, if it is possible there."""
        store = self.world[edit.name].store
        store.advance(edit.wait)
        if edit.kind == "delete":
            self._delete(store, edit.path)
        elif edit.kind == "chmod" and edit.path in store.objects and store.modes:
            store.chmod(edit.path, int(edit.more))
        elif edit.kind == "move":
            self._move(store, edit.path, str(edit.more))
        elif edit.kind == "line" and is_file(store, edit.path):
            self._edit_line(store, edit)
        elif has_place_for(store, edit.path):
            self._make(store, edit)

    def _edit_line(self, store: MemoryStore, edit: Edit) -> None:
        content, before = with_line(store.read(edit.path), b"token %d" % int(edit.more), int(edit.more))
        self.gone |= tokens([before])
        self.written |= tokens([content])
        store.write(edit.path, content)

    def _make(self, store: MemoryStore, edit: Edit) -> None:
        if edit.kind == "swap":
            self._delete(store, edit.path)
        if edit.kind == "mkdir" or (edit.kind == "swap" and edit.path not in DIRECTORIES):
            if edit.path not in store.objects:
                store.mkdir(edit.path)
        elif edit.kind in ("write", "swap") and not is_directory(store, edit.path):
            self._overwrite(store, edit.path)
            token = b"token %d" % int(edit.more)
            self.written.add(token)
            store.write(edit.path, token)

    def _delete(self, store: MemoryStore, path: str) -> None:
        for inside in below(store, path):
            self._overwrite(store, inside)
        store.delete(path)

    def _move(self, store: MemoryStore, old: str, new: str) -> None:
        parent = new.rpartition("/")[0]
        inside = new.startswith(old + "/") or old.startswith(new + "/")
        if inside or old not in store.objects or (parent and not is_directory(store, parent)):
            return
        if new in store.objects and (is_directory(store, old) or is_directory(store, new)):
            return
        if max(p.count("/") for p in below(store, old)) - old.count("/") + new.count("/") < DEEPEST:
            self._overwrite(store, new)
            store.rename(old, new)

    def _overwrite(self, store: MemoryStore, path: str) -> None:
        """A user's own hand ended this content here."""
        if is_file(store, path):
            self.gone |= tokens([store.read(path)])

    def lose_power(self, store: MemoryStore) -> None:
        """A power cut takes what the user wrote since the disk was last flushed: nobody promised that."""
        self.lose(store, store.durable)
        store.crash()

    def lose(self, store: MemoryStore, left: "dict[str, Stored]") -> None:
        """By no fault of a sync's only these are left of what is in a store."""
        kept = tokens(one.content for one in left.values())
        self.gone |= tokens(one.content for one in store.objects.values()) - kept


@contextmanager
def same_ids() -> Iterator[None]:
    """Ids that are made up are the same in each run: the greater of two decides much."""
    before, draw = os.urandom, Random(0)
    os.urandom = draw.randbytes
    try:
        yield
    finally:
        os.urandom = before


class Chaos:
    """One script in one world, made in a folder that is empty."""

    def __init__(self, folder: Path, script: Script) -> None:
        modes = {name: name not in script.modeless for name in script.desktops + script.devices}
        self.world = World(folder, script.desktops, script.devices, modes, script.batch_items)
        self.script, self.users = script, Users(self.world)
        self.lives = {name: Lifeline(self.world[name].store) for name in self.world.names}
        self._folder, self._folders = folder, 0
        self._databases: dict[tuple[str, int], Database] = {}
        self._backups: dict[str, Backup] = {}
        for name, board in self.world.boards.items():
            board.end.adapt = self.lives[name].adapt
            board.end.restart()

    def run(self) -> None:
        """Do it, and check what must be true in the end."""
        for step in self.script.steps:
            if isinstance(step, Edit):
                self.users.edit(step)
            elif isinstance(step, Trouble):
                self._trouble(step)
            else:
                self._session(step)
        self.check()

    # -- between the sessions

    def _trouble(self, trouble: Trouble) -> None:
        store, more = self.world[trouble.name].store, int(trouble.more)
        if trouble.kind in ("restart", "kill"):
            self._fall(trouble.name, trouble.kind == "restart", more)
        elif trouble.kind == "fill":
            held = sum(len(one.content or b"") for one in store.objects.values())
            store.full = None if more < 0 else held + more
        elif trouble.kind == "away":
            store.ends_after = more
        elif trouble.kind == "clock":
            store.advance(trouble.more)
        elif trouble.kind == "lost_clock":
            store.lost_clock = not store.lost_clock
        elif trouble.kind == "forget":
            if trouble.name not in STICKS:  # nobody works on a stick but a desktop in a session
                with self._stores_away(store):
                    self.world.forget(trouble.name)
        elif trouble.kind == "wipe":
            self.world.forget_everything(trouble.name)
        elif trouble.kind == "backup":
            self._backups[trouble.name] = self.world.save(trouble.name, self._new_folder("backup"))
        elif trouble.kind == "restore":
            self._restore(trouble.name, bool(more) or trouble.name in self.world.desks)
        elif trouble.kind == "clone":
            self.users.lose(self.world[trouble.path].store, self.world[trouble.name].store.objects)
            self.world.clone(trouble.name, trouble.path)
        elif trouble.kind == "filter":
            with self._stores_away(store):
                self.world.set_filter(trouble.name, Filter.read(trouble.path.encode()))
        elif trouble.kind == "heal":
            self._heal(store)
        else:
            getattr(store, trouble.kind)[trouble.path] = more

    def _restore(self, name: str, state_only: bool) -> None:
        """From the last backup, if there is one. A desktop's folder is no part of its state."""
        if name not in self._backups:
            return
        backup = self._backups[name]
        if not state_only:
            self.users.lose(self.world[name].store, backup.objects)
        self.world.put_back(name, backup, state_only)

    def _new_folder(self, kind: str) -> Path:
        self._folders += 1
        return self._folder / f"{kind} {self._folders}"

    def _fall(self, name: str, power: bool, torn: int) -> None:
        """A machine stops and starts again. power: what was not flushed goes, some of it torn by this seed."""
        life, store = self.lives[name], self.world[name].store
        life.arm(None)
        if name in self.world.desks:
            self.world.desks[name].meta.crash()
            if power:
                self.users.lose_power(store)
            return
        end = self.world.boards[name].end
        end.agent.close()
        if power:
            life.lose_power(Random(torn))
            self.users.lose_power(store)
        end.reopen()

    @staticmethod
    @contextmanager
    def _stores_away(*stores: MemoryStore) -> Iterator[None]:
        """A store that goes away ends what is done with it, and nothing else does."""
        try:
            yield
        except (StoreError, RequestFailed) as error:
            if all(store.ends_after is None for store in stores):
                raise
            assert error.status == NO_STORE, error

    @staticmethod
    def _heal(store: MemoryStore) -> None:
        store.full = store.ends_after = None
        for switch in (store.failing, store.failing_reads, store.failing_writes, store.hidden):
            switch.clear()

    # -- sessions

    def _session(self, session: Session) -> None:
        desk, board = self.world.desks[session.desktop], self.world.boards[session.device]
        desk.meta.on_act = self.lives[session.desktop].act
        death = session.death
        victim = session.device if death is not None and death.device else session.desktop
        fallen = [victim] if victim in self.world.boards or session.device not in STICKS else [victim, session.device]
        if death is not None:
            self.lives[victim].arm(death.step)
        try:
            with self._edits(session.during), self._stores_away(desk.store, board.store):
                self._sync(session)
        except (LinkGone, Killed):
            pass  # it was cut, or a line was too bad, or one of them is dead
        if self.lives[victim].dead:
            assert death is not None
            for name in fallen:  # a stick's agent is in the desktop's process
                self._fall(name, death.power, death.torn)
        self.lives[victim].arm(None)

    def _sync(self, session: Session) -> None:
        self.world.sync(
            session.desktop,
            session.device,
            policy=session.policy,
            cut_after=session.cut,
            direction=session.direction,
            decisions=dict(session.decisions),
            ancestors=self._ancestors(session) if session.policy == "merge" else None,
            line=NOISE._replace(seed=session.line) if session.line else None,
            echo=session.echo,
        )

    def _ancestors(self, session: Session) -> Ancestors:
        """What a desktop has for merges; they go with its database."""
        desk = self.world.desks[session.desktop]
        key = session.desktop, desk.lives
        folder = self._folder / "ancestors" / f"{key[0]} {key[1]}"
        if key not in self._databases:
            self._databases[key] = Database(folder / "cradle.db")
        return Ancestors(self._databases[key], session.device, desk.meta.replicas[0], str(folder / "texts"))

    @contextmanager
    def _edits(self, during: "tuple[During, ...]") -> Iterator[None]:
        """Users edit some stores while the engine looks at them or acts on them."""
        for one in during:
            self._arm(one)
        try:
            yield
        finally:
            for one in during:
                store = self.world[one.name].store
                store.on_install = store.on_remove = store.on_open = None
                store.on_scan = None

    def _arm(self, during: During) -> None:
        """An edit looks at nothing, so none meets another."""
        store, edits, looks = self.world[during.name].store, list(during.edits), during.look

        def look(identity: str = "", reading: bool = False) -> None:
            nonlocal looks
            looks -= 1
            # While something is read, a scan may be going on, which would miss what a delete took away.
            if looks >= 0 or not edits or (reading and edits[0].kind != "write"):
                return
            store.advance(TICK)
            self.users.edit(edits.pop(0))
            store.advance(TICK)

        store.on_install = store.on_remove = store.on_scan = look
        store.on_open = lambda identity: look(identity, reading=True)

    # -- what must be true

    def check(self) -> None:
        """When all is healed: everybody equal and at rest, and no write lost that no user's own hand has ended."""
        for name in self.world.names:
            self._heal(self.world[name].store)
        self.world.settle(rounds=1)
        self.world.advance()  # from now on no stamp could hide an edit
        self.world.settle_and_check()
        self._all_that_is_wanted_is_there()
        stored = [one.content for name in self.world.names for one in self.world[name].store.objects.values()]
        lost = self.users.written - self.users.gone - tokens([*stored, *self.world.losers()])
        assert not lost, f"lost: {sorted(lost)}"
        for direction in DIRECTIONS:
            self._nothing_moves(direction)
        self._little_is_remembered()

    def _all_that_is_wanted_is_there(self) -> None:
        """Devices hold what their filters want, whatever else their users made; without filters they hold it all."""
        filtered = {name: self.world.filter_of(name) for name in self.world.devices}
        for name, wanted in filtered.items():
            for path in sorted(self._absent(name)) if wanted.newer_than < 0 else ():
                one = self.world.desks["D1"].store.objects[path]
                size = len(one.content or b"")
                assert not wanted.wants(path, one.content is None, size, -1), f"{name} has no {path}"
        if any(not wanted.everything() for wanted in filtered.values()):
            for name in filtered:
                self.world.set_filter(name, Filter())
            self.world.settle_and_check()
            absent = {name: sorted(self._absent(name)) for name in filtered}
            assert not any(absent.values()), f"not there without filters: {absent}"

    def _absent(self, device: str) -> "set[str]":
        """What is on the desktops and by name only there.

        Where a desktop's memory went, a name may stand for what its user has deleted or edited since: that is nowhere,
        and a conflict with it is none that could be settled.
        """
        paths = {path.rstrip("/") for path in self.world.ghosts(device)} & self.world.desks["D1"].store.objects.keys()
        if not self._has("wipe", "restore"):
            return paths
        here, there = self.world.desks["D1"].meta, self.world.boards[device].end.agent.replicas["files"].meta()
        records = {path: (here.get(item_id("files", path)), there.get(item_id("files", path))) for path in paths}
        return {path for path, (a, b) in records.items() if a and b and compare(a.values[0], b.values[0]) != DIFFERENT}

    def _has(self, *kinds: str) -> bool:
        return any(isinstance(step, Trouble) and step.kind in kinds for step in self.script.steps)

    def _little_is_remembered(self) -> None:
        """At rest knowledge is a vector or two, whatever has happened, and a log is not much more than what counts.

        Of a replica that was wiped what had been skipped is an exception for ever: one an item, at most.
        """
        wiped = self._has("wipe")
        for name in self.world.names:
            board = self.world.boards.get(name)
            meta = self.world.desks[name].meta if board is None else board.end.agent.replicas["files"].meta()
            for known in (meta.knowledge, meta.forgotten):
                most = sum(1 for _ in meta.items()) if wiped else EXCEPTIONS
                assert len(known.vectors) <= RANGES and len(known.exceptions) <= most, f"{name}: {known}"
            logs = [] if board is None else [path.stat().st_size for path in board.end.folder.glob("*.log")]
            assert sum(logs) <= LOG_BYTES, f"{name}: {logs}"

    def _nothing_moves(self, direction: "Direction") -> None:
        for desktop in self.world.desktops:
            for device in self.world.devices:
                result = self.world.sync(desktop, device, direction=direction)
                moved = result.to_desktop.total() + result.to_device.total() + result.conflicts
                left = {path.rstrip("/") for path in self.world.ghosts(device)} - self._absent(device)
                skipped = [path for path, _ in result.skipped if path not in left]
                assert moved == 0 and not skipped, f"moved: {direction} {desktop} {device} {result}"
