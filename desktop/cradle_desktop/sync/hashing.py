"""SHA-256 of a long content while it is read and sent: a thread beside hashes one piece as the next one comes.

hashlib lets go of the interpreter for large pieces, so that a second processor does what took half of the time.
"""

from __future__ import annotations

import hashlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queue import SimpleQueue
    from threading import Thread

# Bytes of content from which on a thread pays: it costs as much as hashing some hundred kilobytes.
AHEAD_FROM = 4 << 20


class RunningHash:
    """The hash of a content of about `size` bytes. Use it in `with`: its thread ends with the block."""

    def __init__(self, size: int) -> None:
        self._hash = hashlib.sha256()
        self._thread: Thread | None = None
        if size >= AHEAD_FROM:
            self._start()

    def _start(self) -> None:
        from queue import SimpleQueue
        from threading import Thread

        self._pieces: SimpleQueue[memoryview | None] = SimpleQueue()
        self._done: SimpleQueue[None] = SimpleQueue()
        self._done.put(None)
        self._thread = Thread(target=self._run, name="hash", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._hash.update(piece)
            self._done.put(None)

    def update(self, piece: memoryview) -> None:
        """The next piece; it must stay as it is until the update after this one returns, or `digest`."""
        if self._thread is None:
            self._hash.update(piece)
            return
        self._done.get()  # of the piece before
        self._pieces.put(piece)

    def digest(self) -> bytes:
        """Of all pieces; the last question."""
        self._end()
        return self._hash.digest()

    def _end(self) -> None:
        if self._thread is not None:
            self._pieces.put(None)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> RunningHash:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
