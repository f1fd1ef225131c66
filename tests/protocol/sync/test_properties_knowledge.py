"""Knowledge against a naive model: {id: vector} over a small universe, one probe in every gap. CPython only."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cradle_protocol.errors import RemoteError
from cradle_protocol.sync.knowledge import Knowledge, after
from cradle_protocol.sync.version import HIGHEST, LOWEST, covers, join

# Ids that operations name; the two in the middle are neighbours. Between all others there is a gap.
NAMED = sorted(
    [LOWEST, HIGHEST, b"\x80" + bytes(15), b"\x80" + bytes(14) + b"\1", *(bytes([n]) * 16 for n in (3, 9, 0xA0, 0xF0))]
)
# What follows a named id stands for the whole gap: no operation can tell two ids of one gap apart.
PROBES = sorted({probe for i in NAMED for probe in (i, after(i)) if probe is not None})
KEYS = range(3)

named = st.sampled_from(NAMED)
vectors = st.dictionaries(st.sampled_from(KEYS), st.integers(1, 4), max_size=3)


class Naive:
    """What Knowledge means, without any compaction."""

    def __init__(self) -> None:
        self.known: dict[bytes, dict[int, int]] = {probe: {} for probe in PROBES}

    def learn(self, lower: bytes, upper: bytes, other: "Naive", skipped: "list[bytes]") -> None:
        for probe, vector in self.known.items():
            if lower <= probe <= upper and probe not in skipped:
                join(vector, other.known[probe])

    def contains(self, other: "Naive") -> bool:
        return all(covers(self.known[probe], other.known[probe]) for probe in PROBES)

    def lowest(self) -> "dict[int, int]":
        least = {key: min(vector.get(key, 0) for vector in self.known.values()) for key in KEYS}
        return {key: tick for key, tick in least.items() if tick}


class Machine(RuleBasedStateMachine):
    """Three replicas' knowledge, each beside its model."""

    def __init__(self) -> None:
        super().__init__()
        self.real = [Knowledge() for _ in KEYS]
        self.model = [Naive() for _ in KEYS]

    @rule(k=st.sampled_from(KEYS), tick=st.integers(1, 5))
    def raise_own(self, k: int, tick: int) -> None:
        self.real[k].raise_own(k, tick)
        for vector in self.model[k].known.values():
            vector[k] = max(tick, vector.get(k, 0))

    @rule(
        a=st.sampled_from(KEYS), b=st.sampled_from(KEYS), bounds=st.tuples(named, named),
        skipped=st.lists(named, max_size=3),
    )  # fmt: skip
    def learn(self, a: int, b: int, bounds: "tuple[bytes, bytes]", skipped: "list[bytes]") -> None:
        lower, upper = sorted(bounds)
        assert self.real[a].learn(lower, upper, self.real[b].copy(), skipped)
        self.model[a].learn(lower, upper, self.model[b], skipped)

    @rule(k=st.sampled_from(KEYS), item=named, vector=vectors)
    def learn_item(self, k: int, item: bytes, vector: "dict[int, int]") -> None:
        assert self.real[k].learn_item(item, vector)
        join(self.model[k].known[item], vector)

    @rule(k=st.sampled_from(KEYS), item=named)
    def forget_item(self, k: int, item: bytes) -> None:
        self.real[k].forget_item(item)
        self.model[k].known[item] = {}

    @rule(k=st.sampled_from(KEYS))
    def through_bytes(self, k: int) -> None:
        self.real[k] = Knowledge.from_bytes(self.real[k].to_bytes())

    @invariant()
    def means_what_the_model_means(self) -> None:
        for real, model in zip(self.real, self.model, strict=True):
            assert {probe: real.vector(probe) for probe in PROBES} == model.known

    @invariant()
    def is_compact(self) -> None:
        for real in self.real:
            assert real.lowers == sorted(set(real.lowers)) and real.lowers[0] == LOWEST
            assert all(a != b for a, b in zip(real.vectors, real.vectors[1:], strict=False))
            assert all(vector != real.vectors[real._at(i)] for i, vector in real.exceptions.items())
            assert all(0 not in v.values() for v in [*real.vectors, *real.exceptions.values()])

    @invariant()
    def compares_as_the_model_does(self) -> None:
        """Never more than the truth. A range whose every id is an exception may make it less: none has so few ids."""
        for real, model in zip(self.real, self.model, strict=True):
            for other, its_model in zip(self.real, self.model, strict=True):
                assert not real.contains(other) or model.contains(its_model)
                if not _shadowed(real) and not _shadowed(other):
                    assert real.contains(other) == model.contains(its_model)
            assert covers(model.lowest(), real.lowest())
            if not _shadowed(real):
                assert real.lowest() == model.lowest()


def _shadowed(real: Knowledge) -> bool:
    """Is there a range of so few ids that exceptions hide all of it?"""
    ends = [*real.lowers[1:], None]
    for lower, end in zip(real.lowers, ends, strict=True):
        inside = [p for p in PROBES if p >= lower and (end is None or p < end)]
        if all(p in real.exceptions for p in inside):
            return True
    return False


TestKnowledge = Machine.TestCase
TestKnowledge.settings = settings(stateful_step_count=25)


@st.composite
def knowledges(draw: st.DrawFn) -> Knowledge:
    made = Knowledge()
    for _ in range(draw(st.integers(0, 4))):
        lower, upper = sorted([draw(named), draw(named)])
        other = Knowledge()
        other.vectors[0] = draw(vectors)
        made.learn(lower, upper, other)
    for item in draw(st.lists(named, max_size=4)):
        made.learn_item(item, draw(vectors))
    if draw(st.booleans()):
        made.forget_item(draw(named))
    return made


@given(made=knowledges(), limit=st.integers(0, 4))
def test_a_reader_with_a_limit_never_knows_more(made: Knowledge, limit: int) -> None:
    back = Knowledge.from_bytes(made.to_bytes(), None, limit)
    assert len(back.exceptions) <= limit
    for probe in PROBES:
        assert covers(made.vector(probe), back.vector(probe))


@given(made=knowledges(), other=knowledges(), limit=st.integers(0, 3), skipped=st.lists(named, max_size=4))
def test_at_the_bound_nothing_is_rounded_up(
    made: Knowledge, other: Knowledge, limit: int, skipped: "list[bytes]"
) -> None:
    small = Knowledge.from_bytes(made.to_bytes(), None, limit)
    before = {probe: dict(small.vector(probe)) for probe in PROBES}
    learned = small.learn(NAMED[1], NAMED[-2], other, skipped)
    after_it = {probe: small.vector(probe) for probe in PROBES}
    assert len(small.exceptions) <= limit
    if not learned:
        assert after_it == before
    small.forget_item(NAMED[2])
    assert len(small.exceptions) <= limit and small.vector(NAMED[2]) == {}
    assert all(covers(after_it[probe], small.vector(probe)) for probe in PROBES)


@given(made=knowledges(), keys=st.permutations(list(KEYS)), hidden=st.sets(st.sampled_from(KEYS)))
def test_keys_are_mapped_and_what_has_no_key_is_left_out(
    made: Knowledge, keys: "list[int]", hidden: "set[int]"
) -> None:
    sent = made.to_bytes({ours: theirs for ours, theirs in enumerate(keys) if ours not in hidden})
    back = Knowledge.from_bytes(sent, [keys.index(theirs) for theirs in KEYS])
    for probe in PROBES:
        expected = {key: tick for key, tick in made.vector(probe).items() if key not in hidden}
        assert back.vector(probe) == expected


@given(data=st.binary(max_size=200))
def test_any_bytes_are_knowledge_or_the_peers_fault(data: bytes) -> None:
    try:
        made = Knowledge.from_bytes(data)
    except RemoteError:
        return
    assert Knowledge.from_bytes(made.to_bytes()) == made


@given(made=knowledges(), at=st.integers(0, 400), byte=st.integers(0, 255))
def test_a_changed_byte_is_knowledge_or_the_peers_fault(made: Knowledge, at: int, byte: int) -> None:
    data = bytearray(made.to_bytes())
    assume(at < len(data))
    data[at] = byte
    test_any_bytes_are_knowledge_or_the_peers_fault.hypothesis.inner_test(bytes(data))
