"""The state directory fills up, or a commit fails: what was visible is known for what it is, and no tick comes twice.

CPython only: the disk's quota is a file object.
"""

import io

import pytest

from cradle_device import system
from cradle_device.agent import Agent
from cradle_device.host import HostMetadata
from cradle_device.metadata import LogMetadata
from cradle_protocol.errors import NO_ROOM
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.item import item_id
from device.hands import SMALL, Failed, Hand, LittleStore, make_agent
from device.place import PLACE

pytestmark = pytest.mark.timeout(60)


class Quota(io.FileIO):
    """A file on a disk with `left` bytes."""

    left = 1 << 30

    def write(self, data):
        count = min(len(data), Quota.left)
        if not count:
            raise OSError(28, "No space left on device")
        Quota.left -= count
        return super().write(bytes(data)[:count])


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> "type[Quota]":
    real = system.open_private

    def open_private(path: str) -> Quota:
        real(path).close()
        return Quota(path, "r+b")

    monkeypatch.setattr(system, "open_private", open_private)
    Quota.left = 1 << 30
    return Quota


def second_sync(store: LittleStore, act) -> None:
    """Have `act` called at the store's second flush from now: a batch is visible then and not yet committed."""
    real, count = store.sync, [0]

    def sync() -> None:
        count[0] += 1
        if count[0] == 2:
            act()
        real()

    store.sync = sync


def test_a_commit_that_fails_at_any_byte_is_settled_later(disk: "type[Quota]") -> None:
    for log in (LogMetadata, HostMetadata):
        for left in (0, 1, 30, 100, 200, 300):
            check_a_failing_commit(disk, left, log)


def check_a_failing_commit(disk: "type[Quota]", left: int, log: "type[LogMetadata]") -> None:
    store = LittleStore()
    agent = make_agent("full", store, log=log)
    hand = Hand(agent)
    hand.open()
    second_sync(store, lambda: setattr(disk, "left", left))
    names = ["f%d" % k for k in range(8)]
    with pytest.raises(Failed) as error:
        hand.send([hand.create(name, k + 1, b"x") for k, name in enumerate(names)], dict.fromkeys(names, b"x"))
    assert error.value.status == NO_ROOM and sorted(store.objects) == names
    with pytest.raises(Failed) as error:
        hand.changes()
    assert error.value.status == NO_ROOM  # not half of a batch, but nothing
    disk.left = 1 << 30
    store.edit("mine", b"edit 1")
    hand.close()
    hand.open()
    want = {ch.identity: ch.versions for ch in hand.changes()[0]}
    assert [want[name][0] for name in names] == [(k + 1, hand.mine) for k in range(8)] and want["mine"][0][1] == 0
    agent.close()
    agent = Agent(PLACE + "/full", [store], "board", SMALL, log=log)
    store.edit("other", b"edit 2")
    hand = Hand(agent)
    hand.open()
    found = {ch.identity: ch.versions for ch in hand.changes()[0]}
    assert found.pop("other")[0] > want["mine"][0] and found == want
    agent.close()


def test_a_broken_batch_is_settled_before_the_next_one_is_committed() -> None:
    """CE-02: its intents must not go with the commit of another batch, or our own write passes for a local edit."""

    def fail() -> None:
        raise StoreError(NO_ROOM)

    store = LittleStore()
    agent = make_agent("broken", store)
    hand = Hand(agent)
    hand.open()
    second_sync(store, fail)
    with pytest.raises(Failed):
        hand.send([hand.create("x", 1, b"x")], {"x": b"x"})
    assert "x" in store.objects
    assert hand.send([hand.create("y", 2, b"y")], {"y": b"y"}) == {}
    hand.close()
    hand.open()
    assert agent.replicas["files"].meta().get(item_id("files", "x")).versions[0] == (1, hand.mine)
    agent.close()
