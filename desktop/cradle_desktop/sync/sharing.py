"""Contents that a side has already, under another name: names that were swapped, or renamed onto each other.

Such renames are plain changes of their paths, and yet no content needs to travel: what a path had before the scan, or
has still, is what another path has now. Finds that by hash and decides nothing: whoever copies looks at the hash again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cradle_desktop.sync.former import Former, note
from cradle_desktop.sync.plan import Departure
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.change import Change
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.values import digest_of, is_file, is_lazy, size_of, with_digest


def before_pass(meta: Metadata, changes: Iterable[Change]) -> Former:
    """What this side holds of the items that a pass changes."""
    former: Former = {}
    for change in changes:
        item = meta.get(change.id)
        if item is not None:
            note(former, item)
    return former


def hash_alike(changes: list[Change], former: Former, hashes: Callable[[list[Change]], dict[bytes, bytes]]) -> None:
    """Have those new contents hashed on the device that are as long as one that is here under another name."""
    sizes = {size_of(item.values[0]) for item in former.values()}
    asked = [
        change
        for change in changes
        if change.values and is_lazy(change.values[0]) and not change.ghost and size_of(change.values[0]) in sizes
    ]
    found = hashes(asked) if asked else {}
    for change in asked:
        if change.values and change.id in found:
            change.values = [with_digest(change.values[0], found[change.id]), *change.values[1:]]


def name_sources(departures: list[Departure], former: Former, digest: Callable[[str], bytes]) -> None:
    """Let the device copy what it still has, under another name, of contents that would be sent."""
    sizes = {size_of(item.values[0]) for item in former.values()}
    for one in departures:
        item = one.item
        if not one.content or one.source is not None or one.size not in sizes or not is_file(item.values[0]):
            continue
        if is_lazy(item.values[0]):
            try:
                item.values[0] = with_digest(item.values[0], digest(item.identity))
            except StoreError:
                continue  # whoever sends it says so
        source = former.get(digest_of(item.values[0]))
        if source is not None and source.id != item.id:
            one.source = source.id, digest_of(item.values[0])
