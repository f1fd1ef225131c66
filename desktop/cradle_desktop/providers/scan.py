"""One walk through a folder: every object with its stamp, and what was skipped. Reads no content, follows no link.

Descriptors are opened a directory at a time and none is held between two objects; nothing is kept for a file but the
tuple that is handed out.
"""

import os
import stat
import unicodedata
from collections.abc import Callable, Iterator

from cradle_desktop.providers.folder import MISSING, Folder
from cradle_desktop.providers.kernel import LIST
from cradle_desktop.providers.stamps import IS_DIRECTORY, IS_FILE, LAYOUT, PERMISSIONS
from cradle_protocol.errors import BAD_NAME, CHANGED, COLLISION, NO_STORE, NOT_ALLOWED, UNREADABLE
from cradle_protocol.provider.paths import MAX_NAME, MAX_PATH, own_name
from cradle_protocol.provider.store import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    _Found = TypeVar("_Found")

_DEEPEST = MAX_PATH - MAX_NAME - 1  # bytes of a directory's path below which any name fits
_KIND, _REGULAR, _FOLDER = 0o170000, stat.S_IFREG, stat.S_IFDIR


class Scanner:
    """Walks a folder once. full: see `Stamps`.

    skipped  [(identity, status)], nested: identities of directories that are stores themselves; filled on the way
    """

    def __init__(self, folder: Folder, full: bool) -> None:
        self._folder, self._full = folder, full
        self.skipped: list[tuple[str, int]] = []
        self.nested: list[str] = []
        self._waiting = [("", "")]  # (identity, path on the disk) of directories that were met and not yet listed

    def run(self) -> "Iterator[tuple[str, bytes]]":
        """All objects, directories before what lies in them. Raises StoreError(NO_STORE) if the folder goes away."""
        self._folder.forget()
        while self._waiting:
            yield from self._survey(self._list, *self._waiting.pop())

    def names(self) -> "Iterator[tuple[str, bool]]":
        """The same, but nothing is looked at: (identity, is it a directory)."""
        self._folder.forget()
        while self._waiting:
            yield from self._survey(self._names, *self._waiting.pop())

    def _survey(
        self, look: "Callable[[int, str, str], list[tuple[str, _Found]]]", identity: str, path: str
    ) -> "list[tuple[str, _Found]]":
        """All objects of one directory, as `look` gives them; its directories are added to those that wait."""
        if len(os.fsencode(path)) > _DEEPEST or len(identity.encode()) > _DEEPEST:
            self.skipped.append((identity, BAD_NAME))
            return []
        try:
            fd = self._folder.directory(path, LIST)
            try:
                return look(fd, identity, path)
            finally:
                os.close(fd)
        except OSError as error:
            if not path:
                raise StoreError(NO_STORE, f"the folder cannot be read: {error.strerror}") from error
            # Nothing below may be taken for deleted, also where it was only renamed during the scan.
            self.skipped.append((identity, CHANGED if error.errno in MISSING else UNREADABLE))
            return []

    # long: the hot loop of a scan, a call per file would cost as much as its stat
    def _list(self, fd: int, identity: str, path: str) -> "list[tuple[str, bytes]]":
        skipped, spelled = self.skipped, self._folder.spelled
        found: list[tuple[str, bytes]] = []
        below: list[tuple[str, str]] = []
        here, prefix = identity and identity + "/", path and path + "/"
        names = os.listdir(fd)
        odd = {} if "".join(names).isascii() else _identities(names, here, skipped)
        look, pack, full = os.stat, LAYOUT.pack, self._full
        for name in names:
            if name[0] == "." and own_name(name):
                if identity:
                    self.nested.append(identity)
                continue
            shown: str | None = name
            if odd and name in odd:
                shown = odd[name]
                if shown is None:
                    continue
                if shown != name:
                    spelled[here + shown] = name
            try:
                st = look(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            except PermissionError:
                raise
            except OSError:
                skipped.append((f"{here}{shown}", UNREADABLE))
                continue
            mode = st.st_mode
            kind = mode & _KIND
            bits, inode = (mode & PERMISSIONS, st.st_ino) if full else (0, 0)
            if kind == _REGULAR:
                changed = st.st_ctime_ns if full else 0
                stamp = pack(IS_FILE, bits, st.st_size, st.st_mtime_ns, changed, inode)
            elif kind == _FOLDER:
                stamp = pack(IS_DIRECTORY, bits, 0, 0, 0, inode)
                below.append((f"{here}{shown}", prefix + name))
            else:
                skipped.append((f"{here}{shown}", NOT_ALLOWED))
                continue
            found.append((f"{here}{shown}", stamp))
        self._waiting += below
        return found

    def _names(self, fd: int, identity: str, path: str) -> "list[tuple[str, bool]]":
        found: list[tuple[str, bool]] = []
        here, prefix = identity and identity + "/", path and path + "/"
        with os.scandir(fd) as listing:
            entries = list(listing)
        odd = _identities([entry.name for entry in entries if not entry.name.isascii()], here, self.skipped)
        for entry in entries:
            name = entry.name
            if name[0] == "." and own_name(name):
                if identity:
                    self.nested.append(identity)
                continue
            shown = odd.get(name, name) if odd else name
            if shown is None:
                continue
            if shown != name:
                self._folder.spelled[here + shown] = name
            if entry.is_file(follow_symlinks=False):
                found.append((here + shown, False))
            elif entry.is_dir(follow_symlinks=False):
                found.append((here + shown, True))
                self._waiting.append((here + shown, prefix + name))
            else:
                self.skipped.append((here + shown, NOT_ALLOWED))
        return found


def _identities(names: "list[str]", here: str, skipped: "list[tuple[str, int]]") -> "dict[str, str | None]":
    """Identity of every name that is not all ASCII; None, and skipped, where it has none of its own."""
    odd: dict[str, str | None] = {}
    owner: dict[str, str] = {}
    for name in names:
        if name.isascii():
            continue
        try:
            shown = unicodedata.normalize("NFC", name)
            too_long = len(shown.encode()) > MAX_NAME
        except UnicodeEncodeError:
            shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            too_long = True
        if too_long:
            odd[name] = None
            skipped.append((here + shown, BAD_NAME))
        elif shown in owner:
            if odd[owner[shown]] is not None:
                skipped.append((here + shown, COLLISION))
            odd[name] = odd[owner[shown]] = None
        else:
            odd[name], owner[shown] = shown, name
    return odd
