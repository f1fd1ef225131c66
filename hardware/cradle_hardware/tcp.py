"""TCP links. With ?plain=1 as they are; else `tls` wraps them. Imports no ssl by itself."""

import errno
import socket
import time
from typing import TYPE_CHECKING, Self

from cradle_hardware.address import Address
from cradle_hardware.link import AddressError, Link, LinkError, LinkRefused, NoDevice, PortBusy
from cradle_hardware.stream import StreamLink

if TYPE_CHECKING:
    from cradle_hardware.certificate import Certificate

BACKLOG = 16  # connections that wait for accept(); an agent serves few at a time

# A peer whose cable was pulled says nothing more: while we wait for it, it counts as lost after 20 s; while we send,
# after a minute, because that also cuts off a peer who is alive and too busy to read.
IDLE_S = 10
PROBE_S = 5
PROBES = 2
UNANSWERED_MS = 60_000

# First bytes of a TLS record: alert or handshake, then major version 3. A message stream never starts so, because
# its first byte is the high byte of a length, and the first message is short.
TLS_STARTS = (0x15, 0x16)
TLS_MAJOR = 3


class TcpLink(StreamLink):
    """Plain TCP. Says so when the other side turns out to speak TLS."""

    def _receive(self, view: memoryview) -> int:
        if not self.received:
            self._look_at_start()
        return super()._receive(view)

    def _look_at_start(self) -> None:
        try:
            start = self._socket.recv(2, socket.MSG_PEEK)
        except OSError:
            return  # nothing yet, or the end: reading will tell
        if len(start) == 2 and start[0] in TLS_STARTS and start[1] == TLS_MAJOR:
            raise LinkRefused(f"{self.name} speaks TLS: leave ?plain=1 out of the address on this side")


def prepare(sock: socket.socket) -> None:
    """No delay for small messages; a vanished peer is noticed."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", IDLE_S),
        ("TCP_KEEPINTVL", PROBE_S),
        ("TCP_KEEPCNT", PROBES),
        ("TCP_USER_TIMEOUT", UNANSWERED_MS),
    ):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def open_tcp(address: Address, timeout: float, pin: bytes) -> Link:
    """Connect, and with TLS make the handshake and compare the certificate with `pin`."""
    if not address.port:
        raise AddressError(f"{address} has no port: a port of 0 is only for listening")
    if address.plain and pin:
        raise LinkRefused(f"{address} is plain, but its partner was paired over TLS: leave ?plain=1 out of the address")
    until = time.monotonic() + timeout
    sock = _connect(address, timeout)
    try:
        prepare(sock)
        if address.plain:
            return TcpLink(sock, str(address))
        from cradle_hardware import tls

        return tls.secure_client(sock, str(address), max(until - time.monotonic(), 1.0), pin)
    except BaseException:
        sock.close()
        raise


def _connect(address: Address, timeout: float) -> socket.socket:
    try:
        return socket.create_connection((address.host, address.port), timeout)
    except (socket.gaierror, UnicodeError) as error:  # a name that IDNA refuses
        raise NoDevice(f"there is no host {address.host}: check the name, or use its number") from error
    except OSError as error:
        why = "no answer" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
        raise NoDevice(f"nothing answers at {address} ({why}): check the address and start the agent there") from error


class TcpListener:
    """Gives a link for each connection. Handshakes are made inside the links, so a silent stranger blocks nobody."""

    def __init__(self, address: Address, certificate: "Certificate | None") -> None:
        self.binding = certificate.binding if certificate else b""
        self._context = None
        if certificate:
            from cradle_hardware import tls

            self._context = tls.server_context(certificate)
        self._socket = _bind(address)
        self.address = str(address._replace(port=self._socket.getsockname()[1]))

    def accept(self, timeout: float | None) -> Link | None:
        """See Listener. None also for a connection that ended before it could be taken."""
        self._socket.settimeout(timeout)
        try:
            sock, peer = self._socket.accept()
        except (TimeoutError, BlockingIOError, ConnectionAbortedError):
            return None
        except OSError as error:
            raise LinkError(f"{self.address} takes no connections ({error.strerror}): restart the agent") from error
        try:
            return self._link(sock, "tcp://" + _place(peer[0], peer[1]))
        except OSError:  # it was reset at once: some of what is asked of it fails then, which is its own affair
            sock.close()
            return None

    def _link(self, sock: socket.socket, name: str) -> Link:
        prepare(sock)
        if self._context is None:
            return TcpLink(sock, name + "?plain=1")
        from cradle_hardware import tls

        return tls.secure_server(sock, name, self._context, self.binding)

    def close(self) -> None:
        """See Listener."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind(address: Address) -> socket.socket:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, place = found[0]
        everywhere = address.host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(place[:2], family=family, backlog=BACKLOG, dualstack_ipv6=everywhere)
    except (socket.gaierror, UnicodeError) as error:  # a name that IDNA refuses
        raise NoDevice(f"there is no host {address.host}: listen at 0.0.0.0 or at this machine's address") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortBusy(str(address)) from error
        why = (error.strerror or str(error)).lower()
        raise LinkError(f"cannot listen at {address} ({why}): choose another address or port") from error
