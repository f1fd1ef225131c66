"""Sticks as disks of their own: an image with a file system, mounted for one command at a time, seen by that alone.

Needs root, loop devices and mkfs.ext4; where one is not there, these are skipped, and the rest of `test_cli_stick` is
what is known. FAT is not what Linux must have: `test_stick_fat` has what is particular to it.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cradle_testing.trees import read_tree, write_tree
from loopback.rig import RUNS, Desktop, Result, command, environment

SIZE = 4 << 20  # bytes of an image
ROOM = 16 << 10  # bytes that are left on it: enough for the stick's own records
IN_MOUNTS = 'mkdir -p "$2"; mount -o loop,$3 "$1" "$2" || exit 77; shift 3; exec "$@"'
FULL = 'dd if=/dev/zero of="{}/ballast" bs=1k 2>/dev/null; '


def able() -> bool:
    """Can this machine mount an image in a name space of its own?"""
    tools = all(shutil.which(name) for name in ("unshare", "mkfs.ext4", "mount"))
    return tools and os.geteuid() == 0 and os.path.exists("/dev/loop-control")


pytestmark = pytest.mark.skipif(not able(), reason="needs root, loop devices, unshare and mkfs.ext4")


class Disk:
    """A stick as an image. `cradle` runs a command of a desktop with it plugged in at a place."""

    def __init__(self, image: Path, place: Path) -> None:
        self.image, self.place = image, place
        if not image.exists():
            with open(image, "wb") as file:
                file.truncate(SIZE)
            subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", str(image)], check=True)

    def run(self, words: "list[str]", home: Path, options: str = "rw") -> "subprocess.CompletedProcess[str]":
        """Run a program while it is mounted."""
        start = ["unshare", "-m", "sh", "-c", IN_MOUNTS, "sh", str(self.image), str(self.place), options]
        done = subprocess.run(
            start + words, env=environment(home), cwd=home, capture_output=True, text=True, timeout=RUNS, check=False
        )
        if done.returncode == 77:
            pytest.skip("cannot mount an image here: " + done.stderr)
        return done

    def cradle(self, desktop: Desktop, *words: str, expect: int = 0, options: str = "rw") -> Result:
        """Run a command."""
        done = self.run(command(*words), desktop.home, options)
        assert done.returncode == expect and "Traceback" not in done.stderr, done
        return Result(done.returncode, done.stdout, done.stderr)

    def shell(self, desktop: Desktop, script: str) -> str:
        """Do something on it by hand."""
        done = self.run(["sh", "-c", script], desktop.home)
        assert done.returncode == 0, done
        return done.stdout


@pytest.fixture
def disk(tmp_path: Path, desktop: Desktop) -> Disk:
    """Paired as `stick`, synced once."""
    stick = Disk(tmp_path / "image", tmp_path / "media" / "STICK")
    stick.cradle(desktop, "pair", str(stick.place), "--name", "stick")
    stick.cradle(desktop, "enable", "stick", "files", "--store", str(desktop.home / "left"))
    write_tree(desktop.home / "left", {"a": b"1", "b/c": b"2"})
    stick.cradle(desktop, "sync", "stick")
    return stick


def test_what_a_system_keeps_on_a_disk_stays_there(disk: Disk, desktop: Desktop) -> None:
    disk.shell(desktop, f"cd {disk.place}; mkdir 'System Volume Information' .Trash-1000; echo x >.Trash-1000/x; ls -A")
    assert "lost+found" in disk.shell(desktop, f"ls -A {disk.place}")
    disk.cradle(desktop, "sync", "stick")
    assert read_tree(desktop.home / "left") == {"a": b"1", "b/": b"", "b/c": b"2"}
    assert disk.shell(desktop, f"cat {disk.place}/.Trash-1000/x") == "x\n"


def test_mounted_at_another_place(disk: Disk, desktop: Desktop) -> None:
    """It is found by its id, on whatever disk; where it is nowhere, that is said, and nothing is deleted."""
    result = desktop.run("sync", "stick", expect=3)
    assert "plug it in" in result.err and result.err.count("\n") == 1
    disk.place = disk.place.with_name("another stick 1")
    assert "nothing to transfer" in disk.cradle(desktop, "sync", "stick").out
    assert str(disk.place) in desktop.run("status", "stick").out


@pytest.mark.slow
def test_a_folder_on_a_disk_mounted_at_another_place(tmp_path: Path, desktop: Desktop) -> None:
    stick = Disk(tmp_path / "image", tmp_path / "media" / "STICK")
    stick.shell(desktop, f"mkdir -p {stick.place}/deep/folder")
    stick.cradle(desktop, "pair", str(stick.place / "deep/folder"), "--name", "stick")
    stick.cradle(desktop, "enable", "stick", "files", "--store", str(desktop.home / "left"))
    write_tree(desktop.home / "left", {"a": b"1"})
    stick.place = tmp_path / "elsewhere" / "x"
    stick.cradle(desktop, "sync", "stick")
    assert stick.shell(desktop, f"cat {stick.place}/deep/folder/a") == "1"


def test_a_read_only_stick(disk: Disk, desktop: Desktop) -> None:
    """Nothing can be noted on it, so nothing is done; to pair it is refused as well."""
    write_tree(desktop.home / "left", {"new": b"3"})
    for words in (("sync", "stick"), ("diff", "stick"), ("pair", str(disk.place))):
        result = disk.cradle(desktop, *words, expect=1, options="ro")
        assert "read-only" in result.err and result.err.count("\n") == 1
    fresh = Disk(disk.image.with_name("fresh"), disk.place)
    assert "read-only" in fresh.cradle(desktop, "pair", str(disk.place), expect=1, options="ro").err
    assert "1 created" in disk.cradle(desktop, "sync", "stick").out


@pytest.mark.slow
def test_a_full_stick(disk: Disk, desktop: Desktop) -> None:
    """What does not fit is skipped by name, the rest goes; it comes when there is room."""
    write_tree(desktop.home / "left", {"big": os.urandom(2 * SIZE), "small": b"4"})
    result = disk.cradle(desktop, "sync", "stick", expect=5)
    assert "skipped big: on stick: there is no room left" in result.out and "1 created" in result.out
    (desktop.home / "left" / "big").unlink()
    disk.shell(desktop, FULL.format(disk.place) + f"truncate -s -{ROOM} {disk.place}/ballast")
    write_tree(desktop.home / "left", {"a": b"edited", "later": b"5" * ROOM})
    result = disk.cradle(desktop, "sync", "stick", expect=5)
    assert "skipped later: on stick: there is no room left" in result.out
    disk.shell(desktop, FULL.format(disk.place).replace("ballast", "more") + "true")
    write_tree(desktop.home / "left", {"a": b"edited again"})
    result = disk.cradle(desktop, "sync", "stick", expect=1)
    assert "No space left on device; make room there" in result.err, "not even what would be done can be noted"
    disk.shell(desktop, f"rm {disk.place}/ballast {disk.place}/more")
    disk.cradle(desktop, "sync", "stick")
    found = disk.shell(desktop, f"cd {disk.place}; cat a later small b/c")
    assert found == "edited again" + "5" * ROOM + "42" and "ballast" not in read_tree(desktop.home / "left")


@pytest.mark.slow
def test_an_image_that_is_put_back(disk: Disk, desktop: Desktop) -> None:
    """The whole disk is as it was, to the block: said, and every edit is there."""
    backup = disk.image.with_name("backup")
    shutil.copyfile(disk.image, backup)
    disk.shell(desktop, f"echo new >{disk.place}/a")
    disk.cradle(desktop, "sync", "stick")
    shutil.copyfile(backup, disk.image)
    disk.shell(desktop, f"echo edited after it >{disk.place}/b/c")
    result = disk.cradle(desktop, "sync", "stick")
    assert "was set back to an earlier state" in result.err and result.err.count("\n") == 1
    assert read_tree(desktop.home / "left") == {"a": b"new\n", "b/": b"", "b/c": b"edited after it\n"}
    assert disk.shell(desktop, f"cd {disk.place}; cat a b/c") == "new\nedited after it\n"
