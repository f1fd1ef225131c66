"""The board's store on the file systems of boards, LittleFS and FAT, in memory. Does nothing on CPython.

Also a power cut at every program and erase: the object is whole-old or whole-new, and the store mounts.
"""

from cradle_device.providers.files import FilesStore
from cradle_protocol.compat import MICROPYTHON
from cradle_protocol.errors import BAD_NAME, CHANGED, COLLISION, NO_PARENT, NO_ROOM
from cradle_protocol.provider.paths import CASELESS, FAT_NAMES
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.values import DIRECTORY
from device.acts import put, status
from device.flash import mounted


def content(path):
    with open("/f/" + path, "rb") as file:
        return file.read()


def life():
    """What a store goes through, on any file system."""
    store = FilesStore.create("/f", b"i" * 16)
    assert 0 < store.name_max <= 255
    longest = "n" * store.name_max
    put(store, longest, b"x")
    assert status(put, store, longest + "n", b"x") == BAD_NAME
    store.remove(longest, store.stamp(longest))
    store.unstage("00")
    stamp = put(store, "d/f", b"one")
    assert store.stamp("d/f") == stamp and store.staged() == []
    assert status(put, store, "d/f", b"two") == CHANGED
    stamp = put(store, "d/f", b"three", stamp)
    assert content("d/f") == b"three"
    assert status(put, store, "d/f/g", b"x") == NO_PARENT
    assert not store.prune("d/f") and content("d/f") == b"three", "rmdir takes a file on LittleFS"
    assert not store.prune("d") and status(store.remove, "d", store.stamp("d")) == CHANGED
    assert sorted([i for i, _ in store.items()]) == ["d", "d/f"] and store.skipped == []
    stamp = store.install("d/f", None, [DIRECTORY, b""], stamp)
    put(store, "d/f", b"a file again", stamp)
    store.remove("d/f", store.stamp("d/f"))
    assert store.prune("d") and list(store.items()) == [] and store.room() > 0


def test_littlefs():
    mounted(life)


def test_fat():
    mounted(life, "fat")


def no_case():
    store = FilesStore.create("/f", b"i" * 16)
    assert store.names == CASELESS | FAT_NAMES and store.name_max == 255, "it says so, for a desktop to plan by"
    put(store, "Dir/File", b"x")
    assert status(put, store, "Dir/file", b"y") == COLLISION and store.stamp("Dir/file") is None
    assert status(put, store, "dir/other", b"y") == COLLISION
    assert status(store.install, "DIR", None, [DIRECTORY, b""], None) == COLLISION
    for path in ("CRADLE~1/store", "end.", "end ", ".CRADLE/store"):
        assert status(put, store, path, b"y") == BAD_NAME, path
    assert content("dir/file") == b"x" and store.store_id() == b"i" * 16
    assert sorted([i for i, _ in store.items()]) == ["Dir", "Dir/File"]


def test_names_that_differ_in_case_on_fat():
    mounted(no_case, "fat")


def full():
    store = FilesStore.create("/f", b"i" * 16)
    put(store, "f", b"keep")
    assert status(put, store, "g", b"x" * 40000) == NO_ROOM
    assert content("f") == b"keep" and [i for i, _ in store.items()] == ["f"]
    store.unstage("00")
    put(store, "g", b"y" * 1000)


def test_a_full_disk():
    mounted(full, "lfs", 40)


def start():
    put(FilesStore.create("/f", b"i" * 16), "d/f", b"old" * 100)


def replace():
    store = FilesStore("/f")
    put(store, "d/f", b"new" * 150, store.stamp("d/f"))


def check():
    store = FilesStore("/f")
    assert store.store_id() == b"i" * 16
    assert [i for i, _ in store.items()] == ["d", "d/f"]
    assert content("d/f") in (b"old" * 100, b"new" * 150)
    for name, _ in store.staged():
        store.unstage(name)
    replace()


def test_a_power_cut_at_every_operation():
    if not MICROPYTHON:
        return
    before, _ = mounted(start, "lfs", 24)
    _, operations = mounted(replace, "lfs", 24, bytearray(before))
    assert operations > 3
    for cut in range(operations):
        data = bytearray(before)
        try:
            mounted(replace, "lfs", 24, data, cut)
        except (OSError, StoreError):
            pass
        mounted(check, "lfs", 24, data)
