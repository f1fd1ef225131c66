"""The rig of the simulation: what it does to links, batches and machines really happens, and its witness would tell."""

from pathlib import Path
from random import Random

import pytest

from cradle_desktop.errors import LinkGone
from cradle_device.apply import Batch
from cradle_hardware.emulated.noise import Line
from cradle_protocol.sync.detect import detect
from cradle_protocol.sync.item import item_id
from cradle_protocol.sync.metadata import Metadata
from cradle_testing.fate import Killed
from cradle_testing.flash import Lifeline
from cradle_testing.worlds import Cut, World

MANY = 30
BAD = Line(byte_errors=0.002, bursts=0.0005, duplicates=0.001, stalls=0.001)


def filled(folder: Path) -> World:
    w = World(folder, batch_items=3)
    for k in range(MANY):
        w["D1"].store.write(f"down {k}", b"d" * 10 * k)
        w["R1"].store.write(f"up {k}", b"u" * 10 * k)
    return w


@pytest.mark.parametrize("side", ["D1", "R1"])
def test_a_version_outside_own_knowledge_is_told(tmp_path: Path, side: str) -> None:
    w = World(tmp_path)
    w[side].store.write("a", b"1")
    store = w[side].store
    meta: Metadata = w.desks["D1"].meta if side == "D1" else w.boards["R1"].end.agent.replicas["files"].meta()
    detect(store, meta)
    item = meta.get(item_id("files", "a"))
    assert item is not None
    item.versions = [(9, 0), (9, 0)]
    meta.put(item)
    meta.commit()
    with pytest.raises(AssertionError, match="outside own knowledge"):
        w.sync("D1", "R1")


def test_a_session_over_a_bad_line(tmp_path: Path) -> None:
    w = filled(tmp_path)
    result = w.sync("D1", "R1", line=BAD)
    assert len(w["D1"].store.tree()) == len(w["R1"].store.tree()) == 2 * MANY
    clean = filled(tmp_path / "again").sync("D1", "R1", line=Line())
    assert result.bytes_sent > clean.bytes_sent, "frames were repeated"
    w.settle_and_check()


def test_a_line_that_is_cut_and_what_it_left_to_the_next_session(tmp_path: Path) -> None:
    w = filled(tmp_path)
    with pytest.raises(LinkGone):
        w.sync("D1", "R1", line=Line(), cut_after=3000)
    assert all(w.boards["R1"].end.stale.values())
    w.sync("D1", "R1", line=Line())
    w.settle_and_check()


def test_batches_come_twice_and_in_another_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    came: list[bytes] = []
    real = Batch.commit
    monkeypatch.setattr(Batch, "commit", lambda self: (came.append(self.lower), real(self))[1])
    w = filled(tmp_path)
    w.sync("D1", "R1", echo=1)
    assert came != sorted(came) and len(came) > len(set(came)) >= MANY // 3
    w.settle_and_check()


def test_a_machine_dies_between_two_steps(tmp_path: Path) -> None:
    w = filled(tmp_path)
    life = Lifeline(w["D1"].store)
    w.desks["D1"].meta.on_act = life.act
    life.arm(20)
    with pytest.raises(Killed):
        w.sync("D1", "R1")
    assert 0 < len(w["D1"].store.tree()) < 2 * MANY or w["D1"].store.stages
    life.arm(None)
    w.desks["D1"].meta.crash()
    w.settle_and_check()


def test_a_device_that_loses_its_power_loses_of_its_log_what_was_not_flushed(tmp_path: Path) -> None:
    w = filled(tmp_path)
    end = w.boards["R1"].end
    life = Lifeline(w["R1"].store)
    end.adapt = life.adapt
    end.restart()
    sizes = set()
    for step in range(3, 60, 7):
        life.arm(step)
        w["D1"].store.write(f"more {step}", b"m")
        try:
            w.sync("D1", "R1")
        except Cut:
            life.arm(None)
            end.agent.close()
            before = sum(map(len, end.state_bytes().values()))
            life.lose_power(Random(step))
            sizes.add(before - sum(map(len, end.state_bytes().values())))
            w["R1"].store.crash()
            end.reopen()
        life.arm(None)
    assert len(sizes) > 1 and min(sizes) == 0, "now and then something was not flushed"
    w.settle_and_check()
