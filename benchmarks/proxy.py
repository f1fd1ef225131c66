"""A TCP relay that counts the bytes that pass. For separate runs: it costs time of its own."""

import selectors
import socket
import threading

BUFFER = 1 << 18


class CountingProxy:
    """Listens on a port of its own and passes everything on to the target. One thread; many connections."""

    def __init__(self, target: "tuple[str, int]") -> None:
        self.target = target
        self.up = self.down = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stop_r, self._stop_w = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def take(self) -> int:
        """Bytes in both directions since the last call."""
        total, self.up, self.down = self.up + self.down, 0, 0
        return total

    def close(self) -> None:
        self._stop_w.send(b"x")
        self._thread.join()
        for sock in (self._listener, self._stop_r, self._stop_w):
            sock.close()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._stop_r, selectors.EVENT_READ)
            ready.register(self._listener, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    if key.fileobj is self._stop_r:
                        return
                    if key.fileobj is self._listener:
                        self._accept(ready)
                    elif key.data is not None:
                        self._relay(ready, key.fileobj, key.data)

    def _accept(self, ready: selectors.BaseSelector) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(self.target)
        for one, other, up in ((client, server, True), (server, client, False)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ready.register(one, selectors.EVENT_READ, (other, up))

    def _relay(self, ready: selectors.BaseSelector, source: object, data: "tuple[socket.socket, bool]") -> None:
        assert isinstance(source, socket.socket)
        other, up = data
        try:
            chunk = source.recv(BUFFER)
            other.sendall(chunk)
        except OSError:
            chunk = b""
        if up:
            self.up += len(chunk)
        else:
            self.down += len(chunk)
        if not chunk:
            ready.unregister(source)
            self._half_close(ready, source, other)

    @staticmethod
    def _half_close(ready: selectors.BaseSelector, source: socket.socket, other: socket.socket) -> None:
        """Pass the end on; close both when both directions have ended."""
        if other in {key.fileobj for key in ready.get_map().values()}:
            try:
                other.shutdown(socket.SHUT_WR)
            except OSError:
                ready.unregister(other)
                other.close()
                source.close()
        else:
            source.close()
            other.close()
