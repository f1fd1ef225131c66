"""Metadata in the log: what is remembered, what a power cut at every byte leaves, what an index entry can tell."""

import os

from cradle_device import metadata, system
from cradle_device.metadata import STORE, LogMetadata
from cradle_protocol.errors import BAD_NAME
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.item import IMPLIED, RACY, Item, Link, item_id
from cradle_protocol.sync.knowledge import everything
from cradle_protocol.sync.metadata import ABSENT, DIFFERENT, SAME
from cradle_protocol.sync.values import file_value
from cradle_protocol.sync.version import HIGHEST, LOWEST
from device.place import PLACE

FOLDER = PLACE + "/metadata"
ME = b"\x00" + b"m" * 15
OTHER = b"\x01" + b"o" * 15


def fresh(name, size=1024):
    """Metadata in a new file."""
    system.make_directory(FOLDER)
    path = FOLDER + "/" + name
    system.remove(path)
    return path, LogMetadata(path, 2, ME, size)


def file_item(meta, name, content=b"x", stamp=b"stamp"):
    version = meta.next_version()
    values = [file_value(len(content), b"h" * 32), b"\x01\xa4"]
    return Item(item_id("files", name), 0, name, version, [version, version], values, stamp)


def state(meta):
    """Everything that must survive, in comparable form."""
    items = [(i.id, i.oid, i.identity, i.dead, i.created, i.versions, i.values, i.stamp, i.flags) for i in meta.items()]
    return items, meta.tick, list(meta.replicas), meta.knowledge.to_bytes(), meta.live()


def intents(meta):
    return [(item.identity, item.versions, made) for item, made in meta.pending()]


def test_items_come_back_as_they_were():
    path, meta = fresh("roundtrip")
    item = file_item(meta, "a/b.txt")
    item.link = Link(b"L" * 16, (3, 0), [((2, 0), b"d"), ((1, 0), b"")])
    item.versions[1] = meta.next_version()
    item.flags = RACY
    meta.put(item)
    meta.knowledge.raise_own(0, meta.tick)
    meta.commit()
    meta.close()
    again = LogMetadata(path, 2, OTHER)
    found = again.get(item.id)
    assert again.replicas == [ME]
    assert (found.identity, found.versions, found.created) == ("a/b.txt", [(1, 0), (2, 0)], (1, 0))
    assert found.link == item.link
    assert (found.values, found.stamp, found.flags, found.oid) == (item.values, b"stamp", RACY, 1)
    assert again.knowledge.vector(LOWEST) == {0: 2} and again.tick == 2


def test_tombstones_drops_and_counts():
    path, meta = fresh("dead")
    a, b = file_item(meta, "a"), file_item(meta, "b")
    meta.put(a)
    meta.put(b)
    a.die(meta.next_version())
    meta.put(a)
    assert meta.live() == 1
    meta.drop(b.id)
    assert meta.live() == 0 and meta.get(b.id) is None
    meta.commit()
    meta.close()
    again = LogMetadata(path, 2, ME)
    assert again.get(a.id).dead and again.get(b.id) is None and again.live() == 0
    c = file_item(again, "c")
    again.put(c)
    assert c.oid == 3  # never reused


def test_seen_tells_by_stamp_and_flags_alone():
    _, meta = fresh("seen")
    for name, flags in (("same", 0), ("racy", RACY), ("dead", 0), ("implied", IMPLIED)):
        item = file_item(meta, name)
        item.flags = flags
        if name == "dead":
            item.die(meta.next_version())
        meta.put(item)
    meta.begin_scan()
    for name, stamp, answer in (
        ("same", b"stamp", SAME),
        ("same", b"other", DIFFERENT),
        ("racy", b"stamp", DIFFERENT),
        ("dead", b"", ABSENT),
        ("implied", b"whatever", SAME),
        ("nobody", b"", ABSENT),
    ):
        assert meta.seen(item_id("files", name), stamp) == answer, name
    assert list(meta.unseen()) == []


def test_marks_survive_new_items_and_a_stranger_counts_once_it_is_put():
    _, meta = fresh("marks")
    names = ["n%d" % k for k in range(50)]
    for name in names[::5]:
        meta.put(file_item(meta, name))
    meta.commit()
    meta.begin_scan()
    for name in names[1:]:
        if meta.seen(item_id("files", name), b"stamp") == ABSENT:
            meta.put(file_item(meta, name))
    meta.put(file_item(meta, "never met"))
    assert sorted(meta.unseen()) == sorted([item_id("files", "n0"), item_id("files", "never met")])
    meta.begin_scan()
    assert len(list(meta.unseen())) == 51


def test_ids_that_begin_alike():
    """The index holds four bytes of an id: the rest is compared by the records."""
    _, meta = fresh("alike")
    ids = [b"same" + bytes([k]) * 12 for k in (9, 3, 7)] + [b"samf" + b"\x00" * 12, b"\xff" * 16, b"\x00" * 16]
    for k, i in enumerate(ids):
        meta.put(Item(i, 0, "n%d" % k, (k + 1, 0), [(k + 1, 0)] * 2, [b"d", b""], b"s%d" % k))
    assert [item.id for item in meta.items()] == sorted(ids)
    assert [item.id for item in meta.items(ids[2])] == [i for i in sorted(ids) if i >= ids[2]]
    meta.begin_scan()
    assert [meta.seen(i, b"s%d" % k) for k, i in enumerate(ids)] == [SAME] * 6
    assert meta.seen(b"same" + b"\x01" * 12, b"s0") == ABSENT
    meta.drop(ids[1])
    assert meta.get(ids[1]) is None and meta.get(ids[0]).identity == "n0" and meta.get(ids[2]).identity == "n2"
    meta.commit()
    meta.compact()
    assert [item.id for item in meta.items()] == sorted(i for i in ids if i != ids[1])


def test_by_oid_finds_each_in_any_order():
    _, meta = fresh("oids")
    items = [file_item(meta, "f%d" % k) for k in range(60)]
    for item in items:
        meta.put(item)
    for item in items[::-7] + items:
        assert meta.by_oid(item.oid).id == item.id
    assert meta.by_oid(61) is None and meta.by_oid(0) is None


def test_rollback_leaves_the_last_commit_and_the_intents():
    _, meta = fresh("rollback")
    a = file_item(meta, "a")
    meta.put(a)
    meta.commit()
    before = state(meta)
    meta.put(file_item(meta, "lost"))
    meta.key_of(OTHER)
    meta.rollback()
    assert state(meta) == before
    b = file_item(meta, "b")
    key = meta.key_of(OTHER)
    b.versions = [(7, key)] * 2
    meta.intend([b], [{key: 9}])
    meta.put(b)
    meta.rollback()
    assert meta.get(b.id) is None and meta.replicas == [ME, OTHER] and meta.tick == 2
    assert intents(meta) == [("b", [(7, 1)] * 2, {1: 9})]
    meta.commit()
    assert meta.pending() == []


def test_a_put_after_its_intent_is_short():
    path, meta = fresh("short")
    item = file_item(meta, "a/long/name/that/would/cost/much/if/it/were/written/twice.txt")
    meta.intend([item], [{0: 1}])
    before = meta._log.end
    item.stamp, item.flags = b"new stamp", RACY
    meta.put(item)
    assert meta._log.end - before < 60
    meta.commit()
    for _ in range(2):
        found = meta.get(item.id)
        assert (found.identity, found.stamp, found.flags, found.oid) == (item.identity, b"new stamp", RACY, 1)
        meta.close()
        meta = LogMetadata(path, 2, ME)
        meta.compact()
    changed = file_item(meta, "b")
    meta.intend([changed], [{}])
    changed.values = [b"d", b""]
    meta.put(changed)
    assert meta.get(changed.id).values == [b"d", b""]


def write_history(path, size):
    """A log with every kind of record; [(length of file, state, intents)] at each durable point."""
    system.remove(path)
    meta = LogMetadata(path, 2, ME, size)
    points = []

    def point():
        points.append((os.stat(path)[6], state(meta), intents(meta)))

    point()
    a, b = file_item(meta, "a"), file_item(meta, "dir/b")
    meta.put(a)
    meta.put(b)
    meta.set_note(STORE, b"S" * 16)
    meta.knowledge.raise_own(0, meta.tick)
    meta.commit()
    point()
    key = meta.key_of(OTHER)
    c, d = file_item(meta, "c"), file_item(meta, "d")
    meta.intend([c, d], [{key: 5}, {key: 6, 0: 1}])
    point()
    for item in (c, d):
        item.stamp = b"installed"
        meta.put(item)
    a.die(meta.next_version())
    meta.put(a)
    meta.knowledge.learn(LOWEST, HIGHEST, everything({key: 6}), [b.id])
    meta.commit()
    point()
    meta.drop(a.id)
    b.link = Link(c.id, c.created, [((1, 0), b"d")])
    meta.put(b)
    meta.commit()
    point()
    meta.close()
    return points


def whole_group(points, length):
    """The last durable point that a file of this length holds."""
    found = None
    for size, at_point, pending in points:
        if size <= length:
            found = at_point, pending
    return found


def test_power_cut_at_every_byte():
    """CE-02, CE-04: the state is that of the last commit, or of the intents; it stays so, and the log goes on."""
    system.make_directory(FOLDER)
    path, cut = FOLDER + "/history", FOLDER + "/cut"
    points = write_history(path, 512)
    with open(path, "rb") as file:
        data = file.read()
    for length in range(len(data) + 1):
        with open(cut, "wb") as file:
            file.write(data[:length])
        meta = LogMetadata(cut, 2, ME, 512)
        want = whole_group(points, length)
        if want is None:
            assert meta.live() == 0 and meta.tick == 0
        elif length == len(data) or want[1]:
            assert (state(meta), intents(meta)) == want, length
        else:  # in the middle of intents: tick and keys may be ahead, nothing was acted on
            items, tick, replicas, knowledge, live = state(meta)
            assert (items, knowledge, live) == (want[0][0], want[0][3], want[0][4]), length
            assert tick >= want[0][1] and replicas[:1] == [ME]
        check_goes_on(meta, cut)


def check_goes_on(meta, path):
    extra = file_item(meta, "extra")
    meta.put(extra)
    meta.commit()
    want = state(meta)
    meta.close()
    again = LogMetadata(path, 2, ME, 512)
    assert state(again) == want and again.pending() == []
    again.close()


def test_garbage_in_the_tail_is_cut_off():
    path, meta = fresh("garbage", 512)
    meta.put(file_item(meta, "a"))
    meta.commit()
    want = state(meta)
    meta.close()
    with open(path, "rb") as file:
        data = file.read()
    for junk in (b"\x00", b"\xff" * 3, b"\x00" * 700, data[8:20], data[9:-1], b"\x00\x05\x03hello\x00\x00\x00\x00"):
        with open(path, "wb") as file:
            file.write(data + junk)
        meta = LogMetadata(path, 2, ME, 512)
        assert state(meta) == want
        check_goes_on(meta, path)


def test_damage_in_the_middle_never_uses_a_tick_again():
    """CE-04: a flipped bit that hides later commits makes a new replica of it, since partners may know those."""
    path, meta = fresh("damage", 512)
    first, commits = meta._log.end, []
    for name in ("a", "b", "c"):
        meta.put(file_item(meta, name))
        meta.knowledge.raise_own(0, meta.tick)
        meta.commit()
        commits.append((meta.tick, meta._log.end))
    meta.close()
    with open(path, "rb") as file:
        data = file.read()
    for at in range(len(data)):
        with open(path, "wb") as file:
            file.write(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        meta = LogMetadata(path, 2, OTHER, 512)
        left = [tick for tick, end in commits if end <= at]
        assert len(list(meta.items())) == len(left), at
        newest = commits[-1][1] - at <= 15  # in the last commit itself: what a power cut leaves as well
        assert meta.replicas == ([ME] if newest else [OTHER, ME] if at >= first else [OTHER]), at
        check_goes_on(meta, path)


def test_a_long_path_is_measured_as_it_is_written():
    """In bytes: a board's log has no room for as many characters of another script."""
    _, meta = fresh("long", 1024)
    path = "/".join([chr(0x6F22) * 80] * 5)
    before, metadata.PATH_MAX = metadata.PATH_MAX, 512
    try:
        meta.put(file_item(meta, path))
        raise AssertionError("taken")
    except StoreError as error:
        assert error.status == BAD_NAME
    finally:
        metadata.PATH_MAX = before
    meta.close()


def test_a_compaction_keeps_all_and_frees_what_is_void():
    path, meta = fresh("compact")
    items = [file_item(meta, "f%d" % k) for k in range(30)]
    for _ in range(20):
        for item in items:
            meta.put(item)
        meta.commit()
    item = file_item(meta, "meant")
    meta.intend([item], [{0: 3}])
    want, meant, size = state(meta), intents(meta), os.stat(path)[6]
    meta.compact()
    assert (state(meta), intents(meta)) == (want, meant) and os.stat(path)[6] < size // 5
    meta.close()
    meta = LogMetadata(path, 2, ME)
    assert (state(meta), intents(meta)) == (want, meant)


def test_a_log_that_is_mostly_void_is_rewritten():
    path, meta = fresh("wasteful")
    item = file_item(meta, "counter")
    for k in range(6000):
        item.stamp = b"%d" % k
        meta.put(item)
        if k % 100 == 0:
            meta.commit()
            for _ in meta.tidy():
                pass
    assert os.stat(path)[6] < 600000 and meta.get(item.id).stamp == b"5999"


def test_a_clone_becomes_a_new_replica_and_its_old_versions_anothers():
    """CE-11: nothing is stamped under an id that two stores share."""
    path, meta = fresh("clone")
    meta.key_of(OTHER)
    a = file_item(meta, "a")
    meta.put(a)
    meta.knowledge.raise_own(0, meta.tick)
    meta.commit()
    new = b"\x00" + b"n" * 15
    for _ in range(2):
        if meta.replicas[0] != new:
            meta.renew(new)
        assert meta.replicas == [new, OTHER, ME] and meta.tick == 0
        assert meta.get(a.id).versions == [(1, 2), (1, 2)] and meta.knowledge.vector(LOWEST) == {2: 1}
        meta.close()
        meta = LogMetadata(path, 2, ME)


def test_knowledge_longer_than_a_record():
    path, meta = fresh("knowledge", 512)
    key = meta.key_of(OTHER)
    for k in range(60):
        meta.knowledge.learn_item(item_id("files", "f%d" % k), {key: k + 1})
    meta.commit()
    want = meta.knowledge.to_bytes()
    assert len(want) > 1200
    meta.close()
    meta = LogMetadata(path, 2, ME, 512)
    assert meta.knowledge.to_bytes() == want


def test_nothing_changed_writes_nothing():
    path, meta = fresh("still")
    meta.put(file_item(meta, "a"))
    meta.commit()
    size = os.stat(path)[6]
    meta.commit()
    assert os.stat(path)[6] == size
