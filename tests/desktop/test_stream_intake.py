"""What a device may send as rows, and what no device may: numbers, gaps, times, JSON that is none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cradle_desktop.streams.intake import CLOCK_SET, UNREADABLE, Intake, decoded
from cradle_protocol.errors import RemoteError
from cradle_protocol.provider.rows import Batch
from cradle_protocol.wire.messages.stream import gap_element, mark_element, row_element

NOW, UNSET = 1764000000000, 946684800000


def intake(start: int = 0) -> Intake:
    return Intake(Batch(bytes(16), "porch", start), 0)


def test_numbers_gaps_and_times() -> None:
    found = intake(7)
    found.take(gap_element(7, 3) + mark_element(10, 4, (UNSET, NOW)) + row_element(UNSET + 250, b'{"a": 1}'))
    found.take(row_element(UNSET + 500, b"{}") + mark_element(12, 5, None) + row_element(UNSET, b"{}"))
    found.take(mark_element(13, 6, None) + row_element(NOW, b"{}"))
    assert found.batch.rows == [
        (10, UNSET + 250, NOW + 250, {"a": 1}), (11, UNSET + 500, NOW + 500, {}), (12, UNSET, None, {}),
        (13, NOW, NOW, {}),
    ]  # fmt: skip
    assert found.batch.gaps == [(7, 3)] and found.batch.end == 14 and found.batch.clocks == {4: (UNSET, NOW)}
    assert NOW > CLOCK_SET > UNSET


@pytest.mark.parametrize(
    "octets",
    [
        row_element(0, b"{}"),  # no number
        mark_element(1, 0, None) + row_element(0, b"{}"),  # a hole without a gap
        mark_element(0, 0, None) + row_element(0, b"{}") + mark_element(0, 0, None) + row_element(0, b"{}"),  # again
        gap_element(1, 5),
        b"\x07",
        row_element(0, b"{}")[:-1],
    ],
)
def test_what_no_device_may_send(octets: bytes) -> None:
    with pytest.raises(RemoteError):
        intake().take(octets)


def test_what_came_before_nonsense_counts() -> None:
    found = intake()
    with pytest.raises(RemoteError):
        found.take(mark_element(0, 0, None) + row_element(0, b"{}") + b"\xff")
    assert len(found.batch.rows) == 1 and found.batch.end == 1


@pytest.mark.parametrize(
    "data",
    [b"", b"[1]", b"nan", b'{"a": 1', b"\xff\xfe", b'{"a": ' + b"9" * 5000 + b"}", b'{"a":' + b"[" * 50_000],
)
def test_rows_that_are_none_become_text(data: bytes) -> None:
    assert list(decoded(data)) == [UNREADABLE]


def test_numbers_that_are_none_become_null() -> None:
    """However deep they are, and also where they are merely too large: no file of JSON Lines could be read any more."""
    assert decoded(b'{"a": [NaN, {"b": -Infinity}], "c": 1e999, "d": -1e999, "e": 1.5}') == {
        "a": [None, {"b": None}], "c": None, "d": None, "e": 1.5,
    }  # fmt: skip


def test_half_a_character() -> None:
    assert decoded(b'{"a": "\\ud83d", "\\ude00": "\\ud83d\\ude00"}') == {"a": "\ufffd", "\ufffd": "\U0001f600"}


FIELDS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.dictionaries(st.text(), FIELDS))
def test_rows_come_as_they_were(row: "dict[str, object]") -> None:
    assert decoded(json.dumps(row).encode()) == json.loads(
        json.dumps(row).encode("utf-16", "surrogatepass").decode("utf-16")
    )


@given(st.binary())
def test_any_bytes_are_refused_or_rows(octets: bytes) -> None:
    try:
        intake().take(octets)
    except RemoteError:
        pass
