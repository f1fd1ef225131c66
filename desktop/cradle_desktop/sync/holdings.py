"""What a device with a filter holds of all that it knows, and what it shall hold. Asks the device, changes nothing.

Theory: a filtered store has a record of every item, so its knowledge is like any other's; what it does not want is
there by name only (a ghost). Whoever sends a change says whether its content shall be there. Each desktop carries out a
changed filter once: what the device has by name only and wants now is filled, what it holds and wants no more leaves,
both at the versions that are there already. What its own user made outside of the filter stays until it changes
elsewhere: a device always knows its own versions, so that another file of its user's under that name would pass for an
edit of one that it has not got.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from struct import Struct

from cradle_desktop.sync.filter import Filter
from cradle_desktop.sync.remote import RemoteReplica
from cradle_protocol.provider.store import ObjectStore, StoreError
from cradle_protocol.sync.change import Change
from cradle_protocol.sync.item import Item
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.values import DIRECTORY, EQUAL, compare, is_file, size_of

# What a desktop remembers of the filter that it has carried out: generation, when in Unix seconds, replica; then the
# text. A copy of the card, or one that was set back, counts its generations for itself, and may hold other things.
_DONE = Struct(">IQ16s")
# Items about which the device is asked one by one: more are a longer question than to have all of them told.
FEW = 200


class Holdings:
    """One device's, in one session. `done`: what `carried_out` gave at an earlier one, b"" for never.

    still: nothing goes there (changes flow to the desktop only), so that it holds what it holds
    """

    def __init__(self, remote: RemoteReplica, store: ObjectStore, done: bytes, now: int, still: bool = False) -> None:
        """Raises FilterError."""
        self.remote, self.store, self.still = remote, store, still
        self.filter = Filter.read(remote.filter)
        self.now = now
        self._own = remote.meta.key_of(remote.replica_id)
        self._generation, self._checked, whose = _DONE.unpack_from(done) if done else (0, 0, b"")
        self._former = done[_DONE.size :]
        if whose != remote.replica_id:
            self._generation, self._checked, self._former = 0, 0, b""
        self._changed = (self._generation, self._former) != (remote.generation, remote.filter)
        self._there: dict[bytes, Change] = {}
        self._asked = set[bytes]()
        self._turned = set[bytes]()
        self._all = self._kept = False

    # -- what shall be there

    def wants(self, item: Item) -> bool:
        """Shall the device hold this living item of ours?"""
        if self.still:
            return not self.by_name(item.id)
        if self._made_there(item):
            return True
        timed = self.filter.newer_than >= 0 and item.stamp and is_file(item.values[0])  # what is just coming has none
        return self._wants_at(item, self.store.age(item.stamp) if timed else -1)

    def _made_there(self, item: Item) -> bool:
        """Does the device hold what its own user made? Also where that won a conflict just now, and we stamped it."""
        shown = self.remote.shown.get(item.id)
        won = shown is not None and bool(shown.values) and compare((shown.values or [b""])[0], item.values[0]) == EQUAL
        version = shown.versions[0] if won and shown is not None else item.versions[0]
        return version[1] == self._own and self.holds(item.id)

    def _wants_at(self, item: Item, age: int) -> bool:
        value = item.values[0]
        return self.filter.wants(item.identity, value == DIRECTORY, size_of(value), age)

    def _wants_there(self, meta: Metadata, change: Change) -> bool:
        """Shall it hold what it tells of? Whether that is too old only those know who have it."""
        item = meta.get(change.id)
        here = item is not None and not item.dead
        path = item.identity if item is not None else change.identity or ""
        value = change.values[0] if change.values else b""
        if self.filter.newer_than >= 0 and is_file(value) and not self.filter.is_pinned(path):
            return here and item is not None and self.wants(item)
        return self.filter.wants(path, value == DIRECTORY, size_of(value), -1)

    # -- what is there

    def by_name(self, item_id: bytes) -> bool:
        """Does the device have it by name only?"""
        change = self._found(item_id)
        return change is not None and not change.dead and change.ghost

    def holds(self, item_id: bytes) -> bool:
        """Is it an object there?"""
        change = self._found(item_id)
        return change is not None and not change.dead and not change.ghost

    def _found(self, item_id: bytes) -> Change | None:
        return self.remote.shown.get(item_id) or self._there.get(item_id)

    def look(self, ids: Iterable[bytes]) -> None:
        """Ask the device how it has these."""
        ids = [] if self._all else [i for i in ids if i not in self._asked and i not in self.remote.shown]
        if len(ids) > FEW:
            self._look_at_all()
        elif ids:
            known = self.remote.knowledge.copy()
            for item_id in ids:
                known.forget_item(item_id)
            self._there.update((change.id, change) for change in self.remote.changes(known))
            self._asked.update(ids)

    def _look_at_all(self) -> None:
        self._there.update((change.id, change) for change in self.remote.changes(Knowledge()))
        self._all = True

    # -- a filter that was changed

    def due(self, meta: Metadata) -> bool:
        """Is there perhaps something to do, although nothing has changed?"""
        return not self.still and (self._changed or bool(self._aged(meta)))

    def turning(self, meta: Metadata, waiting: Collection[bytes]) -> list[Item]:
        """Items of ours, as the device has them, of which the content has to go there, or to go away there."""
        pins = self._new_pins()
        if self.still:
            chosen = list[Item]()
        elif not self._changed:
            chosen = self._aged(meta)
        elif pins is not None:
            chosen = [item for item in meta.items() if not item.dead and pins.is_pinned(item.identity)]
        else:
            self._look_at_all()
            chosen = [item for item in meta.items() if not item.dead]
        self.look(item.id for item in chosen)
        found = [item for item in chosen if item.id not in waiting and self._turns(item)]
        self._turned = {item.id for item in found}
        return found

    def _turns(self, item: Item) -> bool:
        change = self._found(item.id)
        if change is None or change.dead or change.versions != item.versions:
            return False
        if change.ghost != self.wants(item) or not (self._changed or not change.ghost):
            return False
        if change.ghost or self._is_here(item):
            return True
        self._kept = True
        return False

    def _is_here(self, item: Item) -> bool:
        """Does this desktop show it? Nothing leaves the device that is in a folder here which cannot be looked at."""
        try:
            return self.store.stamp(item.identity) is not None
        except StoreError:
            return False

    def _new_pins(self) -> Filter | None:
        """If nothing has changed since but that pins were added: a filter with those alone."""
        if self._generation + 1 != self.remote.generation:
            return None
        former = Filter.read(self._former)
        added = [pin for pin in self.filter.pins if not former.is_pinned(pin)]
        if former.rules() != self.filter.rules() or not all(map(self.filter.is_pinned, former.pins)):
            return None
        return Filter(pins=added)

    def _aged(self, meta: Metadata) -> list[Item]:
        """What has become too old since this was looked at last, and would be wanted otherwise."""
        limit, since = self.filter.newer_than, self.now - self._checked
        if limit < 0:
            return []
        files = (item for item in meta.items() if item.stamp and is_file(item.values[0]))
        aged = [item for item in files if limit < self.store.age(item.stamp) <= limit + since]
        return [item for item in aged if self._wants_at(item, -1)]

    def carried_out(self, meta: Metadata, unsent: Collection[bytes], sent: Collection[bytes]) -> bytes:
        """What is to be remembered until the next session, b"" if the filter is not carried out whole.

        unsent, sent: ids of what should have gone to the device, and of what did.
        """
        if self._kept:
            return b""
        for change in {**self._there, **self.remote.shown}.values():
            failed = change.id in unsent
            if change.dead or (change.id in sent and not failed):
                continue
            missing = self._changed and change.ghost and self._wants_there(meta, change)
            if missing or (failed and change.id in self._turned):
                return b""
        return _DONE.pack(self.remote.generation, self.now, self.remote.replica_id) + self.remote.filter
