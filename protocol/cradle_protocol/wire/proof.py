"""The MACs of the handshake: what is signed and in whose name. Holds no key, compares nothing.

Every MAC names its maker's role, so that none can be played back to its maker (CE-26); the proof covers both hellos as
sent and the channel, so that none is good in another session or through somebody else's TLS.
"""

from cradle_protocol.compat import hmac_sha256, sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from cradle_protocol.compat import Bytes

    class Pake(Protocol):
        """One run of a password-authenticated key exchange (SPAKE2). Handed in: a board has none."""

        def start(self) -> bytes:
            """This end's blob."""
            ...

        def finish(self, blob: bytes) -> bytes:
            """The shared secret, 32 bytes. Raises ValueError for a blob that is none."""
            ...


KEY_SIZE = 32  # bytes of a partnership key: HMAC-SHA-256's full strength


def _role(desktop: bool) -> bytes:
    return b"desktop" if desktop else b"device"


def transcript(hello: "Bytes", reply: "Bytes") -> bytes:
    """SHA-256 over the bodies of HELLO and HELLO_REPLY as sent."""
    seen = sha256(hello)
    seen.update(reply)
    return seen.digest()


def proof_mac(key: bytes, desktop: bool, hellos: bytes, binding: bytes) -> bytes:
    """The proof that this role holds the key. `binding` is SHA-256 of the TLS server's certificate, b"" without TLS."""
    return hmac_sha256(key, b"cradle proof " + _role(desktop) + hellos + binding)


def pair_mac(key: bytes, desktop: bool, desktop_id: bytes, device_id: bytes) -> bytes:
    """The confirmation that this role has the new key for these two ids: PAIR_CONFIRM and PAIR_DONE."""
    return hmac_sha256(key, b"cradle pair " + _role(desktop) + desktop_id + device_id)


def code_key(secret: bytes, desktop_id: bytes, device_id: bytes, binding: bytes) -> bytes:
    """The partnership key that follows from the secret of a SPAKE2 run: for these ids, over this certificate only."""
    return hmac_sha256(secret, b"cradle partnership" + desktop_id + device_id + binding)
