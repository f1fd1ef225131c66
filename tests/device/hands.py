"""A desktop's hand for the tests of the agent, and a small store in memory. Both run on both interpreters."""

from cradle_device import system
from cradle_device.agent import Agent, Limits
from cradle_protocol.compat import sha256
from cradle_protocol.errors import CHANGED, NO_PARENT, NO_ROOM, NO_STORE, UNREADABLE
from cradle_protocol.provider.store import ObjectStore, Reader, StoreError, Writer
from cradle_protocol.sync.change import Change
from cradle_protocol.sync.item import Link, item_id
from cradle_protocol.sync.knowledge import Knowledge, everything
from cradle_protocol.sync.values import DIRECTORY, file_value
from cradle_protocol.sync.version import HIGHEST, LOWEST
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import events
from cradle_protocol.wire.desktop_session import DesktopSession
from cradle_protocol.wire.handshake import Identity
from cradle_protocol.wire.messages import records
from cradle_protocol.wire.messages import sync as m
from device.place import PLACE

KEY = b"k" * 32
DESKTOP = Identity(b"D" * 16, "desk")
REPLICA = b"\x01" + b"d" * 15
SMALL = Limits(2048, 4, 16, 65536, 2048, 8192, 64)
MODE = b"\x01\xa4"


class LittleStore(ObjectStore):
    """Files and directories in a dict {path: [content or None, mode, stamp number]}; `failing` {path: status}.

    counts: {act: how often it was done}
    """

    renames = True

    def __init__(self):
        self.counts = {}
        self.objects, self.stages, self.failing = {}, {}, {}
        self.skipped = []
        self.count = 0
        self.missing = False
        self.free = 1 << 30
        self.syncs = 0
        self.durable = {}

    def edit(self, path, content, mode=0o644):
        """What a user does; None makes a directory."""
        self.count += 1
        self.objects[path] = [content, mode, self.count]

    def store_id(self):
        if self.missing:
            raise StoreError(NO_STORE)
        return b"S" * 16

    def items(self):
        self.store_id()
        for path in sorted(self.objects):
            yield path, self.stamp(path)

    def stamp(self, identity):
        if identity in self.failing:
            raise StoreError(self.failing[identity])
        found = self.objects.get(identity)
        if found is None:
            return None
        content, mode, number = found
        head = b"d" if content is None else b"f" + len(content).to_bytes(6, "big")
        return head + mode.to_bytes(2, "big") + (b"" if content is None else number.to_bytes(4, "big"))

    def values(self, stamp):
        if stamp[:1] == b"d":
            return [DIRECTORY, stamp[1:3]]
        return [file_value(int.from_bytes(stamp[1:7], "big")), stamp[7:9]]

    def holds(self, unit):
        return True

    def racy(self, stamp):
        return False

    def object_key(self, stamp):
        return stamp

    def digest(self, identity):
        return sha256(self.content(identity)).digest()

    def content(self, identity):
        if identity in self.failing:
            raise StoreError(self.failing[identity])
        if identity not in self.objects:
            raise StoreError(UNREADABLE)
        return self.objects[identity][0]

    def open(self, identity, offset=0):
        return LittleReader(self.content(identity)[offset:])

    def room(self):
        return self.free

    def stage(self, name, append=False):
        if not append:
            self.stages[name] = b""
        return LittleWriter(self, name)

    def stage_copy(self, identity, name):
        self._count("copy")
        self.stages[name] = self.content(identity)

    def staged(self):
        return [(name, len(data)) for name, data in self.stages.items()]

    def staged_digest(self, name):
        if name not in self.stages:
            raise StoreError(UNREADABLE)
        return sha256(self.stages[name]).digest()

    def open_staged(self, name):
        if name not in self.stages:
            raise StoreError(UNREADABLE)
        return LittleReader(self.stages[name])

    def unstage(self, name):
        self.stages.pop(name, None)

    def install(self, identity, staged, values, expected, content=True):
        self._count("install")
        if identity in self.failing:
            raise StoreError(self.failing[identity])
        now = self.stamp(identity)
        folder = values[0] == DIRECTORY
        if now != expected and not (folder and expected is None and now[:1] == b"d"):
            raise StoreError(CHANGED)
        for path in self.parents(identity):
            if path in self.objects and self.objects[path][0] is not None:
                raise StoreError(NO_PARENT)
        if not folder and self.children(identity):
            raise StoreError(CHANGED)
        for path in self.missing_parents(identity):
            self.edit(path, None, 0o755)
        mode = int.from_bytes(values[1], "big") if values[1] else 0o644
        data = None if folder else self.stages.pop(staged) if content else self.objects[identity][0]
        self.edit(identity, data, mode)
        return self.stamp(identity)

    def parents(self, identity):
        parts = identity.split("/")
        return ["/".join(parts[:n]) for n in range(1, len(parts))]

    def children(self, identity):
        return [path for path in self.objects if path.startswith(identity + "/")]

    def missing_parents(self, identity):
        return [path for path in self.parents(identity) if path not in self.objects]

    def remove(self, identity, expected):
        self._count("remove")
        if self.stamp(identity) != expected or self.children(identity):
            raise StoreError(CHANGED)
        del self.objects[identity]

    def move(self, identity, expected, target):
        for path in (identity, target):
            if path in self.failing:
                raise StoreError(self.failing[path])
        if self.stamp(identity) != expected or target in self.objects:
            raise StoreError(CHANGED)
        self._count("move")
        for path in self.missing_parents(target):
            self.edit(path, None, 0o755)
        for path in [identity] + self.children(identity):
            self.objects[target + path[len(identity) :]] = self.objects.pop(path)
        return self.stamp(target)

    def _count(self, act):
        self.counts[act] = self.counts.get(act, 0) + 1

    def prune(self, identity):
        if identity not in self.objects or self.objects[identity][0] is not None or self.children(identity):
            return False
        del self.objects[identity]
        return True

    def sync(self):
        self.syncs += 1
        self.durable = dict(self.objects)


class LittleReader(Reader):
    def __init__(self, data):
        self.data = data

    def read_into(self, buffer):
        count = min(len(buffer), len(self.data))
        buffer[:count] = self.data[:count]
        self.data = self.data[count:]
        return count

    def close(self):
        pass


class LittleWriter(Writer):
    def __init__(self, store, name):
        self.store, self.name = store, name

    def write(self, data):
        if len(data) > self.store.free:
            raise StoreError(NO_ROOM)
        self.store.stages[self.name] += bytes(data)

    def flush(self):
        pass

    def close(self):
        pass


class Pipe:
    """The device's end of a link in memory; `to_device` and `to_desktop` are what lies in it."""

    reliable, cable, name, binding = True, True, "pipe", b""

    def __init__(self, step=0):
        self.to_device, self.to_desktop = b"", b""
        self.step = step
        self.closed = False

    def read_into(self, view):
        count = min(len(view), len(self.to_device), self.step or 1 << 30)
        view[:count] = self.to_device[:count]
        self.to_device = self.to_device[count:]
        return count

    def write_some(self, chunks):
        total = 0
        for chunk in chunks:
            data = bytes(chunk)[: self.step or 1 << 30]
            self.to_desktop += data
            total += len(data)
            if len(data) < len(chunk):
                break
        return total

    def close(self):
        self.closed = True


class Failed(Exception):
    """The device answered by an error."""

    def __init__(self, status, text):
        super().__init__(status, text)
        self.status, self.text = status, text


class Hand:
    """A desktop in a session with an agent: asks, and lets both ends run until the answer is whole."""

    def __init__(self, agent, step=0, key=KEY, me=None):
        me = me or DESKTOP
        self.agent, self.pipe = agent, Pipe(step)
        self.service = agent.attach(self.pipe)
        self.session = DesktopSession(me, b"n" * 16, 4096)
        self.events = []
        self.run()
        if key is None:
            return
        if agent.partnerships.key_of(me.id) is None:
            self.session.pair_by_cable(key)
            self.run()
        self.session.prove(key)
        self.run()
        assert self.events[-1][0] == events.READY, self.events

    def run(self):
        """Let bytes cross until both ends are silent."""
        moved = True
        while moved:
            moved = self.service.poll()
            for piece in self.session.data_to_send():
                self.pipe.to_device += bytes(piece)
                moved = True
            if self.pipe.to_desktop:
                data, self.pipe.to_desktop = self.pipe.to_desktop, b""
                self.session.receive_data(data)
                self.take()
                moved = True

    def take(self):
        event = self.session.next_event()
        while event is not None:
            self.events.append(tuple([bytes(part) if isinstance(part, memoryview) else part for part in event]))
            event = self.session.next_event()

    def ask(self, kind, body, parts=()):
        """[(kind, body)] of the reply. Raises Failed. `parts` go before the body."""
        self.events = []
        request = 0
        for part in parts:
            request = self.session.request(kind, part, True, request)
            self.run()
        if not [event for event in self.events if event[0] == events.FAILED]:
            request = self.session.request(kind, body, False, request)
        self.run()
        found = []
        for event in self.events:
            if event[0] == events.FAILED:
                raise Failed(event[2], event[3])
            if event[0] == events.REPLY:
                found.append((event[1], event[3]))
        return found

    def joined(self, kind, body):
        return b"".join([part for _, part in self.ask(kind, body)])

    # -- a sync by hand

    def open(self, preview=False):
        """Open `files`; the reply. Our replica gets a key, `self.mine`, unless it is a preview."""
        flags = c.PREVIEW if preview else 0
        reply = self.joined(c.SYNC_OPEN, m.SyncOpen(flags, "files", REPLICA, 0).to_bytes())
        self.opened = opened = m.SyncOpenReply.from_bytes(reply)
        self.channel = opened.channel
        self.theirs = Knowledge.from_bytes(opened.knowledge)
        if REPLICA in opened.replicas:
            self.mine = opened.replicas.index(REPLICA)
        elif not preview:
            answer = self.joined(c.REPLICAS, m.Replicas(self.channel, [REPLICA]).to_bytes())
            self.mine = m.ReplicasReply.from_bytes(answer).first_key
        return opened

    def changes(self, knowledge=None, credit=1 << 20, start=LOWEST):
        """(changes, end)."""
        known = (knowledge or Knowledge()).to_bytes()
        found = []
        for kind, part in self.ask(c.CHANGES, m.Changes(self.channel, credit, start, known).to_bytes()):
            if kind == c.CHANGES_END:
                return found, m.ChangesEnd.from_bytes(part)
            at = 0
            while at < len(part):
                facts, at = records.decode_change(part, at, 2)
                i = facts[0] or item_id("files", facts[2])
                link = None if facts[7] is None else Link(facts[7][0], facts[7][1], facts[7][2])
                found.append(Change(i, facts[1], facts[2], facts[3], facts[4], facts[5], facts[6], link, facts[8]))
        raise AssertionError("no end")

    def fetch(self, wanted):
        """{oid: (content, digest) or status}."""
        found, pieces = {}, {}
        body = m.Fetch(self.channel, wanted).to_bytes()
        for _, part in self.ask(c.FETCH, body):
            at = 0
            while at < len(part):
                (oid, flags, data, digest), at = records.decode_segment(part, at)
                if flags & c.SEGMENT_FAILED:
                    found[oid] = data[0]
                else:
                    pieces.setdefault(oid, []).append(bytes(data))
                    found[oid] = digest
        for oid in pieces:
            if not isinstance(found[oid], int):
                found[oid] = b"".join(pieces[oid]), found[oid]
        return found

    def begin_pass(self, made):
        """`made` is a Knowledge in the agent's keys."""
        self.ask(c.PASS, m.Pass(self.channel, 0, made.to_bytes(), Knowledge().to_bytes()).to_bytes())

    def create(self, path, tick, content=None, mode=MODE):
        """A create that our replica made; content None makes a directory."""
        version = (tick, self.mine)
        value = DIRECTORY if content is None else file_value(len(content), sha256(content).digest())
        return Change(item_id("files", path), 0, path, False, version, [version, version], [value, mode])

    def delete(self, path, tick, created):
        version = (tick, self.mine)
        return Change(item_id("files", path), 0, path, True, created, [version, version], None)

    def send(self, changes, contents, made=None, lower=LOWEST, upper=HIGHEST, learn=True):
        """A pass of one batch: `contents` {path: bytes} of what follows. Changes are put in the order of ids."""
        if made is None:
            newest = max([version[0] for change in changes for version in change.versions])
            made = everything({self.mine: newest, 0: self.opened.tick})
        self.begin_pass(made)
        body, sent = records.encode_begin(lower, upper, learn), []
        for index, change in enumerate(sorted(changes, key=lambda one: one.id)):
            data = contents.get(change.identity)
            mode = c.CONTENT_NONE if data is None else c.CONTENT_FOLLOWS
            element = records.encode_apply_change(change, mode)
            if data is not None:
                for at in range(0, max(1, len(data)), 1500):
                    piece = data[at : at + 1500]
                    if len(body) + len(element) + len(piece) > 1900:
                        sent.append(body + element)
                        body = element = b""
                    end = at + 1500 >= len(data)
                    element += records.data_head(index, c.END if end else 0, len(piece)) + piece
                    if end:
                        element += sha256(data).digest()
            if len(body) + len(element) > 2000:
                sent.append(body)
                body = b""
            body += element
        reply = b"".join([part for _, part in self.ask(c.APPLY, body + records.COMMIT_ELEMENT, sent)])
        answer = m.ApplyReply.from_bytes(reply)
        order = sorted([change.id for change in changes])
        names = {change.id: change.identity for change in changes}
        return {names[order[index]]: status for index, status in answer.failures}

    def close(self):
        self.ask(c.SYNC_CLOSE, m.SyncClose(self.channel).to_bytes())


def store_digest(data):
    return sha256(data).digest()


def clean(folder):
    """An empty state directory."""
    import os

    system.make_directory(folder)
    for name in os.listdir(folder):
        system.remove(folder + "/" + name)
    return folder


def make_agent(name, store, fresh=True, limits=SMALL, **more):
    folder = PLACE + "/" + name
    if fresh:
        clean(folder)
    return Agent(folder, [store], "board", limits, **more)
