"""Words and data: where they go, how they are laid out, what a hostile name can do to a terminal (nothing)."""

import json

import pytest

from cradle_desktop.output import QUIET, VERBOSE, Output, columns, printable, size_text


def test_columns_are_aligned() -> None:
    assert columns([["a", "bb", "c"], ["dddd", "e"]]) == ["a     bb  c", "dddd  e"]
    assert columns([]) == []


def test_control_characters_are_shown_not_obeyed() -> None:
    assert printable("plain, äöü 日本") == "plain, äöü 日本"
    assert printable("a\x1b[2Jb\r\x07") == "a\\x1b[2Jb\\r\\x07"
    assert printable("two\nlines") == "two\\nlines"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (10**9, "1.0 GB"), (10**16, "10000.0 TB")]
)
def test_sizes(count: int, text: str) -> None:
    assert size_text(count) == text


def test_data_goes_to_stdout_and_words_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(VERBOSE)
    output.data("data")
    output.say("words")
    output.detail("more words")
    output.document({"not": "shown"})
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("data\n", "words\nmore words\n")


def test_json_is_all_there_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(json=True)
    output.data("left out")
    output.table([["left", "out"]])
    output.document({"schema": 1, "name": "häuschen"})
    assert json.loads(capsys.readouterr().out) == {"schema": 1, "name": "häuschen"}


def test_quiet_prints_errors_only(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(QUIET)
    output.data("data")
    output.say("words")
    output.fail("it failed")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "cradle: it failed\n")
