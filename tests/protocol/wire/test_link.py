"""The link machine as a pair over a ladder of lines: every byte arrives once and in order, and little is wasted."""

from cradle_protocol.compat import MICROPYTHON
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.framing import stuffed_size
from cradle_protocol.wire.link import CONNECTED
from cradle_protocol.wire.parameters import LinkConfig
from protocol.wire.line import (
    INFO,
    WINDOW,
    Clean,
    Deaf,
    Dice,
    Doubled,
    Drop,
    Line,
    Lossy,
    Noise,
    Twice,
    count_timers,
    efficiency,
)
from protocol.wire.line import small_line as line

SIZE = 3000 if MICROPYTHON else 60000
DATA = Dice(1).bytes(SIZE)
BACK = Dice(2).bytes(SIZE // 3)


def carries(over, seconds=600):
    """Both ways at once, exactly once, in order."""
    over.connect().carry(DATA, BACK, seconds)
    assert bytes(over.device.got) == DATA and bytes(over.desktop.got) == BACK
    assert over.device.events == over.desktop.events == [CONNECTED]
    return over


def test_direct():
    carries(line())


def test_one_octet_at_a_time():
    carries(line(piece=1))


def test_delayed():
    for delay in (20000, 400000):
        carries(line(delay=delay))


def test_through_a_deep_buffer():
    """What the owner's system holds makes every answer late; polls must be matched all the same."""
    over = carries(line(ahead=2 * INFO * WINDOW))
    assert over.desktop.machine._trip._mean > (50 if MICROPYTHON else 300)


def test_ticks_that_wrap():
    carries(line((Noise(3000, 1), Noise(3000, 2)), start=0x3FFFFFFF - 700))


def test_corrupted():
    for seed in range(1 if MICROPYTHON else 4):
        carries(line((Noise(1000, seed), Noise(1000, seed + 50)), piece=7))


def test_very_noisy():
    """One octet in 250 is wrong: one frame in three is lost even when they have become small."""
    carries(line((Noise(250, 3), Noise(250, 4))))


def test_bursts_of_thirty():
    for seed in range(1 if MICROPYTHON else 3):
        carries(line((Lossy(4000, 30, seed), Lossy(4000, 30, seed + 9))))


def test_doubled_octets():
    carries(line((Doubled(2000, 5), Doubled(2000, 6))))


def test_small_windows():
    for window in (1, 2, 3, 5):
        carries(line((Noise(4000, 1), Noise(4000, 2)), window=window))


def test_unlike_ends():
    """Each end is held to what the other announced."""
    over = Line(LinkConfig(20, 3 * INFO), LinkConfig(4, INFO), (Noise(2000, 1), Noise(2000, 2)))
    longest = [0, 0]

    def tap(desktop, frame):
        longest[desktop] = max(longest[desktop], len(frame))

    over.tap = tap
    carries(over)
    assert max(longest) <= stuffed_size(c.HEAD_SIZE + INFO)
    assert over.desktop.machine._outgoing._window == 4


def test_no_memory_for_frames_out_of_order():
    """Fewer slots than window: nothing is kept behind a gap, REJ brings it all again."""
    over = Line(LinkConfig(WINDOW, INFO), LinkConfig(WINDOW, INFO, slots=2), (Noise(1000, 1), Noise(1000, 2)))
    rejects = [0]

    def tap(desktop, frame):
        rejects[0] += len(frame) > 4 and not desktop and frame[3] == c.REJ

    over.tap = tap
    carries(over)
    assert rejects[0] > 0


def test_frame_that_vanishes():
    """Each of the first frames, either way, is lost once: SREJ or a checkpoint brings it, no timer is needed."""
    for number in range(2, 4 if MICROPYTHON else 16):
        over = line((Drop(number), Clean())).connect()
        timers = count_timers(over.desktop.machine)
        taken = over.carry(DATA)
        assert bytes(over.device.got) == DATA
        assert timers == [] or number < 3
        assert taken < 1.2 * SIZE * 87


def test_lost_answers():
    """Every third frame of the receiver is lost; the sender loses no time by it."""
    over = line((Clean(), Drop(3, 3))).connect()
    taken = over.carry(DATA)
    assert bytes(over.device.got) == DATA and taken < 1.2 * SIZE * 87


def test_second_copies():
    """Whole frames that come twice change nothing."""
    carries(line((Twice(), Twice())))


def test_ce25_deaf_while_a_window_is_in_flight():
    """The board writes flash for 400 ms without a warning: quick recovery, no reset."""
    for start in (300000, 500000):
        over = line((Deaf(start, start + 400000), Clean()), window=WINDOW * 2).connect()
        taken = over.carry(DATA)
        assert bytes(over.device.got) == DATA and over.desktop.events == [CONNECTED]
        assert taken < SIZE * 87 * 1.05 + 1600000


def test_efficiency():
    """256 KiB that cannot be compressed, plain escapes: by octets of the line, so the machine's speed plays no part."""
    size = 5000 if MICROPYTHON else 262144
    data = Dice(7).bytes(size)
    for faults, least in ((None, 0.97), ((Noise(10000, 5), Noise(10000, 9)), 0.87)):
        config = (8, 256) if MICROPYTHON else (64, 2048)
        over = Line(LinkConfig(*config), LinkConfig(*config), faults).connect()
        reached = efficiency(size, over.carry(data))
        assert bytes(over.device.got) == data
        assert reached >= least - (0.06 if MICROPYTHON else 0), reached
