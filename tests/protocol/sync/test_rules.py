"""The rules that both ends share, by examples: known, taken, clash, unhashed. Keys: 0 ours, 1 theirs, 2 a third."""

from cradle_protocol.sync.change import Change, change_of
from cradle_protocol.sync.item import Item, Link, item_id, phantom
from cradle_protocol.sync.rules import CLASH, KNOWN, TAKE, UNHASHED, arrived, judge, news
from cradle_protocol.sync.values import file_value
from cradle_protocol.sync.version import (
    NEVER,
    covers,
    greater,
    is_desktop,
    join,
    knows,
    knows_all,
    new_replica_id,
    order,
)

REPLICAS = [b"m" * 16, b"z" * 16, b"a" * 16]
ID = item_id("files", "a.txt")
OLD, X, Y = (file_value(4, bytes([n]) * 32) for n in (1, 2, 3))
MODE, RUN = b"\x01\xa4", b"\x01\xed"


def local(versions=((3, 0), (3, 0)), values=(OLD, MODE), dead=False, created=(3, 0)):
    return Item(ID, 7, "a.txt", created, list(versions), list(values), b"stamp", 0, dead)


def change(versions, values=(X, MODE), dead=False, created=(3, 0), link=None):
    return Change(ID, 9, "a.txt", dead, created, list(versions), None if dead else list(values), link)


def verdict(incoming, item, mine, made):
    return judge(incoming, item, mine, made, REPLICAS)


def test_what_is_known_is_left_alone():
    assert verdict(change([(5, 1), (3, 0)]), local(), {0: 3, 1: 5}, {0: 3, 1: 5}) == (KNOWN, None)


def test_a_new_item_is_taken_as_it_comes():
    what, item = verdict(change([(5, 1), (6, 1)], created=(5, 1)), None, {0: 3}, {1: 6})
    assert what == TAKE and item.facts() == (ID, False, (5, 1), [(5, 1), (6, 1)], [X, MODE])
    assert item.oid == 0 and item.stamp == b"" and item.identity == "a.txt"


def test_metadata_of_an_implied_directory_arrive():
    ghost = phantom(ID, "a.txt", 2)
    ghost.oid, ghost.stamp = 4, b"s"
    what, item = verdict(change([(5, 1), (5, 1)]), ghost, {}, {1: 5})
    assert what == TAKE and (item.oid, item.stamp, item.flags, item.dead) == (4, b"s", ghost.flags, False)


def test_an_edit_of_what_the_sender_knew_is_taken():
    what, item = verdict(change([(5, 1), (3, 0)]), local(), {0: 3}, {0: 3, 1: 5})
    assert what == TAKE and item.versions == [(5, 1), (3, 0)] and item.values == [X, MODE]
    assert item.stamp == b"stamp" and item.oid == 7


def test_edits_of_different_units_are_no_clash():
    item = local([(3, 0), (4, 0)], (OLD, RUN))
    what, new = verdict(change([(5, 1), (3, 0)]), item, {0: 4}, {0: 3, 1: 5})
    assert what == TAKE and new.versions == [(5, 1), (4, 0)] and new.values == [X, RUN]
    assert item.values == [OLD, RUN]  # the local item is not touched


def test_edits_of_one_unit_clash():
    item = local([(4, 0), (3, 0)], (Y, MODE))
    assert verdict(change([(5, 1), (3, 0)]), item, {0: 4}, {0: 3, 1: 5}) == (CLASH, None)


def test_equal_edits_keep_the_greater_version():
    item = local([(9, 0), (3, 0)], (X, MODE), created=(2, 2))
    what, new = verdict(change([(5, 1), (3, 0)]), item, {0: 9}, {0: 3, 1: 5})
    assert what == TAKE and new.versions[0] == (9, 0) and new.values[0] == X
    item = local([(5, 0), (3, 0)], (X, MODE))
    what, new = verdict(change([(5, 1), (3, 0)], created=(4, 1)), item, {0: 9}, {0: 3, 1: 5})
    assert what == TAKE and new.versions[0] == (5, 1)  # "z" is above "m"
    assert new.created == (4, 1)


def test_two_stores_filled_apart_agree():
    """CE-01: equal files made on both sides under the same path."""
    item = local([(1, 0), (1, 0)], (X, MODE), created=(1, 0))
    theirs = change([(2, 1), (2, 1)], created=(2, 1))
    what, new = verdict(theirs, item, {0: 1}, {1: 2})
    assert what == TAKE and new.facts() == (ID, False, (2, 1), [(2, 1), (2, 1)], [X, MODE])
    back, _ = judge(
        change_of(new), Item(ID, 9, "a.txt", (2, 1), [(2, 1), (2, 1)], [X, MODE]), {1: 2}, {0: 1, 1: 2}, REPLICAS
    )
    assert back == KNOWN


def test_what_nobody_hashed_is_hashed_before_it_clashes():
    item = local([(1, 0), (1, 0)], (file_value(4), MODE))
    assert verdict(change([(2, 1), (2, 1)]), item, {0: 1}, {1: 2}) == (UNHASHED, None)
    assert verdict(change([(2, 1), (2, 1)], (X, RUN)), item, {0: 1}, {1: 2}) == (CLASH, None)
    item = local([(1, 0), (1, 0)], (file_value(5), MODE))
    assert verdict(change([(2, 1), (2, 1)]), item, {0: 1}, {1: 2}) == (CLASH, None)


def test_a_delete_of_what_the_sender_knew_is_taken():
    what, new = verdict(change([(5, 1), (5, 1)], dead=True), local(), {0: 3}, {0: 3, 1: 5})
    assert what == TAKE and new.dead and new.versions == [(5, 1), (5, 1)]
    assert new.values == [OLD, MODE] and new.oid == 7  # kept for a revival


def test_a_delete_against_an_edit_clashes_both_ways():
    edited = local([(4, 0), (3, 0)], (Y, MODE))
    assert verdict(change([(5, 1), (5, 1)], dead=True), edited, {0: 4}, {0: 3, 1: 5}) == (CLASH, None)
    tomb = local([(4, 0), (4, 0)], dead=True)
    assert verdict(change([(5, 1), (3, 0)]), tomb, {0: 4}, {0: 3, 1: 5}) == (CLASH, None)


def test_a_create_over_a_tombstone_that_the_sender_knew_is_taken():
    tomb = local([(4, 0), (4, 0)], dead=True)
    what, new = verdict(change([(5, 1), (5, 1)], created=(5, 1)), tomb, {0: 4}, {0: 4, 1: 5})
    assert what == TAKE and not new.dead and new.created == (5, 1)


def test_two_tombstones_keep_the_greater():
    tomb = local([(4, 0), (4, 0)], dead=True)
    assert verdict(change([(5, 1), (5, 1)], dead=True), tomb, {0: 4}, {1: 5})[0] == TAKE
    assert verdict(change([(3, 1), (3, 1)], dead=True), tomb, {0: 4}, {1: 5}) == (KNOWN, None)
    assert verdict(change([(4, 2), (4, 2)], dead=True), tomb, {0: 4}, {2: 5}) == (KNOWN, None)  # "a" is below "m"


def test_links_come_along():
    link = Link(b"t" * 16, (5, 1), [((3, 0), OLD), ((3, 0), MODE)])
    _, new = verdict(change([(5, 1), (5, 1)], dead=True, link=link), local(), {0: 3}, {0: 3, 1: 5})
    assert new.link == link
    source = Link(b"s" * 16, (2, 0), [])
    _, new = verdict(change([(5, 1), (3, 0)], link=source), local(), {0: 3}, {0: 3, 1: 5})
    assert new.link == source


def test_a_change_without_a_name_gets_the_local_one():
    incoming = change([(5, 1), (5, 1)])
    incoming.identity = None
    assert arrived(incoming, local()).identity == "a.txt" and arrived(incoming, None).identity == ""


def test_news():
    item = local([(3, 0), (4, 1)])
    assert news(item, {0: 3}) and news(item, {1: 4}) and not news(item, {0: 3, 1: 4})


# -- versions


def test_vectors():
    vector = {0: 3}
    assert knows(vector, (3, 0)) and not knows(vector, (4, 0)) and not knows(vector, (1, 1)) and knows({}, NEVER)
    assert knows_all(vector, [(1, 0), (3, 0)]) and not knows_all(vector, [(1, 0), (1, 1)])
    join(vector, {0: 2, 1: 5})
    assert vector == {0: 3, 1: 5} and covers(vector, {1: 5}) and not covers(vector, {1: 6}) and covers(vector, {})


def test_everybody_orders_versions_alike():
    assert order((1, 1), REPLICAS) < order((2, 2), REPLICAS) and order((2, 2), REPLICAS) < order((2, 0), REPLICAS)
    assert greater((2, 0), (2, 1), REPLICAS) == (2, 1) and greater((3, 2), (2, 1), REPLICAS) == (3, 2)


def test_replica_ids_say_whose_they_are():
    for first in range(256):
        random = bytes([first]) + b"r" * 15
        assert is_desktop(new_replica_id(random, True)) and not is_desktop(new_replica_id(random, False))
        assert new_replica_id(random, True)[1:] == random[1:]
