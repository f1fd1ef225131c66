"""Garbage of the hot paths, measured where it matters: on MicroPython. Elsewhere these only run the paths."""

import gc

from cradle_protocol.compat import MICROPYTHON
from cradle_protocol.wire import framing as f
from cradle_protocol.wire.link import DATA, LinkMachine
from cradle_protocol.wire.link_desktop import DesktopLink
from cradle_protocol.wire.parameters import LinkConfig
from protocol.wire.line import Dice

INFO = 512
ROUNDS = 16
# Bytes for a 512-byte frame on the unix port, whose words are twice as wide as a board's (design section 8).
BUDGET = 1024


def garbage(work):
    """Bytes that a round of work leaves behind."""
    work()
    gc.collect()
    if not MICROPYTHON:
        work()
        return 0
    gc.disable()
    before = gc.mem_alloc()
    for _ in range(ROUNDS):
        work()
    left = gc.mem_alloc() - before
    gc.enable()
    return left // ROUNDS


def connected():
    desktop = DesktopLink(LinkConfig(4, INFO))
    device = LinkMachine(False, LinkConfig(4, INFO, repl=True))
    desktop.connect(0)
    for _ in range(2):
        for sender, receiver in ((desktop, device), (device, desktop)):
            receiver.receive_data(sender.data_to_send(0), 0)
            while receiver.next_event() is not None:
                pass
    return desktop, device


def carrying(sender, receiver):
    """A round: one whole frame of data there, its answer back."""
    data = Dice(4).bytes(INFO)

    def work():
        sender.send(data)
        sender._outgoing.frame_size.size = INFO
        got = 0
        for _ in range(4):
            octets = sender.data_to_send(1)
            if len(octets):
                receiver.receive_data(octets, 1)
                event = receiver.next_event()
                while event is not None:
                    if event[0] == DATA:
                        got += len(event[1])
                    event = receiver.next_event()
            octets = receiver.data_to_send(1)
            if len(octets):
                sender.receive_data(octets, 1)
                while sender.next_event() is not None:
                    pass
        assert got == INFO

    return work


def test_frames_make_little_garbage():
    for escapes in (f.ESCAPES_PLAIN, f.ESCAPES_REPL):
        framer, deframer = f.Framer(4 + INFO, escapes), f.Deframer(4 + INFO)
        out = memoryview(bytearray(f.stuffed_size(4 + INFO)))
        data, head = Dice(5).bytes(INFO), b"\xf9\x01\x00\x00"
        sizes = [0]

        def send():
            sizes[0] = framer.frame(head, data, out)  # noqa: B023

        def receive():
            deframer.feed(out[: sizes[0]])  # noqa: B023
            kind, _ = deframer.next()  # noqa: B023
            assert kind == f.FRAME

        assert garbage(send) < BUDGET and garbage(receive) < BUDGET


def test_link_makes_little_garbage():
    """Both ends together, data and answer: under twice the budget of one end."""
    for toward_desktop in (False, True):
        desktop, device = connected()
        pair = (device, desktop) if toward_desktop else (desktop, device)
        found = garbage(carrying(*pair))
        assert found < 2 * BUDGET, found


def test_buffers_are_bounded_by_the_configuration():
    """A connected machine on a board holds its slots, its ring and the buffers of one frame; nothing grows."""
    desktop, device = connected()
    work = carrying(desktop, device)
    work()
    if MICROPYTHON:
        gc.collect()
        before = gc.mem_alloc()
        for _ in range(40):
            work()
        gc.collect()
        assert gc.mem_alloc() - before < 256
