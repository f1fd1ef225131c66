"""The filter of a device's store, asked for and changed over a connection, outside of any sync."""

from __future__ import annotations

from cradle_desktop.connection import Connection
from cradle_desktop.errors import UserError
from cradle_desktop.sync.filter import Filter
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.filter import Filter as Request
from cradle_protocol.wire.messages.filter import FilterReply


class StoreFilter:
    """One type's on one device. held, named: of how many objects it had the content, or the name only, when asked."""

    def __init__(self, connection: Connection, type_name: str) -> None:
        """Raises RequestFailed, and FilterError for a filter that this version cannot read."""
        self._connection, self.type = connection, type_name
        self._take(self._ask(0, 0, b""))

    def _ask(self, expected: int, generation: int, text: bytes) -> FilterReply:
        body = Request(self.type, expected, generation, text).to_bytes()
        return FilterReply.from_bytes(self._connection.call(c.FILTER, body))

    def _take(self, reply: FilterReply) -> None:
        self._generation, self.filter = reply.generation, Filter.read(reply.filter)
        self.held, self.named = reply.objects, reply.ghosts

    def own(self, wanted: Filter) -> None:
        """Make this the filter; `wanted.owner` is this desktop. Raises UserError where another one's is in force."""
        now = self.filter
        if now.owner not in ("", wanted.owner) and not now.everything():
            if now.rules() == wanted.rules():
                return
            raise UserError(
                f"{self.type} on {self._connection.peer.name} have a filter that another desktop has set "
                f"({now.words()}), and a store has one filter: enable it here without one, or say --no-filter there"
            )
        if (now.rules(), now.pins) != (wanted.rules(), wanted.pins):
            self._put(wanted)

    def pin(self, paths: list[str]) -> bool:
        """Have these paths, and what is below them, whatever else is said. False: all of it is wanted already."""
        added = [path for path in paths if not self.filter.is_pinned(path)]
        if self.filter.everything() or not added:
            return False
        self._put(self.filter.pinned([*self.filter.pins, *added]))
        return True

    def _put(self, wanted: Filter) -> None:
        text, generation = wanted.text(), self._generation + 1
        reply = self._ask(self._generation, generation, text)
        if (reply.generation, reply.filter) != (generation, text):
            raise UserError("another desktop has changed the filter at the same time; try again")
        self._take(reply)
