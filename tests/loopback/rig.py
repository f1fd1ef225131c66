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
from pathlib import Path
from typing import Any

from cradle_testing.trees import read_tree, write_tree

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


@dataclass
class Result:
    """What one command did."""

    code: int
    out: str
    err: str

    def document(self) -> Any:
        """The JSON document, which must be all there is on stdout."""
        return json.loads(self.out)


class Desktop:
    """A desktop: a home folder in which `cradle` commands run."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)

    def run(self, *words: str, expect: int | None = 0, feed: str = "", **extra: str) -> Result:
        """Run a command to its end; `expect` is the exit code it must have."""
        env = environment(self.home) | extra
        done = subprocess.run(
            command(*words),
            env=env,
            cwd=self.home,
            input=feed,
            capture_output=True,
            text=True,
            timeout=RUNS,
            check=False,
        )
        result = Result(done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in result.err, result.err
        if expect is not None:
            assert result.code == expect, f"cradle {' '.join(words)}: {result}"
        return result

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command and leave it running; the caller waits for it."""
        return subprocess.Popen(
            command(*words), env=environment(self.home), cwd=self.home, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def sync(self, *words: str, expect: int | None = 0) -> Any:
        """Sync and return the JSON document."""
        return self.run("sync", "--json", *words, expect=expect).document()

    @contextmanager
    def frozen_sync(self) -> "Iterator[subprocess.Popen[str]]":
        """A sync that stands still from the moment it has locked what it syncs until the end of `with`."""
        running = self.start("sync")
        wait_until(lambda: any(path.stat().st_size for path in (self.home / "state" / "locks").glob("*")))
        running.send_signal(signal.SIGSTOP)
        try:
            yield running
        finally:
            running.send_signal(signal.SIGCONT)
            out, err = running.communicate(timeout=RUNS)
        assert running.returncode == 0, (out, err)


class Agent:
    """A `cradle agent run` process. Use it in `with`: it is ended, whatever happens."""

    def __init__(
        self, base: Path, listen: str = "tcp://127.0.0.1:0?plain=1", name: str = "kiosk", words: Sequence[str] = ()
    ) -> None:
        self.base, self.listen, self.name, self.words = base, listen, name, words
        self.root, self.state = base / "root", base / "state"
        self.root.mkdir(parents=True, exist_ok=True)
        self.address = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._printed = b""

    def __enter__(self) -> "Agent":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until it listens; a second start listens where the first did."""
        self._printed = b""
        with open(self.base / "log", "ab") as log:
            self._process = subprocess.Popen(self.command(), env=self.environment(), stdout=subprocess.PIPE, stderr=log)
        self.address = self.wait_for(r"listening (\S+)")

    def command(self) -> "list[str]":
        """How the process is started."""
        listen = self.address or self.listen
        words = ["agent", "run", "--listen", listen, "--root", str(self.root), "--state", str(self.state)]
        return command(*words, "--name", self.name, "--code", CODE, *self.words)

    def environment(self) -> "dict[str, str]":
        return environment(self.base)

    def wait_for(self, pattern: str, seconds: float = STARTS) -> str:
        """Wait until stdout holds a match; return its first group."""
        assert self._process is not None and self._process.stdout is not None
        until = time.monotonic() + seconds
        while not (found := re.search(pattern, self._printed.decode())):
            ready, _, _ = select.select([self._process.stdout], [], [], max(0, until - time.monotonic()))
            more = os.read(self._process.stdout.fileno(), 4096) if ready else b""
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
        assert self._process is not None and self._process.stdout is not None
        code = self._process.wait(ENDS)
        self._process.stdout.close()
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
