"""The life of one machine of a world: it may end between any two steps that change what the machine stores.

A machine that is killed keeps what its operating system has. One that loses its power keeps what was flushed; of what a
device had written to its log since then a part is there, and the last bytes of it may be any. CPython only.
"""

import os
from random import Random

from cradle_device.host_log import HostLog
from cradle_device.log import Log
from cradle_testing.fate import Dead
from cradle_testing.stores import MemoryStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

REWRITE_AT = 4000  # bytes of a log: so that those of small worlds are rewritten too
_TORN = 8  # bytes of one write to flash that may be any when it is broken off


class Lifeline:
    """Counts a machine's steps. `durable`: how much of each log file a loss of power leaves for certain; `dead`: it has
    died, and does nothing until it is armed anew."""

    def __init__(self, store: MemoryStore) -> None:
        store.on_act = self.act
        self.durable: dict[str, int] = {}
        self.arm(None)

    def arm(self, steps: "int | None") -> None:
        """Die when so many more steps are done; None: live on."""
        self._left, self.dead = steps, False

    def act(self) -> None:
        """A step is about to be done."""
        if self.dead or self._left == 0:
            self.dead = True
            raise Dead
        if self._left is not None:
            self._left -= 1

    def adapt(self, kind: "type[Any]") -> "type[Any]":
        """A class of metadata like `kind` for this machine."""

        class Own(FlashLog):
            life = self

        class Mortal(kind):  # type: ignore[misc]
            def _open_log(self, path: str, size: int) -> Log:
                return Own(path, size)

            def _wasteful(self) -> bool:
                return bool(self._log.end > REWRITE_AT)

        return Mortal

    def lose_power(self, random: Random) -> None:
        """Of what was not flushed a part is left, perhaps torn. No log may be open."""
        for path, durable in self.durable.items():
            if not os.path.exists(path):
                continue
            size = os.path.getsize(path)
            kept = random.randint(min(durable, size), size)
            with open(path, "r+b") as file:
                file.truncate(kept)
                torn = random.randint(0, min(_TORN, kept - min(durable, kept)))
                file.seek(kept - torn)
                file.write(random.randbytes(torn))
            self.durable[path] = kept


class FlashLog(HostLog):
    """A log on the flash of a machine that may die."""

    life: Lifeline

    def _open(self) -> None:
        super()._open()
        self.life.durable[self.path] = min(self._base, self.life.durable.get(self.path, self._base))

    def _write_out(self) -> None:
        if self._filled:
            self.life.act()
        super()._write_out()

    def flush(self) -> None:
        self._write_out()
        if self._unsynced:
            self.life.act()  # written and not flushed
        super().flush()
        self.life.durable[self.path] = self._base

    def rewrite(self, successor: Log) -> None:
        self.life.act()
        super().rewrite(successor)
        self.life.durable[self.path] = self._base
