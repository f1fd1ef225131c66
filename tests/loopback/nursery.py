"""Processes of `cradle` that need no start of an interpreter: one that has loaded it forks another for each command.

What is forked is a process like any other, with its own pid, streams, folder, environment and exit code; only the
loading is not its own, and it ends without an interpreter's farewell. Hundreds of commands in a test run would spend
most of their time on those. No tests here.
"""

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

# Bytes of one order: words, environment, folder.
ORDER = 1 << 16
# What commands import when they run: of ours all, and of others these.
OURS = ("cradle_protocol", "cradle_device", "cradle_hardware", "cradle_desktop")
OTHERS = (
    "argparse", "ctypes", "difflib", "encodings.ascii", "encodings.idna", "getpass", "glob", "heapq", "rich.progress",
    "serial.rfc2217", "serial.tools.list_ports", "spake2", "ssl", "cryptography.hazmat.primitives.asymmetric.ec",
    "cryptography.hazmat.primitives.kdf.hkdf", "cryptography.hazmat.primitives.serialization", "cryptography.x509",
)  # fmt: skip


class Child:
    """A command that runs. What `subprocess.Popen` has under these names; streams are descriptors of the caller."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._descriptor = os.pidfd_open(pid)

    def wait(self, timeout: "float | None" = None) -> int:
        if self.returncode is None:
            if not select.select([self._descriptor], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self._descriptor)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            signal.pidfd_send_signal(self._descriptor, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The process that has loaded `cradle`. It ends with its test run, or when it is closed."""

    def __init__(self, environment: "dict[str, str]") -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "loopback.nursery", str(theirs.fileno())]
            self._process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()])

    def start(self, words: Sequence[str], env: "dict[str, str]", folder: Path, streams: Sequence[int]) -> Child:
        """Run a command; streams: its stdin, stdout and stderr."""
        order = json.dumps([list(words), env, str(folder)]).encode()
        assert len(order) < ORDER
        socket.send_fds(self._orders, [order], list(streams))
        return Child(int(self._orders.recv(20)))

    def close(self) -> None:
        self._orders.close()
        self._process.wait()


def main(orders: socket.socket) -> int:
    """Fork a command for each order. Returns, in a command, its exit code; in the nursery, 0 at the end of the run."""
    load()
    gc.freeze()  # so that collections in a command copy no page of what all share
    while True:
        order, streams, _, _ = socket.recv_fds(orders, ORDER, 3)
        if not order:
            return 0
        ours, theirs = os.pipe()
        between = os.fork()
        if between == 0:
            break
        os.waitpid(between, 0)
        orders.send(os.read(ours, 20))
        for descriptor in (*streams, ours, theirs):
            os.close(descriptor)
    # The process between ends at once, and before anybody hears of the command: so that is by then a child of the test
    # run, its reaper (tests/conftest.py).
    command = os.fork()
    if command:
        os.write(theirs, b"%d" % command)
        os._exit(0)
    os.close(ours)
    os.close(theirs)
    orders.close()
    return become(*json.loads(order), streams)


def load() -> None:
    """Import what commands may import. What cannot be here no command needs: an extra, or a board's."""
    found = [found.name for name in OURS for found in walk_packages(import_module(name).__path__, name + ".")]
    for name in [*OTHERS, *found]:
        if not name.endswith("__main__"):
            with suppress(ImportError):
                import_module(name)


def become(words: "list[str]", environment: "dict[str, str]", folder: str, streams: "list[int]") -> int:
    """Run a command in this process, as if it had been started so."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    from cradle_desktop.cli import main as cradle

    return cradle(words)


if __name__ == "__main__":
    code = main(socket.socket(fileno=int(sys.argv[1])))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # an interpreter that ends in order takes down all it has loaded, which costs more than a command
