"""Bad input for every command: one sentence, the right exit code, no traceback. And what commands say of themselves."""

import subprocess
import time
import tomllib
from pathlib import Path

import pytest

from loopback.rig import ROOT, Desktop, command, environment

HUGE = "9" * 40


@pytest.fixture
def desktop(tmp_path: Path) -> Desktop:
    return Desktop(tmp_path / "home")


WRONG = [
    # words, exit code, what the sentence must name
    (["nonsense"], 2, "nonsense"),
    (["--nonsense"], 2, "--nonsense"),
    (["agent"], 2, "cradle agent run"),
    (["agent", "walk"], 2, "agent run"),
    (["agent", "run"], 2, "--listen"),
    (["agent", "run", "--listen", "tcp://127.0.0.1:0"], 2, "--root"),
    (["agent", "run", "--listen", "ftp://x", "--root", "."], 2, "ftp"),
    (["agent", "run", "--listen", "tcp://127.0.0.1:0?plain=1", "--root", "absent"], 1, "absent"),
    (["agent", "run", "--listen", "tcp://127.0.0.1:0?plain=1", "--root", ".", "--code", "12"], 2, "six digits"),
    (["agent", "run", "--listen", "tcp://127.0.0.1:0?plain=1", "--root", "left", "--type", "nonsense"], 2, "nonsense"),
    (["ls", "extra"], 2, "extra"),
    (["pair"], 2, "ADDRESS"),
    (["pair", "nonsense"], 2, "nonsense"),
    (["pair", "gopher://x"], 2, "gopher"),
    (["pair", "tcp://"], 2, "tcp://"),
    (["pair", "tcp://127.0.0.1:99999"], 2, "99999"),
    (["pair", "tcp://127.0.0.1:1?plain=1"], 3, "127.0.0.1"),
    (["pair", "serial:/dev/nowhere"], 3, "/dev/nowhere"),
    (["pair", "tcp://127.0.0.1:1?plain=1", "--code", "abcdef"], 2, "six digits"),
    (["pair", "tcp://127.0.0.1:1?plain=1", "--name", "a/b"], 2, "a/b"),
    (["pair", "tcp://127.0.0.1:1?plain=1", "--name", "show"], 2, "show"),
    (["unpair"], 2, "PARTNER"),
    (["unpair", "nobody"], 3, "nobody"),
    (["enable"], 2, "PARTNER"),
    (["enable", "nobody", "files"], 3, "nobody"),
    (["enable", "nobody", "files", "--policy", "oldest"], 2, "oldest"),
    (["enable", "nobody", "files", "--include", "*.txt"], 3, "nobody"),
    (["enable", "nobody", "files", "--max-size", "12q"], 2, "12q"),
    (["enable", "nobody", "files", "--newer-than", "soon"], 2, "soon"),
    (["get", "nobody", ":a.txt"], 3, "nobody"),
    (["get"], 2, "PARTNER"),
    (["get", "nobody"], 3, "nobody"),
    (["disable", "nobody", "files"], 3, "nobody"),
    (["status", "nobody"], 3, "nobody"),
    (["diff"], 3, "pair"),
    (["diff", "nobody"], 3, "nobody"),
    (["sync"], 3, "pair"),
    (["sync", "nobody"], 3, "nobody"),
    (["sync", "--max-delete", "many"], 2, "many"),
    (["sync", "--max-delete", "101%"], 2, "101%"),
    (["conflicts", "nobody"], 3, "nobody"),
    (["conflicts", "show"], 2, "N"),
    (["conflicts", "show", "one"], 2, "one"),
    (["conflicts", "show", "7"], 2, "7"),
    (["conflicts", "show", HUGE], 2, HUGE),
    (["conflicts", "resolve", "7"], 2, "--take"),
    (["conflicts", "resolve", "7", "--take", "neither"], 2, "neither"),
    (["conflicts", "resolve", "7", "--take", "desktop"], 2, "7"),
    (["trace"], 2, "FILE"),
    (["trace", "absent"], 1, "absent"),
    (["trace", "/dev/null"], 1, "/dev/null"),
    (["demo", "--agent", "pdp11"], 2, "pdp11"),
]


@pytest.mark.parametrize(("words", "code", "names"), WRONG, ids=[" ".join(w[0])[:60] for w in WRONG])
def test_wrong_input_is_one_sentence(desktop: Desktop, words: list[str], code: int, names: str) -> None:
    (desktop.home / "left").mkdir()
    result = desktop.run(*words, expect=code)
    assert result.out == ""
    assert result.err.startswith("cradle: ") and names in result.err
    assert result.err.count("\n") == 1, result.err


def test_without_words_the_help_is_shown(desktop: Desktop) -> None:
    assert "cradle sync" in desktop.run(expect=2).out or "sync [PARTNER]" in desktop.run(expect=2).out


@pytest.mark.parametrize("name", ["sync", "agent run", "conflicts", "conflicts resolve", "enable", "pair"])
def test_every_command_explains_itself(desktop: Desktop, name: str) -> None:
    assert desktop.run(*name.split(), "--help").out.startswith("usage: cradle " + name)


def test_the_version_is_that_of_the_distribution(desktop: Desktop) -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert desktop.run("--version").out == f"cradle {data['project']['version']}\n"


@pytest.mark.alone
def test_the_version_comes_at_once(desktop: Desktop) -> None:
    """Under 100 ms: the best of five, because other tests run beside this one."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(command("--version"), env=environment(desktop.home), capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.1


def test_debug_shows_the_traceback(desktop: Desktop) -> None:
    done = subprocess.run(
        command("sync", "nobody", "--debug"), env=environment(desktop.home), capture_output=True, text=True, check=False
    )
    assert done.returncode == 3 and "Traceback" in done.stderr


def test_a_closed_pipe_is_no_error(desktop: Desktop) -> None:
    line = f"{' '.join(command('--help'))} | true"
    done = subprocess.run(
        ["sh", "-c", line], env=environment(desktop.home), capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_data_of_no_partners(desktop: Desktop) -> None:
    assert desktop.run("status", "--json").document() == {"schema": 1, "partners": []}
    assert desktop.run("conflicts", "--json").document() == {"schema": 1, "conflicts": []}
