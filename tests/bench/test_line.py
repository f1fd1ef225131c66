"""The emulated line of the benchmarks keeps its rate, and damages what it should."""

import os
import threading
import time

import pytest

from benchmarks.line import Direction, Line

BAUD = 921600
PAYLOAD = os.urandom(40_000)


def send(line: Line, payload: bytes) -> bytes:
    """Pass the payload from one end to the other."""
    out = os.open(line.paths[1], os.O_RDWR | os.O_NOCTTY)
    end = os.open(line.paths[0], os.O_RDWR | os.O_NOCTTY)

    def write() -> None:
        at = 0
        while at < len(payload):
            at += os.write(end, payload[at : at + 1000])

    writer = threading.Thread(target=write)
    writer.start()
    got = b""
    while len(got) < len(payload):
        got += os.read(out, 65536)
    writer.join()
    os.close(end)
    os.close(out)
    return got


@pytest.mark.alone
def test_clean_line_carries_its_rate() -> None:
    line = Line(BAUD, 0.0, seed=1)
    try:
        started = time.monotonic()
        assert send(line, PAYLOAD) == PAYLOAD
        wall, busy = time.monotonic() - started, line.busy_time()
    finally:
        line.close()
    least = len(PAYLOAD) / (BAUD / 10)
    assert least <= busy < least * 1.1
    assert wall > least * 0.95


def test_the_same_seed_damages_the_same_bytes() -> None:
    def damaged(seed: int) -> bytes:
        way = Direction(-1, -1, BAUD / 10, 1e-3, seed)
        return b"".join(way._damage(PAYLOAD[at : at + 777]) for at in range(0, len(PAYLOAD), 777))

    wrong = sum(a != b for a, b in zip(damaged(5), PAYLOAD))
    assert damaged(5) == damaged(5) != damaged(6)
    assert 15 < wrong < 80  # 40 expected
