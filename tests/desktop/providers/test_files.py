"""The folder store on a real disk: the contract, then what only a disk can do to it."""

import time
from pathlib import Path

from cradle_desktop.providers.files import FilesStore
from cradle_desktop.providers.kernel import Kernel
from cradle_testing.folder_hand import FolderHand
from cradle_testing.store_contract import ObjectStoreContract


class Clock:
    """The real clock and an offset that tests turn."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> int:
        return time.time_ns() + int(self.offset * 1e9)

    def advance(self, seconds: float) -> None:
        self.offset += seconds


class TestFilesStore(ObjectStoreContract):
    switches: "tuple[str, ...]" = ()

    def make(self, tmp_path: Path) -> "tuple[FilesStore, FolderHand]":
        clock, kernel = Clock(), Kernel()
        for switch in self.switches:
            setattr(kernel, switch, False)
        FilesStore.create(tmp_path / "root").close()
        return FilesStore(tmp_path / "root", clock, kernel), FolderHand(tmp_path / "root", clock.advance)


class TestWithoutSwap(TestFilesStore):
    switches = ("exchange", "no_replace", "beneath")


class TestWithoutLinks(TestFilesStore):
    switches = ("exchange", "no_replace", "links")
