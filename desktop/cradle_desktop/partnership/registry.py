"""The partnerships of this desktop: names, keys, addresses, enabled types. Knows no link and proves nothing.

A partner is recognised by its device id and its key, never by its address; the name is the user's and unique.
"""

import time

from cradle_desktop.metadata.database import Database
from cradle_desktop.metadata.interface import StateError
from cradle_desktop.streams.opened import is_stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any

# Characters of a partner's name: it becomes a folder's name and a column of a table.
NAME_LIMIT = 64
_FALLBACK_NAME = "device"

_COLUMNS = "number, name, device_id, device_name, key, address, certificate, agent, created, last_sync"
_ENABLED = (
    "SELECT enabled.type, enabled.location, policy, direction, replica.id, deviations, met, filter, filtered, "
    "held, named FROM enabled "
    "LEFT JOIN replica ON replica.location = enabled.location AND replica.type = enabled.type "
    "WHERE partnership = ? ORDER BY enabled.type"
)


class EnabledType:
    """An object type that is synced with a partner.

    type        object type name
    location    the desktop's store: an absolute path or an address
    policy      what becomes of a conflict: desktop, device, newest, both, merge, skip, ask
    direction   both, to-device, to-desktop
    replica_id  16 bytes, the replica that keeps the store's metadata; b"" before the first sync
    deviations  objects that the receiving side had changed by itself at the last sync, where changes flow one way
    met         who answered at the last sync: store id and replica id of the other side; b"" before the first
    filter      what the other side's store shall hold, as it said at the last sync (`sync.filter`), b"": everything
    filtered    the filter that was carried out there last (`sync.holdings`)
    held, named  of how many objects it had the content, and the name only, at the last sync, where it has a filter
    """

    def __init__(
        self,
        object_type: str,
        location: str,
        policy: str,
        direction: str,
        replica_id: "bytes | None",
        deviations: int,
        met: bytes,
        filter: bytes = b"",
        filtered: bytes = b"",
        held: int = 0,
        named: int = 0,
    ) -> None:
        self.type, self.location, self.policy, self.direction = object_type, location, policy, direction
        self.replica_id, self.deviations, self.met = replica_id or b"", deviations, met
        self.filter, self.filtered, self.held, self.named = filter, filtered, held, named


class Partnership:
    """A partner and all that is remembered of it.

    name         the user's name for it, unique whatever the case
    device_id    16 bytes, the device's own id
    device_name  what the device calls itself
    key          32 bytes, the partnership key
    address      where it was reached last
    certificate  SHA-256 of its pinned TLS certificate, b"" if it has none
    agent        what runs there, as it said last
    created      when it was paired, Unix seconds
    last_sync    when a sync with it last came to its end, Unix seconds; None: never
    types        list of EnabledType
    """

    def __init__(self, row: "tuple[Any, ...]", types: "list[EnabledType]") -> None:
        self.number: int = row[0]
        self.name: str = row[1]
        self.device_id: bytes = row[2]
        self.device_name: str = row[3]
        self.key: bytes = row[4]
        self.address: str = row[5]
        self.certificate: bytes = row[6]
        self.agent: str = row[7]
        self.created: int = row[8]
        self.last_sync: int | None = row[9]
        self.types = types

    def enabled(self, object_type: str) -> "EnabledType | None":
        """The enabled type of this name."""
        for one in self.types:
            if one.type == object_type:
                return one
        return None

    def __repr__(self) -> str:
        return f"<Partnership {self.name!r} {self.device_id.hex()}>"  # never the key


def tidy_name(text: str) -> str:
    """A partner's name that can be typed and can be a folder: no '/', no control characters, no leading dot or dash."""
    kept = "".join("-" if c in "/\\:" or not c.isprintable() else c for c in text)
    return kept.strip().lstrip(".-")[:NAME_LIMIT].strip() or _FALLBACK_NAME


class Registry:
    """All partnerships. Every change is durable when its method returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- looking

    def all(self) -> "list[Partnership]":
        """Every partnership, by name."""
        return self._select("ORDER BY name", ())

    def by_name(self, name: str) -> "Partnership | None":
        """The partner of this name, whatever the case."""
        return self._only("WHERE name = ?", name)

    def by_device(self, device_id: bytes) -> "Partnership | None":
        """The partner whose device has this id."""
        return self._only("WHERE device_id = ?", device_id)

    def _only(self, where: str, value: "str | bytes") -> "Partnership | None":
        found = self._select(where, (value,))
        return found[0] if found else None

    def _select(self, where: str, values: "tuple[str | bytes, ...]") -> "list[Partnership]":
        run = self._database.connection.execute
        with self._database.sentences():
            rows = run(f"SELECT {_COLUMNS} FROM partnership {where}", values).fetchall()
            return [Partnership(row, [EnabledType(*e) for e in run(_ENABLED, (row[0],))]) for row in rows]

    # -- changing

    def add(
        self,
        device_id: bytes,
        key: bytes,
        device_name: str,
        address: str,
        name: "str | None" = None,
        certificate: bytes = b"",
        agent: str = "",
    ) -> Partnership:
        """Remember a pairing. A device that is known gets its new key and keeps its name and types.

        The name is `name`, else the device's own; one that another partner has gets "-2", "-3" ... appended.
        """
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT number, name FROM partnership WHERE device_id = ?", (device_id,)
            ).fetchone()
            if row is None:
                chosen = _free_name(connection, name or device_name, -1)
                connection.execute(
                    "INSERT INTO partnership (name, device_id, device_name, key, address, certificate, agent, created) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (chosen, device_id, device_name, key, address, certificate, agent, int(time.time())),
                )
            else:
                chosen = _free_name(connection, name, row[0]) if name else row[1]
                connection.execute(
                    "UPDATE partnership SET name = ?, device_name = ?, key = ?, address = ?, certificate = ?, "
                    "agent = ? WHERE number = ?",
                    (chosen, device_name, key, address, certificate, agent, row[0]),
                )
                _rename_elsewhere(connection, row[1], chosen)
        return self._there(self.by_device(device_id))

    def rename(self, name: str, new: str) -> Partnership:
        """Give a partner another name; on a collision a number is appended."""
        number = self._there(self.by_name(name), name).number
        with self._database.transaction() as connection:
            chosen = _free_name(connection, new, number)
            old = connection.execute("SELECT name FROM partnership WHERE number = ?", (number,)).fetchone()
            connection.execute("UPDATE partnership SET name = ? WHERE number = ?", (chosen, number))
            _rename_elsewhere(connection, old[0], chosen)
        return self._there(self.by_name(chosen))

    def remove(self, name: str, told: bool = True) -> bool:
        """End a partnership on this side; its key is gone. Metadata and kept contents stay. False: there was none.

        told: the device knows, and keeps nothing for us; else it still has to hear that its streams are not wanted.
        """
        with self._database.transaction() as connection:
            found = connection.execute("SELECT number, device_id FROM partnership WHERE name = ?", (name,)).fetchone()
            if found is None:
                return False
            number, device = found
            if told:
                connection.execute("DELETE FROM leaving WHERE device = ?", (device,))
            else:
                types = connection.execute("SELECT type FROM enabled WHERE partnership = ?", (number,)).fetchall()
                _leave(connection, device, [one[0] for one in types])
            connection.execute("DELETE FROM partnership WHERE number = ?", (number,))
        return True

    def met(self, name: str, address: str, device_name: str, agent: str) -> None:
        """Note where a partner was reached, after it proved its key, and what it says of itself."""
        self._update(name, "address = ?, device_name = ?, agent = ?", address, device_name, agent)

    def synced(self, name: str, when: "float | None" = None) -> None:
        """Note that a sync with this partner came to its end."""
        self._update(name, "last_sync = ?", int(time.time() if when is None else when))

    def found(self, name: str, object_type: str, deviations: int, met: bytes) -> None:
        """Note how many objects the receiving side keeps as it changed them by itself, and who answered."""
        number = self._there(self.by_name(name), name).number
        with self._database.transaction() as connection:
            update = "UPDATE enabled SET deviations = ?, met = ? WHERE partnership = ? AND type = ?"
            connection.execute(update, (deviations, met, number, object_type))

    def has_filter(self, name: str, object_type: str, filter: bytes, filtered: bytes, held: int, named: int) -> None:
        """Note what is known of the filter there."""
        number = self._there(self.by_name(name), name).number
        with self._database.transaction() as connection:
            update = (
                "UPDATE enabled SET filter = ?, filtered = ?, held = ?, named = ? WHERE partnership = ? AND type = ?"
            )
            connection.execute(update, (filter, filtered, held, named, number, object_type))

    def _update(self, name: str, what: str, *values: "str | int") -> None:
        with self._database.transaction() as connection:
            connection.execute(f"UPDATE partnership SET {what} WHERE name = ?", (*values, name))

    def enable(
        self, name: str, object_type: str, location: str, policy: str = "desktop", direction: str = "both"
    ) -> EnabledType:
        """Sync this type with the partner from now on; what was said before about the type is replaced."""
        partner = self._there(self.by_name(name), name)
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO enabled (partnership, type, location, policy, direction) "
                "VALUES (?, ?, ?, ?, ?)",
                (partner.number, object_type, location, policy, direction),
            )
            leaving = (partner.device_id, object_type)
            connection.execute("DELETE FROM leaving WHERE device = ? AND type = ?", leaving)
        enabled = self._there(self.by_name(name), name).enabled(object_type)
        assert enabled is not None
        return enabled

    def disable(self, name: str, object_type: str) -> bool:
        """Stop syncing the type; store and metadata stay as they are. False: it was not enabled.

        Of a stream the device is still to be told: see `leaving`.
        """
        partner = self._there(self.by_name(name), name)
        with self._database.transaction() as connection:
            enabled = (partner.number, object_type)
            done = connection.execute("DELETE FROM enabled WHERE partnership = ? AND type = ?", enabled).rowcount > 0
            if done:
                _leave(connection, partner.device_id, [object_type])
        return done

    def leaving(self, device_id: bytes) -> "list[str]":
        """Streams of which a device still has to hear that this desktop wants them no more."""
        with self._database.sentences():
            found = self._database.connection.execute(
                "SELECT type FROM leaving WHERE device = ? AND type NOT IN (SELECT enabled.type FROM enabled "
                "JOIN partnership ON partnership.number = enabled.partnership WHERE device_id = leaving.device)",
                (device_id,),
            )
            return [one[0] for one in found.fetchall()]

    def left(self, device_id: bytes, object_type: str) -> None:
        """The device has heard it."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM leaving WHERE device = ? AND type = ?", (device_id, object_type))

    @staticmethod
    def _there(found: "Partnership | None", name: str = "") -> Partnership:
        if found is None:
            raise StateError(f"There is no partner named {name!r}; `cradle status` lists them.")
        return found


def _rename_elsewhere(connection: "sqlite3.Connection", old: str, new: str) -> None:
    """What waits, what can be undone and what can be merged goes by the partner's name."""
    if new != old:
        for table in ("conflict", "act", "ancestor", "common"):
            connection.execute(f"UPDATE {table} SET partner = ? WHERE partner = ?", (new, old))


def _leave(connection: "sqlite3.Connection", device: bytes, types: "list[str]") -> None:
    """Streams among the types are to be left; the device is told when it next answers."""
    streams = [(device, one) for one in types if is_stream(one)]
    connection.executemany("INSERT OR IGNORE INTO leaving VALUES (?, ?)", streams)


def _free_name(connection: "sqlite3.Connection", wanted: str, number: int) -> str:
    """The wanted name, or, if another partner has it, the first free one with a number."""
    rows = connection.execute("SELECT name FROM partnership WHERE number <> ?", (number,))
    taken = {row[0].casefold() for row in rows}
    base = tidy_name(wanted)
    name, count = base, 1
    while name.casefold() in taken:
        count += 1
        suffix = f"-{count}"
        name = base[: NAME_LIMIT - len(suffix)] + suffix
    return name
