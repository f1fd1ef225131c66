"""Knowledge by examples, on both interpreters: ranges, exceptions, bounds, bytes. Properties are in a file beside."""

from cradle_protocol.errors import BAD_MESSAGE, LIMIT, RemoteError
from cradle_protocol.sync.knowledge import MAX_ENTRIES, MAX_EXCEPTIONS, MAX_RANGES, Knowledge, after, everything
from cradle_protocol.sync.version import HIGHEST, LOWEST, NEVER

A, B, C, D = (bytes([n]) * 16 for n in (0x11, 0x22, 0x33, 0x44))


def test_the_id_that_follows():
    assert after(LOWEST) == b"\0" * 15 + b"\1"
    assert after(b"\0" * 14 + b"\x05\xff") == b"\0" * 14 + b"\x06\0"
    assert after(b"\x7f" + b"\xff" * 15) == b"\x80" + b"\0" * 15
    assert after(HIGHEST) is None


def test_nothing_is_known_at_first_but_what_nobody_made():
    mine = Knowledge()
    assert not mine.knows(A, (1, 0)) and mine.knows(A, NEVER)
    assert mine.contains(Knowledge()) and mine == Knowledge()


def test_own_changes_are_known_everywhere():
    mine = Knowledge()
    mine.learn(A, B, everything({1: 5}))
    mine.learn_item(C, {2: 3})
    mine.raise_own(0, 7)
    for item_id in (LOWEST, A, B, C, D, HIGHEST):
        assert mine.knows(item_id, (7, 0)) and not mine.knows(item_id, (8, 0))
    mine.raise_own(0, 3)
    assert mine.knows(A, (7, 0))


def test_a_range_is_learned_with_both_its_ends():
    mine = Knowledge()
    mine.learn(A, C, everything({1: 5}))
    assert [mine.knows(i, (5, 1)) for i in (LOWEST, A, B, C, after(C), D)] == [False, True, True, True, False, False]
    mine.learn(LOWEST, HIGHEST, everything({1: 5}))
    assert len(mine.lowers) == 1 and mine == everything({1: 5})


def test_ranges_that_say_the_same_become_one():
    mine = Knowledge()
    lower = LOWEST
    for upper in (A, B, C, HIGHEST):
        mine.learn(lower, upper, everything({1: 9, 2: 1}))
        assert len(mine.lowers) == (1 if upper == HIGHEST else 2)
        lower = after(upper)


def test_what_was_skipped_stays_as_it_was():
    mine = everything({1: 2})
    mine.learn(LOWEST, HIGHEST, everything({1: 9}), [B])
    assert mine.vector(B) == {1: 2} and mine.vector(A) == {1: 9}
    mine.learn(LOWEST, HIGHEST, everything({1: 9}))
    assert mine.vector(B) == {1: 9} and not mine.exceptions


def test_exceptions_of_the_other_side_are_learned_as_such():
    theirs = everything({1: 9})
    theirs.forget_item(B)
    theirs.learn_item(C, {2: 4})
    mine = everything({1: 3})
    mine.learn(A, HIGHEST, theirs)
    assert mine.vector(B) == {1: 3} and mine.vector(C) == {1: 9, 2: 4} and mine.vector(D) == {1: 9}
    assert mine.vector(LOWEST) == {1: 3}


def test_an_exception_never_hides_what_the_range_learns():
    mine = Knowledge()
    mine.learn_item(B, {2: 4})
    mine.learn(LOWEST, HIGHEST, everything({1: 9}))
    assert mine.vector(B) == {1: 9, 2: 4}


def test_one_item_learned_as_a_range_makes_no_ranges():
    mine = everything({1: 2})
    assert mine.learn(B, B, everything({1: 9}))
    assert len(mine.lowers) == 1 and mine.vector(B) == {1: 9} and mine.vector(after(B)) == {1: 2}
    assert mine.learn(C, C, everything({1: 9}), [C]) and mine.vector(C) == {1: 2}


def test_at_the_bound_a_range_is_not_learned_at_all():
    mine = Knowledge(2)
    assert not mine.learn(LOWEST, HIGHEST, everything({1: 9}), [A, B, C])
    assert mine == Knowledge() and not mine.exceptions
    assert mine.learn(LOWEST, HIGHEST, everything({1: 9}), [A, B])
    assert mine.knows(C, (9, 1)) and not mine.knows(A, (1, 1))


def test_at_the_bound_an_item_is_not_learned():
    mine = Knowledge(1)
    assert mine.learn_item(A, {1: 1})
    assert not mine.learn_item(B, {1: 1}) and mine.vector(B) == {}
    assert mine.learn_item(A, {1: 2}) and mine.vector(A) == {1: 2}
    assert mine.learn_item(B, {}) and len(mine.exceptions) == 1


def test_at_the_bound_forgetting_an_item_forgets_its_range():
    mine = Knowledge(1)
    mine.learn(LOWEST, B, everything({1: 9}))
    mine.learn(after(B), HIGHEST, everything({1: 7}))
    mine.forget_item(A)
    mine.forget_item(C)
    assert len(mine.exceptions) <= 1
    assert not mine.knows(A, (1, 1)) and not mine.knows(C, (1, 1)) and not mine.knows(D, (1, 1))
    assert mine.knows(B, (9, 1))


def test_contains_looks_at_every_range_and_exception():
    mine = everything({1: 5, 2: 5})
    assert (
        mine.contains(everything({1: 5}))
        and not mine.contains(everything({1: 6}))
        and not mine.contains(everything({3: 1}))
    )
    theirs = Knowledge()
    theirs.learn_item(B, {1: 6})
    assert not mine.contains(theirs)
    mine.forget_item(C)
    assert not mine.contains(everything({1: 1})) and mine.contains(Knowledge())


def test_lowest_is_what_is_held_everywhere():
    mine = everything({1: 5, 2: 5})
    mine.learn(A, B, everything({1: 9}))
    assert mine.lowest() == {1: 5, 2: 5}
    mine.learn_item(C, {3: 1})
    assert mine.lowest() == {1: 5, 2: 5}
    mine.forget_item(D)
    assert mine.lowest() == {}


def test_a_copy_shares_nothing():
    mine = everything({1: 5})
    mine.learn_item(B, {2: 1})
    twin = mine.copy()
    twin.raise_own(1, 9)
    twin.learn_item(B, {2: 7})
    twin.learn(A, C, everything({4: 4}))
    assert mine.vector(A) == {1: 5} and mine.vector(B) == {1: 5, 2: 1}


def full():
    made = everything({0: 0xFFFFFFFF, 3: 1})
    made.learn(A, C, everything({7: 2}))
    made.forget_item(B)
    made.learn_item(HIGHEST, {2: 9})
    return made


def test_bytes_and_back():
    for made in (Knowledge(), everything({1: 5}), full()):
        assert Knowledge.from_bytes(made.to_bytes()) == made
        assert Knowledge.from_bytes(bytearray(made.to_bytes())).to_bytes() == made.to_bytes()
    assert Knowledge().to_bytes() == b"\x00\x01" + LOWEST + b"\x00" + b"\x00\x00"
    assert everything({2: 1, 0: 3}).to_bytes() == (
        b"\x00\x01" + LOWEST + b"\x02" + b"\x00\x00\x00\x00\x00\x03" + b"\x00\x02\x00\x00\x00\x01" + b"\x00\x00"
    )


def test_keys_are_mapped_both_ways():
    mine = everything({0: 5, 1: 6, 2: 7})
    sent = mine.to_bytes({0: 2, 1: 0})
    assert Knowledge.from_bytes(sent).vector(A) == {2: 5, 0: 6}
    assert Knowledge.from_bytes(sent, [1, 9, 0]).vector(A) == {0: 5, 1: 6}


def test_more_replicas_than_a_count_can_say_are_understated():
    mine = everything({key: key + 1 for key in range(300)})
    back = Knowledge.from_bytes(mine.to_bytes())
    assert len(back.vector(A)) == MAX_ENTRIES and back.vector(A)[0] == 1 and mine.contains(back)


def test_exceptions_beyond_the_readers_limit_are_understated():
    mine = everything({1: 9})
    for n, item_id in enumerate((A, B, C, D)):
        mine.learn_item(item_id, {2: n + 1})
    mine.forget_item(C)
    back = Knowledge.from_bytes(mine.to_bytes(), None, 1)
    assert len(back.exceptions) <= 1 and mine.contains(back) and not back.knows(C, (1, 1))
    assert back.limit == 1


def malformed(data, status=BAD_MESSAGE, keys=None):
    try:
        Knowledge.from_bytes(data, keys)
    except RemoteError as error:
        assert error.code == status, (data, error.code)
        return
    raise AssertionError("taken for knowledge: " + repr(data[:60]))


def test_malformed_bytes_are_the_peers_fault():
    good = full().to_bytes()
    for size in range(len(good)):
        malformed(good[:size])
    malformed(good + b"\0")
    none = b"\x00\x00"
    one, other = LOWEST + b"\x00", A + b"\x00"
    malformed(none + none)
    malformed(b"\x00\x01" + other + none)
    malformed(b"\x00\x02" + one + one + none)
    malformed(b"\x00\x03" + one + B + b"\x00" + other + none)
    malformed(b"\x00\x01" + one + b"\x00\x02" + other + other)
    malformed(b"\x00\x01" + LOWEST + b"\x02" + b"\x00\x01\x00\x00\x00\x01" * 2 + none)
    malformed(everything({4: 1}).to_bytes(), BAD_MESSAGE, [0, 1, 2])


def test_counts_beyond_the_limits_are_refused_before_they_are_believed():
    malformed(bytes([(MAX_RANGES + 1) >> 8, (MAX_RANGES + 1) & 255]), LIMIT)
    many = MAX_EXCEPTIONS + 1
    malformed(b"\x00\x01" + LOWEST + b"\x00" + bytes([many >> 8, many & 255]), LIMIT)


def test_it_says_what_it_holds():
    assert "Knowledge(" in repr(full())
    try:
        hash(Knowledge())
    except TypeError:
        return
    raise AssertionError("mutable knowledge has a hash")
