"""Which code exposes which object type: ours by a table, other people's by entry points. Opens stores, reads no object.

An entry point of the group `cradlesync.providers` is named after its object type and gives a `StoreFactory`: any
object with `open(location)` and `create(location)` that return an `ObjectStore`.
"""

from cradle_protocol.provider.store import ObjectStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class StoreFactory(Protocol):
        """How stores of one type come to be. Both raise StoreError; `open` makes nothing."""

        def open(self, location: str) -> ObjectStore: ...

        def create(self, location: str) -> ObjectStore: ...


GROUP = "cradlesync.providers"


class UnknownType(LookupError):
    """Nobody offers this object type. The text is one sentence."""


def open_store(type_name: str, location: str) -> ObjectStore:
    """The store at a location, which must be there."""
    return factory(type_name).open(location)


def create_store(type_name: str, location: str) -> ObjectStore:
    """The store at a location; made if there is none yet."""
    return factory(type_name).create(location)


def factory(type_name: str) -> "StoreFactory":
    """What makes stores of this type. Raises UnknownType."""
    if type_name == "files":
        return _Files()
    for entry in _entries():
        if entry.name == type_name:
            found: StoreFactory = entry.load()
            return found
    names = ", ".join(sorted({"files", *(entry.name for entry in _entries())}))
    raise UnknownType(f"there is no object type {type_name!r} here; there are: {names}")


class _Files:
    """Folders on this machine."""

    def open(self, location: str) -> ObjectStore:
        from cradle_desktop.providers.files import FilesStore

        return FilesStore(location)

    def create(self, location: str) -> ObjectStore:
        from cradle_desktop.providers.files import FilesStore

        return FilesStore.create(location)


def _entries() -> "list[EntryPoint]":
    from importlib.metadata import entry_points  # slow to import; no sync of our own types needs it

    return list(entry_points(group=GROUP))


if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
