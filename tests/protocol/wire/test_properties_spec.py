"""SPEC.md says what the code does: its tables, its limits and its example are made anew and compared. CPython only."""

import re

import pytest

from cradle_protocol.wire import constants as c
from cradle_protocol.wire import desktop_session, device_session, session
from cradle_protocol.wire.link import LinkMachine
from cradle_protocol.wire.link_desktop import DesktopLink
from cradle_protocol.wire.state import TABLE
from protocol.wire import spec_text, vectors
from protocol.wire.checks import FOLDER

SPEC = open(FOLDER + "../SPEC.md", encoding="utf-8").read()


@pytest.mark.parametrize("part", spec_text.PARTS, ids=lambda part: part.__name__)
def test_part_is_in_the_specification(part: "object") -> None:
    missing = [line for line in part() if line not in SPEC]  # type: ignore[operator]
    assert missing == []


def test_controls_are_those_of_the_specification() -> None:
    for name in ("RR", "RNR", "REJ", "SREJ", "SABME", "UA", "DISC", "DM", "UI"):
        assert re.search(rf"^{name} +0x{getattr(c, name):02X}\b", SPEC, re.MULTILINE), name


def test_kinds_are_unique_and_known() -> None:
    kinds = [cls.KIND for cls in vectors.MESSAGES]
    assert len(kinds) == len(set(kinds)) and max(kinds) < c.MORE
    assert set(device_session.REQUESTS) | set(session.NOTICES) <= {*kinds, c.APPLY}


def test_tables_name_methods() -> None:
    for cls in (desktop_session.DesktopSession, device_session.DeviceSession):
        assert all(callable(getattr(cls, method)) for method in cls.TABLE.values())
    for (desktop, _, _), (_, method) in TABLE.items():
        end = DesktopLink if desktop else LinkMachine
        assert hasattr(end, method) != (method in end.REASONS), method


def test_words_of_the_fingerprint() -> None:
    from cradle_protocol.wire.fingerprint import WORDS, word

    words = [word(number) for number in range(256)]
    assert len(set(words)) == 256 and "".join(words) == WORDS and all(w.isalpha() and w.islower() for w in words)
