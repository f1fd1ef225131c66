"""Both sides of a conflict for a person's eyes: a difference of texts or of a record's fields, else sizes and hashes.

Changes nothing.
"""

import time

from cradle_desktop.conflict.resolve import OTHER, in_place, value_of, written_at
from cradle_desktop.conflict.store import Conflict, ConflictStore
from cradle_protocol.provider.desktop import RecordStore
from cradle_protocol.provider.store import ObjectStore, Reader, StoreError
from cradle_protocol.sync.values import DIRECTORY, UNKNOWN, digest_of, is_file, size_of

IN_PLACE, KEPT, THERE = "in place", "kept", "there"
# What is larger is told by size and hash only: finding a difference takes time that grows with the square of the lines.
TEXT_LIMIT = 256 * 1024
LINES_LIMIT = 5000
# Lines of a difference that are shown; a person reads no more, and `show` is for deciding.
SHOWN_LIMIT = 400


class Side:
    """What one side has. kind: text, binary, directory, deleted, fields (those of a record that the conflict is about),
    unit, unknown (not on this machine).

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
        if self.kind == "fields":
            return f"{self.side}, {self.place}: {', '.join(self.text.splitlines()) or 'no such fields'}{when}"
        return f"{self.side}, {self.place}: {self.size} bytes, SHA-256 {self.digest.hex() or 'unknown'}{when}"


class Shown:
    """The conflict, its two sides, and the lines of a unified difference (none if one of them is no text).

    unit  name of the unit that it is about
    """

    def __init__(self, conflict: Conflict, desktop: Side, device: Side, lines: "list[str]", unit: str) -> None:
        self.conflict, self.desktop, self.device, self.lines, self.unit = conflict, desktop, device, lines, unit


def show(conflicts: ConflictStore, conflict: Conflict, store: "ObjectStore | None") -> Shown:
    """Both sides as far as they are on this machine; `store` is the desktop's, None where it is missing."""
    here = in_place(conflict) or "desktop"
    sides = {here: _current(conflict, here, store), OTHER[here]: _kept(conflicts, conflict, OTHER[here], store)}
    sides[here].place, sides[OTHER[here]].place = IN_PLACE, KEPT if conflict.held else THERE
    desktop, device = sides["desktop"], sides["device"]
    lines = _difference(desktop, device) if desktop.kind == device.kind and desktop.kind in ("text", "fields") else []
    return Shown(conflict, desktop, device, lines, unit_name(conflict, store))


def unit_name(conflict: Conflict, store: "ObjectStore | None" = None) -> str:
    """What the unit is called that a conflict is about, as far as that can be told without the store."""
    if store is not None:
        return store.units[conflict.unit]
    return ObjectStore.units[conflict.unit] if conflict.type == ObjectStore.type else f"unit {conflict.unit}"


def _current(conflict: Conflict, side: str, store: "ObjectStore | None") -> Side:
    """What the desktop's store has in place."""
    if store is None:
        return Side(side, "unknown", text="the store is not there")
    try:
        stamp = store.stamp(conflict.identity)
        if stamp is None:
            return Side(side, "deleted")
        values = store.values(stamp)
        if conflict.unit and not isinstance(store, RecordStore):
            return _unit(side, values[conflict.unit], conflict)
        if not is_file(values[0]):
            return Side(side, "directory")
        digest, reader = store.digest(conflict.identity), store.open(conflict.identity)
        found = _file(side, size_of(values[0]), digest, reader, conflict, store)
        found.written = written_at(store, stamp)
        return found
    except StoreError as error:
        return Side(side, "unknown", text=error.text)


def _kept(conflicts: ConflictStore, conflict: Conflict, side: str, store: "ObjectStore | None") -> Side:
    """What the conflict store has; of what waits on the device, what is known of it."""
    if not conflict.held:
        return _waiting(conflict, side)
    value = value_of(conflict, side)
    if value is None:
        return Side(side, "unknown", text="as it is there; it was not fetched")
    if conflict.unit and not is_file(value):  # of a record the whole is kept
        return _unit(side, value, conflict)
    if value == UNKNOWN:
        return Side(side, "deleted")
    if not is_file(value):
        return Side(side, "directory" if value == DIRECTORY else "unknown")
    try:
        reader = conflicts.contents.open(digest_of(value))
        found = _file(side, size_of(value), digest_of(value), reader, conflict, store)
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


def _unit(side: str, value: bytes, conflict: Conflict) -> Side:
    """A unit that is not content: of files the permission bits."""
    text = f"{int.from_bytes(value, 'big'):04o}" if conflict.type == ObjectStore.type else value.hex()
    return Side(side, "unit", text=text)


def _file(
    side: str, size: int, digest: bytes, reader: Reader, conflict: Conflict, store: "ObjectStore | None"
) -> Side:  # fmt: skip
    """A content: its fields if it is a record, its text if it is one, and short enough. Closes the reader."""
    try:
        data = _whole(reader) if size <= TEXT_LIMIT else None
    finally:
        reader.close()
    if data is not None and isinstance(store, RecordStore):
        try:
            fields = store.fields(data, conflict.unit)
            return Side(side, "fields", size, digest, "".join(_line(name, value) for name, value in fields))
        except ValueError:
            pass  # somebody made something else of it
    text = None if data is None else _text(data)
    return Side(side, "binary" if text is None else "text", size, digest, text or "")


def _line(name: str, value: str) -> str:
    return f"{name}: {' / '.join(value.splitlines())}\n"


def _whole(reader: Reader) -> "bytes | None":
    """All of it; None if it grew beyond the limit."""
    buffer = memoryview(bytearray(TEXT_LIMIT + 1))
    size = 0
    while n := reader.read_into(buffer[size:]):
        size += n
    return bytes(buffer[:size]) if size <= TEXT_LIMIT else None


def _text(data: bytes) -> "str | None":
    """The text that it is; None if it is none."""
    try:
        return None if b"\0" in data else data.decode()
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
