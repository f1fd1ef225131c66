"""Carries out the vectors of protocol/vectors/agent against a real agent; their README says what the words mean.

A file holds vectors of one family; a vector is a list of steps. Runs on both interpreters.
"""

from cradle_protocol import errors
from cradle_protocol.compat import sha256
from cradle_protocol.errors import COLLISION
from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.change import Change
from cradle_protocol.sync.forget import forget, tombstones
from cradle_protocol.sync.item import Link, item_id
from cradle_protocol.sync.knowledge import Knowledge, everything
from cradle_protocol.sync.moved import PROOF_SIZE, prove
from cradle_protocol.sync.values import DIRECTORY, UNKNOWN, file_value
from cradle_protocol.sync.version import HIGHEST, LOWEST
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages import filter as f
from cradle_protocol.wire.messages import records
from cradle_protocol.wire.messages import sync as m
from device.hands import REPLICA, Failed, Hand, LittleStore, make_agent
from protocol.wire.checks import load

MODE = "644"
VERBS = (
    "user",
    "store",
    "open",
    "tells",
    "fetch",
    "stash",
    "moves",
    "keys",
    "apply",
    "close",
    "power",
    "forget",
    "holds",
    "filter",
)
HOW = {"none": c.CONTENT_NONE, "follows": c.CONTENT_FOLLOWS, "staged": c.CONTENT_STAGED}


class VectorStore(LittleStore):
    """What vectors ask of a store. modes: can it say permission bits? caseless: is A the same name as a?"""

    def __init__(self, modes=True, caseless=False):
        super().__init__()
        self.modes, self.caseless = modes, caseless

    def holds(self, unit):
        return unit == 0 or self.modes

    def values(self, stamp):
        content, mode = super().values(stamp)
        return [content, mode if self.modes else UNKNOWN]

    def install(self, identity, staged, values, expected, content=True):
        for path in self.objects if self.caseless else ():
            if path != identity and path.lower() == identity.lower():
                raise StoreError(COLLISION)
        return super().install(identity, staged, values, expected, content)

    # -- the user's words

    def do(self, word, path, more=None):
        mode = self.objects[path][1] if path in self.objects else 0o644
        if word == "write":
            self.edit(path, more.encode(), mode)
        elif word == "make":
            self.edit(path, None, 0o755)
        elif word == "chmod":
            self.edit(path, self.objects[path][0], int(more, 8))
        elif word == "delete":
            for name in [path] + self.children(path):
                del self.objects[name]
        elif word == "rename":
            for name in [path] + self.children(path):
                self.objects[more + name[len(path) :]] = self.objects.pop(name)
        else:
            raise AssertionError(word)


class Story:
    """One vector being carried out."""

    def __init__(self, vector, folder):
        made_with = vector.get("store", {})
        self.store = VectorStore(made_with.get("modes", True), made_with.get("caseless", False))
        self.folder = folder
        self.agent = make_agent(folder, self.store)
        self.hand = None
        self.keys = {}
        self.paths = {}
        self.told = {}

    def run(self, vector):
        for number in range(len(vector["steps"])):
            step = vector["steps"][number]
            (word,) = [word for word in step if word in VERBS]
            try:
                getattr(self, "do_" + word)(step[word], step)
            except (AssertionError, Failed, KeyError) as error:
                raise AssertionError("%s, step %d: %r" % (vector["name"], number + 1, error))

    # -- letters and paths

    def id_of(self, letter):
        """The id of a replica; those that nobody has met here have ids made of their letters."""
        if letter == "R":
            return self.hand.opened.replica_id
        return REPLICA if letter == "D" else b"\x01" + letter.encode() * 15

    def version(self, text):
        key = self.keys.get(text[0])
        return int(text[1:]), int(text[1:]) + 100 if key is None else key

    def knowledge(self, ticks):
        return everything({self.keys[letter]: ticks[letter] for letter in ticks})

    def said(self, knowledge, item):
        """What knowledge holds for an item, by letters."""
        letters = {self.keys[letter]: letter for letter in self.keys}
        vector = knowledge.vector(item)
        return {letters[key]: vector[key] for key in vector}

    def item(self, path):
        i = item_id("files", path)
        self.paths[i] = path
        return i

    # -- around a session

    def do_user(self, acts, step):
        for act in acts:
            self.store.do(*act)

    def do_store(self, failing, step):
        self.store.failing = {path: getattr(errors, failing[path]) for path in failing if path != "space"}
        self.store.free = failing.get("space", 1 << 20)

    def do_close(self, _, step):
        self.hand.close()

    def do_power(self, _, step):
        for replica in self.agent.replicas.values():
            replica.close()
        self.agent.partnerships.close()
        self.agent._lock.close()
        self.agent = make_agent(self.folder, self.store, False)
        self.hand = None

    def do_forget(self, _, step):
        meta = self.agent.replicas["files"].meta()
        forget(meta, tombstones(meta, lambda item: True))
        meta.commit()

    def do_holds(self, expected, step):
        found = {}
        for path in self.store.objects:
            content = self.store.objects[path][0]
            found[path if content is not None else path + "/"] = "" if content is None else content.decode()
        assert found == expected, found
        for path in step.get("modes", {}):
            assert "%o" % self.store.objects[path][1] == step["modes"][path], path
        assert self.store.stages == {}

    # -- requests

    def answer(self, kind, body, step):
        """The reply; None where the whole request is refused, as the step says."""
        try:
            reply = self.hand.joined(kind, body)
        except Failed as error:
            assert error.status == getattr(errors, step["fails"]), error
            return None
        assert "fails" not in step, "it was taken"
        return reply

    def do_open(self, expected, step):
        if self.hand is None:
            self.hand = Hand(self.agent)
        opened = self.hand.open()
        self.keys = {"R": 0, "D": self.hand.mine}
        for letter in "CEFGS":
            if self.id_of(letter) in opened.replicas:
                self.keys[letter] = opened.replicas.index(self.id_of(letter))
        if "replicas" in expected:
            assert opened.replicas == [self.id_of(letter) for letter in expected["replicas"]]
        facts = {"tick": opened.tick, "objects": opened.objects}
        facts.update({"generation": opened.generation, "filter": opened.filter.decode()})
        for fact in facts:
            assert fact not in expected or facts[fact] == expected[fact], (fact, facts[fact])
        if "knows" in expected:
            self.check_knowledge(Knowledge.from_bytes(opened.knowledge), expected["knows"], expected.get("but", {}))
        if "forgotten" in expected:
            self.check_knowledge(Knowledge.from_bytes(opened.forgotten), expected["forgotten"], {})

    def check_knowledge(self, found, everywhere, but):
        assert self.said(found, LOWEST) == self.said(found, HIGHEST) == everywhere, self.said(found, LOWEST)
        assert sorted(found.exceptions) == sorted([self.item(path) for path in but]), found.exceptions
        for path in but:
            assert self.said(found, self.item(path)) == but[path], (path, self.said(found, self.item(path)))

    def do_keys(self, letters, step):
        body = m.Replicas(self.hand.channel, [self.id_of(letter) for letter in letters]).to_bytes()
        reply = self.answer(c.REPLICAS, body, step)
        if reply is None:
            return
        first = m.ReplicasReply.from_bytes(reply).first_key
        assert first == step["first"], first
        self.keys.update({letters[k]: first + k for k in range(len(letters))})

    def do_filter(self, text, step):
        expected, generation = step["generation"]
        body = f.Filter("files", expected, generation, text.encode()).to_bytes()
        reply = self.answer(c.FILTER, body, step)
        if reply is None:
            return
        answer = f.FilterReply.from_bytes(reply)
        found = [answer.generation, answer.filter.decode(), answer.objects, answer.ghosts]
        assert found == step["is"], found

    def do_tells(self, expected, step):
        changes, end = self.hand.changes(self.knowledge(step.get("to", {})))
        assert end.complete and [change.id for change in changes] == sorted([change.id for change in changes])
        for path in [change["path"] for change in expected] + [
            change.identity for change in changes if change.identity
        ]:
            self.item(path)
        self.told = {self.paths[change.id]: change for change in changes}
        assert sorted(self.told) == sorted([change["path"] for change in expected]), sorted(self.told)
        for change in expected:
            self.check_change(self.told[change["path"]], change)

    def check_change(self, found, expected):
        wanted = self.versions(expected)
        assert found.versions == wanted, (expected["path"], found.versions, wanted)
        created = self.version(expected["created"]) if "created" in expected else wanted[-1]
        assert found.created == created, (expected["path"], found.created)
        assert found.dead == expected.get("dead", False)
        assert found.ghost == expected.get("ghost", False), (expected["path"], found.ghost)
        assert "named" not in expected or (found.identity is not None) == expected["named"]
        if "mode" in expected:
            assert found.values[1] == mode_value(expected["mode"]), found.values
        if "dir" in expected:
            assert found.values[0] == DIRECTORY
        other = expected.get("to", expected.get("from"))
        assert (found.link is None) == (other is None), found.link
        if other is not None:
            assert (found.link.id, found.link.created) == (self.item(other), self.version(expected["link"]))
            assert len(found.link.base) == (2 if found.dead else 0)
        if "text" in expected:
            assert self.content(found) == expected["text"]

    def versions(self, change):
        at = change["at"]
        return [self.version(text) for text in (at if isinstance(at, list) else [at, at])]

    def content(self, change):
        """The text of a content, or the name of a status."""
        self.hand.joined(c.HASH, m.Hash(self.hand.channel, [change.oid]).to_bytes())
        found = self.hand.fetch([(change.oid, change.versions[0], 0)])[change.oid]
        if isinstance(found, int):
            return found
        assert found[1] == sha256(found[0]).digest()
        return found[0].decode()

    def do_fetch(self, wanted, step):
        for path in wanted:
            found, expected = self.content(self.told[path]), wanted[path]
            assert found == (getattr(errors, expected) if isinstance(found, int) else expected), found

    def do_stash(self, copies, step):
        rows = []
        for source, text, target, version, _ in copies:
            rows.append((self.item(source), sha256(text.encode()).digest(), self.item(target), self.version(version)))
        reply = self.hand.joined(c.STASH, m.Stash(self.hand.channel, rows).to_bytes())
        statuses = m.StashReply.from_bytes(reply).statuses
        assert statuses == [getattr(errors, copy[4]) for copy in copies], statuses

    def begin_pass(self, step, flags, forgotten):
        made = self.knowledge(step["made"])
        self.hand.ask(c.PASS, m.Pass(self.hand.channel, flags, made.to_bytes(), forgotten.to_bytes()).to_bytes())

    def do_moves(self, moves, step):
        if "made" in step:
            self.begin_pass(step, 0, Knowledge())
        rows = []
        for source, target, version, meant, _ in moves:
            rows.append((self.item(source), self.proof(meant), self.version(version), target))
        reply = self.answer(c.MOVE, m.Move(self.hand.channel, rows).to_bytes(), step)
        if reply is None:
            return
        statuses = m.MoveReply.from_bytes(reply).statuses
        assert statuses == [getattr(errors, move[4]) for move in moves], statuses

    def proof(self, meant):
        """Of what the desktop means to be alive under the old name."""
        hasher = sha256()
        for item in sorted(meant, key=lambda item: self.item(item["path"])):
            versions = self.versions(item)
            created = self.version(item["created"]) if "created" in item else versions[-1]
            prove(hasher, self.item(item["path"]), created, versions)
        return hasher.digest()[:PROOF_SIZE]

    def do_apply(self, changes, step):
        forgotten = self.knowledge(step["forgotten"]) if "forgotten" in step else Knowledge()
        flags = c.FULL if "forgotten" in step else 0
        self.begin_pass(step, flags, forgotten)
        changes = sorted(changes, key=lambda change: self.item(change["path"]))
        lower, upper = LOWEST, HIGHEST
        if "range" in step:
            lower, upper = [
                bound if path is None else self.item(path) for path, bound in zip(step["range"], (LOWEST, HIGHEST))
            ]
        body = records.encode_begin(lower, upper, True)
        for index in range(len(changes)):
            body += self.element(index, changes[index])
        reply = self.answer(c.APPLY, body + records.COMMIT_ELEMENT, step)
        if reply is None:
            return
        answer = m.ApplyReply.from_bytes(reply)
        refused = {changes[index]["path"]: status for index, status in answer.failures}
        expected = step.get("refused", {})
        assert refused == {path: getattr(errors, expected[path]) for path in expected}, refused
        assert answer.applied == len(changes) - len(expected)

    def element(self, index, change):
        """A change, and its content if that follows."""
        text = change.get("text")
        how = HOW[change.get("how", "none" if text is None or change.get("ghost") else "follows")]
        said = records.encode_apply_change(self.change(change), how)
        if how != c.CONTENT_FOLLOWS:
            return said
        data = change.get("sends", text).encode()
        return said + records.data_head(index, c.END, len(data)) + data + sha256(data).digest()

    def change(self, change):
        versions = self.versions(change)
        created = self.version(change["created"]) if "created" in change else versions[-1]
        dead, text = change.get("dead", False), change.get("text")
        values, link = None, None
        if not dead:
            values = [DIRECTORY, b"\x01\xed"] if text is None else [file_of(text), mode_value(change.get("mode", MODE))]
        other = change.get("to", change.get("from"))
        if other is not None:
            base = []
            if dead:
                base = [
                    (self.version(change["base"]), file_of(change["moved"])),
                    (self.version(change["base"]), b"\x01\xa4"),
                ]
            link = Link(self.item(other), self.version(change["link"]), base)
        identity = change["path"] if change.get("named", True) else None
        ghost = change.get("ghost", False)
        return Change(self.item(change["path"]), 0, identity, dead, created, versions, values, link, ghost)


def file_of(text):
    """The content value of a text."""
    return file_value(len(text), sha256(text.encode()).digest())


def mode_value(text):
    """Octal digits as the value of the unit `mode`; "" is a store that cannot say."""
    return int(text, 8).to_bytes(2, "big") if text else UNKNOWN


def carry_out(family):
    """Every vector of a file; returns how many. Says which step of which vector does not come out."""
    vectors = load("agent/" + family)["vectors"]
    for number in range(len(vectors)):
        story = Story(vectors[number], "%s%d" % (family, number))
        try:
            story.run(vectors[number])
        finally:
            story.agent.close()
    return len(vectors)
