"""What syncs displaced in one store: noted before it happens, kept by the store itself, bounded. Puts nothing back.

Theory of operation. Before a sync overwrites or deletes objects here, their former values are noted in the state
database, in one transaction for a batch, each with the name under which the store is to keep the content. A name begins
with the time, so the contents that are kept tell their age themselves: the bound holds whatever became of the database.
A content that the conflict store holds anyway is not kept twice: it is noted without a name, and found by its hash.

What is displaced here the store itself shows. What is displaced on a device is *unsure* until the device has answered:
if this process dies before, nobody knows whether it happened, or whether an edit was sent. The next sync that
comes to its end makes it sure (`confirmed`); what it finds there as it was it notes anew, in an act of its own.
"""

import os
import time

from cradle_desktop.metadata.database import Database
from cradle_desktop.settings import Bound
from cradle_protocol.provider.keeping import KeepingStore
from cradle_protocol.sync.values import size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SYNC, UNDO = "sync", "undo"
# A full disk is worse than a sync that cannot be undone: no more is kept than this share of what would be free.
_ROOM_SHARE = 2
_TIME_DIGITS = 10  # hex digits of Unix seconds: names sort by age
_NO_OBJECT = b""

_INSERT = "INSERT OR REPLACE INTO former (act, identity, old, new, name, unsure) VALUES (?, ?, ?, ?, ?, ?)"
_LAST = (
    "SELECT number, kind, done FROM act WHERE partner = ? AND type = ? AND location = ? "
    "AND EXISTS (SELECT 1 FROM former WHERE act = number) ORDER BY number DESC LIMIT 1"
)


class Former:
    """An object as it was, and as it was left. Values of all units; None: there was, or is, no such object.

    name    under which the store keeps the former content, "" where it keeps none
    unsure  it is, or was, on the device, and nobody knows whether it went
    """

    def __init__(
        self, identity: str, old: "list[bytes] | None", new: "list[bytes] | None", name: str = "", size: int = 0,
        unsure: bool = False,
    ) -> None:  # fmt: skip
        self.identity, self.old, self.new, self.name, self.size = identity, old, new, name, size
        self.unsure = unsure

    def same_content(self) -> bool:
        """Was, or is, the content left as it was?"""
        return self.old is not None and self.new is not None and self.old[0] == self.new[0]


class Act:
    """One sync, or one undo. done: Unix seconds."""

    def __init__(self, number: int, kind: str, done: int) -> None:
        self.number, self.kind, self.done = number, kind, done


class Journal:
    """The journal of one store and partner, for one act.

    dropped  how many objects of earlier acts were let go for this one
    large    identities of what was not kept: it does not fit, or could not be read
    """

    def __init__(
        self,
        database: Database,
        store: KeepingStore,
        partner: str,
        location: str,
        bound: "Bound | None" = None,
        clock: "Callable[[], float]" = time.time,
    ) -> None:
        self._database, self.store, self._clock = database, store, clock
        self._key = partner, store.type, location
        self._bound = bound or Bound()
        self._act = 0
        self._noted: dict[str, Former] = {}
        self._held: dict[str, int] | None = None
        self._mark, self._count = "", 0
        self.dropped = 0
        self.large: list[str] = []

    # -- noting

    def note(self, kind: str, formers: "list[Former]", kept_elsewhere: "set[str]") -> None:
        """Note what is about to be displaced; durable when this returns. Gives each a name, but for the identities
        whose content is kept elsewhere. What one act displaces twice is kept as it was at first, unit by unit: a
        content may go after a mode, and on the other side."""
        fresh, again = [], []
        for former in formers:
            first = self._noted.get(former.identity)
            if first is not None and former.old and first.old and first.same_content() and not former.same_content():
                former.old[1:] = first.old[1:]
                first = None
            if first is not None:
                first.new = former.new
                again.append((packed(former.new), self._act, former.identity))
            else:
                former.size = size_of(former.old[0]) if former.old and not former.same_content() else 0
                former.name = "" if former.identity in kept_elsewhere or not former.size else self._name()
                fresh.append(former)
        self._make_room(fresh)
        with self._database.transaction() as connection:
            if not self._act:
                self._forget_old()
                insert = "INSERT INTO act (partner, type, location, kind, done) VALUES (?, ?, ?, ?, ?)"
                number = connection.execute(insert, (*self._key, kind, int(self._clock()))).lastrowid
                self._act = number or 0
            rows = [(self._act, f.identity, packed(f.old), packed(f.new), f.name, f.unsure) for f in fresh]
            connection.executemany(_INSERT, rows)
            connection.executemany("UPDATE former SET new = ? WHERE act = ? AND identity = ?", again)
        self._noted.update((former.identity, former) for former in fresh)

    def sure(self, identities: "list[str]") -> None:
        """These were displaced."""
        with self._database.transaction() as connection:
            rows = [(self._act, identity) for identity in identities]
            connection.executemany("UPDATE former SET unsure = 0 WHERE act = ? AND identity = ?", rows)

    def _name(self) -> str:
        if not self._mark:
            self._mark = f"{int(self._clock()):0{_TIME_DIGITS}x}-{os.urandom(4).hex()}"
        self._count += 1
        return f"{self._mark}-{self._count:x}"

    def has(self, identity: str) -> bool:
        """Did this act displace its content already?"""
        return identity in self._noted and not self._noted[identity].same_content()

    def lacks(self, former: Former) -> None:
        """The content could not be kept after all."""
        with self._database.transaction() as connection:
            update = "UPDATE former SET name = '' WHERE act = ? AND identity = ?"
            connection.execute(update, (self._act, former.identity))
        self._contents().pop(former.name, None)
        former.name = ""
        self.large.append(former.identity)

    def name_of(self, identity: str) -> str:
        """What the store should keep this object's content as when it is displaced, "" if not at all."""
        former = self._noted.get(identity)
        return former.name if former is not None else ""

    def forget(self, identities: "list[str]") -> None:
        """These were not displaced after all."""
        with self._database.transaction() as connection:
            rows = [(self._act, identity) for identity in identities]
            connection.executemany("DELETE FROM former WHERE act = ? AND identity = ?", rows)
        for identity in identities:
            former = self._noted.pop(identity, None)
            if former is not None and former.name:
                self._let_it_go(former.name)

    # -- the bound

    def _make_room(self, fresh: "list[Former]") -> None:
        """Let the oldest go until these fit; what does not fit even then is not kept, and told."""
        wanted = [former for former in fresh if former.name]
        if not wanted:
            return
        held = self._contents()
        total = sum(held.values())
        limit = min(self._bound.size, (self.store.room() + total) // _ROOM_SHARE)
        need = 0
        for former in sorted(wanted, key=lambda one: one.size):
            if need + former.size > limit:
                self.large.append(former.identity)
                former.name = ""
            else:
                need += former.size
        oldest = f"{max(0, int(self._clock() - self._bound.age)):0{_TIME_DIGITS}x}"
        for name in sorted(held):
            if name >= oldest and total + need <= limit:
                break
            total -= held[name]
            self._let_go(name)
        held.update((former.name, former.size) for former in wanted if former.name)

    def _contents(self) -> "dict[str, int]":
        if self._held is None:
            self._held = dict(self.store.kept())
        return self._held

    def _let_go(self, name: str) -> None:
        """Of an earlier act."""
        self._let_it_go(name)
        self.dropped += 1

    def _let_it_go(self, name: str) -> None:
        self.store.drop_kept(name)
        self._contents().pop(name, None)

    def _forget_old(self) -> None:
        """Acts that are older than the bound allows. Runs inside a transaction."""
        since = int(self._clock() - self._bound.age)
        self._database.connection.execute("DELETE FROM act WHERE done < ?", (since,))

    # -- looking back

    def last(self) -> "Act | None":
        """The last act that displaced something."""
        with self._database.sentences():
            row = self._database.connection.execute(_LAST, self._key).fetchone()
        return None if row is None else Act(*row)

    def formers(self, act: Act) -> "list[Former]":
        """What it displaced."""
        select = "SELECT identity, old, new, name, unsure FROM former WHERE act = ? ORDER BY identity"
        with self._database.sentences():
            rows = self._database.connection.execute(select, (act.number,)).fetchall()
        return [
            Former(identity, _unpacked(old), _unpacked(new), name, unsure=bool(unsure))
            for identity, old, new, name, unsure in rows
        ]

    def taken_back(self, act: Act, formers: "list[Former]") -> None:
        """These are as they were before the act, or never can be: what is kept of them goes; an empty act as well."""
        with self._database.transaction() as connection:
            rows = [(act.number, former.identity) for former in formers]
            connection.executemany("DELETE FROM former WHERE act = ? AND identity = ?", rows)
            empty = "DELETE FROM act WHERE number = ? AND NOT EXISTS (SELECT 1 FROM former WHERE act = number)"
            connection.execute(empty, (act.number,))
        for former in formers:
            if former.name:
                self.store.drop_kept(former.name)


def packed(values: "list[bytes] | None") -> bytes:
    """Per unit a u16 length and the value."""
    if values is None:
        return _NO_OBJECT
    return b"".join(len(value).to_bytes(2, "big") + value for value in values)


def _unpacked(data: bytes) -> "list[bytes] | None":
    if data == _NO_OBJECT:
        return None
    values, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        values.append(data[at + 2 : end])
        at = end
    return values
