"""A stream of rows on the device: append, flush, segments, cursors, gaps, clocks; its session. On both interpreters."""

# MicroPython heap: 8m, as `test_agent`

import json
import time

from cradle_device import system
from cradle_device.agent import Agent
from cradle_device.log import Log
from cradle_device.readings import Readings
from cradle_device.segments import Segments
from cradle_protocol.errors import CHANGED, LIMIT, NO_TYPE, LocalError
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages import stream as m
from device.hands import SMALL, Failed
from device.place import PLACE
from device.rows import NOBODY, NOW, OTHER, Clock, Far, clean, recorder

SET = 1735689600000  # milliseconds: a clock that shows less was never set


def number_of(agent):
    return agent.streams["readings"].segments.stored()


def record(readings, first, end):
    """Append rows that hold their own numbers."""
    for k in range(first, end):
        readings.append({"n": k})


def known_to_two(agent):
    """Two desktops that have fetched before any row: none goes as long as one of them lacks it."""
    one, two = Far(), Far(OTHER)
    one.fetch(agent)
    two.fetch(agent)
    return one, two


def test_rows_arrive_once_and_in_order():
    agent, readings = recorder("once")
    far = Far()
    assert far.fetch(agent) == []
    for k in range(300):
        assert readings.append({"n": k, "t": k / 2}) == k
    assert far.fetch(agent, 700) == list(range(300)) and far.gaps == []
    assert [far.rows[k][1] for k in range(300)] == [{"n": k, "t": k / 2} for k in range(300)]
    assert far.fetch(agent) == []
    assert readings.append({"n": 300}) == 300
    assert far.fetch(agent) == [300]
    agent.close()


def test_a_row_is_acknowledged_when_it_is_flushed():
    agent, readings = recorder("acknowledged", size=200)
    readings.append({"n": 0})
    assert readings.acknowledged == 0
    for k in range(1, 20):
        readings.append({"n": k, "text": "x" * 20})
    assert 15 < readings.acknowledged < 20
    assert readings.flush() and readings.acknowledged == 20
    agent.close()


def test_polling_flushes_what_has_waited():
    """So does the next row, where nobody polls."""
    agent, readings = recorder("patience", seconds=0.02)
    readings.append({})
    agent.poll()
    assert readings.acknowledged == 0
    time.sleep(0.03)
    agent.poll()
    assert readings.acknowledged == 1
    readings.append({})
    time.sleep(0.03)
    readings.append({})
    assert readings.acknowledged == 3
    agent.close()
    agent, readings = recorder("patience", False, seconds=30)
    readings.append({})
    agent.poll()
    assert readings.acknowledged == 3
    agent.close()


def test_rows_survive_a_restart_and_numbers_go_on():
    agent, readings = recorder("restart")
    record(readings, 0, 50)
    agent.close()
    agent, readings = recorder("restart", False)
    assert readings.append({"n": 50}) == 50
    far = Far()
    assert far.fetch(agent) == list(range(51)) and [far.rows[k][1]["n"] for k in range(51)] == list(range(51))
    agent.close()


def test_ce20_two_desktops_have_each_row_once_and_segments_go_when_both_have_them():
    agent, readings = recorder("two", segment=1024, bound=1 << 20)
    one, two = known_to_two(agent)
    record(readings, 0, 100)
    one.fetch(agent)
    assert readings.segments.first == 0, "two has nothing yet"
    record(readings, 100, 200)
    two.fetch(agent)
    assert 50 < readings.segments.first <= 100, "one still wants those from 100 on"
    one.fetch(agent)
    assert readings.segments.first > 150
    for far in (one, two):
        assert far.order == list(range(200)) and far.gaps == []
    agent.close()


def test_at_high_water_the_oldest_go_and_are_counted():
    agent, readings = recorder("water", segment=1024, bound=4096)
    one, two = known_to_two(agent)
    record(readings, 0, 60)
    one.fetch(agent)
    for k in range(60, 400):
        readings.append({"n": k})
        assert number_of(agent) <= 4096
    for far, begun in ((one, 60), (two, 0)):
        far.fetch(agent)
        first = far.gaps[0][0] + far.gaps[0][1]
        assert far.gaps == [(begun, first - begun)] and 60 < first <= readings.segments.first
        assert far.order == list(range(begun)) + list(range(first, 400))
    agent.close()


def test_gaps_outlast_a_restart():
    agent, readings = recorder("gaps", segment=1024, bound=2048)
    record(readings, 0, 200)
    agent.close()
    agent, readings = recorder("gaps", False, segment=1024, bound=2048)
    far = Far()
    rows = far.fetch(agent)
    assert far.gaps == [(0, rows[0])] and rows == list(range(rows[0], 200)) and rows[0] > 50
    agent.close()


def test_a_desktop_that_comes_later_begins_with_what_is_there():
    """What went because all others had it is no gap for it."""
    agent, readings = recorder("later", segment=1024, bound=1 << 20)
    one, two = Far(), Far(OTHER)
    record(readings, 0, 100)
    one.fetch(agent)
    assert readings.segments.first > 50
    rows = two.fetch(agent)
    assert two.gaps == [] and rows == list(range(readings.segments.first, 100))
    agent.close()


def test_an_ended_partnership_keeps_no_rows():
    agent, readings = recorder("ended", segment=1024, bound=1 << 20)
    one, _ = known_to_two(agent)
    record(readings, 0, 100)
    one.fetch(agent)
    assert readings.segments.first == 0
    agent.forget(OTHER.id)
    one.fetch(agent)
    one.join(agent).open()
    one.ack()
    assert readings.segments.first > 50
    agent.close()
    agent, readings = recorder("ended", False, segment=1024, bound=1 << 20)
    third = Far(OTHER)
    third.fetch(agent)
    assert third.gaps == []
    agent.close()


def test_a_desktop_that_leaves_holds_no_rows():
    agent, readings = recorder("left", segment=1024, bound=1 << 20)
    one, two = Far(), Far(OTHER)
    two.leave(agent)
    assert readings.cursors.rows == {}
    one.fetch(agent)
    two.fetch(agent)
    record(readings, 0, 100)
    one.fetch(agent)
    assert readings.segments.first == 0
    two.leave(agent)
    assert readings.segments.first > 50 and list(readings.cursors.rows) == [one.me.id]
    agent.close()


def test_a_partnership_that_ended_without_the_program_holds_no_rows():
    agent, readings = recorder("without", segment=1024, bound=1 << 20)
    one, _ = known_to_two(agent)
    agent.partnerships.remove(OTHER.id)  # and the power goes before the stream hears of it
    agent.close()
    agent, readings = recorder("without", False, segment=1024, bound=1 << 20)
    assert list(readings.cursors.rows) == [one.me.id]
    agent.close()


def test_nothing_is_freed_before_it_is_acknowledged():
    agent, readings = recorder("unsafe", segment=1024, bound=1 << 20)
    record(readings, 0, 100)
    far = Far().join(agent)
    far.open()
    far.read()
    far.hand.service.close("the cable was pulled")
    assert readings.segments.first == 0
    again = Far()
    assert again.fetch(agent) == list(range(100))
    agent.close()


def test_a_preview_changes_nothing():
    agent, readings = recorder("preview")
    readings.append({"n": 0})
    far = Far().join(agent)
    reply = far.open(preview=True)
    assert (reply.first, reply.end) == (0, 0) and readings.cursors.rows == {} and readings.cursors.pairs == {}
    agent.close()


def test_a_device_that_was_set_back_begins_another_stream():
    agent, readings = recorder("back")
    record(readings, 0, 20)
    far = Far()
    far.fetch(agent)
    before = far.stream
    readings.append({"n": 20})
    far.fetch(agent)
    agent.close()
    for k, expected in ((10, 10), (25, 25)):  # its card was copied when it had fewer rows; then it went on
        agent, readings = recorder("back")
        readings.cursors.stream = before
        for n in range(k):
            readings.append({"other": n})
        meets = Far()
        meets.stream, meets.position, meets.mark = before, far.position, far.mark
        assert meets.fetch(agent) == list(range(expected)) and meets.stream != before and meets.gaps == []
        assert meets.fetch(agent) == []
        agent.close()


def test_a_copied_card_is_a_stream_of_its_own():
    """And one whose notes are lost. What had gone by then is no gap for those who meet it."""
    path = PLACE + "/rows-card/readings/cursors.log"
    agent, readings = recorder("card", segment=1024, bound=1 << 20)
    record(readings, 0, 100)
    Far().fetch(agent)
    streams = [readings.cursors.stream]
    agent.close()
    for hardware in (b"board 1", b"board 1", b"board 2", None):
        if hardware is None:
            system.remove(path)
        agent = Agent(PLACE + "/rows-card", [], "logger", SMALL, hardware=hardware or b"")
        readings = Readings(agent, segment=1024, bound=1 << 20, clock=Clock())
        streams.append(readings.cursors.stream)
        far = Far(OTHER)
        assert far.fetch(agent) == list(range(readings.segments.first, 100)) and far.gaps == []
        agent.close()
    assert streams[0] == streams[1] == streams[2] != streams[3] != streams[4]


def test_times_and_eras():
    """Each start of the program and each setting of its clock is an era; a pair says what its clock was worth."""
    clock = Clock(946684800000)  # 2000-01-01: nobody has set it
    agent, readings = recorder("eras", clock=clock)
    readings.append({"n": 0})
    clock.now = NOW  # the network said what time it is
    readings.append({"n": 1})
    agent.close()
    clock.now = 946684800000
    agent, readings = recorder("eras", False, clock=clock)
    readings.append({"n": 2})
    far = Far()
    far.fetch(agent, true=NOW + 500000)
    eras = [far.rows[k][2] for k in range(3)]
    assert eras[0] < eras[1] < eras[2] and [far.rows[k][0] for k in range(3)] == [946684800000, NOW, 946684800000]
    device, true = far.pairs[eras[0]]
    assert true == NOW and 0 <= device - 946684800000 < 60000, "by the counter of milliseconds"
    assert eras[1] not in far.pairs
    device, true = far.pairs[eras[2]]
    assert true - device == NOW + 500000 - 946684800000
    agent.close()


def test_a_clock_that_is_set_after_a_session_loses_its_pair():
    clock = Clock(946684800000)
    agent, readings = recorder("set", clock=clock)
    far = Far()
    far.fetch(agent)
    clock.now = NOW
    readings.append({"n": 0})
    far.fetch(agent, true=NOW + 3000)
    device, true = far.pairs[far.rows[0][2]]
    assert true - device == 3000
    agent.close()


def test_an_era_that_only_desktops_saw_is_not_used_again():
    """What a clock was worth before a restart says nothing of the clock after it."""
    clock = Clock(946684800000)
    agent, _ = recorder("seen", clock=clock)
    far = Far()
    far.fetch(agent, true=NOW)
    agent.close()
    for _ in range(2):  # the second time, its clock began anew
        agent, readings = recorder("seen", False, clock=clock)
        readings.append({})
        agent.close()
    agent, readings = recorder("seen", False, clock=clock)
    far.fetch(agent, true=NOW + 10**9)
    assert len(far.rows) == 2 and far.pairs == {}
    agent.close()


def test_rows_that_cannot_be():
    agent, readings = recorder("cannot")
    try:
        readings.append({"text": "x" * 900})
        raise AssertionError("it is too long")
    except LocalError as error:
        assert error.code == LIMIT
    assert readings.append({"t": float("nan"), "u": float("inf"), "v": 1.5, "w": "ü"}) == 0
    readings.append({"text": "x" * 700})
    far = Far()
    far.fetch(agent)
    assert far.rows[0][1] == {"t": None, "u": None, "v": 1.5, "w": "ü"}
    assert far.rows[1][1] == {"text": "x" * 700}
    agent.close()


def test_what_is_refused():
    agent, _ = recorder("refused")
    far = Far().join(agent)
    far.open()
    for kind, body, status in (
        (c.STREAM_READ, m.StreamRead("readings", b"x" * 16, 0, 100), CHANGED),
        (c.STREAM_ACK, m.StreamAck("readings", b"x" * 16, 0), CHANGED),
        (c.STREAM_READ, m.StreamRead("files", far.stream, 0, 100), NO_TYPE),
        (c.STREAM_OPEN, m.StreamOpen(0, "other", NOBODY, 0, 0, 0), NO_TYPE),
    ):
        try:
            far.hand.ask(kind, body.to_bytes())
            raise AssertionError("it is refused")
        except Failed as error:
            assert error.status == status
    agent.close()


def test_a_damaged_segment_is_a_counted_gap():
    agent, readings = recorder("damaged", segment=1024, bound=1 << 20)
    record(readings, 0, 100)
    agent.close()
    import os

    folder = PLACE + "/rows-damaged/readings/rows/"
    names = sorted(os.listdir(folder))
    with open(folder + names[1], "r+b") as file:
        file.seek(500)
        file.write(b"\xff" * 9)
    agent, readings = recorder("damaged", False, segment=1024, bound=1 << 20)
    far = Far()
    rows = far.fetch(agent)
    (first, count), after = far.gaps[0], int(names[2][:8], 16)
    assert len(far.gaps) == 1 and first + count == after
    assert rows == list(range(first)) + list(range(after, 100))
    agent.close()


def test_the_program_is_told_of_a_stream_in_the_first_answer():
    agent, readings = recorder("facts")
    readings.append({"n": 0})
    readings.flush()
    hand = Far().join(agent).hand
    assert [t[:2] for t in hand.session.peer.types] == [("readings", readings.cursors.stream)]
    assert agent.types()[0][3] == 1 and json.dumps({}) == "{}" and system.exists(agent.state + "/readings/rows")
    agent.close()


def test_reading_looks_at_each_row_about_once():
    """A row that does not fit into a part is read again for the next one, without those before it."""
    agent, readings = recorder("once-read", segment=1 << 16)
    record(readings, 0, 400)
    looks, real = [0], Log.sound

    def sound(log, offset):
        looks[0] += 1
        return real(log, offset)

    Log.sound = sound
    try:
        assert len(Far().fetch(agent, 300)) == 400
    finally:
        Log.sound = real
    assert looks[0] < 600
    agent.close()


def test_what_a_failed_write_left_is_not_read_for_rows_that_came_later():
    """Rows 10 and 11 were written and their flush failed; so they were to begin a segment, and the power went."""
    folder = clean(PLACE + "/rows-left")
    system.make_directory(folder)
    segments = Segments(folder, 1024, 4096)
    segments.add([(n, 1, b"rows..%d" % n) for n in range(10)])
    segments.close()
    for name, first in (("00000000", 10), ("0000000a", 0)):
        log = Log(folder + "/" + name + ".log")
        for n in range(first, first and 12):
            log.append(1, b"left..%d" % n)
        log.flush()
        log.close()
    segments = Segments(folder, 1024, 4096)
    assert segments.next == 10
    segments.add([(n, 2, b"rows..%d" % n) for n in range(10, 14)])
    found = [bytes(segments.row(n)[2]) for n in range(14)]
    assert found == [b"rows..%d" % n for n in range(14)] and segments.row(14) is None
    segments.close()
