"""A world whose devices are boards: the bundle under MicroPython, each in a process and a folder of its own."""

import socket
import subprocess
import time
from pathlib import Path

from cradle_desktop.connection import Connection
from cradle_desktop.errors import NoDevice
from cradle_desktop.opening import connect
from cradle_desktop.sync.engine import synchronize
from cradle_desktop.sync.filter import Filter
from cradle_desktop.sync.report import SyncOptions, TypeResult
from cradle_desktop.sync.store_filter import StoreFilter
from cradle_device.partnership import Partnerships
from cradle_protocol.wire.session import Identity
from cradle_testing.folder_hand import FolderHand
from cradle_testing.trees import read_tree
from cradle_testing.worlds import Desk, Notes, World
from micropython.dual import HEAP, ROOT, need

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.sync.report import Policy

PATIENCE = 20  # seconds
ROUNDS = 3  # more than any vector needs to come to rest


class BoardFolder(FolderHand):
    """What a board holds, edited as its user would."""

    def tree(self) -> "dict[str, bytes]":
        return {path: content for path, content in read_tree(self.root).items() if not path.startswith(".cradle")}


class Board:
    """An agent under MicroPython that knows these desktops."""

    def __init__(self, name: str, bundle: Path, folder: Path, desktops: "list[Identity]") -> None:
        self.store = BoardFolder(folder / "data")
        self.replica = b""
        (folder / "data").mkdir(parents=True)
        (folder / "state").mkdir()
        known = Partnerships(str(folder / "state" / "partners.log"))  # a board pairs over a cable only
        for one in desktops:
            known.add(one.id, bytes(32), one.name)
        known.close()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [need("micropython"), "-X", "heapsize=" + HEAP, str(ROOT / "device/boot/unix.py"), "--name", name]
        command += [
            "--listen",
            f"tcp:127.0.0.1:{port}",
            "--root",
            str(folder / "data"),
            "--state",
            str(folder / "state"),
        ]
        environment = {"PATH": "/usr/bin:/bin", "MICROPYPATH": f"{bundle}:.frozen"}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[-1]

    def close(self) -> str:
        """End the process; what it has printed since it began to listen."""
        self.process.kill()
        return str(self.process.communicate()[0])


class FarWorld(World):
    """Desktops as in `World`; in `with`, because its boards are processes. Contents on the wire are not counted."""

    def __init__(self, folder: Path, bundle: Path, desktops: "tuple[str, ...]", devices: "tuple[str, ...]") -> None:
        super().__init__(folder, desktops, ())
        self.devices, self.names = devices, desktops + devices
        self.me = {name: Identity(b"desktop %8d" % k, name) for k, name in enumerate(desktops)}
        identities = list(self.me.values())
        self.far = {name: Board(name, bundle, folder / name, identities) for name in devices}

    def __enter__(self) -> "FarWorld":
        return self

    def __exit__(self, *_: object) -> None:
        said = [board.close() for board in self.far.values()]
        assert "".join(said) == ""

    def __getitem__(self, name: str) -> "Desk | Board":  # type: ignore[override]
        return self.desks[name] if name in self.desks else self.far[name]

    def sync(self, desktop: str, device: str, policy: "Policy" = "desktop", **_: object) -> TypeResult:  # type: ignore[override]
        desk, board = self.desks[desktop], self.far[device]
        options = SyncOptions(policy=policy, max_delete=100.0, partner=device)
        with self._reach(board, self.me[desktop]) as connection:
            board.replica = connection.peer.types[0][2]
            return synchronize(connection, desk.store, desk.meta, desk.conflicts, options, Notes(self.notes))

    def set_filter(self, device: str, wanted: Filter) -> None:
        with self._reach(self.far[device], self.me[self.desktops[0]]) as connection:
            of_store = StoreFilter(connection, "files")
            of_store.own(wanted)
            if wanted.pins:
                of_store.pin(list(wanted.pins))

    def named(self, device: str) -> int:
        """How many objects it has by name only."""
        with self._reach(self.far[device], self.me[self.desktops[0]]) as connection:
            return StoreFilter(connection, "files").named

    @staticmethod
    def _reach(board: Board, me: Identity) -> Connection:
        """A session. A board has room for one, and the last one ends there a moment after it has ended here."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return connect(board.address, bytes(32), me)
            except NoDevice:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def _known(self, name: str) -> object:
        """A board is another process: all that shows of it is its disk."""
        return super()._known(name) if name in self.desks else self.far[name].store.tree()

    def settle_and_check(self, rounds: int = ROUNDS) -> None:
        self.settle(rounds)
        trees = {name: self[name].store.tree() for name in self.names}
        whole = trees[self.desktops[0]]
        for name, tree in trees.items():
            away = self.named(name) if name in self.far else 0  # a folder among them may be there for what is in it
            assert tree.items() <= whole.items() and len(whole) - len(tree) <= away, (name, away, trees)
        for desktop in self.desktops:
            for device in self.devices:
                result = self.sync(desktop, device)
                assert result.to_desktop.total() + result.to_device.total() + result.conflicts == 0, vars(result)
        for desk in self.desks.values():
            self._check_metadata(desk.meta, desk.store)
