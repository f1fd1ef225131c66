"""Real folders on both sides, the engine and the agent joined in memory: a large package, and a sparse gigabyte."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyright
import pytest

from cradle_desktop.config import open_state
from cradle_desktop.metadata.sqlite import SqliteStore
from cradle_desktop.providers.files import FilesStore
from cradle_desktop.sync.engine import synchronize
from cradle_desktop.sync.report import Observer, SyncOptions, TypeResult
from cradle_testing.pair import AgentEnd, PairPump
from cradle_testing.trees import read_modes, read_tree
from cradle_testing.worlds import MemoryConflicts

LEAST = 5000  # files of the package
GIGABYTE = 1 << 30
ROOM = 4 * GIGABYTE  # on the disk of the test


class Folders:
    """A desktop's folder and a device's, each with its real store and metadata."""

    def __init__(self, folder: Path) -> None:
        self.left, self.right, self.folder = folder / "left", folder / "right", folder
        for path in (self.left, self.right):
            FilesStore.create(path).close()
        self.end = AgentEnd(0, FilesStore(self.right), folder / "agent", batch_items=1000)

    @contextmanager
    def _open(self) -> Iterator[tuple[FilesStore, SqliteStore]]:
        store, database = FilesStore(self.left), open_state()
        try:
            yield store, SqliteStore(database)
        finally:
            store.close()
            database.close()

    def sync(self) -> TypeResult:
        with self._open() as (store, metadata):
            meta = metadata.open_replica(str(self.left), "files", 2, store.store_id())
            pump = PairPump(0, self.end)
            try:
                options = SyncOptions(partner="device")
                return synchronize(pump.handshake(), store, meta, MemoryConflicts(), options, Observer())
            finally:
                pump.end_session()


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folders]:
    monkeypatch.setenv("CRADLE_HOME", str(tmp_path / "home"))
    made = Folders(tmp_path)
    yield made
    made.end.agent.close()
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.mark.slow
def test_a_large_package_goes_both_ways(folders: Folders) -> None:
    source = Path(pyright.__file__).parent
    if sum(1 for path in source.rglob("*") if path.is_file()) < LEAST:
        pytest.skip(f"the package pyright has fewer than {LEAST} files here")
    for target in (folders.left / "there", folders.right / "back"):
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    result = folders.sync()
    assert not result.skipped
    assert min(result.to_device.created, result.to_desktop.created) > LEAST
    assert read_tree(folders.left) == read_tree(folders.right)
    assert read_modes(folders.left) == read_modes(folders.right)
    again = folders.sync()
    assert again.to_device.total() == again.to_desktop.total() == 0
    assert again.bytes_sent + again.bytes_received < 1000


@pytest.mark.slow
def test_a_sparse_gigabyte(folders: Folders) -> None:
    if shutil.disk_usage(folders.folder).free < ROOM:
        pytest.skip("the disk has no room for a gigabyte twice")
    with (folders.left / "sparse").open("wb") as file:
        file.truncate(GIGABYTE)
        file.seek(GIGABYTE // 2)
        file.write(b"in the middle")
    result = folders.sync()
    assert result.to_device.created == 1 and not result.skipped
    copy = folders.right / "sparse"
    assert copy.stat().st_size == GIGABYTE
    with copy.open("rb") as file:
        file.seek(GIGABYTE // 2)
        assert file.read(13) == b"in the middle"
    assert folders.sync().to_device.total() == 0
