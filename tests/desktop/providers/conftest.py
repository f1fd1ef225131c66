"""A store on a real folder, a kernel with somebody who acts in between, and a user who is not root."""

import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cradle_desktop.providers.files import FilesStore
from cradle_desktop.providers.kernel import Kernel
from cradle_testing.folder_hand import FolderHand

NOBODY = 65534


class Meddled(Kernel):
    """The real calls, with a user who acts between two of them.

    before, after   {name of the call: what the user does}; each is done once
    """

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, list[Callable[[], object]]] = {}
        self.after: dict[str, list[Callable[[], object]]] = {}

    def _act(self, when: "dict[str, list[Callable[[], object]]]", call: str) -> None:
        if when.get(call):
            when[call].pop(0)()

    def rename_new(self, src: int, old: str, dst: int, new: str) -> None:
        self._act(self.before, "rename_new")
        super().rename_new(src, old, dst, new)
        self._act(self.after, "rename_new")

    def rename(self, src: int, old: str, dst: int, new: str) -> None:
        self._act(self.before, "rename")
        super().rename(src, old, dst, new)
        self._act(self.after, "rename")

    def swap(self, src: int, old: str, dst: int, new: str) -> bool:
        self._act(self.before, "swap")
        done = super().swap(src, old, dst, new)
        self._act(self.after, "swap")
        return done

    def link(self, src: int, old: str, dst: int, new: str) -> bool:
        done = super().link(src, old, dst, new)
        self._act(self.after, "link")
        return done


@pytest.fixture
def kernel() -> Meddled:
    return Meddled()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    FilesStore.create(tmp_path / "root").close()
    return tmp_path / "root"


@pytest.fixture
def store(root: Path, kernel: Meddled) -> "Iterator[FilesStore]":
    store = FilesStore(root, kernel=kernel)
    yield store
    store.close()


@pytest.fixture
def hand(root: Path) -> FolderHand:
    return FolderHand(root)


def unprivileged(act: "Callable[[], object]", *given: Path) -> None:
    """Run `act` as a user whom permissions bind; root does so in a child process, after giving these paths away."""
    if os.geteuid() != 0:
        act()
        return
    for path in given:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            act()
            status = 0
        except BaseException:  # noqa: BLE001  whatever it is, the parent must hear of it
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "see the traceback of the child process"
