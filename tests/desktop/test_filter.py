"""The language of filters: text and back, patterns, sizes, ages, pins."""

import pytest

from cradle_desktop.sync.filter import LONGEST, Filter, FilterError, age

EVERY = Filter("ab" * 16, ["*.txt", "docs/"], ["*.log"], 1000, 3600, True, ["a b", "d/e"])


def test_text_and_back() -> None:
    odd = "form\x0cfeed, \x85, \u2028 and\rreturn"  # to Python each ends a line; to a filter only a line break does
    for one in (EVERY, Filter(), Filter(exclude=["a"]), Filter(on_demand=True), Filter(exclude=[odd], pins=[odd])):
        back = Filter.read(one.text())
        assert (back.owner, back.rules(), back.pins) == (one.owner, one.rules(), one.pins)


@pytest.mark.parametrize("text", [b"colour red\n", b"max-size much\n", b"\xff\xfe\n", b"\n"])
def test_what_cannot_be_read_is_refused(text: bytes) -> None:
    with pytest.raises(FilterError):
        Filter.read(text)


def test_a_filter_has_a_bound() -> None:
    with pytest.raises(FilterError, match="fewer patterns"):
        Filter(exclude=["x" * LONGEST]).text()
    with pytest.raises(FilterError, match="line break"):
        Filter(pins=["a\nb"]).text()


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (Filter(include=[""]), "--include '' matches nothing"),
        (Filter(include=["a", "# b"]), "--include '# b' matches nothing"),
        (Filter(exclude=["/"]), "--exclude '/' matches nothing"),
        (Filter(include=["!a"]), "--include '!a' takes back"),
        (Filter(exclude=["!a"]), "--exclude '!a' takes back"),
    ],
)
def test_patterns_that_say_nothing_are_refused(wanted: Filter, says: str) -> None:
    """An empty variable in a script after --include would keep everything out."""
    with pytest.raises(FilterError, match=says):
        wanted.check()
    Filter(include=["d/", "!d/b"], exclude=["*", "!*.txt"]).check()


@pytest.mark.parametrize(
    ("wanted", "yes", "no"),
    [
        (Filter(), ["a", "d/", "d/a"], []),
        (Filter(exclude=["*.jpg"]), ["a", "d/"], ["a.jpg", "d/a.jpg"]),
        (Filter(exclude=["/raw/"]), ["raw", "d/raw/", "d/raw/x"], ["raw/", "raw/x", "raw/d/x"]),
        (Filter(exclude=["d/*", "!d/keep"]), ["d/", "d/keep"], ["d/a"]),
        (Filter(include=["*.txt"]), ["a.txt", "d/a.txt"], ["a", "d/"]),
        (Filter(include=["docs/"]), ["docs/", "docs/a", "x/docs/a"], ["a", "docs"]),
        (Filter(include=["docs/"], exclude=["*.tmp"]), ["docs/a"], ["docs/a.tmp", "b"]),
        (Filter(on_demand=True, pins=["d/e"]), ["d/e", "d/e/", "d/e/f"], ["d/", "d/ef", "a"]),
        (Filter(exclude=["*"], pins=["a"]), ["a", "a/b"], ["b"]),
    ],
)
def test_paths(wanted: Filter, yes: list[str], no: list[str]) -> None:
    for names, expected in ((yes, True), (no, False)):
        for name in names:
            assert wanted.wants_path(name.rstrip("/"), name.endswith("/")) is expected, name


def test_size_and_age() -> None:
    wanted = Filter(max_size=10, newer_than=60, pins=["pinned"])
    assert wanted.wants("a", False, 10, 60) and wanted.wants("a", False, 0, -1)
    assert not wanted.wants("a", False, 11, 0) and not wanted.wants("a", False, 0, 61)
    assert wanted.wants("pinned", False, 11, 61) and wanted.wants("d", True, 0, -1)


def test_ages_of_the_command_line() -> None:
    assert [age(text) for text in ("90d", "12h", "2w", "5m", "7S")] == [7776000, 43200, 1209600, 300, 7]
    for text in ("90", "d", "-1d", "1.5d", "1 y", ""):
        with pytest.raises(ValueError, match=r"^|\d"):
            age(text)
