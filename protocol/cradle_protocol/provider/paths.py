"""Which relative paths a store of files may hold: one rule for every store, on both interpreters. Touches no disk.

A path comes from a peer, so it is never trusted: nothing absolute, nothing that climbs, nothing in our own folder.
"""

from cradle_protocol.compat import const

# Where a store keeps its id and what is staged; at no level synced, under no spelling that a disk may take for it.
OWN_FOLDER = ".cradle"
# Temporary objects of ours that must lie beside their target begin like this; never synced either.
OWN_PREFIX = ".cradle-tmp-"
# What FAT calls `.cradle` in its 8.3 half: `CRADLE~1` opens our folder there.
_OWN_SHORT = "cradle~"

# What is true of names in a store (`ObjectStore.names`); an agent says it in these very bits (SYNC_OPEN_REPLY).
CASELESS = const(4)  # two names that differ by case only are one name
FAT_NAMES = const(8)  # no name has one of "*:<>?|\\ or a control character, or ends with a dot or a space
COMPOSED = const(16)  # names are in Unicode's composed form (NFC), however the disk spells them

MAX_NAME = 255  # bytes of one name: the least of all common file systems
MAX_PATH = 4000  # bytes of a whole path: Linux takes 4095 with the root before it
_SHORT = MAX_NAME // 4  # characters that fit whatever they are


def own_name(name: str, caseless: bool = False) -> bool:
    """Is this name, at any level, one of ours? caseless: also by what FAT takes for it."""
    name = name.lower()
    if name == OWN_FOLDER or name.startswith(OWN_PREFIX):
        return True
    return caseless and (name.rstrip(". ") == OWN_FOLDER or name.startswith(_OWN_SHORT))


def bad_path(identity: str, caseless: bool = False) -> bool:
    """Must a store of files refuse this path? Everything else that the disk can spell is legal, a newline too."""
    if not identity or "\x00" in identity:
        return True
    try:
        if len(identity) > _SHORT and len(identity.encode()) > MAX_PATH:
            return True
        for name in identity.split("/"):
            if name in ("", ".", "..") or (len(name) > _SHORT and len(name.encode()) > MAX_NAME):
                return True
            if caseless and name[-1] in ". ":
                return True  # FAT drops these: the name would come back as another one
            if ("~" in name or "." in name) and own_name(name, caseless):
                return True
        identity.encode()  # half of a surrogate pair, which only CPython's strings can hold
    except UnicodeError:
        return True
    return False
