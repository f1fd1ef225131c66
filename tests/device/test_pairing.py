"""Who may come in: identity, keys, codes, one agent to a state directory. CPython only, like `test_agent`."""

import os
import stat

import pytest

from cradle_device import system
from cradle_device.agent import Agent
from cradle_device.partnership import MAX_PARTNERS, Partnerships
from cradle_protocol.errors import BUSY, LIMIT, LocalError
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import events
from device.hands import DESKTOP, KEY, Hand, LittleStore, clean, make_agent
from device.place import PLACE
from protocol.wire.pairs import PlainPake

pytestmark = pytest.mark.timeout(60)


def test_identity_and_keys_are_remembered_and_private() -> None:
    folder = clean(PLACE + "/partners")
    path = folder + "/partners.log"
    first = Partnerships(path)
    first.add(b"1" * 16, KEY, "büro")
    first.add(b"2" * 16, b"2" * 32, "home")
    first.add(b"1" * 16, b"n" * 32, "büro")
    first.remove(b"2" * 16)
    device_id = first.device_id
    first.close()
    again = Partnerships(path)
    assert again.device_id == device_id != bytes(16)
    assert again.partners() == [(b"1" * 16, "büro")] and again.key_of(b"1" * 16) == b"n" * 32
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with open(path, "rb") as file:
        assert b"2" * 32 not in file.read()  # a key that was given up is not kept on flash
    again.close()


def test_nobody_else_looks_into_the_state_directory() -> None:
    """Whatever the umask, and though the keys came back from a copy that lost its modes."""
    folder = PLACE + "/umask/state"
    before = os.umask(0)
    try:
        agent = Agent(folder, [LittleStore()], "board")
        agent.close()
        os.chmod(folder + "/partners.log", 0o644)
        Partnerships(folder + "/partners.log").close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(folder + "/partners.log").st_mode) == 0o600


def test_a_torn_key_log_keeps_what_was_whole() -> None:
    folder = clean(PLACE + "/torn")
    path = folder + "/partners.log"
    first = Partnerships(path)
    first.add(b"1" * 16, KEY, "one")
    size = os.stat(path).st_size
    first.add(b"2" * 16, KEY, "two")
    first.close()
    with open(path, "rb") as file:
        data = file.read()
    for length in range(size, len(data)):
        with open(path, "wb") as file:
            file.write(data[:length])
        cut = Partnerships(path)
        assert cut.partners() == [(b"1" * 16, "one")] and cut.device_id == first.device_id
        cut.close()


def test_partners_are_bounded() -> None:
    folder = clean(PLACE + "/many")
    many = Partnerships(folder + "/partners.log")
    for k in range(MAX_PARTNERS):
        many.add(bytes([k]) * 16, KEY, "desk")
    with pytest.raises(LocalError) as error:
        many.add(b"\xff" * 16, KEY, "one more")
    assert error.value.code == LIMIT and "unpair" in error.value.text
    many.close()


def test_a_second_agent_on_one_state_directory_is_told() -> None:
    agent = make_agent("twice", LittleStore())
    with pytest.raises(LocalError) as error:
        make_agent("twice", LittleStore(), False)
    assert error.value.code == BUSY and "another agent" in error.value.text
    agent.close()
    make_agent("twice", LittleStore(), False).close()


def test_unpairing_ends_the_session_and_the_partnership() -> None:
    agent = make_agent("unpair", LittleStore())
    hand = Hand(agent)
    hand.ask(c.UNPAIR, b"")
    hand.run()
    assert agent.partners() == [] and hand.pipe.closed
    agent.close()


class OnNetwork(Hand):
    """A desktop on a link that is no cable."""

    def __init__(self, agent):
        super().__init__(agent, key=None)


def on_network(agent):
    from device import hands

    hands.Pipe.cable = False
    try:
        return OnNetwork(agent)
    finally:
        hands.Pipe.cable = True


def test_a_code_pairs_five_tries_long() -> None:
    agent = make_agent("code", LittleStore(), pake=lambda code, desktop, one, other: PlainPake(code), sessions=8)
    agent.allow_code("123456")
    for k in range(5):
        hand = on_network(agent)
        assert hand.session.peer.flags & c.CODE and not hand.session.peer.flags & c.CABLE
        hand.session.pair_by_code(PlainPake("654321"))
        hand.run()
        assert hand.events[-1][0] == events.REFUSED, k
        hand.service.close("")
    assert not agent.code_open() and agent.partners() == []
    agent.allow_code("123456")
    hand = on_network(agent)
    hand.session.pair_by_code(PlainPake("123456"))
    hand.run()
    assert hand.events[-1][0] == events.PAIRED and agent.partners() == [(DESKTOP.id, "desk")]
    assert not agent.code_open()
    agent.close()


def test_a_code_grows_old() -> None:
    agent = make_agent("old", LittleStore(), pake=lambda *args: PlainPake(args[0]))
    agent.allow_code("123456", 0)
    hand = on_network(agent)
    assert not hand.session.peer.flags & c.CODE
    agent.close()


def test_without_entropy_nobody_pairs() -> None:
    real = system.random_bytes
    agent = make_agent("entropy", LittleStore())

    def none(count: int) -> bytes:
        raise LocalError(19)

    system.random_bytes = none
    try:
        hand = Hand(agent, key=None)
        hand.session.pair_by_cable(KEY)
        hand.run()
        assert hand.events[-1][0] == events.REFUSED and agent.partners() == []
    finally:
        system.random_bytes = real
    agent.close()


def test_events_reach_the_owner() -> None:
    heard = []
    agent = make_agent("events", LittleStore(), observer=lambda event, peer, detail: heard.append((event, peer)))
    hand = Hand(agent)
    agent.notify("files")
    hand.run()
    assert hand.events[-1][:2] == (events.NOTICE, c.NOTICE_CHANGED)
    hand.service.close("gone")
    assert heard == [("paired", "desk"), ("open", "desk"), ("closed", "desk")]
    agent.close()
