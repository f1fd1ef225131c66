"""A folder opened once, and names in it that cannot lead out of it. Knows no stamps and no staging.

Every name is reached from the folder's own descriptor, without following a link at any level, and acted on through the
descriptor of the directory that holds it: a directory swapped for a link between check and act is an error, no escape.
Identities are in NFC; a name that the disk spells otherwise is found and kept in the disk's spelling.
"""

import errno
import os
import re
import unicodedata

from cradle_desktop.providers.kernel import LIST, WALK, Kernel
from cradle_protocol.errors import (
    BAD_NAME,
    CHANGED,
    COLLISION,
    NO_PARENT,
    NO_ROOM,
    NO_STORE,
    READ_ONLY,
    UNREADABLE,
    WRITE_FAILED,
)
from cradle_protocol.provider.paths import MAX_PATH, OWN_FOLDER, bad_path
from cradle_protocol.provider.store import StoreError

# Paths that are good beyond doubt: most are, and one match is several times faster than the rule.
_PLAIN = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_.-]{0,62}(?:/[0-9A-Za-z_][0-9A-Za-z_.-]{0,62})*")

_STATUS = {
    errno.ENOSPC: NO_ROOM,
    errno.EDQUOT: NO_ROOM,
    errno.EFBIG: NO_ROOM,  # also: larger than this file system can hold
    errno.EROFS: READ_ONLY,
    errno.ENAMETOOLONG: BAD_NAME,
    errno.EILSEQ: BAD_NAME,
    errno.EINVAL: BAD_NAME,  # FAT's answer to a colon
    errno.ENOTDIR: NO_PARENT,
    errno.ELOOP: NO_PARENT,  # a link is where a directory must be
    errno.ENOENT: CHANGED,
    errno.EEXIST: CHANGED,
    errno.ENOTEMPTY: CHANGED,
    errno.EISDIR: CHANGED,
    errno.ESTALE: NO_STORE,
    errno.ENODEV: NO_STORE,
    errno.ENOTCONN: NO_STORE,
}
# No directory, or a link, where one must be: what lies below it is not there.
MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_FORBIDDEN = (errno.EACCES, errno.EPERM)
# Directories held open at once; 1,024 descriptors are what a process has by default.
_MOST_HELD = 256


def acting(error: OSError) -> StoreError:
    """What an errno means when we were changing something."""
    status = READ_ONLY if error.errno in _FORBIDDEN else _STATUS.get(error.errno or 0, WRITE_FAILED)
    return StoreError(status, f"{error.strerror or error}")


def looking(error: OSError) -> StoreError:
    """What an errno means when we were reading something."""
    status = _STATUS.get(error.errno or 0, UNREADABLE)
    return StoreError(status if status in (BAD_NAME, NO_STORE) else UNREADABLE, f"{error.strerror or error}")


class Place:
    """A name in an open directory. As a context manager it closes the directory."""

    __slots__ = ("fd", "name", "own")

    def __init__(self, fd: int, name: str, own: bool = True) -> None:
        self.fd, self.name, self.own = fd, name, own

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *error: object) -> None:
        if self.own:
            os.close(self.fd)

    def stat(self) -> "os.stat_result | None":
        """What is there, None if nothing is. A link is not followed."""
        try:
            return os.stat(self.name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def drop(self) -> None:
        """Delete the file, if it is there."""
        try:
            os.unlink(self.name, dir_fd=self.fd)
        except FileNotFoundError:
            pass


class Folder:
    """The open folder. caseless: it finds a name in other capitals; its owner says so."""

    def __init__(self, path: str, kernel: Kernel) -> None:
        self.kernel = kernel
        self.fd = os.open(path, LIST)
        self.caseless = False
        self.spelled: dict[str, str] = {}  # path in NFC -> how the disk spells its last name; only where they differ
        self._listed: dict[str, frozenset[str]] = {}  # caseless folders only: names as they were last listed
        self._held: dict[str, int] = {}  # path on the disk -> descriptor, see `near`

    def close(self) -> None:
        """Let go of it."""
        self.let_go()
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def forget(self) -> None:
        """A scan begins: what was remembered about spellings may be old."""
        self.spelled.clear()
        self._listed.clear()
        self.let_go()

    def check(self, identity: str) -> None:
        """Raise BAD_NAME for a path that must not be used here, whatever is on the disk."""
        if not self.caseless and len(identity) < MAX_PATH and _PLAIN.fullmatch(identity):
            return
        if bad_path(identity, self.caseless):
            raise StoreError(BAD_NAME)
        if not identity.isascii() and not unicodedata.is_normalized("NFC", identity):
            raise StoreError(BAD_NAME, "the name is not in Unicode's composed form")

    def directory(self, path: str, flags: int = WALK) -> int:
        """A descriptor of the directory at this path ("" the folder itself), to be closed by the caller. OSError."""
        if not path:
            return os.open(".", flags, dir_fd=self.fd)
        return self.kernel.open_directory(self.fd, path, flags)

    def place(self, identity: str) -> Place:
        """Where an object is or would be. OSError if a directory above it is missing."""
        self.check(identity)
        path = identity if identity.isascii() else self._spelling(identity)
        above, _, name = path.rpartition("/")
        if not above:
            return Place(self.fd, name, own=False)
        return Place(self.kernel.open_directory(self.fd, above, WALK), name)

    def near(self, identity: str) -> Place:
        """As `place`, but the directory stays open until `let_go`: for many objects, one after the other.

        A user who moves the directory away meanwhile finds what was done in it there, as if it had been done before.
        """
        self.check(identity)
        path = identity if identity.isascii() else self._spelling(identity)
        above, _, name = path.rpartition("/")
        if not above:
            return Place(self.fd, name, own=False)
        fd = self._held.get(above)
        if fd is None:
            if len(self._held) >= _MOST_HELD:
                self.let_go()
            fd = self._held[above] = self.kernel.open_directory(self.fd, above, WALK)
        return Place(fd, name, own=False)

    def let_go(self) -> None:
        """Close the directories that `near` holds: what was changed may have changed their paths."""
        for fd in self._held.values():
            os.close(fd)
        self._held = {}

    def make_parents(self, identity: str, made: "list[str]") -> None:
        """Make the directories above an object that are missing; `made` gets those, outermost first. OSError."""
        for path in self.missing(identity):
            with self.place(path) as place:
                try:
                    os.mkdir(place.name, dir_fd=place.fd)
                    made.append(path)
                except FileExistsError:
                    pass  # made by somebody else meanwhile, or not a directory: then the next step says so

    def missing(self, identity: str) -> "list[str]":
        """Paths above an object at which there is no directory, outermost first."""
        self.check(identity)
        parts = identity.split("/")
        missing: list[str] = []
        for n in range(len(parts) - 1, 0, -1):
            path = "/".join(parts[:n])
            try:
                os.close(self.directory(path if path.isascii() else self._spelling(path)))
                break
            except OSError as error:
                if error.errno not in MISSING:
                    raise
                missing.append(path)
        return missing[::-1]

    # -- spelling

    def _spelling(self, identity: str) -> str:
        """The disk's spelling of a path that is not all ASCII. A name that is nowhere is spelled in NFC."""
        path = disk = ""
        for name in identity.split("/"):
            path = path + "/" + name if path else name
            spelled = name if name.isascii() else self._spelling_of(path, disk, name)
            disk = disk + "/" + spelled if disk else spelled
        return disk

    def _spelling_of(self, path: str, above: str, name: str) -> str:
        known = self.spelled.get(path)
        if known is not None:
            return known
        try:
            fd = self.directory(above, LIST)
        except OSError:
            return name  # nothing there, or not ours to list: whoever uses the path meets the same error
        try:
            if self.kernel.exists(fd, name):
                return name
            found = [n for n in os.listdir(fd) if not n.isascii() and unicodedata.normalize("NFC", n) == name]
        except OSError:
            return name
        finally:
            os.close(fd)
        if len(found) > 1:
            raise StoreError(COLLISION, "two names differ only in how their accents are written")
        if found:
            self.spelled[path] = found[0]
        return found[0] if found else name

    def exact(self, identity: str) -> bool:
        """Caseless folders: is the path, as far as it exists, spelled like this on the disk?"""
        if not self.caseless:
            return True
        self.check(identity)
        path = self._spelling(identity)
        parts = path.split("/")
        for n in range(len(parts)):
            above = "/".join(parts[:n])
            if parts[n] in self._listed.get(above, ()):
                continue
            try:
                fd = self.directory(above, LIST)
            except OSError:
                return True  # nothing there
            try:
                if not self.kernel.exists(fd, parts[n]):
                    return True
                names = self._listed[above] = frozenset(os.listdir(fd))
            finally:
                os.close(fd)
            if parts[n] not in names:
                return False
        return True

    # -- what is said about the folder itself

    def read_own(self, name: str, size: int) -> bytes:
        """The beginning of a file in our own folder. OSError if it is not there."""
        fd = self.kernel.open_directory(self.fd, OWN_FOLDER, WALK)
        try:
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        finally:
            os.close(fd)
        try:
            return os.read(file, size)
        finally:
            os.close(file)
