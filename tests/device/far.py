"""A desktop's hand at the other end of a serial line: what `hands.Hand` does, with the agent in another process."""

import os
import select
import socket
import time

from cradle_protocol.wire import constants as c
from cradle_protocol.wire import events, link
from cradle_protocol.wire.desktop_session import DesktopSession
from cradle_protocol.wire.link_desktop import DesktopLink
from cradle_protocol.wire.parameters import LinkConfig
from device.hands import DESKTOP, KEY, Hand

# Seconds in which an answer must have come.
PATIENCE = 60


def now_ms() -> int:
    return time.monotonic_ns() // 1000000


class FarHand(Hand):
    """Pumps a link machine on a file descriptor. `console` is what came beside the frames."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.machine = DesktopLink(LinkConfig(tag=os.getpid() & 0xFF))
        self.console, self.waiting = b"", b""
        self.events = []
        self.open_requests = 0
        self.up = False
        self.session = DesktopSession(DESKTOP, b"n" * 16, 1 << 16)
        self.machine.connect(now_ms())
        self.until(events.GREETED)
        if not self.session.peer.flags & c.PAIRED:
            self.session.pair_by_cable(KEY)
            self.until(events.PAIRED)
        self.session.prove(KEY)
        self.until(events.READY)

    def until(self, name: str) -> None:
        """Pump until the event of this name came last."""
        end = time.monotonic() + PATIENCE
        while not self.events or self.events[-1][0] != name:
            assert time.monotonic() < end, (name, self.events, self.console)
            assert not self.events or self.events[-1][0] != events.REFUSED, self.events
            self.turn()

    def run(self) -> None:
        """Pump until nothing is to be sent and no reply is missing."""
        end = time.monotonic() + PATIENCE
        while self.session.pending_out() or self.waiting or not self.machine.sent() or self.missing():
            assert time.monotonic() < end, (self.events[-3:], self.console)
            self.turn()

    def missing(self) -> bool:
        """Is an answer still to come? While parts of a request are being sent there is none."""
        if self.sending:
            return False
        return not [e for e in self.events if e[0] == events.FAILED or (e[0] == events.REPLY and not e[4])]

    sending = False

    def ask(self, kind, body, parts=()):
        self.sending = True
        request = 0
        self.events = []
        for part in parts:
            request = self.session.request(kind, part, True, request)
            self.run()
        self.sending = False
        return super().ask(kind, body) if not request else self._rest(kind, body, request)

    def _rest(self, kind, body, request):
        self.session.request(kind, body, False, request)
        self.run()
        return [(e[1], e[3]) for e in self.events if e[0] == events.REPLY]

    def turn(self) -> None:
        """Move what can be moved; wait a little where nothing can."""
        now = now_ms()
        due = self.machine.next_timer()
        if due is not None:
            self.machine.handle_timer(now)
        self.waiting += b"".join([bytes(piece) for piece in self.session.data_to_send()])
        if self.up and self.waiting:
            self.waiting = self.waiting[self.machine.send(self.waiting) :]
        frame = self.machine.data_to_send(now)
        while len(frame):
            os.write(self.descriptor, frame)
            frame = self.machine.data_to_send(now)
        if select.select([self.descriptor], [], [], 0.005)[0]:
            self.machine.receive_data(os.read(self.descriptor, 65536), now_ms())
        self.hear()

    def hear(self) -> None:
        event = self.machine.next_event()
        while event is not None:
            if event[0] == link.CONNECTED:
                self.up = True
            elif event[0] == link.DATA:
                self.session.receive_data(event[1])
                self.take()
            elif event[0] == link.CONSOLE:
                self.console += event[1]
            elif event[0] == link.LOST:
                raise AssertionError(event[1])
            event = self.machine.next_event()


class TcpHand(FarHand):
    """The same over a plain TCP connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(0.02)
        self.console, self.events = b"", []
        self.session = DesktopSession(DESKTOP, b"n" * 16, 1 << 16)
        self.until(events.GREETED)
        self.session.prove(KEY)
        self.until(events.READY)

    def run(self) -> None:
        end = time.monotonic() + PATIENCE
        self.turn()
        while self.session.pending_out() or self.missing():
            assert time.monotonic() < end, self.events[-3:]
            self.turn()

    def turn(self) -> None:
        self.socket.setblocking(True)
        for piece in self.session.data_to_send():
            self.socket.sendall(piece)
        self.socket.settimeout(0.02)
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return
        assert data, "the agent closed the connection"
        self.session.receive_data(data)
        self.take()
