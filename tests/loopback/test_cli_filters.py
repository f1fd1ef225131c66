"""Filters through the command line: what a device holds, who may say so, and what is fetched on demand."""

from pathlib import Path
from typing import Any

import pytest

from cradle_testing.trees import read_tree
from loopback.rig import CODE, Desktop, Pair


def files(desktop: Desktop) -> Any:
    """The one type of the one partner, as `status` has it."""
    [partner] = desktop.run("status", "--json").document()["partners"]
    return partner["types"][0]


def enable(pair: Pair, *options: str, expect: int = 0) -> str:
    words = ["enable", pair.agent.name, "files", "--store", str(pair.left), *options]
    return pair.desktop.run(*words, expect=expect).err


def held(pair: Pair) -> list[str]:
    """Files on the device."""
    return sorted(path for path in read_tree(pair.right) if (pair.right / path).is_file())


def test_a_filter_keeps_out_and_lets_in(pair: Pair) -> None:
    pair.fill({"a.txt": b"a", "b.jpg": b"b", "big": bytes(3000), "photos/c.jpg": b"c", "photos/d.txt": b"d"})
    enable(pair, "--exclude", "*.jpg", "--max-size", "2 KB")
    pair.desktop.run("sync")
    assert held(pair) == ["a.txt", "photos/d.txt"]
    one = files(pair.desktop)
    assert (one["filter"], one["held"], one["by_name"]) == ("--exclude *.jpg --max-size 2000", 3, 3)
    assert "--exclude *.jpg --max-size 2000: 3 held there, 3 by name only" in pair.desktop.run("status").out
    assert "nothing to transfer" in pair.desktop.run("sync").out
    enable(pair, "--include", "photos/", "--include", "big")
    lines = pair.desktop.run("diff").out
    assert "fill      photos/c.jpg (1 bytes) on kiosk" in lines and "leave     a.txt on kiosk" in lines
    out = pair.desktop.run("sync").out
    assert "1 object left the device, by its filter; nothing was deleted anywhere" in out
    assert held(pair) == ["big", "photos/c.jpg", "photos/d.txt"]
    enable(pair, "--no-filter")
    pair.desktop.run("sync")
    assert pair.equal() and "filter" not in files(pair.desktop)


def test_a_store_has_one_filter(pair: Pair, tmp_path: Path) -> None:
    pair.fill({"a.txt": b"a", "b.jpg": b"b"})
    enable(pair, "--exclude", "*.jpg")
    pair.desktop.run("sync")
    second = Pair(Desktop(tmp_path / "second"), pair.agent)
    second.desktop.run("pair", pair.agent.address, "--code", CODE)
    said = enable(second, "--exclude", "*.txt", expect=1)
    assert "another desktop has set (--exclude *.jpg)" in said and "--no-filter, here or there" in said
    enable(second, "--exclude", "*.jpg")
    enable(second)
    (second.left / "c.jpg").write_bytes(b"c")
    out = second.desktop.run("sync").out
    assert "1 object has no content on the device, by its filter, and will come from elsewhere" in out
    assert held(pair) == ["a.txt"] and (second.left / "a.txt").exists() and not (second.left / "b.jpg").exists()
    enable(second, "--no-filter")  # the desktop that set it may be gone for ever
    enable(second, "--exclude", "*.txt")
    pair.desktop.run("sync")
    assert held(pair) == ["b.jpg"]


def test_on_demand(pair: Pair) -> None:
    pair.fill({"a.txt": b"a", "d/b": b"b", "d/c": b"c"})
    assert "is enabled" not in enable(pair, "--on-demand")
    pair.desktop.run("sync")
    assert held(pair) == [] and files(pair.desktop)["by_name"] == 4
    report = pair.desktop.run("get", "kiosk", ":d", "--json").document()
    assert report["types"][0]["to_device"]["created"] == 3 and held(pair) == ["d/b", "d/c"]
    listed = pair.desktop.run("get", "kiosk", "--json").document()["by_name"]
    assert listed == [{"item": "a.txt", "bytes": 1}]
    assert "wants all of that already" in pair.desktop.run("get", "kiosk", ":d/b").err
    pair.desktop.run("get", "kiosk", ":/a.txt")
    assert pair.equal()
    (pair.left / "new").write_bytes(b"n")
    (pair.left / "d" / "e").write_bytes(b"e")
    pair.desktop.run("sync")
    assert held(pair) == ["a.txt", "d/b", "d/c", "d/e"]
    enable(pair, "--on-demand")  # said once more: what was asked for stays
    enable(pair, "--on-demand", "--max-size", "1 MB")
    pair.desktop.run("sync")
    assert held(pair) == ["a.txt", "d/b", "d/c", "d/e"]
    enable(pair, "--no-filter")
    enable(pair, "--on-demand")
    pair.desktop.run("sync")
    assert held(pair) == []


def test_what_is_there_by_name_only_is_listed(pair: Pair) -> None:
    pair.fill({"a.jpg": bytes(2500), "photos/c.jpg": b"c", "photos/d.txt": b"d", "raw/x.jpg": b"x"})
    enable(pair, "--exclude", "*.jpg", "--exclude", "/raw/")
    pair.desktop.run("sync")
    assert "4 by name only, see 'cradle get kiosk'" in pair.desktop.run("status").out
    result = pair.desktop.run("get", "kiosk")
    lines = [line.split() for line in result.out.splitlines()]
    assert lines == [["2,500", ":a.jpg"], ["1", ":photos/c.jpg"], [":raw/"], ["1", ":raw/x.jpg"]]
    assert "'cradle get kiosk :PATH' brings one" in result.err and held(pair) == ["photos/d.txt"]
    enable(pair, "--no-filter")
    pair.desktop.run("sync")
    assert "nothing that kiosk has by name only" in pair.desktop.run("get", "kiosk").err


def test_a_get_asks_for_what_contains_what_was_asked_for(pair: Pair) -> None:
    """Files one by one until the filter is full, then their folder: that makes room again."""
    names = [f"d/{k:02}{'x' * 30}" for k in range(25)]
    pair.fill(dict.fromkeys([*names, "e"], b"b"))
    enable(pair, "--on-demand")
    pair.desktop.run("sync")
    pair.desktop.run("get", "kiosk", *[":" + name for name in names[:20]])
    said = pair.desktop.run("get", "kiosk", *[":" + name for name in names[20:]], expect=1).err
    assert "get whole folders" in said and len(held(pair)) == 20
    pair.desktop.run("get", "kiosk", ":d")
    pair.desktop.run("get", "kiosk", ":e")
    assert len(held(pair)) == 26


def test_a_stick_has_a_filter_as_any_device(tmp_path: Path) -> None:
    """What it wants travels on it: the next desktop heeds it, knows what is missing, and brings what it has."""
    home, work, stick = Desktop(tmp_path / "home"), Desktop(tmp_path / "work"), tmp_path / "stick"
    stick.mkdir()
    for desktop in (home, work):
        (desktop.home / "store").mkdir(parents=True)
        desktop.run("pair", str(stick), "--name", "stick")
    (home.home / "store" / "a.txt").write_bytes(b"a")
    (home.home / "store" / "b.jpg").write_bytes(b"b")
    home.run("enable", "stick", "files", "--store", str(home.home / "store"), "--exclude", "*.jpg")
    home.run("sync")
    work.run("enable", "stick", "files", "--store", str(work.home / "store"))
    (work.home / "store" / "c.jpg").write_bytes(b"c")
    report = work.run("sync", "--json").document()["types"][0]
    assert (report["absent"], report["to_desktop"]["created"]) == (1, 1)
    assert sorted(read_tree(stick)) == ["a.txt"]
    assert [one["item"] for one in work.run("get", "stick", "--json").document()["by_name"]] == ["b.jpg", "c.jpg"]
    work.run("get", "stick", ":c.jpg")
    home.run("sync")
    assert sorted(read_tree(home.home / "store")) == ["a.txt", "b.jpg", "c.jpg"]
    work.run("enable", "stick", "files", "--store", str(work.home / "store"), "--no-filter")
    for desktop in (home, work):
        desktop.run("sync")
    assert read_tree(stick) == read_tree(home.home / "store") == read_tree(work.home / "store")


def test_nothing_is_got_where_changes_flow_to_the_desktop_only(pair: Pair) -> None:
    pair.fill({"a.txt": b"a"})
    enable(pair, "--on-demand")
    pair.desktop.run("sync")
    enable(pair, "--direction", "to-desktop")
    assert "changes flow to the desktop only" in pair.desktop.run("get", "kiosk", ":a.txt", expect=2).err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["get", "kiosk", "a"], 2, "write ':' before it"),
        (["get", "kiosk", ":nowhere"], 1, "knows nothing of 'nowhere'"),
        (["get", "nobody"], 3, "no partner 'nobody'"),
        (["get"], 2, "required: PARTNER;"),
        (["enable", "kiosk", "files", "--include", ""], 1, "--include '' matches nothing"),
        (["enable", "kiosk", "files", "--max-size", "big"], 2, "--max-size"),
        (["enable", "kiosk", "files", "--newer-than", "90"], 2, "--newer-than"),
        (["enable", "kiosk", "files", "--exclude", "x", "--no-filter"], 2, "all or nothing"),
        (["enable", "kiosk", "files", "--exclude", "x", "--on-demand"], 2, "leave out the patterns"),
        (["enable", "kiosk", "files", "--exclude", "x", "--direction", "to-desktop"], 2, "nothing for a filter"),
        (["enable", "kiosk", "files", "--exclude", "x" * 1000], 1, "960 bytes of filter"),
        (["enable", "kiosk", "files", "--exclude", "!"], 1, "patterns are those of a .gitignore file"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(pair: Pair, words: list[str], code: int, says: str) -> None:
    if words[0] == "enable":
        words = [*words, "--store", str(pair.left)]
    result = pair.desktop.run(*words, expect=code)
    assert says in result.err and result.err.count("\n") == 1


def test_a_get_of_a_device_without_a_filter_is_a_sync(pair: Pair) -> None:
    pair.fill({"a": b"a"})
    pair.desktop.run("sync")
    assert "wants all of that already" in pair.desktop.run("get", "kiosk", ":a").err


def test_a_device_that_is_away_has_no_filter_set(pair: Pair) -> None:
    pair.agent.kill()
    enable(pair, "--exclude", "x", expect=3)
    enable(pair)
