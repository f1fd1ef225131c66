"""Rows in a text file, one a line, in CSV or JSON Lines. A line names its stream and row: the file says how far it is.

A batch is appended and flushed. What a killed process left of a last line is cut off before the next batch, and the row
comes again. Opening and asking write nothing.
"""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cradle_desktop.providers.row_values import FIELDS_MOST, MORE, OWN, cell, column_of, split, sync_folder, time_text
from cradle_protocol.errors import NO_ROOM, NOT_ALLOWED, WRITE_FAILED
from cradle_protocol.provider.rows import Batch, RowStore
from cradle_protocol.provider.store import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BLOCK = 65536  # bytes that are read at once, from the end backwards
_STREAM = 8  # bytes of a stream's id in a line: enough to tell the few streams of a file apart
_ENOSPC, _EDQUOT = 28, 122
# What begins a cell that a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class LineRows(RowStore):
    """What both formats share. `known` as for `open_rows`: of a last line without an end it tells if that was whole."""

    def __init__(self, location: str, known: "Mapping[bytes, int]") -> None:
        self._path = os.path.realpath(location)
        self._known = {stream[:_STREAM].hex(): position for stream, position in known.items()}
        with _sentences():
            self._open()
            try:
                self._check()
                self._size = self._whole()
            except BaseException:
                self._file.close()
                raise

    def close(self) -> None:
        self._file.close()

    def position(self, stream: bytes) -> "int | None":
        name = stream[:_STREAM].hex()
        with _sentences():
            for line in self._lines_backwards():
                if name.encode() in line:
                    place = self._place(line)
                    if place is not None and place[0] == name:
                        return place[1]
        return None

    def add(self, batch: Batch) -> None:
        with _sentences():
            self._mend()
            data = self._text(batch).encode()
            begun = self._file.seek(0, 2)
            try:
                self._write(data)
            except OSError:
                self._file.truncate(begun)
                raise
            self._size = begun + len(data)

    # -- what a format says

    def _check(self) -> None:
        """Raise StoreError if the file is somebody else's."""
        raise NotImplementedError

    def _text(self, batch: Batch) -> str:
        """The lines of a batch."""
        raise NotImplementedError

    def _place(self, line: bytes) -> "tuple[str, int] | None":
        """(stream, position behind it) that a line tells; None for any other line."""
        raise NotImplementedError

    def _ours(self, torn: bytes) -> bool:
        """May this be the beginning of one of our lines?"""
        raise NotImplementedError

    # -- the file

    def _open(self) -> None:
        self._file = open(self._path, "r+b", buffering=0)  # noqa: SIM115  until `close`

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while len(view):
            view = view[self._file.write(view) :]
        os.fsync(self._file.fileno())

    def _whole(self) -> int:
        """Size of the file without a last line that was cut off.

        A last line without its end is one, if it is ours; but not if it was safe before and an editor took its end.
        """
        self._size = size = self._file.seek(0, 2)
        if self._ends():
            return size
        tail = next(self._lines_backwards())
        place = self._place(tail)
        safe = place is not None and self._known.get(place[0], 0) >= place[1]
        return size - len(tail) if self._ours(tail) and not safe else size

    def _mend(self) -> None:
        """Begin with a new line."""
        if self._file.seek(0, 2) > self._size:
            self._file.truncate(self._size)
        if not self._ends():
            self._file.seek(0, 2)
            self._write(b"\n")

    def _ends(self) -> bool:
        """Is the file empty, or does it end with a line end?"""
        if not self._file.seek(0, 2):
            return True
        self._file.seek(-1, 2)
        return self._file.read(1) == b"\n"

    def _lines_backwards(self) -> "Iterator[bytes]":
        """The whole lines without their ends, the last one first."""
        at = self._size
        rest, first = b"", True
        while at:
            size = min(_BLOCK, at)
            at -= size
            self._file.seek(at)
            lines = (self._read(size) + rest).split(b"\n")
            rest = lines.pop(0)
            if first and lines and not lines[-1]:
                lines.pop()
            first = False
            yield from reversed(lines)
        if rest:
            yield rest

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._file.read(size - len(data))
            if not more:
                break
            data += more
        return data


class JsonRows(LineRows):
    """JSON Lines: an object with time, device_time, stream, row and the fields; a gap is one with `gap` and `rows`."""

    def _check(self) -> None:
        self._file.seek(0)
        begin = self._file.readline(_BLOCK)
        torn = self._ours(begin) and not begin.endswith(b"\n")
        if begin and not torn and self._place(begin) is None:
            raise StoreError(NOT_ALLOWED, "its lines are not ours; name another file")

    def _text(self, batch: Batch) -> str:
        name = batch.stream[:_STREAM].hex()
        lines = [(first, {"stream": name, "gap": first, "rows": rows}) for first, rows in batch.gaps]
        for row, device, true, values in batch.rows:
            own = {"time": time_text(true), "device_time": time_text(device), "stream": name, "row": row}
            lines.append((row, {**own, **{column_of(field): value for field, value in values.items()}}))
        lines.sort(key=lambda one: one[0])
        return "".join([json.dumps(line, ensure_ascii=False) + "\n" for _, line in lines])

    def _place(self, line: bytes) -> "tuple[str, int] | None":
        try:
            found = json.loads(line)
            row = found["gap"] + found["rows"] if "gap" in found and "row" not in found else found["row"] + 1
            return str(found["stream"]), int(row)
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def _ours(self, torn: bytes) -> bool:
        return torn.startswith((b"{", b"\x00"))


class CsvRows(LineRows):
    """CSV with a header: time, device_time, stream, row and the fields. A new field widens the header.

    A gap is a jump of the row's number. Line ends in a text become spaces; what would be a formula gets a quote before.
    """

    def _check(self) -> None:
        self._file.seek(0)
        header = self._file.readline(_BLOCK * 16)
        names = next(csv.reader([header.decode("utf-8", "replace")]), [])
        if names and tuple(names[: len(OWN)]) != OWN:
            raise StoreError(NOT_ALLOWED, "its first line is not our header; name another file")
        self._header = names

    def _text(self, batch: Batch) -> str:
        columns = {name: name for name in self._header[len(OWN) :]}
        records: list[dict[str, Any]] = []
        for row, device, true, values in batch.rows:
            named = {column_of(field): value for field, value in values.items()}
            new, rest = split(named, {name: name for name in columns if name != MORE})
            columns.update({name: name for name in new})
            record = {name: value for name, value in named.items() if name not in rest}
            if rest:
                columns[MORE] = MORE
                record[MORE] = rest
            own = (time_text(true), time_text(device), batch.stream[:_STREAM].hex(), row)
            records.append({**dict(zip(OWN, own, strict=True)), **record})
        header = [*OWN, *columns]
        if records and header != self._header:
            self._widen(header)
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows([[_csv_cell(one.get(name)) for name in header] for one in records])
        return out.getvalue()

    def _widen(self, header: "list[str]") -> None:
        """Put another header before the lines, in a new file that takes the place of this one. The lines stay."""
        assert len(header) <= len(OWN) + FIELDS_MOST + 1
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(header)
        new = self._path + ".new"
        self._file.seek(0)
        self._file.readline(_BLOCK * 16)
        try:
            with open(new, "wb") as file:
                file.write(line.getvalue().encode())
                while block := self._file.read(_BLOCK):
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(new, os.stat(self._path).st_mode & 0o777)
            os.replace(new, self._path)
            sync_folder(self._path)
        except OSError:
            if os.path.exists(new):
                os.remove(new)
            raise
        self._file.close()
        self._open()
        self._header, self._size = header, self._file.seek(0, 2)

    def _place(self, line: bytes) -> "tuple[str, int] | None":
        try:
            cells = next(csv.reader([line.decode("utf-8", "replace")]), [])
            return cells[2], int(cells[3]) + 1
        except (ValueError, IndexError, csv.Error):
            return None

    def _ours(self, torn: bytes) -> bool:
        return torn[:1] in b"0123456789,\x00"


def _csv_cell(value: "Any") -> "Any":
    if isinstance(value, bool):
        return "true" if value else "false"
    value = cell(value)
    if isinstance(value, str):
        value = value.replace("\r\n", " ").replace("\n", " ").replace("\r", " ")
        return "'" + value if value.startswith(_FORMULA) else value
    return value


@contextmanager
def _sentences() -> "Iterator[None]":
    """What the operating system raises, as StoreError."""
    try:
        yield
    except OSError as error:
        if error.errno in (_ENOSPC, _EDQUOT):
            raise StoreError(NO_ROOM, "its disk is full") from error
        raise StoreError(WRITE_FAILED, f"it cannot be written ({error.strerror})") from error
