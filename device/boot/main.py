"""The smallest program that makes a board a device: copy it to the board as main.py, with `make board`'s lib beside it.

The USB serial port stays the board's console: what this program prints arrives at the desktop as text, and Ctrl-C
still stops it. To go on with a program of your own, call `agent.poll()` in its loop (examples/beside_a_loop.py).
"""

import gc
import sys
import time

gc.threshold(4096)  # before anything is imported: a heap that is collected early is not cut into pieces

from cradle_device import system  # noqa: E402
from cradle_device.agent import Agent  # noqa: E402
from cradle_device.links.stream import StreamLink  # noqa: E402
from cradle_device.providers.files import FilesStore  # noqa: E402

try:
    from machine import unique_id  # a board's own number: a copied card becomes a new replica
except ImportError:

    def unique_id():
        return b""


store = FilesStore.create("/data", system.random_bytes(16))
agent = Agent("/cradle", [store], "board", hardware=unique_id())
agent.attach(StreamLink(sys.stdin.buffer, sys.stdout.buffer, "usb", repl=True))
while True:
    if not agent.poll():
        time.sleep(0.002)
