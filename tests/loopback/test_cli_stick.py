"""A folder on a stick as a partner, through the command line: real processes, real folders, no agent beside them."""

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cradle_testing.trees import read_tree, write_tree
from loopback.rig import LONG, ROOT, UNDER_WAY, Desktop, Result, Running, command, environment, wait_until

OWN = ".cradle"
SET_BACK = "was set back to an earlier state"


class Holder:
    """A desktop that knows the stick as `stick`, and keeps its files in `left`."""

    def __init__(self, home: Path, stick: Path) -> None:
        self.desktop, self.stick = Desktop(home), stick

    @property
    def left(self) -> Path:
        return self.desktop.home / "left"

    def meet(self, *words: str) -> Result:
        result = self.desktop.run("pair", str(self.stick), "--name", "stick")
        self.desktop.run("enable", "stick", "files", "--store", str(self.left), *words)
        return result

    def sync(self, expect: "int | None" = 0) -> Result:
        return self.desktop.run("sync", "stick", expect=expect)

    def tree(self) -> "dict[str, bytes]":
        return read_tree(self.left)


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    folder = tmp_path / "media" / "STICK"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def one(tmp_path: Path, stick: Path) -> Holder:
    """The first desktop, which has met the stick."""
    holder = Holder(tmp_path / "one", stick)
    holder.meet()
    return holder


@pytest.fixture
def two(tmp_path: Path, stick: Path) -> Holder:
    """A second desktop, which has never seen it."""
    return Holder(tmp_path / "two", stick)


def all_files(stick: Path) -> "dict[Path, bytes]":
    """Everything on the stick, with what is cradle's own."""
    return {path: path.read_bytes() for path in stick.rglob("*") if path.is_file()}


def own_files(stick: Path) -> "set[str]":
    """What lies in the stick's own folder, without what is only there while something is under way."""
    return {path.name for path in (stick / OWN).iterdir() if path.is_file()}


def test_a_stick_inside_another_one_is_refused(one: Holder, two: Holder, stick: Path) -> None:
    """Inside of it by any desktop; around it by the one that knows it. What is refused is not made."""
    inner = stick / "inner"
    inner.mkdir()
    for desktop in (one.desktop, two.desktop):
        said = desktop.run("pair", str(inner), "--name", "inner", expect=2).err
        assert str(stick) in said and not (inner / OWN).exists()
    said = one.desktop.run("pair", str(stick.parent), "--name", "outer", expect=2).err
    assert str(stick) in said and not (stick.parent / OWN).exists()
    assert "is known by its id" in one.desktop.run("pair", str(stick), "--name", "stick").err


def test_a_stick_carries_changes_between_two_desktops(one: Holder, two: Holder, stick: Path) -> None:
    """Each goes on where the other one stopped: edits, deletes and moves, both ways, and at the end nothing moves."""
    write_tree(one.left, {"a": b"1", "b/c": b"2", "gone": b"3"})
    one.sync()
    met = two.meet()
    assert "comes from another desktop with 4 objects" in met.err
    two.sync()
    assert two.tree() == one.tree()
    (two.left / "a").write_bytes(b"edited by two")
    (two.left / "gone").unlink()
    (two.left / "b" / "c").rename(two.left / "b" / "moved")
    two.sync()
    (one.left / "new").write_bytes(b"made by one")
    one.sync()
    two.sync()
    assert one.tree() == two.tree() == {"a": b"edited by two", "b/": b"", "b/moved": b"2", "new": b"made by one"}
    for holder in (one, two, one):
        assert "nothing to transfer" in holder.sync().out
    assert read_tree(stick) == one.tree()


def test_what_travels_with_it_is_one_file(one: Holder, two: Holder, stick: Path) -> None:
    """Beside its id, and an empty file that is locked; no key, and nothing of any desktop."""
    write_tree(one.left, {"a": b"1"})
    one.sync()
    two.meet()
    before = all_files(stick)
    two.desktop.run("diff", "stick")
    assert all_files(stick) == before
    two.sync()
    files = own_files(stick)
    assert len(files) == 3 and files > {"store", "lock"}
    assert (stick / OWN / "lock").stat().st_size == 0 and (stick / OWN / "store").stat().st_size == 16


@pytest.mark.slow
def test_a_conflict_over_a_stick(one: Holder, two: Holder) -> None:
    """Both desktops edited: the same version wins everywhere, the other is kept and counted where it lost."""
    write_tree(one.left, {"a": b"0"})
    one.sync()
    two.meet()
    two.sync()
    (one.left / "a").write_bytes(b"edited by one")
    one.sync()
    (two.left / "a").write_bytes(b"edited by two!")
    two.sync(expect=4)
    assert len(two.desktop.run("conflicts", "stick", "--json").document()["conflicts"]) == 1
    two.desktop.run("conflicts", "resolve", "1", "--take", "desktop")
    two.sync()
    one.sync()
    assert one.tree() == two.tree() == {"a": b"edited by two!"}


def test_the_two_desktops_of_the_readme(tmp_path: Path, stick: Path) -> None:
    """What it says of a stick, typed as it stands there: a file made at home is there at work."""
    lines = re.findall(r"^(home|work)\$ cradle (.*)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    desktops = {name: Desktop(tmp_path / name) for name in ("home", "work")}
    write_tree(desktops["home"].home / "notes", {"a": b"written at home"})
    for name, line in lines:
        line = line.replace("/media/ann/STICK", str(stick)).replace("~", str(desktops[name].home))
        desktops[name].run(*shlex.split(line, comments=True))
    assert len(lines) == 6 and (desktops["work"].home / "notes" / "a").read_bytes() == b"written at home"


def test_diff_changes_nothing_on_the_stick(one: Holder, stick: Path) -> None:
    write_tree(one.left, {"a": b"1"})
    one.sync()
    write_tree(one.left, {"b": b"2"})
    write_tree(stick, {"c": b"3"})
    before = all_files(stick)
    out = one.desktop.run("diff", "stick").out
    assert "b (1 bytes) on stick" in out and "c (1 bytes)" in out
    assert all_files(stick) == before


@pytest.mark.slow
def test_undo_after_a_sync_with_a_stick(one: Holder, two: Holder) -> None:
    write_tree(one.left, {"a": b"1"})
    one.sync()
    two.meet()
    two.sync()
    (two.left / "a").write_bytes(b"a mistake")
    two.sync()
    one.sync()
    assert one.tree() == {"a": b"a mistake"}
    one.desktop.run("undo", "stick")
    one.sync()
    two.sync()
    assert two.tree() == one.tree() == {"a": b"1"}


def test_status_and_ls_know_a_stick(one: Holder, stick: Path) -> None:
    [row] = one.desktop.run("ls", "--json").document()["devices"]
    assert (row["address"], row["name"], row["state"]) == (str(stick), "stick", "paired")
    stick.rename(stick.with_name("away"))
    [row] = one.desktop.run("ls", "--json").document()["devices"]
    assert row["state"] == "away"
    assert one.desktop.run("status", "--json").document()["partners"][0]["address"] == str(stick)


# -- where it is


def test_no_stick_there(one: Holder, stick: Path) -> None:
    """Unplugged, then an empty folder in its place, then another stick: said, and nothing made or deleted."""
    write_tree(one.left, {"a": b"1"})
    one.sync()
    away = stick.with_name("away")
    stick.rename(away)
    assert "plug it in" in one.sync(expect=3).err
    stick.mkdir()
    assert "plug it in" in one.sync(expect=3).err
    assert list(stick.iterdir()) == [] and one.tree() == {"a": b"1"}
    other = Holder(one.desktop.home.with_name("three"), stick)
    other.meet()
    result = one.sync(expect=3)
    assert "another stick" in result.err and result.err.count("\n") == 1
    assert read_tree(stick) == {}


def test_pair_where_nothing_is(tmp_path: Path, desktop: Desktop) -> None:
    """A stick that is not plugged in is not made on the disk that its mount point lies on."""
    result = desktop.run("pair", str(tmp_path / "media" / "nothing"), expect=3)
    assert "plug the stick in" in result.err and not (tmp_path / "media").exists()
    (tmp_path / "file").write_bytes(b"")
    assert "no folder" in desktop.run("pair", str(tmp_path / "file"), expect=3).err


def test_a_stick_whose_folder_was_moved(one: Holder, stick: Path) -> None:
    """Pairing anew knows it by its id: the same partner, the same types, and nothing is sent again."""
    write_tree(one.left, {"a": b"1"})
    one.sync()
    stick.rename(stick.with_name("other place"))
    one.sync(expect=3)
    result = one.desktop.run("pair", "../media/other place")
    assert "paired with stick" in result.out and "known by its id" in result.err
    assert "nothing to transfer" in one.sync().out


def test_a_desktop_that_forgot_a_stick_joins_again(one: Holder, stick: Path) -> None:
    write_tree(one.left, {"a": b"1"})
    one.sync()
    assert "forgotten here" in one.desktop.run("unpair", "stick").out
    one.desktop.run("sync", expect=3)
    one.meet()
    assert "nothing to transfer" in one.sync().out
    stick.rename(stick.with_name("away"))
    result = one.desktop.run("unpair", "stick")
    assert result.err == ""


@pytest.mark.parametrize("place", ["left", "left/in it", "."])
def test_a_folder_that_is_synced_already_is_no_stick(one: Holder, place: str) -> None:
    """One folder would be two replicas, each of which takes the other's writes for its user's."""
    folder = one.left.parent / place
    folder.mkdir(exist_ok=True)
    result = one.desktop.run("pair", str(folder), expect=2)
    assert "synced with stick" in result.err and result.err.count("\n") == 1


def test_a_stick_may_not_lead_elsewhere(tmp_path: Path, desktop: Desktop, stick: Path) -> None:
    """A stranger's stick: its own folder, or its metadata, are links into this machine."""
    (tmp_path / "mine").mkdir()
    (stick / OWN).symlink_to(tmp_path / "mine")
    assert "is a link" in desktop.run("pair", str(stick), expect=1).err
    assert list((tmp_path / "mine").iterdir()) == []
    (stick / OWN).unlink()
    desktop.run("pair", str(stick), "--name", "stick")
    [log] = (stick / OWN).glob("files-*.log")
    secret = tmp_path / "mine" / "secret"
    secret.write_bytes(b"not to be touched")
    log.unlink()
    log.symlink_to(secret)
    desktop.run("enable", "stick", "files", "--store", str(tmp_path / "left"))
    desktop.run("sync", "stick", expect=1)
    assert secret.read_bytes() == b"not to be touched"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, to be another user as well")
def test_a_stick_of_another_user() -> None:
    """On a disk that keeps owners: said, and not taken for a stick that is away, or for a disk that is read-only."""
    with TemporaryDirectory() as folder:  # pytest's own are closed to others
        stick, other = Path(folder, "stick"), Path(folder, "other")
        for path in (stick, other):
            path.mkdir()
        for path in (Path(folder), stick, other):
            path.chmod(0o777)
        Desktop(Path(folder, "home")).run("pair", str(stick))
        words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command("pair", str(stick))]
        done = subprocess.run(words, env=environment(other), cwd=other, capture_output=True, text=True, check=False)
        result = Result(done.returncode, done.stdout, done.stderr)
    assert result.code == 1 and "belongs to another user" in result.err and result.err.count("\n") == 1, result


# -- one at a time


def write_large(one: Holder) -> None:
    """A file that takes a while, and is not so young that it is hashed again at the next scan."""
    (one.left / "large").write_bytes(os.urandom(LONG))
    os.utime(one.left / "large", (1_700_000_000, 1_700_000_000))


def longest(folder: Path) -> int:
    """Bytes of the longest file there; files come and go while we look."""
    try:
        return max(path.stat().st_size for path in folder.iterdir())
    except (OSError, ValueError):
        return 0


def stopped(one: Holder, meanwhile: "Callable[[], object]", running: Running) -> "tuple[int | None, str]":
    """Something happens while a sync stands still in the middle of the large file: its exit code and its words."""
    wait_until(lambda: longest(one.stick / OWN / "tmp") > UNDER_WAY)
    running.process.send_signal(signal.SIGSTOP)
    try:
        meanwhile()
    finally:
        running.process.send_signal(signal.SIGCONT)
        _, err = running.communicate()
    assert "Traceback" not in err
    return running.process.returncode, err


def test_two_syncs_with_one_stick(one: Holder, two: Holder) -> None:
    two.meet()
    write_large(one)
    refused: list[Result] = []
    code, _ = stopped(one, lambda: refused.append(two.sync(expect=8)), one.desktop.start("sync", "stick"))
    assert "another cradle is at work on stick" in refused[0].err and refused[0].err.count("\n") == 1
    assert code == 0
    two.sync()


def test_a_lock_that_was_left_behind_holds_nobody_up(one: Holder, stick: Path) -> None:
    """Of a machine that lost its power, or from which the stick was pulled: the file is there, and locks nothing."""
    one.desktop.run("sync", "stick")
    (stick / OWN / "lock").write_bytes(b"4711 on some other machine\n")
    one.sync()


# -- the stick goes


def test_a_stick_that_is_pulled(one: Holder) -> None:
    """Link lost, in one sentence; plugged in again, the sync goes on in the middle of the file."""
    write_large(one)
    away = one.stick.with_name("away")
    code, err = stopped(one, lambda: one.stick.rename(away), one.desktop.start("sync", "stick"))
    lines = [line for line in err.splitlines() if line.startswith("cradle:")]
    assert code == 7 and len(lines) == 1 and "plug it in again" in lines[0]
    assert not one.stick.exists()
    away.rename(one.stick)
    [done] = one.desktop.sync("stick")["types"]
    assert done["resumed_bytes"] > 500_000
    assert read_tree(one.stick) == one.tree()


@pytest.mark.slow
def test_ctrl_c_while_a_stick_is_written(one: Holder) -> None:
    """It is one process, so what stops the desktop stops the agent as well; neither leaves half a thing."""
    write_large(one)
    write_tree(one.left, {f"small {k}": b"%d" % k for k in range(20)})
    running = one.desktop.start("sync", "stick")
    code, _ = stopped(one, lambda: running.process.send_signal(signal.SIGINT), running)
    assert code == 130
    found = read_tree(one.stick)
    assert found.items() <= one.tree().items()
    one.sync()
    assert read_tree(one.stick) == one.tree()


# -- copies and backups


def restored(stick: Path, backup: Path) -> None:
    """The stick gets the content of a backup."""
    for path in stick.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(backup, stick, dirs_exist_ok=True)


def test_a_stick_from_a_backup(tmp_path: Path, one: Holder, stick: Path) -> None:
    """It goes on as a new replica: what was edited on it since then is no old news, what it missed comes again."""
    write_tree(one.left, {"a": b"old", "b": b"old"})
    one.sync()
    shutil.copytree(stick, tmp_path / "backup")
    for k in range(4):
        (stick / "a").write_bytes(b"new" + bytes([65 + k]) * k)
        one.sync()
    restored(stick, tmp_path / "backup")
    (stick / "b").write_bytes(b"edited after it")
    result = one.sync()
    assert SET_BACK in result.err and result.err.count("\n") == 1
    assert one.tree() == read_tree(stick) == {"a": b"newDDD", "b": b"edited after it"}
    assert one.sync().err == ""


def test_a_copy_of_a_stick(one: Holder, two: Holder, stick: Path) -> None:
    """Both are edited, with different desktops; then they meet: both edits are there, and nobody lost anything."""
    write_tree(one.left, {"a": b"common", "b": b"common"})
    one.sync()
    two.meet()
    two.sync()
    copy = stick.with_name("COPY")
    shutil.copytree(stick, copy)
    (stick / "a").write_bytes(b"edited on the first")
    (copy / "b").write_bytes(b"edited on the copy")
    one.sync()
    two.desktop.run("pair", str(copy))
    result = two.sync()
    assert "another copy" in result.err
    two.desktop.run("pair", str(stick))
    result = two.sync()
    assert "another copy" in result.err
    one.sync()
    assert one.tree() == two.tree() == {"a": b"edited on the first", "b": b"edited on the copy"}
    assert two.sync().err == one.sync().err == ""
    assert not two.desktop.run("conflicts", "--json").document()["conflicts"]


def test_a_stick_that_lost_its_records(one: Holder, stick: Path) -> None:
    """Its metadata were deleted, its id was not: compared in full, no conflict, and edits of both sides are there."""
    write_tree(one.left, {"a": b"1", "b": b"2", "c": b"3"})
    one.sync()
    [log] = (stick / OWN).glob("files-*.log")
    log.unlink()
    (stick / "a").write_bytes(b"edited on the stick")
    result = one.sync(expect=None)
    assert "has lost what it knew" in result.err and result.err.count("\n") == 1
    one.desktop.run("sync", "stick", expect=None)
    kept = one.desktop.run("conflicts", "--json").document()["conflicts"]
    assert [row["item"] for row in kept] == ["a"]  # nobody can tell which is newer, so none of them is lost
    assert read_tree(stick) == one.tree()


def test_a_desktop_that_lost_its_records(one: Holder, stick: Path) -> None:
    """Its state was deleted, its folder was not: said, no conflict, nothing is sent, an edit meanwhile arrives."""
    write_tree(one.left, {"a": b"1", "b": b"2", "c": b"3"})
    one.sync()
    shutil.rmtree(one.desktop.home / "state")
    (stick / "d").write_bytes(b"made on the stick")
    assert "cradle pair" in one.desktop.run("sync", expect=3).err
    assert "comes from another desktop with 3 objects" in one.desktop.run("pair", str(stick), "--name", "stick").err
    result = one.desktop.run("enable", "stick", "files", "--store", str(one.left))
    assert "no record of that" in result.err
    result = one.sync()
    assert "to the desktop 1 created" in result.out and "to the device" not in result.out
    assert one.tree() == read_tree(stick)
    assert "no record" not in one.desktop.run("enable", "stick", "files", "--store", str(one.left)).err


def test_the_stick_itself_is_no_store(one: Holder, stick: Path) -> None:
    for place in (stick, stick / "in it", stick.parent):
        result = one.desktop.run("enable", "stick", "files", "--store", str(place), expect=2)
        assert "--store" in result.err
    assert set(os.listdir(stick)) == {OWN}
