"""Values of change units: what two of them can say about each other."""

from cradle_protocol.sync.values import (
    DIFFERENT,
    DIRECTORY,
    EQUAL,
    UNDECIDED,
    UNKNOWN,
    compare,
    digest_of,
    file_value,
    is_file,
    is_lazy,
    size_of,
    with_digest,
)

ONE, TWO = bytes(range(32)), bytes(32)


def test_a_file_value_says_size_and_digest():
    value = file_value(2**48 - 1, ONE)
    assert value == b"f" + b"\xff" * 6 + ONE
    assert is_file(value) and not is_lazy(value) and size_of(value) == 2**48 - 1 and digest_of(value) == ONE
    lazy = file_value(5)
    assert is_file(lazy) and is_lazy(lazy) and size_of(lazy) == 5 and digest_of(lazy) == b""
    assert with_digest(lazy, ONE) == file_value(5, ONE) and with_digest(file_value(5, TWO), ONE) == file_value(5, ONE)


def test_what_is_no_file():
    for value in (DIRECTORY, UNKNOWN, b"\x01\xa4", b"f", b"fghijk", b"x" * 39):
        assert not is_file(value) and not is_lazy(value) and size_of(value) == 0 and digest_of(value) == b""


def test_compare_is_certain_where_it_can_be():
    assert compare(file_value(5, ONE), file_value(5, ONE)) == EQUAL
    assert compare(file_value(5, ONE), file_value(5, TWO)) == DIFFERENT
    assert compare(file_value(5, ONE), file_value(6, ONE)) == DIFFERENT
    assert compare(file_value(5), file_value(6, ONE)) == DIFFERENT
    assert compare(file_value(5), DIRECTORY) == DIFFERENT and compare(DIRECTORY, DIRECTORY) == EQUAL
    assert compare(b"\x01\xa4", b"\x01\xa4") == EQUAL and compare(b"\x01\xa4", UNKNOWN) == DIFFERENT
    assert compare(UNKNOWN, UNKNOWN) == EQUAL


def test_compare_is_undecided_where_nobody_looked():
    for other in (file_value(5), file_value(5, ONE)):
        assert compare(file_value(5), other) == UNDECIDED and compare(other, file_value(5)) == UNDECIDED


def test_no_other_value_is_taken_for_an_unhashed_file():
    """Values of a provider's own making are complete, whatever they begin with."""
    assert compare(b"f12345", b"f123456") == DIFFERENT
    assert compare(b"card:1a", b"card:1a") == EQUAL and compare(b"card:1a", b"card:1b") == DIFFERENT
