"""Record types: field against field, conflicts per field group, a provider that is asked, objects that go together.

Real engine, real agent; the provider is the same on both sides (`cradle_testing.records`).
"""

from pathlib import Path
from typing import Any

import pytest

from cradle_desktop.conflict.resolve import ConflictError, resolve
from cradle_desktop.conflict.show import show
from cradle_desktop.conflict.store import ConflictStore, Loser
from cradle_desktop.metadata.database import Database
from cradle_desktop.sync.remote import RemoteReplica
from cradle_desktop.sync.resolve import Answer, Resolver
from cradle_device.agent import BOARD
from cradle_protocol.errors import READ_ONLY, UNREADABLE
from cradle_protocol.provider.desktop import (
    DESKTOP_WINS,
    DEVICE_WINS,
    DISCARD,
    DISCARD_LOCAL,
    IGNORE,
    NO_OPINION,
)
from cradle_protocol.sync.change import change_of
from cradle_protocol.sync.item import Link, item_id
from cradle_protocol.sync.knowledge import everything
from cradle_protocol.sync.memory import MemoryMetadata
from cradle_protocol.sync.overlay import Overlay
from cradle_testing.metadata import file_item
from cradle_testing.records import People, fields_of, packed
from cradle_testing.scenes import TWO_DESKTOPS, TWO_DEVICES
from cradle_testing.worlds import PowerCut, World

ANN = {"first": "Ann", "last": "Lee", "phone": "1", "mail": "ann@x"}


class People2(World):
    """A world of people: `w.people("D1")`."""

    kind = People

    def people(self, name: str) -> People:
        store = self[name].store
        assert isinstance(store, People)
        return store

    def edit(self, name: str, identity: str, **fields: str) -> None:
        """A user changes some fields."""
        store = self.people(name)
        store.put(identity, **(store.record(identity) | fields))

    def known(self, *identities: str) -> None:
        for identity in identities:
            self.people("D1").put(identity, **ANN)
        for _ in range(2):
            for desktop in self.desktops:
                for device in self.devices:
                    self.sync(desktop, device)
            self.advance()


def world(folder: Path, *identities: str, **parts: Any) -> People2:
    w = People2(folder, **parts)
    w.known(*identities)
    return w


# -- field against field


def test_edits_of_different_field_groups_are_one_record(tmp_path: Path) -> None:
    w = world(tmp_path, "ann")
    w.edit("D1", "ann", last="Smith")
    w.edit("R1", "ann", phone="22222")
    w.advance()
    result = w.sync("D1", "R1")
    assert w.people("D1").record("ann") == w.people("R1").record("ann") == ANN | {"last": "Smith", "phone": "22222"}
    assert (result.conflicts, w.losers(), result.skipped) == (0, [], [])
    w.settle_and_check()


@pytest.mark.parametrize("policy", ["desktop", "device"])
def test_edits_of_one_field_group_are_a_conflict_of_that_group_alone(tmp_path: Path, policy: str) -> None:
    """The other group is merged all the same, and the record that lost is kept, with the group it lost."""
    w = world(tmp_path, "ann")
    w.edit("D1", "ann", phone="desk", last="Smith")
    w.edit("R1", "ann", phone="board!")
    w.advance()
    result = w.sync("D1", "R1", policy=policy)  # type: ignore[arg-type]
    phone = "desk" if policy == "desktop" else "board!"
    assert w.people("D1").record("ann") == w.people("R1").record("ann") == ANN | {"last": "Smith", "phone": phone}
    assert result.conflicts == 1 and len(w.losers()) == 1
    assert fields_of(w.losers()[0])["phone"] == ("board!" if policy == "desktop" else "desk")
    (unit,) = {unit for _, unit, _ in w.desks["D1"].conflicts.losers}
    assert People.units[unit] == "reach"
    w.settle_and_check()


def test_a_field_group_that_lost_is_taken_back(tmp_path: Path) -> None:
    """`conflicts resolve` changes that field group alone, as often as one likes; what was edited since stays."""
    w = world(tmp_path, "ann")
    conflicts = ConflictStore(Database(tmp_path / "cradle.db"), str(tmp_path / "conflicts"))
    w.desks["D1"].conflicts = conflicts  # type: ignore[assignment]
    clash(w)
    w.edit("D1", "ann", last="Smith")
    w.sync("D1", "R1")
    (conflict,) = conflicts.list()
    w.edit("D1", "ann", last="Jones")
    for take, phone in (("device", "board"), ("desktop", "desk"), ("device", "board")):
        resolve(conflicts, conflict.number, take, w.people("D1"))
        assert w.people("D1").record("ann") == ANN | {"last": "Jones", "phone": phone}
    with pytest.raises(ConflictError):
        resolve(conflicts, conflict.number, "both", w.people("D1"))
    assert conflicts.count() == 0
    w.advance()
    w.sync("D1", "R1")
    assert w.people("R1").record("ann") == ANN | {"last": "Jones", "phone": "board"}


def test_a_field_group_that_lost_is_shown_by_its_fields(tmp_path: Path) -> None:
    """Names and values, of the group that clashes alone; before and after it is settled, and of a whole record."""
    w = world(tmp_path, "ann", "bob")
    conflicts = ConflictStore(Database(tmp_path / "cradle.db"), str(tmp_path / "conflicts"))
    w.desks["D1"].conflicts = conflicts  # type: ignore[assignment]
    clash(w)
    w.edit("D1", "ann", last="Smith")
    w.edit("R1", "bob", phone="3", mail="of\nbob")
    w.people("D1").delete("bob")
    w.sync("D1", "R1")
    lines = ["--- desktop", "+++ device", "@@ -1,2 +1,2 @@", "-phone: desk", "+phone: board", " mail: ann@x"]
    (ann,) = (one for one in conflicts.list() if one.identity == "ann")
    for take in ("desktop", "device", "desktop"):
        conflict = conflicts.get(ann.number)
        assert conflict is not None
        shown = show(conflicts, conflict, w.people("D1"))
        assert (shown.unit, shown.lines) == ("reach", lines)
        assert "phone: board, mail: ann@x" in shown.device.words() and shown.desktop.kind == "fields"
        resolve(conflicts, ann.number, take, w.people("D1"))
    w.people("D1").write("ann", b"\xff no record")
    shown = show(conflicts, ann, w.people("D1"))
    assert (shown.desktop.kind, shown.device.kind, shown.lines) == ("binary", "fields", [])
    deleted = conflicts.get(conflicts.add(Loser("R1", "people", ann.item_id, "bob", 0, "delete-update", "device",
                                                "desktop", b""), None))  # fmt: skip
    assert deleted is not None
    whole = show(conflicts, deleted, w.people("D1"))
    assert whole.desktop.words() == "desktop: deleted"
    assert "first: Ann, last: Lee, phone: 3, mail: of / bob" in whole.device.words()
    assert show(conflicts, ann, None).device.kind == "text"


def test_two_field_groups_clash_and_are_two_conflicts(tmp_path: Path) -> None:
    w = world(tmp_path, "ann")
    w.edit("D1", "ann", phone="desk", last="Smith")
    w.edit("R1", "ann", phone="board", last="Jones")
    w.advance()
    result = w.sync("D1", "R1")
    assert result.conflicts == 2 and len(w.losers()) == 1
    assert w.people("R1").record("ann") == ANN | {"last": "Smith", "phone": "desk"}
    w.settle_and_check()


def test_equal_edits_of_one_group_and_another_edit(tmp_path: Path) -> None:
    w = world(tmp_path, "ann")
    w.edit("D1", "ann", phone="2", last="Smith")
    w.edit("R1", "ann", phone="2")
    w.advance()
    assert w.sync("D1", "R1").conflicts == 0
    assert w.people("R1").record("ann") == ANN | {"last": "Smith", "phone": "2"}
    w.settle_and_check()


def test_a_field_against_a_delete(tmp_path: Path) -> None:
    w = world(tmp_path, "ann", "bob")
    w.edit("D1", "ann", phone="2")
    w.people("R1").delete("ann")
    w.edit("R1", "bob", phone="3")
    w.people("D1").delete("bob")
    w.advance()
    w.sync("D1", "R1")
    w.settle_and_check()
    assert {name: w.people("D1").record(name)["phone"] for name in ("ann", "bob")} == {"ann": "2", "bob": "3"}


def test_two_desktops_merge_alone_what_two_devices_edited(tmp_path: Path) -> None:
    """Each desktop merges the same edits by itself; where they meet, there is nothing left to merge."""
    w = world(tmp_path, "ann", desktops=TWO_DESKTOPS, devices=TWO_DEVICES)
    w.edit("R1", "ann", phone="one")
    w.edit("R2", "ann", last="Two")
    w.edit("D1", "ann", last="Two")
    w.edit("D2", "ann", phone="one")
    w.advance()
    w.sync("D1", "R1")
    w.sync("D2", "R2")
    w.settle_and_check()
    assert w.people("R1").record("ann") == ANN | {"phone": "one", "last": "Two"}
    assert not w.losers()


def test_an_edit_that_cannot_be_read_waits(tmp_path: Path) -> None:
    w = world(tmp_path, "ann")
    w.edit("D1", "ann", last="Smith")
    w.edit("R1", "ann", phone="22")
    w.people("R1").failing_reads["ann"] = UNREADABLE
    w.advance()
    result = w.sync("D1", "R1")
    assert [path for path, _ in result.skipped] == ["ann"]
    assert w.people("D1").record("ann")["phone"] == "1" and w.people("R1").record("ann")["last"] == "Lee"
    w.people("R1").failing_reads.clear()
    w.settle_and_check()
    assert w.people("D1").record("ann") == ANN | {"last": "Smith", "phone": "22"}


def test_what_is_no_record_waits(tmp_path: Path) -> None:
    w = world(tmp_path, "ann")
    w.edit("D1", "ann", last="Smith")
    w.people("R1").write("ann", b"no json")
    w.advance()
    assert [reason for _, reason in w.sync("D1", "R1").skipped] == [
        "the two edits of it cannot be read just now, or are no records"
    ]
    assert w.people("R1").read("ann") == b"no json"


def test_words_with_slashes_are_no_folders(tmp_path: Path) -> None:
    w = world(tmp_path, "a", "a/b", "c/d/e")
    w.people("R1").delete("a")
    w.advance()
    w.sync("D1", "R1")
    w.settle_and_check()
    assert set(w.people("D1").tree()) == {"a/b", "c/d/e"}


# -- the provider is asked


def clash(w: People2) -> None:
    w.edit("D1", "ann", phone="desk")
    w.edit("R1", "ann", phone="board")
    w.advance()


@pytest.mark.parametrize(
    ("answer", "stays", "lost", "waits"),
    [
        (DESKTOP_WINS, "desk", ["board"], 0), (DEVICE_WINS, "board", ["desk"], 0), (DISCARD, "desk", [], 0),
        (DISCARD_LOCAL, "board", [], 0), (IGNORE, "either", [], 0), (NO_OPINION, "", [], 1),
    ],
)  # fmt: skip
def test_each_answer_to_two_edits(tmp_path: Path, answer: str, stays: str, lost: "list[str]", waits: int) -> None:
    w = world(tmp_path, "ann")
    clash(w)
    w.people("D1").answers["ann"] = answer
    result = w.sync("D1", "R1", policy="provider")
    ours, theirs = packed(**(ANN | {"phone": "desk"})), packed(**(ANN | {"phone": "board"}))
    assert w.people("D1").asked == [("ann", "update-update", ("reach",), ours, theirs)]
    assert [fields_of(one)["phone"] for one in w.losers()] == lost
    assert (result.conflicts, len(w.desks["D1"].conflicts.left)) == (len(lost) + waits, waits)
    if waits:
        assert w.people("D1").read("ann") == ours and w.people("R1").read("ann") == theirs
        return
    assert w.people("D1").read("ann") == w.people("R1").read("ann")
    assert stays == "either" or w.people("D1").record("ann")["phone"] == stays
    w.settle_and_check()


@pytest.mark.parametrize("deleter", ["D1", "R1"])
@pytest.mark.parametrize("answer", [DESKTOP_WINS, DEVICE_WINS, DISCARD, DISCARD_LOCAL, IGNORE, NO_OPINION])
def test_each_answer_to_an_edit_and_a_delete(tmp_path: Path, deleter: str, answer: str) -> None:
    w = world(tmp_path, "ann")
    editor = "R1" if deleter == "D1" else "D1"
    w.people(deleter).delete("ann")
    w.edit(editor, "ann", phone="edited")
    w.advance()
    w.people("D1").answers["ann"] = answer
    w.sync("D1", "R1", policy="provider")
    kind = "delete-update" if deleter == "D1" else "update-delete"
    assert [one[:3] for one in w.people("D1").asked] == [("ann", kind, ())]
    if answer == NO_OPINION:
        assert len(w.desks["D1"].conflicts.left) == 1 and "ann" not in w.people(deleter).tree()
        return
    taken = {DESKTOP_WINS: "D1", DISCARD: "D1", DEVICE_WINS: "R1", DISCARD_LOCAL: "R1", IGNORE: editor}[answer]
    there = {"ann"} if taken == editor else set()
    assert set(w.people("D1").tree()) == set(w.people("R1").tree()) == there
    assert len(w.losers()) == (answer in (DESKTOP_WINS, DEVICE_WINS) and taken == deleter)
    w.settle_and_check()


def test_the_provider_is_not_asked_about_what_is_no_conflict_or_decided(tmp_path: Path) -> None:
    w = world(tmp_path, "ann", "bob")
    w.edit("D1", "ann", last="Smith")
    w.edit("R1", "ann", phone="22")
    w.advance()
    w.sync("D1", "R1", policy="provider")
    assert w.people("D1").asked == []
    clash(w)
    w.sync("D1", "R1", policy="desktop")
    assert w.people("D1").asked == []
    clash(w)
    w.people("D1").answers["ann"] = DESKTOP_WINS
    w.sync("D1", "R1", policy="provider", decisions={"ann": "device"})
    assert w.people("D1").record("ann")["phone"] == "board", "the user's word comes first"


def test_a_preview_asks_the_provider_and_changes_nothing(tmp_path: Path) -> None:
    w = world(tmp_path, "ann")
    clash(w)
    w.people("D1").answers["ann"] = DEVICE_WINS
    before = w.everything()
    lines = w.preview("D1", "R1", policy="provider").lines()
    assert any("desktop's version goes to the conflict store" in line for line in lines)
    assert w.everything() == before and len(w.people("D1").asked) == 1


def test_files_without_a_provider_that_judges_are_asked_of_the_user(tmp_path: Path) -> None:
    w = World(tmp_path)
    w["D1"].store.write("a", b"1")
    w["R1"].store.write("a", b"22")
    assert w.sync("D1", "R1", policy="provider").conflicts == 1
    assert len(w.desks["D1"].conflicts.left) == 1 and w["R1"].store.read("a") == b"22"


@pytest.mark.parametrize("answer", [DESKTOP_WINS, DEVICE_WINS, IGNORE])
def test_two_desktops_whose_providers_answer_come_to_rest(tmp_path: Path, answer: str) -> None:
    w = world(tmp_path, "ann", desktops=TWO_DESKTOPS, devices=TWO_DEVICES)
    for desktop in TWO_DESKTOPS:
        w.edit(desktop, "ann", phone=desktop)
        w.people(desktop).answers["ann"] = answer
    w.advance()
    for _ in range(3):
        for desktop in TWO_DESKTOPS:
            for device in TWO_DEVICES:
                w.sync(desktop, device, policy="provider")
    w.settle_and_check()


# -- objects that belong together

HOUSE = ("lee/ann", "lee/bob", "lee/cid")


def together(w: People2, name: str) -> "set[str]":
    """The phones that anybody may see in the household."""
    return {fields_of(w.people(name).tree()[path]).get("phone", "") for path in HOUSE}


def edit_all(w: People2, name: str) -> None:
    for path in HOUSE:
        w.edit(name, path, phone="new")
    w.edit(name, "zoe", phone="new")
    w.advance()


@pytest.mark.parametrize(("editor", "receiver"), [("D1", "R1"), ("R1", "D1")])
def test_a_household_is_shown_at_once(tmp_path: Path, editor: str, receiver: str) -> None:
    w = world(tmp_path, *HOUSE, "zoe", batch_items=3)
    before = w.people(receiver).shows
    edit_all(w, editor)
    seen: list[set[str]] = []
    w.people(receiver).on_install = lambda identity: seen.append(together(w, receiver))
    w.sync("D1", "R1")
    assert w.people(receiver).shows == before + 1 and all(len(one) == 1 for one in seen) and len(seen) == 4
    w.people(receiver).on_install = None
    w.settle_and_check()
    assert together(w, "R1") == {"new"}


@pytest.mark.parametrize(("editor", "receiver"), [("D1", "R1"), ("R1", "D1")])
@pytest.mark.parametrize("failing", [*HOUSE, "show", "changed"])
def test_one_that_fails_keeps_the_others_back(tmp_path: Path, editor: str, receiver: str, failing: str) -> None:
    """Unwritable, edited just then, or not to be shown: all of the household wait, everybody else goes on."""
    w = world(tmp_path, *HOUSE, "zoe")
    edit_all(w, editor)
    if failing == "changed":
        done: list[str] = []

        def save(identity: str) -> None:
            if identity == HOUSE[0] and not done:
                done.append(identity)
                w.edit(receiver, HOUSE[1], mail="saved meanwhile")

        w.people(receiver).on_install = save
    else:
        w.people(receiver).failing_writes[failing] = READ_ONLY
    result = w.sync("D1", "R1")
    assert together(w, receiver) == {"1"} and w.people(receiver).record("zoe")["phone"] == "new"
    assert set(HOUSE) == {path for path, _ in result.skipped}
    w.people(receiver).failing_writes.clear()
    w.people(receiver).on_install = None
    w.advance()
    w.settle_and_check()
    assert together(w, "D1") == {"new"}


@pytest.mark.parametrize("side", ["D1", "R1"])
def test_one_that_cannot_be_read_keeps_the_others_back(tmp_path: Path, side: str) -> None:
    w = world(tmp_path, *HOUSE, "zoe")
    receiver = "R1" if side == "D1" else "D1"
    edit_all(w, side)
    w.people(side).delete(HOUSE[0])
    w.people(side).failing_reads[HOUSE[2]] = UNREADABLE
    w.sync("D1", "R1")
    assert together(w, receiver) == {"1"} and w.people(receiver).record("zoe")["phone"] == "new"
    w.people(side).failing_reads.clear()
    w.settle_and_check()
    assert set(w.people("D1").tree()) == {*HOUSE[1:], "zoe"}


def test_a_conflict_that_waits_keeps_the_others_back(tmp_path: Path) -> None:
    w = world(tmp_path, *HOUSE, "zoe")
    edit_all(w, "R1")
    w.edit("D1", HOUSE[0], phone="mine")
    w.edit("D1", HOUSE[1], last="Mine")
    w.advance()
    w.sync("D1", "R1", policy="ask")
    assert together(w, "D1") == {"mine", "1"} and together(w, "R1") == {"new"}
    assert w.people("D1").record("zoe")["phone"] == "new" and w.people("R1").record(HOUSE[1])["last"] == "Lee"
    w.sync("D1", "R1", policy="ask", decisions={HOUSE[0]: "device"})
    w.settle_and_check()
    assert together(w, "D1") == {"new"} and w.people("R1").record(HOUSE[1])["last"] == "Mine"


@pytest.mark.parametrize("commit", range(1, 9))
@pytest.mark.parametrize("editor", ["D1", "R1"])
def test_a_kill_shows_all_or_nothing(tmp_path: Path, editor: str, commit: int) -> None:
    """The desktop loses its power at every commit: what anybody may see is one state of the household."""
    w = world(tmp_path, *HOUSE, "zoe")
    for name in ("D1", "R1"):
        w.people(name).sync()
    edit_all(w, editor)
    w.people(editor).sync()
    w.desks["D1"].meta.crash_before_commit = commit
    try:
        w.sync("D1", "R1")
    except PowerCut:
        pass
    for name in ("D1", "R1"):
        assert len(together(w, name)) == 1
    w.desks["D1"].restart()
    w.boards["R1"].restart()
    assert len(together(w, "D1")) == len(together(w, "R1")) == 1
    w.settle_and_check()
    assert together(w, "D1") == {"new"} and not w.losers()


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(("editor", "receiver"), [("D1", "R1"), ("R1", "D1")])
@pytest.mark.parametrize("member", HOUSE)
def test_a_kill_between_two_members_shows_nothing(tmp_path: Path, editor: str, receiver: str, member: str) -> None:
    """The process dies in the middle of the household, the disk lives on."""
    w = world(tmp_path, *HOUSE, "zoe")
    edit_all(w, editor)

    def die(identity: str) -> None:
        if identity == member:
            w.people(receiver).on_install = None
            raise Killed

    w.people(receiver).on_install = die
    with pytest.raises(Killed):
        w.sync("D1", "R1")
    assert together(w, receiver) == {"1"}
    w.people(receiver).together(2)  # a process that died gathers no more
    if receiver == "R1":
        w.boards["R1"].end.restart()
    else:
        w.desks["D1"].meta.crash()
    w.settle_and_check()
    assert together(w, "D1") == {"new"}


def test_a_household_that_is_too_large_for_the_device_is_told(tmp_path: Path) -> None:
    w = People2(tmp_path, batch_items=2)
    for path in (*HOUSE, "zoe"):
        w.people("D1").put(path, **ANN)
    w.advance()
    result = w.sync("D1", "R1")
    assert set(w.people("R1").tree()) == {"zoe"}
    reason = "on R1: 3 objects belong together, and it takes 2 at once"
    assert sorted(result.skipped) == [(path, reason) for path in HOUSE]


def test_a_household_is_created_and_deleted_at_once(tmp_path: Path) -> None:
    w = world(tmp_path, *HOUSE)
    before = w.people("R1").shows
    for path in HOUSE:
        w.people("D1").delete(path)
        w.people("D1").put(path.replace("lee", "kim"), **ANN)
    w.advance()
    w.sync("D1", "R1")
    assert w.people("R1").shows == before + 2
    w.settle_and_check()
    assert set(w.people("R1").tree()) == {path.replace("lee", "kim") for path in HOUSE}
    w.people("R1").full = 10
    w.edit("D1", "kim/ann", phone="long" * 100)
    w.edit("D1", "kim/bob", phone="x")
    w.advance()
    assert len(w.sync("D1", "R1").skipped) == 2
    assert w.people("R1").record("kim/bob")["phone"] == "1"


def test_deletes_of_a_household_that_is_too_large_are_held_back_as_well(tmp_path: Path) -> None:
    """Deleted one by one, a household would be seen in parts. It goes when the device takes as many at once."""
    w = world(tmp_path, *HOUSE, "zoe", batch_items=3)
    w.boards["R1"].end.agent.limits.batch_items = 2
    for path in (*HOUSE, "zoe"):
        w.people("D1").delete(path)
    w.advance()
    for _ in range(2):
        result = w.sync("D1", "R1")
        assert set(w.people("R1").tree()) == set(HOUSE) == {path for path, _ in result.skipped}
    w.people("D1").put(HOUSE[0], **ANN)
    w.edit("R1", HOUSE[1], phone="edited there")
    w.boards["R1"].end.agent.limits.batch_items = 3
    w.advance()
    w.settle_and_check()
    assert set(w.people("R1").tree()) == {HOUSE[0], HOUSE[1]}


@pytest.mark.parametrize("failing", [None, HOUSE[1]])
def test_a_household_goes_at_once_to_a_board_that_cannot_hold_our_knowledge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: "str | None"
) -> None:
    """D1 has left out so much of R2 that the pass goes in parts."""
    w = world(tmp_path, *HOUSE, "zoe", devices=TWO_DEVICES)
    for k in range(400):
        w.people("R2").put(f"p{k}", **ANN)
        w.people("R2").failing_reads[f"p{k}"] = UNREADABLE
    w.advance()
    w.sync("D1", "R2")
    w.boards["R1"].end.agent.limits = BOARD
    parts: list[int] = []
    begin = RemoteReplica.begin_part
    monkeypatch.setattr(RemoteReplica, "begin_part", lambda *a: (parts.append(len(a[2])), begin(*a))[1])
    before = w.people("R1").shows
    edit_all(w, "D1")
    if failing is not None:
        w.people("R1").failing_writes[failing] = READ_ONLY
    result = w.sync("D1", "R1")
    assert parts[0] == len(HOUSE) and w.people("R1").record("zoe")["phone"] == "new"
    assert together(w, "R1") == {"1" if failing else "new"} and w.people("R1").shows == before + (not failing)
    assert {path for path, _ in result.skipped} == (set(HOUSE) if failing else set())
    w.people("R1").failing_writes.clear()
    w.people("R2").failing_reads.clear()
    w.settle_and_check()
    assert together(w, "R1") == {"new"}


@pytest.mark.parametrize("info", [NO_OPINION, IGNORE, DISCARD, DEVICE_WINS])
def test_an_edit_of_what_was_moved_to_nowhere_is_as_one_of_what_was_deleted(info: str) -> None:
    """The device moved it to something that nobody has: the provider (or the user) decides as about any delete."""
    meta = MemoryMetadata(b"\x01own replica....", 2)
    key = meta.key_of(b"\x02the device.....")
    local = file_item("a", 7)
    local.created = (1, 0)
    meta.put(local)
    meta.tick = 7
    gone = file_item("a", 5, key)
    gone.created = (1, 0)
    gone.die((5, key), Link(item_id("files", "never seen"), (5, key), [((1, 0), b"moved"), ((1, 0), b"")]))
    resolver = Resolver(Overlay(meta), everything({0: 1, key: 4}), "provider", "files", {})
    resolver.answers[local.id] = answer = Answer()
    answer.info = info
    outcome = resolver.resolve(change_of(gone, True), local, last=True)
    if info == NO_OPINION:
        assert outcome.waits
        return
    (new,) = outcome.items
    assert new.dead is (info == DEVICE_WINS)
    assert [lost.side for lost in outcome.lost] == {DEVICE_WINS: ["desktop"]}.get(info, [])
