"""The suite that every store passes that can keep what it displaces: inherit `KeepingContract`, say how to make one."""

from pathlib import Path

import pytest

from cradle_protocol.errors import CHANGED, UNREADABLE
from cradle_protocol.provider.keeping import KeepingStore
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.values import DIRECTORY
from cradle_testing.store_contract import Hand, must, put, status_of

NAME = "1f-0a"


def kept(store: KeepingStore, name: str = NAME) -> bytes:
    """Read what is kept."""
    reader, found, buffer = store.open_kept(name), b"", memoryview(bytearray(3))
    while n := reader.read_into(buffer):
        found += bytes(buffer[:n])
    reader.close()
    return found


class KeepingContract:
    """Inherit it, implement `make_keeping`."""

    def make_keeping(self, tmp_path: Path) -> "tuple[KeepingStore, Hand]":
        """An empty store and a hand that edits it behind its back."""
        raise NotImplementedError

    @pytest.fixture
    def both(self, tmp_path: Path) -> "tuple[KeepingStore, Hand]":
        return self.make_keeping(tmp_path)

    def test_what_is_overwritten_is_kept(self, both: "tuple[KeepingStore, Hand]") -> None:
        store, hand = both
        hand.write("a", b"old content")
        store.keep_next(NAME)
        put(store, "a", b"new", store.stamp("a"))
        store.sync()
        assert hand.read("a") == b"new" and store.kept() == [(NAME, 11)] and kept(store) == b"old content"
        assert store.staged() == [] and [identity for identity, _ in store.items()] == ["a"]

    def test_what_is_removed_is_kept_and_only_that(self, both: "tuple[KeepingStore, Hand]") -> None:
        store, hand = both
        hand.write("d/a", b"one")
        hand.write("d/b", b"two")
        store.keep_next(NAME)
        store.remove("d/a", must(store.stamp("d/a")))
        store.remove("d/b", must(store.stamp("d/b")))
        assert store.kept() == [(NAME, 3)] and kept(store) == b"one"

    def test_a_file_that_becomes_a_directory_is_kept(self, both: "tuple[KeepingStore, Hand]") -> None:
        store, hand = both
        hand.write("a", b"file")
        store.keep_next(NAME)
        store.install("a", None, [DIRECTORY, b""], store.stamp("a"))
        assert store.values(must(store.stamp("a")))[0] == DIRECTORY and kept(store) == b"file"

    def test_what_displaces_nothing_keeps_nothing(self, both: "tuple[KeepingStore, Hand]") -> None:
        store, hand = both
        hand.write("a", b"old")
        old = must(store.stamp("a"))
        hand.write("a", b"edited")
        for name in (NAME, ""):
            store.keep_next(name)
            with pytest.raises(StoreError) as caught:
                put(store, "a", b"new", old)
            assert status_of(caught) == CHANGED and hand.read("a") == b"edited" and store.kept() == []
        put(store, "b", b"new")
        put(store, "a", b"new", store.stamp("a"))
        assert store.kept() == []

    def test_what_is_staged_is_kept(self, both: "tuple[KeepingStore, Hand]") -> None:
        store, hand = both
        hand.write("a", b"as it is")
        store.stage_bytes("ab", b"from elsewhere")
        store.keep_staged("ab", NAME)
        store.sync()
        assert store.kept() == [(NAME, 14)] and kept(store) == b"from elsewhere" and store.staged() == []
        assert hand.read("a") == b"as it is"
        with pytest.raises(StoreError) as caught:
            store.keep_staged("ab", "2f")
        assert status_of(caught) == UNREADABLE and store.kept() == [(NAME, 14)]

    def test_it_is_let_go_when_nobody_wants_it(self, both: "tuple[KeepingStore, Hand]") -> None:
        store, hand = both
        hand.write("a", b"old")
        store.keep_next(NAME)
        store.remove("a", must(store.stamp("a")))
        store.close()
        assert kept(store) == b"old"
        store.drop_kept(NAME)
        store.drop_kept(NAME)
        assert store.kept() == []
        with pytest.raises(StoreError) as caught:
            store.open_kept(NAME)
        assert status_of(caught) == UNREADABLE
