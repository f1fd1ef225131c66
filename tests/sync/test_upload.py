"""What is packed in a short way for new files says the same as the records do."""

from hashlib import sha256
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cradle_desktop.sync.upload import Upload
from cradle_protocol.sync.change import change_of, remap
from cradle_protocol.sync.item import Item, Link, item_id
from cradle_protocol.sync.values import file_value, size_of
from cradle_protocol.sync.version import LOWEST
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.records import COMMIT_ELEMENT, data_head, encode_apply_change, encode_begin

KEYS = [3, 5]  # the device's keys for ours
CREATED = (70_000, 1)
LINK = Link(b"s" * 16, (1, 0), [])
LATER = (70_001, 0)


def an_item(name: str, size: int, mode: bytes = b"\x01\xa4", latest: Any = CREATED, link: "Link | None" = None) -> Item:
    """A file as a first scan makes it, but for what is given."""
    values = [file_value(size), mode]
    return Item(item_id("files", name), 77, name, CREATED, [latest, CREATED], values, link=link)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    "item",
    [
        an_item("plain", 300),
        an_item("ünïcode/empty", 0),
        an_item("without a mode", 9, mode=b""),
        an_item("changed since", 10, latest=LATER),
        an_item("moved", 10, link=LINK),
    ],
    ids=lambda one: one.identity if isinstance(one, Item) else None,
)
def test_a_new_file_is_packed_as_the_records_say(item: Item, named: bool) -> None:
    sent: list[bytes] = []

    def start(kind: int, body: "list[Any]", more: bool, request: "int | None") -> int:
        sent.append(b"".join(bytes(part) for part in body))
        return 1

    data = bytes(k & 0xFF for k in range(size_of(item.values[0])))
    upload = Upload(cast("Any", SimpleNamespace(start=start)), 4096, KEYS, lambda last: None)
    upload.begin(LOWEST, item.id)
    upload.file(0, item, named, data, sha256(data).digest())
    upload.commit()
    change = encode_apply_change(remap(change_of(item, named), KEYS), c.CONTENT_FOLLOWS, 0)
    content = data_head(0, c.END, len(data)) + data + sha256(data).digest()
    assert b"".join(sent) == encode_begin(LOWEST, item.id, True) + change + content + COMMIT_ELEMENT
