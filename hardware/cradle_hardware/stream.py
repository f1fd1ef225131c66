"""A link on a connected stream socket, as it is. What TCP and TLS add is in `tcp` and `tls`."""

import socket
from collections.abc import Sequence

from cradle_hardware.chunks import front
from cradle_hardware.descriptor import NOTHING_YET, DescriptorLink
from cradle_hardware.link import Buffer

# Bytes offered to the system in one call; it takes less anyway.
MOST_BYTES = 1 << 22


class StreamLink(DescriptorLink):
    """Owns the socket, which becomes non-blocking."""

    def __init__(self, sock: socket.socket, name: str) -> None:
        super().__init__(sock.fileno(), name)
        sock.setblocking(False)
        self._socket = sock

    def _receive(self, view: memoryview) -> int:
        try:
            return self._socket.recv_into(view)
        except BlockingIOError:
            return NOTHING_YET
        except OSError as error:
            raise self._lost(error) from error

    def _transmit(self, chunks: Sequence[Buffer]) -> int:
        try:
            return self._socket.sendmsg(front(chunks, MOST_BYTES))
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._lost(error) from error

    def _release(self) -> None:
        self._socket.close()
