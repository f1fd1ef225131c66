"""What a row looks like in a file: columns, times as text, values as cells. All stores of rows share it."""

import json
import os
import time
from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Columns of every row, before those of its fields: when; the same by the device's clock; which stream, which row in it.
OWN = ("time", "device_time", "stream", "row")
# Fields that have columns of their own. A device that makes up names for ever has the rest in one column, as JSON.
FIELDS_MOST = 500
# A longer name goes there as well: a header, or a statement, with all of them is read in one piece.
NAME_MOST = 100
MORE = "more"
_TAKEN = (*OWN, MORE, "")
_INTEGERS = 1 << 63  # SQLite's have 64 bits


def time_text(ms: "int | None") -> "str | None":
    """ISO 8601 in UTC with milliseconds, which sorts as text; None stays None."""
    return None if ms is None else f"{_second_text(ms // 1000)}.{ms % 1000:03}Z"


@lru_cache(4)
def _second_text(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def column_of(field: str) -> str:
    """The column's name of a field: the field's, but for the names we have taken, which get a low line behind.

    What cannot be printed is spelled out, and so is a backslash: no two fields have one column, where one of their
    values would be lost.
    """
    name = "".join([letter if letter.isprintable() and letter != "\\" else _spelled(letter) for letter in field])
    return name + "_" if name.rstrip("_").lower() in _TAKEN else name


def _spelled(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def cell(value: "Any") -> "str | int | float | None":
    """A value as a database holds it: lists and objects, and integers that are too large, as text."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int) and not -_INTEGERS <= value < _INTEGERS:
        return str(value)
    return value  # type: ignore[no-any-return]  # what JSON has left: a string, a number, a truth, nothing


def split(values: "dict[str, Any]", columns: "dict[str, str]") -> "tuple[list[str], dict[str, Any]]":
    """(fields that need new columns, fields that cannot have one). `columns` are those there are."""
    fresh = sorted(field for field in values if field not in columns)
    room = max(0, FIELDS_MOST - len(columns))
    new = [field for field in fresh if len(field) <= NAME_MOST][:room]
    return new, {field: values[field] for field in fresh if field not in new}


def sync_folder(path: str) -> None:
    """The name of a file in its folder survives a power cut. OSError."""
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
