"""A disk under the agent's logs that loses its power at any step, and what was not flushed with it. CPython only.

A step is a write, a flush, a rename or a removal. At the chosen one the power goes: it is done in part, and from then
on everything is an OSError, as on a board whose flash is dead before its processor. What was not flushed is gone, or
there, or torn.
"""

import io
import os
from random import Random

import pytest

from cradle_device import system


class PoweredDisk:
    """Takes the place of what `system` does with files. `hiccup`: only that one step fails."""

    def __init__(self, patch: pytest.MonkeyPatch, random: Random, steps: int = -1, hiccup: bool = False) -> None:
        self.random, self.left, self.done, self.dead, self.hiccup = random, steps, 0, False, hiccup
        self.durable: dict[str, bytes] = {}  # of files that were written since they were flushed
        self.removed: dict[str, bytes] = {}
        self._open, self._sync = system.open_private, system.sync_file
        self._replace, self._remove = system.replace, system.remove
        for name in ("open_private", "sync_file", "replace", "remove"):
            patch.setattr(system, name, getattr(self, name))

    def step(self) -> bool:
        """False: the power goes in this one. Raises OSError once it is gone."""
        if self.dead:
            raise OSError(5, "no power")
        self.done += 1
        goes_on = self.done - 1 != self.left
        self.dead = not goes_on and not self.hiccup
        return goes_on

    def open_private(self, path: str) -> "PoweredFile":
        if self.dead:
            raise OSError(5, "no power")
        if not os.path.exists(path):
            self.durable.setdefault(path, b"")
        self._open(path).close()
        return PoweredFile(path, self)

    def sync_file(self, file: "PoweredFile") -> None:
        goes_on = self.step()
        if goes_on or self.random.random() < 0.5:
            self.durable.pop(file.path, None)
        if not goes_on:
            raise OSError(5, "no power")

    def replace(self, old: str, new: str) -> None:
        goes_on = self.step()
        if goes_on or self.random.random() < 0.5:
            self._replace(old, new)
            self.durable.pop(new, None)
            if old in self.durable:
                self.durable[new] = self.durable.pop(old)
        if not goes_on:
            raise OSError(5, "no power")

    def remove(self, path: str) -> None:
        if not os.path.exists(path):
            return
        goes_on = self.step()
        if goes_on or self.random.random() < 0.5:
            with open(path, "rb") as file:
                self.removed[path] = file.read()
            self.durable.pop(path, None)
            self._remove(path)
        if not goes_on:
            raise OSError(5, "no power")

    def lose(self) -> None:
        """Of each file a part of what was not flushed is left; a removal may not have come to the disk."""
        for path, old in self.durable.items():
            with open(path, "r+b") as file:
                new = file.read()
                cut = self.random.randint(0, len(new))
                kept = new[:cut] + old[cut:]
                torn = self.random.randint(0, max(0, cut - len(old)))
                kept = (
                    kept[: cut - torn] + self.random.randbytes(torn) + kept[cut:]
                    if self.random.random() < 0.3
                    else kept
                )
                file.seek(0)
                file.truncate()
                file.write(kept)
        for path, data in self.removed.items():
            if self.random.random() < 0.3 and not os.path.exists(path):
                with open(path, "wb") as file:
                    file.write(data)


class PoweredFile(io.FileIO):
    """A file on it."""

    def __init__(self, path: str, disk: PoweredDisk) -> None:
        super().__init__(path, "r+b")
        self.path, self._disk = path, disk

    def write(self, data) -> int:  # type: ignore[no-untyped-def]
        data = bytes(data)
        whole = self._disk.step()
        if self.path not in self._disk.durable:
            with open(self.path, "rb") as file:
                self._disk.durable[self.path] = file.read()
        count = super().write(data if whole else data[: self._disk.random.randint(0, len(data))])
        if not whole:
            raise OSError(5, "no power")
        return count
