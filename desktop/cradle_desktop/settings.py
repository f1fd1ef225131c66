"""What a user may set in CRADLE_HOME/settings.toml. Reads the file when somebody asks; writes nothing.

[conflicts]          # versions that lost a conflict
size = "1 GB"        # bytes of content in all
days = 30            # how long: one that is settled goes then, one that waits is safe until then
[undo]               # what syncs overwrote and deleted
size = "1 GB"
days = 30
fetch = "1 MB"       # content of an object that is overwritten on a device is fetched first, up to this
[deletes]            # that something was deleted
days = 90            # how long: a partner that stays away longer is compared in full
[names]              # names that one of two sides cannot hold
collision = "rename" # two that are one there, by case or accents: one gives way; or "skip": it stays out
impossible = "skip"  # one that cannot be there stays out; or "rename": it gets another one, on both sides
"""

import os

from cradle_desktop.config import home
from cradle_desktop.metadata.interface import StateError
from cradle_desktop.sync.report import UNDO_FETCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cradle_desktop.sync.report import OnName

FILE_NAME = "settings.toml"
DAY = 86400  # seconds
# The defaults. A sync that goes wrong is noticed within days; a gigabyte of text and pictures is years of edits.
STORE_BYTES = 10**9
STORE_DAYS = 30
# A device that lies in a drawer for a season still hears of single deletes.
DELETE_DAYS = 90

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class Bound:
    """How much a store may hold, in bytes, and for how long, in seconds."""

    def __init__(self, size: int = STORE_BYTES, days: float = STORE_DAYS) -> None:
        self.size, self.age = size, days * DAY


class Settings:
    """Everything that can be set."""

    def __init__(
        self,
        conflicts: "Bound | None" = None,
        undo: "Bound | None" = None,
        delete_days: float = DELETE_DAYS,
        undo_fetch: int = UNDO_FETCH,
        collision: "OnName" = "rename",
        impossible: "OnName" = "skip",
    ) -> None:
        self.conflicts, self.undo = conflicts or Bound(), undo or Bound()
        self.undo_fetch = undo_fetch  # bytes
        self.delete_age = delete_days * DAY  # seconds
        self.collision, self.impossible = collision, impossible


def load(path: "str | None" = None) -> Settings:
    """The settings of this home; the defaults where there is no file. Raises StateError with one sentence."""
    path = path or os.path.join(home(), FILE_NAME)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise StateError(f"The settings in {path} cannot be read ({error.strerror}).") from None
    return _parsed(path, data)


def _parsed(path: str, data: bytes) -> Settings:
    import tomllib  # only for those who set something

    try:
        table = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StateError(f"The settings in {path} are no TOML ({error}); mend that line or remove it.") from None
    for name, section in table.items():
        if name not in ("conflicts", "undo", "deletes", "names") or not isinstance(section, dict):
            raise _wrong(path, name, "the sections are [conflicts], [undo], [deletes] and [names]")
    for key in table.get("deletes", {}):
        if key != "days":
            raise _wrong(path, f"deletes.{key}", "that section has days alone")
    days = _days(path, table, "deletes", DELETE_DAYS)
    fetch = _size(path, table, "undo", "fetch", UNDO_FETCH)
    collision, impossible = _on_names(path, table.get("names", {}))
    return Settings(
        _bound(path, table, "conflicts"), _bound(path, table, "undo", "fetch"), days, fetch, collision,
        impossible,
    )  # fmt: skip


def _on_names(path: str, section: "dict[str, Any]") -> "tuple[OnName, OnName]":
    """What becomes of names that collide, and of those that are impossible."""
    for key, value in section.items():
        if key not in ("collision", "impossible"):
            raise _wrong(path, f"names.{key}", "that section has collision and impossible")
        if value not in ("rename", "skip"):
            raise _wrong(path, f"names.{key}", 'write "rename" or "skip"')
    return section.get("collision", "rename"), section.get("impossible", "skip")


def _bound(path: str, table: "dict[str, Any]", name: str, *more: str) -> Bound:
    keys = ("size", "days", *more)
    for key in table.get(name, {}):
        if key not in keys:
            raise _wrong(path, f"{name}.{key}", "that section has " + " and ".join(keys))
    return Bound(_size(path, table, name, "size", STORE_BYTES), _days(path, table, name, STORE_DAYS))


def _size(path: str, table: "dict[str, Any]", name: str, key: str, default: int) -> int:
    count = bytes_of(table.get(name, {}).get(key, default))
    if count is None:
        raise _wrong(path, f"{name}.{key}", 'write it like "500 MB"')
    return count


def _days(path: str, table: "dict[str, Any]", name: str, default: float) -> float:
    days = table.get(name, {}).get("days", default)
    if isinstance(days, bool) or not isinstance(days, (int, float)) or not days >= 0:
        raise _wrong(path, f"{name}.days", "write a number of days like 30")
    return days


def bytes_of(size: object) -> "int | None":
    """A number of bytes: 500000000 or "500 MB"; None if it is neither."""
    if isinstance(size, int) and not isinstance(size, bool):
        return size if size >= 0 else None
    if not isinstance(size, str):
        return None
    digits = size.rstrip("BKMGTbkmgt ")
    unit = size[len(digits) :].strip().upper()
    if unit not in _UNITS or not digits.isdecimal():
        return None
    return int(digits) * _UNITS[unit]


def _wrong(path: str, name: str, remedy: str) -> StateError:
    return StateError(f"The settings in {path} have {name!r}, which means nothing; {remedy}.")
