"""The contract of a link, as tests. Whoever writes a link inherits `LinkContract` and says how to make a pair of it."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from cradle_hardware.link import Link, LinkLost
from cradle_hardware.outbox import Outbox

PATIENCE = 10.0  # seconds for anything that must happen; then the test fails
GLANCE = 0.05  # seconds to see that nothing happens
PROMPT = 0.5  # seconds that a call which must not wait may take on a busy machine
MOST_QUEUED = 1 << 26  # bytes that systems take before they say that there is no room

Pair = tuple[Link, Link]


class Pump:
    """Moves bytes both ways between two ends in one thread, as the owner of a link does at each end."""

    def __init__(self, ends: Pair) -> None:
        self.ends = ends
        self.out = (Outbox(), Outbox())
        self.got = (bytearray(), bytearray())

    def step(self) -> None:
        """One turn at each end; waits a moment at the second."""
        for end, out, got in zip(self.ends, self.out, self.got, strict=True):
            out.send(end)
            got += end.read(65536)
        self.ends[1].wait(True, self.out[1].size > 0, 0.001)

    def until(self, first: int, second: int) -> None:
        """Go on until the ends have got so many bytes."""
        end = time.monotonic() + PATIENCE
        while len(self.got[0]) < first or len(self.got[1]) < second:
            assert time.monotonic() < end, f"stuck at {len(self.got[0])} and {len(self.got[1])} bytes"
            self.step()


def pattern(size: int, seed: int = 0) -> bytes:
    """All byte values in an order that shows what is lost or moved."""
    return bytes((i * 7 + (i >> 8) * 13 + seed) & 0xFF for i in range(size))


def fill(link: Link) -> int:
    """Write until there is no room; how much went in. No call may wait."""
    total = 0
    chunk = bytes(16384)
    while total < MOST_QUEUED:
        start = time.monotonic()
        taken = link.write_some([chunk])
        assert time.monotonic() - start < PROMPT, "write_some waited"
        if not taken:
            return total
        total += taken
    raise AssertionError("it never says that there is no room")


def drain(link: Link, size: int, writer: Link | None = None) -> bytes:
    """Read exactly so much, while the writer gets the chance to send what it took."""
    got = bytearray()
    end = time.monotonic() + PATIENCE
    while len(got) < size and time.monotonic() < end:
        if writer is not None:
            writer.wait(False, False, 0.0)
        got += link.read(size - len(got), GLANCE)
    assert len(got) == size
    return bytes(got)


class LinkContract:
    """Inherit, give `connected`, and set the attributes that differ. A stream inherits `StreamContract`."""

    size = 20_000  # bytes for the tests that move many
    reliable = True
    cable = False
    bound = False  # has a binding

    def connected(self) -> AbstractContextManager[Pair]:
        """Two ends of a new link; the second is the side that listened. Closed afterwards."""
        raise NotImplementedError

    def hang_up(self, ends: Pair) -> Link:
        """End the link; the end that must notice."""
        ends[0].close()
        return ends[1]

    @pytest.fixture
    def ends(self) -> Iterator[Pair]:
        with self.connected() as pair:
            yield pair

    def test_it_says_what_it_is(self, ends: Pair) -> None:
        first, second = ends
        Pump(ends).until(0, 0)
        for end in ends:
            assert (end.reliable, end.cable) == (self.reliable, self.cable)
            assert end.name and end.rate >= 0 and end.fileno() >= 0
        assert first.binding == second.binding and bool(first.binding) == self.bound

    def test_every_byte_value_passes_both_ways_at_once(self, ends: Pair) -> None:
        pump = Pump(ends)
        sent = pattern(self.size), pattern(self.size, 3)
        for out, data in zip(pump.out, sent, strict=True):
            out.add([data[:1], b"", data[1:1000], bytearray(data[1000:1001]), memoryview(data)[1001:]])
        pump.until(self.size, self.size)
        assert (bytes(pump.got[1]), bytes(pump.got[0])) == sent

    def test_nothing_yet_is_not_the_end(self, ends: Pair) -> None:
        for end in ends:
            assert end.read(10) == b"" and end.read_into(bytearray(10)) == 0
            assert end.wait(True, False, 0.0) == (False, False)

    def test_waiting_ends_in_time(self, ends: Pair) -> None:
        Pump(ends).step()
        for end in ends:
            start = time.monotonic()
            assert end.wait(True, False, GLANCE) == (False, False)
            assert end.read(10, GLANCE) == b""
            assert 1.8 * GLANCE < time.monotonic() - start < PROMPT

    def test_waiting_sees_what_arrives(self, ends: Pair) -> None:
        pump = Pump(ends)
        pump.out[0].add([b"x" * 100])
        pump.until(0, 1)
        pump.out[1].add([b"y"])
        pump.out[1].send(ends[1])
        assert ends[0].wait(True, False, PATIENCE)[0]
        assert drain(ends[0], 1) == b"y"

    def test_reading_takes_no_more_than_asked(self, ends: Pair) -> None:
        pump = Pump(ends)
        pump.out[0].add([pattern(100)])
        pump.out[0].send(ends[0])
        got = b""
        while len(got) < 100:
            part = ends[1].read(7, 1.0)
            assert 0 < len(part) <= 7
            got += part
        assert got == pattern(100)

    def test_writing_never_waits_and_room_comes_back(self, ends: Pair) -> None:
        first, second = ends
        Pump(ends).until(0, 0)
        self.settle(ends)
        taken = fill(first)
        drain(second, taken, first)
        assert first.wait(False, True, PATIENCE)[1]
        assert first.write_some([b"more"])

    def test_it_counts(self, ends: Pair) -> None:
        pump = Pump(ends)
        pump.out[0].add([b"12345"])
        pump.out[1].add([b"123"])
        pump.until(3, 5)
        assert (ends[0].sent, ends[0].received, ends[1].sent, ends[1].received) == (5, 3, 3, 5)

    def test_a_link_that_ended_is_lost_to_readers(self, ends: Pair) -> None:
        self.settle(ends)
        left = self.hang_up(ends)
        with pytest.raises(LinkLost) as lost:
            left.read(1, PATIENCE)
        assert lost.value.exit_code == 7 and left.name in str(lost.value)

    def test_a_link_that_ended_is_lost_to_writers(self, ends: Pair) -> None:
        self.settle(ends)
        left = self.hang_up(ends)
        end = time.monotonic() + PATIENCE
        with pytest.raises(LinkLost):
            while time.monotonic() < end:
                left.write_some([b"x"])
                left.wait(False, False, 0.01)

    def test_a_link_that_ended_wakes_who_waits(self, ends: Pair) -> None:
        self.settle(ends)
        left = self.hang_up(ends)
        assert left.wait(True, False, PATIENCE)[0]

    def test_closed_here_is_link_lost_here(self, ends: Pair) -> None:
        link = ends[0]
        link.close()
        link.close()
        for use in (
            lambda: link.read(1),
            lambda: link.write_some([b"x"]),
            lambda: link.wait(True, True, 0.0),
            link.fileno,
        ):
            with pytest.raises(LinkLost):
                use()

    def settle(self, ends: Pair) -> None:
        """Get what a link does at its start, such as a handshake, out of the way."""
        pump = Pump(ends)
        pump.out[0].add([b"?"])
        pump.until(0, 1)
        pump.out[1].add([b"!"])
        pump.until(1, 1)


class StreamContract(LinkContract):
    """Of links that are reliable streams: they end in order."""

    def test_last_words_come_before_the_end(self, ends: Pair) -> None:
        self.settle(ends)
        ends[0].write_some([b"last words"])
        ends[0].close()
        assert drain(ends[1], 10) == b"last words"
        with pytest.raises(LinkLost):
            ends[1].read(1, PATIENCE)
