"""When a process of a world dies, counted in what it makes durable and visible.

A `Fate` is shared by a replica's store (each install and removal is one act) and its metadata (each `intend` opens a
batch, the next `commit` ends it). It decides nothing by itself: it raises where a test has said.
"""

from typing import Any

from cradle_protocol.sync.metadata import Metadata
from cradle_testing.stores import MemoryStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.sync.item import Item


class Killed(BaseException):
    """The process died here; what the operating system has stays. No `except Exception` of anybody's sees it."""


class Dead(Killed):
    """The whole machine stopped: who is at the other end of a link to it sees only that the link is lost."""


class Fate:
    """What awaits one replica's process."""

    def __init__(self, store: MemoryStore, replica_id: bytes) -> None:
        self.replica_id = replica_id
        store.on_install = store.on_remove = self._act
        self.arm()

    def arm(self, kill: "tuple[int, int] | None" = None) -> None:
        """Die in this batch after so many acts, or as it commits; None: live."""
        self._kill, self._batch, self._left = kill, 0, -1

    def _act(self, _: str) -> None:
        if self._left == 0:
            raise Killed(self.replica_id)
        if self._left > 0:
            self._left -= 1

    def intended(self) -> None:
        """A batch's intents are durable."""
        if self._kill is not None and self._kill[0] == self._batch:
            self._left = self._kill[1]
        self._batch += 1

    def committing(self) -> None:
        """A batch is about to be committed."""
        if self._left >= 0:
            raise Killed(self.replica_id)


def fated(kind: "type[Any]", fate: Fate) -> "type[Any]":
    """A class of metadata like `kind` that shares this fate. Its replica id is the fate's, so that worlds repeat."""

    class Fated(kind, Metadata):  # type: ignore[misc]
        def __init__(self, *args: "Any") -> None:
            super().__init__(*args)
            self.replicas[0] = fate.replica_id

        def intend(self, items: "list[Item]", *more: "Any") -> None:
            super().intend(items, *more)
            fate.intended()

        def commit(self) -> None:
            fate.committing()
            super().commit()

    return Fated
