"""What must be durable before what: a machine dies between any two steps of storing; nothing is lost or made twice."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from cradle_testing.fate import Killed
from cradle_testing.flash import Lifeline
from cradle_testing.pair import Cut
from cradle_testing.worlds import World

STEPS = 24  # more than a session of these worlds has on either side
WHOLE, STRIDE = 400, 25  # bytes of a session with one small file, and of every so manieth it is cut
MACHINES = ["D1", "R1", "R1 with memory"]
SOME_OR_ALL = pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])  # of the steps
TWO, FOUR = (("D1",), ("R1",)), (("D1", "D2"), ("R1", "R2"))


class Mortal:
    """A world in which one machine may die in a session with the other one of D1 and R1."""

    def __init__(self, folder: Path, machine: str, places: "tuple[tuple[str, ...], tuple[str, ...]]") -> None:
        self.world = World(folder, *places)
        self.victim = machine[:2]
        self.life = Lifeline(self.world[self.victim].store)
        self.world.desks["D1"].meta.on_act = self.life.act if self.victim == "D1" else None
        end = self.world.boards["R1"].end
        end.alternates, end.always_host = False, machine.endswith("memory")
        if self.victim == "R1":
            end.adapt = self.life.adapt
        end.restart()

    def save(self, name: str, path: str, content: bytes) -> None:
        """A user writes, and has it on the disk."""
        store = self.world[name].store
        store.advance(60)
        store.write(path, content)
        store.sync()

    def sync(self, step: int, power: bool) -> bool:
        """D1 with R1, in which the victim dies. False: it lived through it."""
        self.life.arm(step)
        try:
            self.world.sync("D1", "R1")
            return False
        except (Killed, Cut):  # of a device that dies its desktop sees that the link is lost
            return True
        finally:
            self.restart(power, step)

    def meet_another(self) -> None:
        """The victim syncs with somebody else."""
        self.world.sync(*(("D1", "R2") if self.victim == "D1" else ("D2", "R1")))

    def restart(self, power: bool, torn: int) -> None:
        """The victim starts again."""
        self.life.arm(None)
        if self.victim == "D1":
            self.world.desks["D1"].meta.crash()
        else:
            self.world.boards["R1"].end.agent.close()
        if power:
            self.life.lose_power(Random(torn))
            self.world[self.victim].store.crash()
        if self.victim == "R1":
            self.world.boards["R1"].end.reopen()


def deaths(
    folder: Path, machine: str, every: int, places: "tuple[tuple[str, ...], tuple[str, ...]]" = FOUR
) -> Iterator[tuple[Mortal, int]]:
    """A world for each, or for every so manieth, step at which the machine may die."""
    for step in range(0, STEPS, every):
        yield Mortal(folder / str(step), machine, places), step


@SOME_OR_ALL
@pytest.mark.parametrize("machine", MACHINES)
def test_a_version_that_has_left_is_never_used_again(tmp_path: Path, machine: str, every: int) -> None:
    """The object changes after the death, and another partner hears of that first: it is another version."""
    died = 0
    for m, step in deaths(tmp_path, machine, every):
        other = "R1" if m.victim == "D1" else "D1"
        m.save(other, "what the victim gets", b"x")
        m.save(m.victim, "a", b"first")
        died += m.sync(step, power=False)
        m.save(m.victim, "a", b"other")
        m.meet_another()
        m.world.settle_and_check(3)
        assert m.world[other].store.read("a") == b"other", step
    assert died > STEPS // every // 4


@SOME_OR_ALL
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("first", ["an edit", "a delete"])
def test_a_version_that_has_left_before_a_cut_is_never_used_again(
    tmp_path: Path, machine: str, first: str, every: int
) -> None:
    """The same, where the machine had nothing more to store since its scan: a delete has not even a content."""
    for cut in range(0, WHOLE, STRIDE * every):
        m = Mortal(tmp_path / str(cut), machine, FOUR)
        m.save(m.victim, "a", b"before")
        m.world.settle(1)
        if first == "an edit":
            m.save(m.victim, "a", b"first")
        else:
            m.world[m.victim].store.delete("a")
            m.world[m.victim].store.sync()
        with suppress(Cut):
            m.world.sync("D1", "R1", cut_after=cut)
        m.restart(power=True, torn=cut)
        m.save(m.victim, "a", b"other")
        m.meet_another()
        m.world.settle_and_check(2)
        assert m.world["R1" if m.victim == "D1" else "D1"].store.read("a") == b"other", cut


@SOME_OR_ALL
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("power", [False, True])
def test_what_was_half_taken_is_no_edit_and_no_delete(tmp_path: Path, machine: str, power: bool, every: int) -> None:
    """Creates, an edit, a rename and a delete are taken; the machine dies in it. Its user has done nothing."""
    died = 0
    for m, step in deaths(tmp_path, machine, every, TWO):
        other = "R1" if m.victim == "D1" else "D1"
        for path in ("edited", "gone", "moved"):
            m.save(other, path, path.encode())
        m.world.settle(1)
        m.save(other, "edited", b"new")
        m.save(other, "d/made", b"made")
        m.world[other].store.delete("gone")
        m.world[other].store.rename("moved", "d/moved")
        m.world[other].store.sync()
        died += m.sync(step, power)
        m.world.settle_and_check(2)
        expected = {"edited": b"new", "d/": b"", "d/made": b"made", "d/moved": b"moved"}
        assert m.world[other].store.tree() == expected and not m.world.losers(), step
    assert died > STEPS // every // 4


@SOME_OR_ALL
@pytest.mark.parametrize("machine", MACHINES)
def test_an_edit_after_a_death_is_no_conflict_with_what_was_taken(tmp_path: Path, machine: str, every: int) -> None:
    """What became visible is adopted with what its sender knew: an edit of it is an edit of that very version."""
    died = 0
    for m, step in deaths(tmp_path, machine, every):
        other = "R1" if m.victim == "D1" else "D1"
        m.save(other, "a", b"old")
        m.world.settle(2)
        m.save(other, "a", b"taken")
        died += m.sync(step, power=False)
        if m.world[m.victim].store.read("a") != b"taken":
            continue
        m.meet_another()
        m.save(m.victim, "a", b"edit of it")
        m.world.settle_and_check(3)
        assert m.world[other].store.read("a") == b"edit of it" and not m.world.losers(), step
    assert died
