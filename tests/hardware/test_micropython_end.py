"""The emulated line with a MicroPython program at the device's port, at full duplex."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cradle_hardware.address import open_link
from cradle_hardware.emulated import EmulatedLine, Line
from cradle_hardware.outbox import Outbox
from cradle_testing.links import PATIENCE, pattern
from micropython.dual import need

# Sends back what it gets. VMIN 0: else readinto waits until its buffer is full.
ECHO = """
import sys, select, termios
port = open(sys.argv[1], "r+b")
termios.setraw(port.fileno())
settings = termios.tcgetattr(port.fileno())
settings[6][6] = settings[6][5] = 0
termios.tcsetattr(port.fileno(), termios.TCSANOW, settings)
poll = select.poll()
poll.register(port, select.POLLIN)
print("ready")
room = bytearray(256)
while poll.poll(10000):
    size, sent = port.readinto(room), 0
    if not size:
        break
    while sent < size:
        sent += port.write(memoryview(room)[sent:size]) or 0
"""


@contextmanager
def echo(folder: Path) -> Iterator[None]:
    """Runs at the device's port until it is killed."""
    program = folder / "echo.py"
    program.write_text(ECHO)
    with subprocess.Popen(
        [need("micropython"), str(program), str(folder / "device")], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        yield
        process.kill()


@pytest.mark.alone
@pytest.mark.micropython
def test_an_echo_comes_back_whole_at_the_pace_of_the_line(tmp_path: Path) -> None:
    size = 4000
    with EmulatedLine(Line(baud=115200), tmp_path) as line, echo(tmp_path), open_link(line.desktop_address) as near:
        out, got = Outbox(), bytearray()
        out.add([pattern(size)])
        while len(got) < size:
            out.send(near)
            assert any(near.wait(True, out.size > 0, PATIENCE)), f"stuck at {len(got)} bytes"
            got += near.read(size)
        assert got == pattern(size)
        meter = line.meter(to_device=False)
        assert 0.9 < size / (meter.last - line.meter(to_device=True).first) / 11520 <= 1.0
