"""The contract of all stores, on the board's store. CPython only: the contract's source alone fills a board's heap."""

import time
from pathlib import Path

import pytest

from cradle_device.providers.files import FilesStore
from cradle_testing.folder_hand import FolderHand
from cradle_testing.store_contract import ObjectStoreContract


class TestFilesStore(ObjectStoreContract):
    @pytest.fixture(autouse=True, params=[16, 4096])
    def _buffer(self, request: pytest.FixtureRequest) -> None:
        self.buffer = bytearray(request.param)

    def make(self, tmp_path: Path) -> "tuple[FilesStore, FolderHand]":
        offset = [0.0]

        def advance(seconds: float) -> None:
            offset[0] += seconds

        root = str(tmp_path / "root")
        FilesStore.create(root, b"i" * 16)
        store = FilesStore(root, self.buffer, lambda: time.time() + offset[0])
        return store, FolderHand(root, advance)
