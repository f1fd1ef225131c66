"""The peers' half of the benchmarks, small: a rig that no longer runs is found here, not on the day of the release."""

from pathlib import Path

import pytest

from benchmarks import files, workload
from benchmarks.peers import Peer, Rsync, Unison, available


def test_differences_are_found(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    workload.small_files(one, count=30)
    workload.copy(one, other)
    (other / ".cradle").mkdir()
    (other / ".cradle" / "id").write_bytes(b"own")
    assert workload.differences(one, other) == []
    assert workload.edit(one, seed=1) == 10  # 4 changed, 3 deleted, 3 renamed: these differ in both names
    assert len(workload.differences(one, other)) == 4 + 3 + 2 * 3


@pytest.mark.slow
@pytest.mark.parametrize(("tool", "peer"), [("rsync", Rsync), ("unison", Unison)])
def test_a_peer_syncs(tmp_path: Path, tool: str, peer: "type[Peer]") -> None:
    if not available(tool):
        pytest.skip(f"{tool} is not installed: this half of the benchmarks is NOT tested")
    part = files.Part("small", lambda folder: workload.small_files(folder, count=200), ("initial", "no-op", "edits"))
    (run, counted) = files.measure(tmp_path, part, [peer], rounds=1)[peer.name]
    assert list(run.times) == ["initial", "no-op", "edits"]
    assert counted.wire["initial"] > 100_000 > counted.wire["no-op"]
