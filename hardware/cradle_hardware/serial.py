"""Serial ports of this machine: opened by pyserial, then read and written directly. `rfc2217` has the remote ones."""

import errno
import fcntl
import os
import stat
import termios
import time
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Self

from cradle_hardware.address import DEFAULT_BAUD, Address
from cradle_hardware.chunks import front
from cradle_hardware.descriptor import ENDED, NOTHING_YET, READABLE, DescriptorLink
from cradle_hardware.holder import lock_owner, rival
from cradle_hardware.link import AddressError, Buffer, DriverMissing, Link, LinkError, NoDevice, PortBusy, PortDenied
from cradle_hardware.pacing import Pacer

if TYPE_CHECKING:
    from serial import SerialException

    from cradle_hardware.quiet import QuietPort

# Ports with a real line behind them, whose speed is what was set. USB ports (ttyACM, ttyGS) take any and ignore it.
UARTS = ("ttyUSB", "ttyS", "ttyAMA")
BITS = 10  # on the line for one byte: start, eight, stop
RETRY_S = 0.2  # between looks whether a port that vanished is back
GONE = (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO)
MEMORY = 1  # major number of /dev/null and its like, which everybody has open
HELD = (errno.EBUSY, errno.EAGAIN)  # by another's exclusive open; by another's lock


def driver() -> ModuleType:
    """The module that needs pyserial."""
    try:
        from cradle_hardware import quiet
    except ImportError as error:
        raise DriverMissing("serial links", "serial") from error
    return quiet


class SerialLink(DescriptorLink):
    """A port that is ours alone while it is open."""

    reliable = False
    cable = True

    def __init__(self, port: "QuietPort", name: str, rate: int) -> None:
        super().__init__(port.fileno(), name)
        self.rate = rate
        self._port = port
        self._pacer = Pacer(rate)
        _exclude(port.fileno(), termios.TIOCEXCL)

    def _receive(self, view: memoryview) -> int:
        try:
            count = os.readv(self._descriptor, [view]) or self._receive_late(view)
        except BlockingIOError:
            return NOTHING_YET
        except OSError as error:
            raise self._lost("the port is gone") from error
        return count

    def _receive_late(self, view: memoryview) -> int:
        """A raw port gives 0 both when it has nothing and when it is gone: only the second is "readable" too."""
        events = self._events(READABLE, 0.0)
        if not events:
            return NOTHING_YET
        count = os.readv(self._descriptor, [view])
        if not count and events & ENDED:
            raise self._lost("the port is gone")
        return count or NOTHING_YET

    def _transmit(self, chunks: Sequence[Buffer]) -> int:
        room = self._pacer.room(time.monotonic())
        if not room:
            return 0
        try:
            count = os.writev(self._descriptor, front(chunks, room))
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._lost("the port is gone") from error
        self._pacer.sent(count, time.monotonic())
        return count

    def wait(self, read: bool, write: bool, timeout: float | None) -> tuple[bool, bool]:
        """See Link. While enough lies in the driver's queue there is no room, whatever the driver says."""
        self._check_open()
        delay = self._pacer.delay(time.monotonic()) if write else 0.0
        if not delay:
            return super().wait(read, write, timeout)
        if timeout is not None and timeout <= delay:
            return super().wait(read, False, timeout)
        readable, _ = super().wait(read, False, delay)
        return (True, False) if readable else self._after_delay(read, timeout, delay)

    def _after_delay(self, read: bool, timeout: float | None, delay: float) -> tuple[bool, bool]:
        return super().wait(read, True, None if timeout is None else timeout - delay)

    def _release(self) -> None:
        _exclude(self._port.fileno(), termios.TIOCNXCL)
        try:
            self._port.close()
        except OSError:
            pass  # the device is gone, and its descriptor with it


def _exclude(descriptor: int, request: int) -> None:
    """Also keep out programs that ask for no lock. Not on pseudo terminals: there it would outlive a crash."""
    try:
        if not os.ttyname(descriptor).startswith("/dev/pts/"):
            fcntl.ioctl(descriptor, request)
    except OSError:
        pass  # a driver without it, or the device is gone; the lock is held all the same


def open_serial(address: Address) -> SerialLink:
    """Open the port for us alone, and leave its modem lines as they are."""
    quiet = driver()
    _check_port(address.path)
    holder = rival(address.path)
    if holder:
        raise PortBusy(address.path, holder)
    try:
        port = quiet.QuietPort(address.path, address.baud or DEFAULT_BAUD, exclusive=True)
    except quiet.serial.SerialException as error:
        raise _translated(address.path, error) from error
    except (ValueError, OSError) as error:
        raise AddressError(f"{address.path} does not take {address.baud} baud: choose another speed") from error
    return SerialLink(port, str(address), _rate(address))


def _rate(address: Address) -> int:
    real = os.path.basename(os.path.realpath(address.path)).startswith(UARTS)
    return (address.baud or DEFAULT_BAUD * real) // BITS


def _check_port(path: str) -> None:
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        raise NoDevice(f"there is no port {path}: plug the device in, `cradle ls` shows what is there") from error
    except PermissionError as error:
        raise PortDenied(f"this user may not look at {path}: check who may enter its folder") from error
    if not stat.S_ISCHR(status.st_mode) or os.major(status.st_rdev) == MEMORY:
        raise NoDevice(f"{path} is no serial port: `cradle ls` shows those that are there")


def _translated(path: str, error: "SerialException") -> LinkError:
    """pyserial's words in ours."""
    code = error.errno
    if code in HELD:
        return PortBusy(path, lock_owner(path) or rival(path))
    if code in (errno.EACCES, errno.EPERM):
        return PortDenied(f"this user may not open {path}: run sudo usermod -aG {_group(path)} $USER and log in again")
    if code in GONE:
        return NoDevice(f"the port {path} is not usable ({os.strerror(code)}): unplug the device and plug it in again")
    return NoDevice(f"{path} is no serial port that can be used: `cradle ls` shows those that are there")


def _group(path: str) -> str:
    """The group that may open the port: dialout here, uucp there."""
    import grp

    try:
        return grp.getgrgid(os.stat(path).st_gid).gr_name
    except (OSError, KeyError):
        return "dialout"


class SerialListener:
    """Gives the port as a link, and again when it was lost and is back. One link at a time."""

    binding = b""

    def __init__(self, address: Address) -> None:
        driver()
        self.address = str(address)
        self._place = address
        self._link: SerialLink | None = None

    def accept(self, timeout: float | None) -> Link | None:
        """See Listener. A port that somebody else holds is an error; one that is not there is waited for."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            if self._link is None or self._link.closed:
                try:
                    self._link = open_serial(self._place)
                    return self._link
                except NoDevice:
                    pass  # not plugged in yet, or not again
            left = RETRY_S if until is None else until - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(left, RETRY_S))

    def close(self) -> None:
        """See Listener."""
        self._link = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
