"""A logger: a row every second, beside an agent that hands the rows to every desktop that wants them.

`append` does not wait: a row lies in memory until 512 bytes or 30 seconds have come together, and is then written to
flash; from then on it survives a power cut. No desktop has to come by: when there is no more room the oldest rows go,
and are counted. `run` is what the tests call; on a board the last lines are all there is.
"""

import time

from cradle_device import system
from cradle_device.agent import Agent
from cradle_device.readings import Readings

EVERY_MS = 1000
WRAP = 0x3FFFFFFF  # where the counter of milliseconds begins anew


def measure(number):
    """Yours: read a sensor."""
    return {"number": number, "temperature": 20 + number % 7 / 2}


def run(agent, readings, every_ms=EVERY_MS, turn=None):
    """The program's own loop: a row each `every_ms`, whatever a desktop asks for meanwhile. `turn` may end it."""
    last = system.now_ms()
    while turn is None or turn():
        if (system.now_ms() - last) & WRAP >= every_ms:
            last = (last + every_ms) & WRAP
            readings.append(measure(readings.next))
        if not agent.poll():
            time.sleep(0.002)


def main():
    import sys

    from cradle_device.links.stream import StreamLink

    agent = Agent("/cradle", [], "logger")
    readings = Readings(agent)
    agent.attach(StreamLink(sys.stdin.buffer, sys.stdout.buffer, "usb", repl=True))
    run(agent, readings)


if __name__ == "__main__":
    main()
