"""Rows that other programs of a machine hand to the agent that runs there, and on to a desktop. Real processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from loopback.rig import CODE, Agent, Desktop, environment, wait_until
from loopback.test_cli_readings import rows_in

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def pi(tmp_path: Path) -> Agent:
    """An agent that takes rows; its state folder is deeper than a socket's name may be long."""
    return Agent(tmp_path / ("deep" * 30) / "device", name="pi", words=["--type", "readings"])


def bring(pi: Agent, *rows: str, expect: int = 0) -> str:
    """`cradle agent record` beside the agent; what it said."""
    return Desktop(pi.base).run("agent", "record", "-v", "--state", str(pi.state), *rows, expect=expect).err


def test_rows_of_other_programs_arrive_once(pi: Agent, desktop: Desktop) -> None:
    """Also those that were answered right before the agent was asked to end, and after it was killed."""
    store = desktop.home / "rows.db"
    with pi:
        desktop.run("pair", pi.address, "--name", "pi", "--code", CODE)
        desktop.run("enable", "pi", "readings", "--store", str(store))
        assert "row 0" in bring(pi, '{"number": 0}')
        assert desktop.sync()["types"][0]["to_desktop"]["created"] == 1
        assert "row 2" in bring(pi, '{"number": 1}', '{"number": 2}')
        assert pi.stop() == 0
        pi.start()
        assert desktop.sync()["types"][0]["to_desktop"]["created"] == 2
        pi.kill()
        pi.start()
        lines = "".join(f'{{"number": {n}}}\n' for n in range(3, 103))
        words = [sys.executable, "-m", "cradle_desktop.cli", "agent", "record", "--state", str(pi.state)]
        subprocess.run(words, input=lines, text=True, env=environment(pi.base), check=True, timeout=60)
        desktop.sync()
        assert [(row, number) for _, row, number in rows_in(store)] == [(n, n) for n in range(103)]


def test_rows_that_are_none_and_agents_that_are_not_there(pi: Agent) -> None:
    assert "no agent takes readings at" in bring(pi, "{}", expect=3)
    with pi:
        said = bring(pi, "[1]", "21.5", "{", json.dumps({"text": "x" * 900}), '{"fine": NaN}', expect=5)
        assert said.count("a row is one JSON object") == 3 and "is longer than 800" in said and "row 0" in said
    assert "no agent takes readings at" in bring(pi, "{}", expect=3)


def test_where_the_socket_may_be(tmp_path: Path) -> None:
    """A file of the user's stays; another agent's socket too."""
    place = tmp_path / "rows"
    place.write_text("mine")
    device = Desktop(tmp_path / "home")
    (tmp_path / "root").mkdir()
    run = ["agent", "run", "--root", str(tmp_path / "root"), "--listen", "tcp://127.0.0.1:0?plain=1"]
    assert "is no socket" in device.run(*run, "--type", f"readings={place}", expect=1).err
    assert place.read_text() == "mine"
    assert "is there twice" in device.run(*run, "--type", "readings", "--type", f"readings={place}", expect=2).err
    place.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        os.chdir(tmp_path)
        other.bind("rows")
        other.listen()
        assert "another agent takes readings" in device.run(*run, "--type", f"readings={place}", expect=1).err


def test_a_program_that_does_not_read_or_end_its_lines(pi: Agent) -> None:
    """It is hung up on; others go on, and half a line is no row."""
    with pi:
        short = f"/proc/self/fd/{os.open(pi.state, os.O_RDONLY)}/readings.sock"
        with socket.socket(socket.AF_UNIX) as rude, socket.socket(socket.AF_UNIX) as half:
            half.connect(short)
            half.sendall(b'{"half": 1')
            half.close()
            rude.connect(short)
            rude.settimeout(20)
            with pytest.raises(OSError):
                while True:
                    rude.sendall(b"x\n" * 20000)
            wait_until(lambda: "row 0" in bring(pi, "{}"))
