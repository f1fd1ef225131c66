"""Any sequence of edits, syncs and faults can be explained by what users may observe (`cradle_testing.observed`).

Real engine, agent, session and metadata: a database on the desktops, a log on the devices.
"""

import shutil
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from cradle_testing.fate import Killed
from cradle_testing.flash import Lifeline
from cradle_testing.observed import NOTHING, ORIGIN, Observed, State
from cradle_testing.worlds import Cut, MemoryConflicts, World

DESKTOPS, DEVICES = ("D1", "D2"), ("R1", "R2")
PLACES = DESKTOPS + DEVICES
PATHS = ["a", "b", "d/a"]
LONGEST_CUT, MOST_STEPS = 1500, 40
SHORT, LONG, STEPS = 12, 400, 30  # worlds of the two runs, steps of one
ROUNDS = 4  # in which four places come to rest
MOMENT, WHILE = 0.001, 5.0  # seconds: less and more than a stamp can hide

places, paths = st.sampled_from(PLACES), st.sampled_from(PATHS)
waits = st.sampled_from([MOMENT, WHILE])
faults = st.one_of(
    st.none(),
    st.tuples(st.just("cut"), st.integers(0, LONGEST_CUT)),
    st.tuples(st.sampled_from(["desktop killed", "desktop without power"]), st.integers(0, MOST_STEPS)),
    st.tuples(st.sampled_from(["device killed", "device without power"]), st.integers(0, MOST_STEPS)),
)


class Databases(World):
    """Desktops keep their metadata in a database."""

    sqlite = True


class Users(RuleBasedStateMachine):
    """Users at four places, who save what they do (it is on the disk), and what they see."""

    @initialize()
    def begin(self) -> None:
        shm = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(prefix="cradle-observed-", dir=shm if shm.is_dir() else None))
        self.world = Databases(self.folder, DESKTOPS, DEVICES)
        self.model = Observed(PLACES, PATHS)
        self.count = 0
        self.met: set[tuple[str, str]] = set()  # who is paired: before, a preview begins with that
        self.lives = {name: Lifeline(self.world[name].store) for name in PLACES}
        for name in DEVICES:
            self.world.boards[name].end.adapt = self.lives[name].adapt
            self.world.boards[name].end.restart()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.world.settle_and_check(ROUNDS)
        finally:
            for board in self.world.boards.values():
                board.end.agent.close()
            shutil.rmtree(self.folder)

    # -- users

    @rule(place=places, path=paths, wait=waits)
    def write(self, place: str, path: str, wait: float) -> None:
        self._write(place, path, wait)

    def _write(self, place: str, path: str, wait: float) -> None:
        self.count += 1
        store = self.world[place].store
        store.advance(wait)
        store.write(path, b"content %04d" % self.count)
        store.sync()
        self.model.write(place, path, b"content %04d" % self.count)

    @rule(places=st.lists(places, min_size=2, max_size=3, unique=True), path=paths, wait=waits)
    def clash(self, places: "list[str]", path: str, wait: float) -> None:
        for place in places:
            self._write(place, path, wait)

    @rule(place=places, path=paths, wait=waits)
    def delete(self, place: str, path: str, wait: float) -> None:
        store = self.world[place].store
        if path in store.objects:
            store.advance(wait)
            store.delete(path)
            store.sync()
            self.model.write(place, path, NOTHING)

    @rule(place=places, old=paths, new=paths, wait=waits)
    def rename(self, place: str, old: str, new: str, wait: float) -> None:
        store = self.world[place].store
        if old != new and old in store.objects:
            store.advance(wait)
            store.rename(old, new)
            store.sync()
            self.model.move(place, old, new)

    # -- sessions

    @rule(
        desktop=st.sampled_from(DESKTOPS), device=st.sampled_from(DEVICES), fault=faults,
        policy=st.sampled_from(["desktop", "device", "newest", "skip"]),
    )  # fmt: skip
    def sync(self, desktop: str, device: str, policy: str, fault: "tuple[str, int] | None") -> None:
        kind, number = fault or ("", 0)
        victim = {"desktop": desktop, "device": device}.get(kind.partition(" ")[0], "")
        self.world.desks[desktop].meta.on_act = self.lives[desktop].act
        if victim:
            self.lives[victim].arm(number)
        whole = True
        try:
            self.world.sync(desktop, device, policy, cut_after=number if kind == "cut" else None)  # type: ignore[arg-type]
        except (Cut, Killed):
            whole = False
        if victim and self.lives[victim].dead:
            self._restart(victim, kind.endswith("power"), number)
        if victim:
            self.lives[victim].arm(None)
        self.met |= {(desktop, device)} if whole else set()
        self._look(desktop, device, whole, policy != "skip")

    @rule(place=places, power=st.booleans(), torn=st.integers(0, 99))
    def restart(self, place: str, power: bool, torn: int) -> None:
        self._restart(place, power, torn)

    @rule(desktop=st.sampled_from(DESKTOPS), device=st.sampled_from(DEVICES))
    @precondition(lambda self: self.met)
    def preview(self, desktop: str, device: str) -> None:
        if (desktop, device) not in self.met:
            return
        before = self.world.everything()
        self.world.preview(desktop, device)
        assert self.world.everything() == before

    def _restart(self, place: str, power: bool, torn: int) -> None:
        life, machine = self.lives[place], self.world[place]
        life.arm(None)
        if place in DESKTOPS:
            self.world.desks[place].meta.crash()
        else:
            self.world.boards[place].end.agent.close()
        if power:
            life.lose_power(Random(torn))
            machine.store.crash()
        if place in DEVICES:
            self.world.boards[place].end.reopen()

    def _look(self, desktop: str, device: str, whole: bool, decides: bool) -> None:
        seen = {}
        for place in (desktop, device):
            tree = self.world[place].store.tree()
            seen[place] = {path: tree.get(path, NOTHING) for path in PATHS}
        kept = set(self.world.losers())
        note(f"seen {seen}, kept {sorted(kept)}")
        self.model.session(desktop, device, seen, kept, whole, decides)


def test_what_is_observed_can_be_explained() -> None:
    """What fails here is not shrunk: that may take longer than a test may. The long run remembers it and shrinks it."""
    brief = settings(max_examples=SHORT, stateful_step_count=STEPS, phases=[Phase.reuse, Phase.generate])
    run_state_machine_as_test(Users, settings=brief)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_is_observed_can_be_explained_at_length() -> None:
    run_state_machine_as_test(Users, settings=settings(max_examples=LONG, stateful_step_count=STEPS))


def test_what_cannot_be_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that keeps no loser is found."""
    monkeypatch.setattr(MemoryConflicts, "add", lambda *_: 0)
    fixed = settings(
        max_examples=LONG, stateful_step_count=STEPS, derandomize=True, database=None, phases=[Phase.generate]
    )
    with pytest.raises(AssertionError, match="nobody can explain"):
        run_state_machine_as_test(Users, settings=fixed)


def deleted_after(folder: Path, steps: int) -> "list[dict[str, bytes]]":
    """What is at both after the desktop has died at this step of a sync, and its user has deleted what had come."""
    world = Databases(folder, ("D1",), ("R1",))
    world.sync("D1", "R1")
    life, desk, board = Lifeline(world["D1"].store), world.desks["D1"], world.boards["R1"]
    desk.meta.on_act = life.act
    board.store.write("a", b"one")
    life.arm(steps)
    try:
        world.sync("D1", "R1")
    except Killed:
        desk.meta.crash()
    life.arm(None)
    came = "a" in desk.store.tree()
    if came:
        desk.store.delete("a")
    world.settle_and_check(ROUNDS)
    board.end.agent.close()
    return [desk.store.tree(), board.store.tree()] if came else []


def test_what_is_deleted_before_its_coming_was_noted_comes_again(tmp_path: Path) -> None:
    """The old state proves nothing about an intent. Once it is noted, the delete is one for everybody."""
    found = [deleted_after(tmp_path / str(steps), steps) for steps in range(MOST_STEPS)]
    seen = [here for k, here in enumerate(found) if here and here not in found[:k]]
    assert seen == [[{"a": b"one"}, {"a": b"one"}], [{}, {}]]


# -- the model itself


def look(model: Observed, ours: bytes, theirs: bytes, *kept: bytes, whole: bool = True) -> None:
    seen = {place: dict.fromkeys(PATHS, NOTHING) for place in PLACES}
    seen["D1"]["a"], seen["R1"]["a"] = ours, theirs
    model.session("D1", "R1", seen, set(kept), whole, True)


def test_an_edit_arrives_and_nothing_comes_back() -> None:
    model = Observed(PLACES, PATHS)
    model.write("D1", "a", b"one")
    look(model, b"one", b"one")
    model.write("R1", "a", b"two")
    with pytest.raises(AssertionError):
        look(model, b"one", b"one", b"two")
    look(model, b"one", b"two", whole=False)
    look(model, b"two", b"two")


def test_a_conflict_keeps_the_loser_and_is_settled_for_everybody() -> None:
    model = Observed(PLACES, PATHS)
    model.write("D1", "a", b"one")
    model.write("R1", "a", b"two")
    with pytest.raises(AssertionError):
        look(model, b"one", b"one")
    look(model, b"one", b"one", b"two")
    model.may["R1"]["a"] = {next(iter(state.over - {ORIGIN})) for state in model.may["R1"]["a"]}
    assert State(b"", [ORIGIN]).supersedes(ORIGIN)
    with pytest.raises(AssertionError):
        look(model, b"two", b"two", b"one", b"two")


def interrupted() -> Observed:
    """A device's content has come to the desktop, where it may not be noted."""
    model = Observed(PLACES, PATHS)
    model.write("R1", "a", b"one")
    look(model, b"one", b"one", whole=False)
    return model


def test_what_an_interrupted_session_brought_may_be_unknown_yet_when_a_user_deletes_or_edits_it() -> None:
    for now in (NOTHING, b"one"):
        model = interrupted()
        model.write("D1", "a", NOTHING)
        look(model, now, now)
    for now, kept in ((b"two", []), (b"two", [b"one"]), (b"one", [b"two"])):
        model = interrupted()
        model.write("D1", "a", b"two")
        look(model, now, now, *kept)
    model = interrupted()
    model.write("D1", "a", b"two")
    with pytest.raises(AssertionError):
        look(model, b"one", b"one")  # and nobody keeps the edit


def test_what_a_whole_session_brought_is_known() -> None:
    model = interrupted()
    look(model, b"one", b"one")
    model.write("D1", "a", NOTHING)
    with pytest.raises(AssertionError):
        look(model, b"one", b"one")
