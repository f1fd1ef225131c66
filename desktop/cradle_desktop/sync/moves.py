"""Which changes of a pass are one rename: a file's, or a folder's with all that goes along. Decides; acts on nothing.

Theory: a move is a tombstone and a new object that name each other. Where every object that is alive below a folder
went along under the same name, one rename of the folder does it all. The receiver looks whether its subtree is the one
that is meant; where it is not, or has changed by now, the changes come one by one, as they do without this.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from cradle_desktop.sync.plan import Departure, Step
from cradle_protocol.sync.item import IMPLIED, Item
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.values import DIRECTORY, EQUAL, compare, is_file
from cradle_protocol.sync.version import knows_all

# What goes away, a tombstone by now, and what it has become.
Pair = tuple[Item, Item]


class Rename:
    """One rename at the receiver. pairs: what goes along, itself first."""

    def __init__(self, pairs: list[Pair]) -> None:
        self.pairs = pairs
        self.source, self.target = pairs[0]


def renames(pairs: list[Pair], whole: Callable[[Rename], bool]) -> list[Rename]:
    """The pairs as few renames, in an order that works. `whole`: does this folder hold nothing but what goes along?"""
    pairs = sorted(pairs, key=lambda pair: pair[0].identity.split("/"))
    found: list[Rename] = []
    k = 0
    while k < len(pairs):
        end = k + 1
        if pairs[k][1].values[0] == DIRECTORY:
            below = pairs[k][0].identity + "/"
            while end < len(pairs) and pairs[end][0].identity.startswith(below):
                end += 1
            one = Rename(pairs[k:end])
            if all(_goes_along(one, pair) for pair in one.pairs) and whole(one):
                found.append(one)
            else:
                end = k + 1  # what lies in it goes by itself; the folder is made and removed as ever
        else:
            found.append(Rename(pairs[k:end]))
        k = end
    return sorted(found, key=lambda one: one.target.identity.split("/"))


def _goes_along(one: Rename, pair: Pair) -> bool:
    gone, new = pair
    rest = gone.identity[len(one.source.identity) :]
    return new.identity == one.target.identity + rest and new.versions == one.target.versions


def departing(departures: Iterable[Departure], theirs: Knowledge, waiting: Collection[bytes]) -> list[Rename]:
    """Renames among what departs. The device finds out whether a folder there holds anything else."""
    by_id = {one.item.id: one for one in departures}
    pairs: list[Pair] = []
    for one in by_id.values():
        new = one.item
        gone = by_id.get(new.link.id) if new.link is not None and not new.dead else None
        if gone is None or one.ghost or {gone.item.id, new.id} & set(waiting):
            continue
        if is_file(new.values[0]) and one.source is None:
            continue
        if _is_one_change(gone.item, new) and _had(theirs, gone.item):
            pairs.append((gone.item, new))
    return renames(pairs, lambda _: True)


def tie(departures: list[Departure], theirs: Knowledge, waiting: Collection[bytes]) -> None:
    """Say of each departure which rename it is a part of."""
    by_id = {one.item.id: one for one in departures}
    for rename in departing(departures, theirs, waiting):
        for pair in rename.pairs:
            for item in pair:
                by_id[item.id].rename = rename


def _is_one_change(gone: Item, new: Item) -> bool:
    """Does all that the two say follow from what was there and one version?"""
    to, source = gone.link, new.link
    if to is None or source is None or not gone.dead:
        return False
    if (to.id, to.created, source.id, source.created) != (new.id, new.created, gone.id, gone.created):
        return False
    if {*gone.versions, *new.versions, new.created} != {new.created} or len(to.base) != len(new.values):
        return False
    return all(compare(value, new.values[u]) == EQUAL for u, (_, value) in enumerate(to.base))


def _had(theirs: Knowledge, gone: Item) -> bool:
    """Does the device know what was moved?"""
    base = gone.link.base if gone.link is not None else []
    return knows_all(theirs.vector(gone.id), [version for version, _ in base])


def arriving(steps: list[Step], meta: Metadata, skipped: Collection[bytes]) -> list[list[tuple[Step, Step]]]:
    """Renames among what arrives, each as its steps: (what goes, what comes), the folder's own first."""
    plain = {one.new.id: one for one in steps if _is_plain(one) and one.new.id not in skipped}
    pairs: list[Pair] = []
    for one in plain.values():
        new = one.new
        gone = plain.get(new.link.id) if new.link is not None and not new.dead else None
        if gone is not None and _stays_the_same(gone, one):
            pairs.append((gone.new, new))
    found = renames(pairs, _Below(meta, pairs).is_whole) if pairs else []
    return [[(plain[gone.id], plain[new.id]) for gone, new in one.pairs] for one in found]


def _is_plain(step: Step) -> bool:
    """Nothing is displaced, tied to it, or made of two?"""
    return not step.lost and len(step.group) < 2 and not step.together and step.made is None and step.fetch is None


def _stays_the_same(gone: Step, come: Step) -> bool:
    """Is what comes nothing but what goes, under another name that is free?"""
    old, new = gone.old, come.new
    if not gone.new.dead or gone.new.link is None or gone.new.link.id != new.id or old is None or not old.held():
        return False
    if come.old is not None and (not come.old.dead or come.old.flags & IMPLIED):
        return False
    if is_file(new.values[0]) and (come.copy is None or come.copy.id != old.id):
        return False
    return all(compare(value, new.values[u]) == EQUAL for u, value in enumerate(old.values))


class _Below:
    """How much is alive here below the folders that may have moved: looked up once, and only if there are any."""

    def __init__(self, meta: Metadata, pairs: list[Pair]) -> None:
        self._count = dict.fromkeys([gone.identity for gone, new in pairs if new.values[0] == DIRECTORY], 0)
        for item in meta.items() if self._count else ():
            if item.dead and not item.flags & IMPLIED:
                continue
            path = item.identity
            while path := path.rpartition("/")[0]:
                if path in self._count:
                    self._count[path] += 1

    def is_whole(self, one: Rename) -> bool:
        """Does everything that is here go along?"""
        return self._count[one.source.identity] == len(one.pairs) - 1
