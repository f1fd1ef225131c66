"""CPython only: many new files at once, for a store that has a shorter way than its ordinary calls. Judges nothing.

A first sync brings thousands of small files, and the calls that each makes through `ObjectStore` cost more than what
the disk does. A store with a shorter way has a method `new_files()` that gives its own `NewFiles`; for every other one
this class goes by the ordinary calls. Either takes no more than it can do as safely as those: what it does not show is
still staged, and is installed like anything else, which also says what is wrong with it.
"""

from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.values import file_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cradle_protocol.provider.store import ObjectStore


class NewFile:
    """A file of which nothing is known yet at its identity. `stage` and `show` fill in the last three.

    name    of its stage, as `ObjectStore.stage` wants it
    size    bytes of content
    mode    value of the mode unit
    sealed  what the store wants to know again when it is shown: when it was staged
    stamp   as it was shown; b"" until then
    racy    could an edit leave the same stamp?
    """

    sealed = 0
    stamp = b""
    racy = False

    def __init__(self, identity: str, name: str, size: int, mode: bytes) -> None:
        self.identity, self.name, self.size, self.mode = identity, name, size, mode


class NewFiles:
    """New files of one store, by the calls that every store has."""

    def __init__(self, store: "ObjectStore") -> None:
        self._store = store

    def stage(self, file: NewFile, data: memoryview) -> None:
        """Stage the whole content. Raises StoreError; then nothing counts as staged."""
        self._store.stage_bytes(file.name, data)

    def reaches(self, file: NewFile) -> bool:
        """Is the directory that the file belongs into there?"""
        try:
            return not self._store.missing_parents(file.identity)
        except StoreError:
            return False

    def show(self, files: "Sequence[NewFile]") -> None:
        """Make staged files of one directory, at least one, visible, none in the place of anything; stamps each.

        A file that could not be shown keeps its stage and has no stamp.
        """
        store = self._store
        for file in files:
            try:
                file.stamp = store.install(file.identity, file.name, [file_value(file.size), file.mode], None)
            except StoreError:
                continue
            file.racy = store.racy(file.stamp)
