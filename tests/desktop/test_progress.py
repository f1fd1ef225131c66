"""Progress: silent at first, lines for a log, a bar for a terminal, nothing for those who want quiet."""

import pytest

from cradle_desktop.output import QUIET, Output
from cradle_desktop.progress import LINE_EVERY, Display, line
from cradle_desktop.sync.report import Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.sync.report import Stage


class Clock:
    """Seconds that only the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = Display(Output(), "kiosk", clock)
    for k in range(100):
        progress.progress(Progress("files", "send", k, 100, k * 1000, 100_000, 2000.0))
        clock.now += LINE_EVERY / 20
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 4
    first = "kiosk to the device: 20 of 100 objects, 20.0 kB of 100.0 kB (20 %), 2.0 kB/s, 40 s left\n"
    assert shown.err.startswith(first)


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = Display(Output(QUIET), "kiosk", clock)
    clock.now += 100
    progress.progress(Progress("files", "scan", 1))
    progress.note("a note")
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cradle_desktop.progress.terminal", lambda: True)
    clock = Clock()
    progress = Display(Output(), "kiosk", clock)
    progress.progress(Progress("files", "send", 1, 2, 10, 20))
    assert capsys.readouterr().err == ""
    stages: list[Stage] = ["send", "send", "receive"]
    for stage in stages:
        clock.now += 1
        progress.progress(Progress("files", stage, 1, 2, 10, 20, 5.0))
    progress.note("a note")
    progress.close()
    shown = capsys.readouterr()
    assert shown.out == "" and "a note\n" in shown.err


def test_a_line_without_totals() -> None:
    assert line("kiosk", Progress("files", "scan", 7)) == "kiosk scanning: 7 objects"
