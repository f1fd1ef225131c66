"""Hypothesis profiles, tests that run alone, and the rule that a run leaves no thread and no process behind."""

import ctypes
import fcntl
import os
import signal
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from micropython.board import made_board

# A shell starts what it puts into the background deaf to Ctrl-C, and so would be every command that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

SLOW_MACHINE = [HealthCheck.too_slow]  # two shared cores: generation time says nothing about the code

settings.register_profile("dev", max_examples=30, deadline=None, suppress_health_check=SLOW_MACHINE)
settings.register_profile("ci", max_examples=300, deadline=None, suppress_health_check=SLOW_MACHINE)
settings.register_profile("deterministic", max_examples=30, deadline=None, derandomize=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> "Generator[None, object, object]":
    """Under several workers, nothing runs beside a test that is marked `alone`.

    Others share the room, that one has it for itself; it waits at the door, so that nobody goes in before it.
    """
    if not hasattr(item.config, "workerinput"):
        return (yield)
    kind = fcntl.LOCK_SH if item.get_closest_marker("alone") is None else fcntl.LOCK_EX
    door, room = os.open(__file__, os.O_RDONLY), os.open(os.path.dirname(__file__), os.O_RDONLY)
    try:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, kind)
        fcntl.flock(door, fcntl.LOCK_UN)
        return (yield)
    finally:
        fcntl.flock(room, fcntl.LOCK_UN)
        os.close(door)
        os.close(room)


PR_SET_CHILD_SUBREAPER = 36  # Linux: orphans of our children become ours, so that none escapes the check
GRACE = 3.0  # seconds for what a test has told to end


@pytest.fixture(scope="session", autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail the run if threads or child processes are still there after its last test."""
    if os.path.exists("/proc/self/stat"):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + GRACE
    while (left := _threads(before) + _children()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left, "left running by a test: " + ", ".join(left)


def _threads(before: "set[threading.Thread]") -> "list[str]":
    """Living threads that were not there before, but for the watchdog of the test that is ending."""
    new = [t for t in threading.enumerate() if t not in before and t.is_alive()]
    return ["thread " + t.name for t in new if not t.name.startswith("pytest_timeout")]


def _children() -> "list[str]":
    """Living children (not zombies) of this process, by number and command line."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            command = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended while we looked
        if int(parent) == os.getpid() and state != "Z":
            found.append(f"process {stat.parent.name} {command}")
    return found


@pytest.fixture(scope="session")
def board(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make board` puts on a board."""
    cache = getattr(request.config, "cache", None)
    return made_board(cache.mkdir("board") if cache is not None else tmp_path_factory.mktemp("boards"))
