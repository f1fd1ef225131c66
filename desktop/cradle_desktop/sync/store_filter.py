"""The filter of a device's store, and what it keeps out of it, over a connection and outside of any sync."""

from __future__ import annotations

from cradle_desktop.connection import Connection
from cradle_desktop.errors import UserError
from cradle_desktop.sync.filter import Filter
from cradle_desktop.sync.remote import RemoteReplica
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.overlay import Overlay
from cradle_protocol.sync.values import is_file, size_of
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.filter import Filter as Request
from cradle_protocol.wire.messages.filter import FilterReply


class StoreFilter:
    """One type's on one device. held, named: of how many objects it had the content, or the name only, when asked."""

    def __init__(self, connection: Connection, type_name: str) -> None:
        """Raises RequestFailed."""
        self._connection, self.type = connection, type_name
        self._take(self._ask(0, 0, b""))

    def _ask(self, expected: int, generation: int, text: bytes) -> FilterReply:
        body = Request(self.type, expected, generation, text).to_bytes()
        return FilterReply.from_bytes(self._connection.call(c.FILTER, body))

    def _take(self, reply: FilterReply) -> None:
        self._generation, self._text = reply.generation, reply.filter
        self.held, self.named = reply.objects, reply.ghosts

    @property
    def filter(self) -> Filter:
        """What the store shall hold. Raises FilterError for what this version cannot read."""
        return Filter.read(self._text)

    def own(self, wanted: Filter) -> None:
        """Make this the filter; `wanted.owner` is this desktop. What was asked for stays asked for until there is none.

        Raises UserError where another desktop's is in force: it must be ended first, and every desktop may do that,
        for the one that set it may be gone.
        """
        if wanted.everything():
            if self._text not in (b"", wanted.text()):
                self._put(wanted)
            return
        now = self.filter
        if now.owner not in ("", wanted.owner) and not now.everything():
            if now.rules() == wanted.rules():
                return
            raise UserError(
                f"{self.type} on {self._connection.peer.name} have a filter that another desktop has set "
                f"({now.words()}), and a store has one filter: enable it here without one, or end that one with "
                "--no-filter, here or there"
            )
        if now.rules() != wanted.rules():
            self._put(wanted.pinned(now.pins))

    def pin(self, paths: list[str]) -> bool:
        """Have these paths, and what is below them, whatever else is said. False: all of it is wanted already."""
        added, now = Filter(pins=paths), self.filter
        if now.everything() or all(now.is_pinned(path) for path in paths):
            return False
        self._put(now.pinned([pin for pin in now.pins if not added.is_pinned(pin)] + paths))
        return True

    def _put(self, wanted: Filter) -> None:
        text, generation = wanted.text(), self._generation + 1
        reply = self._ask(self._generation, generation, text)
        if (reply.generation, reply.filter) != (generation, text):
            raise UserError("another desktop has changed the filter at the same time; try again")
        self._take(reply)


def by_name_only(connection: Connection, meta: Metadata, type_name: str) -> list[tuple[str, int]]:
    """(path, bytes) of what the device has by name only, -1 bytes for a folder, by path. Changes nothing there or here.

    Raises what the connection raises.
    """
    remote = RemoteReplica(connection, Overlay(meta), type_name, preview=True)
    remote.finish()
    found = [change for change in remote.changes(Knowledge()) if change.ghost and not change.dead]
    remote.close()
    values = [(change.identity or "", (change.values or [b""])[0]) for change in found]
    return sorted((path, size_of(value) if is_file(value) else -1) for path, value in values)
