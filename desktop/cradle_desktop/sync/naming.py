"""What names a store can hold, as it has declared. Judges paths, touches no disk, decides nothing.

Every rule that a store declares (`ObjectStore.names`, an agent's SYNC_OPEN_REPLY) is here once: when two paths are one
object there, why a path cannot be there, and which path like it can.
"""

import unicodedata

from cradle_protocol.provider.paths import CASELESS, COMPOSED, FAT_NAMES, MAX_NAME, MAX_PATH, bad_path, own_name

# What FAT, exFAT and Windows refuse in a name; '/' parts names everywhere.
_REFUSED = '"*:<>?|\\'
_AT_END = ". "
_SPACE = 32  # below it are control characters


class Names:
    """The rules for names in one store, or in two stores at once (`both`)."""

    def __init__(self, flags: int = 0, name_max: int = MAX_NAME, path_max: int = MAX_PATH) -> None:
        self.flags, self.name_max, self.path_max = flags, name_max, path_max

    def both(self, other: "Names") -> "Names":
        """What holds for a name that is to be in either store."""
        limits = min(self.name_max, other.name_max), min(self.path_max, other.path_max)
        return Names(self.flags | other.flags, *limits)

    def free(self) -> bool:
        """Is every short ASCII name possible here?"""
        return not self.flags & (FAT_NAMES | CASELESS)

    def caseless(self) -> bool:
        """Are two names that differ by case only one here?"""
        return bool(self.flags & CASELESS)

    def folds(self) -> bool:
        """Can two paths be one object here?"""
        return bool(self.flags & (CASELESS | COMPOSED))

    def key(self, path: str) -> str:
        """The same for two paths exactly if they are one object here."""
        if self.flags & COMPOSED and not path.isascii():
            path = unicodedata.normalize("NFC", path)
        return _upper(path) if self.flags & CASELESS else path

    def wrong(self, path: str) -> str:
        """Why this path cannot be here; "" if it can."""
        if bad_path(path):
            return "such a path is not allowed"
        if len(path.encode()) > self.path_max:
            return f"the path is longer than {self.path_max} bytes"
        return next((why for name in path.split("/") if (why := self._wrong_name(name))), "")

    def _wrong_name(self, name: str) -> str:
        if len(name.encode()) > self.name_max:
            return f"a name is longer than {self.name_max} bytes"
        if self.flags & COMPOSED and self._composed(name) != name:
            return "accents are not written in Unicode's composed form"
        if self.free():
            return ""
        if name[-1] in _AT_END:
            return "a name ends with a dot or a space"
        if self.flags & CASELESS and own_name(name, True):
            return "a name may stand for cradle's own folder"
        if not self.flags & FAT_NAMES:
            return ""
        found = next((letter for letter in name if letter in _REFUSED or ord(letter) < _SPACE), "")
        return f"a name has {found!r} in it" if found else ""

    def _composed(self, name: str) -> str:
        return name if name.isascii() else unicodedata.normalize("NFC", name)

    def spelled(self, name: str) -> str:
        """A name as this store spells it: the only spelling that it can hold."""
        return self._composed(name) if self.flags & COMPOSED else name

    def legal(self, name: str) -> str:
        """A name like this one that is possible here; the same for every desktop that knows the same rules."""
        name = self.spelled(name)
        if self.flags & FAT_NAMES:
            name = "".join("_" if letter in _REFUSED or ord(letter) < _SPACE else letter for letter in name)
        if not self.free():
            name = name.rstrip(_AT_END) or "_"
        if self.flags & CASELESS and own_name(name, True):
            name = "_" + name[1:]
        return name


def _upper(path: str) -> str:
    """As disks do it: letter by letter, never one letter as two."""
    if path.isascii():
        return path.upper()
    return "".join(great if len(great := letter.upper()) == 1 else letter for letter in path)
