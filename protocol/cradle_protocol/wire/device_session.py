"""The device's end of a session. It answers, and its owner decides; `session` has what both ends share."""

from cradle_protocol.compat import same
from cradle_protocol.errors import (
    BAD_MESSAGE,
    BAD_VERSION,
    LIMIT,
    NOT_ALLOWED,
    NOT_PAIRED,
    PROOF_FAILED,
    UNKNOWN_KIND,
    WRONG_CODE,
    LocalError,
    RemoteError,
)
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import events
from cradle_protocol.wire.handshake import (
    CLOSED,
    CONFIRMING,
    DECIDING,
    FRESH,
    GREETED,
    OPEN,
    Identity,
    Peer,
    announced,
    error_body,
)
from cradle_protocol.wire.messages import pairing
from cradle_protocol.wire.messages.session import Hello, HelloReply, Proof, ProofReply
from cradle_protocol.wire.proof import pair_mac, proof_mac, transcript
from cradle_protocol.wire.session import Session, answers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.compat import Bytes
    from cradle_protocol.wire.handshake import Event
    from cradle_protocol.wire.proof import Pake

# Kinds that a desktop may send as requests once the session is open. They are answered by their number + 1; CHANGES and
# STREAM_READ by that in parts, and their number + 2 at the end.
REQUESTS = (
    c.UNPAIR, c.SYNC_OPEN, c.REPLICAS, c.CHANGES, c.FETCH, c.HASH, c.STASH, c.PASS, c.APPLY, c.SYNC_CLOSE, c.AGES,
    c.FILTER, c.STREAM_OPEN, c.STREAM_READ, c.STREAM_ACK, c.MOVE,
)  # fmt: skip

_NO_PARTS = -1  # of a request that failed while more parts of it are on their way: they are dropped


class DeviceSession(Session):
    """A session as the device sees it.

    me           Identity
    nonce        16 random bytes, new for each session
    max_message  longest body this end takes once the session is open; a buffer of this size is allocated now
    binding      SHA-256 of the TLS server's certificate, b"" on links without TLS
    """

    TABLE = {
        (FRESH, c.HELLO): "_take_hello",
        (GREETED, c.PROOF): "_take_proof",
        (GREETED, c.PAIR_CABLE): "_take_pair_cable",
        (GREETED, c.PAIR_SPAKE): "_take_spake",
        (CONFIRMING, c.PAIR_CONFIRM): "_take_confirm",
    }

    def __init__(self, me: Identity, nonce: bytes, max_message: int, binding: bytes = b"") -> None:
        super().__init__(False, me, nonce, max_message, binding)
        self._flags = 0  # of our HELLO_REPLY
        self._pairing = False  # the decision that is open is about a pairing
        self._blob = b""  # of the desktop's PAIR_SPAKE

    # --- handshake -------------------------------------------------------------------------------------------------

    def greet(self, key: "bytes | None", flags: int = 0) -> None:
        """Answer GREETED: the key held for this desktop or None, and which of CABLE, CODE, REPL hold on this link."""
        self._expect(DECIDING)
        peer = self._known()
        self._key = key
        self._flags = flags & ~c.PAIRED | (c.PAIRED if key is not None else 0)
        reply = HelloReply(
            peer.version, c.OLDEST, self.me.id, self.me.name, self.me.agent, self.nonce, self._flags, self.max_message
        ).to_bytes()
        self._hellos = transcript(self._hello, reply)
        self._answer(c.HELLO_REPLY, reply, GREETED)

    def accept(
        self,
        max_requests: int,
        batch_items: int,
        batch_bytes: int,
        device_time: int,
        types: "list[tuple[str, bytes, bytes, int]]",
    ) -> None:
        """Answer READY: prove the key in turn, and say what may be asked (fields of PROOF_REPLY)."""
        self._expect(DECIDING)
        mac = proof_mac(self._held(), False, self._hellos, self.binding)
        self._known().max_requests = max_requests
        reply = ProofReply(mac, max_requests, batch_items, batch_bytes, device_time, types).to_bytes()
        self._answer(c.PROOF_REPLY, reply, OPEN)
        self._opened()

    def confirm_pairing(self) -> None:
        """Answer PAIRED: the key is durable."""
        self._expect(DECIDING)
        self._key = self._new
        mac = pair_mac(self._held(), False, self._known().id, self.me.id)
        self._answer(c.PAIR_DONE, pairing.PairDone(mac).to_bytes(), GREETED)

    def refuse(self, status: int, text: str = "") -> None:
        """Answer GREETED, READY, PAIRED or CODE_WANTED by no. After a refused hello or proof the session is over."""
        self._expect(DECIDING)
        self._answer(c.ERROR, error_body(status, text), GREETED if self._pairing else CLOSED)

    def pair_by_code(self, pake: "Pake") -> None:
        """Answer CODE_WANTED: derive a new key from the code."""
        self._expect(DECIDING)
        self._pake = pake
        blob = pake.start()
        self._new = self._shared_key(self._blob)
        if self._new is None:
            self._answer(c.ERROR, error_body(WRONG_CODE), GREETED)
        else:
            self._answer(c.PAIR_SPAKE_REPLY, pairing.PairSpakeReply(blob).to_bytes(), CONFIRMING)

    def _take_hello(self, body: memoryview) -> "Event | None":
        hello = Hello.from_bytes(body)
        self._hello = bytes(body)
        if hello.oldest > c.VERSION or hello.version < c.OLDEST:
            text = "this end speaks versions %d to %d" % (c.OLDEST, c.VERSION)
            self._answer(c.ERROR, error_body(BAD_VERSION, text), CLOSED)
            return events.REFUSED, BAD_VERSION, "the desktop speaks versions %d to %d" % (hello.oldest, hello.version)
        version = min(hello.version, c.VERSION)
        self.peer = Peer(version, hello.desktop_id, hello.name, "", hello.flags, announced(hello.max_message))
        self.state = DECIDING
        return events.GREETED, self.peer

    def _take_proof(self, body: memoryview) -> "Event | None":
        proof = Proof.from_bytes(body)
        if self._key is None:
            self._answer(c.ERROR, error_body(NOT_PAIRED), GREETED)
            return None
        if not same(proof.mac, proof_mac(self._key, True, self._hellos, self.binding)):
            self._answer(c.ERROR, error_body(PROOF_FAILED), CLOSED)
            return events.REFUSED, PROOF_FAILED, "the desktop does not hold the partnership key"
        self.state = DECIDING
        self._pairing = False
        return events.READY, self._known()

    def _take_pair_cable(self, body: memoryview) -> "Event | None":
        if not self._flags & c.CABLE:
            self._answer(c.ERROR, error_body(NOT_ALLOWED, "pairing by possession needs a cable"), GREETED)
            return None
        self._new = pairing.PairCable.from_bytes(body).key
        return self._decide_pairing((events.PAIRED, self._known(), self._new))

    def _take_spake(self, body: memoryview) -> "Event | None":
        if not self._flags & c.CODE:
            self._answer(c.ERROR, error_body(NOT_ALLOWED, "pairing by code is not open here"), GREETED)
            return None
        self._blob = pairing.PairSpake.from_bytes(body).blob
        return self._decide_pairing((events.CODE_WANTED, self._known()))

    def _take_confirm(self, body: memoryview) -> "Event | None":
        peer, mac = self._known(), pairing.PairConfirm.from_bytes(body).mac
        if self._new is None or not same(mac, pair_mac(self._new, True, peer.id, self.me.id)):
            self._answer(c.ERROR, error_body(WRONG_CODE), GREETED)
            return events.REFUSED, WRONG_CODE, "the desktop used a wrong code, or something stands between the two ends"
        return self._decide_pairing((events.PAIRED, peer, self._new))

    def _decide_pairing(self, event: "Event") -> "Event":
        self.state = DECIDING
        self._pairing = True
        return event

    def _answer(self, kind: int, body: bytes, state: int) -> None:
        self.state = state
        self._send(kind, self._request, body)

    # --- requests --------------------------------------------------------------------------------------------------

    def reply(self, request: int, kind: int, body: "Bytes | list[Bytes]" = b"", more: bool = False) -> None:
        """Answer a request, or send a part of the answer."""
        self._expect(OPEN)
        if not answers(self._open.get(request), kind):
            raise LocalError(BAD_MESSAGE, "message %d does not answer request %d" % (kind, request))
        self._send(kind | (c.MORE if more else 0), request, body)
        if not more:
            self._answered(request)

    def fail(self, request: int, status: int, text: str = "") -> None:
        """Answer a request by an error, at any point of its answer. Further parts of it are dropped."""
        self._expect(OPEN)
        if request not in self._open:
            raise LocalError(BAD_MESSAGE, "request %d is not open" % request)
        self._send(c.ERROR, request, error_body(status, text))
        self._answered(request)

    def alive(self) -> None:
        """Say that we are at work: an answer to no PING, which is taken silently."""
        self._send(c.PONG, c.NO_REQUEST, b"")

    def _answered(self, request: int) -> None:
        self._open.pop(request, None)
        if request in self._parts:
            self._parts[request] = _NO_PARTS

    def _take_open(self, kind: int, request: int, body: memoryview, more: bool) -> "Event | None":
        begun = self._parts.get(request)
        if begun is None and (request in self._open or request == c.NO_REQUEST):
            raise RemoteError(BAD_MESSAGE, "request %d is already open" % request)
        if begun is None and self.free_requests() <= 0:
            raise RemoteError(LIMIT, "more than %d requests at once" % self._known().max_requests)
        self._note_part(request, _NO_PARTS if begun == _NO_PARTS else kind, more)
        if begun == _NO_PARTS:
            return None
        if begun is not None and begun != kind:
            raise RemoteError(BAD_MESSAGE, "request %d changed its kind" % request)
        if kind not in REQUESTS:
            self._send(c.ERROR, request, error_body(UNKNOWN_KIND, "message kind %d is not known here" % kind))
            self._answered(request)
            return None
        self._open[request] = kind
        return events.REQUEST, kind, request, body, more
