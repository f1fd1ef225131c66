"""What waits to go out on a link. It keeps the order and copies nothing: what was added must not change until sent."""

from collections import deque
from collections.abc import Iterable
from itertools import islice

from cradle_hardware.chunks import MOST_CHUNKS
from cradle_hardware.link import Buffer, Link


class Outbox:
    """A queue of chunks. Unbounded: its owner looks at `size` before adding more."""

    def __init__(self) -> None:
        self.size = 0  # bytes waiting
        self._chunks: deque[memoryview] = deque()

    def add(self, chunks: Iterable[Buffer]) -> None:
        """Put chunks at the end."""
        for chunk in chunks:
            if len(chunk):
                self._chunks.append(memoryview(chunk))
                self.size += len(chunk)

    def send(self, link: Link) -> int:
        """Hand over what the link takes now; how many bytes that was. Never waits."""
        before = self.size
        while self._chunks:
            offered = list(islice(self._chunks, MOST_CHUNKS))
            taken = link.write_some(offered)
            self._drop(taken)
            if taken < sum(map(len, offered)):
                break
        return before - self.size

    def _drop(self, count: int) -> None:
        """Forget the first `count` bytes."""
        self.size -= count
        while count:
            first = self._chunks[0]
            if len(first) > count:
                self._chunks[0] = first[count:]
                return
            count -= len(first)
            self._chunks.popleft()

    def clear(self) -> None:
        """Forget everything: after the link is lost."""
        self._chunks.clear()
        self.size = 0
