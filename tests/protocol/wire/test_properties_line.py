"""Random lines: any two configurations, any mix of faults, owners that pause, drain or take nothing. CPython only.

A failing seed is in the name of the failing case; `pytest -k "[123]"` replays it.
"""

import pytest

from cradle_protocol.wire.link import CONNECTED, LOST
from cradle_protocol.wire.parameters import LinkConfig
from protocol.wire.line import MILLION, Clean, Dice, Doubled, Line, Lossy, Noise, Printing, Twice

FEW, MANY = 15, 200  # seeds
WINDOWS = (1, 2, 3, 4, 8, 16, 40, 64)
SIZES = (64, 100, 256, 700, 2048)


class Mixed(Clean):
    """Some faults, one after the other."""

    def __init__(self, dice: Dice) -> None:
        choices = (
            (2, lambda: Noise((300, 1000, 5000, 20000)[dice.below(4)], dice.below(MILLION))),
            (3, lambda: Lossy((1500, 6000)[dice.below(2)], (5, 30, 60)[dice.below(3)], dice.below(MILLION))),
            (4, lambda: Doubled(3000, dice.below(MILLION))),
            (4, lambda: Printing(1 + dice.below(6))),
            (6, Twice),
        )
        self.faults = [make() for odds, make in choices if dice.below(odds) == 0]

    def pass_on(self, data: bytes, now: int) -> bytes:
        for fault in self.faults:
            data = fault.pass_on(data, now)
        return data


def config(dice: Dice) -> LinkConfig:
    return LinkConfig(
        WINDOWS[dice.below(8)],
        SIZES[dice.below(5)],
        slots=(0, 0, 0, 1, 2)[dice.below(5)],
        send=(0, 0, 300, 5000)[dice.below(4)],
        repl=dice.below(2) == 0,
        tag=dice.below(256),
        idle_ms=(0, 2000)[dice.below(2)],
    )


def random_line(dice: Dice) -> Line:
    return Line(
        config(dice),
        config(dice),
        (Mixed(dice), Mixed(dice)),
        delay=(0, 0, 5000, 200000)[dice.below(4)],
        ahead=(0, 0, 500, 5000)[dice.below(4)],
        piece=(0, 0, 1, 13)[dice.below(4)],
        start=0x3FFFFFFF - dice.below(30000),
    )


def meddle(over: Line, dice: Dice) -> None:
    """What an owner may do meanwhile."""
    what = dice.below(40)
    if what == 0:
        over.device.hold = True
        over.device.machine.set_busy(True, over.ms())
        over.run(over.device.machine.drained, 120)
        over.wait(dice.below(MILLION // 2))
        over.device.machine.set_busy(False, over.ms())
        over.device.hold = False
        over.device.drain()
    elif what == 1:
        over.desktop.hold = True
        over.wait(dice.below(3 * MILLION))
        over.desktop.hold = False
        over.desktop.drain()
    else:
        for _ in range(30):
            over.step()


@pytest.mark.parametrize("seed", range(FEW))
def test_every_byte_once_and_in_order(seed: int) -> None:
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FEW, MANY))
def test_every_byte_once_and_in_order_on_many_lines(seed: int) -> None:
    check(seed)


def check(seed: int) -> None:
    """Both ways, everything arrives."""
    dice = Dice(seed * 7919)
    over = random_line(dice).connect()
    data, back = dice.bytes(2000 + dice.below(15000)), dice.bytes(dice.below(15000))
    over.desktop.source, over.device.source = memoryview(data), memoryview(back)
    while len(over.device.got) < len(data) or len(over.desktop.got) < len(back):
        meddle(over, dice)
        assert LOST not in over.desktop.events + over.device.events
        assert over.now < 3600 * MILLION
    assert bytes(over.device.got) == data and bytes(over.desktop.got) == back
    assert over.desktop.events == [CONNECTED]
