"""What is enabled with a partner, locked and open: its store with its metadata, and the three things done with them.

Nothing here opens a connection, knows another type, or writes down how a sync went.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from cradle_desktop.apart import check_apart
from cradle_desktop.boundary import sentences
from cradle_desktop.errors import MassDelete, UserError
from cradle_desktop.lock import replica_lock
from cradle_desktop.metadata.sqlite import SqliteMetadata
from cradle_desktop.partnership.registry import EnabledType, Partnership
from cradle_desktop.providers.registry import UnknownType, open_store
from cradle_desktop.state import State
from cradle_desktop.streams.opened import OpenStream, is_stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.conflict.contents import Contents
    from cradle_desktop.conflict.store import ConflictStore
    from cradle_desktop.connection import Connection
    from cradle_desktop.sync.plan import Plan
    from cradle_desktop.sync.report import Observer, SyncOptions, TypeResult
    from cradle_desktop.undo.back import Outcome
    from cradle_desktop.undo.journal import Journal


@contextmanager
def open_all(state: State, partner: Partnership, look: bool = False) -> "Iterator[list[OpenType | OpenStream]]":
    """All that is enabled with a partner, in its order: what is wrong on this side shows before a device waits.

    look: nothing is written, not even that a store was seen.
    """
    if not partner.types:
        raise UserError(f"nothing is enabled with {partner.name}; run 'cradle enable {partner.name} files'")
    with ExitStack() as stack:
        yield [
            _open_stream(stack, state, partner, enabled)
            if is_stream(enabled.type)
            else OpenType(stack, state, partner.name, enabled, look)
            for enabled in partner.types
        ]


def _open_stream(stack: ExitStack, state: State, partner: Partnership, enabled: EnabledType) -> OpenStream:
    with sentences(f"the file {enabled.location}"):
        return OpenStream(stack, state.database, partner, enabled)


class OpenType:
    """An enabled type of objects, locked and open until the stack is closed. Raises UserError.

    replaced  it is another store than the one that was synced before
    journal   where what it displaces is noted; None: nothing is displaced (yet), or the store keeps nothing
    """

    def __init__(self, stack: ExitStack, state: State, partner: str, enabled: EnabledType, look: bool = False) -> None:
        """look: nothing is written, not even that the store was seen."""
        self.enabled, self._state, self._partner = enabled, state, partner
        self.journal: Journal | None = None
        with sentences(f"the store {enabled.location}"):
            stack.enter_context(replica_lock(enabled.location, enabled.type, look))
            try:
                self.store = open_store(enabled.type, enabled.location)
            except UnknownType as error:
                raise UserError(str(error)) from error
            stack.callback(self.store.close)
            metadata = state.metadata
            known, found = metadata.replica(enabled.location, enabled.type), self.store.store_id()
            opened = metadata.preview_replica if look else metadata.open_replica
            self.meta = opened(enabled.location, enabled.type, len(self.store.units), found)
        self.replaced = known is not None and bool(known.store_id) and known.store_id != found

    def sync(
        self,
        connection: "Connection",
        conflicts: "ConflictStore",
        observer: "Observer",
        max_delete: float | None,
        revert: bool,
    ) -> "TypeResult":
        """Bring both sides together. Raises StoreError, StateError, MassDelete, and what the connection raises."""
        from cradle_desktop.metadata.horizon import Horizons
        from cradle_desktop.sync.engine import synchronize
        from cradle_desktop.sync.report import MassDelete as Guard
        from cradle_desktop.undo.confirmed import confirmed

        options = self._options(conflicts, max_delete, revert)
        if self.replaced:
            observer.note(
                f"{self.enabled.location} is another store than the one that was synced before (a disk in its "
                "place, or a copy from elsewhere): it is compared in full, as at a first sync"
            )
        try:
            result = synchronize(connection, self.store, self.meta, conflicts, options, observer, self._open_journal)
        except Guard as error:
            raise MassDelete(str(error)) from error
        if not result.cancelled:
            confirmed(self._state.database, self.meta, self._partner, self.enabled.type, self.enabled.location)
            Horizons(self._state.database).clean(self.meta, int(time.time()), self._state.settings.delete_age)
        return result

    def preview(self, connection: "Connection", conflicts: "ConflictStore", revert: bool) -> "Plan":
        """What `sync` would do; nothing is written anywhere."""
        from cradle_desktop.sync.engine import preview

        return preview(connection, self.store, self.meta, self._options(conflicts, None, revert))

    def take_back(self, contents: "Contents") -> "Outcome | None":
        """Undo the last sync or undo; None: there is nothing to take back. contents: of the conflict store."""
        from cradle_desktop.undo.back import take_back

        journal = self._open_journal()
        return None if journal is None else take_back(journal, contents)

    def _open_journal(self) -> "Journal | None":
        """What is displaced in a store is noted there, if the store can keep it."""
        from cradle_desktop.undo.journal import Journal
        from cradle_protocol.provider.keeping import KeepingStore

        if isinstance(self.store, KeepingStore):
            state, location = self._state, self.enabled.location
            self.journal = Journal(state.database, self.store, self._partner, location, state.settings.undo)
        return self.journal

    def _options(self, conflicts: "ConflictStore", max_delete: float | None, revert: bool) -> "SyncOptions":
        from cradle_desktop.sync.report import SyncOptions

        enabled, settings = self.enabled, self._state.settings
        options = SyncOptions(policy=enabled.policy, direction=enabled.direction, partner=self._partner)  # type: ignore[arg-type]
        options.met, options.filtered = enabled.met, enabled.filtered
        options.set_back = isinstance(self.meta, SqliteMetadata) and self.meta.set_back
        options.decisions = conflicts.decisions(self._partner, enabled.type)
        if max_delete is not None:
            options.max_delete = max_delete
        options.undo_fetch = settings.undo_fetch
        options.apart = partial(check_apart, self.store, enabled.location, self._partner)
        options.collision, options.impossible = settings.collision, settings.impossible
        options.revert = revert and enabled.direction != "both"
        if enabled.policy == "merge":
            from cradle_desktop.conflict.ancestors import Ancestors

            options.ancestors = Ancestors(self._state.database, self._partner, self.meta.replicas[0])
        return options
