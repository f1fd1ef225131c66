"""Does a script (`cradle_testing.script`) in a world, and says what must be true then.

What a user writes is a token that no two writes share, so that it can be looked for wherever it may have gone.
Everything is the real engine, session, agent and their metadata; clocks are turned, so it takes no time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cradle_desktop.errors import RequestFailed
from cradle_protocol.errors import NO_STORE
from cradle_protocol.provider.store import StoreError
from cradle_testing.pair import Cut
from cradle_testing.scenes import failing
from cradle_testing.script import DIRECTORIES, During, Edit, Script, Session, Trouble
from cradle_testing.stores import MemoryStore
from cradle_testing.worlds import Desk, Device, PowerCut, World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.sync.report import Direction

DIRECTIONS: "tuple[Direction, ...]" = ("both", "to-device", "to-desktop")
# Seconds: an edit during a session is never in the very tick of the clock in which the session looked.
TICK = 0.001
DEEPEST = 4  # parts of a path that a rename makes


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
        elif has_place_for(store, edit.path):
            self._make(store, edit)

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
            self.gone.add(store.read(path))

    def lose_power(self, machine: "Desk | Device") -> None:
        """A power cut takes what the user wrote since the disk was last flushed: nobody promised that."""
        store = machine.store
        kept = {one.content for one in store.durable.values() if one.content is not None}
        self.gone |= {one.content for one in store.objects.values() if one.content is not None} - kept
        machine.restart()


class Chaos:
    """One script in one world, made in a folder that is empty."""

    def __init__(self, folder: Path, script: Script) -> None:
        modes = {name: name not in script.modeless for name in script.desktops + script.devices}
        self.world = World(folder, script.desktops, script.devices, modes, script.batch_items)
        self.script, self.users = script, Users(self.world)

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
        machine, store = self.world[trouble.name], self.world[trouble.name].store
        if trouble.kind == "restart":
            self.users.lose_power(machine)
        elif trouble.kind == "fill":
            held = sum(len(one.content or b"") for one in store.objects.values())
            store.full = None if trouble.more < 0 else held + trouble.more
        elif trouble.kind == "away":
            store.ends_after = trouble.more
        elif trouble.kind == "wipe":
            self.world.desks[trouble.name].forget_everything()
        elif trouble.kind == "heal":
            self._heal(store)
        else:
            getattr(store, trouble.kind)[trouble.path] = trouble.more

    @staticmethod
    def _heal(store: MemoryStore) -> None:
        store.full = store.ends_after = None
        for switch in (store.failing, store.failing_reads, store.failing_writes, store.hidden):
            switch.clear()

    # -- sessions

    def _session(self, session: Session) -> None:
        desk, board = self.world.desks[session.desktop], self.world.boards[session.device]
        desk.meta.crash_before_commit = session.crash
        lost = PowerCut()
        try:
            with self._edits(session.during), self._flushes(board.store, session.flush, lost):
                self._sync(session)
        except Cut:
            pass
        except (StoreError, RequestFailed) as error:
            if desk.store.ends_after is None and board.store.ends_after is None:
                raise
            assert error.status == NO_STORE, error
        except PowerCut as power:
            self.users.lose_power(board if power is lost else desk)
        desk.meta.crash_before_commit = 0

    def _sync(self, session: Session) -> None:
        self.world.sync(
            session.desktop,
            session.device,
            policy=session.policy,
            cut_after=session.cut,
            direction=session.direction,
            decisions=dict(session.decisions),
        )

    @staticmethod
    @contextmanager
    def _flushes(store: MemoryStore, number: int, lost: PowerCut) -> Iterator[None]:
        """The device loses its power when it has flushed so often."""
        if number:
            store.sync = failing(store.sync, number, lost, before=False)  # type: ignore[method-assign]
        try:
            yield
        finally:
            vars(store).pop("sync", None)

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
        self.world.settle_and_check()
        kept = {one.content for name in self.world.names for one in self.world[name].store.objects.values()}
        lost = self.users.written - self.users.gone - kept - set(self.world.losers())
        assert not lost, f"lost: {sorted(lost)}"
        for direction in DIRECTIONS:
            self._nothing_moves(direction)

    def _nothing_moves(self, direction: "Direction") -> None:
        for desktop in self.world.desktops:
            for device in self.world.devices:
                result = self.world.sync(desktop, device, direction=direction)
                moved = result.to_desktop.total() + result.to_device.total() + result.conflicts
                assert moved == 0 and not result.skipped, f"moved: {direction} {desktop} {device} {result}"
