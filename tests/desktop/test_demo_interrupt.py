"""Ctrl-C in the demo, while it builds what its board loads or runs a command: one sentence, nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cradle_desktop.demo import micropython
from cradle_desktop.errors import EXIT_INTERRUPTED

START_S = 20.0


@pytest.mark.skipif(micropython() is None, reason="the MicroPython interpreter has no wheel for this machine")
def test_an_interrupt_while_the_board_is_built_ends_in_a_sentence(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "cradle_desktop.cli", "demo"],
        env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + START_S
    while not list(tmp_path.glob("cradle-demo-*/device-files")) and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.3)  # the bundler is at work: it takes about a second and a half
    os.killpg(demo.pid, signal.SIGINT)  # as a terminal does: the whole group
    words = demo.communicate(timeout=START_S)[1]
    assert demo.returncode == EXIT_INTERRUPTED
    assert b"Traceback" not in words
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", ["$ cradle pair ", "$ cradle sync "])
def test_an_interrupt_of_a_command_is_said_once(tmp_path: Path, step: str) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "cradle_desktop.cli", "demo", "--agent", "cpython"],
        env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert demo.stderr is not None
    while not demo.stderr.readline().startswith(step):
        assert demo.poll() is None
    os.killpg(demo.pid, signal.SIGINT)
    words = demo.communicate(timeout=START_S)[1]
    assert demo.returncode == EXIT_INTERRUPTED
    assert words.count("cradle: interrupted") == 1 and "Traceback" not in words
    assert not list(tmp_path.iterdir())
