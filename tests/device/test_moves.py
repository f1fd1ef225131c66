"""MOVE: one rename, from which the records of all that lies in it follow; whole or refused, whatever ends it."""

# MicroPython heap: 8m, as `test_agent`

from cradle_device import renames
from cradle_protocol.compat import sha256
from cradle_protocol.errors import (
    BAD_MESSAGE,
    BAD_NAME,
    CHANGED,
    LIMIT,
    MISMATCH,
    MISSING_SOURCE,
    NOT_ALLOWED,
    OK,
    STALE,
)
from cradle_protocol.sync.item import Link, item_id
from cradle_protocol.sync.knowledge import everything
from cradle_protocol.sync.moved import PROOF_SIZE, prove
from cradle_protocol.sync.values import file_value
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages import sync as m
from device.hands import Failed, Hand, LittleStore, make_agent
from device.test_crash import Dies, die_at, end, restart

FILES = {"d/a": b"first", "d/sub/b": b"second", "d/sub/c": b"third", "other": b"other"}
TICK = 9  # of the move, at the desktop


def filled(name):
    """(store, agent, hand): an agent in a session that has a folder of its own; nothing of it has changed since."""
    store = LittleStore()
    for path, mode in (("d", 0o755), ("d/sub", 0o755)):
        store.edit(path, None, mode)
    for path, data in FILES.items():
        store.edit(path, data)
    agent = make_agent(name, store)
    hand = Hand(agent)
    hand.open()
    oids = [item.oid for item in meta_of(agent).items()]
    hand.joined(c.HASH, m.Hash(hand.channel, oids).to_bytes())  # as it is for what a desktop has fetched or sent
    hand.begin_pass(made(hand))
    return store, agent, hand


def made(hand):
    """What the desktop makes its changes with: all that the device had when it was opened, and its own move."""
    return everything({hand.mine: TICK, 0: hand.opened.tick})


def meta_of(agent):
    return agent.replicas["files"].meta()


def proof(meta, path):
    hasher = sha256()
    for item in meta.items():
        if not item.dead and (item.identity + "/").startswith(path + "/"):
            prove(hasher, item.id, item.created, item.versions)
    return hasher.digest()[:PROOF_SIZE]


def ask(hand, moved, tick=TICK):
    """The statuses of [(path, target, proof)]."""
    rows = [(item_id("files", path), told, (tick, hand.mine), target) for path, target, told in moved]
    return m.MoveReply.from_bytes(hand.joined(c.MOVE, m.Move(hand.channel, rows).to_bytes())).statuses


def move(hand, path, target):
    return ask(hand, [(path, target, proof(meta_of(hand.agent), path))])[0]


def check_moved(store, agent, mine, old, before):
    """Everything below `old` is below `new`, with the records that follow from the move, which are known here."""
    meta = meta_of(agent)
    version = TICK, mine
    for item in before:
        there = item_id("files", "new" + item.identity[len(old) :])
        gone, new = meta.get(item.id), meta.get(there)
        assert gone.dead and gone.versions == [version, version] and gone.created == item.created
        base = [(item.versions[u], item.values[u]) for u in range(2)]
        assert gone.link == Link(there, version, base)
        assert (new.dead, new.created, new.versions, new.values) == (False, version, [version, version], item.values)
        assert new.link == Link(item.id, item.created, []) and new.stamp == store.stamp(new.identity)
        for i in (item.id, there):
            assert meta.knowledge.knows(i, version)


def below(agent, path):
    return [one for one in meta_of(agent).items() if not one.dead and (one.identity + "/").startswith(path + "/")]


def test_a_folder_goes_with_all_that_is_in_it_in_one_step():
    store, agent, hand = filled("moves-move")
    before = below(agent, "d")
    store.counts = {}
    assert move(hand, "d", "new") == OK
    assert store.counts == {"move": 1}
    check_moved(store, agent, hand.mine, "d", before)
    assert sorted(store.objects) == ["new", "new/a", "new/sub", "new/sub/b", "new/sub/c", "other"]
    hand.close()
    agent.close()
    agent, hand = restart(store, "moves-move")
    assert hand.opened.scanned == 6 and hand.changes(everything({hand.mine: TICK, 0: hand.opened.tick}))[0] == []
    agent.close()


def test_files_go_one_by_one_and_parents_are_made_for_them():
    store, agent, hand = filled("moves-files")
    meta = meta_of(agent)
    told = [(path, "far/away/" + path, proof(meta, path)) for path in ("d/a", "other")]
    assert ask(hand, told) == [OK, OK]
    assert store.objects["far/away/d/a"][0] == b"first" and "other" not in store.objects
    assert sorted([item.identity for item in meta.implied()]) == ["far", "far/away", "far/away/d"]
    agent.close()


def test_what_is_asked_again_is_refused():
    """That the folder went by this change does not say that all went which was in it: it may have come as changes."""
    store, agent, hand = filled("moves-again")
    told = [("d", "new", proof(meta_of(agent), "d"))]
    assert ask(hand, told) == [OK]
    hand.close()
    agent.close()
    agent, hand = restart(store, "moves-again")
    hand.begin_pass(made(hand))
    store.counts = {}
    assert ask(hand, told) == ask(hand, told, TICK + 1) == [MISSING_SOURCE]
    assert store.counts == {}
    agent.close()


def test_nothing_moves_into_itself():
    store, agent, hand = filled("moves-into-itself")
    objects = dict(store.objects)
    assert [move(hand, "d", target) for target in ("d/d", "d/sub/x/y")] == [BAD_NAME] * 2
    assert store.objects == objects and move(hand, "d", "d2") == OK
    agent.close()


def test_what_is_not_as_it_should_be_is_refused_and_nothing_is_done():
    for change, status in (
        (lambda store: store.edit("d/sub/b", b"edited"), CHANGED),
        (lambda store: store.objects.pop("d/sub/b"), CHANGED),
        (lambda store: store.edit("new", b"taken"), CHANGED),
        (lambda store: store.failing.update({"new": BAD_NAME}), BAD_NAME),
    ):
        store, agent, hand = filled("moves-refused")
        meta, told = meta_of(agent), proof(meta_of(agent), "d")
        change(store)
        objects, items = dict(store.objects), [repr(item) for item in meta.items()]
        assert ask(hand, [("d", "new", told)]) == [status]
        assert store.objects == objects and [repr(item) for item in meta_of(agent).items()] == items
        agent.close()


def test_one_that_fails_at_the_disk_does_not_end_the_others():
    store, agent, hand = filled("moves-others")
    meta = meta_of(agent)
    store.edit("taken", b"since the scan")
    told = [(path, target, proof(meta, path)) for path, target in (("d/sub", "taken"), ("d/a", "a"), ("other", "b"))]
    assert ask(hand, told) == [CHANGED, OK, OK]
    assert sorted(store.objects) == ["a", "b", "d", "d/sub", "d/sub/b", "d/sub/c", "taken"]
    assert not meta_of(agent).pending()
    agent.close()


def test_another_proof_or_an_unknown_source_is_refused():
    store, agent, hand = filled("moves-proof")
    told = proof(meta_of(agent), "d")
    objects = dict(store.objects)
    assert ask(hand, [("d", "new", b"x" * 16), ("none", "new", told), ("d/sub", "new", told)]) == [
        MISMATCH,
        MISSING_SOURCE,
        MISMATCH,
    ]
    assert store.objects == objects
    agent.close()


def test_a_target_that_lives_or_of_which_the_desktop_does_not_know_is_refused():
    store, agent, hand = filled("moves-target")
    assert move(hand, "d", "other") == STALE
    del store.objects["other"]
    hand.close()
    hand.open()
    knew = hand.opened.tick - 1  # not of the delete
    hand.begin_pass(everything({hand.mine: TICK, 0: knew}))
    assert move(hand, "d", "other") == STALE
    hand.begin_pass(made(hand))
    assert move(hand, "d", "other") == OK
    agent.close()


def test_a_name_that_is_too_long_below_is_refused():
    store, agent, hand = filled("moves-long")
    store.path_max = 12
    assert move(hand, "d", "more/than/12") == BAD_NAME and "d/a" in store.objects
    agent.close()


def test_more_than_there_is_room_for_is_refused():
    store, agent, hand = filled("moves-limit")
    most, renames._MOST = renames._MOST, 4
    try:
        assert move(hand, "d", "new") == LIMIT
    finally:
        renames._MOST = most
    limit = meta_of(agent).knowledge.limit
    meta_of(agent).knowledge.limit = 9
    assert move(hand, "d", "new") == LIMIT and "d/a" in store.objects
    meta_of(agent).knowledge.limit = limit
    assert move(hand, "d", "new") == OK
    agent.close()


def test_what_is_there_by_name_only_does_not_move():
    store, agent, hand = filled("moves-ghost")
    data = b"far away"
    ghost = hand.create("d/ghost", 3, data)
    ghost.ghost, ghost.values = True, [file_value(len(data), sha256(data).digest()), ghost.values[1]]
    assert hand.send([ghost], {}, everything({hand.mine: 3, 0: hand.opened.tick})) == {}
    hand.begin_pass(made(hand))
    assert move(hand, "d", "new") == MISMATCH and "d/a" in store.objects
    agent.close()


def test_a_move_out_of_order_is_named():
    _store, agent, hand = filled("moves-order")
    hand.close()
    hand.open()
    for hand_opened, status in ((False, BAD_MESSAGE), (True, NOT_ALLOWED)):
        if hand_opened:
            hand.close()
            hand.open(True)
        try:
            ask(hand, [("d", "new", b"x" * 16)])
            raise AssertionError("it was taken")
        except Failed as failed:
            assert failed.status == status, failed.text
    agent.close()


def test_a_version_with_an_unknown_key_is_named():
    _store, agent, hand = filled("moves-key")
    hand.mine += 5
    try:
        ask(hand, [("d", "new", b"x" * 16)])
        raise AssertionError("it was taken")
    except Failed as failed:
        assert failed.status == BAD_MESSAGE
    agent.close()


def test_whatever_ends_it_the_next_session_has_all_of_it_or_nothing():
    """CE-02: killed after the rename, before its metadata: adopted, and nothing is an edit of its user."""
    for method, call in (("move", 1), ("sync", 1)):
        store, agent, hand = filled("moves-killed")
        before, told = below(agent, "d"), proof(meta_of(agent), "d")
        die_at(store, method, call)
        try:
            ask(hand, [("d", "new", told)])
            raise AssertionError("it survived")
        except Dies:
            end(agent)
        agent, hand = restart(store, "moves-killed")
        check_moved(store, agent, hand.mine, "d", before)
        assert hand.changes(everything({hand.mine: TICK, 0: hand.opened.tick}))[0] == []
        agent.close()


def test_killed_before_the_rename_nothing_has_moved():
    store, agent, hand = filled("moves-before")
    told = proof(meta_of(agent), "d")
    real = store.move

    def dying(identity, expected, target):
        raise Dies

    store.move = dying
    try:
        ask(hand, [("d", "new", told)])
        raise AssertionError("it survived")
    except Dies:
        end(agent)
    store.move = real
    agent, hand = restart(store, "moves-before")
    assert proof(meta_of(agent), "d") == told and hand.opened.tick == meta_of(agent).tick
    hand.begin_pass(made(hand))
    assert ask(hand, [("d", "new", told)]) == [OK] and "new/a" in store.objects
    agent.close()


def test_a_link_that_ends_in_the_middle_leaves_all_of_it_or_nothing():
    steps = 1
    outcomes = set()
    while steps:
        store, agent, hand = filled("moves-cut")
        told = proof(meta_of(agent), "d")
        body = m.Move(hand.channel, [(item_id("files", "d"), told, (TICK, hand.mine), "new")]).to_bytes()
        hand.session.request(c.MOVE, body, False, 0)
        for piece in hand.session.data_to_send():
            hand.pipe.to_device += bytes(piece)
        count = 0
        while count < steps and hand.service.poll():
            count += 1
        ended = count < steps
        hand.service.close("cut")
        agent.close()
        agent, hand = restart(store, "moves-cut")
        whole = "new/a" in store.objects
        outcomes.add(whole)
        assert sorted(store.objects) == (
            ["new", "new/a", "new/sub", "new/sub/b", "new/sub/c", "other"]
            if whole
            else ["d", "d/a", "d/sub", "d/sub/b", "d/sub/c", "other"]
        )
        known = everything({hand.mine: TICK, 0: hand.opened.tick})
        assert hand.changes(known)[0] == [] and hand.opened.tick == 6
        agent.close()
        steps = 0 if ended else steps + 1
    assert outcomes == {True, False}
