"""What a stream remembers beside its rows, in a small log: its id, how far each desktop is, and clocks it was told.

STREAM  16 stream id, hardware · CURSOR 16 desktop id, u32 row · GONE 16 desktop id, u32 row
PAIR    u32 era, u48 device's time, u48 true time of one moment (milliseconds since 1970)
"""

from struct import pack, unpack, unpack_from

from cradle_device import system
from cradle_device.log import Log
from cradle_protocol.compat import MICROPYTHON, const

_STREAM, _CURSOR, _GONE, _PAIR = const(1), const(2), const(3), const(4)
# Bytes of log beyond which replaced records are worth a rewrite.
_REWRITE_AT = 4096
_SIZE = 256
# Eras whose clock is remembered: those in which a desktop came by, of rows that are still here.
_PAIRS = 16 if MICROPYTHON else 256
_SHIFT, _LOW = const(32), const(0xFFFFFFFF)  # u48 is u16 and u32


class Cursors:
    """Changes are durable after `flush`. `first`: where a new stream begins.

    stream   16 bytes
    rows     {desktop id: the first row that it does not have}
    pairs    {era: (device's time, true time)}
    passed   rows before this one were passed by all desktops that there were
    """

    def __init__(self, path: str, hardware: bytes, first: int = 0) -> None:
        self.stream = b""
        self.rows: dict[bytes, int] = {}
        self.pairs: dict[int, tuple[int, int]] = {}
        self.passed = 0
        self._hardware = known = hardware[: _SIZE // 2]
        self._broken = False  # the log could not be written: it is made anew
        self._log = Log(path, _SIZE)
        for _, kind, buffer, start, end in self._log.replay():
            payload = bytes(buffer[start:end])
            if kind == _STREAM:
                known = payload[16:]
            self._take(kind, payload)
        if not self.stream or (known and self._hardware and known != self._hardware):
            # A copied card goes on as a stream of its own.
            self._renew(self.all_have() if self.stream else first)
        if self._broken or self._log.torn or (self._hardware and not known):
            self._broken = True
            try:
                self.flush()
            except OSError:
                pass  # a program starts all the same; no session goes on before it is written

    def close(self) -> None:
        """What was not flushed may be lost, as in a power cut."""
        self._log.close()

    def renew(self, first: int) -> None:
        """Be another stream from now on: nobody has any row of it, and it begins at `first`. OSError."""
        self._renew(first)
        self.flush()

    def _renew(self, first: int) -> None:
        self.stream, self.rows, self.passed = system.random_bytes(16), {}, first
        self._broken = True

    def set(self, desktop: bytes, row: int) -> None:
        """This desktop has all rows before this one."""
        if self.rows.get(desktop) != row:
            self._append(_CURSOR, desktop + pack(">I", row))

    def forget(self, desktop: bytes) -> None:
        """This desktop wants no more rows. OSError."""
        if desktop in self.rows:
            self._append(_GONE, desktop + pack(">I", max(self.passed, self.all_have())))
            self.flush()

    def all_have(self) -> int:
        """The first row that some desktop does not have yet."""
        return min(self.rows.values()) if self.rows else self.passed

    def pair(self, era: int, device: int, true: int) -> None:
        """At `device` by this era's clock it was `true`."""
        self._append(_PAIR, _pair(era, device, true))

    def flush(self) -> None:
        """OSError: it is written another time."""
        try:
            if self._broken or self._log.end > _REWRITE_AT:
                self._rewrite()
            self._log.flush()
        except OSError:
            self._broken = True
            raise
        self._broken = False

    def _append(self, kind: int, payload: bytes) -> None:
        self._take(kind, payload)
        try:
            if not self._broken:
                self._log.append(kind, payload)
        except OSError:
            self._broken = True

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == _STREAM:
            self.stream = payload[:16]
        elif kind == _PAIR:
            era, device, low, true, true_low = unpack(">IHIHI", payload)
            self.pairs[era] = device << _SHIFT | low, true << _SHIFT | true_low
            if len(self.pairs) > _PAIRS:
                self.pairs.pop(min(self.pairs))
        elif kind == _CURSOR:
            (self.rows[payload[:16]],) = unpack_from(">I", payload, 16)
        else:
            (self.passed,) = unpack_from(">I", payload, 16)
            self.rows.pop(payload[:16], None)

    def _rewrite(self) -> None:
        """A log of what counts."""
        log = self._log.successor()
        log.append(_STREAM, self.stream + self._hardware)
        log.append(_GONE, bytes(16) + pack(">I", self.passed))
        for desktop, row in self.rows.items():
            log.append(_CURSOR, desktop + pack(">I", row))
        for era, (device, true) in self.pairs.items():
            log.append(_PAIR, _pair(era, device, true))
        self._log.rewrite(log)


def _pair(era: int, device: int, true: int) -> bytes:
    return pack(">IHIHI", era, device >> _SHIFT, device & _LOW, true >> _SHIFT, true & _LOW)
