"""What is put on a board: its codec says what the tables say, and moving a function changes nothing but its place."""

import ast
import sys
from pathlib import Path

import pytest

from cradle_protocol.errors import BAD_MESSAGE, LIMIT, LocalError, RemoteError
from protocol.wire import vectors
from protocol.wire.checks import raises

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "device" / "bundle"))

import board_codec  # noqa: E402
from inline import inline  # noqa: E402
from layout import Unforeseen, _Layouts, layout  # noqa: E402


def tables():
    """(fields, values, bytes) of every golden message and record."""
    for cls, values, octets in vectors.message_cases():
        yield cls.FIELDS, values, octets
    yield from vectors.record_cases()


def test_the_board_codec_says_what_the_tables_say():
    for fields, values, octets in tables():
        encode, decode = board_codec.functions(layout(fields))
        assert encode(values) == octets
        found, end = decode(memoryview(b"??" + octets + b"??"), 2)
        assert vectors.listed(found) == values and end == len(octets) + 2
        assert vectors.listed(board_codec.decode_whole(layout(fields), octets)) == values


def test_the_board_codec_refuses_what_is_cut_short_or_too_long():
    for fields, _, octets in tables():
        for size in range(len(octets)):
            assert raises(RemoteError, (BAD_MESSAGE, LIMIT), board_codec.decode_whole, layout(fields), octets[:size])
        assert raises(RemoteError, (BAD_MESSAGE,), board_codec.decode_whole, layout(fields), octets + b"\x00")


def test_the_board_codec_refuses_values_that_do_not_fit():
    for fields, values, _ in tables():
        for k, (_, kind) in enumerate(fields):
            if kind[0] in (0, 1):  # a number, octets of a fixed size
                wrong = list(values)
                wrong[k] = 1 << 48 if kind[0] == 0 else b"x"
                assert raises(LocalError, (BAD_MESSAGE,), board_codec.encode, layout(fields), wrong)


def test_an_unforeseen_use_of_a_message_is_found():
    from cradle_protocol.wire.messages import sync

    for text in ("def f(body):\n    return Fetch", "def f():\n    return Fetch(1)", "KIND = Fetch.KIND"):
        with pytest.raises(Unforeseen):
            _Layouts(sync).module(ast.parse(text))


# Programs whose `run(trace)` must do the same with all that can be moved in its place.
PROGRAMS = {
    "order of arguments": """
def both(a, b):
    return a - b
def run(trace):
    def note(x):
        trace.append(x)
        return x
    return both(note(5), note(3))
""",
    "returns in the middle": """
def sign(n, trace):
    if n < 0:
        trace.append("low")
        return -1
    if n == 0:
        return 0
    trace.append("high")
    return 1
def run(trace):
    found = []
    for n in (-2, 0, 3):
        got = sign(n, trace)
        found.append(got)
    return found
""",
    "a return from a loop": """
def first(values, wanted):
    for k in range(len(values)):
        if values[k] == wanted:
            return k
def run(trace):
    k = 7
    found = first([4, 5, 6], 5)
    return found, k
""",
    "variables of the same name": """
def twice(n):
    k = n * 2
    n = k + 1
    trace_ = n
    return trace_
def run(trace):
    k, n = 10, 1
    value = twice(n)
    return k, n, value
""",
    "a tail call that falls through": """
def note(trace, x):
    if x:
        trace.append(x)
def pick(trace, x):
    if x > 1:
        return note(trace, x)
    trace.append("small")
    return "end"
def run(trace):
    return pick(trace, 2), pick(trace, 1)
""",
    "generators": """
def steps(trace, n):
    for k in range(n):
        trace.append(k)
        yield k
def all_steps(trace):
    yield from steps(trace, 3)
    yield "end"
def run(trace):
    return list(all_steps(trace))
""",
    "methods and conditions": """
class Thing:
    def __init__(self):
        self.n = 3
    def odd(self):
        if self.n % 2:
            self.n += 1
            return True
        return False
    def size(self):
        return self.n
    def grow(self, by=2):
        self.n += by
    def go(self):
        if not self.odd():
            return "even"
        self.grow()
        return self.size() + self.size()
def run(trace):
    thing = Thing()
    return thing.go(), thing.go()
""",
    "a name that the caller uses otherwise": """
LIMIT = 5
def limit():
    return LIMIT
def run(trace):
    LIMIT = 3
    return limit(), LIMIT
""",
    "an argument that the body changes": """
class Box:
    def __init__(self):
        self.n = 1
    def bump(self):
        self.n += 1
        return self.n
def pair(box, before):
    return box.bump(), before
def run(trace):
    box = Box()
    return pair(box, box.n)
""",
    "exceptions": """
def careful(value, trace):
    try:
        return int(value)
    except ValueError as error:
        trace.append(str(error)[:7])
        return -1
    finally:
        trace.append("done")
def run(trace):
    error = "mine"
    return careful("x", trace), error
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_moved_functions_do_the_same(name: str) -> None:
    tree = ast.parse(PROGRAMS[name])
    inline(tree, {"run"})
    results = []
    for program in (PROGRAMS[name], ast.unparse(ast.fix_missing_locations(tree))):
        space, trace = {}, []
        exec(compile(program, name, "exec"), space)
        results.append((space["run"](trace), trace))
    assert results[0] == results[1]


def test_most_functions_of_these_are_moved():
    moved = 0
    for text in PROGRAMS.values():
        tree = ast.parse(text)
        before = text.count("def ")
        inline(tree, {"run"})
        moved += sum(isinstance(node, ast.FunctionDef) for node in ast.walk(tree)) < before
    assert moved >= 7
