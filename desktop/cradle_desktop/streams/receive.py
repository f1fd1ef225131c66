"""One sync of a stream: ask, keep, acknowledge, page by page. Rows are safe here before the device hears of it.

The next page is on its way while one is being kept. What has come of a page when the link breaks is kept as well.
"""

import time

from cradle_desktop.connection import Connection, unmoved
from cradle_desktop.errors import DeviceError, UserError
from cradle_desktop.streams.intake import Intake
from cradle_desktop.streams.notes import StreamNotes
from cradle_desktop.sync.meter import safe_point
from cradle_desktop.sync.plan import Plan
from cradle_desktop.sync.report import Cancelled, Counts, Observer, Progress, TypeResult
from cradle_protocol.provider.rows import Batch, RowStore
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.stream import StreamAck, StreamEnd, StreamOpen, StreamOpenReply, StreamRead

# Bytes of rows that are asked for at once: what is kept in one transaction, and lies in memory until then.
PAGE = 1 << 20
# No device has a reason to send more than that for a page: its last part may go beyond.
MOST = 4 * PAGE
# On a slow line what it carries in some seconds, so that a board can free its flash now and then.
LINE_SECONDS, LINE_LEAST = 5, 8192
NOTHING = bytes(16)
TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.partnership.registry import Partnership

# A clock that is wrong by less is not worth a word: seconds.
TOLERANCE = 60
HOUR, DAY, YEAR = 3600, 86400, 31557600


class Receiver:
    """The stream of this type that a partner's device has, and the store for it."""

    def __init__(
        self, connection: Connection, store: RowStore, notes: StreamNotes, type: str, partner: "Partnership"
    ) -> None:
        self.connection, self.store, self.notes = connection, store, notes
        self.type, self.partner, self.device = type, partner.name, partner.device_id
        self.stream, self.position, self.mark, self.end = NOTHING, 0, 0, 0
        self.behind = 0  # milliseconds that the device's clock is behind ours

    # -- both

    def open(self, preview: bool) -> bool:
        """Meet the stream. True: it is another one than before, as this device was set back."""
        self._look_up(self._told())
        before = self.stream
        flags, begun = c.PREVIEW if preview else 0, time.time_ns()
        has = (before, self.position, self.mark) if self.position >= 0 else (NOTHING, 0, 0)
        asked = StreamOpen(flags, self.type, *has, _ms(begun))
        reply = StreamOpenReply.from_bytes(self.connection.call(c.STREAM_OPEN, asked.to_bytes()))
        self.behind = _ms((begun + time.time_ns()) // 2) - reply.time
        if reply.stream != before:
            self._look_up(reply.stream)
        new = self.position < 0
        if new:
            self.position = reply.first
        if not preview and (new or self.notes.get(self.stream) is None):
            self.notes.begin(self.stream, self.device, self.position)
        self.end = reply.end
        return reply.stream != before

    def _told(self) -> bytes:
        """The stream that the device spoke of at the start of the session."""
        for name, stream, _, _ in self.connection.peer.types:
            if name == self.type:
                return stream
        raise UserError(
            f"{self.partner} records no {self.type}: its program has to make a Readings(agent), as README shows"
        )

    def _look_up(self, stream: bytes) -> None:
        """How far the store is with a stream; -1: it has nothing of it."""
        found = self.store.position(stream)  # in CSV no line says of a gap that no row follows
        if found is not None:
            found = self.notes.past_gaps(stream, found)
        note = self.notes.get(stream)
        self.stream, self.position, self.mark = stream, -1 if found is None else found, 0
        if note is not None and note.position == found:
            self.mark = note.mark

    # -- a sync

    def run(self, observer: Observer) -> TypeResult:
        """Fetch and keep all rows that the device has by now. Raises StoreError, and what the connection raises."""
        sent, received = self.connection.bytes_sent, self.connection.bytes_received
        result = TypeResult(self.type)
        self.connection.on_wait = lambda: safe_point(observer)
        try:
            if self.open(preview=False):
                observer.note(
                    f"{self.partner} was set back to an earlier state: what it has recorded begins anew, and rows that "
                    f"came before may be there twice"
                )
            self.notes.compared(self.stream, self.behind)
            self._pages(observer, result)
        except Cancelled:
            result.cancelled = True
        finally:
            self.connection.on_wait = unmoved
        result.bytes_sent = self.connection.bytes_sent - sent
        result.bytes_received = self.connection.bytes_received - received
        result.remarks += self._remarks()
        return result

    def _pages(self, observer: Observer, result: TypeResult) -> None:
        rows = max(0, self.end - self.position)
        begun, ack = self.position, 0
        request = self._ask(self.position)
        while request:
            intake = Intake(Batch(self.stream, self.partner, self.position), self.mark)
            try:
                self._take(request, intake)
                self._check_moved(intake.batch)
                more = intake.batch.end < self.end and not observer.cancelled
                request = self._ask(intake.batch.end) if more else 0
            finally:
                self._keep(intake, result)  # what has come, whatever ends it
            if ack:
                self._confirmed(ack)
            ack = self.connection.start(c.STREAM_ACK, StreamAck(self.type, self.stream, self.position).to_bytes())
            observer.progress(Progress(self.type, "receive", self.position - begun, rows))
        if ack:
            self._confirmed(ack)
        safe_point(observer)

    def _ask(self, position: int) -> int:
        """Ask for the next page; 0: there is none."""
        if position >= self.end:
            return 0
        rate = self.connection.rate
        page = min(PAGE, max(LINE_LEAST, rate * LINE_SECONDS)) if rate else PAGE
        return self.connection.start(c.STREAM_READ, StreamRead(self.type, self.stream, position, page).to_bytes())

    def _take(self, request: int, intake: Intake) -> None:
        size = 0
        for kind, body, _ in self.connection.replies(request):
            if kind == c.STREAM_END:
                if StreamEnd.from_bytes(body).next != intake.batch.end:
                    raise self._wrong("names another place to go on than it came to")
                return
            size += len(body)
            if size > MOST:
                raise self._wrong("sends more than was asked for")
            intake.take(body)

    def _check_moved(self, batch: Batch) -> None:
        """A device that has more rows sends one, or says that they are gone: or we would ask for ever."""
        if batch.end == batch.start:
            raise self._wrong(f"says that it has rows up to {self.end}, and does not send row {batch.start}")

    def _wrong(self, what: str) -> DeviceError:
        return DeviceError(f"{self.partner} {what}; update it, then try again")

    def _keep(self, intake: Intake, result: TypeResult) -> None:
        batch = intake.batch
        if batch.end == batch.start:
            return
        self.store.add(batch)
        self.position, self.mark = batch.end, intake.mark
        self.notes.reached(self.stream, self.position, self.mark, batch.gaps)
        result.to_desktop.created += len(batch.rows)
        result.down.applied += len(batch.rows)
        result.down.bytes += intake.bytes
        result.gaps += batch.gaps

    def _confirmed(self, ack: int) -> None:
        for _ in self.connection.replies(ack):
            pass

    def _remarks(self) -> "list[str]":
        seconds = abs(self.behind) // 1000
        if seconds < TOLERANCE:
            return []
        way = "behind" if self.behind > 0 else "ahead"
        return [f"its clock is {_duration(seconds)} {way}: rows have the right time beside the device's"]

    # -- a preview

    def preview(self) -> Plan:
        """What a sync would fetch. Nothing is written on either side."""
        self.open(preview=True)
        return StreamPlan(self.partner, self.type, self.position, self.end)


class StreamPlan(Plan):
    """Rows from `position` up to `end` will come, but for those that are gone by then."""

    def __init__(self, partner: str, type: str, position: int, end: int) -> None:
        super().__init__(partner, "none")
        self._type, self._position, self._end = type, position, max(position, end)

    def to_desktop(self, but: object = ()) -> Counts:
        return Counts(created=self._end - self._position)

    def lines(self) -> "list[str]":
        if self._end == self._position:
            return []
        return [f"append    {self._type} {self._position} to {self._end - 1} on desktop"]


def _ms(ns: int) -> int:
    return ns // 1_000_000


def _duration(seconds: int) -> str:
    """For people: 90 s, 45 min, 30 h, 400 days, 26 years."""
    for size, word in ((YEAR, "years"), (DAY, "days"), (HOUR, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {word}"
    return f"{seconds} s"
