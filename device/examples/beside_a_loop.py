"""A logger of your own with the agent beside it: every turn of the loop gives the agent a few milliseconds.

`run` is what the tests call; on a board the last lines are all there is.
"""

import time

from cradle_device import system
from cradle_device.agent import Agent
from cradle_device.providers.files import FilesStore

EVERY_S = 10


def measure():
    """Yours: read a sensor."""
    return 20.5


def log(root):
    """Append a reading. The agent finds the change when a desktop next asks."""
    with open(root + "/readings.csv", "a") as file:
        file.write("%d,%.1f\n" % (time.time(), measure()))


def run(agent, root, turns=None):
    """The program's own loop. `agent.poll()` never waits; it returns True while it has more to do at once."""
    due = 0
    while turns is None or turns > 0:
        if time.time() >= due:
            log(root)
            agent.notify("files")
            due = time.time() + EVERY_S
        if not agent.poll():
            time.sleep(0.002)
        turns = None if turns is None else turns - 1


def main():
    import sys

    from cradle_device.links.stream import StreamLink

    store = FilesStore.create("/data", system.random_bytes(16))
    agent = Agent("/cradle", [store], "logger")
    agent.attach(StreamLink(sys.stdin.buffer, sys.stdout.buffer, "usb", repl=True))
    run(agent, "/data")


if __name__ == "__main__":
    main()
