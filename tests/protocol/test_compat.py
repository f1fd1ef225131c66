"""Ticks that wrap, HMAC by RFC 4231, comparison, CRC; errors say whose fault it was and what a code means."""

from cradle_protocol import errors
from cradle_protocol.compat import TICKS_MASK, crc32, hmac_sha256, same, sha256, ticks_add, ticks_diff

# RFC 4231, test cases 1, 2 and 6: key, data, HMAC-SHA-256.
HMACS = (
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
)


def test_ticks_wrap():
    for start in (0, 5, TICKS_MASK - 3, 0x20000000):
        for delta in (0, 1, 10, 100000, 0x1FFFFFFF):
            later = ticks_add(start, delta)
            assert 0 <= later <= TICKS_MASK
            assert ticks_diff(later, start) == delta and ticks_diff(start, later) == -delta


def test_ticks_that_never_wrap_do_as_well():
    start = (7 << 30) + 12345
    assert ticks_diff(ticks_add(start, 500), start) == 500
    assert ticks_diff(start + 700, ticks_add(start, 500)) == 200


def test_hmac():
    for key, data, digest in HMACS:
        assert hmac_sha256(key, data) == hmac_sha256(key, memoryview(data)) == bytes.fromhex(digest)


def test_same():
    assert same(b"", b"") and same(b"abc", bytearray(b"abc")) and same(memoryview(b"abc"), b"abc")
    assert not same(b"abc", b"abd") and not same(b"abc", b"ab") and not same(b"", b"a")


def test_hashes():
    assert crc32(b"123456789") == 0xCBF43926 and crc32(b"6789", crc32(b"12345")) == 0xCBF43926
    running = sha256(b"a")
    running.update(memoryview(b"bc"))
    assert running.digest() == sha256(b"abc").digest()


def test_errors():
    for cls in (errors.LocalError, errors.RemoteError):
        try:
            raise cls(errors.TOO_LONG)
        except errors.ProtocolError as error:
            assert error.code == errors.TOO_LONG and str(error) == errors.STATUS_TEXT[errors.TOO_LONG]
        assert str(cls(errors.LIMIT, "no more than seven")) == "no more than seven"
        assert str(cls(200)) == "status 200"
    assert sorted(errors.STATUS_TEXT) == list(range(26))
