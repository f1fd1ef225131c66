"""CPython only: the desktop's end of a session. It opens, pairs, proves and asks; `session` has what the ends share."""

from cradle_protocol.compat import same
from cradle_protocol.errors import (
    BAD_MESSAGE,
    BAD_VERSION,
    LIMIT,
    NOT_ALLOWED,
    NOT_PAIRED,
    PROOF_FAILED,
    WRONG_CODE,
    LocalError,
    RemoteError,
)
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import events
from cradle_protocol.wire.handshake import (
    CLOSED,
    EXCHANGING,
    FRESH,
    GREETED,
    OPEN,
    PAIRING,
    PROVING,
    Identity,
    Peer,
    announced,
    error_body,
)
from cradle_protocol.wire.messages import pairing
from cradle_protocol.wire.messages.session import Error, Hello, HelloReply, Proof, ProofReply
from cradle_protocol.wire.proof import pair_mac, proof_mac, transcript
from cradle_protocol.wire.session import Session, answers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.compat import Bytes
    from cradle_protocol.wire.handshake import Event
    from cradle_protocol.wire.proof import Pake


class DesktopSession(Session):
    """A session as the desktop sees it; its HELLO is queued from the start.

    me           Identity
    nonce        16 random bytes, new for each session
    max_message  longest body this end takes once the session is open; a buffer of this size is allocated now
    binding      SHA-256 of the TLS server's certificate, b"" on links without TLS
    """

    TABLE = {
        (FRESH, c.HELLO_REPLY): "_take_hello_reply",
        (PROVING, c.PROOF_REPLY): "_take_proof_reply",
        (PAIRING, c.PAIR_DONE): "_take_pair_done",
        (EXCHANGING, c.PAIR_SPAKE_REPLY): "_take_spake_reply",
        (FRESH, c.ERROR): "_take_error",
        (PROVING, c.ERROR): "_take_error",
        (PAIRING, c.ERROR): "_take_error",
        (EXCHANGING, c.ERROR): "_take_error",
    }

    def __init__(self, me: Identity, nonce: bytes, max_message: int, binding: bytes = b"") -> None:
        super().__init__(True, me, nonce, max_message, binding)
        self._hello = Hello(c.VERSION, c.OLDEST, me.id, me.name, nonce, 0, max_message).to_bytes()
        self._ask(c.HELLO, self._hello)

    # --- handshake -------------------------------------------------------------------------------------------------

    def prove(self, key: bytes) -> None:
        """Prove that we hold the partnership key. Ends in READY or REFUSED."""
        self._expect(GREETED)
        self._key = key
        self.state = PROVING
        self._ask(c.PROOF, Proof(proof_mac(key, True, self._hellos, self.binding)).to_bytes())

    def pair_by_cable(self, key: bytes) -> None:
        """Give the device a new key over this cable. Ends in PAIRED or REFUSED."""
        self._expect(GREETED)
        if not self._known().flags & c.CABLE:
            raise LocalError(NOT_ALLOWED, "this link is no cable: the key must not cross it")
        self._new = key
        self.state = PAIRING
        self._ask(c.PAIR_CABLE, pairing.PairCable(key).to_bytes())

    def pair_by_code(self, pake: "Pake") -> None:
        """Derive a new key from the code that the device shows. Ends in PAIRED or REFUSED."""
        self._expect(GREETED)
        self._pake = pake
        self.state = EXCHANGING
        self._ask(c.PAIR_SPAKE, pairing.PairSpake(pake.start()).to_bytes())

    def _take_hello_reply(self, body: memoryview) -> "Event | None":
        reply = HelloReply.from_bytes(body)
        if not c.OLDEST <= reply.version <= c.VERSION:
            return self._end(BAD_VERSION, "the device speaks version %d" % reply.version)
        self._hellos = transcript(self._hello, body)
        limit = announced(reply.max_message)
        self.peer = Peer(reply.version, reply.device_id, reply.name, reply.agent, reply.flags, limit)
        self.state = GREETED
        return events.GREETED, self.peer

    def _take_proof_reply(self, body: memoryview) -> "Event | None":
        reply = ProofReply.from_bytes(body)
        if not same(reply.mac, proof_mac(self._held(), False, self._hellos, self.binding)):
            return self._end(PROOF_FAILED, "the device does not hold the partnership key")
        peer = self._known()
        peer.max_requests = max(1, reply.max_requests)
        peer.batch_items, peer.batch_bytes = reply.batch_items, reply.batch_bytes
        peer.device_time, peer.types = reply.device_time, reply.types
        self.state = OPEN
        self._opened()
        return events.READY, peer

    def _take_spake_reply(self, body: memoryview) -> "Event | None":
        self._new = self._shared_key(pairing.PairSpakeReply.from_bytes(body).blob)
        if self._new is None:
            return self._end(WRONG_CODE, "the device's answer does not fit the code")
        self.state = PAIRING
        mac = pair_mac(self._new, True, self.me.id, self._known().id)
        self._ask(c.PAIR_CONFIRM, pairing.PairConfirm(mac).to_bytes())
        return None

    def _take_pair_done(self, body: memoryview) -> "Event | None":
        self._key = self._new
        peer, key = self._known(), self._held()
        if not same(pairing.PairDone.from_bytes(body).mac, pair_mac(key, False, self.me.id, peer.id)):
            return self._end(PROOF_FAILED, "the device did not confirm the pairing: something stands between")
        self.state = GREETED
        return events.PAIRED, peer, key

    def _take_error(self, body: memoryview) -> "Event | None":
        """The device said no: to a pairing, or to a proof for want of one, we may try something else."""
        error = Error.from_bytes(body)
        again = self.state in (PAIRING, EXCHANGING) or (self.state == PROVING and error.status == NOT_PAIRED)
        self.state = GREETED if again else CLOSED
        return events.REFUSED, error.status, error.text or str(RemoteError(error.status))

    def _ask(self, kind: int, body: bytes) -> None:
        self._request = self._request % c.REQUEST_LIMIT + 1
        self._send(kind, self._request, body)

    def _end(self, status: int, text: str) -> "Event":
        """End the session because of what the peer is."""
        self._send(c.ERROR, c.NO_REQUEST, error_body(status))
        self.state = CLOSED
        return events.REFUSED, status, text

    # --- requests --------------------------------------------------------------------------------------------------

    def request(self, kind: int, body: "Bytes | list[Bytes]" = b"", more: bool = False, request: int = 0) -> int:
        """Send a request, or (with the number it got) a further part of one. Its number comes back with the answer.

        After FAILED the last part is still owed: send an empty one.
        """
        self._expect(OPEN)
        if request == c.NO_REQUEST:
            if self.free_requests() <= 0:
                raise LocalError(LIMIT, "the device takes %d requests at once" % self._known().max_requests)
            request = self._new_request()
            self._open[request] = kind
        elif self._parts.get(request) != kind:
            raise LocalError(BAD_MESSAGE, "request %d is complete, or of another kind" % request)
        self._send(kind | (c.MORE if more else 0), request, body)
        self._note_part(request, kind, more)
        return request

    def _new_request(self) -> int:
        request = self._request
        while True:
            request = request % c.REQUEST_LIMIT + 1
            if request not in self._open and request not in self._parts:
                self._request = request
                return request

    def ping(self) -> None:
        """Desktop: ask for a sign of life. The answer is taken silently; what counts is that bytes come."""
        self._expect(OPEN)
        self._send(c.PING, c.NO_REQUEST, b"")

    def _take_open(self, kind: int, request: int, body: memoryview, more: bool) -> "Event | None":
        asked = self._open.get(request)
        if kind == c.ERROR and asked is not None:
            del self._open[request]
            error = Error.from_bytes(body)
            return events.FAILED, request, error.status, error.text or str(RemoteError(error.status))
        if not answers(asked, kind):
            raise RemoteError(BAD_MESSAGE, "message %d answers no open request" % kind)
        if not more:
            del self._open[request]
        return events.REPLY, kind, request, body, more
