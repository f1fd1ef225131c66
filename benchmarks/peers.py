"""The tools that are compared: how each is started, and the one command that a user runs to sync.

Each peer has a client folder (the desktop's) and a server folder (the device's), talks over loopback TCP without
encryption, and starts from nothing. `sync` is the measured step.
"""

import compileall
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Failed, Sample, run
from benchmarks.proxy import CountingProxy

START_TIMEOUT = 15.0  # seconds for a server to listen
CODE = "123456"
CRADLE = str(Path(sys.executable).with_name("cradle"))
ROOT = Path(__file__).resolve().parent.parent
# What pip compiles when it installs, and does not for a checkout.
PACKAGES = [ROOT / name for name in ("protocol", "device", "hardware", "desktop")]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def available(tool: str) -> bool:
    return shutil.which(tool) is not None


class Peer:
    """One tool between two folders. `through_proxy` counts bytes and must not be used for times."""

    name = ""

    def __init__(self, place: Path, through_proxy: bool = False) -> None:
        self.place = place
        self.client = place / "client"
        self.server = place / "server"
        self.through_proxy = through_proxy
        self.env = dict(os.environ)
        self.proxy: CountingProxy | None = None
        self.process: subprocess.Popen[str] | None = None

    def prepare(self) -> None:
        """Start the server; the client folder is filled, the server folder is not there yet."""
        raise NotImplementedError

    def command(self) -> "list[str]":
        """What a user runs to bring both folders together."""
        raise NotImplementedError

    def sync(self) -> Sample:
        assert self.process is not None
        return run(self.command(), [self.process.pid], self.env)

    def start(self, command: Sequence[str], port: int, env: "dict[str, str] | None" = None) -> None:
        self.process = subprocess.Popen(
            command,
            env=env or self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        if port:
            self.wait_for(port)

    def wait_for(self, port: int) -> None:
        until = time.monotonic() + START_TIMEOUT
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise Failed(f"{self.name}: its server does not listen")

    def port_for_client(self, port: int) -> int:
        """The proxy's port if there is a proxy, else the server's own."""
        if not self.through_proxy:
            return port
        self.proxy = CountingProxy(("127.0.0.1", port))
        return self.proxy.port

    def close(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()
        if self.proxy is not None:
            self.proxy.close()


class Rsync(Peer):
    """One way, and without a memory of the last time: the floor for copying, not the same job."""

    name = "rsync daemon"

    def prepare(self) -> None:
        self.server.mkdir()
        port = free_port()
        config = self.place / "rsyncd.conf"
        ids = f"uid = {os.getuid()}\ngid = {os.getgid()}\n"
        config.write_text(f"use chroot = no\n{ids}[box]\npath = {self.server}\nread only = no\n")
        command = ["rsync", "--daemon", "--no-detach", f"--config={config}", f"--port={port}", "--address=127.0.0.1"]
        self.start(command, port)
        self.port = self.port_for_client(port)

    def command(self) -> "list[str]":
        return ["rsync", "-a", "--delete", f"{self.client}/", f"rsync://127.0.0.1:{self.port}/box/"]


class Unison(Peer):
    """Both ways, with archives on both sides: the same job."""

    name = "Unison"

    def prepare(self) -> None:
        self.server.mkdir()
        port = free_port()
        server_env = self.env | {"UNISON": str(self.place / "server-archive")}
        self.env = self.env | {"UNISON": str(self.place / "client-archive")}
        self.start(["unison", "-socket", str(port), "-host", "127.0.0.1"], port, server_env)
        self.port = self.port_for_client(port)

    def command(self) -> "list[str]":
        remote = f"socket://127.0.0.1:{self.port}/{self.server}"
        options = ["-ui", "text", "-batch", "-auto", "-silent", "-confirmbigdel=false"]
        return ["unison", str(self.client), remote, *options]


class Cradle(Peer):
    """Ours: the agent as a daemon on plain TCP, paired and enabled beforehand."""

    name = "cradle"

    def prepare(self) -> None:
        for folder in PACKAGES:
            compileall.compile_dir(folder, quiet=1)
        self.server.mkdir()
        self.env = self.env | {"CRADLE_HOME": str(self.place / "home"), "NO_COLOR": "1"}
        address = self.start_agent("tcp://127.0.0.1:0?plain=1", "--code", CODE)
        port = int(address.rpartition(":")[2].partition("?")[0])
        self.pair(f"tcp://127.0.0.1:{self.port_for_client(port)}?plain=1", "--code", CODE)

    def start_agent(self, listen: str, *more: str) -> str:
        """Start the agent; returns the address that it says it listens on."""
        state = str(self.place / "state")
        where = ["--root", str(self.server), "--state", state, "--name", "bench"]
        self.start([CRADLE, "agent", "run", "--listen", listen, *where, *more], 0)
        assert self.process is not None and self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("listening "):
                return line.split()[1]
        raise Failed("the agent ended before it listened")

    def pair(self, address: str, *more: str) -> None:
        for command in (
            [CRADLE, "pair", address, "--name", "bench", *more],
            [CRADLE, "enable", "bench", "files", "--store", str(self.client)],
        ):
            run(command, (), self.env)

    def command(self) -> "list[str]":
        return [CRADLE, "sync", "bench", "--json"]


def chosen(names: "Sequence[str]") -> "list[type[Peer]]":
    """The peers by name that this machine has; those that are missing are named on the way."""
    tools: list[tuple[str, type[Peer], bool]] = [
        ("cradle", Cradle, Path(CRADLE).exists()),
        ("rsync", Rsync, available("rsync")),
        ("unison", Unison, available("unison")),
    ]
    for name, _, there in tools:
        if name in names and not there:
            print(f"{name}: not on this machine, left out", file=sys.stderr)
    return [peer for name, peer, there in tools if name in names and there]
