"""The command line over a serial line: two ptys with an emulated line between them, and real processes at both ends."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cradle_hardware.emulated import EmulatedLine, Line
from loopback.rig import Agent, Desktop, Pair, wait_until

FAST = 4_000_000  # bit a second: as fast as ports on pseudo terminals can be told to be


class Wire:
    """A line, the agent at its far end, a desktop at this one."""

    def __init__(self, line: EmulatedLine, desktop: Desktop, agent: Agent) -> None:
        self.line, self.pair = line, Pair(desktop, agent)
        self.desktop, self.agent = desktop, agent

    def meet(self) -> None:
        """Pair by possession: no code."""
        self.desktop.run("pair", self.line.desktop_address, "--name", "porch")
        self.desktop.run("enable", "porch", "files", "--store", str(self.pair.left))


@pytest.fixture
def wire(request: pytest.FixtureRequest, tmp_path: Path, desktop: Desktop) -> Iterator[Wire]:
    """`@pytest.mark.parametrize("wire", [{...}], indirect=True)` sets the line's faults."""
    faults: dict[str, Any] = getattr(request, "param", {})
    folder = tmp_path / "line"
    folder.mkdir()
    with (
        EmulatedLine(Line(**{"baud": FAST, "seed": 1, **faults}), folder) as line,
        Agent(tmp_path / "device", line.device_address) as agent,
    ):
        yield Wire(line, desktop, agent)


def test_a_cable_pairs_by_possession_and_syncs(wire: Wire) -> None:
    wire.meet()
    assert "fingerprint" in wire.agent.wait_for(r"(fingerprint \w+)")
    wire.pair.fill({"a": b"1" * 3000, "d/b": b""}, {"c": os.urandom(20_000)})
    report = wire.desktop.sync()
    assert report["types"][0]["to_device"]["created"] == 3
    assert wire.pair.equal()
    again = wire.desktop.sync()["types"][0]
    assert again["bytes_sent"] + again["bytes_received"] < 1000


NOISE = {
    "byte_errors": 1e-4,
    "bursts": 1e-5,
    "duplicates": 1e-5,
    "console": b"temperature 21.5\r\n",
    "console_every": 3000,
}


@pytest.mark.parametrize("wire", [NOISE], indirect=True)
def test_noise_and_console_text(wire: Wire) -> None:
    wire.meet()
    wire.pair.fill({"a": os.urandom(30_000)}, {"c": os.urandom(60_000)})
    result = wire.desktop.run("sync", "-v")
    assert wire.pair.equal()
    assert "temperature 21.5" in result.err


def test_the_cable_is_pulled_and_the_sync_goes_on_where_it_was(wire: Wire) -> None:
    wire.meet()
    wire.pair.fill({"small": b"x", "large": os.urandom(200_000)})
    wire.line.cut_after(120_000, to_device=True)
    result = wire.desktop.run("sync", expect=7)
    assert result.err.count("\n") == 1
    assert not (wire.pair.right / "large").exists()
    wire.line.mend()
    report = wire.desktop.sync()["types"][0]
    assert wire.pair.equal()
    assert report["resumed_bytes"] > 50_000 and report["bytes_sent"] < 160_000


def test_the_agent_outlives_hang_ups(wire: Wire) -> None:
    wire.meet()
    for k in range(3):
        wire.pair.fill({f"f{k}": b"%d" % k})
        wire.desktop.run("sync")
        wire.line.cut()
        wire.line.mend()
    wire.desktop.run("sync")
    assert wire.pair.equal()


@pytest.mark.slow  # the link machine waits for half a minute before it gives up
def test_the_agent_restarts_in_the_middle(wire: Wire) -> None:
    wire.meet()
    wire.pair.fill({"large": os.urandom(300_000)})
    running = wire.desktop.start("sync")
    wire.pair.under_way(50_000)
    wire.agent.kill()
    _, err = running.communicate(timeout=60)
    last = err.splitlines()[-1]  # a note that the device is silent may come before it
    assert running.process.returncode == 7 and last.startswith("cradle: ") and "Traceback" not in err, err
    wire.agent.start()
    wire.desktop.run("sync")
    assert wire.pair.equal()


@pytest.mark.slow  # three seconds of silence; a prompt that answers: below; a port that nobody has: test_cli_sync
def test_no_agent_at_the_other_end(wire: Wire) -> None:
    wire.meet()
    wire.agent.stop()
    assert "no agent answers" in wire.desktop.run("sync", expect=3).err


HOLDER = """
import fcntl, os, termios, time
port = os.open({port!r}, os.O_RDWR | os.O_NOCTTY)
fcntl.flock(port, fcntl.LOCK_EX)
fcntl.ioctl(port, termios.TIOCEXCL)
print("held", flush=True)
time.sleep(60)
"""


def test_a_port_that_another_program_holds(tmp_path: Path, wire: Wire) -> None:
    wire.meet()
    port = wire.line.desktop_address.removeprefix("serial:").partition("?")[0]
    script = HOLDER.format(port=port)
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        assert wire.desktop.run("sync", expect=8).err.count("\n") == 1
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_two_syncs_on_one_port(wire: Wire) -> None:
    """Replica or port, whatever the second one meets first: it is told, and the first one goes on."""
    wire.meet()
    wire.pair.fill({"large": os.urandom(150_000)})
    with wire.desktop.frozen_sync():
        second = wire.desktop.run("sync", expect=None)
        assert second.code in (1, 8) and second.err.count("\n") == 1
    assert wire.pair.equal()


def test_a_prompt_is_no_agent(tmp_path: Path, desktop: Desktop) -> None:
    """A board whose program has ended: what answers is Python's prompt."""
    master, slave = pty.openpty()
    try:
        import threading
        import tty

        tty.setraw(slave)
        stop = threading.Event()

        def prompt() -> None:
            import select

            while not stop.is_set():
                if select.select([master], [], [], 0.05)[0]:
                    os.read(master, 1000)
                    os.write(master, b"\r\n>>> ")

        thread = threading.Thread(target=prompt, daemon=True)
        thread.start()
        result = desktop.run("pair", f"serial:{os.ttyname(slave)}", expect=3)
        assert "prompt" in result.err
        stop.set()
        thread.join(5)
    finally:
        os.close(master)
        os.close(slave)


def test_an_agent_waits_for_its_port(tmp_path: Path, desktop: Desktop) -> None:
    with Agent(tmp_path / "device", f"serial:{tmp_path / 'late'}") as agent:
        wait_until(lambda: "is not there; waiting until it is" in agent.log())
        (tmp_path / "line").mkdir()
        with EmulatedLine(Line(baud=FAST, seed=1), tmp_path / "line") as line:
            (tmp_path / "late").symlink_to(line.device_address.removeprefix("serial:").partition("?")[0])
            desktop.run("pair", line.desktop_address, "--name", "porch")
