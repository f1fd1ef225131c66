"""An RFC 2217 server on loopback over one serial port: pyserial's own PortManager, in two threads. For tests only.

A pseudo terminal has no modem lines, and PortManager dies without them; the port here records what would be set.
"""

import socket
import threading
from typing import Self

import serial
from serial import rfc2217

JOIN_S = 5.0  # for its threads to end
LOOK_S = 0.05  # between looks whether it is to end


class RecordingPort(serial.Serial):
    """Notes each change of DTR or RTS that a client asks for. Its status lines are always off."""

    cts = dsr = ri = cd = False

    def __init__(self, path: str) -> None:
        self.changes: list[str] = []
        self._told = False
        super().__init__(path, timeout=LOOK_S)
        self._told = True

    def _update_dtr_state(self) -> None:
        if self._told:
            self.changes.append("DTR")

    def _update_rts_state(self) -> None:
        if self._told:
            self.changes.append("RTS")


class Rfc2217Server:
    """Serves one client after the other."""

    def __init__(self, path: str) -> None:
        self.port = RecordingPort(path)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(LOOK_S)
        self.address = f"rfc2217://127.0.0.1:{self._listener.getsockname()[1]}"
        self._client: socket.socket | None = None
        self._running = True
        self._threads = [threading.Thread(target=run, name="rfc2217 server") for run in (self._serve, self._read)]
        for thread in self._threads:
            thread.start()

    def write(self, data: bytes) -> None:
        """To the client: called by PortManager, too."""
        client = self._client
        if client is not None:
            try:
                client.sendall(data)
            except OSError:
                pass  # it left, which _serve will see

    def _serve(self) -> None:
        while self._running:
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            with client:
                client.settimeout(None)
                self._client = client
                self._manager = rfc2217.PortManager(self.port, self)  # type: ignore[arg-type]  # its stubs are narrower
                self._talk(client)
                self._client = None

    def _talk(self, client: socket.socket) -> None:
        try:
            while data := client.recv(4096):
                self.port.write(b"".join(self._manager.filter(data)))
        except OSError:
            pass  # the client or the port is gone

    def _read(self) -> None:
        """What the port says goes to the client."""
        while self._running:
            try:
                data = self.port.read(self.port.in_waiting or 1)
            except OSError:
                return
            if data and self._client is not None:
                self.write(b"".join(self._manager.escape(data)))

    def hang_up(self) -> None:
        """End the connection of the client."""
        client = self._client
        if client is not None:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it left by itself

    def close(self) -> None:
        """End everything."""
        self._running = False
        self.hang_up()
        for thread in self._threads:
            thread.join(JOIN_S)
        self._listener.close()
        self.port.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
