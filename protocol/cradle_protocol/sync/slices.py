"""Long work in slices: generators that do a little, yield, and return their result at the end. Knows no clock, no task.

Who runs one can serve a link or a user's loop between slices; a slice has a bound in operations on the store, whatever
the store holds. Nobody else may use the same replica meanwhile; the objects may change, as they may at any time.
"""

from cradle_protocol.compat import MICROPYTHON, sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeVar

    from cradle_protocol.provider.store import Reader

    Result = TypeVar("Result")
    Slices = Generator[None, None, Result]

# Objects, or records of a log, in a slice: each costs up to five operations where nothing is done about it,
STRIDE = 8 if MICROPYTHON else 16
# and some twenty where it is looked for once more, compared with others and written.
FEW = STRIDE // 4
# Bytes of content in a slice: some reads of a board's buffer; a millisecond of hashing elsewhere.
SPAN = 4096 if MICROPYTHON else 1 << 20
# Bytes read at once by a store that has no buffer of its own.
PIECE = 512 if MICROPYTHON else 256 << 10


def whole(slices: "Slices[Result]") -> "Result":
    """Run all slices at once; their result."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def hashing(reader: "Reader", buffer: memoryview) -> "Slices[bytes]":
    """SHA-256 of what a reader gives, through a buffer that is free between slices. Closes the reader."""
    hasher, done = sha256(), 0
    try:
        while True:
            count = reader.read_into(buffer)
            if not count:
                return hasher.digest()
            hasher.update(buffer[:count])
            done += count
            if done >= SPAN:
                done = 0
                yield
    finally:
        reader.close()
