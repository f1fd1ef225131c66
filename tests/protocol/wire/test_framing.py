"""Frames: stuffing both ways of doing it, damage, console text, whatever pieces they come in."""

from cradle_protocol.wire import framing as f
from protocol.wire.line import Dice

HEAD = b"\xfb\x01\x00\x00"


def framed(info, escapes=f.ESCAPES_PLAIN, size=300):
    out = memoryview(bytearray(f.stuffed_size(size)))
    return bytes(out[: f.Framer(size, escapes).frame(HEAD, info, out)])


def found(data, step=0, size=300):
    """What a deframer makes of these octets, `step` at a time; text that belongs together is joined."""
    deframer = f.Deframer(size)
    items = []
    for at in range(0, len(data), step or len(data)):
        piece = memoryview(data)[at : at + (step or len(data))]
        while len(piece):
            piece = piece[deframer.feed(piece) :]
            item = deframer.next()
            while item is not None:
                kind, octets = item
                octets = None if kind == f.DAMAGED else bytes(octets)
                if kind == f.CONSOLE and items and items[-1][0] == f.CONSOLE:
                    items[-1] = (kind, items[-1][1] + octets)
                else:
                    items.append((kind, octets))
                item = deframer.next()
    return items


def both(data, size=300):
    """The same, whole and octet by octet, must be the same."""
    items = found(data, 0, size)
    assert items == found(data, 1, size) == found(data, 5, size)
    return items


def test_two_ways_of_stuffing():
    dice = Dice(3)
    for escapes in (f.ESCAPES_PLAIN, f.ESCAPES_REPL):
        pairs = f._pairs(escapes)
        for data in (b"", b"\x7e", b"\x7d\x7d", escapes * 3, bytes(range(256)), dice.bytes(200), b"\x7d\x5e\x7d"):
            one, two = memoryview(bytearray(600)), memoryview(bytearray(600))
            size = f.stuff_by_replace(data, pairs, one, 1)
            assert f.stuff_by_slices(bytearray(data + b"tail"), len(data), pairs, two, 1) == size
            assert one[:size] == two[:size]
            stuffed = bytearray(b"?" + bytes(one[1:size]) + b"?")
            back = memoryview(bytearray(300))
            for undo in (f.unstuff_by_replace, f.unstuff_by_slices):
                if undo is f.unstuff_by_slices or f._UNDO:
                    assert undo(stuffed, 1, size, back) == len(data) and bytes(back[: len(data)]) == data
                    assert undo(stuffed, 1, size, back[: len(data) - 1]) == -1 or not data


def test_stuffing_does_not_fit():
    back = memoryview(bytearray(3))
    for undo in (f.unstuff_by_replace, f.unstuff_by_slices):
        assert undo(bytearray(b"abcd"), 0, 4, back) == -1
    assert f.unstuff_by_slices(bytearray(b"ab\x7d"), 0, 3, back) == -1


def test_frames_and_text_alternate():
    data = b"boot ~ ok\r\n" + framed(b"one") + framed(b"") + b"text" + framed(b"two" * 90) + b"~~"
    assert both(data + b"!") == [
        (f.CONSOLE, b"boot ~ ok\r\n"),
        (f.FRAME, HEAD + b"one"),
        (f.FRAME, HEAD),
        (f.CONSOLE, b"text"),
        (f.FRAME, HEAD + b"two" * 90),
        (f.CONSOLE, b"~~!"),
    ]


def test_text_in_other_scripts_is_text():
    text = "größe 机 🐍 ~{}~\r\n".encode()
    assert both(text + framed(b"x") + text)[::2] == [(f.CONSOLE, text), (f.CONSOLE, text)]


def test_every_octet_may_be_wrong():
    """A frame with a changed octet is damaged, or is lost with its flag; the next frame is found in any case."""
    whole = framed(bytes(range(40)))
    after = framed(b"after")
    for at in range(len(whole)):
        for flip in (1, 0x80, 0x20, 0x5A):
            data = bytearray(whole)
            data[at] ^= flip
            items = both(bytes(data) + after)
            assert items[-1] == (f.FRAME, HEAD + b"after"), (at, flip, items)
            frames = [item for item in items if item[0] == f.FRAME]
            assert len(frames) == 1 or (len(frames) == 2 and at == 0 and frames[0][1] == HEAD + bytes(range(40)))


def test_every_octet_may_be_lost():
    whole, after = framed(bytes(range(40))), framed(b"after")
    for at in range(len(whole)):
        items = both(whole[:at] + whole[at + 1 :] + after)
        assert items[-1] == (f.FRAME, HEAD + b"after"), (at, items)


def test_frame_that_never_ends_is_bounded():
    """Without a flag nothing is kept beyond the longest frame; the next flag ends it."""
    data = b"\x7e\xfb" + b"x" * 5000 + b"\x7e" + framed(b"after")
    items = both(data, 100)
    assert items == [(f.DAMAGED, None), (f.FRAME, HEAD + b"after")]


def test_longer_than_agreed_is_damaged():
    assert both(framed(b"y" * 200, size=300) + framed(b"after"), 100)[-1] == (f.FRAME, HEAD + b"after")
    assert both(framed(b"y" * 96, size=300), 100) == [(f.FRAME, HEAD + b"y" * 96)]


def test_aborted_and_empty_frames():
    for inside in (b"", b"\x7d", b"\x01\x02\x03", b"\x01\x02\x03\x7d"):
        assert both(b"\x7e\xfb" + inside + b"\x7e" + framed(b"z")) == [(f.DAMAGED, None), (f.FRAME, HEAD + b"z")]


def test_noise_never_makes_a_frame():
    dice = Dice(9)
    for _ in range(20):
        noise = dice.bytes(200)
        items = found(noise + b"\x7e" + framed(b"after"), 3)
        assert items[-1] == (f.FRAME, HEAD + b"after")
        assert [kind for kind, _ in items].count(f.FRAME) == 1
