"""Taking a loser back, offline: it is put into the desktop's store as an ordinary edit; the next sync carries it.

What makes way is kept before it is overwritten, so a resolution is taken back by resolving again the other way.
"""

import time
from hashlib import sha256

from cradle_desktop.conflict.contents import BytesReader
from cradle_desktop.conflict.store import Conflict, ConflictStore
from cradle_protocol.errors import CHANGED
from cradle_protocol.provider.desktop import RecordStore
from cradle_protocol.provider.store import ObjectStore, Reader, StoreError
from cradle_protocol.sync.values import DIRECTORY, UNKNOWN, digest_of, file_value, is_file

# Hex digits of the hash in a kept copy's name; more only where that name is taken by something else.
_TAG_SIZES = (6, 12, 24)
# Bytes of one component of a path on the file systems that we meet.
_NAME_LIMIT = 255
_PIECE = 1 << 20
# Our staged names: no sync uses this prefix. With the hash 62 characters, of 64 that a staged name may have.
_STAGE, _STAGE_DIGITS = "c-", 60

OTHER = {"desktop": "device", "device": "desktop"}


class ConflictError(Exception):
    """The conflict cannot be resolved so. `text` is one sentence for the user."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def kept_name(identity: str, side: str, digest: bytes, digits: int = _TAG_SIZES[0], limit: int = _NAME_LIMIT) -> str:
    """The name beside the original for a copy that is kept: every desktop finds the same, from these alone.

    side: whose it is, "" where that does not matter; digest: hash or item id; limit: bytes of a name.
    """
    folder, slash, name = identity.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not stem.strip("."):
        stem, dot, suffix = name, "", ""
    tag = f" ({side} {digest.hex()[:digits]})" if side else f" ({digest.hex()[:digits]})"
    room = limit - len((tag + dot + suffix).encode())
    if room < 1:  # the suffix is no suffix
        stem, dot, suffix, room = name, "", "", limit - len(tag)
    stem = stem.encode()[:room].decode(errors="ignore")
    return folder + slash + stem + tag + dot + suffix


def kept_names(identity: str, side: str, digest: bytes, limit: int = _NAME_LIMIT) -> "list[str]":
    """The names to try for a kept copy, in this order."""
    return [kept_name(identity, side, digest, digits, limit) for digits in _TAG_SIZES]


def find(conflicts: ConflictStore, number: int) -> Conflict:
    """The conflict of this number. Raises ConflictError."""
    found = conflicts.get(number)
    if found is None:
        raise ConflictError(f"There is no conflict {number}; `cradle conflicts` lists them.")
    return found


def resolve(conflicts: ConflictStore, number: int, take: str, store: ObjectStore) -> str:
    """Have the `desktop`'s or the `device`'s version, or `both`, in the desktop's store. Returns what was done.

    Works again and again, in any order. Raises ConflictError: not possible, the sentence says why.
    """
    conflict = find(conflicts, number)
    if not conflict.held:
        conflicts.decide(number, take)
        return f"{conflict.identity}: the next sync takes {_words(take)}"
    try:
        if take == "both":
            done = _beside(conflicts, conflict, store)
        else:
            done = _take(conflicts, conflict, take, store)
    except StoreError as error:
        if error.status == CHANGED:
            raise ConflictError(f"{conflict.identity} was changed just now; look at it and try again.") from error
        raise ConflictError(f"{conflict.identity} cannot be resolved: {error.text}.") from error
    conflicts.settle(number, take)
    return done


def written_at(store: ObjectStore, stamp: "bytes | None") -> "int | None":
    """When the content with this stamp was written, Unix seconds by the store's clock; None: it cannot tell."""
    age = -1 if stamp is None else store.age(stamp)
    return int(time.time()) - age if age >= 0 else None


def _words(take: str) -> str:
    return "both versions" if take == "both" else f"the {take}'s version"


def value_of(conflict: Conflict, side: str) -> "bytes | None":
    """The value that a side had, as far as it is kept; None: it is what the desktop's store has in place."""
    if side == conflict.loser:
        return conflict.value
    return conflict.displaced


def in_place(conflict: Conflict) -> str:
    """The side whose version the desktop's store had when the conflict was last touched."""
    if not conflict.held:
        return "desktop"  # nothing was exchanged yet
    return conflict.taken if conflict.taken in OTHER else conflict.winner


def _take(conflicts: ConflictStore, conflict: Conflict, side: str, store: ObjectStore) -> str:
    value = value_of(conflict, side)
    if value is None or side == in_place(conflict):
        return f"{conflict.identity}: the {side}'s version stays"
    _need(conflicts, conflict, value)
    current = store.stamp(conflict.identity)
    if conflict.unit:
        _put_unit(conflicts, conflict, value, store, current)
    else:
        _put_content(conflicts, conflict, value, store, current)
    store.sync()
    if not conflict.unit and value == UNKNOWN:
        return f"{conflict.identity}: deleted, as on the {side}"
    return f"{conflict.identity}: now the {side}'s version"


def _need(conflicts: ConflictStore, conflict: Conflict, value: bytes) -> None:
    if is_file(value) and not conflicts.contents.holds(digest_of(value)):
        raise ConflictError(f"{conflict.identity}: that version was dropped when the conflict store was full.")


def _put_unit(
    conflicts: ConflictStore, conflict: Conflict, value: bytes, store: ObjectStore, current: "bytes | None"
) -> None:
    """Change one unit that is not the content."""
    if current is None:
        raise ConflictError(f"{conflict.identity} is not there any more; there is nothing to change.")
    if isinstance(store, RecordStore):
        _put_fields(conflicts, conflict, value, store, current)
        return
    if not store.holds(conflict.unit):
        raise ConflictError(f"{conflict.identity}: the store cannot hold its {store.units[conflict.unit]}.")
    wanted = store.values(current)
    conflicts.displace(conflict, in_place(conflict), wanted[conflict.unit], None, None)
    wanted[conflict.unit] = value
    store.install(conflict.identity, None, wanted, current, content=False)


def _put_fields(conflicts: ConflictStore, conflict: Conflict, value: bytes, store: RecordStore, current: bytes) -> None:
    """Put one field group of a kept record into the record that is there, which is kept in turn."""
    ours, theirs = _whole(store.open(conflict.identity)), _whole(conflicts.contents.open(digest_of(value)))
    try:
        made = store.compose(ours, theirs, [u == conflict.unit for u in range(len(store.units))])
    except ValueError:
        raise ConflictError(f"{conflict.identity} is no record any more; look at it and try again.") from None
    here, written = store.values(current)[0], written_at(store, current)
    conflicts.displace(conflict, in_place(conflict), here, BytesReader(ours), written)
    name = _STAGE + sha256(made).hexdigest()[:_STAGE_DIGITS]
    try:
        store.stage_bytes(name, made)
        units = [UNKNOWN] * (len(store.units) - 1)
        store.install(conflict.identity, name, [file_value(len(made), sha256(made).digest()), *units], current)
    finally:
        store.unstage(name)


def _whole(reader: Reader) -> bytes:
    data, buffer = bytearray(), memoryview(bytearray(_PIECE))
    try:
        while n := reader.read_into(buffer):
            data += buffer[:n]
        return bytes(data)
    finally:
        reader.close()


def _put_content(
    conflicts: ConflictStore, conflict: Conflict, value: bytes, store: ObjectStore, current: "bytes | None"
) -> None:
    """Keep what is there, then put the file, the directory or nothing in its place."""
    here = store.values(current) if current is not None else [UNKNOWN]
    reader = store.open(conflict.identity) if is_file(here[0]) else None
    written = written_at(store, current) if reader is not None else None
    held = conflicts.displace(conflict, in_place(conflict), here[0], reader, written)
    if held == value:
        return
    unset = [UNKNOWN] * (len(store.units) - 1)
    if is_file(value) and held != DIRECTORY:
        _install(conflicts, conflict.identity, value, here[1:] or unset, store, current)
        return
    if current is not None:
        _remove(conflict, held, store, current)
    if is_file(value):
        _install(conflicts, conflict.identity, value, unset, store, None)
    elif value == DIRECTORY:
        store.install(conflict.identity, None, [DIRECTORY, *unset], None)


def _remove(conflict: Conflict, held: bytes, store: ObjectStore, current: bytes) -> None:
    try:
        store.remove(conflict.identity, current)
    except StoreError as error:
        if held == DIRECTORY and error.status == CHANGED:
            text = f"{conflict.identity} is a directory that is not empty; empty it first, then resolve again."
            raise ConflictError(text) from error
        raise


def _install(
    conflicts: ConflictStore, identity: str, value: bytes, units: "list[bytes]", store: ObjectStore,
    expected: "bytes | None",
) -> None:  # fmt: skip
    """Stage a kept content and install it, all or nothing."""
    name = _STAGE + digest_of(value).hex()[:_STAGE_DIGITS]
    try:
        stage_content(store, name, conflicts.contents.open(digest_of(value)), flush=True)
        store.install(identity, name, [value, *units], expected)
    finally:
        store.unstage(name)


def stage_content(store: ObjectStore, name: str, reader: Reader, flush: bool) -> None:
    """Stage a whole content under this name, and close the reader. flush: at once durable, else with the next sync."""
    writer = store.stage(name)
    try:
        buffer = memoryview(bytearray(_PIECE))
        while n := reader.read_into(buffer):
            writer.write(buffer[:n])
        if flush:
            writer.flush()
    finally:
        reader.close()
        writer.close()


def _beside(conflicts: ConflictStore, conflict: Conflict, store: ObjectStore) -> str:
    """Put the version that is not in place beside the one that is."""
    side = OTHER[in_place(conflict)]
    value = value_of(conflict, side)
    if conflict.unit or value is None or not is_file(value):
        raise ConflictError(f"{conflict.identity}: there can be no two; take desktop or device.")
    _need(conflicts, conflict, value)
    for name in kept_names(conflict.identity, side, digest_of(value)):
        there = store.stamp(name)
        if there is None:
            _install(conflicts, name, value, [b""] * (len(store.units) - 1), store, None)
            store.sync()
            return f"{conflict.identity}: the {side}'s version is beside it as {name}"
        if is_file(store.values(there)[0]) and store.digest(name) == digest_of(value):
            return f"{conflict.identity}: the {side}'s version is there already as {name}"
    raise ConflictError(f"{conflict.identity}: every name for a copy beside it is taken; take one side.")
