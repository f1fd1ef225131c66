"""The worked exchange: what the code says today is what the vector, and so the specification, says."""

from protocol.wire.checks import load
from protocol.wire.exchange import exchange


def test_exchange():
    held = load("exchange")
    made = exchange()
    assert made["session"] == held["session"]
    assert made["link"] == held["link"]
