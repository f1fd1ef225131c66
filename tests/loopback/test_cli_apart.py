"""Stores that lie in one another on one machine, and a folder in whose place another store is: said, nothing copied."""

import shutil

from cradle_testing.trees import read_tree, write_tree
from loopback.rig import Pair


def test_a_store_inside_the_devices_folder_is_refused_at_enable(pair: Pair) -> None:
    inside = pair.right / "desktop" / "files"
    said = pair.desktop.run("enable", "kiosk", "files", "--store", str(inside), expect=2).err
    assert f"lies inside {pair.right}, which is a store already" in said and not inside.exists()


def test_a_folder_inside_a_store_of_this_desktop_may_be_a_store_too(pair: Pair) -> None:
    """Part of what one partner has is synced with another one: nothing copies itself there."""
    pair.desktop.run("enable", "kiosk", "files", "--store", str(pair.left / "part"))


def test_keys_and_records_are_in_no_store(pair: Pair) -> None:
    """They would travel to whoever has the store, and what comes from there could take their place."""
    home = pair.desktop.home
    shutil.rmtree(pair.left)
    pair.desktop.run("disable", "kiosk", "files")
    apart = "where cradle keeps its keys and records"
    for folder in (home, home / "state", home / "state" / "below"):
        assert apart in pair.desktop.run("enable", "kiosk", "files", "--store", str(folder), expect=2).err
        folder.mkdir(exist_ok=True)
        assert apart in pair.desktop.run("pair", str(folder), expect=2).err
        words = ("--listen", "tcp://127.0.0.1:0?plain=1", "--root", str(folder))
        assert apart in pair.desktop.run("agent", "run", *words, expect=2).err
        assert not (folder / ".cradle").exists()


def test_the_devices_own_folder_is_refused_at_the_sync(pair: Pair) -> None:
    pair.fill(right={"a": b"1"})
    pair.desktop.run("enable", "kiosk", "files", "--store", str(pair.right))
    for words in ("sync", "diff"):
        said = pair.desktop.run(words, expect=1).err
        assert "are one folder or lie in one another" in said and "--store FOLDER" in said
    assert read_tree(pair.right) == {"a": b"1"}


def test_a_store_around_the_devices_folder_is_refused_at_the_sync(pair: Pair) -> None:
    around = pair.right.parent
    pair.fill(right={"a": b"1"})
    pair.desktop.run("enable", "kiosk", "files", "--store", str(around))
    assert f"{pair.right}, which kiosk serves" in pair.desktop.run("sync", expect=1).err
    assert read_tree(pair.right) == {"a": b"1"}


def test_another_store_in_the_place_of_the_folder_is_said(pair: Pair) -> None:
    """A disk is mounted there now: it is compared in full, which nobody should have to guess."""
    pair.fill({"a": b"1", "b": b"2"})
    assert "another store" not in pair.desktop.run("sync").err
    shutil.rmtree(pair.left)
    other = pair.desktop.home / "other"
    pair.desktop.run("enable", "kiosk", "files", "--store", str(other))
    other.rename(pair.left)
    pair.desktop.run("enable", "kiosk", "files", "--store", str(pair.left))
    write_tree(pair.left, {"c": b"3"})
    said = pair.desktop.run("sync").err
    assert f"{pair.left} is another store than the one that was synced before" in said
    assert pair.equal() and read_tree(pair.left) == {"a": b"1", "b": b"2", "c": b"3"}
    assert "another store" not in pair.desktop.run("sync").err
