"""One object type of this agent: its store, and the metadata that belong to that very store. Knows no session."""

import time

from cradle_device import system
from cradle_device.metadata import CLOCK, HARDWARE, STORE, LogMetadata
from cradle_protocol.compat import MICROPYTHON
from cradle_protocol.errors import ProtocolError
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.detect import MAX_MOVES, Scan, detecting
from cradle_protocol.sync.slices import whole
from cradle_protocol.sync.version import new_replica_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_device.conversation import Conversation
    from cradle_protocol.provider.store import ObjectStore
    from cradle_protocol.sync.overlay import Overlay
    from cradle_protocol.sync.slices import Slices

# One more note of `metadata`: u32 generation and text of the store's filter.
FILTER = 4
# Objects among which a scan looks for moves: on a board each costs 100 bytes while it lasts.
_MOVES = 64 if MICROPYTHON else MAX_MOVES
NO_ID = bytes(16)
# Seconds between two notes of the time: one small write to flash a day.
_DAY = 86400


class Replica:
    """A store and its metadata. `holder`: the session that has it open; nobody else may touch either until it is done.

    folder    state directory
    hardware  the machine's own id: a card that moved to another machine with its state becomes a new replica
    log       the class of its metadata
    """

    def __init__(
        self, store: "ObjectStore", folder: str, hardware: bytes = b"", log: "type[LogMetadata]" = LogMetadata
    ) -> None:
        self.store = store
        self._log = log
        self.holder: "Conversation | None" = None
        self._folder, self._hardware = folder, hardware
        self._meta: LogMetadata | None = None
        self._store_id = b""
        self._recovered = False

    def read(self) -> None:
        """Read the log now: the one thing that takes as long as it is, and is not done in slices, is no poll's.

        Whatever is wrong is told when a session asks. A store or log that comes back later is read then.
        """
        try:
            self.meta()
        except (StoreError, OSError, ProtocolError, MemoryError):
            self.close()

    def meta(self) -> LogMetadata:
        """The metadata of the store that is there now. Raises StoreError(NO_STORE), OSError."""
        store_id = self.store.store_id()
        if self._meta is None or store_id != self._store_id:
            self.close()
            self._meta = self._open(store_id)
            self._store_id = store_id
        return self._meta

    def _open(self, store_id: bytes) -> LogMetadata:
        name = "".join(["%02x" % byte for byte in store_id[:4]])
        path = "%s/%s-%s.log" % (self._folder, self.store.type, name)
        meta = self._log(path, len(self.store.units), fresh_id())
        foreign = meta.note(STORE) not in (b"", store_id)
        new = not meta.note(STORE)
        meta.set_note(STORE, store_id)
        if self._moved(meta) or foreign:
            meta.renew(fresh_id())
        elif new:
            meta.commit()  # never otherwise: it would drop the intents that `recover` has to see
        return meta

    def _moved(self, meta: LogMetadata) -> bool:
        """Is this other hardware than that on which these metadata were kept? Notes which it is."""
        known = meta.note(HARDWARE)
        if self._hardware:
            meta.set_note(HARDWARE, self._hardware)
        return bool(self._hardware) and known not in (b"", self._hardware)

    def facts(self) -> "tuple[str, bytes, bytes, int]":
        """(type, store id, replica id, live objects) as a session's start tells them; zeros while the store is away."""
        try:
            meta = self._meta if self.holder is not None and self._meta is not None else self.meta()
        except (StoreError, OSError):
            return self.store.type, NO_ID, NO_ID, 0
        return self.store.type, self._store_id, meta.replicas[0], meta.live()

    def scan(self) -> "Slices[Scan]":
        """Settle what a restart left, then look for changes. Raises StoreError where the store is missing."""
        meta = yield from self._settling()
        self._tell_clock(meta)
        scan = yield from detecting(self.store, meta, _MOVES)
        yield from self.tidy()
        return scan

    def settled(self) -> LogMetadata:
        """The metadata, once what a restart or a broken batch left behind is settled. Raises StoreError, OSError."""
        return whole(self._settling())

    def _settling(self) -> "Slices[LogMetadata]":
        meta = self.meta()
        if not self._recovered:
            if meta.pending():
                from cradle_protocol.sync.recover import (
                    recovering,
                )  # a board loads it when there is something to settle

                yield from recovering(self.store, meta)
            self._recovered = True
        return meta

    def filter(self) -> "tuple[int, bytes]":
        """(generation, text) of the store's filter: (0, nothing) while it has none."""
        note = self.meta().note(FILTER)
        return int.from_bytes(note[:4], "big"), note[4:]

    def tidy(self) -> "Slices[None]":
        """After a commit: rewrite a log that is mostly void. What ends that in the middle leaves the old one."""
        assert self._meta is not None
        done = False
        try:
            yield from self._meta.tidy()
            done = True
        finally:
            if not done:
                self.unsettled()

    def check_tick(self, known: int) -> "Slices[None]":
        """A partner has seen a later tick: this state was set back, and its next ticks are not to be used twice."""
        meta = yield from self._settling()
        if meta.tick < known:
            meta.renew(fresh_id())

    def _tell_clock(self, meta: LogMetadata) -> None:
        """A store that asks is told the highest time seen here: a clock below it was set back, or never set."""
        if not hasattr(self.store, "highest"):
            return
        highest = int.from_bytes(meta.note(CLOCK) or b"\x00", "big")
        self.store.highest = highest
        now = int(time.time())
        if now > highest + _DAY:
            meta.set_note(CLOCK, now.to_bytes(6, "big"))

    def look(self) -> "Slices[tuple[Overlay, Scan]]":
        """A scan for a preview: nothing is written anywhere. Raises StoreError; MemoryError where it does not fit."""
        from cradle_protocol.sync.overlay import Overlay  # a board loads it when somebody asks

        overlay = Overlay(self.meta())
        scan = yield from detecting(self.store, overlay, _MOVES, True)
        return overlay, scan

    def unsettled(self) -> None:
        """A batch was broken off, or the log cannot be written: go on as after a restart, once the log can be read.

        Not by a rollback: where the disk is full, that fails as well, and half a batch would count later.
        """
        self.close()

    def close(self) -> None:
        """Let go of the log; what was not committed is lost, as in a power cut."""
        if self._meta is not None:
            self._meta.close()
        self._meta, self._recovered = None, False


def fresh_id() -> bytes:
    """The id of a new replica of a device."""
    return new_replica_id(system.random_bytes(16), False)
