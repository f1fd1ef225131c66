"""The command line and the agent as a board has it: the bundle, under MicroPython, with a board's heap."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cradle_hardware.emulated import EmulatedLine, Line
from cradle_testing.trees import read_tree
from loopback.rig import Agent, Desktop, Pair
from loopback.test_cli_preview import look_then_sync
from micropython.dual import ROOT, need

pytestmark = [pytest.mark.micropython, pytest.mark.timeout(240)]

HEAP = "192k"  # of the unix port, where an object takes twice what it takes on a board of 32 bits
FAST = 4_000_000  # bit a second
# Bytes of the large files. The emulated line moves less than half a megabyte a second.
LARGE_LINE, LARGE_TCP = 3 << 20, 20 << 20


class BoardAgent(Agent):
    """boot/unix.py as a process."""

    board: Path
    heap = HEAP

    def launch(self, out: int, err: int) -> "subprocess.Popen[bytes]":
        words = [need("micropython"), "-X", "heapsize=" + self.heap, str(ROOT / "device/boot/unix.py")]
        words += ["--listen", self.listen, "--root", str(self.root), "--state", str(self.state)]
        environment = {"PATH": "/usr/bin:/bin", "MICROPYPATH": f"{self.board}:.frozen"}
        return subprocess.Popen([*words, "--name", self.name], env=environment, stdout=out, stderr=err)


@pytest.fixture
def porch(tmp_path: Path, desktop: Desktop, board: Path) -> Iterator[Pair]:
    """Paired over a line; the agent is still there."""
    (tmp_path / "line").mkdir()
    with EmulatedLine(Line(baud=FAST, seed=1), tmp_path / "line") as line:
        agent = BoardAgent(tmp_path / "device", line.device_address, "porch")
        agent.board = board
        with agent:
            desktop.run("pair", line.desktop_address, "--name", "porch")
            pair = Pair(desktop, agent)
            desktop.run("enable", "porch", "files", "--store", str(pair.left))
            yield pair


def with_more_heap(pair: Pair) -> None:
    """What a thousand files take today: they have fitted into 192k, and shall again."""
    pair.agent.kill()
    pair.agent.heap = "200k"  # type: ignore[attr-defined]
    pair.agent.start()


def over_tcp(pair: Pair) -> None:
    """The same board on the network: it was paired over a cable, and is known by its key."""
    pair.agent.kill()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        pair.agent.listen = f"tcp:127.0.0.1:{probe.getsockname()[1]}"
    pair.agent.start()
    pair.desktop.run("pair", pair.agent.address)


def both_ways(pair: Pair, count: int, large: int) -> None:
    """Fill both sides, sync; nothing is left to do; an edit of each side and a large file each way."""
    tree = {f"folder {k % 20}/a file with a name {k}": b"%d" % k * 20 for k in range(count)}
    pair.fill(tree, {"own": b"1", "large here": os.urandom(large)})
    report = pair.desktop.sync()["types"][0]
    assert (report["to_device"]["created"], report["to_desktop"]["created"]) == (count + 20, 2)
    assert pair.equal()
    again = pair.desktop.sync()["types"][0]
    assert again["bytes_sent"] + again["bytes_received"] < 1000
    pair.fill({"folder 1/a file with a name 1": b"edited", "large there": os.urandom(large)}, {"own": b"edited"})
    (pair.left / "folder 2").rename(pair.left / "renamed")
    report = pair.desktop.sync()["types"][0]
    assert not report["skipped"] and not report["conflicts"]
    assert (report["to_device"]["updated"], report["to_desktop"]["updated"]) == (1, 1)
    assert pair.equal()


def test_a_tree_over_the_line(porch: Pair) -> None:
    both_ways(porch, 60, 20_000)


def test_a_filter(porch: Pair) -> None:
    """More names than a board knows exceptions; some are filled in, and go again. What it made itself stays."""
    porch.fill({f"d{k % 10}/{k}": b"%d" % k for k in range(300)}, {"own": b"1"})
    words = ["enable", "porch", "files", "--store", str(porch.left)]
    porch.desktop.run(*words, "--on-demand")
    porch.desktop.run("sync")
    assert read_tree(porch.right) == {"own": b"1"} and (porch.left / "own").exists()
    porch.desktop.run("get", "porch", ":d7")
    assert len(list((porch.right / "d7").iterdir())) == 30
    (porch.right / "d7" / "7").unlink()
    (porch.right / "d8").mkdir()
    (porch.right / "d8" / "made").write_bytes(b"there")
    report = porch.desktop.sync()["types"][0]
    assert (report["to_desktop"]["deleted"], report["to_desktop"]["created"], report["skipped"]) == (1, 1, [])
    porch.desktop.run(*words, "--no-filter")  # nothing is asked for any more
    porch.desktop.run(*words, "--include", "d8/")
    porch.desktop.run("sync")
    assert len(list((porch.right / "d8").iterdir())) == 31 and not (porch.right / "d7").exists()
    assert len(read_tree(porch.left)) == 311
    again = porch.desktop.sync()["types"][0]
    assert again["bytes_sent"] + again["bytes_received"] < 1500


def test_a_tree_over_tcp(porch: Pair) -> None:
    over_tcp(porch)
    both_ways(porch, 60, 20_000)


def test_looking_at_a_board_touches_nothing(porch: Pair) -> None:
    over_tcp(porch)
    look_then_sync(porch)


@pytest.mark.slow
def test_a_thousand_files_over_the_line(porch: Pair) -> None:
    with_more_heap(porch)
    both_ways(porch, 1000, LARGE_LINE)


@pytest.mark.slow
def test_a_thousand_files_and_twenty_megabytes_over_tcp(porch: Pair) -> None:
    with_more_heap(porch)
    over_tcp(porch)
    both_ways(porch, 1000, LARGE_TCP)
