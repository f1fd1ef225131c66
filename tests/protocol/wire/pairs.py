"""Both halves of a session joined by hand, and the owner's decisions in their plainest form."""

from cradle_protocol.compat import sha256
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import events
from cradle_protocol.wire.desktop_session import DesktopSession
from cradle_protocol.wire.device_session import DeviceSession
from cradle_protocol.wire.handshake import Identity

KEY = b"k" * 32
MAX = 1536  # bytes of the longest body: two buffers, and little more, fit beside both halves on a board
DESKTOP = Identity(b"D" * 16, "desk")
DEVICE = Identity(b"B" * 16, "board", "cradle 1")
TYPES = [("files", b"s" * 16, b"r" * 16, 7)]


class PlainPake:
    """A stand-in with SPAKE2's shape: equal codes give equal secrets. (It hides nothing.)"""

    def __init__(self, code):
        self.code = code

    def start(self):
        return b"half"

    def finish(self, blob):
        if blob != b"half":
            raise ValueError("no blob")
        return sha256(self.code.encode()).digest()


class Pair:
    """A desktop and a device session. `step` is how many bytes cross at once (0: all there are)."""

    def __init__(self, key=KEY, flags=c.CABLE, step=0, bindings=(b"", b""), max_message=MAX, max_requests=4):
        self.desktop = DesktopSession(DESKTOP, b"1" * 16, max_message, bindings[0])
        self.device = DeviceSession(DEVICE, b"2" * 16, max_message, bindings[1])
        self.key, self.flags, self.step, self.max_requests = key, flags, step, max_requests
        self.code = "123456"
        self.events = {True: [], False: []}
        self.crossed = {True: b"", False: b""}  # bytes that each end sent

    def run(self):
        """Let bytes cross until both ends are silent."""
        while self.move(True) or self.move(False):
            pass
        return self

    def move(self, desktop):
        sender, receiver = (self.desktop, self.device) if desktop else (self.device, self.desktop)
        data = b"".join([bytes(piece) for piece in sender.data_to_send()])
        self.crossed[desktop] += data
        step = self.step or max(1, len(data))
        for at in range(0, len(data), step):
            receiver.receive_data(data[at : at + step])
            self.take(not desktop)
        return len(data) > 0

    def take(self, desktop):
        session = self.desktop if desktop else self.device
        event = session.next_event()
        while event is not None:
            event = tuple([bytes(part) if isinstance(part, memoryview) else part for part in event])
            self.events[desktop].append(event)
            if not desktop:
                self.decide(event)
            event = session.next_event()

    def decide(self, event):
        """What an agent does."""
        name = event[0]
        if name == events.GREETED:
            self.device.greet(self.key, self.flags)
        elif name == events.READY:
            self.device.accept(self.max_requests, 100, 65536, 0, TYPES)
        elif name == events.PAIRED:
            self.key = event[2]
            self.device.confirm_pairing()
        elif name == events.CODE_WANTED:
            self.device.pair_by_code(PlainPake(self.code))

    def names(self, desktop):
        return [event[0] for event in self.events[desktop]]

    def last(self, desktop):
        return self.events[desktop][-1]

    def open(self):
        """Prove; both ends are ready then."""
        self.run()
        self.desktop.prove(KEY)
        self.run()
        assert self.last(True)[0] == events.READY and self.last(False)[0] == events.READY
        return self
