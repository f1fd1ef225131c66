"""The programs that ship beside the agent: the example runs beside a session, the bundle says what a board says."""

import importlib.util
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest

from cradle_device.agent import Agent
from cradle_device.links.tcp import TcpListener
from cradle_device.providers.files import FilesStore
from cradle_protocol.compat import MICROPYTHON
from cradle_protocol.wire import events
from device.hands import SMALL, Hand, clean
from device.place import PLACE

pytestmark = pytest.mark.timeout(60)
DEVICE = Path(__file__).resolve().parents[2] / "device"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_agent_beside_a_loop_of_your_own(tmp_path: Path) -> None:
    """Readings are written while a desktop is served, by one and the same loop; no turn of it takes long."""
    example = load(DEVICE / "examples" / "beside_a_loop.py")
    root = str(tmp_path / "data")
    store = FilesStore.create(root, b"S" * 16)
    agent = Agent(clean(PLACE + "/example"), [store], "logger", SMALL)
    example.EVERY_S = 0

    class Beside(Hand):
        """The desktop's bytes move while the example's loop turns."""

        def take(self) -> None:
            super().take()
            self.events = [event for event in self.events if event[0] != events.NOTICE]

        def run(self) -> None:
            for _ in range(60):
                example.run(agent, root, 1)
                for piece in self.session.data_to_send():
                    self.pipe.to_device += bytes(piece)
                data, self.pipe.to_desktop = self.pipe.to_desktop, b""
                if data:
                    self.session.receive_data(data)
                    self.take()

    hand = Beside(agent)
    opened = hand.open()
    assert opened.objects == 1
    assert hand.changes()[0][0].identity == "readings.csv"
    assert (tmp_path / "data" / "readings.csv").read_text().count("\n") > 100
    agent.close()


def test_options_of_the_start_up_program() -> None:
    unix = load(DEVICE / "boot" / "unix.py")
    assert unix.options(["--root", "a", "--name", "b"]) == {"root": "a", "name": "b"}
    for words in (["--root"], ["root", "a"]):
        with pytest.raises(SystemExit):
            unix.options(words)
    assert not MICROPYTHON


def test_a_listener_takes_a_connection_and_a_link_ends(tmp_path: Path) -> None:
    import socket

    probe = socket.socket()
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    listener = TcpListener("127.0.0.1", port)
    assert listener.accept() is None
    client = socket.create_connection(("127.0.0.1", port))
    link = None
    while link is None:
        link = listener.accept()
    view = memoryview(bytearray(10))
    assert link.read_into(view) == 0 and link.write_some([b"abc", b"de"]) == 5
    assert client.recv(5, socket.MSG_WAITALL) == b"abcde"
    client.sendall(b"xyz")
    while not (count := link.read_into(view)):
        time.sleep(0.001)
    assert bytes(view[:count]) == b"xyz"
    client.close()
    with pytest.raises(OSError):
        for _ in range(1000):
            link.read_into(view)
            time.sleep(0.001)
    link.close()
    listener.close()
    assert threading.active_count() >= 1


def test_the_agent_in_asyncio() -> None:
    """`run` serves beside other tasks until it is cancelled."""
    import asyncio

    from cradle_protocol.wire.desktop_session import DesktopSession
    from device.hands import DESKTOP, LittleStore, Pipe

    agent = Agent(clean(PLACE + "/asyncio"), [LittleStore()], "board", SMALL)
    pipe = Pipe()
    agent.attach(pipe)
    session = DesktopSession(DESKTOP, b"n" * 16, 4096)

    async def main() -> None:
        task = asyncio.create_task(agent.run(1))
        pipe.to_device = b"".join(bytes(piece) for piece in session.data_to_send())
        while not pipe.to_desktop:
            await asyncio.sleep(0.001)
        task.cancel()

    asyncio.run(main())
    session.receive_data(pipe.to_desktop)
    event = session.next_event()
    assert event is not None and event[0] == "greeted"
    agent.close()
