"""The link machine: a reliable, ordered stream of bytes over a serial line. Knows no messages, waits for nothing.

HDLC's asynchronous balanced mode in RFC 1662 frames; `state` holds its table and says how it works. Bytes of the line
go in by `receive_data`, events come out of `next_event`, bytes for the line out of `data_to_send`; `now` is any count
of milliseconds, also one that wraps at 2**30.
"""

from cradle_protocol.compat import const, ticks_add, ticks_diff
from cradle_protocol.errors import LIMIT, LocalError
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import framing as f
from cradle_protocol.wire import state as s
from cradle_protocol.wire.incoming import Incoming
from cradle_protocol.wire.outgoing import Outgoing
from cradle_protocol.wire.pace import RoundTrip
from cradle_protocol.wire.parameters import LinkConfig, Parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cradle_protocol.compat import Bytes

    Event = tuple[str, Any]

# Events
CONNECTED = "connected"  # (CONNECTED, None): a new, empty connection
DATA = "data"  # (DATA, memoryview): valid until the next call of next_event
CONSOLE = "console"  # (CONSOLE, bytes): text that the device's program printed
LOST = "lost"  # (LOST, reason): the connection is over
RESET = "reset"  # (RESET, None), device: the desktop opened anew; CONNECTED follows

CONNECT_MS = const(300)  # between two SABME; a board answers in some 20 ms, a sleeping one in a second
RETRIES = const(10)  # SABME or polls without a sign of life: three seconds; half a minute at the longest timers
DISC_TRIES = const(3)  # nobody loses anything by an unheard DISC
_EVENTS_HELD = const(8)  # events that `absorb` may leave behind; console text beyond them is dropped
_POLLS = const(4)  # polls whose answers are still waited for


class _Poll:
    """A poll whose answer is awaited: its number, the frames sent before it, when, and whether it said busy."""

    def __init__(self) -> None:
        self.id = -1
        self.count = self.sent = 0
        self.busy = False


class LinkMachine:
    """One end of the link. The owner calls:

    receive_data, then next_event until None     what came
    data_to_send until empty                     what goes; one frame a call, valid until the next call
    next_timer, handle_timer                     when to call again
    room, send                                   bytes for the peer

    A desktop's is a `link_desktop.DesktopLink`.
    """

    # Method of the state table -> why the connection is lost
    REASONS = {
        "_no_answer": "no answer from the other end",
        "_peer_closed": "the other end closed the connection",
        "_closed": "closed",
    }

    def __init__(self, desktop: bool, config: LinkConfig) -> None:
        self.desktop = desktop
        self.state = s.DOWN
        self.connection = 0  # how many there were: another number, another stream of bytes
        self._config = config
        self._tag = config.tag
        self._mine = Parameters(config.window, config.max_info, config.repl)
        self._framer = f.Framer(c.HEAD_SIZE + config.max_info)
        self._deframer = f.Deframer(c.HEAD_SIZE + config.max_info)
        self._out = memoryview(bytearray(f.stuffed_size(c.HEAD_SIZE + config.max_info)))
        self._outgoing = Outgoing(config.window, config.send, config.max_info)
        self._incoming = Incoming(config.window, config.slots, config.max_info)
        self._trip = RoundTrip()
        self._head = bytearray(c.HEAD_SIZE)
        self._head[0] = f.TO_DEVICE if desktop else f.TO_DESKTOP
        self._short_head = memoryview(self._head)[: c.HEAD_SIZE - 1]
        self._answer = bytearray(2 + c.MISSING_LIMIT)  # information of S frames
        self._answer_view = memoryview(self._answer)
        self._polls = [_Poll() for _ in range(_POLLS)]
        self._input: "memoryview | None" = None
        self._now = 0
        self._events: list[Event] = []
        self._tag_heard = 0  # of the frame being taken
        self._body: Bytes = b""  # of the frame being taken
        self._theirs = self._mine
        self._reset(0)

    def _reset(self, now_ms: int) -> None:
        """Forget the connection."""
        self._incoming.reset()
        self._outgoing.reset(1, self._config.max_info)
        self._trip.reset()
        for poll in self._polls:
            poll.id = -1
        self._newest = 0  # index of the newest poll
        self._serial = 0  # of the next supervisory poll
        self._unnumbered = 0  # control octet of a U frame to send, 0 for none
        self._unnumbered_tag = 0
        self._owed = -1  # checkpoint octet of the poll to answer
        self._want_poll = False
        self._said = 0  # N(R) last sent
        self.busy = self._peer_busy = False
        self._drained = False
        self._retries = 0
        self._heard = False  # any traffic in this connection
        self._last_sent = self._last_heard = self._last_timer = now_ms

    # --- the owner's commands --------------------------------------------------------------------------------------

    def disconnect(self, now_ms: int) -> None:
        """End the connection; what was sent and not acknowledged may be lost. Ends in LOST."""
        self._happens(s.DISCONNECT, now_ms)

    def room(self) -> int:
        """Bytes that `send` takes now."""
        return self._outgoing.room() if self.state == s.UP else 0

    def send(self, data: "Bytes") -> int:
        """Queue as many of these bytes as there is room for; how many. They are copied."""
        return self._outgoing.put(data) if self.state == s.UP else 0

    def sent(self) -> bool:
        """Has the peer acknowledged all that was given to `send`?"""
        return self._outgoing.idle()

    def set_busy(self, busy: bool, now_ms: int) -> None:
        """Ask the peer for silence, or end it. Before falling deaf, go on until `drained`."""
        self._now = now_ms
        self.busy = busy
        self._drained = False
        self._want_poll = self.state == s.UP

    def drained(self) -> bool:
        """Is the line silent? What the peer sent before it heard us has come."""
        return self.busy and (self._drained or self.state != s.UP)

    def set_escapes(self, escapes: bytes) -> None:
        """Use this escape map from the next frame on. `CONNECTED` sets what the two ends agreed on."""
        self._framer.set_escapes(escapes)

    # --- timers ----------------------------------------------------------------------------------------------------

    def next_timer(self) -> "int | None":
        """The tick (modulo 2**30) at which to call `handle_timer`, or None. Wait for ticks_diff(it, now) ms."""
        if self.state == s.DOWN:
            return None
        if self.state != s.UP:
            return ticks_add(self._last_sent, CONNECT_MS)
        poll = self._polls[self._newest]
        if poll.id >= 0 or self._want_poll or not self._outgoing.idle():
            since = poll.sent if poll.id >= 0 else self._last_sent
            if ticks_diff(self._last_timer, since) > 0:
                since = self._last_timer
            return ticks_add(since, self._trip.timeout(self._retries, self._peer_busy))
        return ticks_add(self._last_heard, self._config.idle_ms) if self._config.idle_ms else None

    def handle_timer(self, now_ms: int) -> None:
        """The time given by `next_timer` has come; if it has not, nothing happens."""
        due = self.next_timer()
        if due is None or ticks_diff(due, now_ms) > 0:
            return
        self._last_timer = now_ms
        self._retries += 1
        limit = DISC_TRIES if self.state == s.CLOSING else RETRIES
        self._happens(s.TIMEOUT if self._retries < limit else s.GAVE_UP, now_ms)

    # --- bytes in, events out --------------------------------------------------------------------------------------

    def receive_data(self, data: "Bytes", now_ms: int) -> None:
        """Bytes came. They must stay as they are until `next_event` has given None, or `absorb` is done."""
        if self._input is not None:
            raise LocalError(LIMIT, "take all events before giving more bytes")
        self._now = now_ms
        if len(data):
            self._input = memoryview(data)

    def next_event(self) -> "Event | None":
        """The next event, or None when there is nothing more in the bytes received."""
        while True:
            if self._events:
                return self._events.pop(0)
            info = self._incoming.take()
            if info is not None:
                return DATA, info
            if not self._step():
                return None

    def absorb(self) -> None:
        """Take in all bytes received, but hand out no data: it stays in its frames, the last that was given too.

        For an owner that must drain the line while it is still working on what it was given.
        """
        while self._step():
            pass

    def _step(self) -> bool:
        """Deal with one frame or piece of text; False if there is none."""
        found = self._deframer.next()
        if found is None:
            data = self._input
            if data is None:
                return False
            taken = self._deframer.feed(data)
            self._input = data[taken:] if taken < len(data) else None
            return True
        kind, octets = found
        if kind == f.FRAME and octets is not None:
            self._take_frame(octets)
        elif kind == f.CONSOLE and octets is not None:
            self._take_text(bytes(octets))
        elif kind == f.DAMAGED:
            self._take_damage(octets)
        return True

    def _tell(self, name: str, what: "Any") -> None:
        if len(self._events) < _EVENTS_HELD:
            self._events.append((name, what))
        elif name != CONSOLE:  # whatever the owner has missed is over
            self._events[:] = [(RESET, None), (name, what)]

    def _take_text(self, text: bytes) -> None:
        """Text between frames."""
        self._tell(CONSOLE, text)

    def _take_damage(self, octets: "Bytes | None") -> None:
        """A damaged frame: the peer will send it again. The desktop looks for a prompt in it."""

    def _take_frame(self, body: "Bytes") -> None:
        if len(body) < c.HEAD_SIZE - 1 or body[0] != (f.TO_DESKTOP if self.desktop else f.TO_DEVICE):
            return  # too short, or our own, echoed
        control = body[2]
        if control == c.SABME:
            self._take_sabme(body)
            return
        self._tag_heard = body[1]
        if body[1] != self._tag and self.state != s.DOWN:
            return  # of another connection
        if control == c.UA:
            self._take_ua(body)
        elif control == c.DM:
            self._happens(s.GOT_DM, self._now)
        elif control == c.DISC:
            self._happens(s.GOT_DISC, self._now)
        elif control == c.UI or len(body) >= c.HEAD_SIZE:
            self._body = body
            if self.state == s.UP:
                self._traffic()  # as the table says, without a look at it for every frame
            else:
                self._happens(s.GOT_TRAFFIC, self._now)

    def _take_sabme(self, body: "Bytes") -> None:
        theirs = Parameters.read(body[c.HEAD_SIZE - 1 :])
        if theirs is not None:
            self._tag_heard, self._theirs = body[1], theirs
            self._happens(s.GOT_SABME, self._now)

    def _take_ua(self, body: "Bytes") -> None:
        self._happens(s.GOT_UA, self._now)

    # --- the table's methods ---------------------------------------------------------------------------------------

    def _happens(self, what: str, now_ms: int) -> bool:
        """Do what the table says. False if it says nothing."""
        self._now = now_ms
        row = s.TABLE.get((self.desktop, self.state, what))
        if row is None:
            return False
        self.state, method = row
        reason = self.REASONS.get(method)
        if reason is None:
            getattr(self, method)()
        else:
            self._lose(reason)
            if method == "_peer_closed":
                self._say(c.UA, self._tag)
        return True

    def _lose(self, reason: str) -> None:
        self._reset(self._now)
        self._tell(LOST, reason)

    def _say(self, control: int, tag: int) -> None:
        self._unnumbered, self._unnumbered_tag = control, tag
        self._last_sent = self._now

    def _established(self) -> None:
        self._retries = self._unnumbered = 0
        self.connection += 1
        self._last_heard = self._now
        theirs = self._theirs
        self._outgoing.reset(theirs.window, min(theirs.max_info, self._config.max_info))
        self._framer.set_escapes(f.ESCAPES_REPL if theirs.repl else f.ESCAPES_PLAIN)
        self._tell(CONNECTED, None)

    def _accepted(self) -> None:
        self._reset(self._now)
        self._tag = self._tag_heard
        self._established()
        self._say(c.UA, self._tag)

    def _opened_again(self) -> None:
        if self._tag_heard == self._tag and not self._heard:
            # A second SABME of this connection: they all come before anything else, and our UA was lost or late.
            self._say(c.UA, self._tag)
            return
        self._tell(RESET, None)
        self._accepted()

    def _send_disc(self) -> None:
        self._say(c.DISC, self._tag)

    def _send_dm(self) -> None:
        self._say(c.DM, self._tag_heard)

    def _poll_again(self) -> None:
        self._want_poll = True

    # --- traffic that comes ----------------------------------------------------------------------------------------

    def _traffic(self) -> None:
        body = self._body
        if body[2] == c.UI:
            self._tell(CONSOLE, bytes(body[c.HEAD_SIZE - 1 :]))
            return
        if not self._outgoing.acknowledge(body[3] >> 1):
            return
        self._retries = 0
        self._heard = True
        self._last_heard = self._now
        poll = body[3] & 1
        if not body[2] & 1:
            self._incoming.accept(body[2] >> 1, body[c.HEAD_SIZE :])
            if poll:
                self._owed = body[2]
            return
        if body[2] in (c.RR, c.RNR, c.REJ, c.SREJ):
            self._take_supervisory(body[2], body[3] >> 1, poll, body[c.HEAD_SIZE :])

    def _take_supervisory(self, control: int, number: int, final: int, info: "Bytes") -> None:
        self._peer_busy = control == c.RNR
        if final and len(info) == 1:
            self._owed = info[0]
        elif final and len(info) > 1:
            self._take_answer(info)
        elif control == c.SREJ:
            self._outgoing.gap(info)
            self._forget_lost_poll(info)
        elif control == c.REJ:
            self._outgoing.go_back(number)

    def _forget_lost_poll(self, numbers: "Bytes") -> None:
        """If the frame that carried the newest poll was lost, the next new frame polls, and no timer is needed."""
        poll = self._polls[self._newest]
        for octet in numbers:
            if octet == poll.id:
                poll.id = -1

    def _take_answer(self, info: "Bytes") -> None:
        """Match the answer with its poll: older polls will not be answered any more, newer ones will."""
        for back in range(_POLLS):
            poll = self._polls[(self._newest - back) % _POLLS]
            if poll.id != info[0]:
                continue
            self._trip.sample(poll.sent, self._now)
            self._drained = self._drained or poll.busy
            self._outgoing.checkpoint(poll.count, info[1 : len(info) - 1], info[len(info) - 1] >> 1)
            for older in range(back, _POLLS):
                self._polls[(self._newest - older) % _POLLS].id = -1
            return

    # --- bytes out -------------------------------------------------------------------------------------------------

    def data_to_send(self, now_ms: int) -> "Bytes":
        """The next frame for the line, b"" if there is none. Valid until the next call."""
        self._now = now_ms
        if self._unnumbered:
            return self._unnumbered_frame()
        if self.state != s.UP:
            return b""
        if not self.busy and (self._incoming.gap_count or self._incoming.rejected):
            return self._reject_frame()
        if self._owed >= 0:
            return self._answer_frame()
        if self._want_poll:
            return self._poll_frame()
        return self._traffic_frame()

    def _reject_frame(self) -> "Bytes":
        """What is missing; a busy end keeps it to itself, since these frames would end its rest."""
        incoming = self._incoming
        if incoming.rejected:
            incoming.rejected = False
            return self._supervisory(c.REJ, 0, None)
        count, incoming.gap_count = incoming.gap_count, 0
        return self._supervisory(c.SREJ, 0, memoryview(incoming.gaps)[:count])

    def _traffic_frame(self) -> "Bytes":
        number = -1 if self._peer_busy else self._outgoing.take()
        if number >= 0:
            return self._information(number)
        if self._outgoing.repaired and self._polls[self._newest].id < 0:
            return self._poll_frame()
        if self._said != self._incoming.first:
            return self._supervisory(c.RR, 0, None)
        return b""

    def _unnumbered_frame(self) -> "Bytes":
        control, self._unnumbered = self._unnumbered, 0
        self._head[1], self._head[2] = self._unnumbered_tag, control
        info = self._mine.to_bytes() if control in (c.SABME, c.UA) and self.state != s.DOWN else None
        return self._out[: self._framer.frame(self._short_head, info, self._out)]

    def _supervisory(self, control: int, final: int, info: "Bytes | None") -> "Bytes":
        if self.busy and control == c.RR:
            control = c.RNR
        return self._frame(control, final, info)

    def _frame(self, control: int, poll: int, info: "Bytes | None") -> "Bytes":
        head = self._head
        self._said = self._incoming.first
        head[1], head[2], head[3] = self._tag, control, self._said << 1 | poll
        return self._out[: self._framer.frame(head, info, self._out)]

    def _answer_frame(self) -> "Bytes":
        answer = self._answer
        answer[0], self._owed = self._owed, -1
        end = self._incoming.missing(answer, 1)
        answer[end] = self._incoming.top << 1 | 1
        return self._supervisory(c.RR, 1, self._answer_view[: end + 1])

    def _poll_frame(self) -> "Bytes":
        self._want_poll = False
        self._answer[0] = self._serial << 1 | 1
        self._serial = (self._serial + 1) & c.MODULUS_MASK
        self._note_poll(self._answer[0])
        return self._supervisory(c.RR, 1, self._answer_view[:1])

    def _information(self, number: int) -> "Bytes":
        outgoing = self._outgoing
        poll = 0
        self._last_sent = self._now
        if self._polls[self._newest].id < 0 and outgoing.new(number):
            poll = 1
            self._note_poll(number << 1)
        return self._frame(number << 1, poll, outgoing.info(number))

    def _note_poll(self, checkpoint: int) -> None:
        self._newest = (self._newest + 1) % _POLLS
        poll = self._polls[self._newest]
        poll.id, poll.count, poll.sent, poll.busy = checkpoint, self._outgoing.count, self._now, self.busy
        self._outgoing.repaired = False
