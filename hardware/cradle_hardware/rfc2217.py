"""Serial ports behind an RFC 2217 server, through pyserial. Never a cable: anybody may be on the network between."""

import select
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cradle_hardware.address import DEFAULT_BAUD, Address
from cradle_hardware.chunks import front
from cradle_hardware.descriptor import NOTHING_YET, READABLE, WRITABLE, DescriptorLink
from cradle_hardware.link import Buffer, NoDevice
from cradle_hardware.pacing import Pacer
from cradle_hardware.serial import BITS, driver

if TYPE_CHECKING:
    from cradle_hardware.quiet import QuietRfc2217

# Bytes given to pyserial's blocking write at once: doubled by escapes they still fit a socket that says it is writable.
PIECE = 512


class Rfc2217Link(DescriptorLink):
    """Reads from the inbox that pyserial's thread fills; writes to the socket when that has room."""

    reliable = False

    def __init__(self, port: "QuietRfc2217", name: str, rate: int) -> None:
        super().__init__(port.inbox.descriptor, name)
        self.rate = rate
        self._port = port
        self._pacer = Pacer(rate)
        self._out = port.socket_descriptor

    def _receive(self, view: memoryview) -> int:
        count = self._port.inbox.take(view)
        if not count and self._port.inbox.ended:
            return 0
        return count or NOTHING_YET

    def _transmit(self, chunks: Sequence[Buffer]) -> int:
        room = self._pacer.room(time.monotonic())
        if self._port.inbox.ended:
            raise self._lost("the server closed it")
        if not room or not self._writable():
            return 0
        piece = b"".join(front(chunks, min(room, PIECE)))
        try:
            self._port.write(piece)
        except OSError as error:  # SerialException is one
            raise self._lost("the server is gone") from error
        self._pacer.sent(len(piece), time.monotonic())
        return len(piece)

    def _writable(self) -> bool:
        poll = select.poll()
        poll.register(self._out, WRITABLE)
        return bool(poll.poll(0))

    def wait(self, read: bool, write: bool, timeout: float | None) -> tuple[bool, bool]:
        """See Link."""
        self._check_open()
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            now = time.monotonic()
            left = None if until is None else max(until - now, 0.0)
            delay = self._pacer.delay(now) if write else 0.0
            readable, writable = self._ready(read, write and not delay, left, delay)
            if readable or writable or (left is not None and left <= delay):
                return readable, writable

    def _ready(self, read: bool, write: bool, left: float | None, delay: float) -> tuple[bool, bool]:
        """One look, that ends early when a delay of the pacer is over."""
        poll = select.poll()
        poll.register(self._descriptor, READABLE * read)
        if write:
            poll.register(self._out, WRITABLE)
        span = delay if delay and (left is None or delay < left) else left
        found = dict(poll.poll(None if span is None else int(span * 1000) + 1))
        return bool(found.get(self._descriptor)) or self._port.inbox.ended, bool(found.get(self._out))

    def _release(self) -> None:
        self._port.close()
        self._port.inbox.close()


def open_rfc2217(address: Address) -> Rfc2217Link:
    """Connect to the server and agree on the speed; its modem lines stay as they are."""
    quiet = driver()
    baud = address.baud or DEFAULT_BAUD
    url = str(address._replace(baud=0))
    try:
        port = quiet.QuietRfc2217(url, baud)
    except (quiet.serial.SerialException, ValueError, OSError) as error:
        raise NoDevice(
            f"no serial port answers at {url}: check that an RFC 2217 server runs there with a port"
        ) from error
    return Rfc2217Link(port, str(address), baud // BITS)
