"""`make bench-cost`: what a sync costs as stores grow; prints the growth and writes COST.md.

No peer takes part: the same tool on 1,000, 10,000 and 100,000 objects. What must not grow with the objects (bytes on
the wire, bytes of metadata per object) and what does (a scan asks the file system about each) are both told.
"""

import argparse
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from benchmarks import report
from benchmarks.__main__ import TMPFS, machine
from benchmarks.files import SETTLE
from benchmarks.measure import Failed, cpu_seconds
from benchmarks.peers import Cradle

RESULTS = Path(__file__).with_name("COST.md")
SIZES = (1_000, 10_000, 100_000)
IN_A_FOLDER = 100
CHANGES = 10
CONTENT = 50  # bytes of every content
NAME = 30  # bytes of every path
ROUNDS = 3  # of the steps that can be repeated; medians count
STEPS = ("initial", "no-op", "1 new file", "10 new files", "10 edits")
WIRE_PER_CHANGE = 40  # bytes of metadata beyond name and hash
STATE_PER_OBJECT = 400  # bytes of the desktop's database beyond name and stamp
HASH = 32  # bytes
DATABASE = "home/cradle.db"


@dataclass(frozen=True)
class Cost:
    """Of one sync: seconds of wall time and of CPU on either side, and bytes on the wire, both ways."""

    wall: float
    desktop: float
    agent: float
    wire: int


@dataclass
class Grown:
    """What one size cost.

    names, stamps   bytes per object: what the database holds because it must
    database, log   bytes per object of the desktop's database and of the agent's log
    change          bytes on the wire for one of the new files, beyond name, hash and content
    """

    objects: int
    steps: dict[str, Cost] = field(default_factory=dict)
    names: float = 0.0
    stamps: float = 0.0
    database: float = 0.0
    log: float = 0.0
    change: float = 0.0


def place_of(number: int) -> str:
    """The path of an object."""
    group = number // IN_A_FOLDER
    return f"area{group // IN_A_FOLDER:02}/group{group % IN_A_FOLDER:02}/note-{number:06}.txt"


def fill(folder: Path, objects: int) -> None:
    """Small files, a hundred to a folder and a hundred folders to an area."""
    for number in range(objects):
        path = folder / place_of(number)
        if number % IN_A_FOLDER == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((b"content of note %d\n" % number).ljust(CONTENT))


def edit(folder: Path, objects: int, count: int, seed: int) -> None:
    """Write so many files anew, spread over the store; always with content that was never there."""
    for k in range(count):
        content = (b"written anew: %d of %d, round %d\n" % (k, count, seed)).ljust(CONTENT)
        (folder / place_of((k * objects // count + seed) % objects)).write_bytes(content)


def add(folder: Path, objects: int, count: int, seed: int) -> None:
    """Write so many new files, spread over the folders; always with another content."""
    for k in range(count):
        beside = folder / place_of(k * objects // count)
        content = (b"new: %d of %d, round %d\n" % (k, count, seed)).ljust(CONTENT)
        beside.with_name(f"new-{count:03}{seed:02}{k:02}.txt").write_bytes(content)


def sync(peer: Cradle) -> Cost:
    """One sync through the counting proxy."""
    time.sleep(SETTLE)
    assert peer.process is not None and peer.proxy is not None
    peer.proxy.take()
    before = cpu_seconds(peer.process.pid)
    sample = peer.sync()
    agent = cpu_seconds(peer.process.pid) - before
    return Cost(sample.wall, sample.cpu - agent, agent, peer.proxy.take())


def changed(peer: Cradle, act: "Callable[[Path, int, int, int], None]", objects: int, count: int, seed: int) -> Cost:
    """A sync after so many acts on the desktop."""
    act(peer.client, objects, count, seed)
    return sync(peer)


def middle(costs: "Sequence[Cost]") -> Cost:
    """Medians, one by one."""
    wall, desktop, agent = (statistics.median(getattr(c, name) for c in costs) for name in ("wall", "desktop", "agent"))
    return Cost(wall, desktop, agent, int(statistics.median(c.wire for c in costs)))


def measure(place: Path, objects: int) -> Grown:
    """All steps on a store of so many objects."""
    place.mkdir()
    peer, grown = Cradle(place, through_proxy=True), Grown(objects)
    fill(peer.client, objects)
    try:
        peer.prepare()
        empty = (place / DATABASE).stat().st_size
        grown.steps["initial"] = sync(peer)
        sync(peer)  # looks once more at what was written so shortly before the scan
        grown.steps["no-op"] = middle([sync(peer) for _ in range(ROUNDS)])
        weigh(grown, place, empty)
        for step, act, count in (("1 new file", add, 1), ("10 new files", add, CHANGES), ("10 edits", edit, CHANGES)):
            grown.steps[step] = middle([changed(peer, act, objects, count, seed) for seed in range(ROUNDS)])
        more = grown.steps["10 new files"].wire - grown.steps["1 new file"].wire
        grown.change = more / (CHANGES - 1) - CONTENT - NAME - HASH
    finally:
        peer.close()
        shutil.rmtree(place)
    return grown


def weigh(grown: Grown, place: Path, empty: int) -> None:
    """What each object costs on disk."""
    database = place / DATABASE
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        columns = "count(*), avg(length(CAST(identity AS BLOB))), avg(length(mark) - 1)"
        items, grown.names, grown.stamps = connection.execute(f"SELECT {columns} FROM item").fetchone()
    connection.close()
    grown.database = (database.stat().st_size - empty) / items
    grown.log = sum(path.stat().st_size for path in (place / "state").glob("files-*.log")) / items


# -- telling


def line(grown: Grown) -> str:
    told = ""
    for name, cost in grown.steps.items():
        told += f"; {name} {cost.wall:.2f} s (CPU {cost.desktop:.2f} + {cost.agent:.2f}), {cost.wire:,} bytes"
    return f"  {grown.objects:,}: {told[2:]}"


def growth_table(found: "Sequence[Grown]") -> str:
    """A row for each figure of each step; the last column is what another object adds to a large store."""
    rows = []
    for step in STEPS:
        for name, figure in (("desktop CPU s", "desktop"), ("agent CPU s", "agent"), ("wire bytes", "wire")):
            values = [float(getattr(one.steps[step], figure)) for one in found]
            cells = [f"{v:,.0f}" if figure == "wire" else f"{v:.2f}" for v in values]
            rows.append([step, name, *cells, slope(found, values, figure == "wire")])
    return report.table(["step", "", *(f"{one.objects:,}" for one in found), "per object more"], rows)


def slope(found: "Sequence[Grown]", values: "Sequence[float]", exact: bool) -> str:
    """What each further object adds, in bytes (exact) or in microseconds."""
    if len(found) < 2:
        return ""
    more = (values[-1] - values[-2]) / (found[-1].objects - found[-2].objects)
    return f"{more:.2f}" if exact else f"{more * 1e6:.1f} us"


def state_table(found: "Sequence[Grown]") -> str:
    rows = [
        ["desktop's database, per object", *(f"{one.database:.0f}" for one in found)],
        ["of which name and stamp", *(f"{one.names + one.stamps:.0f}" for one in found)],
        ["agent's log, per object", *(f"{one.log:.0f}" for one in found)],
        ["wire, per new file beyond name, hash and content", *(f"{one.change:.1f}" for one in found)],
    ]
    return report.table(["bytes", *(f"{one.objects:,}" for one in found)], rows)


def goals(found: "Sequence[Grown]") -> "list[tuple[str, str, bool]]":
    beyond = max(one.database - one.names - one.stamps for one in found)
    per_change = max(one.change for one in found)
    alike = []
    for step in ("no-op", "10 new files", "10 edits"):
        wires = sorted({one.steps[step].wire for one in found})
        words = " or ".join(f"{wire:,}" for wire in wires)
        alike.append((f"{step}: the same bytes on the wire for every size", words, len(wires) == 1))
    return [
        *alike,
        (
            f"wire per change <= {WIRE_PER_CHANGE} bytes beyond name and hash",
            f"{per_change:.1f}",
            per_change <= WIRE_PER_CHANGE,
        ),
        (
            f"database <= {STATE_PER_OBJECT} bytes per object beyond name and stamp",
            f"{beyond:.0f}",
            beyond <= STATE_PER_OBJECT,
        ),
    ]


def text_of(found: "Sequence[Grown]") -> str:
    return f"""# Cost and growth

Made by `make bench-cost` on {date.today()}: {machine()}.
Files of {CONTENT} bytes, a hundred to a folder, on tmpfs, over loopback TCP without encryption through a relay that
counts; the agent runs on. Medians of {ROUNDS} but for the first sync. CPU is told for either side; the desktop's is
that of the whole command, interpreter start included.

{growth_table(found)}
What grows in a no-op is the scan and nothing else: without a journal of the file system each object has to be looked
at once (`stat`) and compared with what was noted of it, which is read in one statement. Wire, knowledge and what is
written do not depend on what exists. Where something has changed, both sides also look through their metadata for
what the other one lacks. An edit costs more than a new file: what it overwrites is fetched first, for `cradle undo`.

A folder that its user renamed on the desktop is one rename on the device and costs 184 bytes beyond a no-op, with 20
files in it or with 1,000; before it was that, the device copied, installed and removed each file (5,674 and 271,496
bytes). One that was renamed on the device is one rename on the desktop; its records come one by one (4,209 and 200,281
bytes), and no content. `tests/sync/test_cost.py` holds both.

{state_table(found)}
## Goals

{report.goals_table(goals(found))}"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    sizes = ",".join(map(str, SIZES))
    parser.add_argument("--sizes", default=sizes, help="objects, comma-separated (default: %(default)s)")
    parser.add_argument("--no-write", action="store_true", help="print, but leave COST.md alone")
    args = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="cradle-cost-", dir=TMPFS if TMPFS.is_dir() else None))
    found = []
    try:
        for objects in map(int, args.sizes.split(",")):
            found.append(measure(place / str(objects), objects))
            print(line(found[-1]), flush=True)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(place, ignore_errors=True)
    print(text_of(found))
    if not args.no_write:
        RESULTS.write_text(text_of(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
