"""What the policies `newest` and `merge` have to know of clashing files, and what `merge` keeps for the next time.

Decides nothing and changes no object.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing
from functools import partial

from cradle_desktop.conflict.ancestors import Ancestors
from cradle_desktop.conflict.merge3 import MERGE_BYTES, merge, read_text
from cradle_desktop.sync.outcome import Answer
from cradle_desktop.sync.remote import RemoteReplica
from cradle_protocol.compat import sha256
from cradle_protocol.provider.desktop import ConflictInfo, Judging, RecordStore
from cradle_protocol.provider.store import ObjectStore, StoreError
from cradle_protocol.sync.change import Change
from cradle_protocol.sync.item import Item
from cradle_protocol.sync.values import digest_of, size_of
from cradle_protocol.sync.version import HIGHEST, LOWEST, knows

# Two contents that were written within so many seconds are equally new: disks and boards count whole or two seconds.
SAME_TIME = 2
_PIECE = 1 << 16  # bytes read at a time

# What the device has, what is here, and the numbers of the change units that clash.
Clashes = list[tuple[Change, Item, list[int]]]


def merged(store: ObjectStore, remote: RemoteReplica, ancestors: Ancestors, clashes: Clashes) -> dict[bytes, Answer]:
    """{item id: the text that holds both edits}, for those of which the last common text is known.

    It is none of an object that was made apart under the same name, as one is over what a device has by name only.
    """
    found: list[tuple[Change, bytes, bytes]] = []
    for change, local, _ in clashes:
        known = remote.meta.knowledge.vector(change.id), remote.knowledge.vector(change.id)
        base, ours = ancestors.text(change.id, *known), _ours(store, local)
        apart = change.created != local.created
        if base is not None and ours is not None and not apart and size_of((change.values or [b""])[0]) <= MERGE_BYTES:
            found.append((change, base, ours))
    theirs = remote.contents([change for change, _, _ in found]) if found else {}
    answers = {}
    for change, base, ours in found:
        both = merge(base, ours, theirs[change.id]) if change.id in theirs else None
        if both is not None:
            answers[change.id] = Answer(merged=both)
    return answers


def newest(store: ObjectStore, remote: RemoteReplica, clashes: Clashes) -> dict[bytes, Answer]:
    """{item id: which side wrote last}, for those of which both clocks can tell.

    Ages are compared, each by its own side's clock: what time it is does not matter, only that clocks go on evenly.
    """
    theirs, answers = remote.ages([change for change, _, _ in clashes]), {}
    for change, local, _ in clashes:
        ours = store.age(local.stamp)
        if ours < 0 or change.id not in theirs or abs(ours - theirs[change.id]) < SAME_TIME:
            continue
        answers[change.id] = Answer(newer="desktop" if ours < theirs[change.id] else "device")
    return answers


def composed(store: RecordStore, remote: RemoteReplica, clashes: Clashes) -> dict[bytes, Answer]:
    """{item id: how to make one record of two}, for those that can be read and are records."""
    edits = [(change, local) for change, local, _ in clashes if not change.dead and not local.dead]
    theirs = remote.contents([change for change, _ in edits])
    answers = {}
    for change, local in edits:
        ours = _content(store, local)
        if ours is None or change.id not in theirs:
            continue
        answer = Answer()
        answer.compose = partial(store.compose, ours, theirs[change.id])
        try:
            answer.compose([False] * len(local.values))
        except ValueError:
            continue
        answers[change.id] = answer
    return answers


def ask(store: Judging, remote: RemoteReplica, clashes: Clashes, answers: dict[bytes, Answer]) -> None:
    """Have the provider say what becomes of each conflict. Edits of different units are none."""
    for change, local, units in clashes:
        if not units and not change.dead and not local.dead:
            continue
        kind = "update-delete" if change.dead else "delete-update" if local.dead else "update-update"
        names = [store.units[u] for u in units]
        ours, theirs = partial(_content, store, local), partial(_fetched, remote, change)
        info = ConflictInfo(local.identity, kind, names, ours, theirs)
        answers.setdefault(change.id, Answer()).info = store.get_conflict_info(info)


def _fetched(remote: RemoteReplica, change: Change) -> bytes | None:
    return None if change.dead else remote.contents([change]).get(change.id)


def _content(store: ObjectStore, local: Item) -> bytes | None:
    """The whole content of a local object, if it is still what the scan saw."""
    if local.dead:
        return None
    data = bytearray()
    try:
        with closing(store.open(local.identity)) as reader:
            buffer = memoryview(bytearray(_PIECE))
            while count := reader.read_into(buffer):
                data += buffer[:count]
        return bytes(data) if store.stamp(local.identity) == local.stamp else None
    except StoreError:
        return None


def _ours(store: ObjectStore, local: Item) -> bytes | None:
    """The local text, if it is one and still what the scan saw."""
    try:
        text = read_text(store.open(local.identity), size_of(local.values[0]))
    except StoreError:
        return None
    return text if text is not None and sha256(text).digest() == digest_of(local.values[0]) else None


def learn_common(
    ancestors: Ancestors, store: ObjectStore, remote: RemoteReplica, synced: Collection[bytes], but: Collection[bytes]
) -> None:
    """A session has come to its end: the texts that both sides have now are what a later merge starts from.

    synced: ids of what has gone or come in it; but: of what should have, and has not.
    """
    meta, before = remote.meta, ancestors.known()

    def changed() -> Iterator[tuple[Item, bool]]:
        left = set(synced) - set(but)
        for item in meta.lacking(before):
            if item.id not in but:
                yield item, item.id in left or knows(remote.knowledge.vector(item.id), item.versions[0])
                left.discard(item.id)
        for item_id in sorted(left):  # what was told anew at versions that both had known
            found = meta.get(item_id)
            if found is not None:
                yield found, True

    known = before.copy()
    known.learn(LOWEST, HIGHEST, meta.knowledge, sorted(but))
    ancestors.learn(store, changed(), known)
