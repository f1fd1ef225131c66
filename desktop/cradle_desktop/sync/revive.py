"""What lives needs living parents: which directories come back because of that. Resolves no clash."""

from __future__ import annotations

from cradle_desktop.sync.outcome import DIRECTORY_MODE
from cradle_protocol.sync.item import Item, item_id
from cradle_protocol.sync.overlay import Overlay
from cradle_protocol.sync.values import DIRECTORY
from cradle_protocol.sync.version import knows, knows_all


class Reviving:
    """Revives directories of one plan, when all else in it is known. meta: with the pass so far."""

    def __init__(self, meta: Overlay, type: str) -> None:
        self.meta, self.type = meta, type

    def run(self, changed: list[Item]) -> list[Item]:
        """Directories that must come back because something living lies in them, deepest first, freshly stamped."""
        suspects = {path for path in with_ancestors(self._suspects(changed)) if not self._lives(path)}
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


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def with_ancestors(paths: set[str]) -> set[str]:
    """These paths and all folders above them."""
    every = set(paths)
    for path in paths:
        while path := _parent(path):
            every.add(path)
    return every
