"""Installing and removing with check and act in one step. Knows places and what is aside, no identities and no values.

Theory: an object is replaced by swapping it with the new one, which lies beside it under a name of ours. What came out
is then looked at: if it is not what was expected, a user was quicker, and both are swapped back, so that the user's
bytes are current. A save between those two swaps comes out of the second one; swapping goes on until what comes out is
what was put in, the newest stays in its place, and what has no place any more is rescued. What is displaced for good is
deleted, or kept where somebody may want it back (`kept`).

Without an atomic swap the old file is given a second name first, and is put back if it changed; a save *by rename*
between link and rename is lost there. Without hard links, so is any save between the look and the rename. Creating is
a rename that never replaces; see `Kernel.rename_new` for where that is not to be had.
"""

import os
import stat
from collections.abc import Callable

from cradle_desktop.providers.folder import Place
from cradle_desktop.providers.kept import Kept
from cradle_desktop.providers.kernel import Kernel
from cradle_desktop.providers.staging import Staging
from cradle_desktop.providers.stamps import Stamps
from cradle_protocol.errors import CHANGED, COLLISION
from cradle_protocol.provider.store import StoreError

# Saves that may come between our swaps, one after the other, before we give up and rescue.
MAX_SWAPS = 16


class Bench:
    """Where new objects are made ready and old ones put aside: an open directory on the disk of the target."""

    def __init__(self, fd: int, aside: "Callable[[], str]") -> None:
        self.fd, self.aside = fd, aside


class Replacer:
    """The steps, for one open store."""

    def __init__(self, kernel: Kernel, staging: Staging, kept: Kept, stamps: Stamps) -> None:
        self.kernel, self.staging, self.kept, self.stamps = kernel, staging, kept, stamps

    def create(self, place: Place, bench: Bench, name: str) -> None:
        """Move what is ready at the bench to a place that must be free."""
        try:
            self.kernel.rename_new(bench.fd, name, place.fd, place.name)
        except FileExistsError as error:
            raise self.taken(place) from error

    def taken(self, place: Place) -> StoreError:
        """Why a place that had to be free is not: an object came there, or something that no scan shows as it."""
        there = place.stat()
        if there is not None and self.stamps.pack(there) is None:
            return StoreError(COLLISION, "something that is no file or directory has this name")
        return StoreError(CHANGED)

    def replace(self, place: Place, bench: Bench, name: str, expected: bytes) -> None:
        """Move what is ready at the bench to a place that must hold what is expected, which goes."""
        aside = bench.aside()
        self.kernel.rename(bench.fd, name, bench.fd, aside)  # what comes out never bears a stage's name
        try:
            mine = os.stat(aside, dir_fd=bench.fd, follow_symlinks=False)
            if self.kernel.swap(bench.fd, aside, place.fd, place.name):
                self._settle(place, bench, aside, mine, expected)
            else:
                self._replace_by_link(place, bench, aside, expected)
        except (OSError, StoreError):
            self._restore(bench, aside, name)
            raise

    def _restore(self, bench: Bench, aside: str, name: str) -> None:
        """A replacement failed: what was to be installed is a stage again, if it is still aside."""
        try:
            self.kernel.rename(bench.fd, aside, bench.fd, name)
        except FileNotFoundError:
            pass

    def _settle(self, place: Place, bench: Bench, aside: str, mine: os.stat_result, expected: bytes) -> None:
        """After the swap: drop what came out, or swap back."""
        out = Place(bench.fd, aside, own=False)
        if self.stamps.still(out.stat(), expected) and self._discard(out):
            return
        self._swap_back(place, out, mine)
        raise StoreError(CHANGED)

    def _swap_back(self, place: Place, out: Place, mine: os.stat_result) -> None:
        """Put what came out back. A save that came in between comes out in turn: the newest ends up in the place."""
        put = mine.st_ino
        for _ in range(MAX_SWAPS):
            was = out.stat()
            if was is None or not self.kernel.swap(out.fd, out.name, place.fd, place.name):
                break
            came = out.stat()
            if came is None or came.st_ino == put:
                break  # nothing came in between: what was put last came out
            put = was.st_ino
        left = out.stat()
        if left is not None and _facts(left) != _facts(mine):
            self.staging.rescue(out.fd, out.name)

    def _discard(self, out: Place) -> bool:
        """Part with what came out. False if it is a directory that is not empty, or was to be kept and cannot be."""
        there = out.stat()
        if there is None or not stat.S_ISDIR(there.st_mode):
            return self.kept.part(out)
        try:
            os.rmdir(out.name, dir_fd=out.fd)
        except OSError:
            return False
        return True

    def _replace_by_link(self, place: Place, bench: Bench, ready: str, expected: bytes) -> None:
        """No atomic swap here: see the head of the file for what that costs."""
        there = place.stat()
        if there is None or not self.stamps.still(there, expected):
            raise StoreError(CHANGED)
        new = os.stat(ready, dir_fd=bench.fd, follow_symlinks=False)
        if stat.S_ISDIR(there.st_mode) or stat.S_ISDIR(new.st_mode):
            self._replace_kind(place, bench, ready, expected)
            return
        old = Place(bench.fd, bench.aside(), own=False)
        if not self.kernel.link(place.fd, place.name, old.fd, old.name):
            if not self.kept.copy_first(place):
                raise StoreError(CHANGED)
            self.kernel.rename(bench.fd, ready, place.fd, place.name)
            return
        if not self.stamps.still(old.stat(), expected):
            os.unlink(old.name, dir_fd=old.fd)
            raise StoreError(CHANGED)
        self.kernel.rename(bench.fd, ready, place.fd, place.name)
        if not self.stamps.still(old.stat(), expected) or not self.kept.part(old):  # written in place meanwhile
            self.kernel.rename(old.fd, old.name, place.fd, place.name)
            raise StoreError(CHANGED)

    def _replace_kind(self, place: Place, bench: Bench, ready: str, expected: bytes) -> None:
        """A file where a directory was, or the reverse, without a swap: the name is free for an instant."""
        old = Place(bench.fd, bench.aside(), own=False)
        self.kernel.rename(place.fd, place.name, old.fd, old.name)
        try:
            if not self.stamps.still(old.stat(), expected):
                raise StoreError(CHANGED)
            self.create(place, bench, ready)
        except (OSError, StoreError):
            self.put_back(place, old)
            raise
        if not self._discard(old):
            self.kernel.rename(place.fd, place.name, bench.fd, ready)
            self.put_back(place, old)
            raise StoreError(CHANGED)

    def put_back(self, place: Place, out: Place) -> None:
        """Give what was taken away its place back; if that is taken meanwhile, the newer stays and this is rescued."""
        try:
            self.kernel.rename_new(out.fd, out.name, place.fd, place.name)
        except OSError:
            self.staging.rescue(out.fd, out.name)

    def remove(self, place: Place, bench: Bench, expected: bytes) -> None:
        """Take a file away that must be what is expected."""
        out = Place(bench.fd, bench.aside(), own=False)
        self.kernel.rename(place.fd, place.name, out.fd, out.name)
        if not self.stamps.still(out.stat(), expected) or not self.kept.part(out):
            self.put_back(place, out)
            raise StoreError(CHANGED)


def _facts(st: os.stat_result) -> "tuple[int, int, int]":
    return st.st_ino, st.st_size, st.st_mtime_ns
