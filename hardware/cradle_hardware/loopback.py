"""Links inside one process: a pair of ends, or listening and opening by name. Bytes only; no agent is known here."""

import queue
import socket
import threading
from typing import Self

from cradle_hardware.link import Link, NoDevice, PortBusy
from cradle_hardware.stream import StreamLink

_listeners: "dict[str, LoopListener]" = {}
_lock = threading.Lock()


class LoopLink(StreamLink):
    """One end of a pair. As good as a cable: nobody but this process can be at the other end."""

    cable = True


def pair(name: str = "loop:") -> tuple[LoopLink, LoopLink]:
    """Two ends of one link."""
    left, right = socket.socketpair()
    return LoopLink(left, name), LoopLink(right, name)


class LoopListener:
    """Takes links that this process opens under its name."""

    binding = b""

    def __init__(self, name: str) -> None:
        self.address = "loop:" + name
        self._name = name
        self._waiting: queue.SimpleQueue[LoopLink] = queue.SimpleQueue()
        with _lock:
            if name in _listeners:
                raise PortBusy(self.address, "this program")
            _listeners[name] = self

    def connect(self) -> LoopLink:
        """The other end of a link that accept() will give."""
        near, far = pair(self.address)
        self._waiting.put(far)
        return near

    def accept(self, timeout: float | None) -> Link | None:
        """See Listener."""
        try:
            return self._waiting.get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self) -> None:
        """See Listener. Links that nobody accepted end."""
        with _lock:
            if _listeners.get(self._name) is self:
                del _listeners[self._name]
        while not self._waiting.empty():
            self._waiting.get().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_loop(name: str) -> LoopLink:
    """A link to whoever listens under this name in this process."""
    with _lock:
        listener = _listeners.get(name)
        if listener is not None:
            return listener.connect()
    raise NoDevice(f"nothing listens at loop:{name} in this program: start the agent in it first")
