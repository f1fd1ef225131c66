"""Long work does not hold up whoever calls `poll`: a poll has a bound in operations on the disk, whatever is there."""

# MicroPython heap: 8m, for both halves and their sources; `test_board` has the agent alone, in the heap of a board.

import os

from cradle_device import system
from cradle_device.providers.files import FilesStore
from cradle_device.runner import STEPS
from cradle_protocol.compat import sha256
from cradle_protocol.sync.item import item_id
from cradle_protocol.sync.slices import SPAN, STRIDE
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages import sync as m
from device.counted import Count, Metered
from device.hands import SMALL, Hand, make_agent
from device.place import PLACE

FILES = 200 if STEPS == 1 else 3000
# Operations in one slice: five an object, and what the end of a scan or of a rewrite needs.
SLICE = 5 * STRIDE + 20
BOUND = STEPS * SLICE
LARGE = 1 << 20  # bytes of a large file
# Reads and writes of 512 bytes, the buffer of the store, in a slice of content.
CONTENT_BOUND = STEPS * (2 * SPAN // 512 + 16)


def folder_of(name, count):
    """A new store with so many files in folders of twenty."""
    root = PLACE + "/" + name
    system.make_directory(PLACE)
    store = FilesStore.create(root, b"s" * 16)
    for k in range(count):
        if k % 20 == 0:
            system.make_directory("%s/folder %d" % (root, k // 20))
        write("%s/folder %d/file %d" % (root, k // 20, k), b"content %d" % k)
    return store


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def metered(store, name, count):
    """A hand whose polls are counted."""
    hand = Hand(make_agent(name, store))
    hand.service = Metered(hand.service, count)
    return hand


def test_a_scan_of_many_files():
    with Count() as count:
        hand = metered(folder_of("scan data", FILES), "scan", count)
        assert hand.open().objects == FILES + FILES // 20
        assert count.total > FILES and hand.service.longest < BOUND
        hand.close()
        for k in range(0, FILES, 20):  # moved, deleted, changed
            path = "%s/scan data/folder %d/file " % (PLACE, k // 20)
            os.rename(path + str(k), path + "moved")
            os.remove(path + str(k + 1))
            write(path + str(k + 2), b"changed")
        assert hand.open().objects == FILES
        assert hand.service.longest < BOUND
        hand.agent.close()
        agent = make_agent("scan", hand.agent.replicas["files"].store, False)
        before = count.total
        hand = Hand(agent)
        assert count.total - before < BOUND // STEPS  # the agent has read its log when it was made
        agent.close()


def test_a_rewrite_of_the_log():
    with Count() as count:
        hand = metered(folder_of("log data", FILES), "log", count)
        hand.open()
        hand.close()
        meta = hand.agent.replicas["files"].meta()
        for _ in range(8):
            for item in list(meta.items()):
                meta.put(item)
            meta.commit()
        size = meta._log.end
        assert size > 100 * FILES
        hand.service.longest = 0
        hand.open()
        assert meta._log.end < size // 3 and hand.service.longest < BOUND
        assert hand.agent.replicas["files"].meta() is meta
        hand.agent.close()


def test_a_copy_and_the_hash_of_a_large_file():
    with Count() as count:
        store = folder_of("copy data", 0)
        content = bytes(range(256)) * (LARGE // 256)
        write(store.root + "/large", content)
        hand = metered(store, "copy", count)
        hand.open()
        hand.service.longest = 0
        copy = (item_id("files", "large"), sha256(content).digest(), item_id("files", "copy"), (1, hand.mine))
        reply = hand.joined(c.STASH, m.Stash(hand.channel, [copy]).to_bytes())
        assert m.StashReply.from_bytes(reply).statuses == [0] and store.staged()[0][1] == LARGE
        assert hand.service.longest < CONTENT_BOUND
        [change] = hand.changes()[0]
        reply = hand.joined(c.HASH, m.Hash(hand.channel, [change.oid]).to_bytes())
        assert m.HashReply.from_bytes(reply).hashes[0][2] == sha256(content).digest()
        assert hand.service.longest < CONTENT_BOUND
        hand.close()
        write(store.root + "/large", content[1:] + b"!")
        assert len(hand.open().knowledge) and hand.service.longest < CONTENT_BOUND
        hand.agent.close()


def test_a_rewrite_that_is_dropped_in_the_middle_changes_nothing():
    """The desktop goes, or the user's program ends the agent: the old log is right, and is read again."""
    store = folder_of("drop data", 60)
    agent = make_agent("drop", store, limits=SMALL)
    hand = Hand(agent)
    hand.open()
    hand.close()
    replica = agent.replicas["files"]
    slices = 0
    whole = False
    while not whole:
        meta = replica.meta()
        while not meta._wasteful():
            for item in list(meta.items()):
                meta.put(item)
            meta.commit()
        want = [(item.identity, item.versions, item.stamp) for item in meta.items()]
        work, whole = replica.tidy(), True
        for k, _ in enumerate(work):
            if k == slices:
                work.close()
                whole = False
                break
        slices += 1
        assert [(item.identity, item.versions, item.stamp) for item in replica.meta().items()] == want
        assert whole or not system.exists(replica.meta()._log.path + ".new")
    assert slices > 60 // STRIDE and hand.open().objects == 63
    agent.close()


def test_a_session_that_ends_in_a_scan_lets_the_next_one_in():
    store = folder_of("cut data", 20 * STRIDE)
    agent = make_agent("cut", store)
    first = Hand(agent)
    first.session.request(c.SYNC_OPEN, m.SyncOpen(0, "files", bytes(16), 0).to_bytes())
    first.pipe.to_device += b"".join([bytes(piece) for piece in first.session.data_to_send()])
    for _ in range(2 if STEPS > 1 else 6):
        assert first.service.poll()
    if STEPS == 1:
        assert agent.replicas["files"].holder is first.service.talk
    first.service.close("cut")
    assert agent.replicas["files"].holder is None
    assert Hand(agent).open().scanned == 20 * STRIDE + STRIDE
    agent.close()
