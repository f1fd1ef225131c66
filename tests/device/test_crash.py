"""The agent dies: in a batch, between data and metadata, in the middle of a pass."""

# MicroPython heap: 8m, as `test_agent`

from cradle_device.agent import Agent
from cradle_protocol.sync.item import item_id
from cradle_protocol.sync.knowledge import everything
from cradle_protocol.sync.version import HIGHEST, LOWEST
from device.hands import SMALL, Hand, LittleStore, make_agent


class Dies(Exception):
    """The process ends here."""


def restart(store: LittleStore, name: str) -> "tuple[Agent, Hand]":
    """A new agent on the same state and store, and a session with it."""
    agent = make_agent(name, store, False)
    hand = Hand(agent)
    hand.open()
    return agent, hand


def die_at(store: LittleStore, method: str, call: int) -> None:
    """Let the store's method end the process at its nth call, after it has done its work; later calls are as ever."""
    real = getattr(store, method)
    count = [0]

    def dying(*args):
        result = real(*args)
        count[0] += 1
        if count[0] == call:
            raise Dies
        return result

    setattr(store, method, dying)


def crash(hand: Hand, changes: list, contents: dict) -> None:
    """Send a batch that the agent does not survive; nothing of it is closed properly."""
    died = False
    try:
        hand.send(changes, contents)
    except Dies:
        died = True
    assert died
    end(hand.agent)


def end(agent: Agent) -> None:
    """What the end of a process closes, and nothing more."""
    for replica in agent.replicas.values():
        replica.close()
    agent.partnerships.close()
    agent._lock.close()


def batch(hand: Hand) -> "tuple[list, dict]":
    names = ["x", "y", "dir/z"]
    contents = {name: b"sent " + name.encode() for name in names}
    return [hand.create(name, k + 1, contents[name]) for k, name in enumerate(names)], contents


def test_what_became_visible_is_adopted_and_edits_are_edits() -> None:
    """CE-02, TV-06: no conflict with what we put there; the user's edit meanwhile is an edit of it."""
    for method, call in (("install", 1), ("install", 2), ("install", 3), ("sync", 1), ("sync", 2)):
        adopted(method, call)


def adopted(method: str, call: int) -> None:
    store = LittleStore()
    agent = make_agent("crash", store)
    hand = Hand(agent)
    hand.open()
    changes, contents = batch(hand)
    die_at(store, method, call)
    crash(hand, changes, contents)
    there = [name for name in contents if name in store.objects]
    assert all(store.objects[name][0] == contents[name] for name in there)
    if there:
        store.edit(there[0], b"edited by the user")
    agent, hand = restart(store, "crash")
    meta = agent.replicas["files"].meta()
    sent = {change.identity: change for change in changes}
    for name in there[1:]:
        assert meta.get(item_id("files", name)).versions[0] == sent[name].versions[0]
        assert meta.knowledge.knows(item_id("files", name), meta.get(item_id("files", name)).versions[0])
    again, _ = hand.changes(everything({hand.mine: 3}))
    assert [ch.identity or ch.id for ch in again if not ch.dead and ch.values[0] != b"d"] == [
        ch.identity or ch.id for ch in again if there and ch.id == item_id("files", there[0])
    ]
    made = everything({hand.mine: 3})  # knows nothing of the user's edit: that one is left to the desktop
    failures = hand.send(changes, contents, made)
    assert sorted(failures) == there[:1]
    for name in contents:
        assert store.objects[name][0] == (b"edited by the user" if name in there[:1] else contents[name])
    agent.close()


def test_what_was_lost_under_the_intents_is_sent_again() -> None:
    """CE-03: an empty file where ours was put is no edit."""
    store = LittleStore()
    agent = make_agent("lost", store)
    hand = Hand(agent)
    hand.open()
    changes, contents = batch(hand)
    die_at(store, "sync", 2)
    crash(hand, changes, contents)
    store.edit("x", b"")
    agent, hand = restart(store, "lost")
    assert [ch for ch in hand.changes(everything({hand.mine: 3}))[0] if ch.id == item_id("files", "x")] == []
    assert hand.send(changes, contents) == {} and store.objects["x"][0] == contents["x"]
    agent.close()


def test_an_interrupted_pass_goes_on_at_the_range() -> None:
    """TV-05: learned ranges stay; the next pass brings the rest."""
    store = LittleStore()
    agent = make_agent("ranges", store)
    hand = Hand(agent)
    hand.open()
    changes = sorted([hand.create("i%d" % k, k + 1, b"%d" % k) for k in range(5)], key=lambda ch: ch.id)
    contents = {ch.identity: b"x" + ch.identity[1:].encode() for ch in changes}
    for ch in changes:
        again = hand.create(ch.identity, ch.versions[0][0], contents[ch.identity])
        ch.values = again.values
    made = everything({hand.mine: 5})
    first = changes[:2]
    assert hand.send(first, contents, made, LOWEST, first[-1].id) == {}
    hand.service.close("cut")
    agent.close()
    agent, hand = restart(store, "ranges")
    known = hand.theirs
    lacking = [ch for ch in changes if not known.knows(ch.id, ch.versions[0])]
    assert lacking == changes[2:]
    assert hand.send(lacking, contents, made, lacking[0].id, HIGHEST) == {}
    hand.close()
    hand.open()
    assert hand.theirs.knows(lacking[0].id, (5, hand.mine)) and len(store.objects) == 5
    agent.close()


def test_a_tick_is_never_used_twice() -> None:
    """CE-04: what was sent is durable; the edit after the crash gets a new tick."""
    store = LittleStore()
    store.edit("a", b"1")
    agent = make_agent("ticks", store)
    hand = Hand(agent)
    tick = hand.open().tick
    seen = hand.changes()[0][0].versions[0]
    end(agent)
    store.edit("b", b"2")
    agent, hand = restart(store, "ticks")
    assert hand.opened.tick > tick
    assert [ch.versions[0][0] > seen[0] for ch in hand.changes(everything({0: tick}))[0]] == [True]
    agent.close()


def test_a_cloned_card_becomes_a_new_replica_before_its_first_stamp() -> None:
    """CE-11."""
    store = LittleStore()
    store.edit("a", b"1")
    agent = make_agent("cloned", store, hardware=b"board 1")
    hand = Hand(agent)
    first = hand.open().replica_id
    agent.close()
    agent = make_agent("cloned", store, False, SMALL, hardware=b"board 2")
    hand = Hand(agent)
    second = hand.open()
    assert second.replica_id != first and first in second.replicas and second.tick == 0
    assert hand.changes(everything({second.replicas.index(first): 1}))[0] == []
    agent.close()
