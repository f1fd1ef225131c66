"""Both sides of a conflict for a person's eyes: a difference of texts, else sizes and hashes. Changes nothing."""

import time

from cradle_desktop.conflict.resolve import OTHER, in_place, value_of, written_at
from cradle_desktop.conflict.store import Conflict, ConflictStore
from cradle_protocol.provider.store import ObjectStore, Reader, StoreError
from cradle_protocol.sync.values import DIRECTORY, UNKNOWN, digest_of, is_file, size_of

IN_PLACE, KEPT, THERE = "in place", "kept", "there"
# What is larger is told by size and hash only: finding a difference takes time that grows with the square of the lines.
TEXT_LIMIT = 256 * 1024
LINES_LIMIT = 5000
# Lines of a difference that are shown; a person reads no more, and `show` is for deciding.
SHOWN_LIMIT = 400


class Side:
    """What one side has. kind: text, binary, directory, deleted, unit, unknown (not on this machine).

    written  when its content was written, Unix seconds by that side's clock; None: nobody on this machine knows
    place    where it is: in place (in the desktop's store), kept (in the conflict store), there (on the device only)
    """

    def __init__(self, side: str, kind: str, size: int = 0, digest: bytes = b"", text: str = "") -> None:
        self.side, self.kind, self.size, self.digest, self.text = side, kind, size, digest, text
        self.written: float | None = None
        self.place = ""

    def words(self) -> str:
        """One line for this side."""
        if self.kind not in ("text", "binary") and not self.digest:
            return f"{self.side}: {self.text or self.kind}"
        when = "" if self.written is None else time.strftime(", written %Y-%m-%dT%H:%M:%SZ", time.gmtime(self.written))
        return f"{self.side}, {self.place}: {self.size} bytes, SHA-256 {self.digest.hex() or 'unknown'}{when}"


class Shown:
    """The conflict, its two sides, and the lines of a unified difference (none if one of them is no text)."""

    def __init__(self, conflict: Conflict, desktop: Side, device: Side, lines: "list[str]") -> None:
        self.conflict, self.desktop, self.device, self.lines = conflict, desktop, device, lines


def show(conflicts: ConflictStore, conflict: Conflict, store: "ObjectStore | None") -> Shown:
    """Both sides as far as they are on this machine; `store` is the desktop's, None where it is missing."""
    here = in_place(conflict) or "desktop"
    sides = {here: _current(conflict, here, store), OTHER[here]: _kept(conflicts, conflict, OTHER[here])}
    sides[here].place, sides[OTHER[here]].place = IN_PLACE, KEPT if conflict.held else THERE
    desktop, device = sides["desktop"], sides["device"]
    lines = _difference(desktop, device) if desktop.kind == device.kind == "text" else []
    return Shown(conflict, desktop, device, lines)


def _current(conflict: Conflict, side: str, store: "ObjectStore | None") -> Side:
    """What the desktop's store has in place."""
    if store is None:
        return Side(side, "unknown", text="the store is not there")
    try:
        stamp = store.stamp(conflict.identity)
        if stamp is None:
            return Side(side, "deleted")
        value = store.values(stamp)[conflict.unit]
        if conflict.unit:
            return _unit(side, value)
        if not is_file(value):
            return Side(side, "directory")
        found = _file(side, size_of(value), store.digest(conflict.identity), store.open(conflict.identity))
        found.written = written_at(store, stamp)
        return found
    except StoreError as error:
        return Side(side, "unknown", text=error.text)


def _kept(conflicts: ConflictStore, conflict: Conflict, side: str) -> Side:
    """What the conflict store has; of what waits on the device, what is known of it."""
    if not conflict.held:
        return _waiting(conflict, side)
    value = value_of(conflict, side)
    if value is None:
        return Side(side, "unknown", text="as it is there; it was not fetched")
    if conflict.unit:
        return _unit(side, value)
    if value == UNKNOWN:
        return Side(side, "deleted")
    if not is_file(value):
        return Side(side, "directory" if value == DIRECTORY else "unknown")
    try:
        found = _file(side, size_of(value), digest_of(value), conflicts.contents.open(digest_of(value)))
    except StoreError as error:
        found = Side(side, "unknown", size_of(value), digest_of(value), error.text)
    found.written = conflict.written if side == conflict.loser else conflict.displaced_written
    return found


def _waiting(conflict: Conflict, side: str) -> Side:
    """What the last sync has told of the device's version."""
    if conflict.kind == "update-delete":
        return Side(side, "deleted")
    found = Side(side, "unknown", conflict.size, conflict.digest, "as it is there; it was not fetched")
    found.written = conflict.written
    return found


def _unit(side: str, value: bytes) -> Side:
    """A unit that is not content; two bytes are permission bits."""
    text = f"{int.from_bytes(value, 'big'):04o}" if len(value) == 2 else value.hex()
    return Side(side, "unit", text=text)


def _file(side: str, size: int, digest: bytes, reader: Reader) -> Side:
    """A content: its text if it is one and short enough. Closes the reader."""
    try:
        text = _text(reader) if size <= TEXT_LIMIT else None
    finally:
        reader.close()
    return Side(side, "binary" if text is None else "text", size, digest, text or "")


def _text(reader: Reader) -> "str | None":
    """The whole content as text; None if it is none, or grew beyond the limit."""
    buffer = memoryview(bytearray(TEXT_LIMIT + 1))
    size = 0
    while n := reader.read_into(buffer[size:]):
        size += n
    data = bytes(buffer[:size])
    if size > TEXT_LIMIT or b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _difference(desktop: Side, device: Side) -> "list[str]":
    import difflib  # some milliseconds that only this needs

    a, b = desktop.text.splitlines(), device.text.splitlines()
    if max(len(a), len(b)) > LINES_LIMIT:
        return []
    lines = list(difflib.unified_diff(a, b, "desktop", "device", lineterm=""))
    if len(lines) > SHOWN_LIMIT:
        lines[SHOWN_LIMIT:] = [f"... {len(lines) - SHOWN_LIMIT} more lines"]
    return lines


__all__ = ["Shown", "Side", "show"]
