"""New objects on their way: when they become durable, what a crash costs, and the short forms against the long ones."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cradle_desktop.sync import depart, first
from cradle_desktop.sync.first import Going
from cradle_desktop.sync.hashing import AHEAD_FROM, RunningHash
from cradle_desktop.sync.upload import Upload
from cradle_protocol.errors import UNREADABLE
from cradle_protocol.provider.paths import FAT_NAMES
from cradle_protocol.sync.change import change_of, remap
from cradle_protocol.sync.detect import detect
from cradle_protocol.sync.item import Item, Link, item_id
from cradle_protocol.sync.values import digest_of, file_value
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages.records import COMMIT_ELEMENT, data_head, encode_apply_change, encode_begin
from cradle_testing.worlds import Cut, PowerCut, World

NAMES = [f"file {n}" for n in range(9)]


def filled(folder: Path, batch_items: int = 3, desktops: "tuple[str, ...]" = ("D1",)) -> World:
    world = World(folder, desktops, batch_items=batch_items)
    for name in NAMES:
        world["D1"].store.write(name, name.encode())
    return world


class Wire:
    """Takes what an upload sends, and keeps none of its buffers."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.parts: list[int] = []

    def start(self, kind: int, body: "list[bytes]", more: bool, request: "int | None") -> int:
        assert kind == c.APPLY
        self.sent += b"".join(body)
        self.parts.append(sum(map(len, body)))
        return 7


def upload(wire: Wire, most: int = 1000) -> Upload:
    return Upload(wire, most, [3, 5], lambda last: None)  # type: ignore[arg-type]


def new_item(name: str, size: int, **more: "object") -> Item:
    item = Item(item_id("files", name), 9, name, (4, 1), [(4, 1), (4, 1)], [file_value(size), b"\x01\xa4"], b"stamp")
    for key, value in more.items():
        setattr(item, key, value)
    return item


ITEMS = [
    new_item("plain ünï", 20),
    new_item("empty", 0),
    new_item("moved", 20, link=Link(b"l" * 16, (2, 0), [])),
    new_item("edited", 20, versions=[(6, 0), (4, 1)]),
    new_item("hashed", 20, values=[file_value(20, bytes(32)), b""]),
]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.identity)
def test_a_small_file_is_packed_as_its_change_and_its_content(item: Item, named: bool) -> None:
    data, wire = bytes(range(20))[: 0 if item.identity == "empty" else 20], Wire()
    out = upload(wire)
    out.begin(bytes(16), b"\xff" * 16)
    out.file(0, item, named, data, b"d" * 32)
    out.commit()
    change = encode_apply_change(remap(change_of(item, named), [3, 5]), c.CONTENT_FOLLOWS)
    content = data_head(0, c.END, len(data)) + data + b"d" * 32
    assert bytes(wire.sent) == encode_begin(bytes(16), b"\xff" * 16, True) + change + content + COMMIT_ELEMENT


def test_no_part_is_longer_than_a_message() -> None:
    wire = Wire()
    out = upload(wire, 600)
    out.begin(bytes(16), b"\xff" * 16)
    for index, size in enumerate((10, out.piece, 400, 300, out.piece, 0)):
        out.file(index, new_item("a name of some length", size), True, bytes(size), b"d" * 32)
    out.commit()
    assert max(wire.parts) <= 600


def test_what_was_packed_is_not_touched_before_it_is_sent() -> None:
    class Slow(Wire):
        """Keeps the buffers of the part before, as a connection does that has not sent their end."""

        last: "list[bytes]" = []

        def start(self, kind: int, body: "list[bytes]", more: bool, request: "int | None") -> int:
            self.sent += b"".join(self.last)
            self.last = body
            return 7

    for size in (100, 300_000):  # parts that are copied, and parts that are sent from where they are
        wire, number = Slow(), 1 << 20
        out = upload(wire, number)
        out.begin(bytes(16), b"\xff" * 16)
        for index in range(8):
            out.file(index, new_item(str(index), size), True, b"%d" % index * size, b"d" * 32)
        out.commit()
        out.begin(bytes(16), b"\xff" * 16)
        out.commit()
        wire.start(c.APPLY, [], False, None)
        assert all(b"%d" % index * size in wire.sent for index in range(8))


def test_a_scan_holds_back_nothing_but_new_objects(tmp_path: Path) -> None:
    world = filled(tmp_path)
    desk = world["D1"]
    assert detect(desk.store, desk.meta, hold=True).held
    desk.restart()
    assert desk.meta.tick == 0 and detect(desk.store, desk.meta, hold=True).held
    desk.meta.commit()
    assert not detect(desk.store, desk.meta, hold=True).held
    desk.store.remove(NAMES[0], desk.store.stamp(NAMES[0]) or b"")
    desk.store.write("one more", b"1")
    assert not detect(desk.store, desk.meta, hold=True).held
    desk.restart()
    assert desk.meta.live() == len(NAMES)


def test_after_a_first_sync_everything_is_durable_with_its_digest(tmp_path: Path) -> None:
    world = filled(tmp_path)
    world.sync("D1", "R1")
    desk = world["D1"]
    desk.restart()
    digests = {item.identity: digest_of(item.values[0]) for item in desk.meta.items()}
    assert digests == {name: hashlib.sha256(name.encode()).digest() for name in NAMES}
    assert not detect(desk.store, desk.meta).changed


@pytest.mark.parametrize("step", range(1, 6))
def test_a_crash_in_a_first_sync_costs_no_conflict(tmp_path: Path, step: int) -> None:
    world = filled(tmp_path)
    world["D1"].meta.crash_before_commit = step
    try:
        world.sync("D1", "R1")
    except PowerCut:
        pass
    world["D1"].restart()
    result = world.sync("D1", "R1")
    assert result.conflicts == 0 and not result.skipped
    assert world["R1"].store.tree() == {name: name.encode() for name in NAMES}
    assert world["D1"].store.tree() == {name: name.encode() for name in NAMES}


def test_the_first_batch_leaves_before_the_rest_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first, "FIRST_BATCH", 2)
    world = filled(tmp_path, batch_items=4)
    world["D1"].store.advance(10)  # what is young is looked at twice
    seen, sent, visit, begin = [], [], world["D1"].store.visit, Upload.begin
    monkeypatch.setattr(world["D1"].store, "visit", lambda *one: (seen.append(one[0]), visit(*one))[1])
    monkeypatch.setattr(Upload, "begin", lambda *args: (sent.append(len(seen)), begin(*args))[1])
    world.sync("D1", "R1")
    assert sent == [0, 2, 6] and len(set(seen)) == len(seen) == 9


def test_ticks_are_durable_before_the_first_of_them_leaves(tmp_path: Path) -> None:
    world = filled(tmp_path)
    desk = world["D1"]
    ticks: list[int] = []
    desk.meta.on_act = lambda: ticks.append(desk.meta.tick)
    world.sync("D1", "R1")
    assert ticks and set(ticks) == {len(NAMES)}
    assert sorted(item.created[0] for item in desk.meta.items()) == list(range(1, len(NAMES) + 1))


def test_no_batch_of_a_first_sync_is_larger_than_the_device_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    sizes = [400_000, 30_000, 700_000, 10, 900_000, 2_000_000, 300_000]
    for n, size in enumerate(sizes):
        world["D1"].store.write(f"d{n}", os.urandom(size))
    batches: list[int] = []
    by_id = {item_id("files", f"d{n}"): size for n, size in enumerate(sizes)}
    send = Going._send_names

    def sending(going: Going, names: "list[first.Name]", lower: bytes, upper: bytes) -> None:
        batches.append(sum(by_id[name[0]] for name in names))
        send(going, names, lower, upper)

    monkeypatch.setattr(Going, "_send_names", sending)
    world.sync("D1", "R1")
    assert sum(batches) == sum(sizes) and all(size <= 1 << 20 or size == 2_000_000 for size in batches)
    world.settle_and_check(rounds=1)


@pytest.mark.parametrize("late", ["gone", "a directory", "unreadable", "edited"])
def test_what_changes_between_its_name_and_its_visit(
    tmp_path: Path, late: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = filled(tmp_path, batch_items=100)
    store = world["D1"].store
    names_only = store.names_only

    def names() -> "Iterator[tuple[str, bool]]":
        yield from names_only()
        if late == "unreadable":
            store.failing_reads["file 3"] = UNREADABLE
        elif late == "edited":
            store.write("file 3", b"edited meanwhile")
        else:
            store.delete("file 3")
        if late == "a directory":
            store.mkdir("file 3")

    monkeypatch.setattr(store, "names_only", names)
    result = world.sync("D1", "R1")
    left_out = late in ("a directory", "unreadable")
    assert [name for name, _ in result.skipped] == ["file 3"] * left_out and result.up.skipped == left_out
    assert result.up.applied == len(NAMES) - left_out - (late == "gone")
    store.failing_reads.clear()
    monkeypatch.undo()
    assert world.sync("D1", "R1").up.applied == left_out
    world.settle_and_check(rounds=1)


def test_an_empty_device_with_a_past_gets_an_ordinary_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = filled(tmp_path, desktops=("D1", "D2"))
    world["R1"].store.write("was here", b"once")
    world.sync("D2", "R1")
    world["D2"].store.delete("was here")
    world.sync("D2", "R1")
    monkeypatch.delattr(Going, "run")
    world.sync("D1", "R1")
    assert world["R1"].store.tree() == {name: name.encode() for name in NAMES}


def test_names_that_the_device_cannot_hold_are_left_out_as_ever(tmp_path: Path) -> None:
    world = World(tmp_path)
    for name in ("long" * 5, "short", "b?d"):
        world["D1"].store.write(name, b"1")
    world["R1"].store.name_max = 10
    world["R1"].store.names = FAT_NAMES
    result = world.sync("D1", "R1")
    assert sorted(name for name, _ in result.skipped) == ["b?d", "long" * 5] and result.up.applied == 1


def test_long_transfers_become_durable_before_a_batch_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depart, "KEEP_EVERY", 0.0)
    world = World(tmp_path)
    content = os.urandom(300_000)
    world["D1"].store.write("large", content)
    kept: list[int] = []
    keep = world["D1"].meta.keep
    monkeypatch.setattr(world["D1"].meta, "keep", lambda items: (kept.append(len(items)), keep(items)))
    world.sync("D1", "R1")
    assert kept[0] == 0 and len(kept) >= 3  # the tick, the item before its content, the digest before the end
    assert world["R1"].store.tree() == {"large": content}


@pytest.mark.parametrize("size", [0, 1, AHEAD_FROM - 1, AHEAD_FROM, AHEAD_FROM + 12345])
def test_a_hash_beside_is_the_hash(size: int) -> None:
    data = memoryview(os.urandom(size))
    with RunningHash(size) as running:
        for at in range(0, size, 1 << 20):
            running.update(data[at : at + (1 << 20)])
        assert running.digest() == hashlib.sha256(data).digest()


def test_a_hash_that_is_given_up_leaves_no_thread() -> None:
    with RunningHash(AHEAD_FROM) as running:
        thread = running._thread
        running.update(memoryview(bytes(1000)))
    assert thread is not None and not thread.is_alive()


def test_a_first_sync_that_is_cut_goes_on_in_the_middle_of_a_content(tmp_path: Path) -> None:
    world = World(tmp_path)
    content = os.urandom(200_000)
    world["D1"].store.write("large", content)
    with pytest.raises(Cut):
        world.sync("D1", "R1", cut_after=150_000)
    world["D1"].restart()
    result = world.sync("D1", "R1")
    assert 0 < result.resumed_bytes < len(content)
    assert world["R1"].store.tree() == {"large": content}
