"""What one CRADLE_HOME knows, open: who this desktop is, its partners, what their stores held, the settings."""

from functools import cached_property

from cradle_desktop.config import open_state
from cradle_desktop.metadata.sqlite import SqliteStore
from cradle_desktop.partnership.identity import own_identity
from cradle_desktop.partnership.registry import Registry
from cradle_desktop.settings import Settings, load
from cradle_protocol.wire.session import Identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.conflict.store import ConflictStore


class State:
    """The state database with what is in it, and the settings beside it. Raises StateError."""

    def __init__(self) -> None:
        self.database = open_state()
        me = own_identity(self.database)
        self.identity = Identity(me.id, me.name)
        self.registry = Registry(self.database)
        self.metadata = SqliteStore(self.database)

    @cached_property
    def settings(self) -> Settings:
        """What the user has set, read once."""
        return load()

    def conflicts(self) -> "ConflictStore":
        """The conflicts of this home; imported when somebody looks. One sync uses one: it remembers what it dropped."""
        from cradle_desktop.conflict.store import ConflictStore

        return ConflictStore(self.database, bound=self.settings.conflicts)

    def close(self) -> None:
        """Close the database."""
        self.database.close()
