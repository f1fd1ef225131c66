"""Real `cradle` processes on this machine: a desktop with a home of its own, and agents. No tests here."""

import json
import os
import re
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from cradle_testing.trees import read_tree, write_tree
from loopback.nursery import Child, Nursery

ROOT = Path(__file__).resolve().parents[2]
PATH = os.pathsep.join(str(ROOT / name) for name in ("protocol", "device", "hardware", "desktop", "tests"))
CODE = "418302"
# Seconds. Generous: two shared cores, several test runs beside this one.
STARTS, RUNS, ENDS = 20.0, 60.0, 10.0
LOOK = 0.002  # seconds between looks for something that comes soon
# A transfer that can be met half-way: it takes a tenth of a second at the least. Under way: so much of it has arrived.
LONG, UNDER_WAY = 40_000_000, 1_000_000


def environment(home: Path) -> dict[str, str]:
    """Nothing of the user's own: state in `home`, no colours, English words."""
    keep = {k: v for k, v in os.environ.items() if k in ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "COVERAGE_PROCESS_START")}
    return {**keep, "HOME": str(home), "CRADLE_HOME": str(home / "state"), "PYTHONPATH": PATH, "LANG": "C.UTF-8"}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "cradle_desktop.cli", *words]


# The thorough profile starts each command as a user does; else they are forked where one has loaded what they need.
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "ci"


@cache
def nursery() -> Nursery:
    """Where this test run forks its commands; tests/loopback/conftest.py closes it."""
    return Nursery(environment(ROOT))


def launch(words: Sequence[str], home: Path, out: int, err: int) -> "Child | subprocess.Popen[bytes]":
    """Start a command in its home; `out` and `err`: descriptors that it prints to."""
    with open(os.devnull) as nothing:
        if THOROUGH:
            streams = {"stdin": nothing, "stdout": out, "stderr": err}
            return subprocess.Popen(command(*words), env=environment(home), cwd=home, **streams)
        return nursery().start(words, environment(home), home, (nothing.fileno(), out, err))


@dataclass
class Result:
    """What one command did."""

    code: int | None
    out: str
    err: str

    def document(self) -> Any:
        """The JSON document, which must be all there is on stdout."""
        return json.loads(self.out)


class Running:
    """A command that runs in a home. What it prints is in files, and read at its end."""

    def __init__(self, words: Sequence[str], home: Path) -> None:
        self._files = [TemporaryFile("w+", encoding="utf-8") for _ in range(2)]  # noqa: SIM115  until the command ends
        out, err = (file.fileno() for file in self._files)
        self.process = launch(words, home, out, err)

    def communicate(self, timeout: float = RUNS) -> tuple[str, str]:
        """Wait for its end; what it printed to stdout and stderr. A command that is not done in time is killed."""
        try:
            self.process.wait(timeout)
        finally:
            self.kill()
        texts = []
        for file in self._files:
            with file:
                file.seek(0)
                texts.append(file.read())
        return texts[0], texts[1]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(ENDS)


class Desktop:
    """A desktop: a home folder in which `cradle` commands run."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)

    def run(self, *words: str, expect: int | None = 0) -> Result:
        """Run a command to its end; `expect` is the exit code it must have."""
        running = self.start(*words)
        out, err = running.communicate(RUNS)
        result = Result(running.process.returncode, out, err)
        assert "Traceback" not in result.err, result.err
        if expect is not None:
            assert result.code == expect, f"cradle {' '.join(words)}: {result}"
        return result

    def start(self, *words: str) -> "Running":
        """Start a command and leave it running; the caller waits for it."""
        return Running(words, self.home)

    def sync(self, *words: str, expect: int | None = 0) -> Any:
        """Sync and return the JSON document."""
        return self.run("sync", "--json", *words, expect=expect).document()

    @contextmanager
    def frozen_sync(self) -> "Iterator[Running]":
        """A sync that stands still from the moment it has locked what it syncs until the end of `with`."""
        running = self.start("sync")
        wait_until(lambda: any(path.stat().st_size for path in (self.home / "state" / "locks").glob("*")))
        running.process.send_signal(signal.SIGSTOP)
        try:
            yield running
        finally:
            running.process.send_signal(signal.SIGCONT)
            out, err = running.communicate(RUNS)
        assert running.process.returncode == 0, (out, err)


class Agent:
    """A `cradle agent run` process. Use it in `with`: it is ended, whatever happens."""

    def __init__(
        self, base: Path, listen: str = "tcp://127.0.0.1:0?plain=1", name: str = "kiosk", words: Sequence[str] = ()
    ) -> None:
        self.base, self.listen, self.name, self.words = base, listen, name, words
        self.root, self.state = base / "root", base / "state"
        self.root.mkdir(parents=True, exist_ok=True)
        self.address = ""
        self._process: Child | subprocess.Popen[bytes] | None = None
        self._stdout = -1
        self._printed = b""

    def __enter__(self) -> "Agent":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until it listens; a second start listens where the first did."""
        self._printed = b""
        self._stdout, theirs = os.pipe()
        try:
            with open(self.base / "log", "ab") as log:
                self._process = self.launch(theirs, log.fileno())
        finally:
            os.close(theirs)
        self.address = self.wait_for(r"listening (\S+)")

    def launch(self, out: int, err: int) -> "Child | subprocess.Popen[bytes]":
        """Start the process."""
        listen = self.address or self.listen
        words = ["agent", "run", "--listen", listen, "--root", str(self.root), "--state", str(self.state)]
        return launch([*words, "--name", self.name, "--code", CODE, *self.words], self.base, out, err)

    def wait_for(self, pattern: str, seconds: float = STARTS) -> str:
        """Wait until stdout holds a match; return its first group."""
        until = time.monotonic() + seconds
        while not (found := re.search(pattern, self._printed.decode())):
            ready, _, _ = select.select([self._stdout], [], [], max(0, until - time.monotonic()))
            more = os.read(self._stdout, 4096) if ready else b""
            assert more, f"no {pattern!r}: {self._printed!r} {self.log()}"
            self._printed += more
        return found.group(1)

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._ended()

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._ended()

    def _ended(self) -> int:
        assert self._process is not None
        code = self._process.wait(ENDS)
        os.close(self._stdout)
        self._process = None
        return code

    def limit_files(self, size: int) -> None:
        """Let the running agent write no file beyond this size; -1: any."""
        assert self._process is not None
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, -1))

    def log(self) -> str:
        """What it said on stderr, over all its starts."""
        return (self.base / "log").read_text(errors="replace")


def wait_until(done: "Callable[[], bool]") -> None:
    """Look until it is so."""
    until = time.monotonic() + STARTS
    while not done():
        assert time.monotonic() < until, "it never came"
        time.sleep(LOOK)


@dataclass
class Pair:
    """A desktop paired with an agent, `files` enabled. left: the desktop's folder; right: the device's."""

    desktop: Desktop
    agent: Agent

    @property
    def left(self) -> Path:
        return self.desktop.home / "left"

    @property
    def right(self) -> Path:
        return self.agent.root

    def meet(self, *words: str) -> None:
        """Pair and enable."""
        self.desktop.run("pair", self.agent.address, "--name", self.agent.name, "--code", CODE)
        self.desktop.run("enable", self.agent.name, "files", "--store", str(self.left), *words)

    def fill(self, left: "dict[str, Any] | None" = None, right: "dict[str, Any] | None" = None) -> None:
        """Write files on either side."""
        write_tree(self.left, left or {})
        write_tree(self.right, right or {})

    def trees(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        return read_tree(self.left), read_tree(self.right)

    def under_way(self, size: int = UNDER_WAY) -> None:
        """Wait until the device has so much of a large object."""
        own = self.right / ".cradle"
        wait_until(lambda: any(path.stat().st_size > size for path in own.rglob("*") if path.exists()))

    @staticmethod
    def age() -> None:
        """Wait until what was just written is no longer too young to be told from a later edit (the racy rule)."""
        time.sleep(2.1)

    def equal(self) -> bool:
        """Do both sides hold the same?"""
        left, right = self.trees()
        return left == right
