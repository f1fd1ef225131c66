"""Trees over loopback TCP: initial, no-op, one per cent touched, one large file. Pair by pair, on tmpfs."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import workload
from benchmarks.measure import Failed, Sample
from benchmarks.peers import Peer

# Seconds between steps. A stamp younger than two seconds is not trusted by careful tools: nobody syncs twice in two
# seconds by hand, so that the pause is given to every peer.
SETTLE = 2.5


@dataclass(frozen=True)
class Run:
    """What one peer did in one round: step -> measurement, or bytes on the wire where a proxy counted."""

    times: "dict[str, Sample]"
    wire: "dict[str, int]"


@dataclass(frozen=True)
class Part:
    """A tree and the steps on it."""

    name: str
    fill: "Callable[[Path], None]"
    steps: "tuple[str, ...]"


# A tool that must look again at what it has just written does so in the first no-op, and not in the next.
SMALL_STEPS = ("initial", "first no-op", "no-op", "contents", "edits")
# What a user does before a step: only contents, or what a day leaves (changes, deletes and renames).
BEFORE: "dict[str, Callable[[Path, int], int]]" = {"contents": workload.rewrite, "edits": workload.edit}

PARTS = {
    "files": Part("10,000 files, 42 MB", workload.small_files, SMALL_STEPS),
    "large": Part("one file of 500 MB", workload.large_file, ("large initial",)),
}


def one_run(peer: Peer, master: Path, part: Part, seed: int) -> Run:
    """All steps of one peer from an empty start; both sides must be equal after each."""
    workload.copy(master, peer.client)
    run = Run({}, {})
    try:
        peer.prepare()
        for step in part.steps:
            if step in BEFORE:
                BEFORE[step](peer.client, seed)
            time.sleep(SETTLE)
            if peer.proxy is not None:
                peer.proxy.take()
            run.times[step] = peer.sync()
            if peer.proxy is not None:
                run.wire[step] = peer.proxy.take()
            if wrong := workload.differences(peer.client, peer.server):
                raise Failed(f"{peer.name}: {len(wrong)} files differ after {step}, {wrong[0]} first")
    finally:
        peer.close()
    return run


def measure(place: Path, part: Part, peers: "Sequence[type[Peer]]", rounds: int) -> "dict[str, list[Run]]":
    """`rounds` timed runs of each peer in turn, then one through the counting proxy, which comes last in the list."""
    master = place / "master"
    part.fill(master)
    results: dict[str, list[Run]] = {peer.name: [] for peer in peers}
    for number in range(rounds + 1):
        counting = number == rounds
        order = list(peers) if number % 2 == 0 else list(reversed(peers))
        for peer in order:
            folder = place / "run"
            folder.mkdir()
            run = one_run(peer(folder, through_proxy=counting), master, part, seed=number)
            results[peer.name].append(run)
            shutil.rmtree(folder)
            print(f"  {'wire' if counting else number + 1} {peer.name}: {_line(run, counting)}", flush=True)
    shutil.rmtree(master)
    return results


def _line(run: Run, counting: bool) -> str:
    if counting:
        return ", ".join(f"{step} {count:,} bytes" for step, count in run.wire.items())
    return ", ".join(f"{step} {s.wall:.2f} s (cpu {s.cpu:.2f}, {s.peak:.0f} MB)" for step, s in run.times.items())
