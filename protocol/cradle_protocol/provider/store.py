"""The store contract: how the sync engine and the agent see a place that holds objects. Knows no versions, no peers.

A store enumerates its objects with a *stamp* each: opaque bytes that differ whenever the object may have changed, and
from which the values of all change units but the content's hash can be read without touching the object again. Every
write and delete carries the stamp it expects to find (optimistic concurrency); check and act are one step as far as
the place allows. New content is staged first, under a name of ours that no scan shows, then installed.

`ObjectStoreContract` (in `cradle_testing`) is the suite that every implementation passes.
"""

from cradle_protocol.errors import STATUS_TEXT
from cradle_protocol.provider.paths import MAX_NAME, MAX_PATH
from cradle_protocol.sync.slices import PIECE, hashing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cradle_protocol.sync.slices import Slices


class StoreError(Exception):
    """Something about one object, or the whole store, went wrong. `status` is a wire status, `text` a sentence."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text or STATUS_TEXT.get(status, "store error"))
        self.status = status
        self.text = text or STATUS_TEXT.get(status, "store error")


class Reader:
    """Content of one object, from an offset on."""

    def read_into(self, buffer: memoryview) -> int:
        """Fill as much of the buffer as there is content; 0 at the end. Raises StoreError(UNREADABLE)."""
        raise NotImplementedError

    def close(self) -> None:
        """Free the file; safe to call twice."""
        raise NotImplementedError


class Writer:
    """A staged object being written, always at its end."""

    def write(self, data: "bytes | bytearray | memoryview") -> None:
        """Append. Raises StoreError(NO_ROOM or WRITE_FAILED); what was written before stays staged."""
        raise NotImplementedError

    def flush(self) -> None:
        """Make what was written survive a power cut (used for resuming, not for every piece)."""
        raise NotImplementedError

    def close(self) -> None:
        """Finish; safe to call twice."""
        raise NotImplementedError


class ObjectStore:
    """One store of one object type. Paths are relative, NFC, '/'-separated; identities of other types are opaque.

    type               object type name
    units              names of the change units, the first is the content
    moves_by_identity  stamps tell whether two paths are the same object (inode); else moves are found by hash
    renames            can it `move` an object?
    skipped            [(identity, status)] of the last scan: not looked at, and whatever lies below
    names              what is true of names here: CASELESS, FAT_NAMES, COMPOSED of `paths`
    name_max           bytes of UTF-8 that one name may have; path_max: a whole identity

    The last three are known once `store_id` was asked. They are for planning: what a name really is, the disk says.
    """

    type = "files"
    units: "tuple[str, ...]" = ("content", "mode")
    moves_by_identity = False
    renames = False
    skipped: "list[tuple[str, int]]" = []
    names = 0
    name_max = MAX_NAME
    path_max = MAX_PATH

    def store_id(self) -> bytes:
        """16 bytes that say which store this is. Raises StoreError(NO_STORE) where the store is missing."""
        raise NotImplementedError

    # -- looking

    def items(self) -> "Iterator[tuple[str, bytes]]":
        """All objects once, as (identity, stamp), directories before what lies in them; fills `skipped`.

        Raises StoreError(NO_STORE) if the store is missing or ends in the middle; then nothing may be concluded.
        """
        raise NotImplementedError

    def stamp(self, identity: str) -> "bytes | None":
        """The stamp as it is now, None if there is no such object. Raises StoreError(BAD_NAME, UNREADABLE)."""
        raise NotImplementedError

    def values(self, stamp: bytes) -> "list[bytes]":
        """Values of all units as the stamp tells them; a file's content value comes without a digest."""
        raise NotImplementedError

    def holds(self, unit: int) -> bool:
        """Can this store represent the unit? One that it cannot is kept and forwarded, never detected."""
        raise NotImplementedError

    def racy(self, stamp: bytes) -> bool:
        """Was the object written so shortly before the scan (2 s), or under so doubtful a clock, that an edit could
        leave the same stamp?"""
        raise NotImplementedError

    def age(self, stamp: bytes) -> int:
        """Seconds since the content was written, by the store's own clock; -1 where it cannot tell."""
        return -1

    def object_key(self, stamp: bytes) -> bytes:
        """What stays when an object is renamed and its content is not changed. Only if `moves_by_identity`."""
        raise NotImplementedError

    def digest(self, identity: str) -> bytes:
        """SHA-256 of the content. Raises StoreError(UNREADABLE, CHANGED)."""
        raise NotImplementedError

    def hashing(self, identity: str, size: int) -> "Slices[bytes]":
        """The same in slices; `size`: how long the content is, as far as one knows."""
        return hashing(self.open(identity), memoryview(bytearray(min(PIECE, size + 1))))

    def open(self, identity: str, offset: int = 0) -> Reader:
        """Read content. Raises StoreError(UNREADABLE, BAD_NAME)."""
        raise NotImplementedError

    def room(self) -> int:
        """Free bytes, as far as the store can tell."""
        raise NotImplementedError

    # -- staging

    def stage(self, name: str, append: bool = False) -> Writer:
        """Start (or go on with) a staged object under a name of ours: hex digits and '-', at most 64 characters."""
        raise NotImplementedError

    def stage_bytes(self, name: str, data: "bytes | bytearray | memoryview") -> None:
        """Stage a small object whole, in place of what has this name. Raises StoreError(NO_ROOM or WRITE_FAILED)."""
        writer = self.stage(name)
        try:
            writer.write(data)
        finally:
            writer.close()

    def stage_copy(self, identity: str, name: str) -> None:
        """Stage the content of an object that is here. Raises StoreError(UNREADABLE, NO_ROOM)."""
        raise NotImplementedError

    def copying(self, identity: str, name: str) -> "Slices[None]":
        """The same in slices; in one, where the system copies for us."""
        self.stage_copy(identity, name)
        return
        yield

    def staged(self) -> "list[tuple[str, int]]":
        """[(name, length)] of everything staged."""
        raise NotImplementedError

    def staged_digest(self, name: str) -> bytes:
        """SHA-256 of what is staged under this name."""
        raise NotImplementedError

    def staged_hashing(self, name: str) -> "Slices[bytes]":
        """The same in slices."""
        return hashing(self.open_staged(name), memoryview(bytearray(PIECE)))

    def open_staged(self, name: str) -> Reader:
        """Read what is staged under this name. Raises StoreError(UNREADABLE)."""
        raise NotImplementedError

    def unstage(self, name: str) -> None:
        """Drop a staged object; no error if there is none."""
        raise NotImplementedError

    # -- acting

    def install(
        self, identity: str, staged: "str | None", values: "list[bytes]", expected: "bytes | None", content: bool = True
    ) -> bytes:
        """Make an object be as `values` say, all-old or all-new under its name. Returns the stamp read back.

        staged    name of the staged content (taken over; gone afterwards), None for a directory or where content stays
        expected  the stamp that must be there now, None: nothing must be there (an existing *directory* may be, where
                  a directory is made)
        content   False: only the other units change
        Missing parents are made. A unit with value b"" is left to the store's default. Raises StoreError: CHANGED
        (what is there is not what was expected; it is left alone), NO_ROOM, BAD_NAME, COLLISION, NO_PARENT (a file
        is in the way), READ_ONLY, WRITE_FAILED.
        """
        raise NotImplementedError

    def move(self, identity: str, expected: bytes, target: str) -> bytes:
        """Give an object another name, with all that lies in it as it is. Returns its stamp under that name.

        Nothing must be there under the new name; missing parents of it are made. Only if `renames`. Raises StoreError:
        CHANGED (the object is not what was expected, or the name is taken), BAD_NAME, COLLISION, NO_PARENT, READ_ONLY,
        WRITE_FAILED (two disks, for example).
        """
        raise NotImplementedError

    def missing_parents(self, identity: str) -> "list[str]":
        """The directories above an object that do not exist, outermost first."""
        raise NotImplementedError

    def remove(self, identity: str, expected: bytes) -> None:
        """Delete an object. A directory must be empty: StoreError(CHANGED) if it is not. Raises CHANGED, READ_ONLY."""
        raise NotImplementedError

    def prune(self, identity: str) -> bool:
        """Remove a directory if it is empty (whatever its stamp). False if it is not empty or not there."""
        raise NotImplementedError

    def respell(self, identity: str, wanted: str) -> None:
        """Where two spellings are one name: give a directory the other one, with all that is in it as it was.

        A board has no use for it: there an object goes before its other spelling comes. Raises StoreError.
        """
        raise NotImplementedError

    def sync(self) -> None:
        """Make all installs and removals so far survive a power cut: one flush for a batch, not one per object."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what is held open between calls (a stick can be unplugged then); the next call opens it again."""
