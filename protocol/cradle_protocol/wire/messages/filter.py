"""The store's filter: what it shall hold. Agents keep and tell it, only desktops read it. A board loads it if asked."""

from cradle_protocol.wire import constants as c
from cradle_protocol.wire.codec import BLOB16, STRING, U32
from cradle_protocol.wire.message import Message


class Filter(Message):
    """From now on this is the filter of this type's store, if its generation is still the expected one.

    With generation and expected alike it only asks.
    """

    KIND = c.FILTER
    type: str
    expected: int
    generation: int  # one more
    filter: bytes
    FIELDS = (("type", STRING), ("expected", U32), ("generation", U32), ("filter", BLOB16))


class FilterReply(Message):
    """What the filter is now, and what the store holds."""

    KIND = c.FILTER_REPLY
    generation: int
    filter: bytes
    objects: int  # that are there
    ghosts: int  # that are there by name only
    FIELDS = (("generation", U32), ("filter", BLOB16), ("objects", U32), ("ghosts", U32))


MESSAGES = (Filter, FilterReply)
