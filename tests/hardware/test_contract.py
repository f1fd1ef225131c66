"""Every link keeps the contract."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from cradle_hardware import loopback
from cradle_hardware.address import listen, open_link
from cradle_hardware.certificate import Certificate, load_or_make
from cradle_hardware.emulated import EmulatedLine, Line
from cradle_hardware.link import Link, Listener
from cradle_testing.links import LinkContract, Pair, StreamContract
from cradle_testing.rfc2217 import Rfc2217Server

FAST = Line(baud=4_000_000)  # as fast as ports on pseudo terminals can be told to be


@contextmanager
def joined(listener: Listener) -> Iterator[Pair]:
    with listener, open_link(listener.address) as near:
        far = listener.accept(5.0)
        assert far is not None
        with far:
            yield near, far


@contextmanager
def both(pair: Pair) -> Iterator[Pair]:
    with pair[0], pair[1]:
        yield pair


class TestPair(StreamContract):
    cable = True
    size = 300_000

    def connected(self) -> AbstractContextManager[Pair]:
        return both(loopback.pair())


class TestLoopByName(StreamContract):
    cable = True

    def connected(self) -> AbstractContextManager[Pair]:
        return joined(listen("loop:contract"))


class TestTcpPlain(StreamContract):
    size = 1_000_000

    def connected(self) -> AbstractContextManager[Pair]:
        return joined(listen("tcp://127.0.0.1:0?plain=1"))


class TestTcpTls(StreamContract):
    size = 1_000_000
    bound = True
    certificate: Certificate

    @pytest.fixture(autouse=True)
    def made(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.certificate = load_or_make(tmp_path_factory.mktemp("tls"))

    @contextmanager
    def connected(self) -> Iterator[Pair]:
        """Two threads, as the handshake needs both ends at work."""
        from threading import Thread

        with listen("tcp://127.0.0.1:0", certificate=self.certificate) as listener:
            found = []
            opening = Thread(target=lambda: found.append(open_link(listener.address)))
            opening.start()
            far = listener.accept(5.0)
            assert far is not None
            while opening.is_alive():
                far.wait(True, False, 0.01)
            with both((found[0], far)) as pair:
                yield pair


class TestEmulatedInMemory(LinkContract):
    reliable = False
    cable = True

    @contextmanager
    def connected(self) -> Iterator[Pair]:
        with EmulatedLine(FAST) as self.line, both((self.line.desktop_link(), self.line.device_link())) as pair:
            yield pair

    def hang_up(self, ends: Pair) -> Link:
        self.line.cut()
        return ends[0]


class TestSerialOverPty(LinkContract):
    reliable = False
    cable = True

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path

    @contextmanager
    def connected(self) -> Iterator[Pair]:
        with EmulatedLine(FAST, self.path) as self.line, listen(self.line.device_address) as listener:
            far = listener.accept(5.0)
            assert far is not None
            with both((open_link(self.line.desktop_address), far)) as pair:
                yield pair

    def hang_up(self, ends: Pair) -> Link:
        self.line.cut()
        return ends[0]


@pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # pyserial's own
class TestRfc2217(LinkContract):
    """The far end is the port at the end of the server's line, so the near end alone is RFC 2217."""

    reliable = False
    size = 5_000

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path

    @contextmanager
    def connected(self) -> Iterator[Pair]:
        with (
            EmulatedLine(FAST, self.path) as line,
            open_link(line.device_address) as far,
            Rfc2217Server(str(self.path / "desktop")) as self.server,
            open_link(self.server.address + "?baud=921600") as near,
        ):
            yield near, far

    def hang_up(self, ends: Pair) -> Link:
        self.server.hang_up()
        return ends[0]

    def test_it_says_what_it_is(self, ends: Pair) -> None:
        near, far = ends
        assert (near.cable, near.reliable, near.binding) == (False, False, b"")
        assert far.cable and near.rate == 92160
