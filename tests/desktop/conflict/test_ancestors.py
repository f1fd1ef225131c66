"""The common texts of a merge on disk: each content once, and gone when nothing names it any more."""

from pathlib import Path

import pytest

from cradle_desktop.conflict import ancestors as module
from cradle_desktop.conflict.ancestors import Ancestors
from cradle_desktop.metadata.database import Database
from cradle_protocol.sync.item import Item, item_id
from cradle_protocol.sync.knowledge import everything
from cradle_testing.stores import MemoryStore

OBJECTS = 40


class Kept:
    """Ancestors of one store, and the folder of their texts."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "cradle.db")
        self.folder, self.store = folder / "texts", MemoryStore()
        self.of = Ancestors(self.database, "pico", b"r" * 16, str(self.folder), limit=1000)

    def learn(self, **texts: bytes) -> None:
        """Both sides have these texts now."""
        items = []
        for path, text in texts.items():
            self.store.write(path, text)
            stamp = self.store.stamp(path)
            assert stamp is not None
            item = Item(item_id("files", path), 1, path, (1, 0), [(1, 0)] * 2, self.store.values(stamp), stamp)
            items.append((item, True))
        self.of.learn(self.store, items, everything({0: 1}))

    def texts(self) -> "list[bytes]":
        return sorted(path.read_bytes() for path in self.folder.iterdir())


def test_a_text_goes_when_nothing_names_it(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.learn(a=b"same", b=b"same", c=b"other")
    assert kept.texts() == [b"other", b"same"]
    kept.learn(a=b"edited")
    assert kept.texts() == [b"edited", b"other", b"same"], "b has it still"
    kept.learn(b=b"edited")
    assert kept.texts() == [b"edited", b"other"]
    kept.learn(c=b"\0no text")
    assert kept.texts() == [b"edited"] and kept.of.text(item_id("files", "c"), {}, {}) is None


def test_what_both_have_heard_of_since_may_be_a_later_common_text(tmp_path: Path) -> None:
    kept, a = Kept(tmp_path), item_id("files", "a")
    kept.learn(a=b"text")
    assert kept.of.text(a, {0: 2, 1: 7}, {0: 1, 2: 9}) == b"text", "each has edits that the other one has not"
    assert kept.of.text(a, {0: 2, 1: 7}, {0: 1, 1: 7}) is None
    assert kept.of.text(a, {0: 2}, {0: 2}) is None
    kept.of.learn(kept.store, [], everything({0: 2, 1: 7}))
    assert kept.of.text(a, {0: 2, 1: 7}, {0: 1, 1: 7}) == b"text"


def test_the_oldest_go_at_the_bound(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.learn(a=b"a" * 400, b=b"b" * 400)
    kept.learn(a=b"A" * 401)
    kept.learn(c=b"c" * 300)
    assert kept.texts() == [b"A" * 401, b"c" * 300]


def test_one_edit_reads_no_other_text_and_lists_no_folder(tmp_path: Path) -> None:
    """What is kept of the others is not looked through: a file that nobody names is still there afterwards."""
    kept = Kept(tmp_path)
    kept.learn(**{f"f{k}": b"%d" % k for k in range(OBJECTS)})
    (kept.folder / ("0" * 64)).write_bytes(b"of a process that died")
    statements: list[str] = []
    kept.database.connection.set_trace_callback(statements.append)
    kept.learn(f3=b"edited")
    assert not [text for text in statements if text == "SELECT DISTINCT digest FROM ancestor"]
    assert b"of a process that died" in kept.texts() and len(kept.texts()) == OBJECTS + 1


def test_a_long_batch_finds_what_a_process_that_died_has_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path)
    monkeypatch.setattr(module, "_BATCH", OBJECTS)
    kept.learn(a=b"a")
    (kept.folder / ("0" * 64)).write_bytes(b"of a process that died")
    kept.learn(**{f"f{k}": b"%d" % k for k in range(OBJECTS)})
    assert b"of a process that died" not in kept.texts() and len(kept.texts()) == OBJECTS + 1
