"""Resolutions: what becomes of two changes that clash. Only a desktop runs this; every result is stamped fresh.

Works on an `Overlay`, reads no content and touches no store. Theory of operation: design, sections 4.4 and 4.6. An edit
beats a delete; an edit of a moved object follows the move; units are resolved one by one; policy decides only between
a desktop's stamp and a device's, between two of one role the greater hash wins, or two desktops would restamp against
each other for ever. Whatever a resolution displaces is returned as a `Lost` unit, for the conflict store.

What a policy needs to know of contents and times (`merge`, `newest`) comes as an `Answer` per item. Where there is none
the desktop's version wins, as by default.
"""

from __future__ import annotations

from cradle_desktop.sync.outcome import DIRECTORY_MODE, FILE_MODE, Answer, Lost, Outcome
from cradle_protocol.compat import sha256
from cradle_protocol.provider.desktop import (
    DESKTOP_WINS,
    DEVICE_WINS,
    DISCARD,
    DISCARD_LOCAL,
    IGNORE,
    NO_OPINION,
)
from cradle_protocol.sync.change import Change
from cradle_protocol.sync.item import Item, Link, item_id
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.overlay import Overlay
from cradle_protocol.sync.rules import arrived
from cradle_protocol.sync.values import DIFFERENT, DIRECTORY, EQUAL, UNKNOWN, compare, digest_of, file_value, is_file
from cradle_protocol.sync.version import greater, is_desktop, knows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cradle_desktop.sync.report import Policy
    from cradle_protocol.sync.version import Vector, Version

# Which side's version a provider's answer takes; without an opinion the user is asked.
_TAKES = {
    DEVICE_WINS: "device", DISCARD_LOCAL: "device", DESKTOP_WINS: "desktop", DISCARD: "desktop", IGNORE: "desktop",
}  # fmt: skip


class Resolver:
    """Resolves clashes of one pass from a device to this desktop.

    meta: what this desktop holds, with the pass so far; made: the device's made-with knowledge, in our keys;
    decisions: what the user chose for conflicts that waited; answers: what was found out about clashes; theirs: all
    changes of the pass by id.
    """

    def __init__(self, meta: Overlay, made: Knowledge, policy: Policy, type: str, decisions: dict[bytes, str]) -> None:
        self.meta, self.made, self.policy, self.type, self.decisions = meta, made, policy, type, decisions
        self.answers: dict[bytes, Answer] = {}
        self.theirs: dict[bytes, Change] = {}

    def _choice(self, item_id: bytes) -> str:
        """What the user decided for this very item, else the provider if it is asked, else what holds for all."""
        choice = self.decisions.get(item_id, self.policy)
        return _TAKES.get(self._info(item_id), "ask") if choice == "provider" else choice

    def _policy(self, item_id: bytes) -> str:
        """Who wins: desktop or device; skip and ask where nobody does. Of both, the desktop's stays in place."""
        choice = self._choice(item_id)
        return choice if choice in ("device", "skip", "ask") else "desktop"

    def _info(self, item_id: bytes) -> str:
        """What the provider answers, if it is asked: the user's word comes before its."""
        answer = self.answers.get(item_id)
        asked = self.policy == "provider" and item_id not in self.decisions
        return answer.info if asked and answer is not None else NO_OPINION

    def _kept(self, lost: Lost) -> list[Lost]:
        """What is displaced, unless the provider says that nobody wants it."""
        unwanted = {IGNORE: lost.side, DISCARD: "device", DISCARD_LOCAL: "desktop"}.get(self._info(lost.item_id))
        return [] if lost.side == unwanted else [lost]

    def composer(self, item_id: bytes) -> Callable[[list[bool]], bytes] | None:
        """What makes a record of two, None for anything else."""
        answer = self.answers.get(item_id)
        return None if answer is None else answer.compose

    def _newer(self, item_id: bytes) -> str:
        """The side that wrote last, where that counts: whoever stamped what it has. "" where it does not."""
        answer = self.answers.get(item_id)
        return answer.newer if answer is not None and self._choice(item_id) == "newest" else ""

    def resolve(self, change: Change, local: Item | None, last: bool) -> Outcome:
        """`last`: the pass has arrived, so the targets of moves are known if they ever will be.

        local: None where what the device edited was deleted here so long ago that the tombstone is gone.
        """
        if local is None or local.phantom():
            return self._revive(arrived(change, local), "desktop")
        made, mine = self.made.vector(change.id), self.meta.knowledge.vector(change.id)
        if change.dead:
            if not knows(made, local.created):
                return self._revive(local, "device", counted=False)
            if change.link is not None and change.link.base:
                return self._follow(local, change.link, change.created, "desktop", last)
            return self._revive(local, "device")
        alive = arrived(change, local)
        if local.dead:
            if not knows(mine, change.created):
                return self._revive(alive, "desktop", counted=False)
            if local.link is not None and local.link.base:
                return self._follow(alive, local.link, local.created, "device", last)
            return self._revive(alive, "desktop")
        return self._merge(change, local, mine, made)

    # -- an edit against a delete

    def survive(self, local: Item) -> Outcome:
        """The device has deleted, and forgotten, what was edited here."""
        return self._revive(local, "device")

    def _revive(self, alive: Item, deleter: str, counted: bool = True) -> Outcome:
        """The surviving side wins with a fresh stamp on every unit. `deleter`: whose delete is undone by that."""
        if counted and self._leaves(alive.id):
            return Outcome(waits=True)
        new, info = alive.copy(), self._info(alive.id)
        decided = self.decisions.get(alive.id, "" if info == IGNORE else _TAKES.get(info, ""))
        if counted and decided == deleter:
            return self._delete_after_all(new, deleter)
        new.live(self.meta.next_version(), alive.values)
        kind = "update-delete" if deleter == "device" else "delete-update"
        return Outcome([new], self._kept(self._deleted(new, kind, deleter)) if counted else [])

    def _delete_after_all(self, item: Item, deleter: str) -> Outcome:
        """The user or the provider has decided for the delete: the edited version is what is displaced."""
        editor = "desktop" if deleter == "device" else "device"
        kind = "update-delete" if deleter == "device" else "delete-update"
        held = item.identity if editor == "desktop" else item.id
        lost = Lost(item.identity, item.id, 0, kind, editor, item.values[0], held)
        item.die(self.meta.next_version())
        return Outcome([item], self._kept(lost))

    # -- two edits

    def _merge(self, change: Change, local: Item, mine: Vector, made: Vector) -> Outcome:
        new, outcome = local.copy(), Outcome()
        fresh: Version | None = None
        compose = self.composer(local.id)
        for u, value in enumerate(change.values or []):
            theirs, ours = change.versions[u], local.versions[u]
            if knows(mine, theirs) or (compose is not None and not u):
                continue  # a record as a whole follows from its field groups
            if knows(made, ours):
                new.versions[u], new.values[u] = theirs, value
            elif compare(value, local.values[u]) == EQUAL:
                new.versions[u] = greater(theirs, ours, self.meta.replicas)
            else:
                clash = self._merged(u, local, change, value, outcome) or self._decide(u, local, change, value)
                if clash is None:
                    return Outcome(waits=True)
                fresh = fresh or self.meta.next_version()
                new.versions[u], new.values[u] = fresh, clash[0]
                outcome.lost += clash[1]
        if compose is not None:
            self._compose(compose, change, local, new, fresh, outcome)
        new.created = greater(change.created, local.created, self.meta.replicas)
        outcome.items.append(new)
        self._fit_mode(outcome, new, local.values, change.values or [], fresh)
        self._keep_beside(change, local, outcome)
        return outcome

    def _compose(
        self, compose: Callable[[list[bool]], bytes], change: Change, local: Item, new: Item, fresh: Version | None,
        outcome: Outcome,
    ) -> None:  # fmt: skip
        """A record's field groups are settled: make the record that has them all."""
        values = change.values or []
        made = compose([new.values[u] != local.values[u] for u in range(len(values))])
        whole = file_value(len(made), sha256(made).digest())
        if whole not in (values[0], local.values[0]):
            outcome.made[whole] = made
        new.versions[0], new.values[0] = fresh or self.meta.next_version(), whole

    def _fit_mode(
        self, outcome: Outcome, new: Item, ours: list[bytes], theirs: list[bytes], fresh: Version | None
    ) -> None:
        """A file's mode is none for a directory, nor the reverse: of the two, the one that stays brings its own."""
        directory = new.values[0] == DIRECTORY
        alike = [values for values in (ours, theirs) if values and (values[0] == DIRECTORY) == directory]
        if len(alike) != 1:
            return
        mode = alike[0][1] or (DIRECTORY_MODE if directory else FILE_MODE)
        if new.values[1] != mode:
            new.versions[1], new.values[1] = fresh or self.meta.next_version(), mode
        outcome.lost = [lost for lost in outcome.lost if lost.unit == 0]

    def _keep_beside(self, change: Change, local: Item, outcome: Outcome) -> None:
        """Both are wanted: the content that did not win gets a name beside the other, and nothing is displaced."""
        found = [one for one in outcome.lost if one.unit == 0 and is_file(one.value)]
        if self._choice(change.id) != "both" or not found:
            return
        lost = found[0]
        loser = change if lost.side == "device" else local
        role = "desktop" if self._role(loser.versions[0]) else "device"
        item = self._beside(lost, role, (loser.values or [])[1:])
        if item is not None:
            outcome.items += item
            outcome.lost.remove(lost)

    def _beside(self, lost: Lost, role: str, units: list[bytes]) -> list[Item] | None:
        """The item to put for a copy beside, none if it is there already; None if every name for it is taken."""
        from cradle_desktop.conflict.resolve import kept_names

        for path in kept_names(lost.identity, role, digest_of(lost.value)):
            i = item_id(self.type, path)
            there = self.meta.get(i)
            if there is not None and not there.dead:
                if compare(there.values[0], lost.value) == EQUAL:
                    return []
                continue
            version, values = self.meta.next_version(), [lost.value, *units]
            if there is None or there.phantom():
                oid, flags = (0, 0) if there is None else (there.oid, there.flags)
                return [Item(i, oid, path, version, [version] * len(values), values, b"", flags)]
            there.live(version, values)
            return [there]
        return None

    def _merged(
        self, u: int, local: Item, change: Change, value: bytes, outcome: Outcome
    ) -> tuple[bytes, list[Lost]] | None:
        """(the value of both edits in one text, nothing displaced), None where there is no such thing."""
        answer = self.answers.get(local.id)
        if u or answer is None or answer.merged is None or self._choice(local.id) != "merge":
            return None
        if self._role(local.versions[0]) == self._role(change.versions[0]):
            return None
        both = file_value(len(answer.merged), sha256(answer.merged).digest())
        if both not in (value, local.values[0]):
            outcome.made[both] = answer.merged
        return both, []

    def _decide(self, u: int, local: Item, change: Change, value: bytes) -> tuple[bytes, list[Lost]] | None:
        """(winning value, what was displaced), or None where the policy leaves conflicts alone."""
        if UNKNOWN in (value, local.values[u]):
            return value or local.values[u], []
        if self._leaves(local.id):
            return None
        mine = self._mine(local, local.identity, local.values[u], local.versions[u], value, change.versions[u])
        loser = value if mine else local.values[u]
        side = "device" if mine else "desktop"
        held = local.id if mine else local.identity
        if u and self.composer(local.id) is not None:  # what is kept of fields is the record that has them
            loser = (change.values or [UNKNOWN])[0] if mine else local.values[0]
        lost = Lost(local.identity, local.id, u, "update-update", side, loser, held)
        return (local.values[u] if mine else value), self._kept(lost)

    def _mine(
        self, item: Item, place: str, ours: bytes, our_version: Version, theirs: bytes, their_version: Version
    ) -> bool:
        """Does the local value win over the incoming one? place: the path at which one of them will be."""
        if DIRECTORY in (ours, theirs):
            return (ours == DIRECTORY) == has_children(self.meta, place)
        if item.id in self.decisions:
            return self._policy(item.id) == "desktop"  # the user's word counts, whoever stamped
        our_role, their_role = self._role(our_version), self._role(their_version)
        if our_role == their_role or self._info(item.id) == IGNORE:
            return (digest_of(ours) or ours) > (digest_of(theirs) or theirs)
        newer = self._newer(item.id)
        return newer == "desktop" if newer else (self._policy(item.id) == "desktop") == our_role

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
        # Where neither side has heard of the target nobody may ever bring it: who moved it can be lost, or be wiped.
        never = not known and not knows(self.made.vector(target_id), target_created)
        if cycle or never or (target is None and known):
            return self._revive(alive, deleter)  # the end of the chain is gone for good, or it runs in a circle
        if target is None or target.phantom() or not known:
            return Outcome(waits=True)
        same = created == alive.created and not self._kept_copy(target, target_created, link, editor)
        return self._carry(alive, link, target, editor, same)

    def _kept_copy(self, target: Item, created: Version, link: Link, editor: str) -> bool:
        """Did the editor keep what was there before under the name that the mover chose, by its own hand?"""
        own = self.meta.base.get(target.id) if editor == "desktop" else self.theirs.get(target.id)
        if own is None or own.dead or not own.values or own.created == created:
            return False
        tick, key = target.versions[0]
        clashed = key == 0 and tick > self.meta.base.tick
        # What is of one size and did not clash when it met the mover's was found to be equal there.
        return not clashed and compare(own.values[0], link.base[0][1]) != DIFFERENT

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

        same: is the edit one of the object that was moved? Another one that had its name does not replace it, nor
        one that was made beside a copy of it.
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
            versions = alive.versions[u], target.versions[u]
            edit_wins = clean or self._mine(alive, target.identity, ours, versions[0], there, versions[1])
            if not clean:
                loser = there if edit_wins else ours
                owner = self._owner(editor, edit_wins)
                edited = alive.identity if editor == "desktop" else alive.id
                held = target.identity if edit_wins else edited
                outcome.lost.append(Lost(target.identity, target.id, u, "update-update", owner, loser, held))
            new.versions[u], new.values[u] = version, ours if edit_wins else there
        self._fit_mode(outcome, new, alive.values, target.values, version)
        gone = alive.copy()
        gone.die(self.meta.next_version(), Link(link.id, link.created, link.base))
        outcome.items += [new, gone]
        return outcome

    @staticmethod
    def _owner(editor: str, edit_wins: bool) -> str:
        """Whose value was displaced: the mover's where the edit won, else the editor's."""
        mover = "device" if editor == "desktop" else "desktop"
        return mover if edit_wins else editor


def has_children(meta: Overlay, identity: str) -> bool:
    """Does anything live below this path?"""
    prefix = identity + "/"
    return any(not item.dead and item.identity.startswith(prefix) for item in meta.items())
