"""The worked exchange of SPEC.md, made anew: a session from hello to close, and how its first message looks on a serial
line."""

from cradle_protocol.wire import constants as c
from cradle_protocol.wire import events
from cradle_protocol.wire.link import LinkMachine
from cradle_protocol.wire.link_desktop import DesktopLink
from cradle_protocol.wire.messages.sync import SyncClose, SyncCloseReply
from cradle_protocol.wire.parameters import LinkConfig
from protocol.wire.pairs import Pair


class Recorded(Pair):
    """A pair that remembers each message as it crosses."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def move(self, desktop):
        sender = self.desktop if desktop else self.device
        receiver = self.device if desktop else self.desktop
        data = b"".join([bytes(piece) for piece in sender.data_to_send()])
        if data:
            self.steps.append(("desktop" if desktop else "device", data))
            receiver.receive_data(data)
            self.take(not desktop)
        return len(data) > 0

    def decide(self, event):
        super().decide(event)
        if event[0] == events.REQUEST:
            self.device.reply(event[2], c.SYNC_CLOSE_REPLY, SyncCloseReply().to_bytes())


def session_steps():
    """(sender, bytes) of the messages: hello, proof, one request, and an error that ends it."""
    pair = Recorded()
    pair.open()
    pair.desktop.request(c.SYNC_CLOSE, SyncClose(1).to_bytes())
    pair.run()
    pair.device.close(8, "busy")
    pair.run()
    return pair.steps


def link_steps():
    """(sender, bytes) of the frames that open a link toward a REPL's port and carry the hello."""
    desktop = DesktopLink(LinkConfig(16, 256, tag=0xA0))
    device = LinkMachine(False, LinkConfig(8, 256, repl=True))
    steps = []
    desktop.connect(0)
    hello = session_steps()[0][1]
    moved = True
    while moved:
        moved = False
        for name, sender, receiver in (("desktop", desktop, device), ("device", device, desktop)):
            frame = bytes(sender.data_to_send(0))
            if frame:
                moved = True
                steps.append((name, frame))
                receiver.receive_data(frame, 0)
                while receiver.next_event() is not None:
                    pass
            hello = hello[desktop.send(hello) :]
    return steps


def exchange():
    """What the vector file holds."""
    return {
        "session": [{"from": name, "bytes": octets.hex()} for name, octets in session_steps()],
        "link": [{"from": name, "bytes": octets.hex()} for name, octets in link_steps()],
    }
