"""Ctrl-C through the command line: once it ends when what is in hand is done, once more at once. Real processes."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cradle_testing.trees import read_tree
from loopback.rig import LONG, RUNS, Agent, Pair, Running, command, environment, wait_until

SMALL = {f"s{k:03}": b"%d" % k for k in range(300)}


def interrupted(running: Running, times: int) -> tuple[str, str]:
    """Ctrl-C, so often; what was printed. No traceback, and the exit code that says it."""
    for _ in range(times):
        running.process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    out, err = running.communicate()
    assert running.process.returncode == 130 and "Traceback" not in err, err
    return out, err


def test_the_first_ctrl_c_finishes_what_is_in_hand(pair: Pair) -> None:
    pair.fill({"large": os.urandom(LONG)})
    running = pair.desktop.start("sync")
    pair.under_way()
    (pair.left / "later").write_bytes(b"after the scan")
    out, err = interrupted(running, 1)
    assert "once more ends at once" in err.splitlines()[0] and err.splitlines()[1].startswith("cradle: interrupted")
    assert "kiosk files: to the device 1 created" in out
    assert read_tree(pair.right) == {"large": (pair.left / "large").read_bytes()}
    [one] = pair.desktop.sync()["types"]
    assert one["to_device"]["created"] == 1 and one["bytes_sent"] < 1000 and pair.equal()


def test_the_second_ctrl_c_ends_at_once_and_the_next_sync_resumes(pair: Pair) -> None:
    pair.fill({"large": os.urandom(LONG)})
    pair.age()
    running = pair.desktop.start("sync")
    pair.under_way()
    interrupted(running, 2)
    assert "large" not in read_tree(pair.right)
    [one] = pair.desktop.sync()["types"]
    assert one["resumed_bytes"] > 0 and pair.equal()


def test_what_is_received_is_whole_and_reported(pair: Pair) -> None:
    pair.fill(right={"large": os.urandom(LONG), **SMALL})
    running = pair.desktop.start("sync", "--json")
    own = pair.left / ".cradle" / "tmp"
    wait_until(lambda: own.exists() and any(path.stat().st_size > 10_000 for path in own.iterdir() if path.exists()))
    out, _ = interrupted(running, 1)
    [one] = json.loads(out)["types"]
    assert one["to_desktop"]["created"] == len(read_tree(pair.left)) and (pair.left / "large").exists()
    pair.desktop.run("sync")
    assert pair.equal()


@contextmanager
def frozen(agent: Agent) -> Iterator[None]:
    """The agent stands still while the block runs."""
    process = agent._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def test_before_anything_was_done_it_ends_at_once(pair: Pair) -> None:
    pair.fill({"a": b"1"})
    with frozen(pair.agent):  # it answers nothing
        running = pair.desktop.start("sync")
        wait_until(lambda: any(path.stat().st_size for path in (pair.desktop.home / "state" / "locks").glob("*")))
        time.sleep(0.2)
        begun = time.monotonic()
        _, err = interrupted(running, 1)
        assert time.monotonic() - begun < 5 and "interrupted" in err
    pair.desktop.run("sync")
    assert pair.equal()


def test_a_program_ends_a_sync_from_another_thread(pair: Pair) -> None:
    """The manager's `cancel`: a report as usual, and the next sync does the rest."""
    pair.fill({"large": os.urandom(LONG), **SMALL})
    program = """
import threading
from cradle_desktop.manager import ServiceManager
from cradle_desktop.sync.report import Observer

class Ear(Observer):
    def progress(self, event):
        if event.stage == "send" and event.bytes > 1_000_000:
            sending.set()

with ServiceManager() as manager:
    assert manager.cancel() is False
    sending = threading.Event()
    other = threading.Thread(target=lambda: (sending.wait(), print(manager.cancel())))
    other.start()
    report = manager.sync(manager.partner("kiosk"), None, Ear())
    other.join()
    [one] = report.types
    print(report.cancelled, one.cancelled, one.up.applied, one.up.bytes, report.started > 1e9)
    assert manager.partner("kiosk").last_sync is None
"""
    done = subprocess.run(
        [command()[0], "-c", program], env=environment(pair.desktop.home), capture_output=True, text=True,
        timeout=RUNS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = done.stdout.split()
    assert said[:3] == ["True", "True", "True"] and said[5] == "True"
    assert int(said[3]) == len(read_tree(pair.right)) and int(said[4]) >= LONG
    pair.desktop.run("sync")
    assert pair.equal()


# Sends the process Ctrl-C when the module is looked for, or at the process's end, then runs the command.
INTERRUPTING = """
import atexit, os, signal, sys
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == MODULE:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
if not MODULE:
    atexit.register(os.kill, os.getpid(), signal.SIGINT)
from cradle_desktop.entry import main
sys.exit(main())
"""


@pytest.mark.parametrize(("module", "code", "lines"), [
    ("cradle_desktop.cli", 130, 1), ("cradle_desktop.version", 130, 1), ("argparse", 130, 1),
    ("cradle_desktop.manager", 130, 1), ("", 0, 0),
])  # fmt: skip
def test_an_interrupt_while_it_starts_or_ends(tmp_path: Path, module: str, code: int, lines: int) -> None:
    program = INTERRUPTING.replace("MODULE", repr(module))
    done = subprocess.run(
        [command()[0], "-c", program, "status", "-q"], env=environment(tmp_path), cwd=tmp_path, capture_output=True,
        text=True, timeout=RUNS, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (code, lines), done.stderr
    assert "Traceback" not in done.stderr
