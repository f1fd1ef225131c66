"""What a link machine does besides carrying bytes: silence on demand, console text, ends that vanish; CE-23, CE-24."""

from cradle_protocol.compat import MICROPYTHON
from cradle_protocol.errors import LocalError
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import state
from cradle_protocol.wire.link import CONNECTED, LOST, RESET, LinkMachine
from cradle_protocol.wire.link_desktop import DesktopLink
from cradle_protocol.wire.parameters import LinkConfig, Parameters
from protocol.wire.line import INFO, WINDOW, Clean, Dice, Drop, Line, Noise, Printing
from protocol.wire.line import small_line as line

SIZE = 2500 if MICROPYTHON else 60000
DATA = Dice(1).bytes(SIZE)
BACK = Dice(2).bytes(SIZE // 3)


def test_receiver_that_takes_nothing_closes_the_window():
    over = line().connect()
    over.device.hold = True
    over.desktop.source = memoryview(DATA)
    over.wait(20000000)
    assert over.desktop.events == [CONNECTED]
    assert over.desktop.machine._outgoing.unacknowledged() == WINDOW
    over.device.hold = False
    over.run(lambda: len(over.device.got) == len(DATA))
    assert bytes(over.device.got) == DATA


def test_drain_before_a_flash_write():
    over = line((Noise(4000, 1), Noise(4000, 2)), ahead=1000).connect()
    over.desktop.source = memoryview(DATA)
    for _ in range(3):
        over.wait(300000)
        over.device.hold = True
        over.device.machine.set_busy(True, over.ms())
        over.run(over.device.machine.drained, 5)
        octets = over.down.octets
        over.wait(400000)
        assert over.down.octets - octets <= 20, "the line must stay silent but for a poll"
        over.device.hold = False
        over.device.machine.set_busy(False, over.ms())
    over.run(lambda: len(over.device.got) == len(DATA))
    assert bytes(over.device.got) == DATA and over.desktop.events == [CONNECTED]


def test_busy_for_long_is_not_lost():
    over = line().connect()
    over.device.machine.set_busy(True, over.ms())
    over.run(over.device.machine.drained)
    over.desktop.source = memoryview(b"after that")
    over.wait(60000000)
    assert over.device.got == b""
    over.device.machine.set_busy(False, over.ms())
    over.run(lambda: over.device.got == b"after that")


def test_console_text_between_frames():
    printing = Printing(5)
    over = line((Clean(), printing), piece=3).connect()
    over.carry(DATA, BACK)
    assert bytes(over.device.got) == DATA and bytes(over.desktop.got) == BACK
    assert printing.printed and over.desktop.console == printing.printed


def test_console_text_in_a_frame_of_its_own():
    """Ours sends none: what a board prints goes between the frames. Another agent may have no other way."""
    over = line().connect()
    machine, frame = over.device.machine, bytearray(80)
    head = bytes(machine._head[:1]) + bytes((machine._tag, c.UI))
    size = machine._framer.frame(head, b"no free port for it\n", frame)
    over.desktop.take(bytes(frame[:size]), over.ms())
    over.run(lambda: over.desktop.console == b"no free port for it\n")


def test_cut_at_every_frame():
    """After any number of frames the line is cut: both ends find out, and the next connection is a fresh one."""
    for number in range(1, 4 if MICROPYTHON else 40):
        over = line()
        seen = [0]

        def tap(desktop, frame):
            seen[0] += 1  # noqa: B023
            over.cut = over.cut or seen[0] > number  # noqa: B023

        over.tap = tap
        over.desktop.machine.connect(0)
        over.desktop.source, over.device.source = memoryview(DATA), memoryview(BACK)
        over.run(lambda: LOST in over.desktop.events, 60)  # noqa: B023
        assert DATA[: len(over.device.got)] == bytes(over.device.got)
        over.cut, over.tap = False, None
        over.desktop.source = over.device.source = memoryview(b"")
        over.desktop.events[:] = []
        over.connect()
        over.device.got[:] = b""
        over.desktop.got[:] = b""
        over.carry(b"again", b"yes")
        assert over.device.got == b"again" and over.desktop.got == b"yes"


def test_close_is_heard():
    for closer in (0, 1):
        over = line().connect()
        ends = [over.desktop, over.device]
        ends[closer].machine.disconnect(over.ms())
        over.run(lambda: all(LOST in end.events for end in ends), 5)  # noqa: B023
        assert ends[closer].reason == "closed" and "other end" in ends[1 - closer].reason
        over.desktop.events[:] = []
        over.connect()


def test_no_answer():
    over = line()
    over.cut = True
    over.desktop.machine.connect(0)
    over.run(lambda: LOST in over.desktop.events, 10)
    assert over.desktop.reason == "no answer from the other end"


def test_only_sabme_before_ua():
    over = line()
    frames = []
    over.tap = lambda desktop, frame: frames.append(frame)
    over.cut = True
    over.desktop.machine.connect(0)
    assert over.desktop.machine.send(b"too early") == 0 and over.desktop.machine.room() == 0
    over.run(lambda: LOST in over.desktop.events, 10)
    assert frames and all(frame[3] == c.SABME or frame[4] == c.SABME for frame in frames)


def test_agent_that_was_restarted():
    """It knows nothing of the connection: DM, at once."""
    over = line().connect()
    over.device.machine = LinkMachine(False, LinkConfig(WINDOW, INFO))
    over.desktop.source = memoryview(b"hello?")
    over.run(lambda: LOST in over.desktop.events, 1)
    assert "restarted" in over.desktop.reason


def test_desktop_that_was_restarted():
    over = line().connect()
    over.desktop.machine = DesktopLink(LinkConfig(WINDOW, INFO, tag=99))
    over.desktop.events[:] = []
    over.connect()
    assert over.device.events == [CONNECTED, RESET, CONNECTED]
    over.carry(b"new", b"born")
    assert over.device.got == b"new"


def test_stranger_who_opens_again_and_again():
    """Events that nobody takes do not pile up; what is left says that the connection is a new one."""
    device = LinkMachine(False, LinkConfig(4, 64))
    for tag in range(40):
        desktop = DesktopLink(LinkConfig(4, 64, tag=tag))
        desktop.connect(0)
        device.receive_data(bytes(desktop.data_to_send(0)), 0)
        device.absorb()
    events = []
    event = device.next_event()
    while event is not None:
        events.append(event[0])
        event = device.next_event()
    assert len(events) <= 8 and events[-2:] == [RESET, CONNECTED] and device.connection == 40


def test_lost_ua_is_no_reset():
    over = line((Clean(), Drop(1)))
    over.connect().carry(DATA)
    assert over.device.events == [CONNECTED] and bytes(over.device.got) == DATA


def test_ce24_frames_of_an_earlier_connection():
    """They are still in some buffer when the next connection is up: dropped by their tag, whatever they say."""
    over = line()
    stale = {True: [], False: []}
    over.tap = lambda desktop, frame: stale[desktop].append(frame)
    over.connect().carry(DATA[:1000], BACK[:800])
    over.desktop.machine.disconnect(over.ms())
    over.run(lambda: LOST in over.desktop.events)
    over.tap = None
    over.desktop.events[:], over.device.events[:] = [], []
    over.desktop.machine.connect(over.ms())
    for frame in stale[False]:  # UA, data, acknowledgements, all of them whole
        over.desktop.take(frame, over.ms())
    over.run(lambda: over.desktop.events == [CONNECTED])
    over.device.got[:] = b""
    over.desktop.got[:] = b""
    for frame in stale[True][1:]:
        over.device.take(frame, over.ms())
    for frame in stale[False]:
        over.desktop.take(frame, over.ms())
    over.carry(DATA, BACK)
    assert bytes(over.device.got) == DATA and bytes(over.desktop.got) == BACK
    assert over.desktop.events == over.device.events == [CONNECTED]


class Repl(Clean):
    """A board whose agent dies after so many octets have come: from then on they go to a MicroPython prompt.

    It echoes what can be printed, as readline does, and remembers what would have switched or run something.
    """

    DEATH = b"Traceback (most recent call last):\r\nMemoryError: \r\nMicroPython v1.28 on board\r\n>>> "

    def __init__(self, after):
        self.left, self.typed, self.pending = after, b"", b""

    def pass_on(self, data, now):
        if self.left > len(data):
            self.left -= len(data)
            return data
        alive, self.left = data[: self.left], 0
        if alive:
            self.pending += self.DEATH
        typed = data[len(alive) :]
        self.typed += typed
        self.pending += bytes([octet for octet in typed if 32 <= octet < 127])
        return alive


class Dying(Clean):
    """The other direction: what the device's program and then its prompt print. The frame on the line is cut short."""

    def __init__(self, repl):
        self.repl, self.dead = repl, False

    def pass_on(self, data, now):
        if not self.repl.pending and not self.dead:
            return data
        text, self.repl.pending = self.repl.pending, b""
        data, self.dead = (b"" if self.dead else data[: len(data) // 2]), True
        return data + text


PROGRAM = b"\x03\x03\x01import os\rfor f in os.listdir(): os.remove(f)\r\x04\x02\x05print(1)\r\n>>> \x04" * 20


def test_ce23_agent_dies_in_a_frame():
    """The rest of the frame and all that follows reaches a prompt: nothing in it runs, and the desktop falls silent."""
    for after in range(60, 90 if MICROPYTHON else 1200, 9):
        repl = Repl(after)
        over = Line(LinkConfig(WINDOW, INFO), LinkConfig(WINDOW, INFO, repl=True), (repl, Dying(repl)))
        over.connect()
        over.desktop.source = memoryview(PROGRAM)
        over.run(lambda: over.desktop.events[-1:] == [LOST], 40)  # noqa: B023
        for octet in (1, 2, 3, 4, 5, 10, 13):
            assert octet not in repl.typed
        written = over.down.octets
        over.desktop.source = memoryview(b"")
        assert over.desktop.machine.data_to_send(over.ms()) == b""
        assert over.desktop.machine.next_timer() is None and over.down.octets == written


def test_ce23_prompt_is_link_lost_at_once():
    """Between frames, in one piece or octet by octet: the first prompt is enough."""
    for piece in (1, 100):
        over = Line(LinkConfig(WINDOW, INFO), LinkConfig(WINDOW, INFO, repl=True)).connect()
        text = Repl.DEATH
        for at in range(0, len(text), piece):
            over.desktop.take(text[at : at + piece], over.ms())
        assert over.desktop.events[-1] == LOST and "prompt" in over.desktop.reason
        assert over.desktop.console == text


def test_ce23_prompt_while_opening_names_the_cause():
    over = line()
    over.cut = True
    over.desktop.machine.connect(0)
    over.desktop.take(b"MicroPython v1.28\r\n>>> ", 0)
    over.run(lambda: LOST in over.desktop.events, 10)
    assert "Python prompt" in over.desktop.reason


def test_prompt_inside_data_is_data():
    over = line((Noise(700, 1), Noise(700, 2))).connect()
    text = b"\r\n>>> print(1)\r\n>>> " * 300
    over.carry(b"", text)
    assert bytes(over.desktop.got) == text


def test_escapes_follow_what_the_port_is():
    for repl in (False, True):
        over = Line(LinkConfig(WINDOW, INFO), LinkConfig(WINDOW, INFO, repl=repl))
        frames = []
        over.tap = lambda desktop, frame: frames.append(frame) if desktop else None  # noqa: B023
        over.connect().carry(bytes(range(256)) * 8)
        assert not [octet for octet in frames[0] if octet in (1, 2, 3, 4, 5, 10, 13)]
        later = b"".join(frames[1:])
        assert (13 in later) == (10 in later) == (not repl)


def test_parameters_that_make_no_sense():
    good = Parameters(5, 300, False)
    read = Parameters.read(good.to_bytes() + b"\x63\x02ab")
    assert (read.window, read.max_info, read.repl) == (5, 300, False)
    assert Parameters.read(b"\x02\x01\x05\x03\x02\x01\x00").repl is True
    assert Parameters.read(b"\x02\x01\xff\x03\x02\x01\x00").window == c.WINDOW_LIMIT
    for info in (b"", b"\x02", b"\x02\x05\x01", b"\x02\x01\x00\x03\x02\x01\x00", b"\x02\x01\x05\x03\x02\x00\x01"):
        assert Parameters.read(info) is None


def test_table_names_methods_and_states():
    for (_, before, _), (after, method) in state.TABLE.items():
        assert hasattr(DesktopLink, method) or method in DesktopLink.REASONS
        assert before < len(state.STATES) and after < len(state.STATES)


def test_opening_twice_is_refused():
    over = line().connect()
    try:
        over.desktop.machine.connect(0)
    except LocalError:
        return
    raise AssertionError
