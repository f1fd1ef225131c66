"""The example's logger as a device of its own, on both interpreters; it tells a file what it knows to be durable.

Usage: logging_device.py BOOT EXAMPLES --listen ADDRESS --state DIR --name NAME --journal FILE [--every MS] [--rows N]
[--bound BYTES]; BOOT and EXAMPLES are folders of device/. No tests here.
"""

import gc
import sys

if hasattr(gc, "mem_free"):
    gc.threshold(4096)
sys.path[:0] = sys.argv[1:3]

import logger  # noqa: E402
import unix  # noqa: E402

from cradle_device import system  # noqa: E402
from cradle_device.agent import Agent  # noqa: E402
from cradle_device.readings import Readings  # noqa: E402


class Journal:
    """Called each turn of the loop: notes what is acknowledged, and the longest time that a turn took."""

    def __init__(self, readings, path, rows):
        self.readings, self.rows = readings, rows
        self.file = open(path, "a")  # noqa: SIM115  until the end
        self.said, self.last, self.longest = -1, system.now_ms(), 0

    def __call__(self):
        now = system.now_ms()
        self.longest = max(self.longest, (now - self.last) & logger.WRAP)
        self.last = now
        if self.readings.acknowledged != self.said:
            self.said = self.readings.acknowledged
            self.file.write(f"{self.said} {self.longest}\n")
            self.file.flush()
        return self.readings.next < self.rows


def main(words):
    wanted = unix.options(words)
    agent = Agent(wanted["state"], [], wanted["name"])
    bound = int(wanted.get("bound", 1 << 20))
    readings = Readings(agent, bound, min(16384, bound // 4))
    print("listening", unix.listen(agent, wanted["listen"]))  # noqa: T201  whoever started this waits for it
    turn = Journal(readings, wanted["journal"], int(wanted.get("rows", 1 << 30)))
    logger.run(agent, readings, int(wanted.get("every", 1000)), turn)
    readings.flush()
    turn()
    unix.serve(agent)


main(sys.argv[3:])
