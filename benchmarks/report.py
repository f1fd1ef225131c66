"""Tables and goals from measurements, as Markdown. Pure: no clock, no files."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.files import SMALL_STEPS, Run
from benchmarks.measure import Sample
from benchmarks.serial import Case

OURS = "cradle"
Files = Mapping[str, Sequence[Run]]

# What the project promises itself: step -> largest wall ratio against the rsync daemon.
WALL_GOALS = {"initial": 1.0, "no-op": 0.8, "edits": 0.5, "large initial": 1.2}
NOOP_WIRE_GOAL = 1000  # bytes
PEAK_GOAL = 80.0  # MB of either process, for 10,000 files
# (baud, load, error rate) -> least share of the line
LINE_GOALS = {(115200, "one", 0.0): 0.96, (115200, "many", 0.0): 0.90, (115200, "one", 1e-4): 0.85}


def timed(runs: "Sequence[Run]", step: str) -> "list[Sample]":
    """The measurements without those that went through the counting proxy."""
    return [run.times[step] for run in runs if step not in run.wire]


def table(head: "Sequence[str]", rows: "Iterable[Sequence[str]]") -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def ratio(results: Files, step: str, peer: str, figure: str) -> float:
    """Median over the rounds of ours divided by the peer's, pair by pair."""
    pairs = zip(timed(results[OURS], step), timed(results[peer], step))
    return statistics.median(float(getattr(a, figure)) / max(float(getattr(b, figure)), 0.001) for a, b in pairs)


def files_table(results: Files) -> str:
    """Medians by step and peer, and ours as a ratio of each peer's."""
    head = ["step", "peer", "wall s", "CPU s", "peak MB", "wire bytes", "cradle wall x", "cradle CPU x"]
    rows = []
    steps = list(next(iter(results.values()))[0].times)
    for step in steps:
        for peer, runs in results.items():
            samples = timed(runs, step)
            wire = [run.wire[step] for run in runs if step in run.wire]
            versus = OURS in results and peer != OURS
            rows.append(
                [
                    step,
                    peer,
                    f"{statistics.median(s.wall for s in samples):.3f}",
                    f"{statistics.median(s.cpu for s in samples):.2f}",
                    f"{max(s.peak for s in samples):.0f}",
                    f"{wire[0]:,}" if wire else "",
                    f"{ratio(results, step, peer, 'wall'):.2f}" if versus else "",
                    f"{ratio(results, step, peer, 'cpu'):.2f}" if versus else "",
                ]
            )
    return table(head, rows)


def files_goals(results: Files) -> "list[tuple[str, str, bool]]":
    """(goal, reached, is it met) for what these results can say."""
    if OURS not in results:
        return []
    found = []
    for step in results[OURS][0].times:
        if "rsync daemon" in results and step in WALL_GOALS:
            got = ratio(results, step, "rsync daemon", "wall")
            found.append((f"{step}: wall <= {WALL_GOALS[step]}x rsync daemon", f"{got:.2f}x", got <= WALL_GOALS[step]))
        if step in ("first no-op", "no-op"):
            wire = max(run.wire.get(step, 0) for run in results[OURS])
            found.append((f"{step}: wire < {NOOP_WIRE_GOAL} bytes", f"{wire} bytes", wire < NOOP_WIRE_GOAL))
    small = [s for run in results[OURS] for step, s in run.times.items() if step in SMALL_STEPS]
    if small:
        peak = max(s.peak for s in small)
        found.append((f"10,000 files: peak < {PEAK_GOAL:.0f} MB", f"{peak:.0f} MB", peak < PEAK_GOAL))
    return found


def serial_table(results: "Mapping[Case, Mapping[str, float | None]]") -> str:
    names = list(dict.fromkeys(name for row in results.values() for name in row))
    rows = []
    for case, row in results.items():
        figures = [row.get(name) for name in names]
        cells = ["failed" if f is None else f"{f:.3f}" for f in figures]
        rows.append([str(case.baud), case.load, f"{case.error_rate:g}", *cells])
    return table(["baud", "load", "byte error rate", *names], rows)


def serial_goals(results: "Mapping[Case, Mapping[str, float | None]]") -> "list[tuple[str, str, bool]]":
    found = []
    for case, row in results.items():
        goal = LINE_GOALS.get((case.baud, case.load, case.error_rate))
        if goal is not None and OURS in row:
            got = row[OURS] or 0.0
            words = f"{case.load} at {case.baud}, error rate {case.error_rate:g}: >= {goal} of the line"
            found.append((words, f"{got:.3f}", got >= goal))
    return found


def goals_table(goals: "Sequence[tuple[str, str, bool]]") -> str:
    return table(["goal", "reached", ""], [(words, got, "met" if met else "**missed**") for words, got, met in goals])
