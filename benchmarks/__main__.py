"""`make bench`: run the parts, print a table of ratios, write RESULTS.md."""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

from benchmarks import files, report, serial
from benchmarks.measure import Failed
from benchmarks.peers import chosen

TMPFS = Path("/dev/shm")  # on disks the figures say more about the disk's cache than about the tools
RESULTS = Path(__file__).with_name("RESULTS.md")
PARTS = ("files", "large", "serial")
Goals = list[tuple[str, str, bool]]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be given again (default: all)")
    parser.add_argument("--peers", default="cradle,rsync,unison,sz", help="comma-separated (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds, medians of which count (default 5)")
    parser.add_argument("--serial-rounds", type=int, default=3, help="rounds on the serial line, each with a seed")
    parser.add_argument("--no-write", action="store_true", help="print, but leave RESULTS.md alone")
    return parser.parse_args()


def main() -> int:
    args = options()
    wanted = args.only or list(PARTS)
    load = os.getloadavg()[0]
    place = Path(tempfile.mkdtemp(prefix="cradle-bench-", dir=TMPFS if TMPFS.is_dir() else None))
    try:
        sections, goals = run_parts(args, wanted, place)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(place, ignore_errors=True)
    text = "\n".join([heading(args, load), *sections, "## Goals\n", report.goals_table(goals)])
    print(text)
    if not args.no_write:
        RESULTS.write_text(text, encoding="utf-8")
    return 0


def run_parts(args: argparse.Namespace, wanted: "list[str]", place: Path) -> "tuple[list[str], Goals]":
    """A section of the report for each part, and the goals that it says something about."""
    sections: list[str] = []
    goals: Goals = []
    names = args.peers.split(",")
    for name, part in files.PARTS.items():
        if name in wanted:
            print(part.name, flush=True)
            results = files.measure(place / name, part, chosen(names), args.rounds)
            sections += [f"## {part.name[0].upper() + part.name[1:]}\n", report.files_table(results)]
            goals += report.files_goals(results)
    if "serial" in wanted:
        print("serial line", flush=True)
        lines = serial.measure(place / "serial", args.serial_rounds, names)
        about = "Share of the line, from its first to its last byte; incompressible content: one file of\n"
        about += "256 KiB, or 200 files of 200 to 2,048 bytes.\n"
        sections += ["## Serial line\n", about, report.serial_table(lines)]
        goals += report.serial_goals(lines)
    return sections, goals


def version(*command: str) -> str:
    """First line of what a tool says of itself."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return command[0] + " missing"
    return (done.stdout or done.stderr).partition("\n")[0].strip()


def machine() -> str:
    """What ran it, and what else ran there: ratios hold on a busy machine, seconds do not."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({models[0] if models else 'unknown'}), {memory:.0f} GiB, {platform.machine()}"


def heading(args: argparse.Namespace, load: float) -> str:
    tools = "; ".join([version("rsync", "--version"), version("unison", "-version"), version("sz", "--version")])
    return f"""# Benchmark results

Made by `make bench` on {date.today()}: {machine()}, Linux {platform.release()}, \
CPython {platform.python_version()}; load average at the start {load:.1f}.
Peers: {tools}.

Everything on tmpfs, over loopback TCP without encryption, pair by pair in one run, medians of {args.rounds} \
({args.serial_rounds} on the serial line).
Wall time is that of the command a user runs, interpreter start included; CPU is of client and server; peak is the
largest resident set of any one process; bytes on the wire were counted by a relay in a run of their own. Ratios are
medians of the ratios of neighbouring runs. Each step starts 2.5 seconds after the one before. rsync copies one way
and remembers nothing: it is the floor for copying, Unison is the tool for the same job.
"""


if __name__ == "__main__":
    sys.exit(main())
