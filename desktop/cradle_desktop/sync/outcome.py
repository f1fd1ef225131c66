"""What a resolution is told and what it says, as data: an `Answer` per clash, an `Outcome`, what was `Lost` by it."""

from __future__ import annotations

from cradle_protocol.provider.desktop import NO_OPINION
from cradle_protocol.sync.item import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# The mode of a directory (0o755) and of a file (0o644) that nobody has said a mode for, as unit values.
DIRECTORY_MODE = (0o755).to_bytes(2, "big")
FILE_MODE = (0o644).to_bytes(2, "big")


class Lost:
    """One unit's value that did not win. side: who had it; kind as `cradle conflicts` lists it.

    held: where its content is when the loss happens: the path of a local object, or the id of the device's item.
    """

    def __init__(
        self, identity: str, item_id: bytes, unit: int, kind: str, side: str, value: bytes, held: str | bytes
    ) -> None:
        self.identity, self.item_id, self.unit, self.kind = identity, item_id, unit, kind
        self.side, self.value, self.held = side, value, held


class Answer:
    """What was found out about one clash.

    newer    the side that wrote last, "" where nobody can tell
    merged   the text that holds both edits, None if there is none
    compose  makes a record of both, its field groups from the device where the list says so (by unit)
    info     what the provider answers (`provider.desktop`), "" where it was not asked or has no opinion
    """

    def __init__(self, newer: str = "", merged: bytes | None = None) -> None:
        self.newer, self.merged = newer, merged
        self.compose: Callable[[list[bool]], bytes] | None = None
        self.info = NO_OPINION


class Outcome:
    """What a resolution makes: items to put (in this order) and what was displaced.

    `waits`: not resolved, the item is skipped whole; `later`: to be tried again when the whole pass has arrived;
    `made`: {value: content} of contents that neither side has yet.
    """

    def __init__(
        self, items: list[Item] | None = None, lost: list[Lost] | None = None, waits: bool = False, later: bool = False
    ) -> None:
        self.items, self.lost, self.waits, self.later = items or [], lost or [], waits, later
        self.made: dict[bytes, bytes] = {}
