"""The part of a session before its first request: hello, pairing, proof. Not what comes after; `session` adds that.

Theory of operation. A table of each end says which message is expected in which state; what is not in it is refused.
A state in which a request of ours is out belongs to the desktop (`desktop_session`), one in which the owner has to
decide belongs to the device (`device_session`). The owner decides between two events (`greet`, `accept`, `refuse` ...),
so this object never has to ask for a key, a code or a limit, and never waits.

    desktop  FRESH -HELLO_REPLY-> GREETED -prove-> PROVING -PROOF_REPLY-> OPEN
             GREETED -pair_by_cable-> PAIRING -PAIR_DONE-> GREETED
             GREETED -pair_by_code-> EXCHANGING -PAIR_SPAKE_REPLY-> PAIRING -PAIR_DONE-> GREETED
    device   FRESH -HELLO-> DECIDING -greet-> GREETED -PROOF-> DECIDING -accept-> OPEN
             GREETED -PAIR_CABLE-> DECIDING -confirm_pairing-> GREETED
             GREETED -PAIR_SPAKE-> DECIDING -pair_by_code-> CONFIRMING
             CONFIRMING -PAIR_CONFIRM-> DECIDING -confirm_pairing-> GREETED
"""

from cradle_protocol.compat import const
from cradle_protocol.errors import BAD_MESSAGE, NOT_PAIRED, LocalError, RemoteError
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.session import Error
from cradle_protocol.wire.proof import KEY_SIZE, code_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cradle_protocol.compat import Bytes
    from cradle_protocol.wire.proof import Pake

    Event = tuple[Any, ...]

FRESH = const(0)
GREETED = const(1)
DECIDING = const(2)
PROVING = const(3)
PAIRING = const(4)
EXCHANGING = const(5)
CONFIRMING = const(6)
OPEN = const(7)
CLOSED = const(8)


def error_body(status: int, text: str = "") -> bytes:
    """The body of an ERROR."""
    return Error(status, text[: c.ERROR_TEXT]).to_bytes()


def announced(max_message: int) -> int:
    """The longest body that the other end announced, if it may announce that."""
    if max_message < c.UNPROVEN_MESSAGE:
        raise RemoteError(BAD_MESSAGE, "the other end takes no more than %d bytes" % max_message)
    return max_message


class Identity:
    """Who an end says it is: id (16 bytes), name, and for a device the agent's program and version."""

    def __init__(self, id: bytes, name: str, agent: str = "") -> None:
        self.id, self.name, self.agent = id, name, agent


class Peer:
    """What an end has learned about the other one: the hello's fields, and on the desktop those of the proof's reply.

    version, id, name, agent, flags, max_message; then max_requests, batch_items, batch_bytes, device_time, types.
    """

    max_requests = 1
    batch_items = 0
    batch_bytes = 0
    device_time = 0
    types: "list[tuple[str, bytes, bytes, int]]" = []

    def __init__(self, version: int, id: bytes, name: str, agent: str, flags: int, max_message: int) -> None:
        self.version, self.id, self.name, self.agent = version, id, name, agent
        self.flags, self.max_message = flags, max_message


class Handshake:
    """What both ends keep of it. `DesktopSession` and `DeviceSession` are the wholes; use those."""

    # (state, kind of the message) -> method that takes it
    TABLE: "dict[tuple[int, int], str]" = {}

    def __init__(self, desktop: bool, me: Identity, nonce: bytes, max_message: int, binding: bytes = b"") -> None:
        self.desktop = desktop
        self.me = me
        self.nonce = nonce
        self.max_message = max_message
        self.binding = binding
        self.peer: "Peer | None" = None
        self.state = FRESH
        self._key: "bytes | None" = None  # of the partnership
        self._new: "bytes | None" = None  # of the pairing that is going on
        self._hello = b""  # body as sent or received
        self._hellos = b""  # transcript of both
        self._request = c.NO_REQUEST  # of ours that is out, or of the peer's that waits for an answer
        self._pake: "Pake | None" = None

    def _send(self, kind: int, request: int, body: "Bytes") -> None:
        """Done by `Session`."""
        raise NotImplementedError

    def _take(self, kind: int, request: int, body: memoryview) -> "Event | None":
        """A message before the session is open."""
        method = self.TABLE.get((self.state, kind))
        if method is None:
            if self.desktop or self.state != GREETED or kind == c.ERROR:
                raise RemoteError(BAD_MESSAGE, "message %d came out of turn" % kind)
            self._send(c.ERROR, request, error_body(NOT_PAIRED))
            return None
        if self.desktop and request != self._request:
            raise RemoteError(BAD_MESSAGE, "an answer to request %d came, which is not open" % request)
        self._request = request
        event: "Event | None" = getattr(self, method)(body)
        return event

    def _shared_key(self, blob: bytes) -> "bytes | None":
        """The key that the code and the peer's blob make; None for a blob that is none."""
        pake, self._pake = self._pake, None
        if pake is None:
            raise LocalError(BAD_MESSAGE, "no code was given")
        ids = (self.me.id, self._known().id)
        desktop_id, device_id = ids if self.desktop else (ids[1], ids[0])
        try:
            secret = pake.finish(blob)
        except ValueError:
            return None
        return code_key(secret, desktop_id, device_id, self.binding)

    def _expect(self, state: int) -> None:
        if self.state != state:
            raise LocalError(BAD_MESSAGE, "the session is not where this can be done (state %d)" % self.state)

    def _known(self) -> Peer:
        if self.peer is None:
            raise LocalError(BAD_MESSAGE, "the other end has not said hello")
        return self.peer

    def _held(self) -> bytes:
        if self._key is None or len(self._key) != KEY_SIZE:
            raise LocalError(BAD_MESSAGE, "there is no key of %d bytes" % KEY_SIZE)
        return self._key
