"""Random steps for worlds, out of a seed, and the shrinker that makes a failing list of them short. Runs nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from sync.model import DIRECTORIES, FILES, Filter
from sync.model_pass import Faults
from sync.model_world import Edit, Step, Sync

# Every kind of trouble, by the name under which a test asks for it: equal contents written on several sides,
# directories, cuts and the policy that leaves conflicts alone, crashes, moves, edits while a session runs, cleanup,
# policies that look at more than versions, each partnership with one of its own that changes now and then.
ALL = frozenset(("equal", "directories", "cut", "crash", "moves", "during", "clean", "policies"))
# All devices but R1 have filters, which change. Contents are written once: what nobody has hashed is told by its size.
FILTERED = ALL - {"equal"} | {"filters"}
# A content of some letters more, which filters by size tell from others.
LONG = 13
POLICIES = ("desktop", "device", "newest", "both", "merge", "skip")
SAME_POLICY = 0.8  # share of sessions with the policy that their partnership had before


@dataclass(frozen=True)
class Script:
    """A world and what happens in it."""

    desktops: tuple[str, ...]
    devices: tuple[str, ...]
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return "\n    ".join([" ".join(self.desktops + self.devices), *map(str, self.steps)])


class Generator:
    """Makes the script of one seed."""

    def __init__(self, seed: int, kinds: frozenset[str]) -> None:
        self.random, self.kinds, self.token = random.Random(seed), kinds, 100
        self.policies: dict[tuple[str, str], str] = {}

    def script(self) -> Script:
        """Eight to forty steps of two or three desktops and as many devices."""
        pick = self.random.choice
        desktops, devices = ("D1", "D2", "D3")[: pick((2, 2, 3))], ("R1", "R2", "R3")[: pick((2, 2, 3))]
        names, steps = desktops + devices, list[Step]()
        if "filters" in self.kinds:
            steps += [self._filter(device) for device in devices[1:] if self.random.random() < 0.7]
        for _ in range(self.random.randint(8, 40)):
            x = self.random.random()
            if x < 0.5:
                steps.append(self._edit(pick(names)))
            elif x < 0.56 and "clean" in self.kinds:
                steps.append(Edit("forget", pick(names)))
            elif x < 0.64 and "filters" in self.kinds:
                steps.append(self._filter(pick(devices[1:])))
            else:
                steps.append(self._sync(desktops, devices))
        return Script(desktops, devices, tuple(steps))

    def _filter(self, device: str) -> Edit:
        some = self.random.sample(FILES + DIRECTORIES, self.random.randint(0, 3))
        return Edit("filter", device, "", Filter(tuple(sorted(some)), self.random.choice((LONG, 99))))

    def _edit(self, who: str) -> Edit:
        self.token += 1
        x, pick = self.random.random(), self.random.choice
        paths = FILES if "directories" in self.kinds else FILES[:3]
        path = pick(paths)
        if "moves" in self.kinds and x < 0.2:
            old, new = self.random.sample(paths + DIRECTORIES if "directories" in self.kinds else paths, 2)
            return Edit("mv", who, old, new)
        if "directories" in self.kinds and x < 0.35:
            what = pick(("mkdir", "rm", "chmod"))
            return Edit(what, who, pick(DIRECTORIES), self.token if what == "chmod" else 0)
        if x < 0.5:
            return Edit("rm", who, path)
        if x < 0.65:
            return Edit("chmod", who, path, self.token)
        if "policies" in self.kinds and self.random.random() < 0.4:
            return Edit("line", who, path, f"line {self.token:04d}")
        same = "equal" in self.kinds and self.random.random() < 0.4
        text = f"content {self.random.randint(1, 2) if same else self.token:04d}"
        if "filters" in self.kinds and self.random.random() < 0.3:
            text += " long"
        return Edit("write", who, path, text)

    def _sync(self, desktops: tuple[str, ...], devices: tuple[str, ...]) -> Sync:
        pick, chance = self.random.choice, self.random.random
        cut = "cut" in self.kinds
        desktop, device = pick(desktops), pick(devices)
        policy = self._policy(desktop, device)
        size = self.random.randint(1, 3) if cut and chance() < 0.5 else 99
        during = []
        if "during" in self.kinds and chance() < 0.3:
            for _ in range(self.random.randint(1, 2)):
                during.append((pick(("up", "down")), self.random.randint(0, 2), self._edit(pick(desktops + devices))))
        return Sync(desktop, device, policy, size, self._faults(), self._faults(), tuple(during))

    def _policy(self, desktop: str, device: str) -> str:
        if "policies" not in self.kinds:
            return self.random.choice(("desktop", "device", "skip") if "cut" in self.kinds else ("desktop", "device"))
        before = self.policies.get((desktop, device), "")
        if not before or self.random.random() > SAME_POLICY:
            before = self.policies[desktop, device] = self.random.choice(POLICIES)
        return before

    def _faults(self) -> Faults:
        faults = Faults()
        if "cut" in self.kinds and self.random.random() < 0.2:
            faults.stop = self.random.randint(1, 4)
        if "crash" in self.kinds and self.random.random() < 0.2:
            faults.kill = self.random.randint(0, 2), self.random.randint(0, 3)
        return faults


def shrink(script: Script, fails: Callable[[Script], bool]) -> Script:
    """The shortest script found that still fails: steps, faults and replicas are left out while that is so."""
    before = None
    while before != script:
        before = script
        for count in (4, 2, 1):
            script = _fewer_steps(script, count, fails)
        script = _plainer_syncs(script, fails)
        script = _fewer_replicas(script, fails)
    return script


def _fewer_steps(script: Script, count: int, fails: Callable[[Script], bool]) -> Script:
    k = 0
    while k < len(script.steps):
        less = replace(script, steps=script.steps[:k] + script.steps[k + count :])
        if fails(less):
            script = less
        else:
            k += 1
    return script


def _plainer_syncs(script: Script, fails: Callable[[Script], bool]) -> Script:
    for k, step in enumerate(script.steps):
        if not isinstance(step, Sync):
            continue
        for plain in (Faults, Faults), (Faults, None), (None, Faults), (None, None):
            now = script.steps[k]
            assert isinstance(now, Sync)
            up, down = (plain[0] or (lambda: now.up))(), (plain[1] or (lambda: now.down))()  # noqa: B023
            for size, during in ((99, ()), (99, now.during), (now.size, ())):
                less = replace(now, up=up, down=down, size=size, during=during)
                shorter = replace(script, steps=(*script.steps[:k], less, *script.steps[k + 1 :]))
                if less != now and fails(shorter):
                    script = shorter
                    break
    return script


def _fewer_replicas(script: Script, fails: Callable[[Script], bool]) -> Script:
    for name in script.desktops + script.devices:
        desktops = tuple(one for one in script.desktops if one != name)
        devices = tuple(one for one in script.devices if one != name)
        if not desktops or not devices or any(name in _names(step) for step in script.steps):
            continue
        if fails(less := Script(desktops, devices, script.steps)):
            script = less
    return script


def _names(step: Step) -> set[str]:
    if isinstance(step, Edit):
        return {step.who}
    return {step.desktop, step.device} | {edit.who for _, _, edit in step.during}
