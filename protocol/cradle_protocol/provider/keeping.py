"""CPython only: the contract of a store that can keep what it displaces, so that a sync can be undone. Bounds nothing.

A desktop's store may be one; the engine asks with isinstance. Keeping must not cost a second read of the content where
the place can do without (a file is renamed). `KeepingContract` (in `cradle_testing`) is the suite for it.
"""

from cradle_protocol.provider.store import ObjectStore, Reader


class KeepingStore(ObjectStore):
    """A store with room aside, where no scan looks, for contents that installs and removals displace.

    Names are as of stages: hex digits and '-', at most 64 characters; stages are apart from them.
    """

    def keep_next(self, name: str) -> None:
        """The content that the next `install` or `remove` displaces is kept under this name; "": it goes, as usual.

        It holds for the next call that displaces a content; one that fails may leave it standing. If the content cannot
        be kept, that call raises StoreError(CHANGED) and displaces nothing.
        """
        raise NotImplementedError

    def keep_staged(self, staged: str, name: str) -> None:
        """What is staged is kept under this name from now on, and staged no more. Durable after the next `sync`.

        Raises StoreError (UNREADABLE if there is no such stage); then it is staged still, if it was.
        """
        raise NotImplementedError

    def kept(self) -> "list[tuple[str, int]]":
        """[(name, length)] of everything kept."""
        raise NotImplementedError

    def open_kept(self, name: str) -> Reader:
        """Read what is kept under this name. Raises StoreError(UNREADABLE)."""
        raise NotImplementedError

    def drop_kept(self, name: str) -> None:
        """Let go of it; no error if there is none."""
        raise NotImplementedError
