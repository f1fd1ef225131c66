"""A stick with FAT's manners, through the command line: a disk in user space, in a name space of its own (`fat`)."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cradle_testing.trees import read_tree, write_tree
from loopback.rig import LONG, PATH, RUNS, UNDER_WAY, Desktop, Result, command, environment, wait_until

SIZE = 64 << 20  # bytes of the disk; all of it is memory
OLD = 1_700_000_000  # a time of modification long ago


def able() -> bool:
    """Can this machine mount a disk in user space?"""
    tools = all(shutil.which(name) for name in ("unshare", "nsenter"))
    return tools and os.geteuid() == 0 and os.path.exists("/dev/fuse")


pytestmark = pytest.mark.skipif(not able(), reason="needs root, FUSE, unshare and nsenter")


class FatStick:
    """The disk, and commands that see it."""

    def __init__(self, folder: Path) -> None:
        self.place, self.pulled = folder / "STICK", folder / "pulled"
        self.place.mkdir(parents=True)
        words = [str(self.place), str(SIZE), str(self.pulled)]
        self._server = subprocess.Popen(
            ["unshare", "-m", sys.executable, "-m", "cradle_testing.fat", *words],
            env={**os.environ, "PYTHONPATH": PATH}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._server.stdout is not None and self._server.stderr is not None
        if self._server.stdout.readline() != "ready\n":
            self.close()
            pytest.skip("cannot mount a disk in user space here")

    def close(self) -> None:
        """The disk goes with its server, the mount with its name space."""
        self._server.kill()
        self._server.communicate()

    def start(self, words: "list[str]", home: Path) -> "subprocess.Popen[str]":
        """Start a program that sees the disk."""
        return subprocess.Popen(
            ["nsenter", "-m", "-t", str(self._server.pid), *words],
            env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def cradle(self, desktop: Desktop, *words: str, expect: int = 0) -> Result:
        """Run a command."""
        running = self.start(command(*words), desktop.home)
        out, err = running.communicate(timeout=RUNS)
        assert running.returncode == expect and "Traceback" not in err, (running.returncode, out, err)
        return Result(running.returncode, out, err)

    def shell(self, script: str) -> str:
        """Do something on the disk by hand."""
        running = self.start(["sh", "-c", f"cd {self.place}; {script}"], self.place.parent)
        out, err = running.communicate(timeout=RUNS)
        assert running.returncode == 0, err
        return out

    def meet(self, desktop: Desktop) -> Path:
        """Pair and enable; the desktop's folder."""
        self.cradle(desktop, "pair", str(self.place), "--name", "stick")
        self.cradle(desktop, "enable", "stick", "files", "--store", str(desktop.home / "left"))
        return desktop.home / "left"


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[FatStick]:
    disk = FatStick(tmp_path / "fat")
    yield disk
    disk.close()


@pytest.fixture
def left(stick: FatStick, desktop: Desktop) -> Path:
    """The first desktop's folder, which has met the stick."""
    return stick.meet(desktop)


def test_over_fat_from_one_desktop_to_another(tmp_path: Path, stick: FatStick, desktop: Desktop, left: Path) -> None:
    """Files, folders, and modes that the stick itself cannot have; nothing is taken for changed because it cannot."""
    write_tree(left, {"script.sh": (b"#!/bin/sh\n", 0o755), "private": (b"p", 0o600), "d/Käse": b"1", "empty/": b""})
    stick.cradle(desktop, "sync", "stick")
    two = Desktop(tmp_path / "two")
    there = stick.meet(two)
    stick.cradle(two, "sync", "stick")
    assert read_tree(there) == read_tree(left)
    assert [(there / name).stat().st_mode & 0o777 for name in ("script.sh", "private")] == [0o755, 0o600]
    for one in (desktop, two):
        assert "nothing to transfer" in stick.cradle(one, "sync", "stick").out


@pytest.mark.slow
def test_edits_that_coarse_times_do_not_show(stick: FatStick, desktop: Desktop, left: Path) -> None:
    """Two of one length within the two seconds that FAT takes for one."""
    write_tree(left, {"a": b"0"})
    stick.cradle(desktop, "sync", "stick")
    for word in ("1", "2", "3"):
        stick.shell(f"printf {word} >a")
        stick.cradle(desktop, "sync", "stick")
        assert (left / "a").read_text() == word
    (left / "a").write_text("4")
    stick.cradle(desktop, "sync", "stick")
    assert stick.shell("cat a") == "4"


@pytest.mark.slow
def test_renamed_and_deleted_on_fat(stick: FatStick, desktop: Desktop, left: Path) -> None:
    """It has no lasting inode numbers: a rename is found by content, also of a folder, and of capitals alone."""
    write_tree(left, {"d/one": b"1" * 5000, "d/two": b"2" * 5000, "readme": b"r", "gone": b"g"})
    for name in ("d/one", "d/two", "readme", "gone"):
        os.utime(left / name, (OLD, OLD))
    stick.cradle(desktop, "sync", "stick")
    stick.shell("mv d e; mv readme x; mv x README; rm gone")
    stick.cradle(desktop, "sync", "stick")
    assert set(read_tree(left)) == {"e/", "e/one", "e/two", "README"}
    (left / "README").rename(left / "ReadMe")
    (left / "e").rename(left / "E")
    stick.cradle(desktop, "sync", "stick")
    assert stick.shell("ls . E").split() == [".:", "E", "ReadMe", "E:", "one", "two"]
    assert "nothing to transfer" in stick.cradle(desktop, "sync", "stick").out


@pytest.mark.slow
def test_names_that_fat_has_not(stick: FatStick, desktop: Desktop, left: Path) -> None:
    """They stay on the desktop, or are there under another name, each with its reason; the rest goes, none is lost."""
    names = {"a:b": b"1", "what?": b"2", "star*": b"3", "dots...": b"4", "good": b"5", "Case": b"6", "case": b"7"}
    write_tree(left, names)
    code = stick.start(command("sync", "stick"), desktop.home)
    out, err = code.communicate(timeout=RUNS)
    assert code.returncode in (0, 4, 5) and "Traceback" not in err, (out, err)
    assert stick.shell("cat good") == "5" and stick.shell("cat case") in ("6", "7")
    for _ in range(2):
        again = stick.start(command("sync", "stick"), desktop.home)
        assert "Traceback" not in again.communicate(timeout=RUNS)[1]
    assert set(names.values()) <= set(read_tree(left).values())


@pytest.mark.slow
def test_a_full_fat(stick: FatStick, desktop: Desktop, left: Path) -> None:
    write_tree(left, {"big": bytes(SIZE + 1), "small": b"s"})
    result = stick.cradle(desktop, "sync", "stick", expect=5)
    assert "skipped big: on stick: there is no room left" in result.out and stick.shell("cat small") == "s"
    (left / "big").unlink()
    assert stick.cradle(desktop, "sync", "stick").err == ""


def test_a_disk_that_answers_no_more(stick: FatStick, desktop: Desktop, left: Path) -> None:
    """Input/output errors in the middle of a large file, at the disk and not at one file: the link is lost."""
    (left / "large").write_bytes(os.urandom(LONG))
    os.utime(left / "large", (OLD, OLD))
    running = stick.start(command("sync", "stick"), desktop.home)
    wait_until(lambda: int(stick.shell("stat -c %s .cradle/tmp/* 2>/dev/null || echo 0").split()[0]) > UNDER_WAY)
    running.send_signal(signal.SIGSTOP)
    stick.pulled.touch()
    running.send_signal(signal.SIGCONT)
    _, err = running.communicate(timeout=RUNS)
    lines = [line for line in err.splitlines() if line.startswith("cradle:")]
    assert running.returncode == 7 and len(lines) == 1 and "plug it in again" in lines[0], (running.returncode, err)
    result = stick.cradle(desktop, "sync", "stick", expect=3)
    assert "plug it in" in result.err and result.err.count("\n") == 1
    stick.pulled.unlink()
    stick.cradle(desktop, "sync", "stick")
    assert stick.shell("sha256sum large").split()[0] == _sum(left / "large")


def _sum(path: Path) -> str:
    return subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True).stdout.split()[0]
