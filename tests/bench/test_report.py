"""The figures of a benchmark run: ratios pair by pair, goals, tables."""

from benchmarks import report
from benchmarks.files import Run
from benchmarks.measure import Sample
from benchmarks.serial import Case


def results() -> "dict[str, list[Run]]":
    ours = [Run({"no-op": Sample(wall, 0.1, 40.0)}, {}) for wall in (0.1, 0.3, 0.2)]
    theirs = [Run({"no-op": Sample(wall, 0.2, 10.0)}, {}) for wall in (0.2, 0.2, 0.2)]
    ours.append(Run({"no-op": Sample(9.0, 9.0, 41.0)}, {"no-op": 400}))
    theirs.append(Run({"no-op": Sample(9.0, 9.0, 10.0)}, {"no-op": 190_000}))
    return {"cradle": ours, "rsync daemon": theirs}


def test_ratios_are_medians_of_neighbours_and_leave_the_counted_run_out() -> None:
    assert report.ratio(results(), "no-op", "rsync daemon", "wall") == 1.0
    assert report.ratio(results(), "no-op", "rsync daemon", "cpu") == 0.5


def test_the_table_has_a_row_for_each_peer_and_step() -> None:
    lines = report.files_table(results()).splitlines()
    assert lines[2] == "| no-op | cradle | 0.200 | 0.10 | 40 | 400 |  |  |"
    assert lines[3] == "| no-op | rsync daemon | 0.200 | 0.20 | 10 | 190,000 | 1.00 | 0.50 |"


def test_goals_are_told_met_or_missed() -> None:
    assert report.files_goals(results()) == [
        ("no-op: wall <= 0.8x rsync daemon", "1.00x", False),
        ("no-op: wire < 1000 bytes", "400 bytes", True),
        ("10,000 files: peak < 80 MB", "41 MB", True),
    ]


def test_a_failed_transfer_is_a_missed_goal() -> None:
    figures = {Case(115200, "one", 0.0): {"cradle": None, "sz/rz": 0.965}}
    assert report.serial_goals(figures) == [("one at 115200, error rate 0: >= 0.96 of the line", "0.000", False)]
    assert "| 115200 | one | 0 | failed | 0.965 |" in report.serial_table(figures)
