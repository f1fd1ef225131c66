"""The folder store against what a disk is: spellings, strange objects, permissions, a second disk, no room."""

import os
import resource
import shutil
import socket
import subprocess
import tempfile
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from cradle_desktop.providers.files import FilesStore
from cradle_desktop.providers.kernel import Kernel, disk_type
from cradle_desktop.providers.stamps import Stamps
from cradle_protocol.errors import (
    BAD_NAME,
    CHANGED,
    COLLISION,
    NO_ROOM,
    NO_STORE,
    NOT_ALLOWED,
    READ_ONLY,
    UNREADABLE,
)  # fmt: skip
from cradle_protocol.provider.paths import CASELESS, COMPOSED, MAX_NAME
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.values import DIRECTORY, file_value
from cradle_testing.folder_hand import FolderHand
from cradle_testing.store_contract import MODE, must, put, read, stage, status_of
from desktop.providers.conftest import Meddled, unprivileged

NFC = "café"
NFD = unicodedata.normalize("NFD", NFC)


# -- which folder


def test_a_folder_without_an_id_is_missing_not_empty(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    store = FilesStore(tmp_path)
    for act in (store.store_id, lambda: list(store.items()), lambda: store.stamp("f"), lambda: stage(store, b"x")):
        with pytest.raises(StoreError) as error:
            act()
        assert status_of(error) == NO_STORE
    (tmp_path / ".cradle").mkdir()
    (tmp_path / ".cradle/store").write_bytes(b"short")
    with pytest.raises(StoreError) as error:
        store.store_id()
    assert status_of(error) == NO_STORE and sorted(os.listdir(tmp_path)) == [".cradle", "f"]


def test_create_keeps_the_id(tmp_path: Path) -> None:
    first = FilesStore.create(tmp_path / "deep/er")
    assert FilesStore.create(tmp_path / "deep/er", b"x" * 16).store_id() == first.store_id()
    assert (tmp_path / "deep/er/.cradle").stat().st_mode & 0o777 == 0o700


def test_looking_writes_nothing(root: Path, hand: FolderHand) -> None:
    """CE-27 at a store."""
    hand.write("d/f", b"x")
    before = sorted((str(p), p.lstat().st_mtime_ns) for p in root.rglob("*"))
    store = FilesStore(root)
    list(store.items())
    store.digest("d/f")
    assert (store.staged(), store.missing_parents("x/y"), store.stamp("x/y")) == ([], ["x"], None)
    store.unstage("00")
    assert before == sorted((str(p), p.lstat().st_mtime_ns) for p in root.rglob("*"))


def test_another_folder_in_its_place(store: FilesStore, root: Path, hand: FolderHand) -> None:
    hand.write("f", b"x")
    first = store.store_id()
    items = store.items()
    next(items)
    root.rename(root.with_name("moved"))
    with pytest.raises(StoreError) as error:
        list(items)
    assert status_of(error) == NO_STORE
    with pytest.raises(StoreError):
        store.store_id()
    FilesStore.create(root)
    assert store.store_id() != first and list(store.items()) == []


# -- names


def test_a_decomposed_name_keeps_its_spelling(store: FilesStore, root: Path, hand: FolderHand) -> None:
    hand.write(f"{NFD}/{NFD}.txt", b"old")
    path = f"{NFC}/{NFC}.txt"
    for scanned in (False, True):
        if scanned:
            assert sorted(i for i, _ in store.items()) == [NFC, path]
        assert read(store, path) == hand.read(f"{NFD}/{NFD}.txt")
        put(store, path, b"new" * (1 + scanned), store.stamp(path))
        assert store.missing_parents(path) == []
    put(store, f"{NFC}/plain", b"")
    assert sorted(os.listdir(root / NFD)) == [f"{NFD}.txt", "plain"] and NFC not in os.listdir(root)
    store.remove(path, must(store.stamp(path)))
    assert os.listdir(root / NFD) == ["plain"]


def test_names_must_arrive_composed(store: FilesStore) -> None:
    with pytest.raises(StoreError) as error:
        put(store, NFD, b"x")
    assert status_of(error) == BAD_NAME


def test_two_spellings_collide(store: FilesStore, hand: FolderHand) -> None:
    hand.write(NFC, b"1")
    hand.write(NFD, b"2")
    hand.write("d/" + unicodedata.normalize("NFD", "ä") + "/f", b"3")
    hand.write("d/ä/f", b"4")
    hand.write("ok", b"5")
    assert sorted(i for i, _ in store.items()) == ["d", "ok"]
    assert sorted(store.skipped) == [(NFC, COLLISION), ("d/ä", COLLISION)]


def test_a_name_that_is_not_text(store: FilesStore, root: Path) -> None:
    (root / os.fsdecode(b"b\xffd")).mkdir()
    (root / os.fsdecode(b"b\xffd/f")).write_bytes(b"x")
    assert list(store.items()) == [] and store.skipped == [("b\ufffdd", BAD_NAME)]


def test_a_path_that_is_too_deep(store: FilesStore, root: Path) -> None:
    here = os.open(root, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("n" * 250, dir_fd=here)
        below = os.open("n" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    found = [i for i, _ in store.items()]
    assert 10 < len(found) < 20 and store.skipped == [(found[-1], BAD_NAME)]
    put(store, found[-2] + "/f", b"x")
    subprocess.run(["rm", "-r", str(root / ("n" * 250))], check=True)


def test_our_own_names_are_not_shown(store: FilesStore, hand: FolderHand) -> None:
    hand.write("d/.cradle/store", b"a store within")
    hand.write("d/.cradle-tmp-1", b"x")
    hand.write("d/.cradle.txt", b"x")
    assert sorted(i for i, _ in store.items()) == ["d", "d/.cradle.txt"] and store.skipped == []


class CaselessKernel(Kernel):
    """A disk that does not tell case, as far as opening and looking go."""

    def _there(self, fd: int, name: str) -> str:
        return next((n for n in os.listdir(f"/proc/self/fd/{fd}") if n.lower() == name.lower()), name)

    def exists(self, fd: int, name: str) -> bool:
        return super().exists(fd, self._there(fd, name))

    def open_directory(self, root: int, path: str, flags: int) -> int:
        fd = os.dup(root)
        for name in path.split("/"):
            try:
                below = super().open_directory(fd, self._there(fd, name), flags)
            finally:
                os.close(fd)
            fd = below
        return fd


def test_names_that_differ_in_case_on_a_caseless_disk(root: Path, hand: FolderHand) -> None:
    store = FilesStore(root, kernel=CaselessKernel())
    put(store, "Dir/File", b"x")
    list(store.items())
    for path in ("Dir/file", "dir/new", "DIR"):
        assert store.stamp(path) is None
        for staged, value in (("00-1", file_value(1)), (None, DIRECTORY)):
            with pytest.raises(StoreError) as error:
                store.install(path, staged, [value, b""], None)
            assert status_of(error) == COLLISION
    for path in ("CRADLE~1/store", "end.", ".CRADLE/store"):
        with pytest.raises(StoreError) as error:
            put(store, path, b"")
        assert status_of(error) == BAD_NAME
    put(store, "Dir/new", b"y", None)
    put(store, "Dir/File", b"z", store.stamp("Dir/File"))
    assert sorted(i for i, _ in store.items()) == ["Dir", "Dir/File", "Dir/new"]
    store.close()


def test_a_folder_is_spelled_anew_on_a_caseless_disk(root: Path, hand: FolderHand) -> None:
    store = FilesStore(root, kernel=CaselessKernel())
    put(store, "Dir/Sub/File", b"x")
    before = dict(store.items())
    assert store.names == CASELESS | COMPOSED and store.name_max == MAX_NAME
    store.respell("Dir", "DIR")
    store.respell("DIR/Sub", "DIR/sub")
    assert dict(store.items()) == dict(zip(("DIR", "DIR/sub", "DIR/sub/File"), before.values(), strict=True))
    for now in ("Dir", "none"):
        with pytest.raises(StoreError):
            store.respell(now, "dir")
    assert store.stamp("DIR/sub/File") == before["Dir/Sub/File"]
    store.close()


# -- strange objects


def test_what_is_no_file_is_skipped_and_guarded(store: FilesStore, root: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / "link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(root)  # a socket's path has to be short
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
    assert list(store.items()) == []
    assert sorted(store.skipped) == [(name, NOT_ALLOWED) for name in ("link", "pipe", "socket")]
    for name in ("pipe", "socket"):
        assert store.stamp(name) is None
        with pytest.raises(StoreError) as error:
            store.digest(name)
        assert status_of(error) == UNREADABLE
        with pytest.raises(StoreError) as error:
            put(store, name, b"x")
        assert status_of(error) == COLLISION


def test_a_directory_that_goes_during_the_scan(store: FilesStore, hand: FolderHand) -> None:
    hand.write("d/e/f", b"x")
    found = []
    for identity, _ in store.items():
        found.append(identity)
        if identity == "d":
            hand.rename("d", "moved")
    assert found == ["d"] and store.skipped == [("d", CHANGED)]


def test_a_file_that_is_written_while_it_is_hashed(store: FilesStore, hand: FolderHand, root: Path) -> None:
    hand.write("log", bytes(8 << 20))
    stop = threading.Event()

    def log_on() -> None:
        with open(root / "log", "ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"row")

    thread = threading.Thread(target=log_on)
    thread.start()
    try:
        with pytest.raises(StoreError) as error:
            for _ in range(100):
                store.digest("log")
    finally:
        stop.set()
        thread.join()
    assert status_of(error) == CHANGED


def test_a_large_sparse_file(store: FilesStore, root: Path) -> None:
    with open(root / "sparse", "wb") as file:
        file.truncate(64 << 20)
    assert store.values(must(store.stamp("sparse")))[0] == file_value(64 << 20)
    store.stage_copy("sparse", "0c")
    assert store.staged() == [("0c", 64 << 20)] and store.staged_digest("0c") == store.digest("sparse")


# -- modes and owners


def test_the_mode_is_there_before_the_file_is(store: FilesStore, root: Path, kernel: Meddled) -> None:
    seen: list[int] = []
    kernel.after["rename_new"] = [lambda: seen.append((root / "f").stat().st_mode & 0o7777)]
    put(store, "f", b"x", mode=(0o600).to_bytes(2, "big"))
    kernel.after["swap"] = [lambda: seen.append((root / "f").stat().st_mode & 0o7777)]
    put(store, "f", b"y", store.stamp("f"), mode=MODE)
    assert seen == [0o600, 0o640]


def test_other_mode_bits_stay(store: FilesStore, root: Path, hand: FolderHand) -> None:
    hand.mkdir("d", 0o2755)
    store.install("d", None, [DIRECTORY, (0o700).to_bytes(2, "big")], store.stamp("d"))
    assert (root / "d").stat().st_mode & 0o7777 == 0o2700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_owner_of_what_is_replaced_stays(store: FilesStore, root: Path, hand: FolderHand) -> None:
    hand.write("f", b"old")
    os.chown(root / "f", 1234, 5678)
    put(store, "f", b"new", store.stamp("f"))
    assert ((root / "f").stat().st_uid, (root / "f").stat().st_gid) == (1234, 5678)


@pytest.fixture
def open_to_all() -> "Iterator[Path]":
    """A store where another user may work."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    FilesStore.create(folder).close()
    yield folder
    subprocess.run(["chmod", "-R", "u+rwx", str(folder)], check=False)
    shutil.rmtree(folder)


def test_what_cannot_be_read_is_not_taken_for_deleted(open_to_all: Path) -> None:
    hand = FolderHand(open_to_all)
    for folder, mode in (("closed", 0), ("names only", 0o444), ("open", 0o755)):
        hand.write(folder + "/f", b"x", 0 if folder == "open" else 0o644)
        hand.chmod(folder, mode)

    def act() -> None:
        store = FilesStore(open_to_all)
        assert sorted(i for i, _ in store.items()) == ["closed", "names only", "open", "open/f"]
        assert sorted(store.skipped) == [("closed", UNREADABLE), ("names only", UNREADABLE)]
        with pytest.raises(StoreError) as error:
            store.digest("open/f")
        assert status_of(error) == UNREADABLE
        with pytest.raises(StoreError) as error:
            store.stamp("closed/f")
        assert status_of(error) == UNREADABLE

    unprivileged(act, open_to_all, *open_to_all.rglob("*"))


def test_a_directory_that_its_own_mode_forbids_to_write(open_to_all: Path) -> None:
    hand = FolderHand(open_to_all)
    hand.write("d/old", b"x")
    hand.write("d/gone", b"x")
    hand.chmod("d", 0o555)

    def act() -> None:
        store = FilesStore(open_to_all)
        put(store, "d/new", b"y")
        put(store, "d/old", b"z", store.stamp("d/old"))
        store.remove("d/gone", must(store.stamp("d/gone")))
        store.install("d/e", None, [DIRECTORY, b""], None)
        assert sorted(os.listdir(open_to_all / "d")) == ["e", "new", "old"] and hand.mode("d") == 0o555

    unprivileged(act, open_to_all, *open_to_all.rglob("*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs files of two users")
def test_a_directory_of_somebody_else(open_to_all: Path) -> None:
    hand = FolderHand(open_to_all)
    hand.write("d/f", b"x")
    stamp = must(FilesStore(open_to_all).stamp("d/f"))

    def act() -> None:
        store = FilesStore(open_to_all)
        os.umask(0o022)
        for refused in (lambda: put(store, "d/new", b"y"), lambda: store.remove("d/f", stamp)):
            with pytest.raises(StoreError) as error:
                refused()
            assert status_of(error) == READ_ONLY
        assert store.staged() == [("00-1", 1)]

    unprivileged(act, open_to_all, open_to_all / ".cradle", open_to_all / ".cradle/store")


# -- disks


@pytest.fixture
def small_disk(root: Path) -> "Iterator[Path]":
    """A disk of one megabyte, mounted inside the store."""
    point = root / "mounted"
    point.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(point)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here: the second disk is NOT tested")
    yield point
    subprocess.run(["umount", "-l", str(point)], check=True)


def test_a_second_disk_inside_the_store(store: FilesStore, hand: FolderHand, small_disk: Path) -> None:
    stamp = put(store, "mounted/d/f", b"one", mode=MODE)
    assert hand.read("mounted/d/f") == b"one" and hand.mode("mounted/d/f") == 0o640
    stamp = put(store, "mounted/d/f", b"two!", stamp)
    hand.write("mounted/d/f", b"edit")
    with pytest.raises(StoreError) as error:
        put(store, "mounted/d/f", b"ours", stamp)
    assert status_of(error) == CHANGED and store.staged() == [("00-1", 4)]
    stamp = store.install("mounted/d/f", None, [DIRECTORY, b""], store.stamp("mounted/d/f"))
    stamp = put(store, "mounted/d/f", b"file", stamp)
    store.remove("mounted/d/f", stamp)
    assert os.listdir(small_disk / "d") == [] and store.staged() == []


def test_no_room(store: FilesStore, hand: FolderHand, small_disk: Path) -> None:
    put(store, "mounted/f", b"keep")
    with pytest.raises(StoreError) as error:
        put(store, "mounted/f", bytes(2 << 20), store.stamp("mounted/f"))
    assert status_of(error) == NO_ROOM and hand.read("mounted/f") == b"keep"
    assert os.listdir(small_disk) == ["f"], "no half file is left"
    inside = FilesStore.create(small_disk)
    writer = inside.stage("0f")
    with pytest.raises(StoreError) as error:
        for _ in range(20):
            writer.write(bytes(1 << 17))
    writer.close()
    assert status_of(error) == NO_ROOM and 0 < inside.staged()[0][1] <= 1 << 20 and inside.room() < 1 << 16
    inside.unstage("0f")
    assert inside.room() > 1 << 19
    inside.close()


def test_a_limit_on_the_size_of_files(store: FilesStore) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StoreError) as error:
            store.stage_bytes("0f", bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status_of(error) == NO_ROOM and store.staged() == [("0f", 1000)]


def test_a_disk_without_modes_and_lasting_numbers(store: FilesStore, root: Path, hand: FolderHand) -> None:
    assert disk_type(os.stat("/proc").st_dev) == "proc" and disk_type(0) == ""
    plain = Stamps(full=False)
    hand.write("f", b"hello", 0o600)
    st = (root / "f").lstat()
    stamp = must(plain.pack(st))
    os.link(root / "f", root / "g")
    hand.chmod("f", 0o640)
    assert plain.pack((root / "f").lstat()) == stamp and plain.values(stamp) == [file_value(5), b""]
    assert plain.racy(stamp, st.st_mtime_ns) and not plain.racy(stamp, st.st_mtime_ns + 3 * 10**9)
    assert plain.racy(stamp, 10**18), "a clock before 2024 was never set"


def test_descriptors_are_given_back(store: FilesStore, hand: FolderHand) -> None:
    hand.write("d/e/f", b"x")
    list(store.items())
    before = len(os.listdir("/proc/self/fd"))
    for n in range(20):
        put(store, f"d/e/g{n}", b"y")
        with pytest.raises(StoreError):
            put(store, "d/e/f", b"z")
        with pytest.raises(StoreError):
            store.digest("d/e/none")
        store.open("d/e/f").close()
        list(store.items())
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the staging folder
    store.close()
    assert len(os.listdir("/proc/self/fd")) < before
