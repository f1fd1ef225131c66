"""Messages that answer nothing (request 0), sent by either end after the proof. None of them promises anything."""

from cradle_protocol.wire import constants as c
from cradle_protocol.wire.codec import STRING
from cradle_protocol.wire.message import Message


class NoticeChanged(Message):
    """Something of this object type changed; a sync would find it."""

    KIND = c.NOTICE_CHANGED
    type: str
    FIELDS = (("type", STRING),)


class NoticeStatus(Message):
    """What the sender is doing, one sentence for the user."""

    KIND = c.NOTICE_STATUS
    text: str
    FIELDS = (("text", STRING),)


class NoticeConsole(Message):
    """What the device's program printed, where the link is not its console."""

    KIND = c.NOTICE_CONSOLE
    text: str
    FIELDS = (("text", STRING),)


MESSAGES = (NoticeChanged, NoticeStatus, NoticeConsole)
