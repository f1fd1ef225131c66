"""From an address to a proven connection: opens the link, connects the line, says hello, proves the key. Pairs nobody.

What can be wrong with the other end is told apart here: nothing answers, something else answers, another device
answers, the same device with another key or certificate.
"""

import os
import time
from collections.abc import Callable

from cradle_desktop.connection import Connection, broken, gone, next_event, quiet, step
from cradle_desktop.errors import DeviceError, LinkGone, NoDevice, NotPaired, PortHeld, UserError, by_code
from cradle_desktop.pump import Pump, StreamPump
from cradle_hardware.address import open_link, parse_address
from cradle_hardware.link import LinkError, LinkRefused
from cradle_protocol.errors import BUSY, NOT_PAIRED, PROOF_FAILED, ProtocolError
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.desktop_session import DesktopSession
from cradle_protocol.wire.events import GREETED, READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from cradle_desktop.connection import Notice
    from cradle_hardware.link import Link
    from cradle_protocol.wire.session import Identity, Peer

# Seconds until something that is a device has connected and said hello.
HELLO = 10.0
# Seconds for a device to check a proof; a board needs a tenth of one, but may first have to finish a write to flash.
PROOF = 20.0
# Longest message a desktop takes: one packed batch. The buffer for it is allocated once per connection.
MAX_MESSAGE = 1 << 20
# On a serial line messages are short, both ways: what a cut in the middle of one loses is sent again. 0.7 s at 115200
# baud, and less than two thousandths for headers.
LINE_MESSAGE = 8192
# Why there is no hello where a connection was taken: a board serves one desktop at a time.
SILENT = "something took the connection and says nothing: perhaps it is busy with another desktop"
NONCE = 16  # random bytes, new in each session


class Ears:
    """Who hears what comes beside the replies: console text of the device's program, notices; a file for every byte."""

    def __init__(
        self,
        console: "Callable[[bytes], None] | None" = None,
        notice: "Notice" = quiet,
        capture: "BinaryIO | None" = None,
    ) -> None:
        self.console = console or (lambda text: None)
        self.notice, self.capture = notice, capture


def connect(
    address: str,
    key: bytes,
    identity: "Identity",
    *,
    name: str = "the device",
    device_id: bytes = b"",
    pin: bytes = b"",
    ears: "Ears | None" = None,
) -> Connection:
    """A connection to a device that has proved the partnership key, as we have.

    name and device_id are the partner's, for the errors and to tell another device apart; pin is the hash of its
    certificate. Raises NoDevice, NotPaired, LinkGone, PortHeld and their kin.
    """
    ears = ears or Ears()
    greeting = greet(address, identity, name=name, pin=pin, ears=ears, key=key)
    try:
        peer = greeting.peer
        if device_id and peer.id != device_id:
            raise another_device(name, peer.name, address)
        return greeting.prove(key, name, ears.notice)
    except BaseException:
        greeting.close()
        raise


def greet(
    address: str,
    identity: "Identity",
    *,
    name: str = "the device",
    pin: bytes = b"",
    ears: "Ears | None" = None,
    key: bytes = b"",
) -> "Greeting":
    """Open the link and exchange hellos. Nothing is proved yet. key: a stick has none of its own."""
    ears = ears or Ears()
    if is_stick(address):
        from cradle_desktop.stick.agent import open_stick

        link: Link = open_stick(address, name, {identity.id: key} if key else {})
    else:
        link = open_device(address, name, pin)
    try:
        most = MAX_MESSAGE if link.reliable else LINE_MESSAGE
        session = DesktopSession(identity, os.urandom(NONCE), most, link.binding)
        until = time.monotonic() + HELLO
        pump = _pump(link, session, ears, until, address)
        greeting = Greeting(pump, address)
        greeting.hello(until)
        return greeting
    except BaseException:
        link.close()
        raise


def is_stick(address: str) -> bool:
    """Does it lead to a folder, on a stick or card?"""
    return parse_address(address).scheme == "directory"


def whereabouts(address: str, device_id: bytes, name: str) -> str:
    """Where a partner is to be reached: a stick wherever it is mounted now, others where they were. Raises NoDevice."""
    if not is_stick(address):
        return address
    from cradle_desktop.stick.place import find

    return find(address, device_id, name)


def open_device(address: str, name: str, pin: bytes) -> "Link":
    """Open a link, with its errors in our words. Raises a UserError."""
    try:
        return open_link(parse_address(address), timeout=HELLO, pin=pin)
    except LinkRefused as error:
        if pin:
            raise NotPaired(
                f"{name} shows another certificate than when it was paired ({error}): nothing was sent; "
                f"if you know why (its state was reset), pair again with 'cradle pair {address}'"
            ) from error
        raise NotPaired(str(error)) from error
    except LinkError as error:
        raise by_code(str(error), error.exit_code) from error


def _pump(link: "Link", session: DesktopSession, ears: Ears, until: float, address: str) -> Pump:
    """What moves the bytes; on a line it is connected."""
    capture = None
    if ears.capture is not None:
        from cradle_desktop.capture import Capture

        capture = Capture(ears.capture, not link.reliable, lambda: int(time.monotonic() * 1000))
    if link.reliable:
        return StreamPump(link, session, capture)
    from cradle_desktop.line_pump import LineLost, LinePump

    pump = LinePump(link, session, ears.console, capture)
    try:
        pump.connect(until - time.monotonic())
    except LineLost as error:
        raise no_answer(address, error.reason) from error
    except LinkError as error:
        raise gone(error) from error
    return pump


class Greeting:
    """A device that has said hello. `peer` is what it says of itself, unproven."""

    peer: "Peer"

    def __init__(self, pump: Pump, address: str) -> None:
        self.pump, self.address = pump, address

    def hello(self, until: float) -> None:
        """Wait for the device's hello."""
        try:
            event = self.event(until)
        except (LinkGone, DeviceError) as error:
            raise NoDevice(f"what answers at {self.address} is no cradle agent; check the address") from error
        if event is None:
            raise no_answer(self.address, SILENT if self.pump.link.reliable else "silence")
        if event[0] != GREETED:
            raise refused(event[1], event[2], "the device", self.address)
        self.peer = event[1]
        if not self.pump.link.reliable:
            self.peer.max_message = min(self.peer.max_message, LINE_MESSAGE)

    def event(self, until: float) -> "Any":
        """The session's next event, None when time is up."""
        while True:
            event = next_event(self.pump)
            if event is not None:
                return event
            left = until - time.monotonic()
            if left <= 0:
                return None
            step(self.pump, left)

    def ask(self, what: "Callable[[], None]", seconds: float) -> "Any":
        """Do one thing with the session and wait for the event that follows."""
        try:
            what()
        except ProtocolError as error:
            raise broken(error) from error
        event = self.event(time.monotonic() + seconds)
        if event is None:
            raise LinkGone(f"the device at {self.address} stopped answering; check the link and try again")
        return event

    def prove(self, key: bytes, name: str, notice: "Notice" = quiet) -> Connection:
        """Prove the key both ways."""
        if not self.peer.flags & c.PAIRED:
            raise forgotten(name, self.address)
        event = self.ask(lambda: self.pump.session.prove(key), PROOF)
        if event[0] != READY:
            raise refused(event[1], event[2], name, self.address)
        return Connection(self.pump, event[1], notice)

    def close(self) -> None:
        """Close the link."""
        try:
            self.pump.finish(0.2)
        except (LinkGone, LinkError, OSError):
            pass  # it is gone already
        finally:
            self.pump.link.close()


def no_answer(address: str, why: str) -> NoDevice:
    """Something is there, but no agent speaks."""
    return NoDevice(f"no agent answers at {address} ({why}); start it there ('cradle agent run', main.py on a board)")


def forgotten(name: str, address: str) -> NotPaired:
    """The device says that it does not know us."""
    return NotPaired(f"{name} is not paired with this desktop (any more); pair with 'cradle pair {address}'")


def another_device(name: str, other: str, address: str) -> NotPaired:
    """A device answered that is not the partner."""
    return NotPaired(
        f"the device at {address} is not {name} but another one that calls itself {other!r}: nothing was sent; if "
        f"{name} was reset or replaced, run 'cradle unpair {name}', then 'cradle pair {address}'"
    )


def refused(status: int, text: str, name: str, address: str) -> UserError:
    """The device, or our own check of its proof, ended the handshake."""
    if status == NOT_PAIRED:
        return forgotten(name, address)
    if status == PROOF_FAILED:
        return NotPaired(
            f"{name} and this desktop do not hold the same key ({text}): nothing was sent; "
            f"if you know why, pair again with 'cradle pair {address}'"
        )
    if status == BUSY:
        return PortHeld(f"{name} is busy with another session; try again when that is done")
    return UserError(f"the device at {address} ended the conversation: {text}")
