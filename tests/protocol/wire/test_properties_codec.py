"""Every table three ways, interpreted, compiled and by construct, on random values; and fuzz of every parser."""

from typing import Any

import construct
from hypothesis import given, settings
from hypothesis import strategies as st

from cradle_desktop import inspect
from cradle_protocol.errors import RemoteError
from cradle_protocol.wire import codec
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.link import LinkMachine
from cradle_protocol.wire.link_desktop import DesktopLink
from cradle_protocol.wire.messages import records
from cradle_protocol.wire.parameters import LinkConfig, Parameters
from protocol.wire import vectors
from protocol.wire.line import Dice
from protocol.wire.pairs import Pair

EXAMPLES = settings().max_examples  # of the profile; there are more tables than these
TABLES = {cls.__name__: cls.FIELDS for cls in vectors.MESSAGES} | vectors.RECORDS


def values_of(fields: Any) -> st.SearchStrategy[list[Any]]:
    """Values of a table whose dependent fields fit its flags."""

    @st.composite
    def draw_values(draw: Any) -> list[Any]:
        values: list[Any] = []
        for _, kind in fields:
            if kind[0] == codec.WHEN:
                kind = kind[4] if values[kind[1]] & kind[2] == kind[3] else kind[5]
            values.append(None if kind is None else draw(value_of(kind)))
        return values

    return draw_values()


def value_of(kind: Any) -> st.SearchStrategy[Any]:
    match kind[0]:
        case codec.UINT:
            return st.integers(0, 256 ** kind[1] - 1)
        case codec.FIXED:
            return st.binary(min_size=kind[1], max_size=kind[1])
        case codec.TEXT:
            return st.text(max_size=20)
        case codec.BLOB | codec.VIEW:
            return st.binary(max_size=40)
        case codec.PAIR:
            return st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 65535))
        case codec.RECORD:
            return values_of(kind[1]).map(tuple)
        case _:
            element = value_of(kind[2][0][1]) if len(kind[2]) == 1 else values_of(kind[2]).map(tuple)
            return st.lists(element, max_size=4)


@given(st.sampled_from(sorted(TABLES)), st.data())
@settings(max_examples=4 * EXAMPLES, deadline=None)
def test_three_ways_agree(name: str, data: st.DataObject) -> None:
    fields = TABLES[name]
    values = data.draw(values_of(fields))
    encode, decode = codec.functions(fields)
    octets = codec.encode(fields, values)
    assert encode(values) == octets
    assert inspect.build(fields, values) == octets
    for found, end in (codec.decode(fields, octets, 0), decode(octets, 0), inspect.parse(fields, octets)):
        assert vectors.listed(found) == vectors.listed(values) and end == len(octets)


@given(st.sampled_from(sorted(TABLES)), st.binary(max_size=200))
@settings(max_examples=4 * EXAMPLES, deadline=None)
def test_garbage_is_refused_alike(name: str, octets: bytes) -> None:
    """Random bytes: each way gives the same values, or each refuses them."""
    fields = TABLES[name]
    results = []
    for way in (lambda: codec.decode(fields, octets, 0), lambda: codec.functions(fields)[1](octets, 0)):
        try:
            found, end = way()
            results.append((vectors.listed(found), end))
        except RemoteError:
            results.append(None)
    try:
        found, end = inspect.parse(fields, octets)
        results.append((vectors.listed(found), end))
    except (construct.ConstructError, UnicodeDecodeError):
        results.append(None)
    assert results[0] == results[1] == results[2]


def test_vectors_by_construct() -> None:
    for fields, values, octets in [*((m.FIELDS, v, o) for m, v, o in vectors.message_cases()), *vectors.record_cases()]:
        assert inspect.build(fields, values) == octets
        assert vectors.listed(inspect.parse(fields, octets)[0]) == values


class Change:
    """As `sync.change.Change` looks."""

    def __init__(self, facts: Any) -> None:
        self.id, self.oid, self.identity, self.dead, self.created, self.versions, self.values, link, self.ghost = facts
        self.link = Link(*link) if link else None


class Link:
    def __init__(self, id: bytes, created: Any, base: Any) -> None:
        self.id, self.created, self.base = id, created, base


version = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 65535))
link = st.tuples(
    st.binary(min_size=16, max_size=16), version, st.lists(st.tuples(version, st.binary(max_size=50)), max_size=3)
)


@given(
    st.binary(min_size=16, max_size=16), st.integers(0, 2**32 - 1), st.none() | st.text(max_size=30), st.booleans(),
    version, st.integers(1, 3), st.data(), st.none() | link, st.booleans(), st.integers(0, 3),
)  # fmt: skip
@settings(deadline=None)
def test_changes_come_back(
    item: bytes,
    oid: int,
    identity: Any,
    dead: bool,
    created: Any,
    units: int,
    data: Any,
    link: Any,
    ghost: bool,
    content: int,
) -> None:
    versions = data.draw(st.lists(version, min_size=units, max_size=units) | version.map(lambda v: [v] * units))
    values = None if dead else data.draw(st.lists(st.binary(max_size=255), min_size=units, max_size=units))
    change = Change((item, oid, identity, dead, created, versions, values, link, ghost))
    name, rest = None if identity is not None else item, (identity, dead, created, versions, values, link, ghost)
    octets = records.encode_change(change)
    facts = (name, 0 if dead else oid, *rest)
    assert records.decode_change(b"?" + octets, 1, units) == (facts, len(octets) + 1)
    element = records.encode_apply_change(change, content, 77)
    offset = 77 if content == c.CONTENT_RESUME else None
    assert records.decode_apply(element, 0, units) == (c.CHANGE, ((name, 0, *rest), content, offset), len(element))


@given(st.binary(max_size=100))
def test_fuzz_records(octets: bytes) -> None:
    for decode in (records.decode_change, records.decode_apply, records.decode_segment):
        at = 0
        try:
            while at < len(octets):
                at = decode(octets, at)[-1]
        except RemoteError:
            pass


@given(st.binary(max_size=40))
def test_fuzz_parameters(octets: bytes) -> None:
    found = Parameters.read(octets)
    assert found is None or (1 <= found.window <= c.WINDOW_LIMIT and found.max_info >= c.INFO_LEAST)


def test_fuzz_sessions() -> None:
    """Seeded garbage at every stage of a session, alone and in messages of right length: a RemoteError, or nothing."""
    for seed in range(300):
        dice = Dice(seed)
        pair = Pair()
        if seed % 3:
            pair.run()
        if seed % 3 == 2:
            pair.open()
        for session in (pair.device, pair.desktop):
            body = dice.bytes(dice.below(60))
            head = len(body).to_bytes(3, "big") + bytes([dice.below(256), 0, dice.below(6)])
            session.receive_data(head + body if seed % 2 else dice.bytes(100))
            try:
                for _ in range(200):
                    if session.next_event() is None:
                        break
                else:
                    raise AssertionError("it goes on and on")
            except RemoteError:
                assert session.next_event() is None


def test_fuzz_links() -> None:
    """Seeded garbage, in whole frames with a right FCS too: no error, and no event but console text and endings."""
    for seed in range(200):
        dice = Dice(seed)
        for desktop in (True, False):
            ends = DesktopLink(LinkConfig(4, 64)), LinkMachine(False, LinkConfig(4, 64))
            ends[0].connect(0)
            machine, other = ends if desktop else ends[::-1]
            for _ in range(2):
                for sender, receiver in ((machine, other), (other, machine)):
                    receiver.receive_data(bytes(sender.data_to_send(0)), 0)
                    while receiver.next_event():
                        pass
            machine.send(b"data")
            machine.data_to_send(0)
            for _ in range(30):
                body = bytes([machine._head[0] ^ 2, machine._tag]) + dice.bytes(dice.below(40))
                frame = other._out[: other._framer.frame(body, None, other._out)]
                machine.receive_data(bytes(frame) if dice.below(2) else dice.bytes(30), 0)
                while machine.next_event():
                    pass
                machine.data_to_send(0)
                assert len(machine._events) <= 16
