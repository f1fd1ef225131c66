"""Taking back what lost, offline and both ways; names of kept copies; what is shown."""

import time
from pathlib import Path

import pytest

from cradle_desktop.conflict.resolve import ConflictError, kept_name, resolve
from cradle_desktop.conflict.show import SHOWN_LIMIT, show
from cradle_desktop.conflict.store import ConflictStore
from cradle_protocol.compat import sha256
from cradle_protocol.errors import UNREADABLE
from cradle_protocol.sync.values import DIRECTORY
from cradle_testing.stores import MemoryStore
from desktop.conflict.parts import DAY, add, conflict_store, loser, reader_of

NAME = "notes/report.txt"
DIGEST = sha256(b"device's").digest()
BINARY = b"\xff\x00binary"


@pytest.fixture
def conflicts(tmp_path: Path) -> ConflictStore:
    return conflict_store(tmp_path)


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    made.write(NAME, b"desktop's", 0o640)
    return made


def test_the_loser_is_taken_and_taken_back(conflicts: ConflictStore, store: MemoryStore) -> None:
    number = add(conflicts, NAME, b"device's")
    assert "now the device's" in resolve(conflicts, number, "device", store)
    assert store.read(NAME) == b"device's" and store.mode(NAME) == 0o640
    assert conflicts.count() == 0 and store.stages == {} and store.syncs == 1
    assert "now the desktop's" in resolve(conflicts, number, "desktop", store)
    assert store.read(NAME) == b"desktop's"
    resolve(conflicts, number, "device", store)
    assert store.read(NAME) == b"device's"
    store.crash()
    assert store.read(NAME) == b"device's"


def test_what_the_user_wrote_meanwhile_is_not_lost(conflicts: ConflictStore, store: MemoryStore) -> None:
    number = add(conflicts, NAME, b"device's")
    store.write(NAME, b"desktop's, edited since")
    resolve(conflicts, number, "device", store)
    store.write(NAME, b"device's, edited since")
    resolve(conflicts, number, "desktop", store)
    assert store.read(NAME) == b"desktop's, edited since"
    resolve(conflicts, number, "device", store)
    assert store.read(NAME) == b"device's, edited since"


def test_the_winner_stays(conflicts: ConflictStore, store: MemoryStore) -> None:
    number = add(conflicts, NAME, b"device's")
    assert "stays" in resolve(conflicts, number, "desktop", store)
    assert store.read(NAME) == b"desktop's" and conflicts.count() == 0 and store.syncs == 0


def test_the_desktops_version_is_taken_where_the_device_won(conflicts: ConflictStore, store: MemoryStore) -> None:
    number = add(conflicts, NAME, b"what the desktop had", side="desktop")
    resolve(conflicts, number, "desktop", store)
    assert store.read(NAME) == b"what the desktop had"


def test_both_lie_beside_each_other(conflicts: ConflictStore, store: MemoryStore) -> None:
    number = add(conflicts, NAME, b"device's")
    copy = f"notes/report (device {DIGEST.hex()[:6]}).txt"
    assert copy in resolve(conflicts, number, "both", store)
    assert store.tree() == {"notes/": b"", NAME: b"desktop's", copy: b"device's"}
    assert "there already" in resolve(conflicts, number, "both", store)
    assert len(store.objects) == 3


def test_a_name_that_is_taken_by_something_else_gets_more_of_the_hash(
    conflicts: ConflictStore, store: MemoryStore
) -> None:
    number = add(conflicts, NAME, b"device's")
    store.write(kept_name(NAME, "device", DIGEST), b"the user's own")
    resolve(conflicts, number, "both", store)
    assert store.read(kept_name(NAME, "device", DIGEST)) == b"the user's own"
    assert store.read(kept_name(NAME, "device", DIGEST, 12)) == b"device's"


def test_a_delete_that_lost_can_be_had_and_taken_back(conflicts: ConflictStore, store: MemoryStore) -> None:
    number = conflicts.add(loser(NAME, value=b"", kind="update-delete"), None)
    assert "deleted" in resolve(conflicts, number, "device", store)
    assert NAME not in store.objects
    resolve(conflicts, number, "desktop", store)
    assert store.read(NAME) == b"desktop's"
    with pytest.raises(ConflictError, match="no two"):
        resolve(conflicts, number, "both", store)


def test_a_file_that_is_gone_meanwhile_comes_back(conflicts: ConflictStore, store: MemoryStore) -> None:
    number = add(conflicts, NAME, b"device's")
    store.delete("notes")
    resolve(conflicts, number, "device", store)
    assert store.read(NAME) == b"device's"
    resolve(conflicts, number, "desktop", store)
    assert NAME not in store.objects


def test_a_mode_is_taken_alone(conflicts: ConflictStore, store: MemoryStore) -> None:
    number = conflicts.add(loser(NAME, value=b"\x01\xed", unit=1), None)
    resolve(conflicts, number, "device", store)
    assert store.mode(NAME) == 0o755 and store.read(NAME) == b"desktop's"
    resolve(conflicts, number, "desktop", store)
    assert store.mode(NAME) == 0o640
    with pytest.raises(ConflictError, match="no two"):
        resolve(conflicts, number, "both", store)
    store.delete(NAME)
    with pytest.raises(ConflictError, match="not there any more"):
        resolve(conflicts, number, "device", store)


def test_a_mode_where_the_store_has_none(conflicts: ConflictStore) -> None:
    store = MemoryStore(modes=False)
    store.write(NAME, b"x")
    number = conflicts.add(loser(NAME, value=b"\x01\xed", unit=1), None)
    with pytest.raises(ConflictError, match="cannot hold its mode"):
        resolve(conflicts, number, "device", store)


def test_directories_and_files_take_each_others_place(conflicts: ConflictStore, store: MemoryStore) -> None:
    number = conflicts.add(loser(NAME, value=DIRECTORY), None)
    resolve(conflicts, number, "device", store)
    assert store.objects[NAME].content is None
    store.write(NAME + "/inside", b"x")
    with pytest.raises(ConflictError, match="not empty"):
        resolve(conflicts, number, "desktop", store)
    assert store.read(NAME + "/inside") == b"x"
    store.delete(NAME + "/inside")
    resolve(conflicts, number, "desktop", store)
    assert store.read(NAME) == b"desktop's"


def test_an_edit_in_between_is_never_overwritten(conflicts: ConflictStore, store: MemoryStore) -> None:
    number = add(conflicts, NAME, b"device's")
    store.on_install = lambda identity: store.write(NAME, b"saved right now")
    with pytest.raises(ConflictError, match="changed just now"):
        resolve(conflicts, number, "device", store)
    assert store.read(NAME) == b"saved right now" and conflicts.count() == 1 and store.stages == {}
    store.on_install = None
    resolve(conflicts, number, "device", store)
    assert store.read(NAME) == b"device's"


def test_what_cannot_be_kept_is_not_overwritten(conflicts: ConflictStore, store: MemoryStore) -> None:
    number = add(conflicts, NAME, b"device's")
    store.failing_reads[NAME] = UNREADABLE
    with pytest.raises(ConflictError, match="cannot be resolved"):
        resolve(conflicts, number, "device", store)
    store.failing_reads.clear()
    store.full = 5
    with pytest.raises(ConflictError, match="cannot be resolved"):
        resolve(conflicts, number, "device", store)
    assert store.read(NAME) == b"desktop's" and conflicts.count() == 1 and store.stages == {}


def test_equal_content_needs_no_write(conflicts: ConflictStore, store: MemoryStore) -> None:
    number = add(conflicts, NAME, b"device's")
    store.write(NAME, b"device's")
    inode = store.objects[NAME].inode
    resolve(conflicts, number, "device", store)
    assert store.objects[NAME].inode == inode and conflicts.count() == 0


def test_what_was_dropped_says_so(tmp_path: Path, store: MemoryStore) -> None:
    conflicts = conflict_store(tmp_path, limit=10)
    number = add(conflicts, NAME, b"12345678")
    conflicts._clock.now += 31 * DAY  # type: ignore[attr-defined]
    add(conflicts, "b", b"87654321")
    with pytest.raises(ConflictError, match="dropped"):
        resolve(conflicts, number, "device", store)
    with pytest.raises(ConflictError, match="There is no conflict 77"):
        resolve(conflicts, 77, "device", store)


def test_what_waits_is_decided_for_the_next_sync(conflicts: ConflictStore, store: MemoryStore) -> None:
    conflicts.waiting("porch", "files", [loser(NAME)])
    (one,) = conflicts.list()
    assert "next sync" in resolve(conflicts, one.number, "device", store)
    assert store.read(NAME) == b"desktop's"
    assert conflicts.decisions("porch", "files") == {(one.item_id, 0): "device"} and conflicts.count() == 1


def test_names_of_kept_copies() -> None:
    digest = bytes.fromhex("3f2a91") + bytes(29)
    names = {
        "report.txt": "report (device 3f2a91).txt",
        "a/b.c/report": "a/b.c/report (device 3f2a91)",
        ".profile": ".profile (device 3f2a91)",
        "x/..odd": "x/..odd (device 3f2a91)",
        "a.tar.gz": "a.tar (device 3f2a91).gz",
        "ends.": "ends (device 3f2a91).",
    }
    assert {name: kept_name(name, "device", digest) for name in names} == names
    long = kept_name("d/" + "ü" * 120 + ".txt", "desktop", digest)
    assert long.endswith(" (desktop 3f2a91).txt") and len(long.rpartition("/")[2].encode()) <= 255
    odd = kept_name("x." + "y" * 253, "device", digest)
    assert odd.endswith(" (device 3f2a91)") and len(odd) == 255


# -- show


def test_texts_are_shown_as_a_difference(conflicts: ConflictStore, store: MemoryStore) -> None:
    store.write(NAME, b"one\ntwo\nthree\n")
    number = add(conflicts, NAME, b"one\n2\nthree\n")
    conflict = conflicts.get(number)
    assert conflict is not None
    shown = show(conflicts, conflict, store)
    assert shown.lines[:2] == ["--- desktop", "+++ device"] and "-two" in shown.lines and "+2" in shown.lines
    resolve(conflicts, number, "device", store)
    conflict = conflicts.get(number)
    assert conflict is not None
    assert show(conflicts, conflict, store).lines == shown.lines


def test_what_is_no_text_is_shown_by_size_and_hash(conflicts: ConflictStore, store: MemoryStore) -> None:
    conflict = conflicts.get(add(conflicts, NAME, BINARY))
    assert conflict is not None
    shown = show(conflicts, conflict, store)
    assert shown.lines == [] and shown.device.kind == "binary" and shown.desktop.kind == "text"
    assert shown.device.words() == f"device, kept: 8 bytes, SHA-256 {sha256(BINARY).digest().hex()}"


def test_when_each_side_was_written_is_told_however_often_it_is_taken(
    conflicts: ConflictStore, store: MemoryStore
) -> None:
    lost = loser(NAME, BINARY)
    lost.written = 1_500_000_000
    number = conflicts.add(lost, reader_of(BINARY))
    store.write(NAME, b"\0ours")
    store.advance(5000)

    def told() -> "list[tuple[str, float | None]]":
        conflict = conflicts.get(number)
        assert conflict is not None
        shown = show(conflicts, conflict, store)
        return [(side.place, side.written) for side in (shown.desktop, shown.device)]

    [(_, ours), theirs] = told()
    assert ours is not None and abs(time.time() - 5000 - ours) < 60 and theirs == ("kept", 1_500_000_000)
    resolve(conflicts, number, "device", store)
    [(place, kept), (_, now)] = told()
    assert place == "kept" and kept == pytest.approx(ours, abs=5) and now == pytest.approx(time.time(), abs=60)
    store.advance(100)
    resolve(conflicts, number, "desktop", store)
    [_, (place, again)] = told()
    assert place == "kept" and again == pytest.approx(time.time() - 100, abs=60)  # it was put there then


def test_a_unit_is_shown_as_a_mode_only_where_it_is_one(conflicts: ConflictStore, store: MemoryStore) -> None:
    """Two bytes are a mode where the unit is one, not because they are two."""
    number = conflicts.add(loser(NAME, value=b"\x01\xed", unit=1), None)
    conflict = conflicts.get(number)
    assert conflict is not None
    shown = show(conflicts, conflict, store)
    assert (shown.unit, shown.desktop.words(), shown.device.words()) == ("mode", "desktop: 0640", "device: 0755")
    assert show(conflicts, conflict, None).unit == "mode"
    conflict.type = "people"
    other = show(conflicts, conflict, None)
    assert (other.unit, other.device.words()) == ("unit 1", "device: 01ed")


def test_a_long_difference_is_cut(conflicts: ConflictStore, store: MemoryStore) -> None:
    store.write(NAME, b"".join(b"%d\n" % n for n in range(1000)))
    conflict = conflicts.get(add(conflicts, NAME, b"".join(b"x%d\n" % n for n in range(1000))))
    assert conflict is not None
    lines = show(conflicts, conflict, store).lines
    assert len(lines) == SHOWN_LIMIT + 1 and "more lines" in lines[-1]


def test_sides_without_content_are_named(conflicts: ConflictStore, store: MemoryStore) -> None:
    for lost, word in (
        (loser(NAME, value=b"", kind="update-delete"), "device: deleted"),
        (loser(NAME, value=b"\x01\xed", unit=1), "device: 0755"),
        (loser(NAME, value=DIRECTORY), "device: directory"),
    ):
        conflict = conflicts.get(conflicts.add(lost, None))
        assert conflict is not None and show(conflicts, conflict, store).device.words() == word
    conflicts.waiting("porch", "files", [loser("other")])
    waiting = conflicts.list()[-1]
    assert "not fetched" in show(conflicts, waiting, store).device.words()
    assert "not there" in show(conflicts, waiting, None).desktop.words()
    assert show(conflicts, waiting, store).desktop.kind == "deleted"
