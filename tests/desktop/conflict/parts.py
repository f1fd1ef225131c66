"""A conflict store over a temporary home, a clock turned by hand and losers by the line. No tests here."""

from pathlib import Path

from cradle_desktop.conflict.store import ConflictStore, Loser
from cradle_desktop.metadata.database import Database
from cradle_desktop.settings import Bound
from cradle_protocol.compat import sha256
from cradle_protocol.provider.store import Reader
from cradle_protocol.sync.item import item_id
from cradle_protocol.sync.values import file_value
from cradle_testing.stores import MemoryStore

DAY = 86400
NOON = 1_760_000_000


class Clock:
    """Unix seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = float(NOON)

    def __call__(self) -> float:
        return self.now


def conflict_store(folder: Path, limit: int = 1 << 30, clock: "Clock | None" = None) -> ConflictStore:
    return ConflictStore(Database(folder / "cradle.db"), str(folder / "conflicts"), Bound(limit), clock or Clock())


def reader_of(data: bytes) -> Reader:
    store = MemoryStore()
    store.write("x", data)
    return store.open("x")


def loser(
    identity: str,
    data: "bytes | None" = None,
    side: str = "device",
    value: bytes = b"",
    unit: int = 0,
    partner: str = "porch",
    kind: str = "update-update",
) -> Loser:
    digest = b"" if data is None else sha256(data).digest()
    if data is not None:
        value = file_value(len(data), digest)
    winner = "device" if side == "desktop" else "desktop"
    size = len(data or b"")
    return Loser(partner, "files", item_id("files", identity), identity, unit, kind, winner, side, value, digest, size)


def add(conflicts: ConflictStore, identity: str, data: bytes, side: str = "device", partner: str = "porch") -> int:
    return conflicts.add(loser(identity, data, side, partner=partner), reader_of(data))
