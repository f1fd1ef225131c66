"""What one end of a link brings along, and what SABME and UA say of it.

Unknown parameters are skipped; wrong ones make it no SABME and no UA.
"""

from cradle_protocol.errors import LIMIT, LocalError
from cradle_protocol.wire import constants as c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.compat import Bytes


class LinkConfig:
    """What one end brings along.

    window    frames that it can hold, 1 to 64
    max_info  octets of information in a frame it sends or takes, 64 to 65535; 2048 cost half a per cent
    slots     frames it has memory for; fewer than the window means that none is kept out of order
    send      bytes that it holds for sending; a window of frames by default
    repl      its own port may be a REPL's
    tag       of the connection before the first; a desktop starts somewhere at random (0 to 255)
    idle_ms   send a poll after so long a silence, 0 for never
    """

    def __init__(
        self,
        window: int = c.WINDOW_LIMIT,
        max_info: int = 2048,
        slots: int = 0,
        send: int = 0,
        repl: bool = False,
        tag: int = 0,
        idle_ms: int = 0,
    ) -> None:
        if not 1 <= window <= c.WINDOW_LIMIT or not c.INFO_LEAST <= max_info <= 0xFFFF:
            raise LocalError(LIMIT, "a window of 1 to %d frames, %d octets or more" % (c.WINDOW_LIMIT, c.INFO_LEAST))
        self.window, self.max_info, self.repl, self.tag, self.idle_ms = window, max_info, repl, tag, idle_ms
        self.slots = slots or window
        self.send = send or window * max_info


class Parameters:
    """window: frames it can hold; max_info: longest information it takes; repl: its port may be a REPL."""

    def __init__(self, window: int, max_info: int, repl: bool) -> None:
        self.window, self.max_info, self.repl = window, max_info, repl

    def to_bytes(self) -> bytes:
        """The information of a SABME or UA."""
        return bytes((
            c.XID_VERSION, 1, c.LINK_VERSION, c.XID_WINDOW, 1, self.window,
            c.XID_INFO, 2, self.max_info >> 8, self.max_info & 0xFF, c.XID_REPL, 1, 1 if self.repl else 0,
        ))  # fmt: skip

    @staticmethod
    def read(info: "Bytes") -> "Parameters | None":
        """The parameters in such information; None if they make no sense. A REPL is assumed unless it says no."""
        found = Parameters(0, 0, True)
        at = 0
        while at < len(info):
            if at + 2 > len(info) or at + 2 + info[at + 1] > len(info):
                return None
            name, value = info[at], int.from_bytes(info[at + 2 : at + 2 + info[at + 1]], "big")
            at += 2 + info[at + 1]
            if name == c.XID_WINDOW:
                found.window = min(value, c.WINDOW_LIMIT)
            elif name == c.XID_INFO:
                found.max_info = value
            elif name == c.XID_REPL:
                found.repl = value != 0
        return found if found.window and found.max_info >= c.INFO_LEAST else None
