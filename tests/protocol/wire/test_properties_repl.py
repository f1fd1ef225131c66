"""CE-23 at a real prompt: what a desktop sends to a dead agent's port reaches MicroPython's REPL, and nothing runs.

CPython only; needs the MicroPython unix port, whose prompt reads a pty as a board's reads its UART.
"""

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator

import pytest

from cradle_protocol.wire.link import LOST, LinkMachine
from cradle_protocol.wire.link_desktop import DesktopLink
from cradle_protocol.wire.parameters import LinkConfig
from micropython.dual import need
from protocol.wire.line import Dice

pytestmark = pytest.mark.micropython

PROGRAM = b"\x03\x03\r\nopen('harm', 'w').close()\r\n\x01open('harm', 'w')\x04\x02\x05open('harm', 'w')\x04\r"
QUIET = 0.3  # seconds without output: the prompt waits


@pytest.fixture
def prompt(tmp_path: "os.PathLike[str]") -> Iterator[int]:
    """The file descriptor of a terminal at which a MicroPython prompt waits; it runs in an empty folder."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([need("micropython"), "-i"], stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path)
    os.close(theirs)
    try:
        assert read(ours, b">>> ").endswith(b">>> ")
        yield ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read(terminal: int, until: bytes = b"") -> bytes:
    """What it prints, until this or until it is quiet."""
    text = b""
    limit = time.monotonic() + 10
    while time.monotonic() < limit and not (until and until in text):
        if select.select([terminal], [], [], QUIET)[0]:
            text += os.read(terminal, 4096)
        elif not until:
            break
    return text


def frames(data: bytes) -> Iterator[bytes]:
    """The frames that carry this toward a port that may be a REPL, as a machine sends them."""
    desktop, device = DesktopLink(LinkConfig(16, 512)), LinkMachine(False, LinkConfig(16, 512, repl=True))
    desktop.connect(0)
    device.receive_data(bytes(desktop.data_to_send(0)), 0)
    device.next_event()
    desktop.receive_data(bytes(device.data_to_send(0)), 0)
    desktop.next_event()
    desktop.send(data)
    while frame := bytes(desktop.data_to_send(0)):
        yield frame


def test_the_prompt_is_one(prompt: int, tmp_path: "os.PathLike[str]") -> None:
    """The rig itself: typed as it is, the program does run."""
    os.write(prompt, b"open('harm', 'w').close()\r")
    read(prompt, b">>> ")
    assert os.listdir(tmp_path) == ["harm"]


def test_ce23_frames_at_a_real_prompt(prompt: int, tmp_path: "os.PathLike[str]") -> None:
    sent = list(frames((PROGRAM + Dice(3).bytes(300)) * 8))
    assert sum(len(frame) for frame in sent) > 2000
    os.write(prompt, sent[0][len(sent[0]) // 2 :])  # the rest of the frame in which the agent died
    for frame in sent * 2:
        os.write(prompt, frame)
        select.select([prompt], [], [], 0.01)
    assert b"\n>>> " not in read(prompt) and os.listdir(tmp_path) == []
    os.write(prompt, b"\x03")
    assert read(prompt, b">>> ").endswith(b">>> ")
    assert os.listdir(tmp_path) == []


def test_ce23_the_prompt_is_recognized(prompt: int) -> None:
    """What the prompt prints when it is interrupted ends the link, at once."""
    desktop, device = DesktopLink(LinkConfig(4, 64)), LinkMachine(False, LinkConfig(4, 64, repl=True))
    desktop.connect(0)
    device.receive_data(bytes(desktop.data_to_send(0)), 0)
    device.next_event()
    desktop.receive_data(bytes(device.data_to_send(0)), 0)
    assert desktop.next_event() is not None and desktop.next_event() is None
    os.write(prompt, b"1/0\r")
    desktop.receive_data(read(prompt, b">>> "), 0)
    events = []
    while (event := desktop.next_event()) is not None:
        events.append(event)
    assert events[-1][0] == LOST and "prompt" in events[-1][1]
