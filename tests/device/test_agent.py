"""The agent as a desktop meets it: sessions, scans, changes, contents, batches."""

# MicroPython heap: 8m, for both halves and their sources; `test_board` has the agent alone, in the heap of a board.

from cradle_protocol.errors import BAD_MESSAGE, CHANGED, LIMIT, MISMATCH, NO_ROOM, NO_STORE, NO_TYPE, NOT_ALLOWED, STALE
from cradle_protocol.sync.item import item_id
from cradle_protocol.sync.knowledge import Knowledge, everything
from cradle_protocol.sync.values import digest_of, is_lazy
from cradle_protocol.sync.version import HIGHEST, LOWEST
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import events
from cradle_protocol.wire.messages import records
from cradle_protocol.wire.messages import sync as m
from device.hands import DESKTOP, REPLICA, Failed, Hand, LittleStore, make_agent, store_digest

BIG = bytes(range(256)) * 40


def filled(count=3):
    store = LittleStore()
    store.edit("dir", None, 0o755)
    for k in range(count):
        store.edit("dir/f%d" % k, b"content %d" % k)
    store.edit("big", BIG)
    store.edit("empty", b"")
    return store


def status_of(function, *args):
    try:
        function(*args)
    except Failed as error:
        return error.status
    raise AssertionError("it did not fail")


def test_first_contact_pairs_and_proves_and_tells_the_types():
    store = filled()
    agent = make_agent("contact", store)
    hand = Hand(agent, key=None)
    hand.session.prove(b"x" * 32)
    hand.run()
    assert hand.events[-1][0] == events.REFUSED and agent.partners() == []
    hand.service.close("done")
    hand = Hand(agent)
    assert agent.partners() == [(DESKTOP.id, "desk")]
    assert hand.session.peer.types == [("files", b"S" * 16, agent.replicas["files"].meta().replicas[0], 0)]
    assert agent.replicas["files"].meta().replicas[0][0] & 1 == 0
    agent.close()


def test_everything_arrives_byte_by_byte_too():
    for step in (0, 1):
        store = filled()
        agent = make_agent("arrive", store)
        hand = Hand(agent, step)
        opened = hand.open()
        assert opened.objects == len(store.objects) == opened.scanned and opened.skipped == []
        changes, end = hand.changes()
        assert end.complete == 1 and sorted([ch.identity for ch in changes]) == sorted(store.objects)
        assert [ch.id for ch in changes] == sorted([ch.id for ch in changes])
        files = [ch for ch in changes if is_lazy(ch.values[0])]
        got = hand.fetch([(ch.oid, ch.versions[0], 0) for ch in files])
        for ch in files:
            assert got[ch.oid] == (store.objects[ch.identity][0], store.digest(ch.identity)), ch.identity
        hand.close()
        meta = agent.replicas["files"].meta()
        assert digest_of(meta.get(item_id("files", "big")).values[0]) == store.digest("big")
        agent.close()


def test_changes_come_by_credit_and_only_what_is_lacking():
    store = filled(20)
    agent = make_agent("credit", store)
    hand = Hand(agent)
    hand.open()
    found, start, rounds = [], LOWEST, 0
    while True:
        part, end = hand.changes(None, 300, start)
        found += part
        rounds += 1
        if end.complete:
            break
        start = end.next
    assert len(found) == len(store.objects) and rounds >= 3
    assert hand.changes(hand.theirs)[0] == []
    store.edit("dir/f1", b"other")
    hand.close()
    known = hand.theirs
    hand.open()
    changes, _ = hand.changes(known)
    assert [ch.id for ch in changes] == [item_id("files", "dir/f1")] and changes[0].identity is None
    agent.close()


def test_fetch_resumes_and_says_what_changed():
    store = filled()
    agent = make_agent("fetch", store)
    hand = Hand(agent)
    hand.open()
    by_name = {ch.identity: ch for ch in hand.changes()[0]}
    big, small, gone = by_name["big"], by_name["dir/f0"], by_name["dir/f1"]
    store.objects["dir/f0"][2] = 999  # touched since the scan
    del store.objects["dir/f1"]
    wanted = [(big.oid, big.versions[0], 5000), (small.oid, small.versions[0], 0), (gone.oid, gone.versions[0], 0)]
    got = hand.fetch(wanted + [(big.oid + 99, (1, 0), 0)])
    assert got[big.oid] == (BIG[5000:], store.digest("big"))
    assert got[small.oid] == CHANGED and got[gone.oid] != OK_NEVER and got[big.oid + 99] == CHANGED
    again = hand.fetch([(big.oid, big.versions[0], 9000)])  # its hash is known now
    assert again[big.oid] == (BIG[9000:], store.digest("big"))
    assert hand.fetch([(big.oid, (77, 0), 0)])[big.oid] == CHANGED
    agent.close()


OK_NEVER = 0


def test_hash_answers_for_each():
    store = filled()
    agent = make_agent("hash", store)
    hand = Hand(agent)
    hand.open()
    by_name = {ch.identity: ch for ch in hand.changes()[0]}
    oids = [by_name[name].oid for name in ("big", "dir", "empty")]
    reply = m.HashReply.from_bytes(hand.joined(c.HASH, m.Hash(hand.channel, oids).to_bytes()))
    assert reply.hashes[0] == (oids[0], 0, store.digest("big")) and reply.hashes[1][1] == CHANGED
    assert reply.hashes[2] == (oids[2], 0, store.digest("empty"))
    agent.close()


def test_ages_by_the_devices_own_clock():
    store = filled()
    agent = make_agent("ages", store)
    hand = Hand(agent)
    hand.open()
    by_name = {ch.identity: ch for ch in hand.changes()[0]}
    store.age = lambda stamp: 3600 if stamp == store.stamp("big") else -1
    oids = [by_name["empty"].oid, by_name["big"].oid, 0xFFFFFF]
    reply = m.AgesReply.from_bytes(hand.joined(c.AGES, m.Ages(hand.channel, oids).to_bytes()))
    assert reply.ages == [c.AGE_UNKNOWN, 3600, c.AGE_UNKNOWN]
    agent.close()


def test_a_batch_becomes_visible_and_known():
    store = LittleStore()
    agent = make_agent("apply", store)
    hand = Hand(agent)
    hand.open()
    changes = [
        hand.create("a/b/c.txt", 1, b"deep"), hand.create("a", 2), hand.create("big", 3, BIG),
        hand.create("empty", 4, b""),
    ]  # fmt: skip
    assert hand.send(changes, {"a/b/c.txt": b"deep", "big": BIG, "empty": b""}) == {}
    assert store.objects["a/b/c.txt"][0] == b"deep" and store.objects["big"][0] == BIG
    assert store.objects["empty"][0] == b"" and store.stages == {}
    meta = agent.replicas["files"].meta()
    assert meta.get(item_id("files", "a/b")).phantom() and not meta.get(item_id("files", "a")).dead
    assert meta.knowledge.knows(HIGHEST, (4, hand.mine)) and meta.pending() == []
    hand.close()
    opened = hand.open()
    assert opened.tick == 0 and hand.changes(hand.theirs)[0] == []  # nothing echoes
    deletes = [hand.delete("a/b/c.txt", 5, (1, hand.mine)), hand.delete("a", 6, (2, hand.mine))]
    assert hand.send(deletes, {}) == {}
    assert sorted(store.objects) == ["big", "empty"]
    assert meta.get(item_id("files", "a/b")) is None
    agent.close()


def test_a_tombstone_before_its_children_leaves_an_implied_directory():
    store = LittleStore()
    agent = make_agent("implied", store)
    hand = Hand(agent)
    hand.open()
    hand.send([hand.create("d", 1), hand.create("d/x", 2, b"x")], {"d/x": b"x"})
    assert hand.send([hand.delete("d", 3, (1, hand.mine))], {}) == {}
    assert sorted(store.objects) == ["d", "d/x"]
    hand.close()
    assert hand.open().tick == 0
    assert hand.send([hand.delete("d/x", 4, (2, hand.mine))], {}) == {}
    assert store.objects == {}
    agent.close()


def test_file_and_directory_change_places():
    store = LittleStore()
    agent = make_agent("places", store)
    hand = Hand(agent)
    hand.open()
    hand.send(
        [hand.create("x", 1, b"file"), hand.create("y", 2), hand.create("y/z", 3, b"z")], {"x": b"file", "y/z": b"z"}
    )
    x, y = hand.create("x", 4), hand.create("y", 5, b"now a file")
    x.created, y.created = (1, hand.mine), (2, hand.mine)
    more = [x, y, hand.create("x/in", 6, b"in"), hand.delete("y/z", 7, (3, hand.mine))]
    assert hand.send(more, {"y": b"now a file", "x/in": b"in"}) == {}
    assert {path: found[0] for path, found in store.objects.items()} == {"x": None, "x/in": b"in", "y": b"now a file"}
    agent.close()


def test_what_cannot_be_taken_waits_and_the_rest_is_done():
    """TV-07: a failing item is an exception; the next pass brings it and the exception goes."""
    store = filled()
    agent = make_agent("waits", store)
    hand = Hand(agent)
    hand.open()
    store.edit("dir/f0", b"edited after the scan")
    old = hand.changes()[0]
    edited = next(ch for ch in old if ch.identity == "dir/f0")
    mine = hand.create("dir/f0", 5, b"mine")
    mine.created = edited.created
    fine, bad, full = hand.create("fine", 6, b"1"), hand.create("bad", 7, b"2"), hand.create("full", 8, b"3")
    store.failing["bad"] = 18
    contents = {"dir/f0": b"mine", "fine": b"1", "bad": b"2"}
    bad_digest = hand.create("wrong", 9, b"right")
    contents["wrong"] = b"wrong"
    failures = hand.send([mine, fine, bad, bad_digest], contents)
    assert failures == {"dir/f0": STALE, "bad": 18, "wrong": MISMATCH}
    assert store.objects["fine"][0] == b"1" and store.objects["dir/f0"][0] == b"edited after the scan"
    meta = agent.replicas["files"].meta()
    assert not meta.knowledge.knows(bad.id, (7, hand.mine)) and meta.knowledge.knows(fine.id, (6, hand.mine))
    full.versions = [(10, hand.mine)] * 2
    store.free = 0
    assert hand.send([full], {"full": b"3"}, None, full.id, full.id) == {"full": NO_ROOM}
    store.free = 1 << 20
    del store.failing["bad"]
    assert hand.send([bad], {"bad": b"2"}, None, bad.id, bad.id) == {}
    assert meta.knowledge.knows(bad.id, (7, hand.mine)) and store.stages == {}
    agent.close()


def test_a_conflict_is_left_to_the_desktop():
    store = filled()
    agent = make_agent("conflict", store)
    hand = Hand(agent)
    hand.open()
    theirs = hand.create("dir/f0", 5, b"other")
    made = everything({hand.mine: 1000})  # knows nothing of the device's own
    assert hand.send([theirs], {"dir/f0": b"other"}, made) == {"dir/f0": STALE}
    assert store.objects["dir/f0"][0] == b"content 0"
    equal = hand.create("big", 6, BIG)
    hand.joined(c.HASH, m.Hash(hand.channel, [agent.replicas["files"].meta().get(equal.id).oid]).to_bytes())
    assert hand.send([equal], {}, made) == {}  # equal content is no conflict and does not travel
    agent.close()


def test_a_cut_batch_resumes_at_the_byte():
    store = LittleStore()
    agent = make_agent("resume", store)
    hand = Hand(agent)
    hand.open()
    big = hand.create("big", 1, BIG)
    made = everything({hand.mine: 1000})
    hand.begin_pass(made)
    body = records.encode_begin(LOWEST, HIGHEST, True) + records.encode_apply_change(big, c.CONTENT_FOLLOWS)
    request = hand.session.request(c.APPLY, body + records.data_head(0, 0, 1000) + BIG[:1000], True)
    hand.run()
    hand.session.request(c.APPLY, records.data_head(0, 0, 800) + BIG[1000:1800], True, request)
    hand.run()
    hand.service.close("cut")
    hand = Hand(agent)
    opened = hand.open()
    assert opened.staged == [(big.id, (1, hand.mine), 1800)] and store.objects == {}
    hand.begin_pass(made)
    parts = [records.encode_begin(LOWEST, HIGHEST, True) + records.encode_apply_change(big, c.CONTENT_RESUME, 1800)]
    for at in range(1800, len(BIG), 1500):
        parts.append(records.data_head(0, 0, len(BIG[at : at + 1500])) + BIG[at : at + 1500])
    last = records.data_head(0, c.END, 0) + store_digest(BIG) + records.COMMIT_ELEMENT
    reply = hand.ask(c.APPLY, last, parts)
    assert m.ApplyReply.from_bytes(reply[0][1]) == m.ApplyReply(1, [])
    assert store.objects["big"][0] == BIG and store.stages == {}
    agent.close()


def test_equal_content_is_copied_not_sent():
    store = filled()
    agent = make_agent("stash", store)
    hand = Hand(agent)
    hand.open()
    moved = hand.create("moved", 3, BIG)
    copies = [(item_id("files", "big"), store.digest("big"), moved.id, (3, hand.mine)),
              (item_id("files", "dir/f0"), b"x" * 32, moved.id, (4, hand.mine))]  # fmt: skip
    reply = hand.joined(c.STASH, m.Stash(hand.channel, copies).to_bytes())
    statuses = m.StashReply.from_bytes(reply).statuses
    assert statuses[0] == 0 and statuses[1] != 0
    hand.begin_pass(everything({hand.mine: 1000, 0: 100}))
    body = records.encode_begin(LOWEST, HIGHEST, True) + records.encode_apply_change(moved, c.CONTENT_STAGED)
    answer = hand.joined(c.APPLY, body + records.COMMIT_ELEMENT)
    assert m.ApplyReply.from_bytes(answer).failures == [] and store.objects["moved"][0] == BIG
    agent.close()


def test_a_preview_changes_nothing():
    """CE-27."""
    store = filled()
    agent = make_agent("preview", store)
    hand = Hand(agent)
    opened = hand.open(True)
    meta = agent.replicas["files"].meta()
    before = meta.tick, meta.live(), store.objects.copy()
    changes, _ = hand.changes()
    assert opened.objects == len(store.objects) == len(changes)
    files = [ch for ch in changes if is_lazy(ch.values[0])]
    got = hand.fetch([(ch.oid, ch.versions[0], 0) for ch in files])
    assert len(got) == len(files)
    hand.joined(c.HASH, m.Hash(hand.channel, [files[0].oid]).to_bytes())
    for kind, body in (
        (c.PASS, m.Pass(hand.channel, 0, Knowledge().to_bytes(), Knowledge().to_bytes())),
        (c.REPLICAS, m.Replicas(hand.channel, [REPLICA])),
        (c.STASH, m.Stash(hand.channel, [])),
    ):
        assert status_of(hand.ask, kind, body.to_bytes()) == NOT_ALLOWED
    hand.close()
    assert (meta.tick, meta.live(), store.objects) == before == (0, 0, store.objects)
    agent.close()


def test_wrong_order_is_named_and_the_session_goes_on():
    store = filled()
    agent = make_agent("order", store)
    hand = Hand(agent)
    begin = records.encode_begin(LOWEST, HIGHEST, True)
    assert status_of(hand.ask, c.APPLY, begin + records.COMMIT_ELEMENT) == BAD_MESSAGE
    assert status_of(hand.ask, c.CHANGES, m.Changes(9, 1, LOWEST, Knowledge().to_bytes()).to_bytes()) == BAD_MESSAGE
    assert status_of(hand.ask, c.SYNC_OPEN, m.SyncOpen(0, "stamps", REPLICA, 0).to_bytes()) == NO_TYPE
    assert status_of(hand.ask, c.FETCH, b"\xff\xff") == BAD_MESSAGE
    hand.open()
    made = everything({hand.mine: 1000})
    hand.begin_pass(made)
    change = hand.create("n", 1, b"n")
    stranger = hand.create("n", 1, b"n")
    stranger.versions = [(1, 99), (1, 99)]
    data = records.data_head(0, c.END, 1) + b"n" + store_digest(b"n")
    one = records.encode_apply_change(change, c.CONTENT_FOLLOWS)
    for body in (
        records.COMMIT_ELEMENT,
        begin + begin,
        begin + one,
        begin + one + one,
        begin + data,
        begin + one + records.COMMIT_ELEMENT,
        begin + records.encode_apply_change(stranger, c.CONTENT_FOLLOWS) + data + records.COMMIT_ELEMENT,
        records.encode_begin(HIGHEST, HIGHEST, True) + one + data + records.COMMIT_ELEMENT,
        begin + b"\x09",
    ):
        assert status_of(hand.ask, c.APPLY, body) == BAD_MESSAGE, body
    many = [hand.create("m%d" % k, k + 1) for k in range(17)]
    assert status_of(hand.send, many, {}) == LIMIT
    assert "n" not in store.objects
    assert hand.send([change], {"n": b"n"}, made) == {} and store.objects["n"][0] == b"n"
    store.missing = True
    hand.close()
    assert status_of(hand.open) == NO_STORE
    agent.close()


def test_one_session_at_a_time():
    agent = make_agent("single", filled())
    first = Hand(agent)
    second = Hand(agent, key=None)
    assert first.service.closed or second.service.closed or second.session.peer is not None
    if not second.service.closed:
        second.session.prove(b"k" * 32)
        second.run()
        assert second.events[-1][0] == events.REFUSED
    first.open()
    first.service.close("done")
    Hand(agent).open()
    agent.close()
