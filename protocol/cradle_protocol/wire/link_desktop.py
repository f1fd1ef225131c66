"""CPython only: the desktop's end of a serial line. It opens connections, and knows a prompt when it sees one."""

from cradle_protocol.errors import BAD_MESSAGE, LocalError
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import framing as f
from cradle_protocol.wire import state as s
from cradle_protocol.wire.link import CONSOLE, LinkMachine
from cradle_protocol.wire.parameters import LinkConfig, Parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.compat import Bytes

_PROMPT = b"\n>>> "
_NO_AGENT = "the device is at its Python prompt: no agent runs there"


class DesktopLink(LinkMachine):
    """A link machine that opens, and that gives up at a prompt (SPEC 4.7)."""

    REASONS = LinkMachine.REASONS | {
        "_at_prompt": "the device is back at its Python prompt: its agent has stopped",
        "_restarted": "the device's agent was restarted",
        "_refused": "the device refused the connection",
    }

    def __init__(self, config: LinkConfig) -> None:
        super().__init__(True, config)

    def _reset(self, now_ms: int) -> None:
        super()._reset(now_ms)
        self._text = b"\n"  # end of the console text since the last frame
        self._trusted = True  # the text follows a good frame, or nothing
        self._prompted = False

    def connect(self, now_ms: int) -> None:
        """Open a new connection. Ends in CONNECTED or LOST."""
        if not self._happens(s.CONNECT, now_ms):
            raise LocalError(BAD_MESSAGE, "the link cannot be opened here and now")

    def _take_frame(self, body: "Bytes") -> None:
        self._trusted, self._text = True, b"\n"
        super()._take_frame(body)

    def _take_text(self, text: bytes) -> None:
        self._tell(CONSOLE, text)
        self._text = (self._text + text)[-(len(text) + len(_PROMPT)) :]
        if self._trusted and _PROMPT in self._text:
            self._prompted = True
            self._happens(s.PROMPT, self._now)
        self._text = self._text[-len(_PROMPT) :]

    def _take_damage(self, octets: "Bytes | None") -> None:
        """A frame that was cut short by the end of the agent is followed by the prompt, up to the echo of our flag."""
        self._trusted, self._text = False, b""
        if octets is not None and bytes(octets[-len(_PROMPT) :]) == _PROMPT:
            self._prompted = True
            self._happens(s.PROMPT, self._now)

    def _take_ua(self, body: "Bytes") -> None:
        if self.state == s.OPENING:
            theirs = Parameters.read(body[c.HEAD_SIZE - 1 :])
            if theirs is None:
                return
            self._theirs = theirs
        self._happens(s.GOT_UA, self._now)

    def _lose(self, reason: str) -> None:
        super()._lose(_NO_AGENT if self._prompted and reason == self.REASONS["_no_answer"] else reason)

    def _open(self) -> None:
        self._reset(self._now)
        self._tag = (self._tag + 1) & 0xFF
        self._framer.set_escapes(f.ESCAPES_REPL)
        self._say(c.SABME, self._tag)

    def _repeat_sabme(self) -> None:
        self._say(c.SABME, self._tag)
