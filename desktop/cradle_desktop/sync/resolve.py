"""Resolutions: what becomes of two changes that clash. Only a desktop runs this; every result is stamped fresh.

Works on an `Overlay`, reads no content and touches no store. Theory of operation: design, sections 4.4 and 4.6. An edit
beats a delete; an edit of a moved object follows the move; units are resolved one by one; policy decides only between
a desktop's stamp and a device's, between two of one role the greater hash wins, or two desktops would restamp against
each other for ever. Whatever a resolution displaces is returned as a `Lost` unit, for the conflict store.
"""

from __future__ import annotations

from cradle_protocol.sync.change import Change
from cradle_protocol.sync.item import Item, Link, item_id
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.overlay import Overlay
from cradle_protocol.sync.rules import arrived
from cradle_protocol.sync.values import DIRECTORY, EQUAL, UNKNOWN, compare, digest_of, is_file
from cradle_protocol.sync.version import greater, is_desktop, knows, knows_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.sync.report import Policy
    from cradle_protocol.sync.version import Vector, Version


class Lost:
    """One unit's value that did not win. side: who had it; kind as `cradle conflicts` lists it.

    held: where its content is when the loss happens: the path of a local object, or the id of the device's item.
    """

    def __init__(
        self, identity: str, item_id: bytes, unit: int, kind: str, side: str, value: bytes, held: str | bytes
    ) -> None:
        self.identity, self.item_id, self.unit, self.kind = identity, item_id, unit, kind
        self.side, self.value, self.held = side, value, held


class Outcome:
    """What a resolution makes: items to put (in this order) and what was displaced.

    `waits`: not resolved, the item is skipped whole; `later`: to be tried again when the whole pass has arrived.
    """

    def __init__(
        self, items: list[Item] | None = None, lost: list[Lost] | None = None, waits: bool = False, later: bool = False
    ) -> None:
        self.items, self.lost, self.waits, self.later = items or [], lost or [], waits, later


class Resolver:
    """Resolves clashes of one pass from a device to this desktop.

    meta: what this desktop holds, with the pass so far; made: the device's made-with knowledge, in our keys;
    decisions: what the user chose for conflicts that waited.
    """

    def __init__(self, meta: Overlay, made: Knowledge, policy: Policy, type: str, decisions: dict[bytes, str]) -> None:
        self.meta, self.made, self.policy, self.type, self.decisions = meta, made, policy, type, decisions

    def _policy(self, item_id: bytes) -> str:
        """What the user decided for this very item, else what holds for all. Of both, the desktop's stays in place."""
        choice = self.decisions.get(item_id, self.policy)
        return "desktop" if choice == "both" else choice

    def resolve(self, change: Change, local: Item, last: bool) -> Outcome:
        """`last`: the pass has arrived, so the targets of moves are known if they ever will be."""
        made, mine = self.made.vector(change.id), self.meta.knowledge.vector(change.id)
        if change.dead:
            if not knows(made, local.created):
                return self._revive(local, change, "device", counted=False)
            if change.link is not None and change.link.base:
                return self._follow(local, change.link, change.created, "desktop", last)
            return self._revive(local, change, "device")
        alive = arrived(change, local)
        if local.dead:
            if not knows(mine, change.created):
                return self._revive(alive, change, "desktop", counted=False)
            if local.link is not None and local.link.base:
                return self._follow(alive, local.link, local.created, "device", last)
            return self._revive(alive, change, "desktop")
        return self._merge(change, local, mine, made)

    # -- an edit against a delete

    def _revive(self, alive: Item, change: Change, deleter: str, counted: bool = True) -> Outcome:
        """The surviving side wins with a fresh stamp on every unit. `deleter`: whose delete is undone by that."""
        if counted and self._leaves(alive.id):
            return Outcome(waits=True)
        new = alive.copy()
        if counted and self.decisions.get(alive.id) == deleter:
            return self._delete_after_all(new, deleter)
        new.live(self.meta.next_version(), alive.values)
        kind = "update-delete" if deleter == "device" else "delete-update"
        return Outcome([new], [self._deleted(new, kind, deleter)] if counted else [])

    def _delete_after_all(self, item: Item, deleter: str) -> Outcome:
        """The user has decided for the delete: the edited version is what is displaced."""
        editor = "desktop" if deleter == "device" else "device"
        kind = "update-delete" if deleter == "device" else "delete-update"
        held = item.identity if editor == "desktop" else item.id
        lost = Lost(item.identity, item.id, 0, kind, editor, item.values[0], held)
        item.die(self.meta.next_version())
        return Outcome([item], [lost])

    # -- two edits

    def _merge(self, change: Change, local: Item, mine: Vector, made: Vector) -> Outcome:
        new, outcome = local.copy(), Outcome()
        fresh: Version | None = None
        for u, value in enumerate(change.values or []):
            theirs, ours = change.versions[u], local.versions[u]
            if knows(mine, theirs):
                continue
            if knows(made, ours):
                new.versions[u], new.values[u] = theirs, value
            elif compare(value, local.values[u]) == EQUAL:
                new.versions[u] = greater(theirs, ours, self.meta.replicas)
            else:
                clash = self._decide(u, local, change, value)
                if clash is None:
                    return Outcome(waits=True)
                fresh = fresh or self.meta.next_version()
                new.versions[u], new.values[u] = fresh, clash[0]
                outcome.lost += clash[1]
        new.created = greater(change.created, local.created, self.meta.replicas)
        outcome.items.append(new)
        self._keep_beside(change, outcome)
        return outcome

    def _keep_beside(self, change: Change, outcome: Outcome) -> None:
        """The user wants both: the device's content gets a name beside the desktop's, and nothing is displaced."""
        found = [one for one in outcome.lost if one.unit == 0 and one.side == "device" and is_file(one.value)]
        if self.decisions.get(change.id) != "both" or not found:
            return
        from cradle_desktop.conflict.resolve import kept_name

        lost = found[0]
        path = kept_name(lost.identity, "device", digest_of(lost.value))
        i, version = item_id(self.type, path), self.meta.next_version()
        values = [lost.value, *(change.values or [])[1:]]
        if self.meta.get(i) is None:
            outcome.items.append(Item(i, 0, path, version, [version] * len(values), values))
            outcome.lost.remove(lost)

    def _decide(self, u: int, local: Item, change: Change, value: bytes) -> tuple[bytes, list[Lost]] | None:
        """(winning value, what was displaced), or None where the policy leaves conflicts alone."""
        if UNKNOWN in (value, local.values[u]):
            return value or local.values[u], []
        if self._leaves(local.id):
            return None
        mine = self._mine(local, local.values[u], local.versions[u], value, change.versions[u])
        loser = value if mine else local.values[u]
        side = "device" if mine else "desktop"
        held = local.id if mine else local.identity
        lost = Lost(local.identity, local.id, u, "update-update", side, loser, held)
        return (local.values[u] if mine else value), [lost]

    def _mine(self, item: Item, ours: bytes, our_version: Version, theirs: bytes, their_version: Version) -> bool:
        """Does the local value win over the incoming one?"""
        if DIRECTORY in (ours, theirs):
            return (ours == DIRECTORY) == self.has_children(item.identity)
        if item.id in self.decisions:
            return self._policy(item.id) == "desktop"  # the user's word counts, whoever stamped
        our_role, their_role = self._role(our_version), self._role(their_version)
        if our_role == their_role:
            return (digest_of(ours) or ours) > (digest_of(theirs) or theirs)
        return (self._policy(item.id) == "desktop") == our_role

    def has_children(self, identity: str) -> bool:
        """Does anything live below this path?"""
        prefix = identity + "/"
        return any(not item.dead and item.identity.startswith(prefix) for item in self.meta.items())

    def _role(self, version: Version) -> bool:
        return is_desktop(self.meta.replicas[version[1]])

    def _leaves(self, item_id: bytes) -> bool:
        return self._policy(item_id) in ("skip", "ask")

    # -- an edit of an object that was moved away

    def _follow(self, alive: Item, link: Link, created: Version, editor: str, last: bool) -> Outcome:
        """`alive` was edited under its old path while the other side moved what was `created` there, as `link` says."""
        if self._leaves(alive.id):
            return Outcome(waits=True)
        if (alive.values[0] == DIRECTORY) != (link.base[0][1] == DIRECTORY):
            # A file where a directory was (or the reverse) is another thing: it stays, the moved one lives elsewhere.
            new = alive.copy()
            new.live(self.meta.next_version(), alive.values)
            return Outcome([new])
        if not last:
            return Outcome(waits=True, later=True)
        target_id, target_created, cycle = self._chase(alive.id, link)
        target = self.meta.get(target_id)
        known = knows(self.meta.knowledge.vector(target_id), target_created)
        deleter = "device" if editor == "desktop" else "desktop"
        if cycle or (target is None and known):
            return self._plain_revival(alive, deleter)
        if target is None or target.phantom() or not known:
            return Outcome(waits=True)
        return self._carry(alive, link, target, editor, created == alive.created)

    def _plain_revival(self, alive: Item, deleter: str) -> Outcome:
        """The end of the chain is gone for good (or runs in a circle): the old path lives again."""
        new = alive.copy()
        new.live(self.meta.next_version(), alive.values)
        kind = "update-delete" if deleter == "device" else "delete-update"
        return Outcome([new], [self._deleted(new, kind, deleter)])

    @staticmethod
    def _deleted(item: Item, kind: str, deleter: str) -> Lost:
        """A delete that lost: there is no content to keep, but the user is told."""
        return Lost(item.identity, item.id, 0, kind, deleter, UNKNOWN, item.identity)

    def _chase(self, start: bytes, link: Link) -> tuple[bytes, Version, bool]:
        """Walk from tombstone to tombstone to the end of the chain: (id, creation version, did it run in a circle)."""
        seen = {start}
        target_id, created = link.id, link.created
        while target_id not in seen:
            item = self.meta.get(target_id)
            if item is None or not item.dead or item.link is None or not item.link.base:
                return target_id, created, False
            seen.add(target_id)
            target_id, created = item.link.id, item.link.created
        return target_id, created, True

    def _carry(self, alive: Item, link: Link, target: Item, editor: str, same: bool) -> Outcome:
        """Bring the edit of the old path to the end of the move; target and old tombstone get fresh stamps.

        same: is the edit one of the object that was moved? Another one that had its name does not replace it.
        """
        new, version, outcome = target.copy(), self.meta.next_version(), Outcome()
        if target.dead:
            new.live(version, alive.values)
        side = (self.meta.knowledge if editor == "desktop" else self.made).vector(alive.id)
        for u, (moved_version, moved) in enumerate(link.base):
            ours, there = alive.values[u], target.values[u]
            if target.dead or UNKNOWN in (ours, moved) or EQUAL in (compare(ours, moved), compare(ours, there)):
                continue
            clean = same and compare(there, moved) == EQUAL and knows(side, moved_version)
            edit_wins = clean or self._mine(alive, ours, alive.versions[u], there, target.versions[u])
            if not clean:
                loser = there if edit_wins else ours
                owner = self._owner(editor, edit_wins)
                edited = alive.identity if editor == "desktop" else alive.id
                held = target.identity if edit_wins else edited
                outcome.lost.append(Lost(target.identity, target.id, u, "update-update", owner, loser, held))
            new.versions[u], new.values[u] = version, ours if edit_wins else there
        gone = alive.copy()
        gone.die(self.meta.next_version(), Link(link.id, link.created, link.base))
        outcome.items += [new, gone]
        return outcome

    @staticmethod
    def _owner(editor: str, edit_wins: bool) -> str:
        """Whose value was displaced: the mover's where the edit won, else the editor's."""
        mover = "device" if editor == "desktop" else "desktop"
        return mover if edit_wins else editor

    # -- what lives needs living parents

    def parents_to_revive(self, changed: list[Item]) -> list[Item]:
        """Directories that must come back because something living lies in them, deepest first, freshly stamped."""
        suspects = {path for path in _with_ancestors(self._suspects(changed)) if not self._lives(path)}
        if not suspects:
            return []
        children = self._living_children()
        revived: list[Item] = []
        for path in sorted(suspects, reverse=True):
            i = item_id(self.type, path)
            directory = self.meta.get(i)
            if any(self._needs(i, directory, child) for child in children.get(path, [])):
                item = self._raise_directory(i, path, directory)
                self.meta.put(item)
                revived.append(item)
                children.setdefault(_parent(path), []).append(item)
        return revived

    def _lives(self, path: str) -> bool:
        item = self.meta.get(item_id(self.type, path))
        return item is not None and not item.dead

    def _suspects(self, changed: list[Item]) -> set[str]:
        """Paths of directories that may have to be revived: dying or implied ones, and missing parents of arrivals."""
        paths = {item.identity for item in self.meta.implied()}
        for item in changed:
            if item.dead:
                paths.add(item.identity)
            else:
                parent = _parent(item.identity)
                if parent:
                    paths.add(parent)
        return paths

    def _living_children(self) -> dict[str, list[Item]]:
        children: dict[str, list[Item]] = {}
        for item in self.meta.items():
            parent = _parent(item.identity)
            if parent and not item.dead:
                children.setdefault(parent, []).append(item)
        return children

    def _needs(self, i: bytes, directory: Item | None, child: Item) -> bool:
        if directory is None or directory.phantom():
            return knows(self.meta.knowledge.vector(i), child.created)
        return knows_all(self.meta.knowledge.vector(child.id), directory.versions)

    def _raise_directory(self, i: bytes, path: str, directory: Item | None) -> Item:
        version = self.meta.next_version()
        known = directory is not None and directory.values[0] == DIRECTORY
        values = directory.values if directory is not None and known else [DIRECTORY, DIRECTORY_MODE]
        if directory is None or directory.phantom():
            oid, flags = (0, 0) if directory is None else (directory.oid, directory.flags)
            return Item(i, oid, path, version, [version] * len(values), list(values), b"", flags)
        new = directory.copy()
        new.live(version, values)
        return new


# The mode of a directory (0o755) and of a file (0o644) that nobody has said a mode for, as unit values.
DIRECTORY_MODE = (0o755).to_bytes(2, "big")
FILE_MODE = (0o644).to_bytes(2, "big")


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _with_ancestors(paths: set[str]) -> set[str]:
    every = set(paths)
    for path in paths:
        while path := _parent(path):
            every.add(path)
    return every
