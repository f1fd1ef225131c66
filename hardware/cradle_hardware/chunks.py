"""Lists of bytes-like objects as one run of bytes: cut to a length, without copying what is large."""

from collections.abc import Sequence

from cradle_hardware.link import Buffer

# Chunks given to the system in one call. Its own limit is 1,024; more than this gains nothing.
MOST_CHUNKS = 256


def front(chunks: Sequence[Buffer], room: int) -> list[Buffer]:
    """The first `room` bytes, as at most MOST_CHUNKS pieces without empty ones."""
    found: list[Buffer] = []
    for chunk in chunks:
        size = len(chunk)
        if not size:
            continue
        if room <= 0 or len(found) == MOST_CHUNKS:
            break
        found.append(chunk if size <= room else memoryview(chunk)[:room])
        room -= size
    return found


def total(chunks: Sequence[Buffer]) -> int:
    """Bytes in all of them."""
    return sum(map(len, chunks))
