"""Field types: what each can hold, what is refused, and that the two ways of packing them agree."""

from cradle_protocol import errors
from cradle_protocol.errors import LocalError, RemoteError
from cradle_protocol.wire import codec
from cradle_protocol.wire.codec import (
    BLOB8,
    BLOB32,
    ID,
    STRING,
    U8,
    U16,
    U24,
    U32,
    U48,
    VERSION,
    VIEW24,
    list_of,
    record,
    when,
)
from protocol.wire.checks import raises

FLAGGED = (("flags", U8), ("a", when(0, 1, U16)), ("b", when(0, 2, STRING, ID)), ("c", when(0, 0xF0, U8, value=0x30)))
NESTED = (("outer", list_of(U8, ("n", U16), ("inner", list_of(U8, ("x", U8))), ("r", record(("v", VERSION))))),)


def ways(fields):
    """Interpreter and compiled functions."""
    return ((lambda values: codec.encode(fields, values), lambda view, at: codec.decode(fields, view, at)),
            codec.functions(fields))  # fmt: skip


def test_limits_of_numbers():
    for kind, top in ((U8, 0xFF), (U16, 0xFFFF), (U24, 0xFFFFFF), (U32, 0xFFFFFFFF), (U48, 0xFFFFFFFFFFFF)):
        for encode, decode in ways((("n", kind),)):
            for number in (0, 1, top):
                octets = encode([number])
                assert len(octets) == kind[1] and decode(octets, 0) in (([number], kind[1]), ((number,), kind[1]))
            for number in (-1, top + 1):
                assert raises(LocalError, errors.BAD_MESSAGE, encode, [number])
            assert raises(LocalError, errors.BAD_MESSAGE, encode, ["1"])
            assert raises(RemoteError, errors.BAD_MESSAGE, decode, b"\x00" * (kind[1] - 1), 0)


def test_fields_that_depend_on_flags():
    for values in (
        [0, None, b"i" * 16, None],
        [3, 7, "text", None],
        [0x32, None, "", 9],
        [0x20, None, b"i" * 16, None],
    ):
        octets = None
        for encode, decode in ways(FLAGGED):
            octets = octets or encode(values)
            assert encode(values) == octets
            found, end = decode(octets, 0)
            assert list(found) == values and end == len(octets)


def test_lists_in_lists():
    values = [[(1, [2, 3], ((7, 1),)), (4, [], ((8, 2),))]]
    for encode, decode in ways(NESTED):
        octets = encode(values)
        assert octets == bytes.fromhex("02 0001 02 0203 0001 00000007 0004 00 0002 00000008".replace(" ", ""))
        assert list(decode(octets, 0)[0]) == values


def test_values_that_do_not_fit():
    table = (("id", ID), ("text", STRING), ("blob", BLOB8), ("version", VERSION))
    good = [b"i" * 16, "text", b"blob", (1, 2)]
    bad = ([b"i" * 15, "text", b"", (1, 2)], [b"i" * 17, "", b"", (1, 2)], [b"i" * 16, "x" * 65536, b"", (1, 2)],
           [b"i" * 16, b"no", b"b" * 256, (1, 2)], [b"i" * 16, "", b"", (1 << 32, 2)], [b"i" * 16, "", b"", (1, 65536)],
           good[:3], good + [1], [None] * 4)  # fmt: skip
    for encode, _ in ways(table):
        encode(good)
        for values in bad:
            assert raises(LocalError, errors.BAD_MESSAGE, encode, values)


def test_counts_are_not_believed():
    """A count that the message cannot hold is refused before anything is made for it."""
    for encode, decode in ways((("ids", list_of(U16, ("id", ID))),)):
        assert raises(RemoteError, errors.LIMIT, decode, b"\xff\xff" + b"i" * 160, 0)
        assert encode([[]]) == b"\x00\x00"
    for _, decode in ways((("blob", BLOB32),)):
        assert raises(RemoteError, errors.BAD_MESSAGE, decode, b"\xff\xff\xff\xff1234", 0)


def test_text_that_is_none():
    for _, decode in ways((("text", STRING),)):
        assert raises(RemoteError, errors.BAD_MESSAGE, decode, b"\x00\x02\xc3\x28", 0)


def test_views_stay_where_they_are():
    for _, decode in ways((("data", VIEW24),)):
        body = bytearray(b"\x00\x00\x03abc")
        found, end = decode(memoryview(body), 0)
        body[3] = 0x7A
        assert bytes(found[0]) == b"zbc" and end == 6


def test_least_size():
    assert codec.least((codec.RECORD, FLAGGED)) == 1 + 0 + 2 + 0
    assert codec.least(NESTED[0][1]) == 1
    assert codec.least(record(("v", VERSION), ("t", STRING), ("d", VIEW24))) == 11
