"""Random worlds by the thousand: `make sim SEEDS=1000`.

Runs seeds on all processors, in virtual time. Of the first seed that fails in one way it prints the shortest script
found that fails in the same way; of each, the command that runs it again.
"""

import argparse
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from cradle_testing.chaos import Chaos, same_ids
from cradle_testing.script import Author, Script, Session

MEMORY = "/dev/shm"  # the agents' logs are flushed all the time: no disk need hear of it
PORTION = 8  # seeds that one process takes at a time


def failure(script: Script) -> str:
    """What is wrong with this script: where, what; "" if nothing is."""
    folder = tempfile.mkdtemp(prefix="cradle-sim-", dir=MEMORY if os.path.isdir(MEMORY) else None)
    try:
        with same_ids():
            Chaos(Path(folder), script).run()
    except Exception as error:  # noqa: BLE001  whatever it is, it is what we look for
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {frame.name} ({Path(frame.filename).name}:{frame.lineno}): {error}"
    finally:
        shutil.rmtree(folder)
    return ""


def kind(found: str) -> str:
    """Where it went wrong, without what the world was like."""
    return found.partition(":")[0]


def check_seed(seed: int) -> str:
    """What is wrong with the script of this seed; "" if nothing is."""
    return failure(Author(seed).script())


def shortest(seed: int) -> str:
    """The shortest script found that fails as that of this seed does, and how."""
    script = Author(seed).script()
    wrong = kind(failure(script))
    script = shrink(script, lambda less: kind(failure(less)) == wrong)
    return f"{failure(script)}\n    {script}"


# -- a shorter script


def shrink(script: Script, fails: Callable[[Script], bool]) -> Script:
    """Leave out steps, faults and replicas as long as it still fails."""
    before = None
    while before != script:
        before = script
        for count in (8, 4, 2, 1):
            script = _fewer_steps(script, count, fails)
        script = _first(_plainer(script), fails) or script
        script = _first(_smaller(script), fails) or script
    return script


def _fewer_steps(script: Script, count: int, fails: Callable[[Script], bool]) -> Script:
    at = len(script.steps)
    while at > 0:
        at -= count
        less = script._replace(steps=script.steps[: max(at, 0)] + script.steps[at + count :])
        if len(less.steps) < len(script.steps) and fails(less):
            script = less
    return script


def _first(scripts: Iterator[Script], fails: Callable[[Script], bool]) -> "Script | None":
    return next((script for script in scripts if fails(script)), None)


def _plainer(script: Script) -> Iterator[Script]:
    """With one fault, decision or edit less in one session."""
    for at, step in enumerate(script.steps):
        if isinstance(step, Session):
            for less in _plainer_sessions(step):
                yield script._replace(steps=(*script.steps[:at], less, *script.steps[at + 1 :]))


def _plainer_sessions(session: Session) -> Iterator[Session]:
    plain = Session(session.desktop, session.device)
    for field in ("during", "decisions", "cut", "death", "line", "echo", "direction", "policy"):
        if getattr(session, field) != getattr(plain, field):
            yield session._replace(**{field: getattr(plain, field)})
    for at in range(len(session.decisions)):
        yield session._replace(decisions=session.decisions[:at] + session.decisions[at + 1 :])
    for at, one in enumerate(session.during):
        rest = session.during[:at], session.during[at + 1 :]
        yield session._replace(during=rest[0] + rest[1])
        for k in range(len(one.edits) if len(one.edits) > 1 else 0):
            less = one._replace(edits=one.edits[:k] + one.edits[k + 1 :])
            yield session._replace(during=(*rest[0], less, *rest[1]))


def _smaller(script: Script) -> Iterator[Script]:
    """Without one of the replicas that no step names, or with modes, or in one batch."""
    named = "\n".join(map(repr, script.steps))
    for name in script.desktops + script.devices:
        desktops = tuple(one for one in script.desktops if one != name)
        devices = tuple(one for one in script.devices if one != name)
        if desktops and devices and repr(name) not in named:
            modeless = tuple(one for one in script.modeless if one != name)
            yield script._replace(desktops=desktops, devices=devices, modeless=modeless)
    for name in script.modeless:
        yield script._replace(modeless=tuple(one for one in script.modeless if one != name))
    if script.batch_items != 1000:
        yield script._replace(batch_items=1000)


# -- the command


def main(words: "list[str]") -> int:
    """The command. 0: no seed failed."""
    parser = argparse.ArgumentParser("cradle_testing.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    options = parser.parse_args(words)
    seeds = range(options.first, options.first + options.seeds)
    failed, kinds = 0, set()
    with ProcessPoolExecutor(options.jobs) as pool:
        for seed, found in zip(seeds, pool.map(check_seed, seeds, chunksize=PORTION), strict=True):
            if not found:
                continue
            failed += 1
            if kind(found) not in kinds:
                kinds.add(kind(found))
                found = pool.submit(shortest, seed).result()
            print(f"seed {seed}: {found}\n    again: make sim FIRST={seed} SEEDS=1", flush=True)  # noqa: T201
    print(f"{len(seeds)} seeds from {options.first}: {failed} failed")  # noqa: T201
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
