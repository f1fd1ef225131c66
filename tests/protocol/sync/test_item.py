"""Items and changes: what is copied, what dies, what lives again, what travels."""

from binascii import hexlify

from cradle_protocol.sync.change import Change, change_of, remap
from cradle_protocol.sync.item import IMPLIED, RACY, Item, Link, item_id, phantom
from cradle_protocol.sync.version import NEVER

X, MODE = b"f" + bytes(38), b"\x01\xa4"


def made(flags=RACY):
    return Item(item_id("files", "a/b"), 3, "a/b", (1, 0), [(1, 0), (2, 1)], [X, MODE], b"stamp", flags)


def test_ids_follow_from_type_and_identity():
    assert hexlify(item_id("files", "a/b")) == b"93553ba0eb902674fe8daac4b85ce3b7"
    assert len({item_id("files", "a"), item_id("file", "sa"), item_id("settings", "a"), item_id("files", "A")}) == 4
    assert item_id("files", "ü") == item_id("files", "\u00fc") != item_id("files", "u\u0308")


def test_a_copy_is_changed_alone():
    item = made()
    twin = item.copy()
    twin.versions[0], twin.values[0], twin.flags, twin.dead = (9, 9), b"d", 0, True
    assert (item.versions[0], item.values[0], item.flags, item.dead) == ((1, 0), X, RACY, False)
    assert twin.identity == item.identity and twin.oid == item.oid


def test_a_delete_changes_every_unit_and_keeps_the_values():
    item = made(RACY | IMPLIED)
    link = Link(b"t" * 16, (5, 0), [((1, 0), X), ((2, 1), MODE)])
    item.die((5, 0), link)
    assert item.dead and item.versions == [(5, 0), (5, 0)] and item.values == [X, MODE]
    assert item.stamp == b"" and item.flags == IMPLIED and item.link == link
    assert item.facts()[-1] is None


def test_a_revival_restamps_every_unit():
    item = made()
    item.die((5, 0), Link(b"t" * 16, (5, 0), []))
    item.live((6, 0), [b"d", b""])
    assert not item.dead and item.versions == [(6, 0), (6, 0)] and item.values == [b"d", b""] and item.link is None
    assert item.created == (1, 0)


def test_a_phantom_says_nothing():
    ghost = phantom(item_id("files", "d"), "d", 2)
    assert ghost.phantom() and ghost.dead and ghost.flags & IMPLIED
    assert ghost.versions == [NEVER, NEVER] and ghost.values == [b"", b""] and not made().phantom()


def test_links_are_equal_by_what_they_say():
    a = Link(b"t" * 16, (5, 0), [((1, 0), X)])
    assert a == Link(b"t" * 16, (5, 0), [((1, 0), X)]) and hash(a) == hash(Link(b"t" * 16, (9, 9), []))
    assert a != Link(b"t" * 16, (5, 0), []) and a != "link"


def test_the_change_that_tells_of_an_item():
    item = made()
    told = change_of(item)
    assert told == Change(item.id, 3, "a/b", False, (1, 0), [(1, 0), (2, 1)], [X, MODE], None)
    assert change_of(item, False).identity is None
    item.die((5, 0))
    assert change_of(item).dead and change_of(item).values is None and change_of(item) != told
    assert "a/b" in repr(told) and "live" in repr(told) and "dead" in repr(item)


def test_keys_are_mapped_everywhere_in_a_change():
    item = made()
    item.link = Link(b"s" * 16, (4, 1), [((1, 0), X), ((2, 1), MODE)])
    told = remap(change_of(item), [7, 8])
    assert told.created == (1, 7) and told.versions == [(1, 7), (2, 8)]
    assert told.link == Link(b"s" * 16, (4, 8), [((1, 7), X), ((2, 8), MODE)])
    assert item.versions == [(1, 0), (2, 1)] and item.link.base[0] == ((1, 0), X)
    try:
        remap(change_of(item), [7])
    except IndexError:
        return
    raise AssertionError("a key that the map does not hold was mapped")
