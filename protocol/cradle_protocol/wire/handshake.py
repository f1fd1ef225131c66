"""The part of a session before its first request: hello, pairing, proof. Not what comes after; `session` adds that.

Theory of operation. One table says which message is expected in which state; what is not in it is refused. Desktop and
device run the same machine: a state in which a request of ours is out belongs to the desktop, one in which the owner
has to decide belongs to the device. The owner decides between two events (`greet`, `accept`, `confirm_pairing`,
`refuse` ...), so this object never has to ask for a key, a code or a limit, and never waits.

    desktop  FRESH -HELLO_REPLY-> GREETED -prove-> PROVING -PROOF_REPLY-> OPEN
             GREETED -pair_by_cable-> PAIRING -PAIR_DONE-> GREETED
             GREETED -pair_by_code-> EXCHANGING -PAIR_SPAKE_REPLY-> PAIRING -PAIR_DONE-> GREETED
    device   FRESH -HELLO-> DECIDING -greet-> GREETED -PROOF-> DECIDING -accept-> OPEN
             GREETED -PAIR_CABLE-> DECIDING -confirm_pairing-> GREETED
             GREETED -PAIR_SPAKE-> DECIDING -pair_by_code-> CONFIRMING
             CONFIRMING -PAIR_CONFIRM-> DECIDING -confirm_pairing-> GREETED
"""

from cradle_protocol.compat import const, same
from cradle_protocol.errors import (
    BAD_MESSAGE,
    BAD_VERSION,
    NOT_ALLOWED,
    NOT_PAIRED,
    PROOF_FAILED,
    WRONG_CODE,
    LocalError,
    RemoteError,
)
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import events
from cradle_protocol.wire.messages import pairing
from cradle_protocol.wire.messages.session import Error, Hello, HelloReply, Proof, ProofReply
from cradle_protocol.wire.proof import KEY_SIZE, code_key, pair_mac, proof_mac, transcript

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

# (desktop, state, kind of the message) -> method that takes it
_TABLE = {
    (True, FRESH, c.HELLO_REPLY): "_take_hello_reply",
    (True, PROVING, c.PROOF_REPLY): "_take_proof_reply",
    (True, PAIRING, c.PAIR_DONE): "_take_pair_done",
    (True, EXCHANGING, c.PAIR_SPAKE_REPLY): "_take_spake_reply",
    (False, FRESH, c.HELLO): "_take_hello",
    (False, GREETED, c.PROOF): "_take_proof",
    (False, GREETED, c.PAIR_CABLE): "_take_pair_cable",
    (False, GREETED, c.PAIR_SPAKE): "_take_spake",
    (False, CONFIRMING, c.PAIR_CONFIRM): "_take_confirm",
}


def error_body(status: int, text: str = "") -> bytes:
    """The body of an ERROR."""
    return Error(status, text[: c.ERROR_TEXT]).to_bytes()


def _announced(max_message: int) -> int:
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
    """States, keys and messages of the handshake. `Session` is the whole; use that."""

    def __init__(self, desktop: bool, me: Identity, nonce: bytes, max_message: int, binding: bytes = b"") -> None:
        self.desktop = desktop
        self.me = me
        self.nonce = nonce
        self.max_message = max_message
        self.binding = binding
        self.peer: "Peer | None" = None
        self.state = FRESH
        self._flags = 0  # of the device's HELLO_REPLY
        self._key: "bytes | None" = None  # of the partnership
        self._new: "bytes | None" = None  # of the pairing that is going on
        self._pairing = False  # the decision that is open is about a pairing
        self._hello = b""  # body as sent or received
        self._hellos = b""  # transcript of both
        self._request = c.NO_REQUEST  # of ours that is out, or of the peer's that waits for an answer
        self._pake: "Pake | None" = None
        self._blob = b""
        if desktop:
            self._hello = Hello(c.VERSION, c.OLDEST, me.id, me.name, nonce, 0, max_message).to_bytes()
            self._ask(c.HELLO, self._hello)

    # --- what `Session` does for it --------------------------------------------------------------------------------

    def _send(self, kind: int, request: int, body: "Bytes") -> None:
        raise NotImplementedError

    def _opened(self) -> None:
        raise NotImplementedError

    # --- desktop ---------------------------------------------------------------------------------------------------

    def prove(self, key: bytes) -> None:
        """Prove that we hold the partnership key. Ends in READY or REFUSED."""
        self._expect(True, GREETED)
        self._key = key
        self.state = PROVING
        self._ask(c.PROOF, Proof(proof_mac(key, True, self._hellos, self.binding)).to_bytes())

    def pair_by_cable(self, key: bytes) -> None:
        """Give the device a new key over this cable. Ends in PAIRED or REFUSED."""
        self._expect(True, GREETED)
        if not self._known().flags & c.CABLE:
            raise LocalError(NOT_ALLOWED, "this link is no cable: the key must not cross it")
        self._new = key
        self.state = PAIRING
        self._ask(c.PAIR_CABLE, pairing.PairCable(key).to_bytes())

    def pair_by_code(self, pake: "Pake") -> None:
        """Derive a new key from the code: desktop in answer to GREETED, device in answer to CODE_WANTED."""
        self._pake = pake
        if self.desktop:
            self._expect(True, GREETED)
            self.state = EXCHANGING
            self._ask(c.PAIR_SPAKE, pairing.PairSpake(pake.start()).to_bytes())
            return
        self._expect(False, DECIDING)
        blob = pake.start()
        self._new = self._shared_key(self._blob)
        if self._new is None:
            self._answer(c.ERROR, error_body(WRONG_CODE), GREETED)
        else:
            self._answer(c.PAIR_SPAKE_REPLY, pairing.PairSpakeReply(blob).to_bytes(), CONFIRMING)

    # --- device ----------------------------------------------------------------------------------------------------

    def greet(self, key: "bytes | None", flags: int = 0) -> None:
        """Answer GREETED: the key held for this desktop or None, and which of CABLE, CODE, REPL hold on this link."""
        self._expect(False, DECIDING)
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
        self._expect(False, DECIDING)
        mac = proof_mac(self._held(), False, self._hellos, self.binding)
        self._known().max_requests = max_requests
        reply = ProofReply(mac, max_requests, batch_items, batch_bytes, device_time, types).to_bytes()
        self._answer(c.PROOF_REPLY, reply, OPEN)
        self._opened()

    def confirm_pairing(self) -> None:
        """Answer PAIRED: the key is durable."""
        self._expect(False, DECIDING)
        self._key = self._new
        mac = pair_mac(self._held(), False, self._known().id, self.me.id)
        self._answer(c.PAIR_DONE, pairing.PairDone(mac).to_bytes(), GREETED)

    def refuse(self, status: int, text: str = "") -> None:
        """Answer GREETED, READY, PAIRED or CODE_WANTED by no. After a refused hello or proof the session is over."""
        self._expect(False, DECIDING)
        self._answer(c.ERROR, error_body(status, text), GREETED if self._pairing else CLOSED)

    # --- messages that come ----------------------------------------------------------------------------------------

    def _take(self, kind: int, request: int, body: memoryview) -> "Event | None":
        """A message before the session is open."""
        if self.desktop and (request != self._request or self.state == GREETED):
            raise RemoteError(BAD_MESSAGE, "an answer to request %d came, which is not open" % request)
        if self.desktop and kind == c.ERROR:
            return self._take_error(Error.from_bytes(body))
        self._request = request
        method = _TABLE.get((self.desktop, self.state, kind))
        if method is None:
            if self.desktop or self.state != GREETED or kind == c.ERROR:
                raise RemoteError(BAD_MESSAGE, "message %d came out of turn" % kind)
            self._answer(c.ERROR, error_body(NOT_PAIRED), GREETED)
            return None
        event: Event = getattr(self, method)(body)
        return event

    def _take_hello(self, body: memoryview) -> "Event | None":
        hello = Hello.from_bytes(body)
        self._hello = bytes(body)
        if hello.oldest > c.VERSION or hello.version < c.OLDEST:
            text = "this end speaks versions %d to %d" % (c.OLDEST, c.VERSION)
            self._answer(c.ERROR, error_body(BAD_VERSION, text), CLOSED)
            return events.REFUSED, BAD_VERSION, "the desktop speaks versions %d to %d" % (hello.oldest, hello.version)
        version = min(hello.version, c.VERSION)
        self.peer = Peer(version, hello.desktop_id, hello.name, "", hello.flags, _announced(hello.max_message))
        self.state = DECIDING
        return events.GREETED, self.peer

    def _take_hello_reply(self, body: memoryview) -> "Event | None":
        reply = HelloReply.from_bytes(body)
        if not c.OLDEST <= reply.version <= c.VERSION:
            return self._end(BAD_VERSION, "the device speaks version %d" % reply.version)
        self._hellos = transcript(self._hello, body)
        limit = _announced(reply.max_message)
        self.peer = Peer(reply.version, reply.device_id, reply.name, reply.agent, reply.flags, limit)
        self.state = GREETED
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

    def _take_error(self, error: Error) -> "Event | None":
        """The device said no: to a pairing, or to a proof for want of one, we may try something else."""
        again = self.state in (PAIRING, EXCHANGING) or (self.state == PROVING and error.status == NOT_PAIRED)
        self.state = GREETED if again else CLOSED
        return events.REFUSED, error.status, error.text or str(RemoteError(error.status))

    # --- small things ----------------------------------------------------------------------------------------------

    def _decide_pairing(self, event: "Event") -> "Event":
        self.state = DECIDING
        self._pairing = True
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

    def _ask(self, kind: int, body: bytes) -> None:
        self._request = self._request % c.REQUEST_LIMIT + 1
        self._send(kind, self._request, body)

    def _answer(self, kind: int, body: bytes, state: int) -> None:
        self.state = state
        self._send(kind, self._request, body)

    def _end(self, status: int, text: str) -> "Event":
        """End the session because of what the peer is."""
        self._send(c.ERROR, c.NO_REQUEST, error_body(status))
        self.state = CLOSED
        return events.REFUSED, status, text

    def _expect(self, desktop: bool, state: int) -> None:
        if self.desktop != desktop or self.state != state:
            raise LocalError(BAD_MESSAGE, "the session is not where this can be done (state %d)" % self.state)

    def _known(self) -> Peer:
        if self.peer is None:
            raise LocalError(BAD_MESSAGE, "the other end has not said hello")
        return self.peer

    def _held(self) -> bytes:
        if self._key is None or len(self._key) != KEY_SIZE:
            raise LocalError(BAD_MESSAGE, "there is no key of %d bytes" % KEY_SIZE)
        return self._key
