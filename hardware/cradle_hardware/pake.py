"""SPAKE2 for pairing by code, as the session takes it: one object for one try at one end. The package is `spake2`."""

from cradle_hardware.link import DriverMissing

BLOB_SIZE = 33  # bytes: the side's letter and a point of Ed25519's group


class Pake:
    """Both ends that used the same code and ids get the same secret; with another code they get different ones."""

    def __init__(self, code: str, desktop: bool, desktop_id: bytes, device_id: bytes) -> None:
        try:
            from spake2 import SPAKE2_A, SPAKE2_B
        except ImportError as error:
            raise DriverMissing("pairing codes", "network") from error
        side = SPAKE2_A if desktop else SPAKE2_B
        self._exchange = side(code.encode(), idA=desktop_id, idB=device_id)

    def start(self) -> bytes:
        """Our message to the other end. Once."""
        blob: bytes = self._exchange.start()
        return blob

    def finish(self, blob: bytes) -> bytes:
        """The shared secret, 32 bytes, from the other end's message. Once, after start().

        ValueError if that is no message of the other end: wrong length, no point, our own sent back.
        """
        from spake2 import SPAKEError
        from spake2.ed25519_basic import NotOnCurve

        if len(blob) != BLOB_SIZE:
            raise ValueError("a SPAKE2 message has 33 bytes")
        try:
            secret: bytes = self._exchange.finish(bytes(blob))
        except (SPAKEError, NotOnCurve, ValueError) as error:
            raise ValueError("that is no SPAKE2 message of the other end") from error
        return secret
