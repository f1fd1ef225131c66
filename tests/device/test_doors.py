"""Who keeps a place at the agent and for how long, and who has none any more. CPython only, like `test_pairing`."""

import socket

import pytest

from cradle_device import agent as agents
from cradle_device import system
from cradle_device.conversation import WORK
from cradle_device.links.tcp import TcpListener
from cradle_device.pairing import Code
from cradle_device.partnership import Partnerships
from cradle_protocol.errors import NO_STORE, NOT_ALLOWED, NOT_PAIRED
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import events
from cradle_protocol.wire.desktop_session import DesktopSession
from cradle_protocol.wire.handshake import Identity
from device.hands import DESKTOP, KEY, Failed, Hand, LittleStore, Pipe, clean, make_agent
from device.place import PLACE
from device.test_line import LineHand, Wire, filled
from protocol.wire.pairs import PlainPake

pytestmark = pytest.mark.timeout(60)

MINUTE = 60000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> "list[int]":
    """Milliseconds, turned by hand; they wrap as the agent's do."""
    now = [12345]
    monkeypatch.setattr(system, "now_ms", lambda: now[0] & 0x3FFFFFFF)
    return now


def desktop(agent, who: bytes, key: "bytes | None" = KEY) -> Hand:
    """Another desktop."""
    return Hand(agent, key=key, me=Identity(who, "desk " + who[:1].decode()))


def test_strangers_who_dribble_do_not_keep_their_places(clock: "list[int]") -> None:
    """One byte each 29 s is a sign of life, and no proof."""
    agent = make_agent("dribble", LittleStore(), sessions=1)
    hello = b"".join([bytes(part) for part in DesktopSession(DESKTOP, b"n" * 16, 4096).data_to_send()])
    strangers = []
    for _ in range(1 + agents._HALLWAY):
        pipe = Pipe()
        strangers.append((pipe, agent.attach(pipe)))
    assert agent.attach(Pipe()).closed
    for k in range(3):
        for pipe, _ in strangers:
            pipe.to_device += hello[k : k + 1]
        while agent.poll():
            pass
        clock[0] += 29000
    while agent.poll():
        pass
    assert all(service.closed for _, service in strangers)
    Hand(agent)
    agent.close()


def test_who_comes_as_the_last_one_goes_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent hears of both in one turn. Before that nobody is sent away: he would take it for no agent."""
    monkeypatch.setattr(agents, "_HALLWAY", 0)  # as on a board
    agent = make_agent("next", LittleStore(), sessions=1)
    listener = TcpListener("127.0.0.1", 0)
    agent.listen(listener)
    where = listener._socket.getsockname()
    hello = b"".join([bytes(part) for part in DesktopSession(DESKTOP, b"n" * 16, 4096).data_to_send()])

    def polled() -> None:
        for _ in range(20):
            agent.poll()

    with socket.create_connection(where, 5) as first:
        first.sendall(hello)
        polled()
        assert first.recv(4096)
        with socket.create_connection(where, 5) as second:
            second.sendall(hello)
            polled()
            second.settimeout(0.1)
            with pytest.raises(TimeoutError):
                second.recv(4096)
            first.close()
            polled()
            assert second.recv(4096)
    listener.close()
    agent.close()


def test_an_idle_serial_line_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "_HALLWAY", 0)  # as on a board
    agent = make_agent("idle", filled(), sessions=1)
    agent.attach(Wire())
    hand = Hand(agent)
    assert not hand.service.closed
    agent.close()


def test_a_desktop_that_vanished_from_the_line_gives_way(clock: "list[int]") -> None:
    agent = make_agent("vanished", filled(), sessions=1)
    wire = Wire()
    LineHand(agent, wire)
    clock[0] += 16 * MINUTE
    wire.to_desktop = b""
    while agent.poll():
        wire.to_desktop = b""
    assert not agent._services[0].closed  # the line stays, for the next desktop
    assert Hand(agent).events[-1][0] == events.READY
    agent.close()


def test_a_desktop_hears_that_its_request_is_worked_on(clock: "list[int]") -> None:
    """Nobody reads its PING meanwhile."""

    def works(talk, request, body, more):  # type: ignore[no-untyped-def]
        for _ in range(100):
            yield WORK
            clock[0] += 1000
        talk.session.reply(request, c.HASH_REPLY)

    agent = make_agent("works", LittleStore(), sessions=1)
    hand = Hand(agent)
    agent.handlers[c.HASH] = works
    hand.session.request(c.HASH, b"")
    heard = []
    for _ in range(110):
        for piece in hand.session.data_to_send():
            hand.pipe.to_device += bytes(piece)
        hand.service.poll()
        while hand.pipe.to_desktop:
            heard.append(hand.pipe.to_desktop[3])
            hand.pipe.to_desktop = hand.pipe.to_desktop[6 + int.from_bytes(hand.pipe.to_desktop[:3], "big") :]
    assert heard == [c.PONG] * 3 + [c.HASH_REPLY]
    agent.close()


def test_a_partnership_that_ended_ends_its_sessions() -> None:
    store = LittleStore()
    store.edit("secret", b"s")
    agent = make_agent("ended", store, sessions=4)
    hand = Hand(agent)
    hand.open()
    greeted = desktop(agent, DESKTOP.id, None)
    other = desktop(agent, b"O" * 16)
    agent.forget(DESKTOP.id)
    hand.run()
    assert hand.events[-1][:2] == (events.REFUSED, NOT_PAIRED) and hand.pipe.closed
    greeted.run()
    assert greeted.events[-1][:2] == (events.REFUSED, NOT_PAIRED) and greeted.pipe.closed
    assert [name for _, name in agent.partners()] == ["desk O"]
    assert other.open().objects == 1
    agent.close()


def test_one_code_makes_one_partner() -> None:
    """Also when two desktops have both shown that they know it before either confirms."""
    agent = make_agent("one", LittleStore(), pake=lambda code, *_: PlainPake(code), sessions=8)
    agent.allow_code("123456")
    found = []
    for who in (b"P" * 16, b"Q" * 16):
        hand = desktop(agent, who, None)
        hand.session.pair_by_code(PlainPake("123456"))
        for piece in hand.session.data_to_send():
            hand.pipe.to_device += bytes(piece)
        while hand.service.poll():
            pass
        found.append(hand)
    for hand in found:
        hand.run()
    assert found[0].events[-1][0] == events.PAIRED
    assert found[1].events[-1][:2] == (events.REFUSED, NOT_ALLOWED)
    assert [name for _, name in agent.partners()] == ["desk P"]
    agent.close()


def test_the_fifth_try_may_be_the_right_one() -> None:
    agent = make_agent("fifth", LittleStore(), pake=lambda code, *_: PlainPake(code), sessions=8)
    agent.allow_code("123456", tries=1)
    hand = desktop(agent, b"P" * 16, None)
    hand.session.pair_by_code(PlainPake("123456"))
    hand.run()
    assert hand.events[-1][0] == events.PAIRED
    agent.close()


def test_an_old_code_stays_closed(clock: "list[int]") -> None:
    """The agent's milliseconds wrap after twelve days; a code must not come back with them."""
    code = Code("123456", 0)
    assert not code.open()
    clock[0] += 1 << 30
    clock[0] -= 1
    assert not code.open()


def test_another_store_in_its_place_is_not_written_to() -> None:
    """A card is exchanged while a session has it open, and another desktop proves its key meanwhile."""
    store = LittleStore()
    agent = make_agent("exchanged", store, sessions=2)
    hand = Hand(agent)
    hand.open()
    store.store_id = lambda: b"T" * 16
    desktop(agent, b"O" * 16)
    for send in (lambda: hand.send([hand.create("x", 1, b"x")], {"x": b"x"}), hand.changes):
        with pytest.raises(Failed) as error:
            send()
        assert error.value.status == NO_STORE and "another store" in error.value.text
    assert "x" not in store.objects
    hand.close()
    assert hand.open().store_id == b"T" * 16
    agent.close()


def test_a_key_that_could_not_be_written_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither now nor, with a later one, at the next start; and one that could not be removed is still there."""
    path = clean(PLACE + "/nokey") + "/partners.log"
    partners = Partnerships(path)
    partners.add(b"1" * 16, KEY, "one")
    log = partners._log

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("sync_file", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(system, name, full)
            with pytest.raises(OSError, match="space"):
                partners.add(b"1" * 16, b"x" * 32, "one") if name == "sync_file" else partners.remove(b"1" * 16)
    assert partners._log is log and partners.key_of(b"1" * 16) == KEY
    partners.add(b"2" * 16, b"2" * 32, "two")
    partners.close()
    again = Partnerships(path)
    assert again.key_of(b"1" * 16) == KEY and again.key_of(b"2" * 16) == b"2" * 32
    again.close()


def test_what_has_no_place_is_told_how_long_to_wait() -> None:
    agent = make_agent("busy", LittleStore(), sessions=1)
    Hand(agent)
    second = desktop(agent, DESKTOP.id, None)
    second.session.prove(KEY)
    second.run()
    assert second.events[-1][0] == events.REFUSED and "5 seconds" in second.events[-1][2]
    assert c.PAIRED & second.session.peer.flags
    agent.close()
