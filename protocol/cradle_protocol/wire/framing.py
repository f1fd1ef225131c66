"""Frames on a serial line: RFC 1662 octet stuffing with its FCS-32, and console text between them. No ARQ.

    7E | stuffed(body, CRC-32 of it, little-endian) | 7E

The first octet of a body is F9 or FB (`link`), which UTF-8 text never holds, and frames never share a flag. So what
follows a flag and starts so is a frame, good or damaged; all else is text that the device's program printed.
"""

import struct

from cradle_protocol.compat import MICROPYTHON, const, crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.compat import Bytes

FLAG = const(0x7E)
ESCAPE = const(0x7D)
FLIP = const(0x20)  # an escaped octet travels with this bit inverted
FCS_SIZE = const(4)

ESCAPES_PLAIN = b"\x7d\x7e"
# Toward a port that may be a REPL: Ctrl-A to Ctrl-E switch and stop it, CR runs a line, and so does LF at a prompt of
# MicroPython's unix port or of a shell. None of them may ever reach it.
ESCAPES_REPL = b"\x7d\x7e\x01\x02\x03\x04\x05\x0a\x0d"

TO_DEVICE = const(0xF9)  # first octet of every frame that a desktop sends
TO_DESKTOP = const(0xFB)  # first octet of every frame that a device sends

# Octets: below this a loop costs a board no more time than a slice (a microsecond or two), and no memory.
SHORT_RUN = const(16)

# Where each octet to escape comes next; one list for all frames, since a frame is stuffed in one go.
_NEXTS = [0] * len(ESCAPES_REPL)

# What `Deframer.next` gives
FRAME = const(1)
DAMAGED = const(2)
CONSOLE = const(3)

_FLAG = b"\x7e"
_STARTS = (TO_DEVICE, TO_DESKTOP)
_STOPS = (_FLAG, b"\xf9", b"\xfb")


def stuffed_size(body: int) -> int:
    """The most octets that a frame with a body of this length takes on the line."""
    return 2 * (body + FCS_SIZE) + 2


def _pairs(escapes: bytes) -> "list[tuple[bytes, bytes]]":
    """What is replaced by what; the escape octet itself comes first."""
    ordered = sorted(escapes, reverse=True)
    ordered.remove(ESCAPE)
    return [(bytes([octet]), bytes([ESCAPE, octet ^ FLIP])) for octet in [ESCAPE] + ordered]


def stuff_by_replace(data: "Bytes", pairs: "list[tuple[bytes, bytes]]", out: memoryview, at: int) -> int:
    """Write `data` stuffed to out[at:]; where it ends. One pass of C for each escape: the way of CPython."""
    done = bytes(data)
    for plain, escaped in pairs:
        if plain in done:
            done = done.replace(plain, escaped)
    end = at + len(done)
    out[at:end] = done
    return end


def _copy(source: memoryview, start: int, end: int, out: memoryview, at: int) -> int:
    """Copy source[start:end] to out[at:]; where it ends. Short runs go one by one: a slice would be garbage."""
    if end - start > SHORT_RUN:
        out[at : at + end - start] = source[start:end]
        return at + end - start
    while start < end:
        out[at] = source[start]
        at += 1
        start += 1
    return at


def stuff_by_slices(data: bytearray, size: int, pairs: "list[tuple[bytes, bytes]]", out: memoryview, at: int) -> int:
    """Write data[:size] stuffed to out[at:]; where it ends. Finds and copies, with little garbage: the way of a board.

    The octets to escape are looked for one by one, and the nearest decides; each is looked for again only when it was
    passed, so the line is searched once for each, as in `stuff_by_replace`.
    """
    view = memoryview(data)
    nexts = _NEXTS
    count = len(pairs)
    for i in range(count):
        nexts[i] = data.find(pairs[i][0], 0, size)
    start = 0
    while True:
        nearest, which = size, -1
        for i in range(count):
            if 0 <= nexts[i] < nearest:
                nearest, which = nexts[i], i
        at = _copy(view, start, nearest, out, at)
        if which < 0:
            return at
        out[at] = ESCAPE
        out[at + 1] = data[nearest] ^ FLIP
        at += 2
        start = nearest + 1
        nexts[which] = data.find(pairs[which][0], start, size)


def unstuff_by_replace(data: bytearray, start: int, end: int, out: memoryview) -> int:
    """Undo the stuffing of data[start:end] into out; how many octets, or -1 if it is damaged. The way of CPython."""
    done = data[start:end]
    if _ESCAPE_OCTET in done:
        for plain, escaped in _UNDO:
            if escaped in done:
                done = done.replace(escaped, plain)
    size = len(done)
    if size > len(out):
        return -1
    out[:size] = done
    return size


def unstuff_by_slices(data: bytearray, start: int, end: int, out: memoryview) -> int:
    """Undo the stuffing of data[start:end] into out; how many octets, or -1 if it is damaged. The way of a board."""
    view = memoryview(data)
    size = 0
    while True:
        found = data.find(_ESCAPE_OCTET, start, end)
        stop = end if found < 0 else found
        if size + stop - start + (found >= 0) > len(out):
            return -1
        size = _copy(view, start, stop, out, size)
        if found < 0:
            return size
        if found + 1 == end:
            return -1
        out[size] = data[found + 1] ^ FLIP
        size += 1
        start = found + 2


_ESCAPE_OCTET = b"\x7d"
# The escape octet comes last: what undoing it leaves must not be taken for the start of a pair.
_UNDO = _pairs(ESCAPES_REPL)[::-1] if not MICROPYTHON else []


class Framer:
    """Puts bodies into frames. Holds one buffer of the longest body; allocates nothing per frame on a board."""

    def __init__(self, max_body: int, escapes: bytes = ESCAPES_REPL) -> None:
        self._body = bytearray(max_body + FCS_SIZE)
        self._view = memoryview(self._body)
        self.set_escapes(escapes)

    def set_escapes(self, escapes: bytes) -> None:
        """From the next frame on, escape these octets."""
        self._pairs = _pairs(escapes)

    def frame(self, head: "Bytes", info: "Bytes | None", out: memoryview) -> int:
        """Write the frame of head + info to `out`, which holds `stuffed_size` octets; how long it is."""
        size = len(head)
        self._view[:size] = head
        if info is not None:
            self._view[size : size + len(info)] = info
            size += len(info)
        struct.pack_into("<I", self._body, size, crc32(self._view[:size]))
        size += FCS_SIZE
        out[0] = FLAG
        if MICROPYTHON:
            end = stuff_by_slices(self._body, size, self._pairs, out, 1)
        else:
            end = stuff_by_replace(self._view[:size], self._pairs, out, 1)
        out[end] = FLAG
        return end + 1


if MICROPYTHON:
    _unstuff = unstuff_by_slices
else:
    _unstuff = unstuff_by_replace


class Deframer:
    """Finds frames and console text in what a serial line brings. Two buffers, of the longest frame stuffed and plain.

    A frame whose flag was lost is still found by its first octet, and a flag that closes one frame may open the next:
    both are more than a sender may count on.
    """

    def __init__(self, max_body: int) -> None:
        self._raw = bytearray(stuffed_size(max_body))
        self._view = memoryview(self._raw)
        self._start = 0  # of what is not taken yet
        self._end = 0
        self._seen = 0  # up to here the frame has no flag
        self._framed = False  # _start is the first octet of a frame
        self._skipping = False  # up to the next flag: the frame was too long
        self._body = bytearray(max_body + FCS_SIZE)
        self._plain = memoryview(self._body)
        self._fcs = bytearray(FCS_SIZE)

    def feed(self, data: "Bytes") -> int:
        """Take in as much of `data` as there is room for; how much. What `next` gave before is no longer valid."""
        if self._start:
            held = self._end - self._start
            self._view[:held] = self._view[self._start : self._end]
            self._seen -= self._start
            self._start, self._end = 0, held
        count = min(len(data), len(self._raw) - self._end)
        self._view[self._end : self._end + count] = data if count == len(data) else memoryview(data)[:count]
        self._end += count
        return count

    def next(self) -> "tuple[int, Bytes | None] | None":
        """The next of these, or None if more octets are needed.

        (FRAME, body)       valid until `feed` or `next`
        (DAMAGED, octets)   as they came, None if there were too many for a frame
        (CONSOLE, text)     never a whole run for sure: it comes as it is read
        """
        while self._start < self._end:
            if self._framed:
                return self._next_frame()
            if self._skipping:
                flag = self._raw.find(_FLAG, self._start, self._end)
                self._skipping = flag < 0
                self._start = self._end if flag < 0 else flag + 1
                continue
            stop = self._text_end()
            if stop == self._start and self._raw[stop] == FLAG:
                if stop + 1 == self._end:
                    return None
                if self._raw[stop + 1] in _STARTS:
                    self._start += 1
                else:
                    stop += 1  # a tilde of the text
            if stop > self._start:
                start, self._start = self._start, stop
                return CONSOLE, bytes(self._view[start:stop])
            self._framed, self._seen = True, self._start
        return None

    def _text_end(self) -> int:
        """Where the text at _start stops: at a flag, or at what can only be the start of a frame that lost its flag."""
        stop = self._end
        for octet in _STOPS:
            found = self._raw.find(octet, self._start, stop)
            if found >= 0:
                stop = found
        return stop

    def _next_frame(self) -> "tuple[int, Bytes | None] | None":
        flag = self._raw.find(_FLAG, self._seen, self._end)
        if flag >= 0:
            start, self._start, self._framed = self._start, flag + 1, False
            return self._check(start, flag)
        self._seen = self._end
        if self._end - self._start < len(self._raw):
            return None
        self._framed, self._skipping, self._start = False, True, self._end
        return DAMAGED, None

    def _check(self, start: int, end: int) -> "tuple[int, Bytes | None]":
        size = _unstuff(self._raw, start, end, self._plain) - FCS_SIZE
        if size > 0:
            body = self._plain[:size]
            struct.pack_into("<I", self._fcs, 0, crc32(body))
            if self._fcs == self._plain[size : size + FCS_SIZE]:
                return FRAME, body
        return DAMAGED, self._view[start:end]
