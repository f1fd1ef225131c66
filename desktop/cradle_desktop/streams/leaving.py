"""Telling a device that this desktop wants no more rows; until it knows it keeps them for it, up to its bound.

Who is still to be told is in the registry (`Registry.leaving`).
"""

import time

from cradle_desktop.errors import RequestFailed
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.stream import StreamOpen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.connection import Connection

NOTHING = bytes(16)


def leave(connection: "Connection", type_name: str) -> str:
    """Tell the device; why that could not be, or "". Raises what the connection raises."""
    if all(type_name != name for name, *_ in connection.peer.types):
        return f"no program that records {type_name} runs there now"
    asked = StreamOpen(c.LEAVE, type_name, NOTHING, 0, 0, time.time_ns() // 1_000_000)
    try:
        connection.call(c.STREAM_OPEN, asked.to_bytes())
    except RequestFailed as error:
        return error.text
    return ""
