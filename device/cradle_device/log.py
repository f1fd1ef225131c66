"""A crash-safe append-only log of records in one file. Knows records and their checksums, not what they mean.

    file    8 bytes magic, then records
    record  u16 length of payload, u8 kind, payload, u32 CRC-32 over all before it in the record; big-endian

A power cut leaves a prefix of what was appended, the last record perhaps torn: reading stops at the first record that
is not sound. Its owner ends a transaction with a record of its own and one `flush`. A log is cut shorter only by
`rewrite`: a new file, flushed, renamed over the old one. Memory: a write buffer of `size` bytes and a read window; a
successor writes through the buffer of the log that it succeeds.
"""

from struct import pack_into, unpack_from

from cradle_device import system
from cradle_protocol.compat import MICROPYTHON, crc32
from cradle_protocol.errors import LIMIT, LocalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = b"cradlog1"
HEAD = 3
TAIL = 4
# The largest payload is what the write buffer holds less head and tail. A path of 255 bytes makes a record of about
# 400; on a board 1 KiB leaves room for two in one write.
SIZE = 1024 if MICROPYTHON else 65536
# Bytes read at once: one file system block on CPython. A longer record makes the window grow to its length.
_WINDOW = 4096
_PEEP = 16  # the window of a successor, which is only written


class Log:
    """One open log. Offsets of records are stable until `rewrite`."""

    def __init__(self, path: str, size: int = SIZE, out: "bytearray | None" = None) -> None:
        self.path = path
        self.limit = size - HEAD - TAIL
        self._out = out or bytearray(size)
        self._out_view = memoryview(self._out)
        self._window = bytearray(min(size, _WINDOW) if out is None else _PEEP)
        self._filled = 0
        self._open()

    def _open(self) -> None:
        self._file = system.open_private(self.path)
        self._base = self._file.seek(0, 2)
        self._from = self._to = 0
        if self._base < len(MAGIC) or self._read_at(0, len(MAGIC)) != MAGIC:
            self._begin()
        self._unsynced = False

    def _begin(self) -> None:
        """An empty log, by rename: what was here never held one whole record."""
        self._file.close()
        system.remove(self.path + ".new")
        self._file = system.open_private(self.path + ".new")
        self._file.write(MAGIC)
        self._file.close()
        system.replace(self.path + ".new", self.path)
        self._file = system.open_private(self.path)
        self._base = len(MAGIC)
        self._from = self._to = 0

    def close(self) -> None:
        """Close without flushing: what was not flushed may be lost, as in a power cut."""
        self._file.close()

    def reopen(self) -> None:
        """Forget what was appended and not yet written out, as a restart would."""
        self._file.close()
        self._filled = 0
        self._open()

    def restart(self) -> None:
        """Drop every record."""
        self._begin()
        self._filled = 0

    def undo(self, offset: int) -> None:
        """Drop the records from an offset on, which could not be made durable: the next ones take their place."""
        self._base, self._filled = offset, 0

    def abandon(self) -> None:
        """Close and delete the file."""
        self._file.close()
        system.remove(self.path)

    # -- writing

    @property
    def end(self) -> int:
        """The offset that the next record gets."""
        return self._base + self._filled

    def reserve(self, size: int) -> int:
        """Make room for a payload of `size`; its bytes go into `buffer` at the index returned, then comes `finish`."""
        if size > self.limit:
            raise LocalError(LIMIT, "a record of %d bytes is longer than the log's limit of %d" % (size, self.limit))
        if self._filled + HEAD + size + TAIL > len(self._out):
            self._write_out()
        return self._filled + HEAD

    @property
    def buffer(self) -> bytearray:
        return self._out

    def finish(self, kind: int, size: int) -> int:
        """Complete the record whose payload was put into the buffer; returns its offset."""
        at = self._filled
        pack_into(">HB", self._out, at, size, kind)
        end = at + HEAD + size
        pack_into(">I", self._out, end, crc32(self._out_view[at:end]))
        self._filled = end + TAIL
        return self._base + at

    def append(self, kind: int, payload: "bytes | bytearray | memoryview") -> int:
        """Append one record; returns its offset."""
        size = len(payload)
        at = self.reserve(size)
        self._out[at : at + size] = payload
        return self.finish(kind, size)

    def flush(self) -> None:
        """Everything appended survives a power cut when this returns."""
        self._write_out()
        if self._unsynced:
            system.sync_file(self._file)
            self._unsynced = False

    def _write_out(self) -> None:
        if not self._filled:
            return
        self._file.seek(self._base)
        at = 0
        while at < self._filled:
            at += self._file.write(self._out_view[at : self._filled]) or 0
        self._base += self._filled
        self._filled = 0
        self._unsynced = True

    # -- reading

    def read(self, offset: int) -> "tuple[int, bytearray, int, int]":
        """(kind, buffer, start, end of the payload in it) of the record at an offset; until the next call here."""
        if offset >= self._base:
            at = offset - self._base
            length, kind = unpack_from(">HB", self._out, at)
            return kind, self._out, at + HEAD, at + HEAD + length
        at = self._load(offset, HEAD)
        length, kind = unpack_from(">HB", self._window, at)
        at = self._load(offset, HEAD + length)
        return kind, self._window, at + HEAD, at + HEAD + length

    def _load(self, offset: int, need: int) -> int:
        """Make the window hold `need` bytes from an offset, as far as the file has them; returns where they begin."""
        if offset < self._from or offset + need > self._to:
            if need > len(self._window):
                self._window = bytearray(need)
            self._file.seek(offset)
            self._from = self._to = offset
            self._to = offset + (self._file.readinto(self._window) or 0)
        return offset - self._from

    def _read_at(self, offset: int, size: int) -> bytes:
        at = self._load(offset, size)
        return bytes(self._window[at : at + size])

    def replay(self) -> "Iterator[tuple[int, int, bytearray, int, int]]":
        """Every sound record in order as (offset, kind, buffer, start, end); `torn` if it ends unsound."""
        self.torn = False
        offset = len(MAGIC)
        while offset < self._base:
            size = self.sound(offset)
            if not size:
                self.torn = True
                self.torn_at = offset
                return
            kind, buffer, start, end = self.read(offset)
            yield offset, kind, buffer, start, end
            offset += size

    def sound(self, offset: int) -> int:
        """Size of the record at an offset on file; 0 if it is cut short or damaged."""
        at = self._load(offset, HEAD)
        if self._to - offset < HEAD:
            return 0
        (length,) = unpack_from(">H", self._window, at)
        size = HEAD + int(length) + TAIL
        if offset + size > self._base:
            return 0
        at = self._load(offset, size)
        (crc,) = unpack_from(">I", self._window, at + size - TAIL)
        return size if crc == crc32(memoryview(self._window)[at : at + size - TAIL]) else 0

    # -- rewriting

    def successor(self) -> "Log":
        """An empty log beside this one, to be filled and handed to `rewrite`. Meanwhile this one is only read."""
        self._write_out()  # what was not flushed still counts for nothing
        system.remove(self.path + ".new")
        return self.__class__(self.path + ".new", len(self._out), self._out)

    def rewrite(self, successor: "Log") -> None:
        """Take the successor's place: from now on this log holds what it holds. All offsets change."""
        successor.flush()
        successor.close()
        self._file.close()
        try:
            system.replace(successor.path, self.path)
        finally:
            self._filled = 0
            self._open()
