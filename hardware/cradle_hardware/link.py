"""What a link is, what can be known of one before it is opened, and the errors of this package.

A link moves bytes and knows no frame, no message and no session. No driver is imported here.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, Self

Buffer = bytes | bytearray | memoryview


class LinkError(Exception):
    """A link cannot be had or kept. The text is one sentence that says what happened and what to do."""

    exit_code = 1  # of a command that ends with this error


class LinkLost(LinkError):
    """The link ended: cable pulled, other side gone or closed."""

    exit_code = 7

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"the link {name} was lost ({why}): connect it again and repeat the command, it will go on")
        self.why = why


class PortBusy(LinkError):
    """Another program has the port. `holder` names it as well as this machine lets us."""

    exit_code = 8

    def __init__(self, port: str, holder: str = "") -> None:
        self.holder = holder or "another program"
        super().__init__(f"{port} is held by {self.holder}: close that first, then repeat the command")


class PortDenied(LinkError):
    """The port is there and this user may not open it."""


class NoDevice(LinkError):
    """Nothing answers at the address, or there is no such port."""

    exit_code = 3


class LinkRefused(LinkError):
    """The other side is not who or what it must be: another certificate, no TLS, TLS where none was expected."""

    exit_code = 6


class DriverMissing(LinkError):
    """A package that this kind of link needs is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} need the extra '{extra}': run pip install 'cradlesync[{extra}]'")
        self.extra = extra


class AddressError(LinkError):
    """The text is no address, or one that this version cannot open."""

    exit_code = 2


class LinkInfo(NamedTuple):
    """A port as the operating system lists it; nothing was sent to it."""

    address: str
    name: str
    vid: int | None = None
    pid: int | None = None
    serial_number: str = ""
    board: str = ""  # what usually has this vid and pid; "" is not known


class Link(Protocol):
    """Moves bytes both ways without blocking. Used by one thread at a time.

    Every method may raise LinkLost when the link has ended; bytes that arrived before the end are read first.
    `cradle_testing.links.LinkContract` is this protocol as tests.
    """

    name: str  # its address as text, for messages
    reliable: bool  # False: bytes may be lost or changed on the way; put a LinkMachine on top
    cable: bool  # ends at a device in the user's hand: pairing by possession is allowed
    binding: bytes  # SHA-256 of the TLS server's DER certificate, the same at both ends; b"" without TLS
    rate: int  # nominal bytes a second of the line; 0 where there is none
    sent: int  # payload bytes that write_some took
    received: int  # payload bytes that read_into gave

    def read_into(self, view: memoryview | bytearray, timeout: float = 0.0) -> int:
        """Put what has arrived into `view`; how much. 0 is "nothing yet", never the end."""
        ...

    def read(self, size: int, timeout: float = 0.0) -> bytes:
        """At most `size` bytes of what has arrived. b"" is "nothing yet", never the end."""
        ...

    def write_some(self, chunks: Sequence[Buffer]) -> int:
        """Take bytes from the front of `chunks`, as many as fit now; how many. Never waits.

        What was taken leaves while the link is used: TLS finishes a record in the next wait() or write_some().
        """
        ...

    def wait(self, read: bool, write: bool, timeout: float | None) -> tuple[bool, bool]:
        """Wait for (readable, writable), as asked, or until `timeout` seconds are over: (False, False).

        "Readable" is also said when the link has ended, and may be said too early: half a TLS record.
        """
        ...

    def fileno(self) -> int:
        """For a select of one's own. `wait` also knows what lies in a driver's buffer."""
        ...

    def close(self) -> None:
        """End the link. May be called twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Listener(Protocol):
    """Waits for links from the other side."""

    address: str  # where it can be reached: port 0 is replaced by the real one
    binding: bytes  # of the links it will give

    def accept(self, timeout: float | None) -> Link | None:
        """The next link, or None when `timeout` seconds are over. None as timeout waits for ever."""
        ...

    def close(self) -> None:
        """Stop. Links that were accepted live on."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
