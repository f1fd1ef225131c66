"""What differs between MicroPython and CPython, and the few primitives both rooms share. Not a place for helpers."""

import binascii
import hashlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    Bytes = bytes | bytearray | memoryview

    class Hash(Protocol):
        """What both interpreters' hashes can do. `digest` may be called once only."""

        def update(self, __data: Bytes) -> None: ...
        def digest(self) -> bytes: ...


MICROPYTHON = sys.implementation.name == "micropython"

if TYPE_CHECKING or not MICROPYTHON:

    def const(value: int) -> int:
        """MicroPython's compiler folds `NAME = const(n)`; elsewhere it is the number itself."""
        return value
else:
    from micropython import const


# Ticks are milliseconds modulo 2**30, as time.ticks_ms() of MicroPython counts them: no tick is a heap object there.
TICKS_MASK = const(0x3FFFFFFF)
_TICKS_HALF = const(0x20000000)


def ticks_add(ticks: int, delta: int) -> int:
    """The tick `delta` ms after `ticks`."""
    return (ticks + delta) & TICKS_MASK


def ticks_diff(later: int, earlier: int) -> int:
    """Milliseconds from `earlier` to `later`, negative if `later` comes first; right for spans below six days.

    Either may also be a count that never wraps: only the low 30 bits matter.
    """
    delta = (later - earlier) & TICKS_MASK
    return delta if delta < _TICKS_HALF else delta - TICKS_MASK - 1


def crc32(data: "Bytes", seed: int = 0) -> int:
    """CRC-32 of IEEE 802.3 (RFC 1662's FCS-32), 0 to 2**32 - 1."""
    return binascii.crc32(data, seed) & 0xFFFFFFFF


def sha256(data: "Bytes" = b"") -> "Hash":
    """A running SHA-256 that has seen `data`."""
    return hashlib.sha256(data)


_BLOCK = const(64)  # bytes, SHA-256's block (RFC 2104's B)
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


def _masked(block: bytes, table: bytes) -> bytes:
    """Each byte's entry in a table."""
    return bytes(table[byte] for byte in block) if MICROPYTHON else block.translate(table)


def hmac_sha256(key: bytes, data: "Bytes") -> bytes:
    """HMAC-SHA-256 (RFC 2104), 32 bytes."""
    if len(key) > _BLOCK:
        key = sha256(key).digest()
    block = key + b"\x00" * (_BLOCK - len(key))
    inner = sha256(_masked(block, _INNER))
    inner.update(data)
    outer = sha256(_masked(block, _OUTER))
    outer.update(inner.digest())
    return outer.digest()


def same(a: "Bytes", b: "Bytes") -> bool:
    """Are they equal? The time taken says nothing about where they differ (it does say whether the lengths do)."""
    if len(a) != len(b):
        return False
    difference = 0
    for i in range(len(a)):
        difference |= a[i] ^ b[i]
    return difference == 0
