"""Reliable links over TCP, plain or in a TLS that is handed in. A CPython agent uses `cradle_hardware`'s instead."""

import socket

from cradle_protocol.compat import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cradle_protocol.compat import Bytes

# "Nothing yet" of sockets that do not wait: EAGAIN on Linux and lwIP, EINPROGRESS of a handshake that goes on.
_LATER = (11, 115)
# Connections that may wait to be accepted.
_BACKLOG = 4
_ENOTCONN = 107


class TcpLink:
    """One accepted connection."""

    reliable = True
    cable = False

    def __init__(self, sock: "Any", name: str, binding: bytes = b"") -> None:
        self.name, self.binding = name, binding
        self._socket = sock
        self._read = sock.recv_into if hasattr(sock, "recv_into") else sock.readinto
        self._write = sock.send if hasattr(sock, "send") else sock.write

    def read_into(self, view: memoryview) -> int:
        """What has come, 0 if nothing has. OSError when the other end is gone."""
        try:
            count = self._read(view)
        except OSError as error:
            if error.errno in _LATER:
                return 0
            raise
        if count == 0:
            raise OSError(_ENOTCONN, "the other end closed the connection")
        return count or 0

    def write_some(self, chunks: "list[Bytes]") -> int:
        """How many bytes the network took."""
        total = 0
        for chunk in chunks:
            try:
                taken = self._write(chunk) or 0
            except OSError as error:
                if error.errno in _LATER:
                    return total
                raise
            total += taken
            if taken < len(chunk):
                break
        return total

    def close(self) -> None:
        self._socket.close()


class TcpListener:
    """Waits for connections without waiting: `accept` is asked now and then.

    wrap     makes a TLS socket of a plain one (`tls`); None: plain, which protects nothing
    binding  SHA-256 of the certificate
    """

    def __init__(self, host: str, port: int, wrap: "Callable[[Any], Any] | None" = None, binding: bytes = b"") -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(socket.getaddrinfo(host, port)[0][-1])
        self._socket.listen(_BACKLOG)
        self._socket.setblocking(False)
        self._wrap, self._binding = wrap, binding

    def accept(self, timeout: float = 0) -> "TcpLink | None":
        """A new connection, or None. It never waits, whatever the timeout."""
        try:
            sock, peer = self._socket.accept()
        except OSError as error:
            if error.errno in _LATER:
                return None
            raise
        sock.setblocking(False)
        if self._wrap is not None:
            sock = self._wrap(sock)
        return TcpLink(sock, "tcp " + str(peer), self._binding)

    def close(self) -> None:
        self._socket.close()


def tls(certificate: str, key: str) -> "tuple[Callable[[Any], Any], bytes]":
    """(wrap, binding) for a listener, from DER files: what a board got from its desktop over the cable."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def wrap(sock: "Any") -> "Any":
        return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    with open(certificate, "rb") as file:
        return wrap, sha256(file.read()).digest()
