"""A session over a serial-like link in memory: link machines on both ends, and a board that is deaf while it writes."""

import pytest

from cradle_device import install, line
from cradle_protocol.sync.knowledge import everything
from cradle_protocol.sync.version import HIGHEST, LOWEST
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import events, link
from cradle_protocol.wire.desktop_session import DesktopSession
from cradle_protocol.wire.link_desktop import DesktopLink
from cradle_protocol.wire.messages import records
from cradle_protocol.wire.messages import sync as m
from cradle_protocol.wire.parameters import LinkConfig
from cradle_protocol.wire.state import UP
from device.hands import DESKTOP, KEY, REPLICA, Hand, LittleStore, Pipe, make_agent, store_digest

pytestmark = pytest.mark.timeout(120)
SLOW_MS = 500  # of a slice


class Wire(Pipe):
    """A serial-like link in memory."""

    reliable = False

    def __init__(self, stalls: bool = False) -> None:
        super().__init__()
        self.stalls = stalls


class LineHand(Hand):
    """A desktop on a serial line, by an artificial clock."""

    def __init__(self, agent, wire: Wire, service=None) -> None:
        self.agent, self.pipe = agent, wire
        self.service = service or agent.attach(wire)
        self.begin()

    def begin(self) -> None:
        self.now = 0
        self.machine = DesktopLink(LinkConfig(tag=len(self.agent.partners())))
        self.session = DesktopSession(DESKTOP, b"n" * 16, 4096)
        self.events, self.waiting = [], b""
        self.machine.connect(0)
        self.run()
        if not self.agent.partners():
            self.session.pair_by_cable(KEY)
            self.run()
        self.session.prove(KEY)
        self.run()
        assert self.events[-1][0] == events.READY

    def run(self) -> None:
        quiet = 0
        while quiet < 3:
            quiet = 0 if self.turn() else quiet + 1

    def turn(self) -> bool:
        moved = self.service.poll()
        self.now += 1
        self.machine.handle_timer(self.now)
        for piece in self.session.data_to_send():
            self.waiting += bytes(piece)
        if self.waiting:
            taken = self.machine.send(self.waiting)
            self.waiting = self.waiting[taken:]
            moved = moved or taken > 0
        frame = self.machine.data_to_send(self.now)
        while len(frame):
            self.pipe.to_device += bytes(frame)
            moved = True
            frame = self.machine.data_to_send(self.now)
        data, self.pipe.to_desktop = self.pipe.to_desktop, b""
        if data:
            self.machine.receive_data(data, self.now)
            self.hear()
        return moved or bool(data) or not self.machine.sent()

    def hear(self) -> None:
        event = self.machine.next_event()
        while event is not None:
            if event[0] == link.DATA:
                self.session.receive_data(event[1])
                self.take()
            event = self.machine.next_event()


def filled() -> LittleStore:
    store = LittleStore()
    for k in range(30):
        store.edit("file %d" % k, b"content %d " % k * 50)
    return store


@pytest.mark.parametrize("stalls", [False, True])
def test_a_sync_over_a_line(stalls: bool) -> None:
    store = filled()
    agent = make_agent("line", store)
    hand = LineHand(agent, Wire(stalls))
    hand.open()
    changes = hand.changes()[0]
    got = hand.fetch([(ch.oid, ch.versions[0], 0) for ch in changes])
    assert {oid: content for oid, (content, _) in got.items()} == {
        ch.oid: store.objects[ch.identity][0] for ch in changes
    }
    big = bytes(range(256)) * 60
    assert hand.send([hand.create("big", 1, big), hand.create("d/e", 2, b"e")], {"big": big, "d/e": b"e"}) == {}
    assert store.objects["big"][0] == big
    hand.close()
    agent.close()


def test_a_line_is_silent_before_a_write_to_flash() -> None:
    """Design 6: RNR, then drained, then the write."""
    store = filled()
    agent = make_agent("silent", store)
    hand = LineHand(agent, Wire(True))
    hand.open()
    heard = []
    machine = hand.service._machine
    real = store.sync

    def sync() -> None:
        heard.append((machine.busy, machine.drained(), len(hand.pipe.to_device)))
        real()

    store.sync = sync
    hand.send([hand.create("x", 1, b"x")], {"x": b"x"})
    assert heard and all(busy and drained for busy, drained, _ in heard)
    assert not machine.busy
    agent.close()


def test_many_sessions_one_after_the_other_on_one_line() -> None:
    """A desktop that begins anew, without a word of farewell, in the middle of an answer."""
    store = filled()
    agent = make_agent("again", store)
    wire = Wire()
    hand = LineHand(agent, wire)
    for _ in range(3):
        hand.open()
        changes = hand.changes()[0]
        body = [(ch.oid, ch.versions[0], 0) for ch in changes]
        hand.session.request(c.FETCH, m.Fetch(hand.channel, body).to_bytes())
        for _ in range(6):
            hand.turn()
        wire.to_device = wire.to_desktop = b""
        hand = LineHand(agent, wire, hand.service)
    assert len(hand.open().staged) == 0
    agent.close()


def test_a_desktop_begins_anew_while_the_line_is_being_silenced() -> None:
    """What waited for silence is dropped with its session; the next one does not wait for it."""
    agent = make_agent("silenced", filled())
    wire = Wire(True)
    hand = LineHand(agent, wire)
    hand.session.request(c.SYNC_OPEN, m.SyncOpen(0, "files", REPLICA, 0).to_bytes())
    while not hand.service._flash:
        hand.turn()
    wire.to_device = wire.to_desktop = b""
    hand = LineHand(agent, wire, hand.service)
    assert hand.open().objects == 30
    agent.close()


@pytest.mark.parametrize("stalls", [False, True])
def test_a_long_scan_leaves_the_line_alive(stalls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute of slices, each as long as a slow card: the machine answers between them, and the session goes on."""
    monkeypatch.setattr(line, "STEPS", 1)
    store = LittleStore()
    for k in range(2000):
        store.edit("file %d" % k, b"")
    agent = make_agent("long", store)
    hand = LineHand(agent, Wire(stalls))
    hand.session.request(c.SYNC_OPEN, m.SyncOpen(0, "files", REPLICA, 0).to_bytes())
    hand.events = []
    began, turns = hand.now, 0
    while not hand.events:
        hand.turn()
        hand.now += SLOW_MS
        turns += 1
        assert turns < 1000
    assert hand.now - began > 60_000 and hand.machine.state == UP
    assert hand.events[0][0] == events.REPLY and m.SyncOpenReply.from_bytes(hand.events[0][3]).objects == 2000
    hand.session.request(c.SYNC_CLOSE, m.SyncClose(1).to_bytes())
    hand.run()
    assert hand.events[-1][0] == events.REPLY
    agent.close()


def test_the_desktop_goes_while_a_batch_is_committed() -> None:
    """What was begun is finished: the batch is applied and known."""
    store = LittleStore()
    agent = make_agent("goes", store)
    hand = LineHand(agent, Wire())
    hand.open()
    many = [hand.create("f%d" % k, k + 1, b"x") for k in range(5)]
    steps, line.STEPS, install._STRIDE = line.STEPS, 1, 1
    try:
        hand.begin_pass(everything({hand.mine: 5}))
        body = records.encode_begin(LOWEST, HIGHEST, True)
        for index, change in enumerate(sorted(many, key=lambda one: one.id)):
            body += records.encode_apply_change(change, c.CONTENT_FOLLOWS)
            body += records.data_head(index, c.END, 1) + b"x" + store_digest(b"x")
        hand.session.request(c.APPLY, body + records.COMMIT_ELEMENT)
        while not store.objects:
            hand.turn()
        assert len(store.objects) < 5
        hand.service.close("cut")
    finally:
        line.STEPS, install._STRIDE = steps, 16
    assert len(store.objects) == 5
    meta = agent.replicas["files"].meta()
    assert meta.pending() == [] and meta.knowledge.knows(HIGHEST, (5, hand.mine))
    agent.close()
