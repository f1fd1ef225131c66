"""The answer to AGES: how old contents are, if this clock can tell. A file of its own: few desktops ever ask."""

from cradle_protocol.errors import LIMIT, RemoteError
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.sync import Ages, AgesReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_device.conversation import Conversation


def answer(talk: "Conversation", request: int, body: memoryview) -> None:
    """Say how old contents are."""
    asked = Ages.from_bytes(body)
    channel = talk.channel(asked.channel)
    if len(asked.oids) * 4 + 2 > talk.session.max_body():
        raise RemoteError(LIMIT, "the answer to %d ages is longer than a message" % len(asked.oids))
    answers = []
    for oid in asked.oids:
        item = channel.meta.by_oid(oid)
        age = -1 if item is None or not item.held() else channel.store.age(item.stamp)
        answers.append(age if age >= 0 else c.AGE_UNKNOWN)
    talk.session.reply(request, c.AGES_REPLY, AgesReply(answers).to_bytes())
