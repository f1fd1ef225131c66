"""TLS over TCP. There is no CA: the certificate's hash is the link's binding, and pairing or the pin says whose it is.

Version 1.2 with ECDHE and AEAD is the floor, 1.3 is taken where both ends can. Handshakes of accepted links run
inside their read, write and wait.
"""

import hashlib
import os
import socket
import ssl
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cradle_hardware.chunks import front, total
from cradle_hardware.descriptor import ENDED, NOTHING_YET, READABLE, WRITABLE, DescriptorLink
from cradle_hardware.link import Buffer, LinkLost, LinkRefused

if TYPE_CHECKING:
    from cradle_hardware.certificate import Certificate

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of version 1.2; those of 1.3 are all good
RECORD = 1 << 14  # most bytes of one TLS record
MOST_RECORDS = 64  # written in one call, so that reading gets its turn
CLIENT_HELLO = 0x16  # its first byte
LAST_WORDS_S = 1.0  # at close, for a record that the system did not take yet
DRAIN = 4096  # bytes of a plain client that are read away, so that our alert is not overtaken by a reset

# What OpenSSL says to a client when the server's first bytes are no TLS record.
NOT_TLS_REASONS = ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")

# Fatal alert, protocol_version: by it a plain link at the other side sees that we speak TLS.
NOT_TLS_ALERT = bytes((0x15, 3, 3, 0, 2, 2, 70))


def _floor(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    return context


def client_context() -> ssl.SSLContext:
    """No chain, no name: the binding is what counts."""
    context = _floor(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def server_context(certificate: "Certificate") -> ssl.SSLContext:
    """With its certificate, and no tickets: sessions are proved anew each time."""
    context = _floor(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    try:
        context.load_cert_chain(certificate.certificate, certificate.key)
    except (OSError, ssl.SSLError) as error:
        raise LinkRefused(
            f"the certificate in {certificate.certificate.parent} cannot be used ({error}): "
            "delete both of its files to get a new one, then pair again"
        ) from error
    context.num_tickets = 0
    return context


def secure_client(sock: socket.socket, name: str, timeout: float, pin: bytes) -> "TlsLink":
    """Handshake within `timeout` seconds; the server's certificate must hash to `pin` unless that is empty."""
    link = TlsLink(client_context().wrap_socket(sock, do_handshake_on_connect=False), name)
    try:
        link.shake_hands(timeout)
        if pin and link.binding != pin:
            raise LinkRefused(
                f"{name} shows another certificate than when it was paired: if the agent there was set up anew, "
                "unpair it and pair again, else somebody is in between"
            )
    except BaseException:
        link.close()
        raise
    return link


def secure_server(sock: socket.socket, name: str, context: ssl.SSLContext, binding: bytes) -> "TlsLink":
    """The handshake is yet to come."""
    secured = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    link = TlsLink(secured, name)
    link.binding = binding
    return link


class TlsLink(DescriptorLink):
    """A TLS connection.

    OpenSSL wants a record that it could not send whole to be offered again unchanged. So a record that was begun
    is kept here and counts as taken; wait() sees to it that it leaves.
    """

    def __init__(self, sock: ssl.SSLSocket, name: str) -> None:
        super().__init__(sock.fileno(), name)
        sock.setblocking(False)
        self._socket = sock
        self._begun = b""  # the record that OpenSSL wants again
        self._shaking = True
        self._hello_seen = not sock.server_side  # a client speaks first
        self._want = READABLE  # what the handshake, or a read, waits for

    @property
    def version(self) -> str:
        """Of the protocol that was agreed, like "TLSv1.3"; "" before that."""
        return self._socket.version() or ""

    # The handshake

    def shake_hands(self, timeout: float) -> None:
        """Wait until the handshake is done."""
        until = time.monotonic() + timeout
        while not self._step():
            left = until - time.monotonic()
            if left <= 0:
                raise LinkLost(self.name, "no answer to the TLS handshake; an agent that listens plain wants ?plain=1")
            self._events(self._want, left)
        if not self.binding:
            self.binding = hashlib.sha256(self._socket.getpeercert(binary_form=True) or b"").digest()

    def _step(self) -> bool:
        """Go on with the handshake; is it done?"""
        if not self._shaking:
            return True
        if not self._hello_seen and not self._look_at_hello():
            return False
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            self._want = READABLE
        except ssl.SSLWantWriteError:
            self._want = WRITABLE
        except OSError as error:
            raise self._refused(error) from error
        else:
            self._shaking = False
            self._want = READABLE
        return not self._shaking

    def _look_at_hello(self) -> bool:
        """As a server, see by the first byte whether this is TLS; False while there is none."""
        try:
            start = socket.socket.recv(self._socket, 1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError as error:
            raise self._refused(error) from error
        if start and start[0] != CLIENT_HELLO:
            self._answer_plain()
            raise self._no_tls()
        self._hello_seen = True
        return True

    def _answer_plain(self) -> None:
        """What it sent is read away first, or the system would follow our alert with a reset."""
        try:
            os.read(self._descriptor, DRAIN)
            os.write(self._descriptor, NOT_TLS_ALERT)
        except OSError:
            pass  # it is gone, which we are about to say anyway

    def _no_tls(self) -> LinkRefused:
        side = "there" if self._socket.server_side else "to the address here"
        return LinkRefused(f"{self.name} does not speak TLS: use TLS at both ends, or add ?plain=1 {side}")

    def _refused(self, error: OSError) -> LinkLost | LinkRefused:
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLSyscallError):
            if error.reason in NOT_TLS_REASONS:
                return self._no_tls()
            reason = (error.reason or "unknown reason").replace("_", " ").lower()
            return LinkRefused(f"no TLS with {self.name} ({reason}): both need TLS 1.2 or later with ECDHE and AEAD")
        return LinkLost(self.name, "it closed during the TLS handshake; an agent that listens plain wants ?plain=1")

    # Bytes

    def _receive(self, view: memoryview) -> int:
        if not self._step():
            return NOTHING_YET
        try:
            return self._socket.recv_into(view)
        except ssl.SSLWantReadError:
            self._want = READABLE
        except ssl.SSLWantWriteError:
            self._want = WRITABLE
        except OSError as error:
            raise self._lost(_plain_words(error)) from error
        return NOTHING_YET

    def _transmit(self, chunks: Sequence[Buffer]) -> int:
        if not self._step():
            return 0
        waiting = [memoryview(chunk) for chunk in front(chunks, RECORD * MOST_RECORDS)]
        taken = 0
        while waiting and self._push():
            record = _next_record(waiting)
            taken += len(record)
            if not self._put(record):
                self._begun = bytes(record)
        return taken

    def _push(self) -> bool:
        """Send what was begun; is it out?"""
        if self._begun and self._put(self._begun):
            self._begun = b""
        return not self._begun

    def _put(self, record: Buffer) -> bool:
        try:
            self._socket.send(record)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return False
        except OSError as error:
            raise self._lost(_plain_words(error)) from error
        return True

    # Waiting

    def wait(self, read: bool, write: bool, timeout: float | None) -> tuple[bool, bool]:
        """See Link. Also goes on with the handshake, and sends what was begun."""
        self._check_open()
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            if self._step() and read and self._socket.pending():
                return True, False
            left = None if until is None else until - time.monotonic()
            events = self._events(self._wanted(read, write), left)
            readable, writable = self._ready(events, read, write)
            if readable or writable or (left is not None and left <= 0):
                return readable, writable

    def _wanted(self, read: bool, write: bool) -> int:
        if self._shaking:
            return self._want
        return self._want * read | WRITABLE * (write or bool(self._begun))

    def _ready(self, events: int, read: bool, write: bool) -> tuple[bool, bool]:
        if self._shaking:
            return bool(events & ENDED), False  # only the end can be told from here; wait() goes on with the rest
        free = bool(events & WRITABLE) and self._push()
        readable = bool(events & ENDED) or (read and bool(events & self._want))
        return readable, write and (free or bool(events & ENDED))

    def _release(self) -> None:
        try:
            over = self._push()
        except (OSError, LinkLost):
            over = True  # the other side is gone; close() is no place to say so
        if over:
            self._socket.close()
            return
        import threading  # only where the other side does not take what it was sent

        threading.Thread(target=_last_words, args=(self._socket, self._begun), name="last words").start()


def _last_words(sock: ssl.SSLSocket, record: bytes) -> None:
    """Send what was begun, then close. Whoever closes a link does not wait for that, but a process does, at its end."""
    try:
        sock.settimeout(LAST_WORDS_S)
        sock.send(record)
    except OSError:
        pass  # it was told in vain
    finally:
        sock.close()


def _next_record(waiting: list[memoryview]) -> Buffer:
    """Take at most one record from the front: large chunks as they are, small ones joined."""
    first = waiting[0]
    if len(first) >= RECORD:
        waiting[0] = first[RECORD:]
        if not len(waiting[0]):
            waiting.pop(0)
        return first[:RECORD]
    joined = front(waiting, RECORD)
    size = total(joined)
    _drop(waiting, size)
    return b"".join(joined)


def _drop(waiting: list[memoryview], size: int) -> None:
    while size:
        if len(waiting[0]) > size:
            waiting[0] = waiting[0][size:]
            return
        size -= len(waiting.pop(0))


def _plain_words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS ended").replace("_", " ").lower()
    return (error.strerror or str(error)).lower()
