"""The conflict store: what lost, until it is taken back or too old. Decides nothing and touches no synced folder.

A conflict is *held* (something was displaced, its value and content are here) or *waits* (policy `ask` or `skip`: both
versions are where they were). The store is bounded (`settings`): what is settled goes when it is old or room is needed,
what is unresolved only when room is needed and it is old. So there may be no room: then the engine displaces nothing
and skips the item.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cradle_desktop.config import conflicts_folder
from cradle_desktop.conflict.contents import Contents, Draft
from cradle_desktop.metadata.database import Database
from cradle_desktop.settings import Bound
from cradle_protocol.errors import NO_ROOM
from cradle_protocol.provider.store import Reader, StoreError
from cradle_protocol.sync.values import digest_of, is_file, size_of, with_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any

# What `taken` says of a conflict whose content was evicted before anybody resolved it.
DROPPED = "dropped"

_LOSER = "partner, type, item, identity, unit, kind, winner, loser, value, digest, size, written"
_COLUMNS = f"number, held, displaced, detected, resolved, taken, displaced_written, {_LOSER}"
_STATE = 7  # columns before those of the loser
_INSERT = f"INSERT INTO conflict (held, detected, {_LOSER}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SETTLE = "UPDATE conflict SET resolved = ?, taken = ? WHERE number = ?"
_SAME = (
    "SELECT number FROM conflict WHERE resolved IS NULL AND held = 1 AND item = ? AND partner = ? AND type = ? "
    "AND unit = ? AND kind = ? AND loser = ? AND value = ?"
)


class Loser:
    """One change unit's value that did not win.

    partner, type      whose conflict
    item_id, identity  which item
    unit               number of the change unit, 0 is the content
    kind               update-update, update-delete (deleted on the device), delete-update, collision
    winner, loser      "desktop" or "device"; "" where nothing was decided
    value              the unit's value that lost; b"" for a delete
    digest, size       of the content, where there is one; of one that waits: the device's
    written            when that was written, Unix seconds by its own side's clock; None: nobody can tell
    """

    def __init__(
        self, partner: str, type: str, item_id: bytes, identity: str, unit: int, kind: str, winner: str, loser: str,
        value: bytes, digest: bytes = b"", size: int = 0, written: "int | None" = None,
    ) -> None:  # fmt: skip
        self.partner, self.type, self.item_id, self.identity = partner, type, item_id, identity
        self.unit, self.kind, self.winner, self.loser = unit, kind, winner, loser
        self.value, self.digest, self.size, self.written = value, digest, size, written

    def row(self) -> "tuple[str | bytes | int | None, ...]":
        """The columns of `_LOSER`."""
        return (
            self.partner, self.type, self.item_id, self.identity, self.unit, self.kind, self.winner, self.loser,
            self.value, self.digest, self.size, self.written,
        )  # fmt: skip


class Conflict(Loser):
    """A recorded loser.

    number     what the user calls it
    held       False: it waits, both versions are where they were
    displaced  the value that made way when it was resolved, b"" if there was none; None: nothing made way
    displaced_written   when that was written, as `written`
    detected   Unix seconds
    resolved   Unix seconds, None while it waits for the user
    taken      "" or what was taken: desktop, device, both, dropped
    """

    def __init__(self, state: "tuple[Any, ...]", loser: "tuple[Any, ...]") -> None:
        super().__init__(*loser)
        self.number: int = state[0]
        self.held = bool(state[1])
        self.displaced: bytes | None = state[2]
        self.detected: int = state[3]
        self.resolved: int | None = state[4]
        self.taken: str = state[5] or ""
        self.displaced_written: int | None = state[6]

    def digests(self) -> "list[tuple[bytes, int]]":
        """(hash, size) of the contents that this conflict keeps."""
        found = [(self.digest, self.size)] if self.digest and self.held else []
        if self.displaced and digest_of(self.displaced):
            found.append((digest_of(self.displaced), size_of(self.displaced)))
        return found


# `ConflictStore.list` hides the builtin from the annotations of its class.
Conflicts = list[Conflict]
Losers = list[Loser]
_Batch = list[tuple[Loser, "Draft | None", str]]


class ConflictStore:
    """Losers in the state database, their contents in a folder. `dropped`: what this object has evicted unresolved."""

    def __init__(
        self,
        database: Database,
        folder: "str | None" = None,
        bound: "Bound | None" = None,
        clock: "Callable[[], float]" = time.time,
    ) -> None:
        self._database = database
        self.contents = Contents(folder or conflicts_folder())
        self._limits, self._clock = bound or Bound(), clock
        self._batch: _Batch | None = None
        self._swept = False
        self.dropped: Conflicts = []

    # -- looking

    def list(self, partner: "str | None" = None, unresolved: bool = True) -> Conflicts:
        """Conflicts by number: those that wait for the user, or all."""
        where = "resolved IS NULL" if unresolved else "1"
        if partner is None:
            return self._select(where)
        return self._select(where + " AND partner = ?", partner)

    def count(self, partner: "str | None" = None) -> int:
        """How many wait for the user."""
        return len(self.list(partner))

    def get(self, number: int) -> "Conflict | None":
        """One conflict, resolved or not."""
        found = self._select("number = ?", number)
        return found[0] if found else None

    def decisions(self, partner: str, type: str) -> "dict[tuple[bytes, int], str]":
        """{(item id, unit): desktop|device|both} that the user chose for conflicts that wait: for the next sync."""
        found = self._select("partner = ? AND type = ? AND held = 0 AND resolved IS NULL", partner, type)
        return {(one.item_id, one.unit): one.taken for one in found if one.taken}

    def _select(self, where: str, *values: "str | int") -> Conflicts:
        with self._database.sentences():
            rows = self._database.connection.execute(
                f"SELECT {_COLUMNS} FROM conflict WHERE {where} ORDER BY number", values
            ).fetchall()
        return [Conflict(row[:_STATE], row[_STATE:]) for row in rows]

    # -- keeping

    def room(self, size: int) -> bool:
        """Would a loser of this size fit, once everything that may be evicted is?"""
        return sum(self._pinned().values()) + size <= self._limits.size

    def _pinned(self) -> "dict[bytes, int]":
        """{hash: size} of what must stay: unresolved and young, or in the batch that is being added."""
        since = self._since()
        kept = {h: s for one in self._select("resolved IS NULL AND detected > ?", since) for h, s in one.digests()}
        kept.update({draft.digest: draft.size for _, draft, _ in self._batch or [] if draft is not None})
        return kept

    def _since(self) -> int:
        """Unix seconds: what is older may go."""
        return int(self._clock() - self._limits.age)

    @contextmanager
    def batch(self) -> "Iterator[None]":
        """Add several losers in one transaction, with one wait for the disk: durable when the block ends."""
        if self._batch is not None:
            yield
            return
        self._batch = []
        try:
            yield
            self._store(self._batch)
        finally:
            left = [draft for _, draft, _ in self._batch if draft is not None]
            self._batch = None
            self.contents.drop(left)

    def add(self, loser: Loser, content: "Reader | None", taken: str = "") -> int:
        """Keep a loser, its content copied and durable when this (or the batch) ends. Closes the content.

        `taken`: the user has decided already, and for what; then it is kept, and waits for nobody.
        Returns its number, the same for the same item, unit and value; in a batch 0 for a new one, it is numbered at
        the end.
        Raises StoreError(NO_ROOM) if it does not fit, and what reading the content raises.
        """
        if self._batch is None:
            with self.batch():
                self.add(loser, content, taken)
            return self._number_of(self._database.connection, loser)
        draft = None
        if content is not None:
            draft = self.contents.draft(content)
            if draft.digest not in self._pinned() and not self.room(draft.size):
                self.contents.drop([draft])
                raise StoreError(NO_ROOM, "the conflict store has no room for the version that would be displaced")
            loser.digest, loser.size = draft.digest, draft.size
            loser.value = with_digest(loser.value, draft.digest) if is_file(loser.value) else loser.value
        self._batch.append((loser, draft, taken))
        return self._number_of(self._database.connection, loser)

    def _store(self, batch: _Batch) -> None:
        if not batch:
            return
        self.contents.keep([draft for _, draft, _ in batch if draft is not None])
        now = int(self._clock())
        with self._database.transaction() as connection:
            for loser, _, taken in batch:
                if self._number_of(connection, loser):
                    continue
                number = connection.execute(_INSERT, (1, now, *loser.row())).lastrowid
                if taken:
                    connection.execute(_SETTLE, (now, taken, number))
        self._bound()

    def withdraw(self, loser: Loser) -> None:
        """What was added just now was not displaced after all. Its content goes when the store is next tidied."""
        if self._batch is not None:
            gone = [entry for entry in self._batch if entry[0] is loser]
            self._batch = [entry for entry in self._batch if entry[0] is not loser]
            self.contents.drop([draft for _, draft, _ in gone if draft is not None])
            if gone:
                return
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM conflict WHERE number = ?", (self._number_of(connection, loser),))

    @staticmethod
    def _number_of(connection: "sqlite3.Connection", loser: Loser) -> int:
        """The number under which this very loser waits already, 0 if it does not."""
        key = loser.item_id, loser.partner, loser.type, loser.unit, loser.kind, loser.loser, loser.value
        row = connection.execute(_SAME, key).fetchone()
        return int(row[0]) if row else 0

    def _bound(self) -> None:
        """Forget what was settled long ago, and evict, the resolved and the oldest first, until the contents fit."""
        self._forget_settled()
        named: dict[bytes, int] = {}
        users: dict[bytes, Conflicts] = {}
        for one in self.list(unresolved=False):
            for digest, size in one.digests():
                if self.contents.holds(digest):
                    named[digest] = size
                    users.setdefault(digest, []).append(one)
        if not self._swept:
            self._swept = True
            self.contents.sweep(set(named), self._clock())
        excess, pinned = sum(named.values()) - self._limits.size, self._pinned()
        loose = [digest for digest in named if digest not in pinned]
        for digest in sorted(
            loose, key=lambda d: max((c.resolved is None, c.resolved or c.detected) for c in users[d])
        ):
            if excess <= 0:
                return
            self._evict(digest, users[digest])
            excess -= named[digest]

    def _forget_settled(self) -> None:
        gone = [one for one in self.list(unresolved=False) if one.resolved is not None and one.resolved < self._since()]
        if not gone:
            return
        with self._database.transaction() as connection:
            connection.executemany("DELETE FROM conflict WHERE number = ?", [(one.number,) for one in gone])
        named = {digest for one in self.list(unresolved=False) for digest, _ in one.digests()}
        for digest in {digest for one in gone for digest, _ in one.digests()} - named:
            self.contents.remove(digest)

    def _evict(self, digest: bytes, users: Conflicts) -> None:
        lost = [one for one in users if one.resolved is None]
        now = int(self._clock())
        with self._database.transaction() as connection:
            connection.executemany(_SETTLE, [(now, DROPPED, one.number) for one in lost])
        self.contents.remove(digest)
        self.dropped += lost

    # -- waiting and settling

    def waiting(self, partner: str, type: str, losers: Losers) -> None:
        """Exactly these conflicts of the partner and type wait now: new ones get a number, settled ones go."""
        old = {
            (one.item_id, one.unit, one.kind): one
            for one in self._select("partner = ? AND type = ? AND held = 0 AND resolved IS NULL", partner, type)
        }
        new = {(one.item_id, one.unit, one.kind): one for one in losers}
        edited: Losers = [
            one for key, one in new.items() if key in old and (one.digest, one.size) != (old[key].digest, old[key].size)
        ]
        if old.keys() == new.keys() and not edited:
            return
        now = int(self._clock())
        with self._database.transaction() as connection:
            for key, one in old.items():
                if key not in new and one.taken:
                    connection.execute("UPDATE conflict SET resolved = ? WHERE number = ?", (now, one.number))
                elif key not in new:
                    connection.execute("DELETE FROM conflict WHERE number = ?", (one.number,))
            for loser in edited:
                row = loser.digest, loser.size, loser.written, old[loser.item_id, loser.unit, loser.kind].number
                connection.execute("UPDATE conflict SET digest = ?, size = ?, written = ? WHERE number = ?", row)
            fresh = [(0, now, *loser.row()) for key, loser in new.items() if key not in old]
            connection.executemany(_INSERT, fresh)

    def decide(self, number: int, take: str) -> None:
        """Note what the user chose for a conflict that waits; the next sync asks `decisions`."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE conflict SET taken = ? WHERE number = ? AND held = 0", (take, number))

    def displace(
        self, conflict: Conflict, side: str, value: bytes, content: "Reader | None", written: "int | None"
    ) -> bytes:
        """Keep what a side has in place and what is about to make way for the other. Durable when this returns.

        written: when that was, Unix seconds. Returns the value, hashed. The content is closed. There is always room for
        it: it was the user's a moment ago.
        """
        drafts = []
        if content is not None:
            drafts.append(self.contents.draft(content))
            value = with_digest(value, drafts[0].digest)
        self.contents.keep(drafts)
        with self._database.transaction() as connection:
            if side == conflict.loser:
                row = value, digest_of(value), size_of(value), written, conflict.number
                set_loser = "UPDATE conflict SET value = ?, digest = ?, size = ?, written = ? WHERE number = ?"
                connection.execute(set_loser, row)
            else:
                set_displaced = "UPDATE conflict SET displaced = ?, displaced_written = ? WHERE number = ?"
                connection.execute(set_displaced, (value, written, conflict.number))
        return value

    def settle(self, number: int, take: str) -> None:
        """The user has what was chosen: the conflict counts no more. What is kept of it may be evicted from now on."""
        with self._database.transaction() as connection:
            connection.execute(_SETTLE, (int(self._clock()), take, number))
        self._bound()
