"""Plans the second half of a sync: what this desktop holds and the device lacks. Pure: sends and writes nothing."""

from __future__ import annotations

from collections.abc import Collection

from cradle_desktop.sync.plan import CREATE, DELETE, FILL, LEAVE, METADATA, MODE, RENAME, UPDATE, Departure
from cradle_protocol.sync.item import Item
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.values import DIFFERENT, EQUAL, compare, digest_of, is_file, is_lazy
from cradle_protocol.sync.version import knows, knows_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.sync.holdings import Holdings


class Departures:
    """Plans the pass to the device. theirs, forgotten: its knowledge, in our keys; shown: the values it sent now.

    waiting: items of which the device has a version that we left out. They are told to the device all the same, without
    content: its answer is STALE, and it learns nothing of them. gone: items that are deleted there as well.
    holdings: of a device with a filter, else None.
    """

    def __init__(
        self,
        meta: Metadata,
        theirs: Knowledge,
        forgotten: Knowledge,
        shown: dict[bytes, list[bytes]],
        holds_mode: bool,
        waiting: Collection[bytes],
        gone: Collection[bytes],
        holdings: Holdings | None = None,
    ) -> None:
        self.meta, self.theirs, self.forgotten = meta, theirs, forgotten
        self.shown, self.holds_mode = shown, holds_mode
        self.waiting, self.gone, self.holdings = waiting, gone, holdings

    def plan(self) -> list[Departure]:
        """All items with a version that the device lacks, or whose content it shall get or lose by its filter, in the
        order of ids."""
        every = not self.theirs.contains(self.meta.knowledge)
        if self.holdings is None:
            return [self._depart(item) for item in self.meta.lacking(self.theirs)] if every else []
        items = {item.id: item for item in self.meta.lacking(self.theirs)} if every else {}
        self.holdings.look(self._known(items.values()))
        items.update((item.id, item) for item in self.holdings.turning(self.meta, self.waiting))
        return [self._depart(items[i]) for i in sorted(items)]

    def _known(self, items: Collection[Item]) -> list[bytes]:
        """Ids of those of which the device has a record, and of where they came from."""
        found = [item.id for item in items if knows(self.theirs.vector(item.id), item.created)]
        return found + [item.link.id for item in items if item.link is not None and not item.dead]

    def _depart(self, item: Item) -> Departure:
        vector, holdings = self.theirs.vector(item.id), self.holdings
        by_name = holdings is not None and holdings.by_name(item.id)
        has = knows(vector, item.created) or item.id in self.shown or by_name
        named = not has or bool(self.forgotten.vector(item.id))  # it may have no record any more
        if item.id in self.waiting:
            return Departure(item, named, METADATA, False)
        if item.dead:
            return Departure(item, named, self._verb_of_dead(item, has), False)
        if holdings is not None and not holdings.wants(item):
            ghost = Departure(item, named, LEAVE if holdings.holds(item.id) else METADATA, False)
            ghost.ghost = True
            return ghost
        held = self.shown.get(item.id)
        known = knows(vector, item.versions[0]) or (held is not None and compare(held[0], item.values[0]) == EQUAL)
        content = is_file(item.values[0]) and (by_name or not known)
        source = self._source(item) if content and not has else None
        if by_name:
            return Departure(item, named, FILL if knows_all(vector, item.versions) else CREATE, content)
        return Departure(item, named, self._verb(item, has, known, source), content, source)

    def _verb_of_dead(self, item: Item, has: bool) -> str:
        """What becomes of the object there, if there is one."""
        if not has or item.id in self.gone or (self.holdings is not None and not self.holdings.holds(item.id)):
            return METADATA
        if item.link is None:
            return DELETE
        target = self.meta.get(item.link.id)
        out = self.holdings is not None and target is not None and not target.dead and not self.holdings.wants(target)
        return LEAVE if out else METADATA

    def _verb(self, item: Item, has: bool, known: bool, source: tuple[bytes, bytes] | None) -> str:
        if not has:
            return RENAME if source is not None else CREATE
        if not known:
            return UPDATE
        held = self.shown.get(item.id)
        same = (held is not None and held[1:] == item.values[1:]) or (
            held is None and knows_all(self.theirs.vector(item.id), item.versions[1:])
        )
        return METADATA if same or not self.holds_mode else MODE

    def _source(self, item: Item) -> tuple[bytes, bytes] | None:
        """The device's own copy of a moved object: (id of the source there, its digest)."""
        if item.link is None or is_lazy(item.values[0]):
            return None
        source = self.meta.get(item.link.id)
        if source is None or not source.dead or source.link is None or not source.link.base:
            return None
        version, value = source.link.base[0]
        if self.holdings is not None and not self.holdings.holds(source.id):
            return None
        if not knows(self.theirs.vector(source.id), version) or compare(value, item.values[0]) == DIFFERENT:
            return None
        return source.id, digest_of(item.values[0])  # the device looks whether its copy has that hash
