"""Random worlds: users who edit, sessions that are cut, desktops that lose their power, all out of one seed.

`Chaos(world, seed).run(steps)` does it; the world's own checks and `check_nothing_lost` say what must be true then.
What a user writes is a token that no two writes share, so that it can be looked for wherever it may have gone.
"""

import random

from cradle_testing.pair import Cut
from cradle_testing.stores import MemoryStore
from cradle_testing.worlds import Desk, PowerCut, World

FILES = ["a", "b", "c", "d/a", "d/b", "e/a", "e/d/a"]
DIRECTORIES = ["d", "e", "e/d"]
MODES = (0o600, 0o640, 0o755)

# Shares of the kinds of step; what is left is a session.
EDITS = 0.55
# Share of sessions that meet a fault.
FAULTS = 0.3
# Few sessions of a world move more bytes, or commit more often.
LATEST_CUT, LATEST_CRASH = 1500, 6


class Chaos:
    """The steps of one seed in one world. `log` tells what was done, for whoever has to find out why."""

    def __init__(self, world: World, seed: int, faults: bool = True, directories: bool = True) -> None:
        self.world, self.random, self.faults = world, random.Random(seed), faults
        self.paths = FILES if directories else FILES[:3]
        self.directories = directories
        self.written: set[bytes] = set()
        self.gone: set[bytes] = set()
        self.log: list[str] = []
        self._token = 0

    def run(self, steps: int) -> None:
        """Do so many steps."""
        for _ in range(steps):
            if self.random.random() < EDITS:
                self._edit(self.random.choice(self.world.names))
            else:
                self._session()

    # -- users

    def _edit(self, name: str) -> None:
        store = self.world[name].store
        store.advance(self.random.choice((0, 0, 3, 60)))
        kind = self.random.random()
        path = self.random.choice(self.paths)
        if kind < 0.15:
            self._move(name, store)
        elif kind < 0.25 and self.directories:
            self._edit_directory(name, store)
        elif kind < 0.4:
            self._delete(name, store, path)
        elif kind < 0.5:
            self._chmod(name, store, path)
        else:
            self._write(name, store, path)

    def _write(self, name: str, store: MemoryStore, path: str) -> None:
        above = ["/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 1)]
        if any(p in store.objects and store.objects[p].content is not None for p in above):
            return
        if path in store.objects and store.objects[path].content is None:
            return
        self._token += 1
        token = b"token %d" % self._token
        self._overwrite(store, path)
        self.written.add(token)
        store.write(path, token)
        self.log.append(f"{name} write {path} {self._token}")

    def _delete(self, name: str, store: MemoryStore, path: str) -> None:
        for inside in [p for p in store.objects if p == path or p.startswith(path + "/")]:
            self._overwrite(store, inside)
        store.delete(path)
        self.log.append(f"{name} delete {path}")

    def _chmod(self, name: str, store: MemoryStore, path: str) -> None:
        if path in store.objects:
            mode = self.random.choice(MODES)
            store.chmod(path, mode)
            self.log.append(f"{name} chmod {path} {mode:o}")

    def _edit_directory(self, name: str, store: MemoryStore) -> None:
        path = self.random.choice(DIRECTORIES)
        if self.random.random() < 0.5:
            self._delete(name, store, path)
        elif path not in store.objects and all(
            store.objects[p].content is None for p in (path.split("/")[0],) if p in store.objects
        ):
            store.mkdir(path)
            self.log.append(f"{name} mkdir {path}")

    def _move(self, name: str, store: MemoryStore) -> None:
        pool = self.paths + (DIRECTORIES if self.directories else [])
        old, new = self.random.sample(pool, 2)
        both_kind = (old in DIRECTORIES) == (new in DIRECTORIES)
        parent = new.rpartition("/")[0]
        inside = new.startswith(old + "/") or old.startswith(new + "/")
        if not both_kind or inside or old not in store.objects or (parent and parent not in store.objects):
            return
        if new in DIRECTORIES and new in store.objects:
            return
        names = {new + p[len(old) :] for p in store.objects if p == old or p.startswith(old + "/")}
        if not names <= set(FILES + DIRECTORIES):
            return
        self._overwrite(store, new)
        store.rename(old, new)
        self.log.append(f"{name} move {old} {new}")

    def _overwrite(self, store: MemoryStore, path: str) -> None:
        """A user's own hand ended this content here."""
        if path in store.objects and store.objects[path].content is not None:
            self.gone.add(store.read(path))

    # -- sessions

    def _session(self) -> None:
        desktop, device = self.random.choice(self.world.desktops), self.random.choice(self.world.devices)
        policy = self.random.choice(("desktop", "device", "skip") if self.faults else ("desktop", "device"))
        cut = crash = None
        if self.faults and self.random.random() < FAULTS:
            if self.random.random() < 0.5:
                cut = self.random.randint(0, LATEST_CUT)
            else:
                crash = self.random.randint(1, LATEST_CRASH)
        self.log.append(f"sync {desktop} {device} {policy} cut={cut} crash={crash}")
        self._sync(self.world.desks[desktop], desktop, device, policy, cut, crash)

    def _sync(self, desk: Desk, desktop: str, device: str, policy: str, cut: "int | None", crash: "int | None") -> None:
        desk.meta.crash_before_commit = crash or 0
        try:
            self.world.sync(desktop, device, policy=policy, cut_after=cut)  # type: ignore[arg-type]
        except Cut:
            pass
        except PowerCut:
            self.log.append(f"  {desktop} lost its power")
            self.written_since_sync(desk)
            desk.restart()
        desk.meta.crash_before_commit = 0

    def written_since_sync(self, desk: Desk) -> None:
        """A power cut takes what the user wrote since the disk was last flushed: nobody promised that."""
        kept = {one.content for one in desk.store.durable.values() if one.content is not None}
        there = {one.content for one in desk.store.objects.values() if one.content is not None}
        self.gone |= there - kept

    # -- what must be true

    def check(self) -> None:
        """Everybody equal and at rest, and no write lost that no user's own hand has ended."""
        self.world.settle_and_check()
        kept = {one.content for name in self.world.names for one in self.world[name].store.objects.values()}
        kept |= set(self.world.losers())
        lost = self.written - self.gone - kept
        assert not lost, f"lost: {sorted(lost)}"
