"""A stream that is enabled with a partner: its place, its store while a sync lasts, and how it stands."""

import os
from contextlib import closing

from cradle_desktop.errors import Usage
from cradle_desktop.lock import replica_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import ExitStack

    from cradle_desktop.connection import Connection
    from cradle_desktop.metadata.database import Database
    from cradle_desktop.partnership.registry import EnabledType, Partnership
    from cradle_desktop.sync.plan import Plan
    from cradle_desktop.sync.report import Observer, TypeResult

# Types that are rows and not objects.
TYPES = ("readings",)
# They have but one side that changes.
DIRECTION, POLICY = "to-desktop", "none"


def is_stream(type_name: str) -> bool:
    """Is this type a stream of rows?"""
    return type_name in TYPES


def default_place(partner: str, type_name: str) -> str:
    """The file for a partner's rows if the user named none: a database under the user's home."""
    return os.path.join(os.path.expanduser("~"), f"{partner}-{type_name}.db")


def create(location: str, direction: str) -> None:
    """Make the store if there is none. Raises StoreError, and Usage for a direction in which no rows go."""
    from cradle_desktop.providers.readings import create_rows

    if direction == "to-device":
        raise Usage("readings come from the device and go nowhere else: leave --direction out")
    create_rows(location).close()


class OpenStream:
    """An enabled stream, locked and open until the stack is closed. Raises StoreError, Locked."""

    def __init__(
        self, stack: "ExitStack", database: "Database", partner: "Partnership", enabled: "EnabledType"
    ) -> None:
        from cradle_desktop.providers.readings import open_rows
        from cradle_desktop.streams.notes import StreamNotes

        self.enabled, self._partner = enabled, partner
        stack.enter_context(replica_lock(enabled.location, enabled.type))
        self._notes = StreamNotes(database, enabled.location)
        self._store = stack.enter_context(closing(open_rows(enabled.location, self._notes.known())))

    def sync(self, connection: "Connection", observer: "Observer") -> "TypeResult":
        """Fetch what the device has recorded."""
        from cradle_desktop.streams.receive import Receiver

        return Receiver(connection, self._store, self._notes, self.enabled.type, self._partner).run(observer)

    def preview(self, connection: "Connection") -> "Plan":
        """What `sync` would fetch; nothing is written anywhere."""
        from cradle_desktop.streams.receive import Receiver

        return Receiver(connection, self._store, self._notes, self.enabled.type, self._partner).preview()


class StreamState:
    """How a stream stands, as far as this desktop remembers: rows that came, that were lost, the device's clock."""

    def __init__(self, database: "Database", partner: "Partnership", enabled: "EnabledType") -> None:
        from cradle_desktop.streams.notes import StreamNotes

        notes = StreamNotes(database, enabled.location).of(partner.device_id)
        self.rows = sum(note.rows for note in notes)
        self.lost = sum(note.lost for note in notes)
        compared = [note.behind for note in notes if note.behind is not None]
        self.behind_s = compared[-1] / 1000 if compared else None
