"""Worlds: some desktops and devices with stores in memory, the real engine, the real agent, no wire below the session.

`sync` runs one session of a pair to its end, or cuts it; nothing waits and nothing sleeps, so a world is deterministic.
Power cuts come from the metadata: `crash_before_commit` says at which commit the desktop dies.
"""

import copy
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from cradle_desktop.conflict.store import ConflictStore, Loser
from cradle_desktop.connection import Connection
from cradle_desktop.metadata.database import Database
from cradle_desktop.metadata.sqlite import SqliteMetadata, SqliteStore
from cradle_desktop.sync.engine import preview, synchronize
from cradle_desktop.sync.filter import Filter
from cradle_desktop.sync.plan import Plan
from cradle_desktop.sync.report import Observer, SyncOptions, TypeResult, no_journal
from cradle_device.replica import FILTER
from cradle_protocol.errors import WRITE_FAILED
from cradle_protocol.provider.paths import OWN_FOLDER
from cradle_protocol.provider.store import Reader, StoreError
from cradle_protocol.sync.detect import detect
from cradle_protocol.sync.forget import forget, tombstones
from cradle_protocol.sync.item import GHOST, IMPLIED, item_id
from cradle_protocol.sync.memory import MemoryMetadata
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.recover import recover
from cradle_protocol.sync.slices import whole
from cradle_protocol.sync.values import DIRECTORY, is_file
from cradle_protocol.sync.version import new_replica_id
from cradle_testing.lines import LinePair
from cradle_testing.memory_disk import SECOND, Stored
from cradle_testing.pair import AgentEnd, Cut, PairPump
from cradle_testing.stick_end import StickEnd
from cradle_testing.stores import MemoryStore
from cradle_testing.witness import EchoConnection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.conflict.ancestors import Ancestors
    from cradle_desktop.sync.report import Direction, OnName, OpenJournal, Policy
    from cradle_hardware.emulated.noise import Line

__all__ = ["Cut", "PowerCut", "World"]


class Backup(NamedTuple):
    """What one machine had: a device's folder of state and its keys, or a desktop's metadata, and what it stored.

    A database is read through its file, so worlds with databases have backups of devices only.
    """

    objects: dict[str, Stored]
    folder: "Path | None" = None
    keys: "dict[bytes, bytes]" = {}
    meta: "MortalMetadata | MortalSqlite | None" = None
    remembered: "tuple[dict[tuple[str, bytes], bytes], ...]" = ()


# More rounds than any chain of this many replicas needs to come to rest.
SETTLE_ROUNDS = 8


class PowerCut(Exception):
    """The desktop lost its power here."""


class Mortal(Metadata):
    """Metadata of a desktop that loses its power just before the n-th commit, keep or intend from now.

    on_act: called before each of them
    """

    crash_before_commit = 0
    on_act: "Callable[[], None] | None" = None

    def commit(self) -> None:
        self._live_on()
        super().commit()

    def keep(self, items: "list") -> None:  # type: ignore[type-arg]
        self._live_on()
        super().keep(items)

    def intend(self, items: "list", made: "list") -> None:  # type: ignore[type-arg]
        self._live_on()
        super().intend(items, made)

    def _live_on(self) -> None:
        if self.on_act is not None:
            self.on_act()
        if self.crash_before_commit:
            self.crash_before_commit -= 1
            if not self.crash_before_commit:
                raise PowerCut

    def crash(self) -> None:
        """What a power cut leaves: the last commit, and the intents."""
        self.rollback()


class MortalMetadata(Mortal, MemoryMetadata):
    """In memory."""


class MortalSqlite(Mortal, SqliteMetadata):
    """In a database."""


class MemoryConflicts(ConflictStore):
    """Losers in a list, for worlds that run by the thousand. `limit`: bytes that fit; `broken`: no batch can end."""

    broken = False

    def __init__(self) -> None:
        self.losers: dict[tuple[bytes, int, bytes], bytes] = {}
        self.limit = 1 << 40
        self.left: list[Loser] = []

    def room(self, size: int) -> bool:
        return size <= self.limit - sum(map(len, self.losers.values()))

    def add(self, loser: Loser, content: "Reader | None", taken: str = "") -> int:
        key = (loser.item_id, loser.unit, loser.value)
        known = key in self.losers
        self.losers[key] = b"" if content is None else _drain(content)
        return int(known)

    def withdraw(self, loser: Loser) -> None:
        self.losers.pop((loser.item_id, loser.unit, loser.value), None)

    @contextmanager
    def batch(self) -> Iterator[None]:
        before = dict(self.losers)
        yield
        if self.broken:
            self.losers = before
            raise StoreError(WRITE_FAILED, "the conflict store cannot be written")

    def waiting(self, partner: str, type: str, losers: "list[Loser]") -> None:
        self.left = losers


def _drain(reader: Reader) -> bytes:
    buffer, out = memoryview(bytearray(4096)), bytearray()
    while count := reader.read_into(buffer):
        out += buffer[:count]
    reader.close()
    return bytes(out)


class Notes(Observer):
    """Keeps the sentences for the user."""

    def __init__(self, notes: "list[str]") -> None:
        self._notes = notes

    def note(self, text: str) -> None:
        self._notes.append(text)


class Desk:
    """A desktop: its store, its metadata, what it displaced. folder: where databases go, None: it has none.

    set_back  its witness says that the metadata are of before; the next sync hears of it
    """

    meta: "MortalMetadata | MortalSqlite"
    set_back = False

    def __init__(self, number: int, modes: bool, folder: "Path | None", kind: "type[MemoryStore]") -> None:
        self.number, self._folder = number, folder
        self.store = kind(modes=modes, store_id=b"desk%12d" % number)
        self.conflicts = MemoryConflicts()
        self.lives = 0
        self.forget_everything()

    def forget_everything(self) -> None:
        """The database is wiped; the folder stays."""
        self.lives += 1
        if self._folder is not None:
            database = Database(self._folder / f"desktop {self.number}" / f"life {self.lives}.db")
            SqliteStore(database).open_replica("/folder", self.store.type, len(self.store.units))
            self.meta = MortalSqlite(database, "/folder", self.store.type)
            return
        replica_id = new_replica_id(b"D%3d desktop%4d" % (self.number, self.lives), True)
        self.meta = MortalMetadata(replica_id, len(self.store.units))

    def restart(self) -> None:
        """The power comes back: only what was durable is there."""
        self.store.crash()
        self.meta.crash()
        self.meta.crash_before_commit = 0


class Device:
    """A device or a stick: its store and its agent."""

    def __init__(self, number: int, modes: bool, folder: Path, batch_items: int, kind: "type[MemoryStore]") -> None:
        self.store = kind(modes=modes, store_id=b"devi%12d" % number)
        if folder.name[0] == "S":
            folder.mkdir(parents=True)
            self.end: AgentEnd = StickEnd(number, self.store, folder / OWN_FOLDER, batch_items)
        else:
            self.end = AgentEnd(number, self.store, folder, batch_items)

    def restart(self) -> None:
        """The power comes back."""
        self.store.crash()
        self.end.restart()


class World:
    """Desktops D1.., devices R1.. and sticks S1.., which are devices too, by name in `world["D1"]`.

    sqlite: do desktops keep their metadata in a database? In memory they are faster.
    collision, impossible: as in `SyncOptions`; kind: of all stores.
    """

    kind: type[MemoryStore] = MemoryStore

    sqlite = False
    collision: "OnName" = "rename"
    impossible: "OnName" = "skip"

    def __init__(
        self,
        folder: Path,
        desktops: "tuple[str, ...]" = ("D1",),
        devices: "tuple[str, ...]" = ("R1",),
        modes: "dict[str, bool] | None" = None,
        batch_items: int = 1000,
    ) -> None:
        modes = modes or {}
        self.desktops, self.devices = desktops, devices
        self.names = desktops + devices
        databases = folder if self.sqlite else None
        self.desks = {name: Desk(k, modes.get(name, True), databases, self.kind) for k, name in enumerate(desktops)}
        self.boards = {
            name: Device(k, modes.get(name, True), folder / name, batch_items, self.kind)
            for k, name in enumerate(devices)
        }
        self.content_bytes = 0  # of contents that crossed the link
        # Of each desktop and the device with this id: what of its filter was carried out, and who answered last.
        self.filtered: dict[tuple[str, bytes], bytes] = {}
        self.met: dict[tuple[str, bytes], bytes] = {}
        self.notes: list[str] = []  # what a user was told

    def __getitem__(self, name: str) -> "Desk | Device":
        return self.desks[name] if name in self.desks else self.boards[name]

    def advance(self, seconds: float = 60) -> None:
        """Turn the clocks of all stores on."""
        for name in self.names:
            self[name].store.advance(seconds)

    def clone(self, old: str, new: str) -> None:
        """The card of one device is copied, store and state and all, into a second machine."""
        source, target = self.boards[old], self.boards[new]
        target.store.id, target.end.keys = source.store.id, dict(source.end.keys)
        self.put_back(new, Backup(dict(source.store.objects), source.end.folder, dict(source.end.keys)))

    def save(self, name: str, folder: Path) -> Backup:
        """A backup of a machine, store and state. folder: of the copy of a device's state, not there yet."""
        objects = dict(self[name].store.objects)
        if name in self.desks:
            meta = self.desks[name].meta
            meta.on_act = None
            remembered = tuple({pair: one for pair, one in all.items() if pair[0] == name} for all in self._memory())
            return Backup(objects, meta=copy.deepcopy(meta), remembered=remembered)
        end = self.boards[name].end
        shutil.copytree(end.folder, folder)
        return Backup(objects, folder, dict(end.keys))

    def put_back(self, name: str, backup: Backup, state_only: bool = False) -> None:
        """A machine gets state and store, or its state alone, from a backup."""
        store = self[name].store
        if name in self.desks:
            assert backup.meta is not None
            self.desks[name].meta, self.desks[name].set_back = copy.deepcopy(backup.meta), True
            self._forget_memory(name)
            for now, before in zip(self._memory(), backup.remembered, strict=True):
                now.update(before)
        else:
            self._put_back_agent(self.boards[name].end, backup)
        if not state_only:
            store.objects, store.stages, store.held = dict(backup.objects), {}, {}
            store.sync()

    @staticmethod
    def _put_back_agent(end: AgentEnd, backup: Backup) -> None:
        assert backup.folder is not None
        end.agent.close()
        shutil.rmtree(end.folder)
        shutil.copytree(backup.folder, end.folder)
        end.keys = dict(backup.keys)
        end.reopen()

    def forget(self, name: str) -> None:
        """Tombstone cleanup: after a scan every tombstone of this replica goes, however young."""
        meta: Metadata
        if name in self.boards:
            replica = self.boards[name].end.agent.replicas[self.kind.type]
            meta = replica.meta()
            whole(replica.scan())
        else:
            store, meta = self.desks[name].store, self.desks[name].meta
            recover(store, meta)
            detect(store, meta)
        forget(meta, tombstones(meta, lambda _: True))
        meta.commit()

    def set_filter(self, device: str, wanted: Filter) -> None:
        """What this device wants from now on."""
        meta = self.boards[device].end.agent.replicas[self.kind.type].settled()
        generation = int.from_bytes(meta.note(FILTER)[:4], "big") + 1
        meta.set_note(FILTER, generation.to_bytes(4, "big") + wanted.text())
        meta.commit()

    def filter_of(self, device: str) -> Filter:
        """What it wants now."""
        return Filter.read(self.boards[device].end.agent.replicas[self.kind.type].settled().note(FILTER)[4:])

    def forget_everything(self, desktop: str) -> None:
        """The database of a desktop is wiped; the folder stays."""
        self.desks[desktop].forget_everything()
        self._forget_memory(desktop)

    def _memory(self) -> "list[dict[tuple[str, bytes], bytes]]":
        """What desktops remember between two sessions, beside their metadata."""
        return [self.filtered, self.met]

    def _forget_memory(self, desktop: str) -> None:
        for all in self._memory():
            for pair in [pair for pair in all if pair[0] == desktop]:
                del all[pair]

    # -- sessions

    def remembered(self, desktop: str, device: str) -> "tuple[bytes, bytes]":
        """(what of the device's filter the desktop has carried out, who answered it last)."""
        pair = desktop, self.boards[device].end.agent.device_id
        return self.filtered.get(pair, b""), self.met.get(pair, b"")

    def remember(self, desktop: str, device: str, result: TypeResult) -> None:
        """What of a session is remembered until the next one."""
        pair = desktop, self.boards[device].end.agent.device_id
        self.filtered[pair], self.met[pair] = result.filtered or self.filtered.get(pair, b""), result.met

    def _connect(
        self, desktop: str, device: str, cut_after: "int | None", line: "Line | None" = None, echo: int = 0
    ) -> "tuple[Connection, PairPump | LinePair]":
        number, end = self.desks[desktop].number, self.boards[device].end
        pump = PairPump(number, end) if line is None else LinePair(number, end, line)
        try:
            connection = pump.handshake(EchoConnection if echo else Connection)
        except BaseException:
            pump.end_session()
            raise
        if isinstance(connection, EchoConnection):
            connection.random = Random(echo)
        pump.cut_after(cut_after)
        return connection, pump

    def sync(
        self,
        desktop: str,
        device: str,
        policy: "Policy" = "desktop",
        cut_after: "int | None" = None,
        max_delete: float = 100.0,
        direction: "Direction" = "both",
        decisions: "dict[str, str] | None" = None,
        journal: "OpenJournal" = no_journal,
        ancestors: "Ancestors | None" = None,
        revert: bool = False,
        observer: "Observer | None" = None,
        line: "Line | None" = None,
        echo: int = 0,
        met: bytes = b"",
    ) -> TypeResult:
        """One session. Raises Cut where it was cut, PowerCut where the desktop died.

        decisions: {path: "desktop", "device" or "both"}, what the user chose for conflicts that waited.
        journal: opens what displaced objects are noted in; ancestors: what the policy `merge` starts from.
        revert: drop what the receiving side changed by itself, where changes flow one way.
        met: who answered at the last sync, b"" for who did.
        line: go by a serial line like this; echo: batches come twice and in another order, by this seed.
        """
        desk = self.desks[desktop]
        connection, pump = self._connect(desktop, device, cut_after, line, echo)
        options = SyncOptions(policy=policy, direction=direction, max_delete=max_delete, partner=device)
        options.ancestors, options.revert = ancestors, revert
        options.filtered, before = self.remembered(desktop, device)
        options.met = met or before
        options.set_back, desk.set_back = desk.set_back, False
        options.collision, options.impossible = self.collision, self.impossible
        options.now = desk.store.now_ns // SECOND
        options.decisions = {(item_id(desk.store.type, path), 0): take for path, take in (decisions or {}).items()}
        try:
            hears = observer or Notes(self.notes)
            result = synchronize(connection, desk.store, desk.meta, desk.conflicts, options, hears, journal)
            self.remember(desktop, device, result)
            return result
        finally:
            self.content_bytes += pump.contents.count
            pump.end_session()

    def preview(
        self,
        desktop: str,
        device: str,
        policy: "Policy" = "desktop",
        ancestors: "Ancestors | None" = None,
        direction: "Direction" = "both",
    ) -> Plan:
        """What `cradle diff` would print."""
        options = SyncOptions(policy=policy, direction=direction, partner=device)
        options.ancestors = ancestors
        options.filtered, options.met = self.remembered(desktop, device)
        options.now, options.set_back = self.desks[desktop].store.now_ns // SECOND, self.desks[desktop].set_back
        options.collision, options.impossible = self.collision, self.impossible
        desk = self.desks[desktop]
        connection, pump = self._connect(desktop, device, None)
        try:
            return preview(connection, desk.store, desk.meta, options)
        finally:
            pump.end_session()

    def settle(self, rounds: int = SETTLE_ROUNDS) -> None:
        """Everybody with everybody, often enough: until a whole round has changed nothing, or so often."""
        before: list[object] = []
        for _ in range(rounds):
            for desktop in self.desktops:
                for device in self.devices:
                    self.sync(desktop, device)
            now = [self._known(name) for name in self.names]
            if now == before:
                return
            before = now

    def _known(self, name: str) -> object:
        """What changes with everything that a sync does to a machine."""
        store = self[name].store
        board = self.boards.get(name)
        meta = self.desks[name].meta if board is None else board.end.agent.replicas[self.kind.type].settled()
        return meta.tick, meta.knowledge.to_bytes(), meta.forgotten.to_bytes(), dict(store.objects)

    # -- what must be true

    def settle_and_check(self, rounds: int = SETTLE_ROUNDS) -> None:
        """In the end all stores are equal, metadata say what the stores show, and nothing moves any more."""
        self.settle(rounds)
        trees = {name: self[name].store.tree() for name in self.names}
        whole = trees[self.desktops[0]]
        for name in self.names:
            away = self.ghosts(name) if name in self.boards else set()
            assert trees[name] == {path: one for path, one in whole.items() if path not in away}, (name, trees, away)
        self._check_modes()
        before, self.content_bytes = len(self.losers()), 0
        for desktop in self.desktops:
            for device in self.devices:
                result = self.sync(desktop, device)
                moved = result.to_desktop.total() + result.to_device.total() + result.conflicts
                assert moved == 0, (desktop, device, result)
        assert (self.content_bytes, len(self.losers())) == (0, before)
        for desk in self.desks.values():
            self._check_metadata(desk.meta, desk.store)

    def ghosts(self, device: str) -> "set[str]":
        """What a device has by name only, as `tree` would show it."""
        board = self.boards[device]
        items = [item for item in board.end.agent.replicas[self.kind.type].settled().items() if item.flags & GHOST]
        names = {item.identity + "/" if item.values[0] == DIRECTORY else item.identity for item in items}
        return names - board.store.tree().keys()

    def _check_modes(self) -> None:
        able = [name for name in self.names if self[name].store.modes]
        away = {name: {path.rstrip("/") for path in self.ghosts(name)} for name in able if name in self.boards}
        for path in self[able[0]].store.objects if able else ():
            assert len({self[name].store.mode(path) for name in able if path not in away.get(name, ())}) == 1, path

    @staticmethod
    def _check_metadata(meta: Metadata, store: MemoryStore) -> None:
        living = {item.identity for item in meta.items() if not item.dead or item.flags & IMPLIED}
        assert living == set(store.objects)
        for item in meta.items():
            for version in item.versions:
                assert meta.knowledge.knows(item.id, version), "a version outside its own replica's knowledge"

    def contents(self) -> "list[bytes]":
        """Every content that any store or any conflict store has."""
        return [content for name in self.names for content in self[name].store.tree().values()] + self.losers()

    def losers(self) -> "list[bytes]":
        """Contents that any desktop displaced, each once, sorted."""
        found = [
            content
            for desk in self.desks.values()
            for (_, _, value), content in desk.conflicts.losers.items()
            if is_file(value)
        ]
        return sorted(set(found))

    def everything(self) -> "list[object]":
        """Every byte of stores and metadata, for comparing before and after."""
        state: list[object] = []
        for desk in self.desks.values():
            state += [desk.store.tree(), dict(desk.store.stages), desk.meta.tick, desk.meta.replicas]
            state += [item.facts() for item in desk.meta.items()] + [desk.meta.knowledge.to_bytes()]
        for board in self.boards.values():
            state += [board.store.tree(), dict(board.store.stages), board.end.state_bytes()]
        return state
