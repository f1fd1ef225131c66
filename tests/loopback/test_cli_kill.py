"""kill -9 of either process at any point: every file is whole, old or new, and the next sync makes both sides equal."""

import os
import random
import time
from pathlib import Path

import pytest

from loopback.rig import LONG, Pair

FILES, LARGE = 120, 6_000_000


def tree(generation: int, rng: random.Random) -> dict[str, bytes]:
    """Many small files and two large ones; every generation has other contents."""
    small = {f"d{k % 7}/f{k}": b"%d %d " % (generation, k) * rng.randrange(1, 400) for k in range(FILES)}
    return small | {f"large{k}": rng.randbytes(LARGE) for k in range(2)}


def whole(folder: Path, versions: list[dict[str, bytes]]) -> None:
    """Every file in the folder is one that somebody wrote there, or on the other side, in full."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith(".cradle/"):
            data = path.read_bytes()
            assert any(version.get(name) == data for version in versions), (name, len(data))


def interrupted(pair: Pair, rng: random.Random, after: float) -> None:
    """A sync in which one of the two dies after a while."""
    running = pair.desktop.start("sync")
    time.sleep(after)
    if rng.random() < 0.5:
        running.kill()
        running.communicate()
        return
    pair.agent.kill()
    _, err = running.communicate(timeout=60)
    assert running.process.returncode in (0, 3, 7) and "Traceback" not in err, err
    pair.agent.start()


def run(pair: Pair, seed: int, rounds: int) -> None:
    rng = random.Random(seed)
    versions = [tree(0, rng)]
    pair.fill(versions[0])
    for generation in range(1, rounds + 1):
        interrupted(pair, rng, rng.uniform(0.05, 0.6))
        whole(pair.left, versions)
        whole(pair.right, versions)
        report = pair.desktop.sync(expect=None)
        assert report["conflicts_waiting"] == 0 and report["types"][0]["skipped"] == [], (seed, generation, report)
        assert pair.equal(), (seed, generation)
        again = pair.desktop.sync()["types"][0]
        assert sum(again["to_device"].values()) + sum(again["to_desktop"].values()) == 0, (seed, generation, again)
        versions.append(tree(generation, rng))
        side = pair.left if rng.random() < 0.5 else pair.right
        for name in rng.sample(sorted(versions[-1]), 60):
            (side / name).write_bytes(versions[-1][name])


@pytest.mark.slow  # killed in a commit: tests/desktop/metadata; power cuts everywhere: tests/sync
def test_killed_three_times(pair: Pair) -> None:
    run(pair, seed=1, rounds=3)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_often(pair: Pair) -> None:
    run(pair, seed=int(os.environ.get("CRADLE_SEED", random.randrange(10**6))), rounds=25)


@pytest.mark.slow  # over a line: test_cli_line; cut at every byte: tests/sync
def test_what_was_staged_is_not_sent_again(pair: Pair) -> None:
    """The agent dies in a large file: the next sync goes on in the middle of it."""
    pair.fill({"up": os.urandom(LONG)})
    pair.age()
    running = pair.desktop.start("sync")
    pair.under_way()
    pair.agent.kill()
    running.communicate(timeout=60)
    if running.process.returncode == 0:
        pytest.skip("this machine is too fast for the cut to fall into the transfer")
    pair.agent.start()
    report = pair.desktop.sync()["types"][0]
    assert pair.equal()
    assert report["resumed_bytes"] > 0 and report["bytes_sent"] < LONG
