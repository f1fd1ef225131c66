"""Time, CPU and memory of one command and of the servers that it talks to. Linux only: reads /proc."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_EVERY = 0.02  # seconds; VmHWM is a high-water mark, so only growth in a process's last 20 ms is missed
TICKS = os.sysconf("SC_CLK_TCK")
SETTLE = 0.15  # seconds in which a server finishes what belongs to the command that has just ended


class Failed(Exception):
    """A measured command did not do what it should."""


@dataclass(frozen=True)
class Sample:
    """wall and cpu (client and servers) in seconds, peak in MB: the largest resident set of any one process."""

    wall: float
    cpu: float
    peak: float


class Peak(threading.Thread):
    """Watches the resident sets of some processes and their descendants until `stop`."""

    def __init__(self, roots: Sequence[int]) -> None:
        super().__init__(daemon=True)
        self.roots = list(roots)
        self.kilobytes = 0
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(SAMPLE_EVERY):
            for root in self.roots:
                self.kilobytes = max(self.kilobytes, _tree_peak(root))

    def stop(self) -> float:
        """End the watch; returns MB."""
        self._ended.set()
        self.join()
        return self.kilobytes / 1024


def _tree_peak(pid: int) -> int:
    """Largest VmHWM, in KB, of a process and its descendants."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    own = int(status.partition("VmHWM:")[2].split()[0]) if "VmHWM:" in status else 0
    return max([own, *(_tree_peak(int(c)) for c in children)])


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process and of those children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(f) for f in fields[11:15]) / TICKS


def reset_peak(pid: int) -> None:
    """Forget a process's high-water mark, so that a server's start-up or an earlier step does not count."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def run(command: Sequence[str], servers: Sequence[int] = (), env: "Mapping[str, str] | None" = None) -> Sample:
    """Run a command to its end and measure it together with the given server processes."""
    before = sum(cpu_seconds(pid) for pid in servers)
    for pid in servers:
        reset_peak(pid)
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env) as process:
        peak = Peak([process.pid, *servers])
        peak.start()
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    time.sleep(SETTLE)
    megabytes = peak.stop()
    if process.returncode:
        raise Failed(
            f"{' '.join(command[:4])} ... exits {process.returncode}: {output[-400:].decode(errors='replace')}"
        )
    cpu = usage.ru_utime + usage.ru_stime + sum(cpu_seconds(pid) for pid in servers) - before
    return Sample(wall, cpu, megabytes)
