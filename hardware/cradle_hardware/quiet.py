"""pyserial's ports, opened without touching DTR and RTS. Imported when a serial link is opened, as it needs pyserial.

pyserial sets both lines at every open, one after the other: boards that reset or enter their loader by these lines
do so then. Here they stay as the operating system and the user's own settings have them.
"""

import os
import socket
import threading

import serial
from serial import rfc2217

JOIN_S = 7.0  # for pyserial's reader thread, which looks up every 5 s at the latest


class QuietPort(serial.Serial):
    """A local port. Lines that are not there (pseudo terminals) are not missed."""

    def _update_dtr_state(self) -> None:
        pass

    def _update_rts_state(self) -> None:
        pass


class Inbox:
    """What pyserial's reader thread received, behind a descriptor that becomes readable with it.

    Takes the place of the queue in serial.rfc2217.Serial and has those of its methods that are used there.
    """

    def __init__(self) -> None:
        self.ended = False
        self._bytes = bytearray()
        self._lock = threading.Lock()
        self.descriptor, self._bell = os.pipe()

    def put(self, byte: bytes | None) -> None:
        """Called by the reader thread: one byte, or None at the end."""
        with self._lock:
            ring = not self._bytes and not self.ended
            if byte is None:
                self.ended = True
            else:
                self._bytes += byte
            if ring:
                os.write(self._bell, b"!")

    def qsize(self) -> int:
        return len(self._bytes)

    def get(self, block: bool = True, timeout: float | None = None) -> bytes:
        """One byte; called by pyserial only to throw away."""
        room = bytearray(1)
        self.take(memoryview(room))
        return bytes(room)

    def take(self, view: memoryview) -> int:
        """Move what is there into the view; how much."""
        with self._lock:
            count = min(len(view), len(self._bytes))
            view[:count] = self._bytes[:count]
            del self._bytes[:count]
            if count and not self._bytes and not self.ended:
                os.read(self.descriptor, 1)
            return count

    def close(self) -> None:
        """After the reader thread has ended."""
        os.close(self.descriptor)
        os.close(self._bell)


class QuietRfc2217(rfc2217.Serial):
    """A port behind an RFC 2217 server."""

    # pyserial's own, which its stubs leave out.
    _socket: socket.socket | None
    _thread: threading.Thread | None

    def __init__(self, url: str, baud: int) -> None:
        self.inbox = Inbox()
        super().__init__(None, baudrate=baud)
        self.port = url
        try:
            self.open()
        except BaseException:
            self.inbox.close()
            raise

    @property
    def _read_buffer(self) -> Inbox:
        return self.inbox

    @_read_buffer.setter
    def _read_buffer(self, queue: object) -> None:
        """pyserial brings a queue of its own, which cannot be waited for together with a socket."""

    def close(self) -> None:
        """As pyserial does it, but for a sleep of 0.3 s that every command would end with."""
        self.is_open = False
        connection, self._socket = self._socket, None
        if connection is not None:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the server closed it first
            connection.close()
        reader, self._thread = self._thread, None
        if reader is not None:
            reader.join(JOIN_S)

    @property
    def socket_descriptor(self) -> int:
        """What must be writable for a write not to block."""
        return self._socket.fileno() if self._socket is not None else -1

    def _update_dtr_state(self) -> None:
        pass

    def _update_rts_state(self) -> None:
        pass
