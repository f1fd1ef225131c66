"""The table of commands: what a user types finds its entry, and every entry has a handler."""

import pathlib

import pytest

from cradle_desktop import commands
from cradle_desktop.cli import overview
from cradle_desktop.commands.table import COMMANDS, find, percent

WANTED = (
    "agent run", "agent record", "pair", "unpair", "enable", "disable", "ls", "status", "diff", "sync", "conflicts",
    "conflicts show", "conflicts resolve", "trace", "undo", "demo", "get",
)  # fmt: skip


def test_every_command_of_this_version_is_there() -> None:
    assert {command.name for command in COMMANDS} == set(WANTED)


@pytest.mark.parametrize("name", WANTED)
def test_the_longest_name_wins(name: str) -> None:
    command, size = find([*name.split(), "more"])
    assert command is not None and (command.name, size) == (name, len(name.split()))


def test_a_stranger_is_not_found() -> None:
    assert find(["nonsense"]) == (None, 0) and find([]) == (None, 0)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_handler_is_defined_in_its_module(command: object) -> None:
    """Read, not imported: a handler may need extras that are not installed."""
    module, _, function = command.handler.partition(":")  # type: ignore[attr-defined]
    source = (pathlib.Path(commands.__file__).parent / (module + ".py")).read_text(encoding="utf-8")
    assert f"def {function}(" in source


def test_the_overview_names_them_all() -> None:
    text = overview()
    assert all(command.usage() in text and command.help in text for command in COMMANDS)


@pytest.mark.parametrize(("text", "value"), [("25", 25.0), ("25%", 25.0), ("0", 0.0), ("100 %", 100.0), ("2.5%", 2.5)])
def test_percent(text: str, value: float) -> None:
    assert percent(text) == value


@pytest.mark.parametrize("text", ["", "%", "-1", "101", "nan", "inf", "many"])
def test_no_percent(text: str) -> None:
    with pytest.raises(ValueError):
        percent(text)
