"""The session as a pair: handshake, requests, limits, refusals; whole and one byte at a time."""

from cradle_protocol import errors
from cradle_protocol.compat import MICROPYTHON
from cradle_protocol.errors import LocalError, RemoteError
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import events
from cradle_protocol.wire.device_session import DeviceSession
from cradle_protocol.wire.messages.session import Error, Hello
from cradle_protocol.wire.stream import message_header
from protocol.wire.checks import raises
from protocol.wire.pairs import DESKTOP, DEVICE, KEY, MAX, TYPES, Pair, PlainPake

STEPS = (0, 1, 7)
LONG = 2000 if MICROPYTHON else 50000


def test_proof_makes_both_ends_ready():
    for step in STEPS:
        pair = Pair(step=step).open()
        peer = pair.last(True)[1]
        assert (peer.id, peer.name, peer.agent, peer.types) == (DEVICE.id, "board", "cradle 1", TYPES)
        assert peer.flags == c.PAIRED | c.CABLE and peer.max_requests == 4
        assert pair.last(False)[1].id == DESKTOP.id


def test_request_and_reply_in_parts():
    for step in STEPS:
        pair = Pair(step=step).open()
        number = pair.desktop.request(c.APPLY, [b"one", b"two"], True)
        pair.run()
        assert pair.last(False) == (events.REQUEST, c.APPLY, number, b"onetwo", True)
        assert pair.desktop.request(c.APPLY, b"x" * 1500, False, number) == number
        pair.run()
        assert pair.last(False) == (events.REQUEST, c.APPLY, number, b"x" * 1500, False)
        pair.device.reply(number, c.APPLY_REPLY, b"ok", True)
        pair.device.reply(number, c.APPLY_REPLY, memoryview(b"done"))
        pair.run()
        assert pair.events[True][-2:] == [
            (events.REPLY, c.APPLY_REPLY, number, b"ok", True),
            (events.REPLY, c.APPLY_REPLY, number, b"done", False),
        ]
        assert pair.desktop.free_requests() == 4


def test_changes_end_closes_changes():
    pair = Pair().open()
    number = pair.desktop.request(c.CHANGES)
    pair.run()
    pair.device.reply(number, c.CHANGES_REPLY, b"records", True)
    pair.device.reply(number, c.CHANGES_END, b"")
    pair.run()
    assert pair.last(True) == (events.REPLY, c.CHANGES_END, number, b"", False)


def test_many_in_flight_and_no_more_than_agreed():
    pair = Pair().open()
    numbers = [pair.desktop.request(c.HASH) for _ in range(4)]
    assert raises(LocalError, errors.LIMIT, pair.desktop.request, c.HASH)
    pair.run()
    for number in reversed(numbers):
        pair.device.reply(number, c.HASH_REPLY)
    pair.run()
    assert sorted([event[2] for event in pair.events[True][-4:]]) == sorted(numbers)
    assert pair.desktop.free_requests() == 4


def test_request_numbers_come_round():
    pair = Pair().open()
    pair.desktop._request = c.REQUEST_LIMIT - 1
    numbers = [pair.desktop.request(c.HASH) for _ in range(3)]
    assert numbers == [c.REQUEST_LIMIT, 1, 2]


def test_failed_request_swallows_its_other_parts():
    pair = Pair().open()
    number = pair.desktop.request(c.APPLY, b"first", True)
    pair.run()
    pair.device.fail(number, errors.NO_ROOM, "no room for it")
    pair.desktop.request(c.APPLY, b"second", True, number)
    pair.run()
    assert pair.last(True) == (events.FAILED, number, errors.NO_ROOM, "no room for it")
    assert pair.desktop.free_requests() == 3
    seen = len(pair.events[False])
    pair.desktop.request(c.APPLY, b"", False, number)
    pair.run()
    assert len(pair.events[False]) == seen
    assert pair.desktop.free_requests() == pair.device.free_requests() == 4


def test_unknown_kind_is_answered_not_fatal():
    pair = Pair().open()
    number = pair.desktop.request(0x7E, b"?")
    pair.run()
    assert pair.last(True)[:3] == (events.FAILED, number, errors.UNKNOWN_KIND)


def test_notices_and_ping_go_both_ways():
    pair = Pair().open()
    pair.desktop.notify(c.NOTICE_STATUS, b"a")
    pair.device.notify(c.NOTICE_CHANGED, b"b")
    pair.desktop.ping()
    pair.run()
    assert pair.last(False) == (events.NOTICE, c.NOTICE_STATUS, b"a")
    assert pair.last(True) == (events.NOTICE, c.NOTICE_CHANGED, b"b")
    assert pair.crossed[False][-6:] == message_header(0, c.PONG, 0)


def test_unpaired_desktop_learns_only_that():
    pair = Pair(key=None, flags=0).run()
    assert pair.last(True)[1].flags == 0
    pair.desktop.prove(KEY)
    pair.run()
    assert pair.last(True)[:2] == (events.REFUSED, errors.NOT_PAIRED)
    assert pair.names(False) == [events.GREETED]


def test_unproven_peer_gets_nothing_done():
    pair = Pair().run()
    pair.device.receive_data(message_header(0, c.SYNC_OPEN, 77))
    pair.take(False)
    answer = b"".join(pair.device.data_to_send())
    assert answer[:6] == message_header(len(answer) - 6, c.ERROR, 77)
    assert Error.from_bytes(answer[6:]).status == errors.NOT_PAIRED


def test_wrong_key_is_refused():
    pair = Pair().run()
    pair.desktop.prove(b"w" * 32)
    pair.run()
    assert pair.last(True)[:2] == (events.REFUSED, errors.PROOF_FAILED)
    assert pair.last(False)[:2] == (events.REFUSED, errors.PROOF_FAILED)


def test_other_binding_is_refused():
    """A stranger who relays the bytes through a TLS of its own: the two ends see different certificates."""
    pair = Pair(bindings=(b"c" * 32, b"d" * 32)).run()
    pair.desktop.prove(KEY)
    pair.run()
    assert pair.last(True)[:2] == (events.REFUSED, errors.PROOF_FAILED)


def test_cable_pairing_then_proof_in_one_session():
    for step in STEPS:
        pair = Pair(key=None, step=step).run()
        pair.desktop.pair_by_cable(KEY)
        pair.run()
        assert pair.last(True)[0] == events.PAIRED and pair.last(True)[2] == KEY
        assert pair.key == KEY
        pair.desktop.prove(KEY)
        pair.run()
        assert pair.last(True)[0] == pair.last(False)[0] == events.READY


def test_cable_pairing_is_refused_off_a_cable():
    pair = Pair(key=None, flags=c.CODE).run()
    assert raises(LocalError, errors.NOT_ALLOWED, pair.desktop.pair_by_cable, KEY)
    pair.desktop.peer.flags |= c.CABLE  # a desktop that does not care
    pair.desktop.pair_by_cable(KEY)
    pair.run()
    assert pair.last(True)[:2] == (events.REFUSED, errors.NOT_ALLOWED)
    assert pair.key is None


def test_refused_pairing_leaves_the_old_key():
    pair = Pair()
    pair.run()
    decide = pair.decide
    pair.decide = lambda event: pair.device.refuse(errors.NO_ENTROPY) if event[0] == events.PAIRED else decide(event)
    pair.desktop.pair_by_cable(b"n" * 32)
    pair.run()
    assert pair.last(True)[:2] == (events.REFUSED, errors.NO_ENTROPY)
    pair.desktop.prove(KEY)
    pair.run()
    assert pair.last(True)[0] == events.READY


def test_code_pairing():
    for step in STEPS:
        pair = Pair(key=None, flags=c.CODE, step=step).run()
        pair.desktop.pair_by_code(PlainPake("123456"))
        pair.run()
        assert pair.last(True)[0] == events.PAIRED
        pair.desktop.prove(pair.last(True)[2])
        pair.run()
        assert pair.last(True)[0] == events.READY


def test_wrong_code_can_be_tried_again():
    pair = Pair(key=None, flags=c.CODE).run()
    pair.desktop.pair_by_code(PlainPake("654321"))
    pair.run()
    assert pair.last(True)[:2] == (events.REFUSED, errors.WRONG_CODE)
    assert pair.last(False)[:2] == (events.REFUSED, errors.WRONG_CODE)
    pair.desktop.pair_by_code(PlainPake("123456"))
    pair.run()
    assert pair.last(True)[0] == events.PAIRED
    assert pair.names(False).count(events.CODE_WANTED) == 2


def test_ce26_proof_played_back_is_refused():
    """A stranger without the key answers the desktop's proof by the desktop's own proof."""
    pair = Pair().run()
    pair.desktop.prove(KEY)
    mac = b"".join(pair.desktop.data_to_send())[6:]
    number = pair.desktop._request
    body = mac + b"\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    pair.desktop.receive_data(message_header(len(body), c.PROOF_REPLY, number) + body)
    pair.take(True)
    assert pair.last(True)[:2] == (events.REFUSED, errors.PROOF_FAILED)
    assert pair.desktop.next_event() is None


def test_ce26_pairing_relayed_through_another_certificate_is_refused():
    pair = Pair(key=None, flags=c.CODE, bindings=(b"stranger" * 4, b"device--" * 4)).run()
    pair.desktop.pair_by_code(PlainPake("123456"))
    pair.run()
    assert pair.last(True)[:2] == (events.REFUSED, errors.WRONG_CODE)
    assert events.PAIRED not in pair.names(False)


def test_ce26_proof_of_another_session_is_refused():
    """The desktop's proof, recorded, is no good once the device's nonce is another one."""
    first = Pair().open()
    recorded = first.crossed[True]
    device = DeviceSession(DEVICE, b"3" * 16, MAX)
    device.receive_data(recorded)
    assert device.next_event()[0] == events.GREETED
    device.greet(KEY, c.CABLE)
    assert device.next_event()[:2] == (events.REFUSED, errors.PROOF_FAILED)


def test_version_two_is_refused_politely():
    pair = Pair()
    pair.desktop.data_to_send()
    body = Hello(9, 2, DESKTOP.id, "new", b"1" * 16, 0, 4096).to_bytes() + b"fields of later versions"
    pair.device.receive_data(message_header(len(body), c.HELLO, 1) + body)
    pair.take(False)
    assert pair.last(False)[:2] == (events.REFUSED, errors.BAD_VERSION)
    pair.move(False)
    assert pair.last(True) == (events.REFUSED, errors.BAD_VERSION, "this end speaks versions 1 to 1")


def test_newer_desktop_that_still_speaks_ours_is_served():
    pair = Pair()
    pair.desktop.data_to_send()
    body = Hello(9, 1, DESKTOP.id, "new", b"1" * 16, 0, 4096).to_bytes() + b"fields of later versions"
    pair.desktop._hello = body
    pair.device.receive_data(message_header(len(body), c.HELLO, 1) + body)
    pair.take(False)
    pair.run()
    assert pair.last(True)[1].version == 1
    pair.desktop.prove(KEY)
    pair.run()
    assert pair.last(True)[0] == events.READY


def test_too_long_before_and_after_the_proof():
    pair = Pair().run()
    pair.device.receive_data(message_header(c.UNPROVEN_MESSAGE + 1, c.SYNC_OPEN, 9))
    assert raises(RemoteError, errors.TOO_LONG, pair.device.next_event)
    assert pair.device.next_event() is None
    assert b"".join(pair.device.data_to_send())[3:6] == b"\x0c\x00\x00"
    pair = Pair().open()
    assert raises(LocalError, errors.TOO_LONG, pair.desktop.request, c.APPLY, b"x" * (MAX + 1))
    pair.device.receive_data(message_header(MAX + 1, c.APPLY, 9))
    assert raises(RemoteError, errors.TOO_LONG, pair.device.next_event)


def test_messages_out_of_turn_end_the_session():
    pair = Pair()
    pair.device.receive_data(message_header(0, c.PROOF, 1))
    assert raises(RemoteError, errors.BAD_MESSAGE, pair.device.next_event)
    pair = Pair().open()
    pair.desktop.receive_data(message_header(0, c.HASH_REPLY, 99))
    assert raises(RemoteError, errors.BAD_MESSAGE, pair.desktop.next_event)
    pair.run()
    assert pair.last(False)[:2] == (events.REFUSED, errors.BAD_MESSAGE)


def test_close_tells_why():
    pair = Pair().open()
    pair.device.close(errors.BUSY, "try again in 10 seconds")
    pair.run()
    assert pair.last(True) == (events.REFUSED, errors.BUSY, "try again in 10 seconds")


def test_refused_after_the_proof():
    """BUSY is said to partners only, after they proved it."""
    pair = Pair().run()
    decide = pair.decide
    pair.decide = lambda event: pair.device.refuse(errors.BUSY, "10") if event[0] == events.READY else decide(event)
    pair.desktop.prove(KEY)
    pair.run()
    assert pair.last(True) == (events.REFUSED, errors.BUSY, "10")


def test_reading_into_the_buffer():
    """The path without a copy gives the same events, whatever a read brings."""
    for step in (1, 100, 100000):
        pair = Pair(max_message=LONG).open()
        number = pair.desktop.request(c.APPLY, [b"a" * LONG], True)
        pair.desktop.request(c.APPLY, b"b", True, number)
        pair.desktop.request(c.APPLY, [b"c" * (LONG - 3000)], False, number)
        data = b"".join([bytes(piece) for piece in pair.desktop.data_to_send()])
        at, bodies = 0, []
        while at < len(data):
            space = pair.device.receive_buffer()
            count = min(len(space), step, len(data) - at)
            assert count > 0
            space[:count] = data[at : at + count]
            pair.device.received(count)
            at += count
            event = pair.device.next_event()
            while event is not None:
                bodies.append(bytes(event[3]))
                event = pair.device.next_event()
        assert bodies == [b"a" * LONG, b"b", b"c" * (LONG - 3000)]
