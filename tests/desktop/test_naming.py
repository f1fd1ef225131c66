"""What names a store can hold, as it has declared: when two are one, why one cannot be, and which one can."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cradle_desktop.sync.naming import Names
from cradle_protocol.provider import paths
from cradle_protocol.wire import constants

CASELESS, FAT, COMPOSED = Names(paths.CASELESS), Names(paths.CASELESS | paths.FAT_NAMES), Names(paths.COMPOSED)
ANY = Names()
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=40)


def test_a_store_and_an_agent_say_it_in_the_same_bits() -> None:
    for name in ("CASELESS", "FAT_NAMES", "COMPOSED"):
        assert getattr(paths, name) == getattr(constants, name)


@pytest.mark.parametrize(
    ("names", "path", "key"),
    [
        (ANY, "Straße/Ä", "Straße/Ä"), (CASELESS, "Straße/Ä.txt", "STRAßE/Ä.TXT"), (CASELESS, "a/b", "A/B"),
        (COMPOSED, "e\u0301/A", "é/A"), (CASELESS, "e\u0301", "E\u0301"), (FAT.both(COMPOSED), "e\u0301", "É"),
    ],
)  # fmt: skip
def test_two_names_are_one_by(names: Names, path: str, key: str) -> None:
    assert names.key(path) == key


@pytest.mark.parametrize(
    ("names", "path", "why"),
    [
        (ANY, "a:b", ""), (FAT, "a:b", "a name has ':' in it"), (FAT, "d./x", "a name ends with a dot or a space"),
        (FAT, "a\x1f", "a name has '\\x1f' in it"), (COMPOSED, "é", ""),
        (COMPOSED, "e\u0301", "accents are not written in Unicode's composed form"),
        (Names(0, 10), "é" * 6, "a name is longer than 10 bytes"), (Names(0, 10), "é" * 5 + "/" + "a" * 10, ""),
        (Names(0, 255, 10), "a/b/c/d/e/f", "the path is longer than 10 bytes"),
        (ANY, "../up", "such a path is not allowed"), (ANY, "d/cradle~1", ""), (CASELESS, "a:b", ""),
        (CASELESS, "d/cradle~1", "a name may stand for cradle's own folder"),
        (CASELESS, "end.", "a name ends with a dot or a space"),
        (FAT, "CRADLE~1", "a name may stand for cradle's own folder"),
    ],
)  # fmt: skip
def test_why_a_path_cannot_be(names: Names, path: str, why: str) -> None:
    assert names.wrong(path) == why


@pytest.mark.parametrize(
    "name", ["CRADLE~1", "cradle~2.txt", ".Cradle. ", ".cradle", ".cradle-tmp-x", "end. .", "..", "x"]
)
@pytest.mark.parametrize("names", [FAT, CASELESS, FAT.both(COMPOSED)])
def test_what_a_disk_without_case_may_take_for_ours_gets_a_name_that_it_does_not(names: Names, name: str) -> None:
    legal = names.legal(name)
    assert names.wrong(legal) == "" and not paths.bad_path(legal, True) and names.legal(legal) == legal


@given(TEXT)
def test_a_legal_name_is_possible_and_stays(name: str) -> None:
    for names in (FAT, CASELESS, FAT.both(COMPOSED)):
        legal = names.legal(name)
        assert names.legal(legal) == legal
        assert names.wrong("x" + legal) in ("", "a name is longer than 255 bytes")
    if COMPOSED.wrong(name) == "":
        assert unicodedata.is_normalized("NFC", name)


@given(TEXT)
def test_equal_keys_stay_equal_and_keep_their_folders(name: str) -> None:
    names = FAT.both(COMPOSED)
    assert names.key(f"a/{name}").startswith("A/") and names.key(f"a/{name}").count("/") == 1
    assert names.key(unicodedata.normalize("NFD", name)) == names.key(unicodedata.normalize("NFC", name))
