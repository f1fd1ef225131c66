"""Be a device under the unix port of MicroPython (or CPython): `micropython unix.py --listen ADDRESS --root DIR ...`.

--listen  tcp:HOST:PORT (plain; port 0 is not possible there) or serial:PATH (a pty or serial port)
--root    the folder that is synced; made a store if it is none
--state   where keys and metadata are kept; ROOT/../state by default
--name    what this device calls itself

Prints `listening ADDRESS` when it can be reached.
"""

import gc
import sys
import time

# Bytes of garbage after which it is collected, and not only when the heap is full: what lasts, the code to begin with,
# then lies close together, and a small heap is not cut into pieces.
GARBAGE = 4096
if hasattr(gc, "mem_free"):  # MicroPython's
    gc.threshold(GARBAGE)

from cradle_device import system  # noqa: E402
from cradle_device.agent import Agent  # noqa: E402
from cradle_device.providers.files import FilesStore  # noqa: E402
from cradle_protocol.errors import ProtocolError  # noqa: E402

# Idle waits: short while something is going on, so that a line of 921600 baud never waits for us.
BUSY_S, IDLE_S = 0.001, 0.01
CALM = 200
# How often a port is looked for that is not there.
LOOK_MS = 200
WRAP = 0x3FFFFFFF  # where the counter of milliseconds begins anew


def options(words):
    """{name: value} of `--name value` pairs."""
    found = {}
    for k in range(0, len(words), 2):
        if not words[k].startswith("--") or k + 1 == len(words):
            raise SystemExit("unix.py: %s has no value" % words[k])
        found[words[k][2:]] = words[k + 1]
    return found


def listen(agent, address):
    """Attach the agent to a line, or have it listen on a port; the address to print."""
    scheme, _, rest = address.partition(":")
    rest = rest.lstrip("/") if scheme == "tcp" else rest
    place = rest.partition("?")[0]
    if scheme == "serial":
        agent.listen(Port(place))
        return "serial:" + place
    if scheme == "tcp":
        from cradle_device.links.tcp import TcpListener

        host, _, port = place.rpartition(":")
        agent.listen(TcpListener(host, int(port)))
        return "tcp://%s:%s?plain=1" % (host, port)
    raise SystemExit("unix.py: --listen takes tcp:HOST:PORT or serial:PATH, not %s" % address)


class Port:
    """A serial port that may go and come back, as a USB gadget's does; it is opened again when it is there."""

    def __init__(self, path):
        self.path, self.link = path, None
        self.looked = system.now_ms() - LOOK_MS

    def accept(self, timeout):
        """A link, if the port is there and the last link is gone. It never waits."""
        if self.link is not None and self.link.open:
            return None
        if (system.now_ms() - self.looked) & WRAP < LOOK_MS:
            return None
        from cradle_device.links.stream import open_tty

        self.looked = system.now_ms()
        try:
            self.link = open_tty(self.path)
            return self.link
        except OSError:
            return None


def serve(agent):
    """Poll for ever."""
    calm = 0
    while True:
        if agent.poll():
            calm = 0
        else:
            calm += 1
            time.sleep(IDLE_S if calm > CALM else BUSY_S)


def main(words):
    wanted = options(words)
    root = wanted["root"]
    system.make_directory(root)
    store = FilesStore.create(root, system.random_bytes(16))
    state = wanted.get("state") or (root.rstrip("/").rpartition("/")[0] or ".") + "/state"
    try:
        agent = Agent(state, [store], wanted.get("name", "unix"))
        address = listen(agent, wanted["listen"])
    except ProtocolError as error:
        raise SystemExit("unix.py: " + error.text)
    print("listening", address)  # noqa: T201  whoever started this waits for it
    serve(agent)


if __name__ == "__main__":
    main(sys.argv[1:])
