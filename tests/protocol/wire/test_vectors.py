"""Golden bytes, both ways: messages, records, frames, MACs."""

from cradle_protocol import errors
from cradle_protocol.errors import RemoteError
from cradle_protocol.wire import codec, framing, proof
from cradle_protocol.wire.fingerprint import fingerprint
from protocol.wire import vectors
from protocol.wire.checks import load, raises


def test_messages_to_bytes():
    for cls, values, octets in vectors.message_cases():
        assert cls(*values).to_bytes() == octets, cls.__name__


def test_messages_from_bytes():
    for cls, values, octets in vectors.message_cases():
        found = cls.from_bytes(memoryview(octets))
        assert vectors.listed(found.values()) == values, cls.__name__
        assert found == cls.from_bytes(octets)


def test_messages_cut_short_or_too_long():
    for cls, _, octets in vectors.message_cases():
        for size in range(len(octets)):
            assert raises(RemoteError, (errors.BAD_MESSAGE, errors.LIMIT), cls.from_bytes, octets[:size])
        if not cls.GROWS:
            assert raises(RemoteError, errors.BAD_MESSAGE, cls.from_bytes, octets + b"\x00")
        else:
            assert cls.from_bytes(octets + b"more").to_bytes() == octets


def test_records_both_ways():
    for fields, values, octets in vectors.record_cases():
        assert codec.encode(fields, values) == octets
        found, end = codec.decode(fields, memoryview(octets), 0)
        assert vectors.listed(found) == values and end == len(octets)


def test_compiled_functions_say_the_same():
    tables = [(cls.FIELDS, values, octets) for cls, values, octets in vectors.message_cases()]
    for fields, values, octets in tables + list(vectors.record_cases()):
        encode, decode = codec.functions(fields)
        assert encode(values) == octets
        found, end = decode(memoryview(b"??" + octets + b"??"), 2)
        assert vectors.listed(found) == values and end == len(octets) + 2


def test_frames_both_ways():
    out = memoryview(bytearray(framing.stuffed_size(300)))
    for case in load("frames")["frames"]:
        escapes = framing.ESCAPES_REPL if case["escapes"] == "repl" else framing.ESCAPES_PLAIN
        body, octets = bytes.fromhex(case["body"]), bytes.fromhex(case["bytes"])
        size = framing.Framer(300, escapes).frame(body[:3], body[3:], out)
        assert bytes(out[:size]) == octets, case["name"]
        deframer = framing.Deframer(300)
        assert deframer.feed(octets) == len(octets)
        kind, found = deframer.next()
        assert kind == framing.FRAME and bytes(found) == body and deframer.next() is None


def test_proof():
    held = load("macs")
    octets = {name: bytes.fromhex(text) for name, text in held.items() if name != "fingerprint"}
    hellos = proof.transcript(octets["hello"], octets["hello_reply"])
    key, ids = octets["key"], (octets["desktop_id"], octets["device_id"])
    assert hellos == octets["transcript"]
    assert proof.proof_mac(key, True, hellos, octets["binding"]) == octets["proof_desktop"]
    assert proof.proof_mac(key, False, hellos, octets["binding"]) == octets["proof_device"]
    assert proof.pair_mac(key, True, *ids) == octets["pair_desktop"]
    assert proof.pair_mac(key, False, *ids) == octets["pair_device"]
    assert proof.code_key(octets["code_secret"], ids[0], ids[1], octets["binding"]) == octets["code_key"]
    assert fingerprint(ids[0], ids[1], key) == held["fingerprint"]


def test_every_vector_is_used():
    used = [vectors.file_name(cls) for cls in vectors.MESSAGES] + list(vectors.RECORDS) + ["frames", "macs", "exchange"]
    assert sorted(used) == vectors.names()
