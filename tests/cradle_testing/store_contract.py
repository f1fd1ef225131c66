"""The suite that every store of files passes: inherit `ObjectStoreContract` and say how to make one.

The store is edited behind its back by a *hand* (`MemoryStore` itself, or `FolderHand` on a real folder). What a store
cannot hold (modes, names that differ in case) it says itself, and the suite expects no more.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cradle_protocol.errors import BAD_NAME, CHANGED, NO_PARENT, UNREADABLE
from cradle_protocol.provider.store import ObjectStore, StoreError
from cradle_protocol.sync.values import DIRECTORY, file_value, is_file, is_lazy, size_of
from cradle_testing.folder_hand import FolderHand
from cradle_testing.stores import MemoryStore

Hand = MemoryStore | FolderHand
MODE = (0o640).to_bytes(2, "big")
BAD_PATHS = (
    "", "/", "/etc/passwd", "../up", "a/../../up", "a//b", "a/", "./a", "a/.", "nul\x00l", ".cradle", ".cradle/store",
    ".CRADLE/store", "a/.cradle/x", ".cradle-tmp-1", "x" * 256, "d/" + "é" * 128, "half\ud800", "/".join(["ab"] * 2000),
)  # fmt: skip
AWKWARD = (
    ".hidden", "-rf", "~", "a b", " lead", "trail ", "new\nline", "tab\t", "back\\slash", "quote'\"", "*?[x]", "$(x)",
    "x" * 255, "é" * 127, "e.", "...", "日本語", "😀.txt", "%2e%2e", "con", "a:b", "cradle", ".cradlex",
)  # fmt: skip


def status_of(error: "pytest.ExceptionInfo[StoreError]") -> int:
    """The status that was raised."""
    return error.value.status


def stage(store: ObjectStore, data: bytes, name: str = "00-1") -> str:
    """Stage some content."""
    writer = store.stage(name)
    writer.write(data)
    writer.close()
    return name


def put(store: ObjectStore, identity: str, data: bytes, expected: "bytes | None" = None, mode: bytes = b"") -> bytes:
    """Install a file."""
    return store.install(identity, stage(store, data), [file_value(len(data)), mode], expected)


def must(stamp: "bytes | None") -> bytes:
    """A stamp that has to be there."""
    assert stamp is not None
    return stamp


def read(store: ObjectStore, identity: str, offset: int = 0, piece: int = 3) -> bytes:
    """Read through the store, in small pieces."""
    reader, found, buffer = store.open(identity, offset), b"", memoryview(bytearray(piece))
    while n := reader.read_into(buffer):
        found += bytes(buffer[:n])
    reader.close()
    reader.close()
    return found


class ObjectStoreContract:
    """Inherit, override `make`. `awkward`: names that a name like these may be on this store."""

    awkward: "tuple[str, ...]" = AWKWARD

    def make(self, tmp_path: Path) -> "tuple[ObjectStore, Hand]":
        """An empty store and a hand that edits it."""
        raise NotImplementedError

    @pytest.fixture
    def pair(self, tmp_path: Path) -> "Iterator[tuple[ObjectStore, Hand]]":
        store, hand = self.make(tmp_path)
        yield store, hand
        store.close()

    @pytest.fixture
    def store(self, pair: "tuple[ObjectStore, Hand]") -> ObjectStore:
        return pair[0]

    @pytest.fixture
    def hand(self, pair: "tuple[ObjectStore, Hand]") -> Hand:
        return pair[1]

    # -- looking

    def test_an_empty_store_has_an_id_and_nothing_else(self, store: ObjectStore) -> None:
        assert len(store.store_id()) == 16 and store.store_id() == store.store_id()
        assert list(store.items()) == [] and store.skipped == [] and store.staged() == []

    def test_a_scan_meets_everything_once_directories_first(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("a/b/c.txt", b"hello")
        hand.write("z", b"")
        hand.mkdir("empty")
        found = [identity for identity, _ in store.items()]
        assert sorted(found) == ["a", "a/b", "a/b/c.txt", "empty", "z"]
        assert found.index("a") < found.index("a/b") < found.index("a/b/c.txt")

    def test_a_scan_says_what_stamp_says(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("a/b", b"hello")
        assert dict(store.items()) == {i: store.stamp(i) for i in ("a", "a/b")}
        assert store.stamp("a/c") is None and store.stamp("no/such") is None and store.stamp("a/b/c") is None

    def test_values_of_a_stamp(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("f", b"hello", 0o640)
        hand.mkdir("d", 0o750)
        content, mode = store.values(must(store.stamp("f")))
        assert is_file(content) and is_lazy(content) and size_of(content) == 5
        assert mode == (MODE if store.holds(1) else b"")
        assert store.values(must(store.stamp("d"))) == [DIRECTORY, (0o750).to_bytes(2, "big") if mode else b""]
        assert store.holds(0)

    def test_an_edit_changes_the_stamp_and_rest_keeps_it(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("f", b"hello")
        before = store.stamp("f")
        assert store.stamp("f") == before
        hand.write("f", b"hello!")
        assert store.stamp("f") != before

    def test_a_directory_is_not_changed_by_its_children(self, store: ObjectStore, hand: Hand) -> None:
        hand.mkdir("d")
        before = store.stamp("d")
        hand.write("d/f", b"x")
        assert store.stamp("d") == before

    def test_a_young_stamp_is_racy_and_an_old_one_is_not(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("f", b"x")
        hand.mkdir("d")
        list(store.items())
        assert store.racy(must(store.stamp("f"))) and not store.racy(must(store.stamp("d")))
        hand.advance(5)
        list(store.items())
        assert not store.racy(must(store.stamp("f")))
        hand.advance(-3600)
        list(store.items())
        assert store.racy(must(store.stamp("f"))), "a time in the future proves nothing"

    def test_contents_grow_old(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("old", b"x")
        hand.advance(100)
        hand.write("f", b"x")
        old, young = (store.age(must(store.stamp(name))) for name in ("old", "f"))
        assert isinstance(hand, FolderHand) or (young, old) == (0, 100)
        assert old >= 0 and young <= old
        hand.advance(50)
        assert 49 <= store.age(must(store.stamp("old"))) - old <= 60

    def test_a_renamed_object_is_the_same(self, store: ObjectStore, hand: Hand) -> None:
        if not store.moves_by_identity:
            return
        hand.write("d/f", b"x")
        old = must(store.stamp("d/f"))
        hand.rename("d", "e")
        assert store.object_key(old) == store.object_key(must(store.stamp("e/f")))
        hand.write("other", b"x")
        assert store.object_key(old) != store.object_key(must(store.stamp("other")))
        hand.advance(1)
        hand.write("e/f", b"longer")
        assert store.object_key(old) != store.object_key(must(store.stamp("e/f")))

    def test_content(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("f", b"0123456789")
        assert read(store, "f") == b"0123456789" and read(store, "f", 7) == b"789" and read(store, "f", 10) == b""
        assert store.digest("f") == hashlib.sha256(b"0123456789").digest()
        hand.write("empty", b"")
        assert read(store, "empty") == b"" and store.digest("empty") == hashlib.sha256().digest()

    def test_what_is_no_file_cannot_be_read(self, store: ObjectStore, hand: Hand) -> None:
        hand.mkdir("d")
        for identity in ("d", "none", "d/none"):
            with pytest.raises(StoreError) as error:
                store.digest(identity)
            assert status_of(error) == UNREADABLE
            with pytest.raises(StoreError):
                store.open(identity)

    # -- paths

    @pytest.mark.parametrize("path", BAD_PATHS, ids=ascii)
    def test_bad_paths_are_refused_everywhere(self, store: ObjectStore, hand: Hand, path: str) -> None:
        hand.write("a/b", b"x")
        stamp = must(store.stamp("a/b"))
        value = [file_value(1), b""]
        stage(store, b"x")
        acts: tuple[Callable[[], object], ...] = (
            lambda: store.stamp(path),
            lambda: store.install(path, "00-1", value, None),
            lambda: store.install(path, None, [DIRECTORY, b""], None),
            lambda: store.install(path, "00-1", value, stamp),
        )
        for act in acts:
            with pytest.raises(StoreError) as error:
                act()
            assert status_of(error) == BAD_NAME
        with pytest.raises(StoreError):
            store.open(path)
        with pytest.raises(StoreError):
            store.remove(path, stamp)
        with pytest.raises(StoreError):
            store.digest(path)
        assert {i for i, _ in store.items()} == {"a", "a/b"}

    def test_awkward_names(self, store: ObjectStore, hand: Hand) -> None:
        for name in self.awkward:
            put(store, name, name.encode())
            put(store, "dir/" + name, b"below")
            assert hand.read(name) == name.encode() and read(store, name) == name.encode()
        found = dict(store.items())
        assert set(found) == {*self.awkward, "dir", *("dir/" + name for name in self.awkward)}
        assert store.skipped == []
        for name in self.awkward:
            store.remove("dir/" + name, found["dir/" + name])
        assert store.prune("dir")

    def test_case_twins(self, store: ObjectStore) -> None:
        put(store, "readme", b"small")
        try:
            put(store, "README", b"large")
        except StoreError:
            assert read(store, "readme") == b"small" and store.stamp("README") is None
            return
        assert (read(store, "readme"), read(store, "README")) == (b"small", b"large")

    # -- staging

    def test_staging_grows_and_is_not_shown(self, store: ObjectStore) -> None:
        writer = store.stage("ab-1")
        writer.write(b"one")
        writer.flush()
        writer.close()
        writer.close()
        writer = store.stage("ab-1", append=True)
        writer.write(memoryview(b"two"))
        writer.close()
        assert store.staged() == [("ab-1", 6)] and list(store.items()) == []
        assert store.staged_digest("ab-1") == hashlib.sha256(b"onetwo").digest()
        reader, buffer = store.open_staged("ab-1"), memoryview(bytearray(9))
        assert reader.read_into(buffer) == 6 and bytes(buffer[:6]) == b"onetwo"
        reader.close()
        stage(store, b"x", "ab-1")
        assert store.staged() == [("ab-1", 1)]
        store.stage_bytes("ab-2", b"yy")
        assert store.staged() == [("ab-1", 1), ("ab-2", 2)]
        store.unstage("ab-1")
        store.unstage("ab-1")
        assert store.staged() == [("ab-2", 2)]

    def test_a_copy_of_what_is_here_is_staged(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("d/f", b"content" * 1000)
        store.stage_copy("d/f", "c0")
        assert store.staged_digest("c0") == hashlib.sha256(b"content" * 1000).digest()
        with pytest.raises(StoreError) as error:
            store.stage_copy("d/none", "c1")
        assert status_of(error) == UNREADABLE
        assert hand.read("d/f") == b"content" * 1000

    def test_nothing_is_staged_under_that_name(self, store: ObjectStore) -> None:
        with pytest.raises(StoreError):
            store.staged_digest("99")
        with pytest.raises(StoreError):
            store.open_staged("99")
        with pytest.raises(StoreError):
            store.install("new/deep/f", "99", [file_value(1), b""], None)
        assert list(store.items()) == []

    # -- installing

    def test_create(self, store: ObjectStore, hand: Hand) -> None:
        stamp = put(store, "a/b/new", b"content", mode=MODE)
        assert hand.read("a/b/new") == b"content" and store.staged() == []
        assert store.stamp("a/b/new") == stamp
        assert store.values(stamp)[1] in (MODE, b"")
        if store.holds(1):
            assert hand.mode("a/b/new") == 0o640

    def test_create_leaves_what_is_there(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("f", b"theirs")
        with pytest.raises(StoreError) as error:
            put(store, "f", b"ours")
        assert status_of(error) == CHANGED
        assert hand.read("f") == b"theirs" and store.staged() == [("00-1", 4)], "what failed is still staged"

    def test_replace(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("f", b"old", 0o600)
        stamp = put(store, "f", b"new content", store.stamp("f"))
        assert hand.read("f") == b"new content" and store.stamp("f") == stamp and store.staged() == []
        if store.holds(1):
            assert hand.mode("f") == 0o600, "a mode that nobody knows stays"
        assert {i for i, _ in store.items()} == {"f"}

    def test_replace_leaves_an_edit(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("f", b"old")
        expected = store.stamp("f")
        hand.write("f", b"their edit")
        with pytest.raises(StoreError) as error:
            put(store, "f", b"ours", expected)
        assert status_of(error) == CHANGED and hand.read("f") == b"their edit"

    def test_replace_of_what_is_gone(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("d/f", b"old")
        expected = store.stamp("d/f")
        hand.delete("d")
        with pytest.raises(StoreError) as error:
            put(store, "d/f", b"ours", expected)
        assert status_of(error) == CHANGED and store.staged() == [("00-1", 4)]
        assert list(store.items()) == []

    def test_only_the_mode_changes(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("f", b"content", 0o644)
        expected = must(store.stamp("f"))
        values = [file_value(7), MODE]
        stamp = store.install("f", None, values, expected, content=False)
        assert hand.read("f") == b"content" and store.stamp("f") == stamp
        if store.holds(1):
            assert hand.mode("f") == 0o640
            with pytest.raises(StoreError) as error:
                store.install("f", None, values, expected, content=False)
            assert status_of(error) == CHANGED

    def test_directories(self, store: ObjectStore, hand: Hand) -> None:
        stamp = store.install("d/e", None, [DIRECTORY, (0o750).to_bytes(2, "big")], None)
        assert store.stamp("d/e") == stamp and store.values(stamp)[0] == DIRECTORY
        again = store.install("d/e", None, [DIRECTORY, (0o755).to_bytes(2, "big")], None)
        if store.holds(1):
            assert hand.mode("d/e") == 0o755
        store.install("d/e", None, [DIRECTORY, b""], again)
        hand.write("f", b"x")
        with pytest.raises(StoreError) as error:
            store.install("f", None, [DIRECTORY, b""], None)
        assert status_of(error) == CHANGED and hand.read("f") == b"x"

    def test_missing_parents(self, store: ObjectStore, hand: Hand) -> None:
        hand.mkdir("a")
        assert store.missing_parents("a/b/c/d") == ["a/b", "a/b/c"]
        assert store.missing_parents("a/b") == [] and store.missing_parents("f") == []
        put(store, "a/b/c/d", b"")
        assert store.missing_parents("a/b/c/d") == []

    def test_a_file_is_in_the_way(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("a/f", b"x")
        with pytest.raises(StoreError) as error:
            put(store, "a/f/deep/er", b"y")
        assert status_of(error) == NO_PARENT and hand.read("a/f") == b"x"
        assert {i for i, _ in store.items()} == {"a", "a/f"}

    def test_a_file_becomes_a_directory_and_back(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("x", b"file")
        stamp = store.install("x", None, [DIRECTORY, b""], store.stamp("x"))
        assert store.values(stamp)[0] == DIRECTORY == store.values(must(store.stamp("x")))[0]
        put(store, "x/child", b"c")
        with pytest.raises(StoreError) as error:
            put(store, "x", b"file again", stamp)
        assert status_of(error) == CHANGED and hand.read("x/child") == b"c"
        store.remove("x/child", must(store.stamp("x/child")))
        put(store, "x", b"file again", stamp)
        assert hand.read("x") == b"file again" and {i for i, _ in store.items()} == {"x"}

    def test_a_swap_of_names(self, store: ObjectStore, hand: Hand) -> None:
        """CE-05 at a store: each takes the other's content, which is staged from what is here."""
        hand.write("a", b"was a")
        hand.write("b", b"was b!")
        store.stage_copy("b", "0a")
        store.stage_copy("a", "0b")
        store.install("a", "0a", [file_value(6), b""], store.stamp("a"))
        store.install("b", "0b", [file_value(5), b""], store.stamp("b"))
        assert (hand.read("a"), hand.read("b")) == (b"was b!", b"was a")
        assert store.staged() == []

    # -- moving

    def test_a_folder_moves_with_all_that_is_in_it(self, store: ObjectStore, hand: Hand) -> None:
        if not store.renames:
            return
        hand.write("d/sub/f", b"content")
        hand.mkdir("d/empty")
        hand.advance(5)
        before = dict(store.items())
        stamp = store.move("d", before["d"], "new/e")
        after = dict(store.items())
        assert sorted(after) == ["new", "new/e", "new/e/empty", "new/e/sub", "new/e/sub/f"]
        assert after["new/e"] == stamp and hand.read("new/e/sub/f") == b"content"
        for path in ("/sub", "/sub/f", "/empty"):
            assert after["new/e" + path] == before["d" + path], "what went along is known as it was"
        store.sync()

    def test_a_file_moves(self, store: ObjectStore, hand: Hand) -> None:
        if not store.renames:
            return
        hand.write("f", b"content")
        hand.advance(5)
        list(store.items())
        stamp = store.move("f", must(store.stamp("f")), "g")
        assert store.stamp("g") == stamp and store.stamp("f") is None and hand.read("g") == b"content"
        assert store.values(stamp)[0] == file_value(7)

    def test_no_move_onto_something_and_none_of_what_changed(self, store: ObjectStore, hand: Hand) -> None:
        if not store.renames:
            return
        hand.write("d/f", b"content")
        hand.write("g", b"theirs")
        hand.mkdir("e")
        stamp, folder = must(store.stamp("d/f")), must(store.stamp("d"))
        for identity, expected, target in (
            ("d/f", stamp, "g"),
            ("d", folder, "e"),
            ("d", stamp, "x"),
            ("no", stamp, "x"),
        ):
            with pytest.raises(StoreError) as error:
                store.move(identity, expected, target)
            assert status_of(error) == CHANGED, target
        with pytest.raises(StoreError):
            store.move("d", folder, "g/below/a/file")
        hand.write("d/f", b"their edit")
        with pytest.raises(StoreError) as error:
            store.move("d/f", stamp, "made/x")
        assert status_of(error) == CHANGED
        assert {i for i, _ in store.items()} == {"d", "d/f", "e", "g"} and hand.read("d/f") == b"their edit"

    @pytest.mark.parametrize("path", BAD_PATHS, ids=ascii)
    def test_no_move_to_or_from_a_bad_path(self, store: ObjectStore, hand: Hand, path: str) -> None:
        if not store.renames:
            return
        hand.write("a/b", b"x")
        stamp = must(store.stamp("a/b"))
        for identity, target in (("a/b", path), (path, "c")):
            with pytest.raises(StoreError) as error:
                store.move(identity, stamp, target)
            assert status_of(error) == BAD_NAME
        assert {i for i, _ in store.items()} == {"a", "a/b"}

    # -- removing

    def test_remove(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("d/f", b"x")
        store.remove("d/f", must(store.stamp("d/f")))
        assert store.stamp("d/f") is None
        store.remove("d", must(store.stamp("d")))
        assert list(store.items()) == [] and store.staged() == []

    def test_remove_leaves_an_edit(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("f", b"x")
        expected = must(store.stamp("f"))
        hand.write("f", b"edit")
        with pytest.raises(StoreError) as error:
            store.remove("f", expected)
        assert status_of(error) == CHANGED and hand.read("f") == b"edit"
        hand.delete("f")
        with pytest.raises(StoreError) as error:
            store.remove("f", expected)
        assert status_of(error) == CHANGED

    def test_a_directory_that_is_not_empty_stays(self, store: ObjectStore, hand: Hand) -> None:
        hand.mkdir("d")
        expected = must(store.stamp("d"))
        hand.write("d/f", b"x")
        with pytest.raises(StoreError) as error:
            store.remove("d", expected)
        assert status_of(error) == CHANGED and not store.prune("d") and hand.read("d/f") == b"x"
        hand.delete("d/f")
        assert store.prune("d") and not store.prune("d") and not store.prune("d/e")

    def test_prune_takes_no_file(self, store: ObjectStore, hand: Hand) -> None:
        hand.write("f", b"x")
        assert not store.prune("f") and hand.read("f") == b"x"

    def test_flush_and_reopen(self, store: ObjectStore, hand: Hand) -> None:
        put(store, "f", b"x")
        store.sync()
        stage(store, b"rest", "0e")
        store.close()
        assert read(store, "f") == b"x" and store.staged() == [("0e", 4)] and store.room() > 0
