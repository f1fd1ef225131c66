"""Scripts: what users, machines and desktops do in one random world, as data, all out of one seed.

A script looks at no world, so any step of it can be left out and the rest means the same. What is not possible when
its turn comes (a write into a directory that is a file) is not done. `chaos.Chaos` does a script; `sim` is the command.
"""

import random
from collections.abc import Collection
from typing import NamedTuple

from cradle_protocol.errors import CHANGED, READ_ONLY, UNREADABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.sync.report import Direction, Policy

DESKTOPS, DEVICES = ("D1", "D2", "D3", "D4"), ("R1", "R2", "R3", "R4", "R5", "R6")
STICKS = ("S1", "S2")
FILES = ("a", "b", "c", "d/a", "d/b", "e/a", "e/b", "e/d/a")
DIRECTORIES = ("d", "e", "e/d")
NAMES = FILES + DIRECTORIES
MODES = (0o600, 0o640, 0o755)

# What a script may have beside users, files and whole sessions.
DIRS = "directories"  # users make, move and delete directories too
KINDS = "kinds"  # a file comes to be where a directory was, and the reverse
CUTS = "cuts"  # links are cut
DEATHS = "deaths"  # a desktop or a device is killed, or loses its power, between any two steps of a session
LINES = "lines"  # some sessions go by serial lines that flip, lose, double and hold back bytes
ECHO = "echo"  # in some sessions batches come twice and in another order
POLICIES = "policies"  # conflicts are decided by contents and ages too, and each session has another policy
ASK = "ask"  # conflicts wait, and are decided later
ONE_WAY = "one way"  # some syncs go one way only
RESTARTS = "restarts"  # any machine is killed or loses its power between the sessions
CLOCKS = "clocks"  # clocks are set on and back, or cannot tell how old things are
CLEANED = "cleaned"  # tombstones are dropped, however young
FAILING = "failing"  # objects cannot be read or written, until that heals
FULL = "full"  # disks are full, until they are emptied
DURING = "during"  # users edit while a session runs
MODELESS = "modeless"  # some stores keep no modes
AWAY = "away"  # a store goes away while it is scanned, until it is back
WIPED = "wiped"  # a desktop loses its database
STUCK = "sticks"  # folders on sticks are partners too
RESTORED = "restored"  # a machine gets its state, or all that it has, from a backup
CLONED = "cloned"  # a card or stick is copied, with all that is on it, in place of another one
FILTERS = "filters"  # all devices but the first do not want everything, and change their minds
FEATURES = (
    DIRS, KINDS, CUTS, DEATHS, LINES, ECHO, POLICIES, ASK, ONE_WAY, RESTARTS, CLOCKS, CLEANED, FAILING, FULL, DURING,
    MODELESS, AWAY, WIPED, FILTERS, STUCK, RESTORED, CLONED,
)  # fmt: skip

# Shares of the kinds of step; what is left is a session.
EDITS, TROUBLE = 0.55, 0.15
# Shares of sessions that meet a fault, go by a line, or repeat batches; of conflicts that a user decided,
# of stores that are edited during a session, of stores without modes; of features that a script has.
FAULTS, LINED, ECHOED, DECIDED, EDITED, WITHOUT_MODES, FEATURED = 0.3, 0.15, 0.2, 0.4, 0.6, 0.4, 0.6
SAME_POLICY = 0.8  # share of sessions with the policy that their partnership had before
# Few sessions of a world move more bytes, look at a store more often; so many steps of storing many have, on average.
LATEST_CUT, LATEST_LOOK, STEPS = 1500, 5, 6
# Bytes that are left on a full disk: less than four tokens.
LEFT = (0, 10, 30)
LATEST_END = 4  # objects that a scan sees before the store goes away
# Seconds between two edits: none, more than the racy rule looks at, a pause.
WAITS = (0, 0, 3, 60)
SHORTEST, LONGEST = 12, 40  # steps
SIZES = (1, 1, 1, 2, 2, 3)  # how many desktops, how many devices
LARGE = 0.03  # share of scripts with more of them: up to four, up to six
JUMPS = (-7 * 86400.5, -3601.25, -0.75, 1.5, 3600.125, 400 * 86400.375)  # seconds by which a clock is wrong at once
KNOWN = 0.7  # share of scripts that begin with files that everybody has
# What a filter may say: a token of two digits has 8 bytes, a text more than one; the pauses are shorter than an hour.
RULES = (
    "exclude a", "exclude /d/", "exclude /e/d/a", "exclude /a", "include b", "include /e/", "max-size 7", "max-size 9",
    "newer-than 90", "newer-than 3600", "on-demand 1", "pin d", "pin e/d/a",
)  # fmt: skip
MOST_RULES = 3
FILTERED = 0.7  # share of the devices that may have a filter and have one from the start


class Edit(NamedTuple):
    """A user at one store. kind: write, line (one of a text), delete, chmod, mkdir, swap (a file for a directory or the
    reverse), move.

    more  number of the token that is written, the mode, or the path that it is moved to
    wait  seconds that pass before
    """

    name: str
    kind: str
    path: str
    more: "int | str" = 0
    wait: float = 0


class Trouble(NamedTuple):
    """A machine between two sessions. kind: kill, restart (its power is lost; more: what is torn by that), wipe (the
    database of a desktop), fill (more: bytes that are left, -1: no limit), away (more: objects that a scan sees
    before), clock (more: seconds), lost_clock, forget (tombstones), filter (path: its text on the device), heal, or the
    name of a switch of `MemoryStore` that makes a path fail (more: the status). backup, and restore from the last one
    (more: 1 for the state alone, which a desktop has always), clone (path: whose place the copy takes)."""

    name: str
    kind: str
    path: str = ""
    more: float = 0


class During(NamedTuple):
    """Edits while a session looks at one store or acts on it: from this look on, one a look."""

    name: str
    look: int
    edits: "tuple[Edit, ...]"


class Death(NamedTuple):
    """A desktop or a device dies after so many steps of storing. power: what was not flushed goes; torn: how."""

    device: bool
    step: int
    power: bool
    torn: int = 0


class Session(NamedTuple):
    """A sync of two. What is 0 or None does not come.

    cut    bytes until the link is cut
    line   seed of the noise of a serial line
    echo   seed of what becomes of batches above the link
    """

    desktop: str
    device: str
    policy: "Policy" = "desktop"
    direction: "Direction" = "both"
    decisions: "tuple[tuple[str, str], ...]" = ()
    cut: "int | None" = None
    death: "Death | None" = None
    line: int = 0
    echo: int = 0
    during: "tuple[During, ...]" = ()


Step = Edit | Trouble | Session


class Script(NamedTuple):
    """A world and what happens in it."""

    desktops: "tuple[str, ...]"
    devices: "tuple[str, ...]"
    modeless: "tuple[str, ...]"
    batch_items: int
    steps: "tuple[Step, ...]"

    def __str__(self) -> str:
        world = f"{' '.join(self.desktops + self.devices)}, batches of {self.batch_items}"
        without = f", without modes: {' '.join(self.modeless)}" if self.modeless else ""
        return "\n    ".join([world + without, *map(str, self.steps)])


class Author:
    """Writes the script of a seed. features: None for a choice by the seed."""

    def __init__(self, seed: int, features: "Collection[str] | None" = None) -> None:
        self.random = random.Random(seed)
        self.features = features
        if features is None:
            self.features = {one for one in FEATURES if self.random.random() < FEATURED}
        self.tokens = 0
        self.saved: list[str] = []  # who has a backup
        self.policies: dict[tuple[str, str], Policy] = {}

    def script(self) -> Script:
        """All of it."""
        large = self.random.random() < LARGE
        self.desktops = DESKTOPS[: self.random.randint(2, 4) if large else self.random.choice(SIZES)]
        self.devices = DEVICES[: self.random.randint(3, 6) if large else self.random.choice(SIZES)]
        if STUCK in self._has():
            self.devices += STICKS[: self.random.choice((1, 1, 2))]
        self.names = self.desktops + self.devices
        modeless = tuple(n for n in self.names if MODELESS in self._has() and self.random.random() < WITHOUT_MODES)
        steps = self._known() if self.random.random() < KNOWN else []
        if FILTERS in self._has():
            steps += [self._filter(name) for name in self.devices[1:] if self.random.random() < FILTERED]
        steps += [self._step() for _ in range(self.random.randint(SHORTEST, LONGEST))]
        return Script(self.desktops, self.devices, modeless, self.random.choice((1000, 2)), tuple(steps))

    def _known(self) -> "list[Step]":
        """Files that everybody has from the start, at rest."""
        first = len(FILES) if DIRS in self._has() else 3
        steps: list[Step] = [Edit("D1", "write", path, k + 1, 3) for k, path in enumerate(FILES[:first])]
        self.tokens = first
        for _ in range(2):
            steps += [Session(desktop, device) for desktop in self.desktops for device in self.devices]
        return steps

    def _has(self) -> "Collection[str]":
        assert self.features is not None
        return self.features

    def _step(self) -> Step:
        kind = self.random.random()
        if kind < EDITS:
            return self._edit(self.random.choice(self.names))
        if kind < EDITS + TROUBLE and (troubles := self._troubles()):
            return self._trouble(self.random.choice(self.names), self.random.choice(troubles))
        return self._session()

    # -- users

    def _edit(self, name: str) -> Edit:
        pick, kind, wait = self.random.choice, self.random.random(), self.random.choice(WAITS)
        paths = FILES if DIRS in self._has() else FILES[:3]
        if kind < 0.25:
            old, new = self.random.sample(NAMES if DIRS in self._has() else paths, 2)
            return Edit(name, "move", old, new, wait)
        if kind < 0.35 and DIRS in self._has():
            return Edit(name, pick(("mkdir", "delete")), pick(DIRECTORIES), 0, wait)
        if kind < 0.45:
            return Edit(name, "delete", pick(paths), 0, wait)
        if kind < 0.52:
            return Edit(name, "chmod", pick(paths), pick(MODES), wait)
        self.tokens += 1
        if kind < 0.58 and KINDS in self._has():
            return Edit(name, "swap", pick(NAMES), self.tokens, wait)
        if kind < 0.75 and POLICIES in self._has():
            return Edit(name, "line", pick(paths), self.tokens, wait)
        return Edit(name, "write", pick(paths), self.tokens, wait)

    # -- between the sessions

    def _troubles(self) -> "list[str]":
        kinds = {RESTARTS: ["restart", "kill"], FULL: ["fill"], FAILING: ["failing", "heal"], AWAY: ["away", "heal"]}
        kinds |= {WIPED: ["wipe"], CLOCKS: ["clock", "lost_clock"], CLEANED: ["forget"]}
        kinds |= {FILTERS: ["filter"] if len(self.devices) > 1 else [], CLONED: ["clone"] if self._alike() else []}
        kinds[RESTORED] = ["backup", "restore"]
        return [kind for feature, several in kinds.items() if feature in self._has() for kind in several]

    def _trouble(self, name: str, kind: str) -> Trouble:
        pick = self.random.choice
        if kind == "fill":
            return Trouble(name, kind, "", pick((-1, *LEFT)))
        if kind == "wipe":
            return Trouble(pick(self.desktops), kind)
        if kind == "filter":
            return self._filter(pick(self.devices[1:]))
        if kind == "restore" and self.saved:
            return Trouble(pick(self.saved), kind, "", pick((0, 1)))
        if kind in ("backup", "restore"):
            # `test_restores`: a device that is set back may first meet a desktop that cannot tell it so.
            name = pick([one for one in self.names if one[0] != "R" or len(self.desktops) == 1])
            self.saved.append(name)
            return Trouble(name, "backup")
        if kind == "clone":
            alike = pick(self._alike())
            new = pick([name for name in alike if name != self.devices[0]])  # who wants everything goes on doing so
            return Trouble(pick([name for name in alike if name != new]), kind, new)
        if kind == "away":
            return Trouble(name, kind, "", self.random.randint(0, LATEST_END))
        if kind == "clock":
            return Trouble(name, kind, "", pick(JUMPS))
        if kind == "restart":
            return Trouble(name, kind, "", self._seed())
        if kind == "failing":
            switch = pick(("failing", "failing_reads", "failing_writes", "hidden"))
            return Trouble(name, switch, pick(NAMES), pick((UNREADABLE, CHANGED, READ_ONLY)))
        return Trouble(name, kind)

    def _alike(self) -> "list[list[str]]":
        """Devices and sticks, of which there are several: what can be put in another one's place."""
        kinds = [[name for name in self.devices if name[0] == kind] for kind in "RS"]
        return [names for names in kinds if len(names) > 1]

    def _filter(self, name: str) -> Trouble:
        # Each of two copies of a card is looked at anew after the other one, by desktops that differ on what is old.
        several = [rule for rule in RULES if CLONED not in self._has() or not rule.startswith("newer-than")]
        rules = self.random.sample(several, self.random.randint(0, MOST_RULES))
        return Trouble(name, "filter", "".join(rule + "\n" for rule in rules))

    # -- sessions

    def _session(self) -> Session:
        pick, has = self.random.choice, self._has()
        directions: list[Direction] = ["both", "both", "both", "to-device", "to-desktop"]
        desktop, device = pick(self.desktops), pick(self.devices)
        policy = self._policy(desktop, device)
        session = Session(desktop, device, policy, pick(directions) if ONE_WAY in has else "both")
        if session.policy == "ask":
            decided = [path for path in NAMES if self.random.random() < DECIDED]
            session = session._replace(decisions=tuple((path, pick(("desktop", "device", "both"))) for path in decided))
        session = self._faulty(session)
        if DURING in has:
            during = [self._during(name) for name in self.names if self.random.random() < EDITED]
            session = session._replace(during=tuple(during))
        return session

    def _policy(self, desktop: str, device: str) -> "Policy":
        """Of this partnership, which changes it now and then."""
        before, has = self.policies.get((desktop, device)), self._has()
        if before is None or self.random.random() > SAME_POLICY:
            several: list[Policy] = ["desktop", "device"]
            several += ["skip"] if CUTS in has else []
            several += ["ask"] if ASK in has else []
            several += ["newest", "both", "merge", "merge"] if POLICIES in has else []
            before = self.policies[desktop, device] = self.random.choice(several)
        return before

    def _faulty(self, session: Session) -> Session:
        """With what goes wrong on its way."""
        chance, number, has = self.random.random, self.random.randint, self._has()
        if CUTS in has and chance() < FAULTS / 2:
            session = session._replace(cut=number(0, LATEST_CUT))
        elif DEATHS in has and chance() < FAULTS:
            step = int(self.random.expovariate(1 / STEPS))
            death = Death(chance() < 0.5, step, chance() < 0.5, self._seed())
            session = session._replace(death=death)
        if LINES in has and chance() < LINED and session.device not in STICKS:
            return session._replace(line=self._seed())
        return session._replace(echo=self._seed()) if ECHO in has and chance() < ECHOED else session

    def _seed(self) -> int:
        return self.random.randint(1, 9999)

    def _during(self, name: str) -> During:
        edits = tuple(self._edit(name)._replace(wait=0) for _ in range(self.random.randint(1, 3)))
        return During(name, self.random.randint(0, LATEST_LOOK), edits)
