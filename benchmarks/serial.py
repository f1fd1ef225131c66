"""Files over an emulated serial line: cradle against sz/rz (ZMODEM), default and tuned for errors."""

import contextlib
import os
import shutil
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import workload
from benchmarks.line import Line
from benchmarks.measure import Failed
from benchmarks.peers import CRADLE, Cradle, available

BAUDS = (115200, 921600)
ERROR_RATES = (0.0, 1e-4)  # per byte
LOADS: "dict[str, Callable[[Path], int]]" = {"one": workload.serial_one, "many": workload.serial_many}
TIMEOUT = 240.0  # seconds for one transfer; the slowest takes 55
PARTING = 1.0  # seconds
TUNED = ("-L", "512", "-w", "2048")  # sz: short packets and a window, which is what helps it on a bad line


@dataclass(frozen=True)
class Case:
    baud: int
    load: str
    error_rate: float


def cases() -> "list[Case]":
    return [Case(baud, load, rate) for baud in BAUDS for load in LOADS for rate in ERROR_RATES]


def zmodem(line: Line, source: Path, target: Path, options: Sequence[str]) -> None:
    """Send every file of `source` with sz; rz writes them into `target`."""
    names = sorted(os.listdir(source))
    ends = [os.open(path, os.O_RDWR | os.O_NOCTTY) for path in line.paths]
    line.reset()
    receive = _on_line(["rz", "-b", "-q"], target, ends[1])
    send = _on_line(["sz", "-b", "-q", *options, *names], source, ends[0])
    try:
        send.wait(TIMEOUT)
        # sz ends when rz has acknowledged all. Its parting "OO" is lost now and then as it resets its terminal,
        # and rz asks for it for 30 s more: that is not counted against it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            receive.wait(PARTING)
    except subprocess.TimeoutExpired:
        raise Failed("sz/rz did not end") from None
    finally:
        for process in (send, receive):
            process.kill()
            process.wait()
        for fd in ends:
            os.close(fd)


def _on_line(command: Sequence[str], folder: Path, end: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command, cwd=folder, stdin=end, stdout=end, stderr=subprocess.DEVNULL, start_new_session=True
    )


def cradle(line: Line, source: Path, target: Path, baud: int) -> None:
    """The agent on one end, paired beforehand over the cable; one `cradle sync` on the other end."""
    peer = Cradle(target.parent)
    shutil.copytree(source, peer.client)
    peer.server = target
    peer.env |= {"CRADLE_HOME": str(target.parent / "home"), "NO_COLOR": "1"}
    try:
        peer.start_agent(f"serial:{line.paths[1]}?baud={baud}")
        peer.pair(f"serial:{line.paths[0]}?baud={baud}")
        line.reset()
        subprocess.run(peer.command(), env=peer.env, timeout=TIMEOUT, check=True, capture_output=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise Failed(str(error)) from None
    finally:
        peer.close()


def contestants() -> "dict[str, Callable[[Line, Path, Path, int], None]]":
    """Those that this machine has."""
    found: dict[str, Callable[[Line, Path, Path, int], None]] = {}
    if Path(CRADLE).exists():
        found["cradle"] = cradle
    if available("sz") and available("rz"):
        found["sz/rz"] = lambda line, source, target, baud: zmodem(line, source, target, ())
        found["sz/rz tuned"] = lambda line, source, target, baud: zmodem(line, source, target, TUNED)
    return found


def efficiency(case: Case, transfer: "Callable[[Line, Path, Path, int], None]", place: Path, seed: int) -> float:
    """Content bytes over what the line could have carried from its first to its last byte."""
    source, target = place / "source", place / "target"
    target.mkdir(parents=True)
    payload = LOADS[case.load](source)
    line = Line(case.baud, case.error_rate, seed)
    try:
        transfer(line, source, target, case.baud)
        seconds = line.busy_time()
    finally:
        line.close()
    if wrong := workload.differences(source, target):
        raise Failed(f"{len(wrong)} files differ, {wrong[0]} first")
    return payload / (line.rate * seconds)


def measure(place: Path, rounds: int, only: "Sequence[str]") -> "dict[Case, dict[str, float | None]]":
    """Median efficiency by case and contestant; None where one failed in every round."""
    result: dict[Case, dict[str, float | None]] = {}
    for case in cases():
        result[case] = {}
        for name, transfer in contestants().items():
            if not any(name.startswith(o) for o in only):
                continue
            figures = []
            for number in range(rounds):
                folder = place / f"{case.baud}-{case.load}-{case.error_rate}-{name.replace('/', '')}-{number}"
                try:
                    figures.append(efficiency(case, transfer, folder, seed=100 + number))
                except Failed as failure:
                    print(f"  {case} {name}: {failure}")
                shutil.rmtree(folder, ignore_errors=True)
            result[case][name] = statistics.median(figures) if figures else None
            print(f"  {case.baud} {case.load:4} {case.error_rate:g} {name}: {result[case][name]}", flush=True)
    return result
