"""The visible half of a batch: installs and removals in an order that works, and the directories between. No wire.

Order: directories from the outside in, files, deletes from the inside out; then once more what stood in the way of
something else (a file in the place of a directory, a name that differs by case only). Every act carries the stamp that
it expects; what is not as expected is left alone and fails alone. A directory that comes into being only for a child
is recorded as implied, and goes with its last child.
"""

from cradle_device.conversation import WORK
from cradle_protocol.compat import MICROPYTHON
from cradle_protocol.errors import CHANGED, COLLISION, NO_PARENT
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.detect import check_racy, unimply
from cradle_protocol.sync.item import IMPLIED, RACY, item_id, phantom
from cradle_protocol.sync.values import DIRECTORY, is_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_device.apply import Entry
    from cradle_device.conversation import Steps
    from cradle_device.sync_handlers import Channel
    from cradle_protocol.sync.item import Item

# Parent directories that are known to be there, so that they are not looked for again.
_PARENTS = 16 if MICROPYTHON else 4096
# These may be cured by a delete of the same batch.
_AGAIN = (CHANGED, COLLISION, NO_PARENT)
# Objects between two yields: a poll stays short without a switch per object.
_STRIDE = 1 if MICROPYTHON else 16


class Installer:
    """Makes one batch's entries real and puts their items; the caller commits."""

    def __init__(self, channel: "Channel", entries: "list[Entry]") -> None:
        self._store, self._meta, self._made = channel.store, channel.meta, channel.made
        self._entries = entries
        self._parents: set[str] = set()

    def run(self) -> "Steps":
        """Durable data, durable intents, then the acts, then durable objects. Failures are left in the entries."""
        acts = self.prepare()
        again: list[Entry] = []
        yield from self._act_all(acts, again)
        yield from self._act_all(again, None)
        if acts:
            self._store.sync()
        self.remember(acts)

    def prepare(self) -> "list[Entry]":
        """Make data and intents durable. Returns what there is to do, in an order that works."""
        acts = [entry for entry in self._unfailed() if self._must_act(entry)]
        if any([entry.name for entry in acts]):
            self._store.sync()
        if acts:
            self._intend(acts)
        return _in_order(acts)

    def _unfailed(self) -> "list[Entry]":
        return [entry for entry in self._entries if entry.new is not None and not entry.status]

    def remember(self, acts: "list[Entry]") -> None:
        """The store is as it shall be: now the metadata."""
        for entry in self._unfailed():
            if entry.new is not None:
                self._put(entry.new)
        for entry in acts:
            if not entry.status and entry.new is not None and not entry.new.held():
                self.prune_above(entry.new.identity)

    def _put(self, item: "Item") -> None:
        """Keep an item; a tombstone of a directory that has come into being for a child of this batch stays implied."""
        if not item.held():
            now = self._meta.get(item.id)
            if now is not None and now.flags & IMPLIED:
                item.flags |= IMPLIED
        self._meta.put(item)

    def _intend(self, acts: "list[Entry]") -> None:
        made = self._made
        assert made is not None
        items = [entry.new for entry in acts if entry.new is not None] + self._implied(acts)
        self._meta.intend(items, [made.vector(item.id) for item in items])

    def _implied(self, acts: "list[Entry]") -> "list[Item]":
        """Records of the directories that will be made only because a child arrives first."""
        named = [entry.new.id for entry in acts if entry.new is not None]
        found: list[Item] = []
        for entry in acts:
            if entry.new is None or not entry.new.held() or "/" not in entry.new.identity:
                continue
            for path in self._missing(entry.new.identity):
                item = self.implied_item(path)
                if item is not None and item.id not in named:
                    named.append(item.id)
                    found.append(item)
        return found

    def _missing(self, identity: str) -> "list[str]":
        """Directories above an object that are not there; none for a name that its install will refuse."""
        try:
            return self._store.missing_parents(identity)
        except StoreError:
            return []

    def implied_item(self, path: str) -> "Item | None":
        """What a directory's record becomes when it is made for a child; None if it lives in its own right."""
        i = item_id(self._store.type, path)
        item = self._meta.get(i) or phantom(i, path, self._meta.units)
        if item.held():
            return None
        item.flags |= IMPLIED
        return item

    def _act_all(self, entries: "list[Entry]", again: "list[Entry] | None") -> "Steps":
        """Act on each. What may work after the rest goes to `again`, where that is given."""
        for k in range(len(entries)):
            entry = entries[k]
            try:
                self.act(entry)
            except StoreError as error:
                if again is not None and error.status in _AGAIN:
                    again.append(entry)
                else:
                    self.fail(entry, error.status)
            if k % _STRIDE == _STRIDE - 1:
                yield WORK

    def fail(self, entry: "Entry", status: int) -> None:
        """Leave this change out; what was staged of it goes."""
        entry.status = status
        if entry.name:
            try:
                self._store.unstage(entry.name)
            except StoreError:
                pass

    def _must_act(self, entry: "Entry") -> bool:
        """Does the store have to change, or only what is known about it? An item that stays keeps stamp and flags."""
        new, old = entry.new, entry.old
        assert new is not None
        was = old is not None and old.held()
        if not new.held() or not was or old is None:
            return new.held() or was
        if entry.name or (is_file(new.values[0]) != is_file(old.values[0])):
            return True
        return self._units_differ(new, old)

    def _units_differ(self, new: "Item", old: "Item") -> bool:
        for u in range(1, len(new.values)):
            if new.values[u] and new.values[u] != old.values[u] and self._store.holds(u):
                return True
        return False

    def act(self, entry: "Entry") -> None:
        """Make one entry real. Raises StoreError."""
        new, old = entry.new, entry.old
        assert new is not None
        if new.held():
            self._install(entry, new)
        elif old is not None:
            self._remove(new, old)

    def _install(self, entry: "Entry", new: "Item") -> None:
        store, old = self._store, entry.old
        was = old is not None and old.held()
        content = bool(not was or entry.name or (old is not None and is_file(new.values[0]) != is_file(old.values[0])))
        parent = new.identity.rpartition("/")[0]
        missing = []
        if parent and parent not in self._parents:
            missing = store.missing_parents(new.identity)
        if was:
            check_racy(store, old)
        expected = old.stamp if old is not None and was else None
        new.stamp = store.install(new.identity, entry.name or None, new.values, expected, content)
        new.flags = RACY if store.racy(new.stamp) else 0
        for path in missing:
            self.imply(path)
        if len(self._parents) >= _PARENTS:
            self._parents = set()
        self._parents.add(parent)

    def _remove(self, new: "Item", old: "Item") -> None:
        """The object goes, with the item, or alone where it leaves the filter."""
        new.stamp = b""
        new.flags &= ~RACY
        if old.values[0] != DIRECTORY:
            check_racy(self._store, old)
            self._store.remove(old.identity, old.stamp)
        elif not self._store.prune(old.identity) and self._store.stamp(old.identity) is not None:
            new.flags |= IMPLIED
        self._parents = set()

    # -- directories between

    def imply(self, path: str) -> None:
        """This directory was made for a child."""
        item = self.implied_item(path)
        if item is not None:
            self._meta.put(item)

    def prune_above(self, identity: str) -> None:
        """Implied directories go when their last child goes."""
        path = identity.rpartition("/")[0]
        while path:
            item = self._meta.get(item_id(self._store.type, path))
            if item is None or not item.flags & IMPLIED or not self._store.prune(path):
                return
            unimply(self._meta, item)
            path = path.rpartition("/")[0]


def _in_order(entries: "list[Entry]") -> "list[Entry]":
    """Directories from the outside in, files by directory, deletes from the inside out."""
    folders = sorted([e for e in entries if _is_folder(e)], key=_identity)
    files = sorted([e for e in entries if e.new is not None and e.new.held() and not _is_folder(e)], key=_identity)
    deletes = sorted([e for e in entries if e.new is not None and not e.new.held()], key=_identity)
    deletes.reverse()
    return folders + files + deletes


def _is_folder(entry: "Entry") -> bool:
    return entry.new is not None and entry.new.held() and entry.new.values[0] == DIRECTORY


def _identity(entry: "Entry") -> str:
    return entry.new.identity if entry.new is not None else ""
