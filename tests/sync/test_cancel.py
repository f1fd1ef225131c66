"""A running sync tells how far it is and can be ended: at a safe point, or at once. Real engine, stores in memory."""

import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from threading import Event, Thread

import pytest

from cradle_desktop.connection import ALIVE
from cradle_desktop.errors import LinkGone
from cradle_desktop.pump import StreamPump
from cradle_desktop.sync.engine import synchronize
from cradle_desktop.sync.meter import LEAST, SPAN, Meter
from cradle_desktop.sync.report import Observer, Progress, SyncOptions, TypeResult
from cradle_device import runner
from cradle_testing.pair import PairPump
from cradle_testing.worlds import World
from sync.test_faults import WHAT_WILL_BE, small_world

# More events than the small world's sync has: with the last of these nothing is ended.
MORE_THAN_ALL = 40


class Ear(Observer):
    """Keeps what it hears, and asks for the end at the event with a number, so often."""

    def __init__(self, at: int = -1, times: int = 1) -> None:
        self.events: list[Progress] = []
        self.at, self.times = at, times

    def progress(self, event: Progress) -> None:
        if len(self.events) == self.at:
            for _ in range(self.times):
                self.cancel()
        self.events.append(event)


def ended_everywhere(folder: Path, times: int) -> Iterator[tuple[World, TypeResult, Ear]]:
    """The small world's sync, ended at each of its events in turn."""
    for at in range(MORE_THAN_ALL):
        world, ear = small_world(folder / str(at)), Ear(at, times)
        yield world, world.sync("D1", "R1", observer=ear), ear


@pytest.mark.parametrize("times", [1, 2])
def test_a_sync_that_is_ended_anywhere_is_whole_and_goes_on(tmp_path: Path, times: int) -> None:
    stages = set()
    for world, result, ear in ended_everywhere(tmp_path, times):
        assert result.cancelled == (ear.cancelled > 0)
        stages |= {ear.events[-1].stage} if result.cancelled else set()
        for name in ("D1", "R1"):
            for path, content in world[name].store.tree().items():
                assert content in (b"old " + path.encode(), WHAT_WILL_BE.get(path)), (ear.at, name, path)
        rest = world.sync("D1", "R1")
        assert not rest.skipped and not rest.conflicts and not rest.cancelled
        assert world["D1"].store.tree() == world["R1"].store.tree() == WHAT_WILL_BE, ear.at
        world.settle_and_check(rounds=1)
    assert stages == {"scan", "receive", "send"}


def test_the_result_says_exactly_what_was_done(tmp_path: Path) -> None:
    seen = set()
    for world, result, _ in ended_everywhere(tmp_path, 1):
        here, there = world["D1"].store, world["R1"].store
        received = sum([here.mode("kept") == 0o755, "deleted" not in here.tree(), "r/new" in here.tree()])
        sent = sum([there.tree().get("edited") == WHAT_WILL_BE["edited"], "d/new" in there.tree()])
        moved = "d/moved" in there.tree()
        # What a rename alone made is there for its child, and is told when it comes itself.
        made = "d/" in there.tree() and not list(world.boards["R1"].end.agent.replicas["files"].meta().implied())
        assert result.to_desktop.total() == result.down.applied == received + ("r/" in here.tree())
        assert result.to_device.total() == result.up.applied == sent + moved + made
        seen.add((received, sent + moved))
    assert {(0, 0), (3, 3)} < seen and len(seen) > 2  # it ended in between as well


class AfterScan(Ear):
    """Hears nothing of a scan: how often one tells how far it is hangs on the time that it takes."""

    def progress(self, event: Progress) -> None:
        if event.stage != "scan":
            super().progress(event)


def many(folder: Path, size: int) -> World:
    """No two contents are alike: one that the device has under another name would not travel."""
    world = World(folder)
    for k in range(20):
        world["R1"].store.write(f"r{k}", bytes([k]) * size)
        world["D1"].store.write(f"d{k}", bytes([100 + k]) * size)
    return world


def test_what_was_done_is_not_sent_again(tmp_path: Path) -> None:
    """The batch of 1000 files in which it was ended is over with the file in hand."""
    size, done = 500, set()
    for at in count():
        world, ear = many(tmp_path / str(at), size), AfterScan(at)
        first = world.sync("D1", "R1", observer=ear)
        assert len(world["D1"].store.tree()) == 20 + first.down.applied
        assert len(world["R1"].store.tree()) == 20 + first.up.applied
        rest = world.sync("D1", "R1")
        assert first.down.applied + rest.down.applied == 20 == first.up.applied + rest.up.applied
        assert (rest.down.bytes, rest.up.bytes) == (rest.down.applied * size, rest.up.applied * size)
        done.add((first.down.applied, first.up.applied))
        if not ear.cancelled:
            break
    assert {(k, 0) for k in range(1, 20)} < done and (20, 20) in done


def test_an_end_in_the_middle_of_a_large_content_resumes_there(tmp_path: Path) -> None:
    for at, times, name in ((20, 2, "D1"), (20, 2, "R1")):
        world = World(tmp_path / name)
        world[name].store.write("large", bytes(range(256)) * 4000)
        world.advance()
        first = world.sync("D1", "R1", observer=Ear(at, times))
        assert first.cancelled and first.up.applied + first.down.applied == 0
        rest = world.sync("D1", "R1")
        assert rest.resumed_bytes > 100_000 and rest.up.applied + rest.down.applied == 1
        assert rest.up.resumed + rest.up.bytes in (0, 1_024_000) and rest.down.resumed + rest.down.bytes in (
            0,
            1_024_000,
        )


def test_one_wish_finishes_the_large_content_in_hand(tmp_path: Path) -> None:
    for name in ("D1", "R1"):
        world = World(tmp_path / name)
        world[name].store.write("large", bytes(range(256)) * 4000)
        world[name].store.write("other", bytes(range(256)) * 4000)
        first = world.sync("D1", "R1", observer=Ear(20))
        assert first.cancelled and first.up.applied + first.down.applied == 1
        world.settle_and_check(rounds=1)


def test_conflicts_that_wait_still_wait_after_an_end(tmp_path: Path) -> None:
    for at in count():
        world, ear = small_world(tmp_path / str(at)), Ear(at)
        world["D1"].store.write("kept", b"mine")
        world["R1"].store.write("kept", b"theirs")
        result = world.sync("D1", "R1", policy="ask", observer=ear)
        if not ear.cancelled:
            break
        acted = any(event.stage != "scan" for event in ear.events)
        assert [loser.identity for loser in world.desks["D1"].conflicts.left] == ["kept"] * acted
        assert result.conflicts == acted
    assert at > 3


# -- what is told


def test_events_of_a_whole_sync(tmp_path: Path) -> None:
    world, ear = many(tmp_path, 30_000), Ear()
    world.sync("D1", "R1", observer=ear)
    stages = [event.stage for event in ear.events]
    assert sorted(stages, key=["scan", "receive", "send"].index) == stages and set(stages) == {
        "scan",
        "receive",
        "send",
    }
    for stage in ("receive", "send"):
        of_it = [event for event in ear.events if event.stage == stage]
        assert {(event.type, event.total, event.total_bytes) for event in of_it} == {("files", 20, 600_000)}
        for one in (Progress.done, Progress.bytes):
            values = [one.__get__(event) for event in of_it]  # type: ignore[attr-defined]
            assert values == sorted(values)
        assert (of_it[-1].done, of_it[-1].bytes) == (20, 600_000)


def test_a_scan_tells_how_many_objects_it_has_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cradle_desktop.sync.meter.AWAKE", -1.0)
    world, ear = many(tmp_path, 10), Ear()
    world.sync("D1", "R1", observer=ear)
    assert [event.done for event in ear.events if event.stage == "scan"] == [0, *range(20)]


class StillLink:
    """What a meter wants of a connection."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def keep_alive(self, now: float) -> None:
        self.seen.append(now)


def metered(steps: "list[tuple[float, int]]") -> "list[float]":
    """The rates that are told when so many bytes are done at these seconds."""
    clock, ear = [0.0], Ear()
    now: Callable[[], float] = lambda: clock[0]  # noqa: E731
    meter = Meter(ear, StillLink(), "files", "send", 1, 100, now)  # type: ignore[arg-type]
    for clock[0], size in steps:
        meter.at(0, size)
    return [event.rate for event in ear.events]


def test_the_rate_is_of_the_last_moments() -> None:
    assert metered([(0, 0), (LEAST / 2, 1000), (1, 1000)]) == [0, 0, 1000]
    assert metered([(SPAN, 2000), (SPAN + 1, 9000), (2 * SPAN, 9000), (3 * SPAN, 9000)]) == [1000, 1000, 3500, 0]


class ApartPump(PairPump):
    """A pump whose agent is served by a thread of its own, as a device is by itself."""

    def step(self, timeout: "float | None" = None) -> bool:
        return StreamPump.step(self, timeout)

    def serve(self, over: Event) -> None:
        while not over.is_set() and not self.service.closed:
            if not self.service.poll():
                time.sleep(0.002)


def busy_sync(folder: Path) -> TypeResult:
    """A sync whose scan takes half a second on this side, without a word to the device."""
    world = World(folder)
    for k in range(10):
        world["D1"].store.write(f"d{k}", b"1")
    desk, over = world.desks["D1"], Event()
    scan = desk.store.items
    desk.store.items = lambda: slow(scan())  # type: ignore[method-assign]
    pump = ApartPump(0, world.boards["R1"].end)
    thread = Thread(target=pump.serve, args=(over,))
    thread.start()
    try:
        connection = pump.handshake()
        return synchronize(connection, desk.store, desk.meta, desk.conflicts, SyncOptions(partner="R1"), Observer())
    finally:
        over.set()
        thread.join()
        pump.link.close()


def slow(items: "Iterator[tuple[str, bytes]]") -> "Iterator[tuple[str, bytes]]":
    for item in items:
        time.sleep(0.06)
        yield item


def test_a_desktop_that_is_busy_says_that_it_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device hangs up on a desktop that says nothing for long; here for a fraction of a second."""
    assert ALIVE * 1000 < runner._IDLE_MS / 2
    monkeypatch.setattr(runner, "_IDLE_MS", 300)
    with pytest.raises(LinkGone):
        busy_sync(tmp_path / "silent")
    monkeypatch.setattr("cradle_desktop.connection.ALIVE", 0.05)
    monkeypatch.setattr("cradle_desktop.sync.meter.LEAST", 0.02)
    assert busy_sync(tmp_path / "heard").up.applied == 10
