"""What changes while a store is scanned, as it was before: a device may have it still. Every sync loads this."""

from collections.abc import Iterator
from contextlib import contextmanager

from cradle_protocol.sync.item import Item
from cradle_protocol.sync.metadata import Metadata
from cradle_protocol.sync.values import digest_of, size_of

# Bytes: to send less is cheaper than to ask for a copy of it.
LEAST = 256

Former = dict[bytes, Item]  # by the SHA-256 of the content


def note(former: Former, item: Item) -> None:
    """Take down an item that has a content worth copying."""
    if not item.dead and size_of(item.values[0]) >= LEAST and digest_of(item.values[0]):
        former.setdefault(digest_of(item.values[0]), item.copy())


@contextmanager
def remembering(meta: Metadata) -> Iterator[Former]:
    """While a scan goes on: the items that it looks at closely, as they were. Those are the ones that changed."""
    former: Former = {}
    look = meta.get

    def get(item_id: bytes) -> Item | None:
        item = look(item_id)
        if item is not None:
            note(former, item)
        return item

    meta.get = get  # type: ignore[method-assign]  # of this one object, while the scan lasts
    try:
        yield former
    finally:
        del meta.get
