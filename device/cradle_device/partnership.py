"""Who this device is and which desktops it is paired with, in a log that only the owner may read. Proves nothing.

kinds   IDENTITY 16 device id · PARTNER 16 desktop id, 32 key, name
"""

from cradle_device import system
from cradle_device.log import Log
from cradle_protocol.compat import const
from cradle_protocol.errors import LIMIT, NO_ENTROPY, LocalError

_IDENTITY = const(1)
_PARTNER = const(2)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Keyring(Protocol):
        """What an agent asks of `Partnerships`, or of what stands in its place."""

        device_id: bytes

        def key_of(self, desktop_id: bytes) -> "bytes | None": ...
        def partners(self) -> "list[tuple[bytes, str]]": ...
        def add(self, desktop_id: bytes, key: bytes, name: str) -> None: ...
        def remove(self, desktop_id: bytes) -> None: ...
        def close(self) -> None: ...


# Desktops that a device remembers: a household and an office; at 100 bytes each no board feels them.
MAX_PARTNERS = 32
# Characters of a desktop's name that are kept.
_NAME = 64
# Bytes of log beyond which replaced records are worth a rewrite.
_REWRITE_AT = 8192
_SIZE = 512


class Partnerships:
    """The identity and the keys. Everything is durable when a method returns.

    device_id  16 random bytes, made at the first start; zeros on a machine that has no source of entropy
    """

    def __init__(self, path: str) -> None:
        self._partners: dict[bytes, tuple[bytes, str]] = {}
        self.device_id = bytes(16)
        self._log = Log(path, _SIZE)
        for _, kind, buffer, start, end in self._log.replay():
            self._take(kind, bytes(buffer[start:end]))
        if self._log.torn or self._log.end > _REWRITE_AT:
            self._rewrite()
        if self.device_id == bytes(16):
            self._make_identity()

    def close(self) -> None:
        self._log.close()

    def key_of(self, desktop_id: bytes) -> "bytes | None":
        """The partnership key held for a desktop."""
        found = self._partners.get(desktop_id)
        return None if found is None else found[0]

    def partners(self) -> "list[tuple[bytes, str]]":
        """(desktop id, name) of each paired desktop."""
        return [(i, name) for i, (_, name) in self._partners.items()]

    def add(self, desktop_id: bytes, key: bytes, name: str) -> None:
        """Remember a partnership, in place of an earlier one with the same desktop."""
        if self.device_id == bytes(16):
            raise LocalError(NO_ENTROPY, "this device has no source of randomness and cannot be paired")
        if desktop_id not in self._partners and len(self._partners) >= MAX_PARTNERS:
            raise LocalError(LIMIT, "this device is paired with %d desktops already: unpair one" % MAX_PARTNERS)
        self._append(_PARTNER, desktop_id + key + name[:_NAME].encode())

    def remove(self, desktop_id: bytes) -> None:
        """Forget a partnership; no error if there is none."""
        found = self._partners.pop(desktop_id, None)
        if found is None:
            return
        try:
            self._rewrite()
        except OSError:
            self._partners[desktop_id] = found  # as it is on flash
            raise

    def _append(self, kind: int, payload: bytes) -> None:
        end = self._log.end
        try:
            self._log.append(kind, payload)
            self._log.flush()
        except OSError:
            self._log.undo(end)
            raise
        self._take(kind, payload)

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == _IDENTITY:
            self.device_id = payload
        elif kind == _PARTNER:
            self._partners[payload[:16]] = payload[16:48], payload[48:].decode()

    def _make_identity(self) -> None:
        try:
            self._append(_IDENTITY, system.random_bytes(16))
        except LocalError:
            pass  # such a machine works but for pairing, which says why

    def _rewrite(self) -> None:
        """A log without what was forgotten: a key that was given up does not stay on flash."""
        log = self._log.successor()
        if self.device_id != bytes(16):
            log.append(_IDENTITY, self.device_id)
        for desktop_id, (key, name) in self._partners.items():
            log.append(_PARTNER, desktop_id + key + name.encode())
        self._log.rewrite(log)
