"""Answers to the requests of a stream: what is there, its rows, and that a desktop has them. Loaded with `readings`."""

from cradle_device.conversation import FLASH, WORK, single
from cradle_protocol.errors import CHANGED, NO_TYPE, RemoteError
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.stream import (
    StreamAck,
    StreamEnd,
    StreamOpen,
    StreamOpenReply,
    StreamRead,
    gap_element,
    mark_element,
    row_element,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_device.conversation import Conversation, Steps
    from cradle_device.readings import Readings

_TIME = 6


def _stream(talk: "Conversation", name: str, more: bool, stream: "bytes | None" = None) -> "Readings":
    """The stream of this type; with `stream`, if it is still that one."""
    single(more)
    found = talk.agent.streams.get(name)
    if found is None:
        raise RemoteError(NO_TYPE, "this device has no stream %s" % name)
    if stream is not None and stream != found.cursors.stream:
        raise RemoteError(CHANGED, "it is another stream now: sync again")
    return found


def stream_open(talk: "Conversation", request: int, body: memoryview, more: bool) -> "Steps":
    """Say what is there, after all that was appended so far is durable."""
    asked = StreamOpen.from_bytes(body)
    stream = _stream(talk, asked.type, more)
    if asked.flags & c.LEAVE:
        yield FLASH
        stream.forget(talk.desktop_id())
    elif not asked.flags & c.PREVIEW:
        yield FLASH
        stream.opened(talk.desktop_id(), asked.stream, asked.position, asked.mark, asked.time)
    reply = StreamOpenReply(stream.cursors.stream, stream.first(), stream.segments.next, stream.now())
    talk.session.reply(request, c.STREAM_OPEN_REPLY, reply.to_bytes())


def stream_read(talk: "Conversation", request: int, body: memoryview, more: bool) -> "Steps":
    """Rows in parts, as far as the credit goes."""
    asked = StreamRead.from_bytes(body)
    stream = _stream(talk, asked.type, more, asked.stream)
    position, credit, state = asked.position, asked.credit, (-1, -1)
    buffer = talk.buffer()
    room = min(len(buffer), talk.session.max_body())
    while credit > 0 and position < stream.segments.next:
        # A row fits into any message: `readings.ROW_MOST`.
        size, position, state = fill(stream, position, state, buffer, room)
        talk.session.reply(request, c.STREAM_ROWS, memoryview(buffer)[:size], True)
        credit -= size
        yield WORK
    talk.session.reply(request, c.STREAM_END, StreamEnd(position, stream.segments.next).to_bytes())


def fill(
    stream: "Readings", position: int, state: "tuple[int, int]", buffer: bytearray, room: int
) -> "tuple[int, int, tuple[int, int]]":
    """Put elements of rows from a position on into a part of the answer.

    `state`: number and era that the next row has if it comes without a mark. Returns (bytes, position, state).
    """
    size, beyond = 0, stream.segments.next
    while position < beyond:
        found = stream.segments.row(position)
        number = beyond if found is None else found[0]
        element = b"" if number == position else gap_element(position, number - position)
        after = (number, state[1])
        if found is not None:
            era, data = found[1], found[2]
            if (number, era) != state:
                element += mark_element(number, era, stream.cursors.pairs.get(era))
            element += row_element(int.from_bytes(data[:_TIME], "big"), data[_TIME:])
            after = (number + 1, era)
        end = size + len(element)
        if end > room:
            break
        buffer[size:end] = element
        size, position, state = end, after[0], after
    return size, position, state


def stream_ack(talk: "Conversation", request: int, body: memoryview, more: bool) -> "Steps":
    """Note how far a desktop is; rows that nobody needs may go."""
    asked = StreamAck.from_bytes(body)
    stream = _stream(talk, asked.type, more, asked.stream)
    yield FLASH
    stream.passed(talk.desktop_id(), asked.position)
    talk.session.reply(request, c.STREAM_ACK_REPLY)


HANDLERS = ((c.STREAM_OPEN, stream_open), (c.STREAM_READ, stream_read), (c.STREAM_ACK, stream_ack))
