"""CPython only: the visible half of a batch in which most files are new. They are shown in bulk, a directory at a time.

The rules are `install`'s, and so is everything that is no new file, or turns out not to be as simple as that. New
files come after everything else. Their intents are durable, with all others, before anything of the batch is visible.
"""

from bisect import bisect_right

from cradle_device.apply import Entry
from cradle_device.conversation import WORK
from cradle_device.host import unpacked_new
from cradle_device.install import Installer, _in_order
from cradle_protocol.errors import OK
from cradle_protocol.provider.newfiles import NewFile, NewFiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cradle_device.conversation import Steps
    from cradle_device.host import HostMetadata
    from cradle_protocol.provider.store import ObjectStore
    from cradle_protocol.sync.item import Item
    from cradle_protocol.sync.knowledge import Knowledge
    from cradle_protocol.sync.version import Vector

# Files shown between two yields: a poll stays short without a switch per object.
_STRIDE = 64


class Newcomer(Entry, NewFile):
    """A new file in a batch: id and rest of its item, packed. `new` is None while it goes the short way."""

    # What an Entry has; there are thousands of these, and all but a few never have anything else.
    new: "Item | None" = None
    old: "Item | None" = None
    status = OK
    waiting = False

    def __init__(self, item_id: bytes, identity: str, name: str, size: int, mode: bytes, core: bytes) -> None:
        self.id, self.core = item_id, core
        NewFile.__init__(self, identity, name, size, mode)

    def give_up(self) -> None:
        """Go the general way from here."""
        self.new = unpacked_new(self)


def vector_of(knowledge: "Knowledge", lower: bytes, upper: bytes) -> "Vector | None":
    """The clock vector of all ids of a range, None where they have not one."""
    k = bisect_right(knowledge.lowers, lower) - 1
    if knowledge.exceptions or k != bisect_right(knowledge.lowers, upper) - 1:
        return None
    return knowledge.vectors[k]


def new_files(store: "ObjectStore") -> NewFiles:
    """The store's own short way for new files, or the one that works with every store."""
    own = getattr(store, "new_files", None)
    return NewFiles(store) if own is None else own()


class HostInstaller(Installer):
    """`Installer` with a short way for new files."""

    _meta: "HostMetadata"

    def run(self) -> "Steps":
        news = [entry for entry in self._entries if isinstance(entry, Newcomer)]
        if not news:
            yield from super().run()
            return
        places = _by_directory(news)
        self._store.sync()
        files = new_files(self._store)
        for group in places:
            if not files.reaches(group[0]):
                group[0].give_up()  # it goes the general way, which makes the directory
        acts = [entry for entry in self._unfailed() if self._must_act(entry)]
        self._meta.note_new(self._with_vectors([new for new in news if new.new is None]))
        self._intend(acts)
        again: list[Entry] = []
        yield from self._act_all(_in_order(acts), again)
        yield from self._show_all(files, places, again)
        yield from self._act_all(again, None)
        self._store.sync()
        self._meta.put_new([new for new in news if new.stamp])
        self.remember(acts)

    def _with_vectors(self, news: "list[Newcomer]") -> "list[tuple[Newcomer, Vector]]":
        made = self._made
        assert made is not None
        one = vector_of(made, news[0].id, news[-1].id) if news else None
        return [(new, made.vector(new.id) if one is None else one) for new in news]

    def _show_all(self, files: NewFiles, places: "Iterable[list[Newcomer]]", again: "list[Entry]") -> "Steps":
        """Show the files of each directory; `again` gets those that have to go the general way."""
        shown = 0
        for group in places:
            waiting = [new for new in group if new.new is None]
            if waiting:
                files.show(waiting)
            for new in waiting:
                if not new.stamp:
                    new.give_up()
                    again.append(new)
            shown += len(group)
            if shown >= _STRIDE:
                shown = 0
                yield WORK


def _by_directory(news: "list[Newcomer]") -> "Iterable[list[Newcomer]]":
    places: dict[str, list[Newcomer]] = {}
    for new in news:
        places.setdefault(new.identity.rpartition("/")[0], []).append(new)
    return places.values()
