"""`cradle undo`, `sync --revert` and policies through the command line: real folders, real processes."""

import os
from pathlib import Path

from loopback.rig import Agent, Desktop, Pair


def test_what_a_sync_overwrote_and_deleted_comes_back_and_travels(pair: Pair) -> None:
    pair.fill({"a": b"one", "b/c": b"two", "d": b"three"})
    pair.desktop.run("sync")
    pair.fill(right={"a": b"edited there"})
    os.unlink(pair.right / "b" / "c")
    os.rmdir(pair.right / "b")
    os.unlink(pair.right / "d")
    pair.desktop.run("sync", "--max-delete", "100%")
    assert pair.trees()[0] == {"a": b"edited there"}
    (pair.left / "d").write_bytes(b"mine")
    document = pair.desktop.run("undo", "--json", "kiosk", "--type", "files", expect=5).document()
    [one] = document["types"]
    assert (document["schema"], document["partner"], one["type"], one["of"]) == (1, "kiosk", "files", "sync")
    assert one["restored"] == ["a", "b", "b/c"]
    assert one["left"] == [{"item": "d", "reason": "it was changed since"}]
    assert pair.trees()[0] == {"a": b"one", "b/": b"", "b/c": b"two", "d": b"mine"}
    pair.desktop.run("sync")
    assert pair.equal() and pair.trees()[1]["a"] == b"one"


def test_a_delete_by_mistake_is_taken_back_without_the_device(pair: Pair) -> None:
    """CE-17, over real processes: delete, sync, the device is away, undo, sync."""
    pair.fill({"a": b"one", "d/b": b"two", "c": b"three", "large": bytes(1_000_001)})
    os.chmod(pair.left / "d" / "b", 0o750)
    pair.desktop.run("sync")
    for name in ("a", "d/b"):
        os.unlink(pair.left / name)
    os.rmdir(pair.left / "d")
    pair.fill({"c": b"a mistake", "large": b"small"})
    pair.desktop.run("sync", "--max-delete", "100%")
    assert pair.trees()[1] == {"c": b"a mistake", "large": b"small"}
    pair.agent.stop()
    document = pair.desktop.run("undo", "--json", "kiosk", expect=5).document()
    [one] = document["types"]
    assert one["restored"] == ["a", "c", "d", "d/b"]
    assert [left["item"] for left in one["left"]] == ["large"] and "too large" in one["left"][0]["reason"]
    assert "nothing" not in pair.desktop.run("undo", "kiosk").out  # and once more, there and back again
    pair.desktop.run("undo", "kiosk")
    before = {"a": b"one", "c": b"three", "d/": b"", "d/b": b"two", "large": b"small"}
    assert pair.trees() == (before, {"c": b"a mistake", "large": b"small"})
    pair.agent.start()
    pair.desktop.run("sync")
    assert pair.trees() == (before, before) and (pair.right / "d" / "b").stat().st_mode & 0o777 == 0o750
    assert "nothing to transfer" in pair.desktop.run("sync").out


def test_what_undo_says(pair: Pair) -> None:
    assert "kiosk files: no sync overwrote" in pair.desktop.run("undo", "kiosk").out
    assert "contacts is not enabled with kiosk" in pair.desktop.run("undo", "kiosk", "--type", "contacts", expect=2).err
    pair.fill({"a": b"one", "b": b"1" * 50})
    pair.desktop.run("sync")
    settings = Path(pair.desktop.home / "state" / "settings.toml")
    settings.write_text("[undo]\nsize = 20\n")
    pair.fill(right={"a": b"edited", "b": b"edited"})
    said = pair.desktop.run("sync").err
    assert "b cannot be brought back by 'cradle undo'" in said
    done = pair.desktop.run("undo", "kiosk", expect=5)
    assert done.out.startswith("kiosk files: 1 object as before the sync of ")
    assert "left alone b: what it was is not kept: it was too large" in done.out and "cradle sync kiosk" in done.err
    assert pair.desktop.run("undo", "kiosk").out.startswith("kiosk files: 1 object as before the undo of ")
    assert (pair.left / "a").read_bytes() == b"edited"
    settings.write_text("[undo]\nsize = 'much'\n")
    assert "settings.toml" in pair.desktop.run("sync", expect=1).err


def test_own_changes_of_the_receiving_side_are_shown_and_dropped(desktop: Desktop, agent: Agent) -> None:
    pair = Pair(desktop, agent)
    pair.meet("--direction", "to-device")
    pair.fill({"a": b"right"})
    desktop.run("sync")
    pair.fill(right={"a": b"astray", "b": b"astray"})
    [one] = desktop.run("diff", "--json").document()["types"]
    assert one["policy"] == "desktop"
    assert one["deviations"] == [
        {"item": "a", "side": "device", "change": "changed"},
        {"item": "b", "side": "device", "change": "created"},
    ]
    assert "2 own changes on the receiving side" in desktop.run("sync").out
    [partner] = desktop.run("status", "--json").document()["partners"]
    assert partner["types"][0]["deviations"] == 2
    assert "2 own changes on the receiving side at the last sync: cradle diff kiosk" in desktop.run("status").out
    assert "drop      a: the device's version" in desktop.run("sync", "--revert", "--dry-run").out
    assert pair.trees()[1] == {"a": b"astray", "b": b"astray"}
    [one] = desktop.sync("--revert")["types"]
    assert (one["deviations"], one["conflicts"], one["skipped"]) == (0, 0, [])
    assert pair.trees() == ({"a": b"right"}, {"a": b"right"})
    assert "own change" not in desktop.run("status").out and "no conflict waits" in desktop.run("conflicts").err
    assert "dropped by --revert" in desktop.run("conflicts", "show", "1").out


def test_there_is_nothing_to_revert_where_changes_flow_both_ways(pair: Pair) -> None:
    assert "nothing to revert" in pair.desktop.run("sync", "--revert", expect=2).err


def test_two_edits_of_one_text_are_merged(desktop: Desktop, agent: Agent) -> None:
    pair = Pair(desktop, agent)
    pair.meet("--policy", "merge")
    pair.fill({"a": b"one\ntwo\nthree\n"})
    desktop.run("sync")
    pair.fill({"a": b"ONE\ntwo\nthree\n"}, {"a": b"one\ntwo\nTHREE\n"})
    lines = desktop.run("diff").out
    assert "kiosk files, policy merge:" in lines and "merge     a: both edits in one text" in lines
    assert desktop.sync()["conflicts_waiting"] == 0
    assert pair.trees() == ({"a": b"ONE\ntwo\nTHREE\n"}, {"a": b"ONE\ntwo\nTHREE\n"})
    said = desktop.run("enable", "kiosk", "files", "--policy", "coin", expect=2).err
    assert "invalid choice: 'coin'" in said and said.count("\n") == 1


def test_a_conflict_of_pictures_is_told_by_size_hash_and_time(pair: Pair) -> None:
    pair.fill({"p": b"\0base"})
    pair.desktop.run("sync")
    pair.fill({"p": b"\0ours"}, {"p": b"\0theirs, longer"})
    os.utime(pair.left / "p", (1_600_000_000, 1_600_000_000))
    os.utime(pair.right / "p", (1_500_000_000, 1_500_000_000))
    pair.desktop.run("sync", expect=4)
    ours, theirs = told(pair, "desktop, in place: 5 bytes", "device, kept: 15 bytes")
    assert ours.startswith("2020-09-13T12:26:") and theirs.startswith("2017-07-14T02:") and theirs.endswith("Z")
    pair.desktop.run("conflicts", "resolve", "1", "--take", "device")
    again, now = told(pair, "desktop, kept: 5 bytes", "device, in place: 15 bytes")
    assert again == ours and now > "2026"
    assert "the device's version is in place, the desktop's is kept" in pair.desktop.run("conflicts", "show", "1").out


def told(pair: Pair, desktop: str, device: str) -> tuple[str, str]:
    """What is shown of conflict 1: both sides in these words; when each was written."""
    shown = pair.desktop.run("conflicts", "show", "1").out
    one = pair.desktop.run("conflicts", "show", "1", "--json").document()
    times = tuple(side["written"] for side in one["sides"])
    for words, written, side in zip((desktop, device), times, one["sides"], strict=True):
        assert f"{words}, SHA-256 {side['sha256']}, written {written[:10]}" in shown
        assert words.startswith(f"{side['side']}, {side['place']}: ") and side["kind"] == "binary"
    assert one["difference"] == []
    return times[0], times[1]


def test_a_conflict_that_waits_is_told_as_far_as_it_is_known_here(desktop: Desktop, agent: Agent) -> None:
    pair = Pair(desktop, agent)
    pair.meet("--policy", "ask")
    pair.fill({"p": b"\0ours"}, {"p": b"\0theirs, longer"})
    desktop.run("sync", expect=4)
    shown = desktop.run("conflicts", "show", "1").out
    assert "desktop, in place: 5 bytes, SHA-256 " in shown and shown.count(", written 20") == 2
    assert "device, there: 15 bytes, SHA-256 " in shown
    pair.age()
    pair.fill(right={"p": b"\0and again"})
    desktop.run("sync", expect=4)
    assert "device, there: 10 bytes, SHA-256 " in desktop.run("conflicts", "show", "1").out
