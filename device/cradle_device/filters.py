"""The answer to FILTER. The agent keeps the store's filter for desktops, and understands nothing of it."""

from cradle_device.conversation import WAIT, WORK
from cradle_device.replica import FILTER
from cradle_protocol.errors import LIMIT, NO_TYPE, RemoteError
from cradle_protocol.sync.item import GHOST
from cradle_protocol.sync.slices import STRIDE
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.filter import Filter, FilterReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_device.conversation import Conversation, Steps

# Bytes of a filter, so that its note is a record of a board's log.
FILTER_MAX = 960


def answer(talk: "Conversation", request: int, body: memoryview) -> "Steps":
    """Set the filter, if it is still the one that the desktop knows; say what it is."""
    asked = Filter.from_bytes(body)
    replica = talk.agent.replicas.get(asked.type)
    if replica is None:
        raise RemoteError(NO_TYPE, "this device offers no type %s" % asked.type)
    if len(asked.filter) > FILTER_MAX:
        raise RemoteError(LIMIT, "a filter has more than %d bytes" % FILTER_MAX)
    while replica.holder is not None and replica.holder is not talk:
        yield WAIT
    replica.holder = talk
    meta = replica.settled()
    if asked.expected != asked.generation and asked.expected == replica.filter()[0]:
        meta.set_note(FILTER, asked.generation.to_bytes(4, "big") + asked.filter)
        meta.commit()
    generation, text = replica.filter()
    ghosts = 0
    for n, item in enumerate(meta.items()):
        if n % STRIDE == STRIDE - 1:
            yield WORK
        if item.flags & GHOST:
            ghosts += 1
    talk.release()
    talk.session.reply(request, c.FILTER_REPLY, FilterReply(generation, text, meta.live(), ghosts).to_bytes())
