"""A world with sticks: real folders, which the desktops serve themselves, each at its turn, as `cradle` does.

Desktops and devices are those of `worlds`. Routes say who comes to whom: a stick is carried, so not everybody meets.
"""

import shutil
from pathlib import Path

from cradle_desktop.opening import connect
from cradle_desktop.stick.agent import make_stick
from cradle_desktop.stick.place import id_at
from cradle_desktop.sync.engine import synchronize
from cradle_desktop.sync.report import SyncOptions, TypeResult
from cradle_protocol.wire.session import Identity
from cradle_testing.folder_hand import FolderHand
from cradle_testing.trees import read_tree
from cradle_testing.worlds import Notes, World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cradle_desktop.sync.report import Policy

KEY = bytes(32)  # a stick asks for none; what is proved is that both ends have the same


class StickHand(FolderHand):
    """A user's hand on a stick."""

    modes = True

    def tree(self) -> "dict[str, bytes]":
        """Everything on it, but for its own folder."""
        return read_tree(self.root)


class Stick:
    """A folder that is a partner."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        make_stick(str(folder))
        self.folder, self.store = folder, StickHand(folder)


class StickWorld(World):
    """Desktops D1.., devices R1.., sticks S1.., and the routes on which syncs happen."""

    def __init__(
        self,
        folder: Path,
        routes: "tuple[tuple[str, str], ...]",
    ) -> None:
        desktops = tuple(sorted({one for one, _ in routes}))
        others = sorted({other for _, other in routes})
        devices = tuple(name for name in others if name[0] == "R")
        super().__init__(folder, desktops, devices)
        self.routes = routes
        self.sticks = {name: Stick(folder / name) for name in others if name[0] == "S"}
        self.names = self.names + tuple(self.sticks)

    def __getitem__(self, name: str) -> "Any":
        return self.sticks[name] if name in self.sticks else super().__getitem__(name)

    def copy(self, old: str, new: str) -> None:
        """A stick is copied, with all that lies on it."""
        folder = self.sticks[old].folder.with_name(new)
        shutil.copytree(self.sticks[old].folder, folder)
        self.sticks[new] = Stick(folder)
        self.names += (new,)

    def sync(  # type: ignore[override]  # what else `World.sync` can do, it does with devices only
        self, desktop: str, device: str, policy: "Policy" = "desktop", **more: "Any"
    ) -> TypeResult:
        """One session, with a stick in one process and on a link in memory."""
        if device not in self.sticks:
            return super().sync(desktop, device, policy, **more)
        desk, folder = self.desks[desktop], self.sticks[device].folder
        me = Identity(b"desktop %8d" % desk.number, desktop)
        options = SyncOptions(policy=policy, max_delete=100.0, partner=device)
        with connect(str(folder), KEY, me, name=device, device_id=id_at(str(folder))) as connection:
            return synchronize(connection, desk.store, desk.meta, desk.conflicts, options, Notes(self.notes))

    def settle(self, rounds: int = 0) -> None:
        """Everybody on his routes, as often as news need to come from one end to the other and back."""
        for _ in range(rounds or 2 * len(self.names)):
            for desktop, other in self.routes:
                self.sync(desktop, other)

    def settle_and_check(self, rounds: int = 0) -> None:
        """And what `World` checks; no sync on any route moves anything any more."""
        super().settle_and_check(rounds)
        for desktop, other in self.routes:
            result = self.sync(desktop, other)
            moved = result.to_desktop.total() + result.to_device.total() + result.conflicts
            assert moved == 0 and not result.skipped, (desktop, other, result)
