"""`MetadataContract`: what every implementation of `Metadata` must do, ours and a stranger's. Tests, no fixtures.

A subclass gives `make` (metadata of a new replica with two change units) and `reopen` (what a power cut and a restart
find, given the object that was in use). `ItemContract` alone is for what makes nothing durable.
"""

from cradle_protocol.sync.item import IMPLIED, RACY, Item, Link, item_id, phantom
from cradle_protocol.sync.knowledge import Knowledge, everything
from cradle_protocol.sync.metadata import ABSENT, DIFFERENT, SAME, Metadata
from cradle_protocol.sync.values import DIRECTORY, file_value
from cradle_protocol.sync.version import HIGHEST, LOWEST

OWN = b"own replica id.."
OTHER = b"another replica."
MODE = b"\x01\xa4"
BIG_TICK = 0xFFFFFFFF


def file_item(identity: str, tick: int = 1, key: int = 0, stamp: bytes = b"stamp") -> Item:
    """A living file of two units, made by replica `key` at `tick`, of no object id yet."""
    version = tick, key
    values = [file_value(len(identity), bytes(32)), MODE]
    return Item(item_id("files", identity), 0, identity, version, [version, version], values, stamp)


def fields(item: "Item | None") -> "tuple[object, ...] | None":
    """Everything of an item, for comparing."""
    if item is None:
        return None
    return (
        item.id, item.oid, item.identity, item.dead, item.created, item.versions, item.values, item.stamp,
        item.flags, item.link,
    )  # fmt: skip


def strange_items() -> "list[Item]":
    """One item of every form that a record can have."""
    moved = file_item("moved.txt", 7)
    moved.die((9, 0), Link(item_id("files", "target"), (9, 0), [((7, 0), moved.values[0]), ((8, 1), MODE)]))
    target = file_item("target", 9)
    target.link = Link(moved.id, (7, 0), [])
    target.flags = RACY
    folder = file_item("folder", BIG_TICK, 1)
    folder.values, folder.flags = [DIRECTORY, b""], IMPLIED | RACY
    wide = file_item("ünï/ 日本語.txt", 3)
    wide.versions, wide.stamp = [(3, 0), (BIG_TICK, 300)], bytes(range(256))
    wide.values = [file_value(2**48 - 1), bytes(255)]
    return [file_item("plain", 1), moved, target, folder, wide, phantom(item_id("files", "ghost"), "ghost", 2)]


class ItemContract:
    """Items and scan marks."""

    def make(self) -> Metadata:
        """Metadata of a new replica of two units."""
        raise NotImplementedError

    def test_a_new_replica_holds_nothing(self) -> None:
        meta = self.make()
        assert meta.units == 2 and meta.tick == 0 and len(meta.replicas) == 1 and len(meta.replicas[0]) == 16
        assert list(meta.items()) == [] and meta.live() == 0 and meta.implied() == []
        assert meta.get(LOWEST) is None and meta.by_oid(1) is None
        assert meta.knowledge == Knowledge() and meta.forgotten == Knowledge()

    def test_every_form_of_item_comes_back_as_it_was(self) -> None:
        meta = self.make()
        for item in strange_items():
            meta.put(item)
            assert fields(meta.get(item.id)) == fields(item), item
            assert fields(meta.by_oid(item.oid)) == fields(item), item

    def test_what_get_gives_is_the_callers(self) -> None:
        meta = self.make()
        item = file_item("a")
        meta.put(item)
        item.values[0] = b"changed by the caller"
        mine = meta.get(item.id)
        assert mine is not None and mine.values[0] != item.values[0]
        mine.versions[1] = (99, 0)
        again = meta.get(item.id)
        assert again is not None and again.versions[1] == (1, 0)
        meta.put(mine)
        again = meta.get(item.id)
        assert again is not None and again.versions[1] == (99, 0) and again.oid == item.oid

    def test_object_ids_are_given_once(self) -> None:
        meta = self.make()
        a, b = file_item("a"), file_item("b")
        meta.put(a)
        meta.put(b)
        assert 0 < a.oid <= BIG_TICK and 0 < b.oid <= BIG_TICK and a.oid != b.oid
        meta.drop(a.id)
        c = file_item("c")
        meta.put(c)
        assert c.oid not in (a.oid, b.oid)
        assert meta.by_oid(a.oid) is None
        found = meta.by_oid(c.oid)
        assert found is not None and found.identity == "c"

    def test_a_dropped_item_was_never_there(self) -> None:
        meta = self.make()
        item = file_item("a")
        meta.put(item)
        meta.drop(item.id)
        meta.drop(item.id)
        assert meta.get(item.id) is None and list(meta.items()) == [] and meta.live() == 0
        meta.begin_scan()
        assert meta.seen(item.id, item.stamp) == ABSENT

    def test_items_come_in_order_of_id_from_a_bound_on(self) -> None:
        meta = self.make()
        made = [file_item(f"file {n}", n + 1) for n in range(40)]
        for item in made[:20]:
            meta.put(item)
        meta.commit()
        for item in made[20:]:
            meta.put(item)
        ids = sorted(item.id for item in made)
        assert [item.id for item in meta.items()] == ids
        assert [item.id for item in meta.items(ids[13])] == ids[13:]
        assert [item.id for item in meta.items(HIGHEST)] == []

    def test_lacking_is_what_a_knowledge_does_not_hold(self) -> None:
        meta = self.make()
        meta.key_of(OTHER)
        made = [file_item(f"file {n}", n + 1, n % 2) for n in range(20)]
        made[4].versions[1] = (30, 1)
        made[5].die((31, 0))
        for item in made[:10]:
            meta.put(item)
        meta.commit()
        for item in made[10:]:
            meta.put(item)
        theirs = everything({0: 10, 1: 15})
        theirs.learn_item(made[18].id, {0: 19})
        theirs.forget_item(made[0].id)
        late = [item.id for item in made if item.versions[0][0] > (15 if item.versions[0][1] else 10)]
        expected = sorted((set(late) | {made[4].id, made[0].id}) - {made[18].id})
        assert [item.id for item in meta.lacking(theirs)] == expected
        assert [item.id for item in meta.lacking(theirs, expected[3])] == expected[3:]
        assert list(meta.lacking(everything({0: 40, 1: 40}))) == []

    def test_live_and_implied_follow_every_change(self) -> None:
        meta = self.make()
        for item in strange_items():
            meta.put(item)
        assert meta.live() == 4
        assert sorted(item.identity for item in meta.implied()) == ["folder", "ghost"]
        plain = meta.get(item_id("files", "plain"))
        assert plain is not None
        plain.die((20, 0))
        meta.put(plain)
        meta.drop(item_id("files", "ghost"))
        assert meta.live() == 3
        assert [item.identity for item in meta.implied()] == ["folder"]

    def test_a_scan_compares_and_marks(self) -> None:
        meta = self.make()
        for item in strange_items():
            meta.put(item)
        meta.commit()
        meta.begin_scan()
        answers = {
            name: meta.seen(item_id("files", name), b"stamp")
            for name in ("plain", "moved.txt", "target", "folder", "ghost", "new")
        }
        assert answers == {
            "plain": SAME, "moved.txt": ABSENT, "target": DIFFERENT, "folder": SAME, "ghost": SAME, "new": ABSENT,
        }  # fmt: skip
        assert meta.seen(item_id("files", "plain"), b"stamp2") == DIFFERENT
        assert meta.seen(item_id("files", "plain"), b"") == DIFFERENT
        assert list(meta.unseen()) == [item_id("files", "ünï/ 日本語.txt")]

    def test_a_scan_sees_what_was_put_meanwhile(self) -> None:
        meta = self.make()
        old = file_item("old")
        meta.put(old)
        meta.commit()
        meta.begin_scan()
        new = file_item("new")
        assert meta.seen(new.id, b"stamp") == ABSENT
        meta.put(new)
        assert meta.seen(new.id, b"stamp") == SAME
        assert list(meta.unseen()) == [old.id]
        meta.begin_scan()
        assert sorted(meta.unseen()) == sorted([old.id, new.id])

    def test_the_unseen_can_be_buried_on_the_way(self) -> None:
        meta = self.make()
        for n in range(30):
            meta.put(file_item(f"file {n}"))
        meta.begin_scan()
        buried = 0
        for i in meta.unseen():
            item = meta.get(i)
            assert item is not None
            item.die((50, 0))
            meta.put(item)
            buried += 1
        assert buried == 30 and meta.live() == 0 and list(meta.unseen()) == []

    def test_strangers_get_the_next_key(self) -> None:
        meta = self.make()
        assert meta.key_of(meta.replicas[0]) == 0
        assert [meta.key_of(OTHER), meta.key_of(b"third replica..."), meta.key_of(OTHER)] == [1, 2, 1]
        assert meta.next_version() == (1, 0) and meta.next_version() == (2, 0)

    def test_rollback_returns_to_the_commit(self) -> None:
        meta = self.make()
        start = sorted(str(fields(item)) for item in meta.items())
        meta.put(file_item("a"))
        meta.knowledge.raise_own(0, 9)
        meta.rollback()
        assert sorted(str(fields(item)) for item in meta.items()) == start
        assert not meta.knowledge.knows(LOWEST, (9, 0))
        meta.begin_scan()
        assert meta.seen(item_id("files", "a"), b"stamp") == ABSENT


class MetadataContract(ItemContract):
    """And what is there after a restart."""

    def reopen(self, meta: Metadata) -> Metadata:
        """What a power cut now and a restart would find. `meta` is not used again."""
        raise NotImplementedError

    def test_a_commit_survives(self) -> None:
        meta = self.make()
        replica = meta.replicas[0]
        kept = strange_items()
        for item in kept:
            meta.put(item)
        meta.key_of(OTHER)
        meta.tick = BIG_TICK - 1
        meta.knowledge.raise_own(1, 77)
        meta.knowledge.learn_item(kept[0].id, {0: 99, 1: 100})
        meta.forgotten.raise_own(0, 5)
        knowledge, forgotten = meta.knowledge.copy(), meta.forgotten.copy()
        meta.commit()
        again = self.reopen(meta)
        assert [fields(item) for item in again.items()] == [fields(item) for item in sorted(kept, key=lambda i: i.id)]
        assert again.replicas == [replica, OTHER] and again.tick == BIG_TICK - 1
        assert again.knowledge == knowledge and again.forgotten == forgotten
        assert again.pending() == [] and again.live() == 4

    def test_what_no_commit_followed_is_gone(self) -> None:
        meta = self.make()
        a, b = file_item("a"), file_item("b")
        meta.put(a)
        meta.put(b)
        meta.commit()
        a.stamp = b"newer"
        meta.put(a)
        meta.drop(b.id)
        meta.put(file_item("c"))
        meta.key_of(OTHER)
        meta.knowledge.raise_own(0, 3)
        again = self.reopen(meta)
        assert sorted(item.identity for item in again.items()) == ["a", "b"]
        old = again.get(a.id)
        assert old is not None and old.stamp == b"stamp"
        assert again.knowledge == Knowledge() and len(again.replicas) == 1

    def test_object_ids_go_on_after_a_restart(self) -> None:
        meta = self.make()
        a = file_item("a")
        meta.put(a)
        meta.drop(a.id)
        meta.commit()
        again = self.reopen(meta)
        b = file_item("b")
        again.put(b)
        assert b.oid != a.oid

    def test_a_drop_survives(self) -> None:
        meta = self.make()
        a = file_item("a")
        meta.put(a)
        meta.commit()
        meta.drop(a.id)
        meta.commit()
        again = self.reopen(meta)
        assert again.get(a.id) is None and list(again.items()) == []

    def test_intents_survive_with_their_tick_and_nothing_else(self) -> None:
        meta = self.make()
        meta.commit()
        a, b = file_item("a", 1), file_item("b", 2)
        b.die((3, 0), Link(a.id, (1, 0), [((2, 0), b.values[0]), ((2, 0), MODE)]))
        meta.tick = 3
        meta.key_of(OTHER)
        shared = {0: 2, 1: 40}
        meta.intend([a, b], [shared, {}])
        meta.put(a)
        again = self.reopen(meta)
        assert list(again.items()) == []
        assert again.tick == 3 and again.replicas[1:] == [OTHER]
        found = {item.identity: (fields(item), vector) for item, vector in again.pending()}
        assert found == {"a": (fields(_unnumbered(a)), shared), "b": (fields(b), {})}

    def test_intents_add_up_and_the_later_counts(self) -> None:
        meta = self.make()
        first, later = file_item("a", 1), file_item("a", 2)
        meta.intend([first, file_item("b", 1)], [{0: 1}, {0: 1}])
        meta.intend([later], [{1: 5}])
        again = self.reopen(meta)
        found = {item.identity: (item.created, vector) for item, vector in again.pending()}
        assert found == {"a": ((2, 0), {1: 5}), "b": ((1, 0), {0: 1})}

    def test_a_commit_drops_the_intents_even_if_nothing_else_changed(self) -> None:
        meta = self.make()
        meta.intend([file_item("a")], [{0: 1}])
        assert len(meta.pending()) == 1
        meta.rollback()
        assert len(meta.pending()) == 1
        meta.commit()
        assert meta.pending() == []
        assert self.reopen(meta).pending() == []

    def test_a_new_item_has_one_fresh_version_and_an_object_id(self) -> None:
        meta = self.make()
        values = [file_value(3), MODE]
        meta.create(item_id("files", "a"), "a", values, b"stamp", RACY)
        meta.commit()
        item = self.reopen(meta).get(item_id("files", "a"))
        assert item is not None and item.oid and item.identity == "a" and not item.dead and item.link is None
        assert (item.created, item.versions, item.values) == ((1, 0), [(1, 0), (1, 0)], values)
        assert (item.stamp, item.flags, meta.tick) == (b"stamp", RACY, 1)

    def test_what_is_kept_survives_with_its_tick(self) -> None:
        meta = self.make()
        for name in ("a", "b", "c"):
            meta.create(item_id("files", name), name, [file_value(1), MODE], b"stamp", 0)
        meta.knowledge.raise_own(0, meta.tick)
        kept = next(item for item in meta.lacking(Knowledge()) if item.identity == "b")
        kept.values[0] = file_value(1, bytes(32))
        meta.keep([kept, file_item("d", 3)])
        assert meta.live() == 4
        again = self.reopen(meta)
        b, d = again.get(kept.id), again.get(item_id("files", "d"))
        assert fields(b) == fields(kept) and d is not None and d.oid not in (0, kept.oid)
        assert again.tick == 3 and again.knowledge.knows(kept.id, (3, 0))

    def test_what_is_kept_needs_no_commit_and_the_rest_does(self) -> None:
        meta = self.make()
        for name in ("a", "b", "c"):
            meta.create(item_id("files", name), name, [file_value(1), MODE], b"stamp", 0)
        meta.keep([item for item in meta.lacking(Knowledge()) if item.identity == "b"])
        meta.commit()
        again = self.reopen(meta)
        assert sorted(item.identity for item in again.items()) == ["a", "b", "c"]

    def test_keeping_nothing_makes_the_tick_durable(self) -> None:
        meta = self.make()
        meta.next_version()
        meta.keep([])
        assert self.reopen(meta).tick == 1

    def test_a_tick_that_was_intended_is_never_used_again(self) -> None:
        meta = self.make()
        version = meta.next_version()
        meta.intend([file_item("a", version[0])], [{}])
        meta.rollback()
        assert meta.next_version()[0] > version[0]
        again = self.reopen(meta)
        assert again.next_version()[0] > version[0]

    def test_it_can_be_restarted_again_and_again(self) -> None:
        meta = self.make()
        for n in range(6):
            meta.put(file_item(f"file {n}", n + 1))
            meta.tick = n + 1
            meta.commit()
            meta = self.reopen(meta)
        assert meta.live() == 6 and meta.tick == 6
        assert len({item.oid for item in meta.items()}) == 6

    def test_many_items(self) -> None:
        meta = self.make()
        count = 300
        for n in range(count):
            meta.put(file_item(f"folder {n % 7}/file {n}", n + 1))
        meta.commit()
        for n in range(0, count, 2):
            item = meta.get(item_id("files", f"folder {n % 7}/file {n}"))
            assert item is not None
            item.die((count + n + 1, 0))
            meta.put(item)
        meta.commit()
        again = self.reopen(meta)
        assert again.live() == count // 2
        ids = [item.id for item in again.items()]
        assert len(ids) == count and ids == sorted(ids)


def _unnumbered(item: Item) -> Item:
    """As `intend` saw it, before `put` gave it an object id."""
    twin = item.copy()
    twin.oid = 0
    return twin
