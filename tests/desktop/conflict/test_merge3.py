"""Three-way merge: both edits are in it, or there is none; which side is which does not matter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cradle_desktop.conflict.merge3 import MERGE_BYTES, MERGE_LINES, merge

LINES = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"\n"]), max_size=12)


def text(words: str) -> bytes:
    return "".join(word + "\n" for word in words.split()).encode()


@pytest.mark.parametrize(
    ("base", "one", "two", "want"),
    [
        ("a b c d e", "A b c d e", "a b c d E", "A b c d E"),
        ("a b c d e", "a c d e", "a b c d e f", "a c d e f"),
        ("a b c", "a b c", "a X c", "a X c"),
        ("a b c", "a X c", "a X c", "a X c"),
        ("a b c d", "a X c d", "a X c D", "a X c D"),
        ("a b c", "a X c", "a Y c", None),
        ("a b c", "a c", "a B c", None),
        ("a b", "a X b", "a Y b", None),
        ("a b c", "A b c", "a B c", None),  # touching lines: a person should look
        ("", "x", "", "x"),
        ("", "x", "y", None),
        ("a", "", "a", ""),
    ],
)
def test_what_becomes_of_two_edits(base: str, one: str, two: str, want: "str | None") -> None:
    expected = None if want is None else text(want)
    assert merge(text(base), text(one), text(two)) == expected
    assert merge(text(base), text(two), text(one)) == expected


def test_ends_of_lines_and_the_last_line_are_kept() -> None:
    assert merge(b"a\r\nb\r\nc", b"A\r\nb\r\nc", b"a\r\nb\r\nC") == b"A\r\nb\r\nC"
    assert merge(b"a\nb\nc\n", b"a\nb\nc", b"A\nb\nc\n") == b"A\nb\nc"


def test_what_is_no_short_text_is_not_merged() -> None:
    assert merge(b"a\0", b"b", b"a\0") is None and merge(b"a", b"\xff", b"a") is None
    assert merge(b"", b"a" * (MERGE_BYTES + 1), b"") is None
    assert merge(b"", b"a\n" * (MERGE_LINES + 1), b"") is None


@given(LINES, LINES, LINES)
def test_the_sides_may_be_swapped_and_one_edit_alone_is_taken(
    base: "list[bytes]", one: "list[bytes]", two: "list[bytes]"
) -> None:
    old, a, b = (b"".join(lines) for lines in (base, one, two))
    assert merge(old, a, b) == merge(old, b, a)
    assert merge(old, a, old) == a and merge(old, old, b) == b and merge(old, a, a) == a


@given(LINES, LINES, LINES, LINES)
def test_edits_that_lie_apart_are_both_in_it(
    head: "list[bytes]", tail: "list[bytes]", first: "list[bytes]", last: "list[bytes]"
) -> None:
    middle = [b"%d unlike the others\n" % k for k in range(5)]
    old, a, b = head + middle + tail, first + middle + tail, head + middle + last
    assert merge(b"".join(old), b"".join(a), b"".join(b)) == b"".join(first + middle + last)
