"""Captures in words: of a stream and of a serial line with repeated frames, damage and console text."""

import io
from pathlib import Path

import pytest

from cradle_desktop.capture import Capture, CaptureError, read_capture
from cradle_desktop.inspect import decode_capture, describe_frame
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages import records, stream
from cradle_protocol.wire.messages.session import Error
from cradle_protocol.wire.parameters import LinkConfig
from cradle_protocol.wire.stream import message_header
from protocol.wire.line import Line, Lossy, Printing
from protocol.wire.pairs import KEY, Pair


def message(kind: int, body: bytes, request: int = 5, more: bool = False) -> bytes:
    return message_header(len(body), kind | (c.MORE if more else 0), request) + body


def lines_of(path: Path) -> list[str]:
    return [line[11:] for line in decode_capture(path)]


def test_stream(tmp_path: Path) -> None:
    pair = Pair(key=None)
    ticks = iter(range(0, 100000, 7))
    with open(tmp_path / "trace", "wb") as file:
        capture = Capture(file, False, lambda: next(ticks))
        pair.run()
        pair.desktop.pair_by_cable(KEY)
        pair.run()
        for desktop in (True, False):
            octets = pair.crossed[desktop]
            for at in range(0, len(octets), 10):
                (capture.sent if desktop else capture.received)(octets[at : at + 10])
    lines = lines_of(tmp_path / "trace")
    assert lines[0].startswith("->  HELLO #1 version=1 oldest=1 desktop_id=4444")
    assert lines[1] == "->  PAIR_CABLE #2 key=(not shown)"
    assert lines[2].startswith("<-  HELLO_REPLY #1") and "name='board'" in lines[2]
    assert lines[3].startswith("<-  PAIR_DONE #2 mac=")
    assert not [line for line in lines if KEY.hex() in line]


def test_rows_of_a_stream(tmp_path: Path) -> None:
    rows = stream.gap_element(0, 3) + stream.mark_element(3, 1, None) + stream.row_element(946684800000, b"{}")
    with open(tmp_path / "trace", "wb") as file:
        capture = Capture(file, False, lambda: 0)
        capture.received(message(c.STREAM_ROWS, rows, 9, True) + message(c.STREAM_ROWS, b"\x09", 9, True))
        capture.received(message(c.STREAM_END, stream.StreamEnd(4, 4).to_bytes(), 9))
    assert lines_of(tmp_path / "trace") == [
        f"<-  STREAM_ROWS #9 part {len(rows)} bytes",
        "<-    GAP first=0 rows=3",
        "<-    MARK row=3 era=1 known=0 device=0 true=0",
        "<-    ROW time=946684800000 data=7b7d",
        "<-  STREAM_ROWS #9 part 1 bytes",
        "<-    broken element: 09",
        "<-  STREAM_END #9 next=4 end=4",
    ]


def test_serial_line(tmp_path: Path) -> None:
    """Frames that were lost and repeated: each message once, in order, among all the frames."""
    body = records.segment_head(9, c.END, 5) + b"hello" + bytes(32)
    octets = b"".join(message(c.FETCH_REPLY, body, number, True) for number in range(200))
    over = Line(LinkConfig(16, 256), LinkConfig(16, 256), (Lossy(900, 30, 1), Printing(4)))
    with open(tmp_path / "trace", "wb") as file:
        capture = Capture(file, True, over.ms)
        keep_heard(over, capture)
        over.connect().carry(octets)
    lines = lines_of(tmp_path / "trace")
    assert lines[0].startswith("->  SABME tag=1 window=16 info=256 repl=0")
    replies = [line for line in lines if "FETCH_REPLY" in line]
    assert replies == [f"->  FETCH_REPLY #{number} part {len(body)} bytes" for number in range(200)]
    assert lines.count("->    oid=9 flags=1 data=68656c6c6f digest=" + "00" * 20 + "..(32 bytes)") == 200
    assert [line for line in lines if "SREJ" in line] and [line for line in lines if "damaged frame" in line]
    assert "".join(eval(line[12:]) for line in lines if line.startswith("<-  console")).encode() == over.desktop.console


def keep_heard(over: Line, capture: Capture) -> None:
    """Record what arrives, after the faults."""
    for end, keep in ((over.device, capture.sent), (over.desktop, capture.received)):
        end.take = heard(end.take, keep)  # type: ignore[method-assign]


def heard(take, keep):  # type: ignore[no-untyped-def]
    def both(data: bytes, now: int) -> None:
        keep(data)
        take(data, now)

    return both


def test_broken_messages_are_shown_not_raised(tmp_path: Path) -> None:
    octets = (
        message(c.HELLO, b"\x01")
        + message(0x7E, b"?")
        + message(c.APPLY, b"\x09zz")
        + message(c.CHANGES_REPLY, b"\xff")
    )
    octets += message(c.APPLY, b"\x03" + records.encode_begin(bytes(16), bytes(16), True), more=True)
    octets += (
        message(c.PASS, b"\x01\x00", more=True) + message(c.PASS, bytes(8)) + message(c.ERROR, Error(8, "x").to_bytes())
    )
    with open(tmp_path / "trace", "wb") as file:
        Capture(file, False, lambda: 0).sent(octets)
    assert lines_of(tmp_path / "trace") == [
        "->  HELLO #5 broken: 01",
        "->  message of unknown kind 0x7e #5 1 bytes",
        "->  APPLY #5 3 bytes",
        "->    broken element: 097a7a",
        "->  CHANGES_REPLY #5 1 bytes",
        "->    broken record: ff",
        "->  APPLY #5 part 35 bytes",
        "->    COMMIT",
        "->    BEGIN lower=" + "00" * 16 + " upper=" + "00" * 16 + " flags=1",
        "->  PASS #5 part 2 bytes",
        "->  PASS #5 channel=1 flags=0 made_with= forgotten=",
        "->  ERROR #5 status=8 text='x'",
    ]


def test_frames_in_words() -> None:
    assert describe_frame(b"\xfb\x01\x0d\x06\x06\x0a") == "SREJ tag=1 nr=3 missing 3 5"
    assert describe_frame(b"\xfb\x01\x05\x07\x03") == "RNR tag=1 nr=3 poll=03"
    assert describe_frame(b"\xfb\x01\x01\x07\x03\x08\x0d") == "RR tag=1 nr=3 answer=03 top=6 missing 4"
    assert describe_frame(b"\xfb\x01\x02\x03abc") == "I tag=1 ns=1 nr=1 p=1 3 octets"
    assert describe_frame(b"\xfb\x01\x53") == "DISC tag=1"
    assert describe_frame(b"\xfb") == "frame of 1 octets"


@pytest.mark.parametrize(
    "octets", [b"", b"CRADLEC", b"something else entirely", b"CRADLECP\x02\x00", b"CRADLECP\x01\x07"]
)
def test_files_that_are_no_captures(octets: bytes) -> None:
    with pytest.raises(CaptureError):
        read_capture(io.BytesIO(octets))


@pytest.mark.parametrize("octets", [b"\x00", b"\x00" * 8 + b"\x05abcd", b"\x02" + bytes(8), b"\x00" * 5 + b"\xff" * 4])
def test_captures_that_are_damaged(octets: bytes) -> None:
    _, found = read_capture(io.BytesIO(b"CRADLECP\x01\x00" + octets))
    with pytest.raises(CaptureError):
        list(found)
