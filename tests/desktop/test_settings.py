"""Settings: defaults where nothing is said, and one sentence for what cannot be meant."""

from pathlib import Path

import pytest

from cradle_desktop.metadata.interface import StateError
from cradle_desktop.settings import DAY, DELETE_DAYS, STORE_BYTES, STORE_DAYS, load
from cradle_desktop.sync.report import UNDO_FETCH


def settings(folder: Path, text: str) -> str:
    path = folder / "settings.toml"
    path.write_text(text)
    return str(path)


def test_nothing_said_means_the_defaults(tmp_path: Path) -> None:
    for path in (str(tmp_path / "none.toml"), settings(tmp_path, "")):
        found = load(path)
        assert (found.undo.size, found.undo.age) == (STORE_BYTES, STORE_DAYS * DAY)
        assert (found.conflicts.size, found.conflicts.age) == (STORE_BYTES, STORE_DAYS * DAY)
        assert (found.delete_age, found.undo_fetch) == (DELETE_DAYS * DAY, UNDO_FETCH)
        assert (found.collision, found.impossible) == ("rename", "skip")
    assert load(settings(tmp_path, "[deletes]\ndays = 7\n")).delete_age == 7 * DAY
    found = load(settings(tmp_path, "[names]\ncollision = 'skip'\nimpossible = 'rename'\n"))
    assert (found.collision, found.impossible) == ("skip", "rename")


@pytest.mark.parametrize(("size", "count"), [('"500 MB"', 500 * 10**6), ('"2GB"', 2 * 10**9), ("70", 70), ('"9 b"', 9)])
def test_sizes(tmp_path: Path, size: str, count: int) -> None:
    found = load(settings(tmp_path, f"[undo]\nsize = {size}\ndays = 0.5\n"))
    assert (found.undo.size, found.undo.age, found.conflicts.size) == (count, DAY / 2, STORE_BYTES)
    assert load(settings(tmp_path, f"[undo]\nfetch = {size}\n")).undo_fetch == count


@pytest.mark.parametrize(
    "text",
    ["[undo]\nsize = 'much'", "[undo]\nsize = -1", "[undo]\nsize = true", "[undo]\ndays = -1", "[undo]\ndays = nan",
     "[names]\ncollision = 'merge'", "[names]\nimpossible = true", "[names]\ncolour = 'skip'",
     "[undo]\nfetch = 'all'", "[conflicts]\nfetch = 1", "[deletes]\nsize = 1", "[deletes]\ndays = -2",
     "[undo]\ndays = '3'", "[undo]\ncolour = 1", "[other]\nsize = 1", "undo = 3", "no toml", "[undo]\nsize = '²'"],
)  # fmt: skip
def test_what_cannot_be_meant_is_a_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(StateError) as caught:
        load(settings(tmp_path, text))
    assert "settings.toml" in caught.value.text and "\n" not in caught.value.text
