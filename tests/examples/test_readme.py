"""What the READMEs tell a user to type exists: commands and options, make targets, linked files."""

import re
import shlex
from pathlib import Path

import pytest

from cradle_desktop.cli import _parser
from cradle_desktop.commands.table import find

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("*/README.md")])
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"^\w*[$#] +")


def commands(page: Path, program: str) -> "list[list[str]]":
    """The words of every command line of a program in the page's blocks; comments and output are not commands."""
    found = []
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(PROMPT.sub("", line), comments=True) if program in line else []
            if words[:1] == [program]:
                found.append(words)
    return found


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_cradle_commands_parse(page: Path) -> None:
    for words in commands(page, "cradle"):
        command, size = find(words[1:])
        assert command is not None, words
        _parser(command).parse_args(words[1 + size :])


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {words[1] for words in commands(page, "make")}
    named |= set(re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8")))
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_is_read_at_all() -> None:
    assert len(commands(ROOT / "README.md", "cradle")) > 10
