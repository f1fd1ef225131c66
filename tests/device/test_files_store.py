"""The board's store of files, on both interpreters and a real disk: what flash or a program beside it can do."""

import os

from cradle_device import system
from cradle_device.providers import disk
from cradle_device.providers.files import FilesStore
from cradle_device.providers.folder import MAX_DEPTH
from cradle_protocol.compat import MICROPYTHON, sha256
from cradle_protocol.errors import BAD_NAME, CHANGED, LIMIT, NO_PARENT, NO_STORE, NOT_ALLOWED, UNREADABLE
from cradle_protocol.provider.paths import bad_path, own_name
from cradle_protocol.sync.values import DIRECTORY, file_value
from device.acts import put, stage, status
from device.place import PLACE

ROOT = PLACE + "/files"
ID = b"0123456789abcdef"
NOW = 1750000000  # seconds: in 2025


class Clock:
    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        return self.now


def clear(path):
    for name, kind in list(disk.listing(path)):
        if kind == disk.DIRECTORY:
            clear(path + "/" + name)
            os.rmdir(path + "/" + name)
        else:
            os.remove(path + "/" + name)


def fresh(clock=None, buffer=None):
    system.make_directory(ROOT)
    clear(ROOT)
    FilesStore.create(ROOT, ID)
    return FilesStore(ROOT, buffer, clock) if clock else FilesStore(ROOT, buffer)


def write(path, data):
    system.make_directory((ROOT + "/" + path).rpartition("/")[0])
    with open(ROOT + "/" + path, "wb") as file:
        file.write(data)


def content(path):
    with open(ROOT + "/" + path, "rb") as file:
        return file.read()


def found(store):
    return sorted([identity for identity, _ in store.items()])


def test_a_folder_without_an_id_is_missing_not_empty():
    store = fresh()
    assert store.store_id() == ID
    assert FilesStore.create(ROOT, b"x" * 16).store_id() == ID
    os.remove(ROOT + "/.cradle/store")
    assert status(store.store_id) == NO_STORE and status(list, store.items()) == NO_STORE
    assert status(FilesStore("/tmp/cradle-no-such").store_id) == NO_STORE
    assert status(stage, FilesStore("/tmp/cradle-no-such"), b"x") in (NO_STORE, CHANGED)


def test_a_store_that_goes_in_the_middle_of_a_scan_ends_it():
    store = fresh()
    write("a", b"1")
    items = store.items()
    next(items)
    os.remove(ROOT + "/.cradle/store")
    assert status(list, items) == NO_STORE


def test_a_scan_and_its_stamps():
    store = fresh()
    write("a/b/c.txt", b"hello")
    write("z", b"")
    os.mkdir(ROOT + "/empty")
    stage(store, b"not shown")
    stamps = dict(store.items())
    assert sorted(stamps) == ["a", "a/b", "a/b/c.txt", "empty", "z"] and store.skipped == []
    for path in stamps:
        assert store.stamp(path) == stamps[path]
    assert store.values(stamps["a/b/c.txt"]) == [file_value(5), b""]
    assert store.values(stamps["empty"]) == [DIRECTORY, b""]
    assert not store.holds(1)


def test_install_replace_remove():
    store = fresh()
    stamp = put(store, "d/e/f", b"one")
    assert content("d/e/f") == b"one" and store.stamp("d/e/f") == stamp and store.staged() == []
    assert status(put, store, "d/e/f", b"two") == CHANGED
    assert store.staged() == [("00", 3)] and content("d/e/f") == b"one"
    stamp = put(store, "d/e/f", b"longer", stamp)
    assert content("d/e/f") == b"longer" and store.stamp("d/e/f") == stamp
    write("d/e/f", b"an edit")
    assert status(put, store, "d/e/f", b"ours", stamp) == CHANGED
    assert status(store.remove, "d/e/f", stamp) == CHANGED and content("d/e/f") == b"an edit"
    assert status(store.remove, "d/e", store.stamp("d/e")) == CHANGED and not store.prune("d/e")
    store.remove("d/e/f", store.stamp("d/e/f"))
    store.remove("d/e", store.stamp("d/e"))
    assert store.prune("d") and not store.prune("d") and found(store) == []


def test_prune_takes_no_file():
    store = fresh()
    write("f", b"x")
    assert not store.prune("f") and content("f") == b"x"


def test_a_file_becomes_a_directory_and_back():
    store = fresh()
    stamp = put(store, "x", b"file")
    stamp = store.install("x", None, [DIRECTORY, b""], stamp)
    write("x/child", b"c")
    assert status(put, store, "x", b"file", stamp) == CHANGED and content("x/child") == b"c"
    os.remove(ROOT + "/x/child")
    put(store, "x", b"again", stamp)
    assert content("x") == b"again"


def test_a_swap_of_names():
    store = fresh()
    write("a", b"was a")
    write("b", b"was b!")
    store.stage_copy("b", "0a")
    store.stage_copy("a", "0b")
    store.install("a", "0a", [file_value(6), b""], store.stamp("a"))
    store.install("b", "0b", [file_value(5), b""], store.stamp("b"))
    assert (content("a"), content("b")) == (b"was b!", b"was a")


def test_a_file_is_in_the_way():
    store = fresh()
    write("f", b"x")
    assert store.missing_parents("f/g/h") == ["f", "f/g"]
    assert status(put, store, "f/g/h", b"y") == NO_PARENT and content("f") == b"x"


def test_a_failed_create_leaves_no_directory():
    store = fresh()
    assert status(store.install, "new/deep/f", "99", [file_value(1), b""], None) == UNREADABLE
    assert found(store) == []


def test_content_passes_through_a_small_buffer():
    buffer = bytearray(16)
    store = fresh(None, buffer)
    data = bytes([i & 255 for i in range(1000)])
    put(store, "f", data)
    assert store.digest("f") == sha256(data).digest()
    store.stage_copy("f", "0c")
    assert store.staged_digest("0c") == sha256(data).digest()
    reader, piece, read = store.open("f", 990), memoryview(bytearray(7)), b""
    while True:
        n = reader.read_into(piece)
        if not n:
            break
        read += bytes(piece[:n])
    reader.close()
    assert read == data[990:]
    assert status(store.digest, "none") == UNREADABLE and status(store.open, ".") == BAD_NAME


def test_a_stage_goes_on_after_a_restart():
    store = fresh()
    writer = store.stage("ab-1")
    writer.write(b"one")
    writer.flush()
    writer.close()
    again = FilesStore(ROOT)
    assert again.staged() == [("ab-1", 3)]
    writer = again.stage("ab-1", True)
    writer.write(b"two")
    writer.close()
    assert again.staged_digest("ab-1") == sha256(b"onetwo").digest()
    assert status(again.stage, "../f") == BAD_NAME and status(again.stage, "a" * 65) == BAD_NAME
    again.unstage("ab-1")
    again.unstage("ab-1")
    assert again.staged() == []


def test_paths_that_are_refused():
    store = fresh()
    bad = ("", "/", "/abs", "..", "a/..", "a/../../b", ".", "a//b", "a/", "a/.", "n\x00l", ".cradle", ".Cradle/store",
           "a/.cradle", ".cradle-tmp-1", "x" * 256, "\xe9" * 128, "ab/" * 2000 + "x")  # fmt: skip
    for path in bad:
        assert bad_path(path), path
        for act in (store.stamp, store.open, store.digest, store.missing_parents, store.prune):
            assert status(act, path) == BAD_NAME, path
        assert status(put, store, path, b"x") == BAD_NAME
    assert not os.stat(ROOT + "/.cradle/store")[0] & 0x4000
    assert store.store_id() == ID


def test_paths_that_are_legal():
    for path in ("a", "..a", "a..", "...", "-rf", ".hidden", "a\nb", "a\\b", "a b/ c", "x" * 255, "\xe9" * 127, "~"):
        assert not bad_path(path), path
    assert not own_name("cradle~1") and own_name("CRADLE~1", True) and own_name(".Cradle. ", True)
    assert bad_path("end.", True) and bad_path("end ", True) and not bad_path("end.x", True)


def test_awkward_names():
    store = fresh()
    names = ["..a", "-rf", "a\nb", "a\\b", "x" * 255, "\xe9", "e\u0301", "\u65e5\u672c", "A", " "]
    for name in names:
        put(store, name, name.encode())
        put(store, "d/" + name, b"")
    assert found(store) == sorted(names + ["d"] + ["d/" + name for name in names])
    for name in names:
        assert store.digest(name) == sha256(name.encode()).digest()
        store.remove(name, store.stamp(name))


def test_directories_in_directories_are_bounded():
    store = fresh()
    path = "/".join(["d%d" % i for i in range(MAX_DEPTH + 3)])
    write(path + "/f", b"x")
    assert len(found(store)) == MAX_DEPTH
    assert store.skipped == [("/".join(path.split("/")[:MAX_DEPTH]), LIMIT)]


def test_a_young_file_is_racy():
    clock = Clock()
    store = fresh(clock)
    write("f", b"one")
    mtime = disk.look(ROOT + "/f")[2] // disk.SECOND
    for seconds, racy in ((0, True), (1, True), (4, False), (-100, True)):
        clock.now = mtime + seconds
        stamp = dict(store.items())["f"]
        assert store.racy(stamp) == racy, seconds


def test_under_a_clock_that_lies_everything_is_racy():
    clock = Clock()
    store = fresh(clock)
    write("f", b"one")
    write("d/g", b"")
    later = disk.look(ROOT + "/f")[2] // disk.SECOND + 1000
    for now, highest, trusted in ((later, 0, True), (5, 0, False), (later, later + 1, False), (later, later, True)):
        clock.now, store.highest = now, highest
        stamps = dict(store.items())
        assert store.trusted() == trusted
        assert store.racy(stamps["f"]) == (not trusted) and not store.racy(stamps["d"])
        assert store.age(stamps["f"]) == (1000 if trusted else -1)


def test_a_move_is_told_where_numbers_last():
    store = fresh()
    write("f", b"x")
    old = store.stamp("f")
    os.rename(ROOT + "/f", ROOT + "/g")
    assert store.moves_by_identity == disk.HOSTED
    assert not disk.HOSTED or store.object_key(old) == store.object_key(store.stamp("g"))


def link(target, path):
    """A symbolic link; MicroPython cannot make one itself."""
    if MICROPYTHON:
        os.system("ln -s '%s' '%s/%s'" % (target, ROOT, path))
    else:
        os.symlink(target, ROOT + "/" + path)


def test_links_are_not_followed():
    if not disk.HOSTED:
        return
    outside = ROOT + "-outside"
    system.make_directory(outside)
    clear(outside)
    store = fresh()
    try:
        with open(outside + "/secret", "wb") as file:
            file.write(b"secret")
        link(outside, "dir")
        link(outside + "/secret", "file")
        link(outside + "/none", "dangling")
        assert found(store) == []
        assert sorted(store.skipped) == [(name, NOT_ALLOWED) for name in ("dangling", "dir", "file")]
        for path in ("dir", "dir/secret", "file", "dangling"):
            assert store.stamp(path) is None, path
            assert status(store.digest, path) == UNREADABLE
            assert status(store.open, path) == UNREADABLE
            assert status(store.stage_copy, path, "0f") == UNREADABLE
            assert not store.prune(path)
            status(put, store, path, b"ours")
        status(put, store, "dir/new", b"ours")
        status(store.install, "dir/sub", None, [DIRECTORY, b""], None)
        assert [name for name, _ in disk.listing(outside)] == ["secret"]
        with open(outside + "/secret", "rb") as file:
            assert file.read() == b"secret"
    finally:
        clear(ROOT)


def test_a_directory_swapped_for_a_link():
    if not disk.HOSTED:
        return
    store = fresh()
    outside = ROOT + "-outside"
    system.make_directory(outside)
    clear(outside)
    put(store, "d/f", b"inside")
    stamp = store.stamp("d/f")
    os.rename(ROOT + "/d", ROOT + "/was")
    link(outside, "d")
    assert status(put, store, "d/g", b"x") == NO_PARENT
    assert status(put, store, "d/f", b"x", stamp) == CHANGED
    assert status(store.remove, "d/f", stamp) == CHANGED
    assert list(disk.listing(outside)) == [] and content("was/f") == b"inside"


def test_names_that_are_not_utf8():
    if not disk.HOSTED:
        return
    store = fresh()
    write("d/good", b"x")
    if MICROPYTHON:
        os.system("touch \"$(printf '%s/d/b\\377d')\"" % ROOT)
    else:
        open(ROOT.encode() + b"/d/b\xffd", "wb").close()
    try:
        assert "d" in found(store)
        assert len(store.skipped) == 1 and store.skipped[0][1] == BAD_NAME
        assert store.skipped[0][0] in ("d", "d/b\ufffdd"), "hidden with its directory where it cannot even be told"
    finally:
        if MICROPYTHON:
            os.system("rm -r '%s/d'" % ROOT)
