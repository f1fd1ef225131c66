"""The command line where streams or words are not what a terminal gives: closed, full, ASCII, no text at all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cradle_desktop.errors import EXIT_DONE, EXIT_ERROR, EXIT_NO_DEVICE, EXIT_USAGE
from cradle_desktop.output import utf8

PROGRAM = f'"{sys.executable}" -m cradle_desktop.cli'


def shell(home: Path, words: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Run `cradle` from a shell, for its redirections."""
    env = {**os.environ, "CRADLE_HOME": str(home), **environment}
    done = subprocess.run(f"{PROGRAM} {words}", shell=True, capture_output=True, env=env, cwd=home.parent, timeout=60)
    assert b"Traceback" not in done.stderr
    assert b"something is wrong in cradle itself" not in done.stderr
    return done


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("--version >&-", EXIT_DONE),
        ("status >&-", EXIT_DONE),
        ("status 2>&-", EXIT_DONE),
        ("sync nobody 2>&-", EXIT_NO_DEVICE),
        ("sync nobody 2>/dev/full", EXIT_NO_DEVICE),
        ("status --json >/dev/full", EXIT_ERROR),
    ],
)
def test_closed_and_full_streams_leave_the_exit_code(tmp_path: Path, words: str, code: int) -> None:
    assert shell(tmp_path, words).returncode == code


@pytest.mark.parametrize("words", ["status", "trace", "pair"])
def test_words_that_are_no_text_are_refused_in_a_sentence(tmp_path: Path, words: str) -> None:
    done = shell(tmp_path, words + " \"$(printf 'k\\377')\"")
    assert done.returncode == EXIT_USAGE
    assert b"rename it" in done.stderr


def test_ascii_streams_show_escapes_and_json_stays_json(tmp_path: Path) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    home, store = tmp_path / "home", tmp_path / "dépôt"
    make = (
        "from cradle_desktop.config import open_state\n"
        "from cradle_desktop.partnership.registry import Registry\n"
        "registry = Registry(open_state())\n"
        "registry.add(bytes(16), bytes(32), 'kiosk', 'tcp://127.0.0.1:1')\n"
        f"registry.enable('kiosk', 'files', {str(store)!r})\n"
    )
    subprocess.run([sys.executable, "-c", make], env={**os.environ, "CRADLE_HOME": str(home)}, check=True)
    assert b"d\\xe9p\\xf4t" in shell(home, "status", **ascii_only).stdout
    shown = json.loads(shell(home, "status --json", **ascii_only).stdout)
    assert shown["partners"][0]["types"][0]["store"] == str(store)


def test_which_encodings_show_every_text() -> None:
    assert utf8("utf-8") and utf8("UTF8") and utf8(None)
    assert not utf8("ascii") and not utf8("latin-1")


def test_a_host_name_that_cannot_be_is_no_device(tmp_path: Path) -> None:
    assert shell(tmp_path, "pair tcp://a..b:7465").returncode == EXIT_NO_DEVICE


def test_a_store_at_an_address_is_refused_and_makes_no_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make = (
        "from cradle_desktop.config import open_state\n"
        "from cradle_desktop.partnership.registry import Registry\n"
        "Registry(open_state()).add(bytes(16), bytes(32), 'kiosk', 'tcp://127.0.0.1:1')\n"
    )
    subprocess.run([sys.executable, "-c", make], env={**os.environ, "CRADLE_HOME": str(home)}, check=True)
    assert shell(home, "enable kiosk files --store s3://bucket").returncode == EXIT_USAGE
    assert not (tmp_path / "s3:").exists()
