"""Serial ports on pseudo terminals: who holds them, what is touched at opening, and how they go away."""

import errno
import fcntl
import os
import subprocess
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cradle_hardware.address import listen, open_link
from cradle_hardware.emulated import EmulatedLine, Line
from cradle_hardware.holder import lock_owner, rival
from cradle_hardware.link import AddressError, LinkLost, NoDevice, PortBusy
from cradle_testing.links import PATIENCE, drain
from cradle_testing.rfc2217 import Rfc2217Server

MODEM_REQUESTS = {termios.TIOCMSET, termios.TIOCMBIS, termios.TIOCMBIC}


class Pty:
    """A pseudo terminal whose master end is ours."""

    def __init__(self) -> None:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        os.close(slave)

    def hang_up(self) -> None:
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


@pytest.fixture
def pty() -> Iterator[Pty]:
    found = Pty()
    yield found
    found.hang_up()


@contextmanager
def other_program(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Runs until its standard input ends; has printed a line."""
    program = f"import sys\n{code}\nprint('ready', flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        yield process
        process.stdin.close()


@pytest.mark.parametrize(
    "code",
    ["import serial; port = serial.Serial(sys.argv[1], exclusive=True)", "port = open(sys.argv[1], 'rb', buffering=0)"],
    ids=["with a lock", "without"],
)
def test_a_port_held_by_another_program_names_it(pty: Pty, code: str) -> None:
    with other_program(code, pty.path) as holder, pytest.raises(PortBusy) as error:
        open_link("serial:" + pty.path)
    assert error.value.exit_code == 8
    assert f"(pid {holder.pid})" in error.value.holder and "python" in error.value.holder
    with open_link("serial:" + pty.path):
        pass


def test_a_port_that_this_program_holds_is_busy(pty: Pty) -> None:
    with open_link("serial:" + pty.path), pytest.raises(PortBusy, match="this program"):
        open_link("serial:" + pty.path)


def test_the_lock_owner_is_known_without_a_look_at_descriptors(pty: Pty) -> None:
    code = "import serial; port = serial.Serial(sys.argv[1], exclusive=True)"
    with other_program(code, pty.path) as holder:
        assert f"(pid {holder.pid})" in lock_owner(pty.path)
    assert lock_owner(pty.path) == "" == lock_owner("/no/such/port")


def test_who_has_the_master_end_is_no_rival() -> None:
    code = "import os; master, slave = os.openpty(); print(os.ttyname(slave), flush=True)"
    with other_program(code) as device:
        path = Path(f"/proc/{device.pid}/fd/4")
        assert rival(os.readlink(path)) == ""
        open_link("serial:" + os.readlink(path)).close()


def test_opening_touches_neither_dtr_nor_rts(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    import serial

    asked: list[int] = []
    real = fcntl.ioctl

    def recorded(descriptor: int, request: int, *rest: object) -> object:
        asked.append(request)
        return real(descriptor, request, *rest)  # type: ignore[call-overload]

    monkeypatch.setattr(fcntl, "ioctl", recorded)
    serial.Serial(pty.path).close()
    assert MODEM_REQUESTS & set(asked), "pyserial by itself sets them: if not, this test sees nothing"
    asked.clear()
    open_link("serial:" + pty.path).close()
    assert not MODEM_REQUESTS & set(asked)


@pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")
def test_opening_a_remote_port_touches_neither(pty: Pty) -> None:
    import serial

    with Rfc2217Server(pty.path) as server:
        serial.serial_for_url(server.address).close()
        assert {"DTR", "RTS"} <= set(server.port.changes)
        server.port.changes.clear()
        open_link(server.address).close()
        assert server.port.changes == []


@pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")
def test_an_rfc2217_speed_reaches_the_port(pty: Pty) -> None:
    with Rfc2217Server(pty.path) as server, open_link(server.address + "?baud=57600"):
        assert server.port.baudrate == 57600


def test_a_port_that_vanishes_is_link_lost(pty: Pty) -> None:
    with open_link("serial:" + pty.path) as link:
        os.write(pty.master, b"x")
        assert drain(link, 1) == b"x"
        pty.hang_up()
        assert link.wait(True, True, PATIENCE) == (True, True)
        for use in (lambda: link.read(1), lambda: link.write_some([b"x"])):
            with pytest.raises(LinkLost, match="the port is gone"):
                use()


def test_a_listener_waits_for_its_port_and_takes_it_again(tmp_path: Path) -> None:
    with EmulatedLine(Line(baud=921600), tmp_path) as line, listen(line.desktop_address) as listener:
        first = listener.accept(0.0)
        assert first is not None and listener.accept(0.0) is None
        line.cut()
        with first, pytest.raises(LinkLost):
            first.read(1, PATIENCE)
        assert listener.accept(0.01) is None
        later = threading.Timer(0.05, line.mend)
        later.start()
        second = listener.accept(PATIENCE)
        later.join()
        assert second is not None
        with second, open_link(line.device_address) as far:
            second.write_some([b"again"])
            assert drain(far, 5) == b"again"


def test_a_bare_path_and_any_speed_will_do(pty: Pty) -> None:
    for address in (f"serial:{pty.path}?baud=9600", f"serial:{pty.path}?baud=250000"):
        with open_link(address) as link:
            assert link.rate == int(address.partition("baud=")[2]) // 10
    with open_link("serial:" + pty.path) as link:
        assert link.rate == 0


def test_what_is_no_port_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in ("/dev/null", "/dev/zero", str(tmp_path / "file"), str(tmp_path)):
        with pytest.raises(NoDevice, match="no serial port"):
            open_link("serial:" + path)


def test_a_slow_line_is_not_queued_up(pty: Pty) -> None:
    """The driver would take 20 KB; the brake gives it 0.15 s of line, and says when there is room again."""
    with open_link(f"serial:{pty.path}?baud=9600") as link:
        taken = link.write_some([bytes(5000)])
        assert 0 < taken <= 150 and link.write_some([b"x"]) == 0
        assert link.wait(False, True, 0.0) == (False, False)
        assert link.wait(False, True, PATIENCE) == (False, True)
        assert 0 < link.write_some([bytes(5000)]) <= 150
        os.write(pty.master, b"answer")
        assert link.wait(True, True, PATIENCE) == (True, False)


def test_codes_that_no_port_gives_are_words() -> None:
    from serial import SerialException

    from cradle_hardware.serial import _translated

    words = {
        code: str(_translated("/dev/null", SerialException(code, "x")))
        for code in (errno.EACCES, errno.EBUSY, errno.EIO)
    }
    assert "usermod -aG root" in words[errno.EACCES]
    assert "is held by" in words[errno.EBUSY]
    assert "plug it in again" in words[errno.EIO]


def test_a_speed_out_of_the_world_is_an_address_error(pty: Pty) -> None:
    with pytest.raises(AddressError):
        open_link(f"serial:{pty.path}?baud=20000001")
