"""Moves bytes between a session and a link, both ways at once, and waits when neither moves. Knows no message.

`StreamPump` is for links that deliver every byte in order; `line_pump` has the one for serial lines. No thread and no
busy loop.
"""

import time

from cradle_hardware.link import LinkLost
from cradle_hardware.outbox import Outbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.capture import Capture
    from cradle_hardware.link import Link
    from cradle_protocol.wire.desktop_session import DesktopSession

    Chunk = bytes | bytearray | memoryview


class Pump:
    """What both pumps share: the queue of what waits to go out, and the counts."""

    def __init__(self, link: "Link", session: "DesktopSession", capture: "Capture | None" = None) -> None:
        self.link, self.session, self.capture = link, session, capture
        self._out = Outbox()

    def waiting(self) -> int:
        """Bytes of messages that the link has not taken yet."""
        return self._out.size

    def flush(self) -> None:
        """Hand over what the link takes now. Reads nothing, so bodies that the session gave out stay valid."""
        raise NotImplementedError

    def step(self, timeout: "float | None" = None) -> bool:
        """Move what moves. If nothing does, wait for up to `timeout` seconds (None: for ever). Did anything move?

        All events of the session must have been taken before. Raises LinkError, ProtocolError, LinkGone.
        """
        raise NotImplementedError

    def finish(self, seconds: float) -> None:
        """Say goodbye to the other end, for as long as that takes but no longer than `seconds`."""
        raise NotImplementedError

    def _collect(self) -> None:
        """Take what the session has to send."""
        if not self.session.pending_out():
            return
        chunks = self.session.data_to_send()
        if self.capture is not None:
            self.capture.sent(b"".join(chunks))
        self._out.add(chunks)


class StreamPump(Pump):
    """For TCP, TLS, USB bulk and memory: straight from and into the session's own buffers."""

    def __init__(self, link: "Link", session: "DesktopSession", capture: "Capture | None" = None) -> None:
        super().__init__(link, session, capture)
        self._lost: LinkLost | None = None  # writing failed; the peer's last words may still be there to read

    def flush(self) -> None:
        self._write()

    def step(self, timeout: "float | None" = None) -> bool:
        if self._write() | self._read():
            return True
        if self._lost is not None:
            raise self._lost
        if timeout == 0 or not any(self.link.wait(True, self._out.size > 0, timeout)):
            return False
        return self._write() | self._read()

    def _write(self) -> bool:
        self._collect()
        if not self._out.size or self._lost is not None:
            return False
        try:
            return self._out.send(self.link) > 0
        except LinkLost as error:
            self._lost = error
            return False

    def _read(self) -> bool:
        view = self.session.receive_buffer()
        count = self.link.read_into(view)
        if not count:
            return False
        if self.capture is not None:
            self.capture.received(view[:count])
        self.session.received(count)
        return True

    def finish(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (self._write() or self._out.size) and self._lost is None and time.monotonic() < until:
            self.link.wait(False, True, seconds)
