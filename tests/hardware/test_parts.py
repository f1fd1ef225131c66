"""The small parts: what waits to go out, the brake, the pairing code, what ports are called."""

import hashlib
from collections.abc import Sequence

import pytest

from cradle_hardware import discovery, loopback
from cradle_hardware.chunks import MOST_CHUNKS, front
from cradle_hardware.link import Buffer, LinkInfo
from cradle_hardware.outbox import Outbox
from cradle_hardware.pacing import QUEUE_S, Pacer
from cradle_hardware.pake import Pake
from rules.source import ROOT

DESKTOP, DEVICE = b"d" * 16, b"v" * 16


def test_front_cuts_and_skips_what_is_empty() -> None:
    assert front([b"", b"abc", b"", b"defg"], 5) == [b"abc", b"de"]
    assert front([b"abc"], 0) == [] and front([], 9) == []
    assert len(front([b"x"] * 1000, 10_000)) == MOST_CHUNKS


def test_an_outbox_keeps_order_and_sends_only_what_fits() -> None:
    near, far = loopback.pair()
    out = Outbox()
    chunks: Sequence[Buffer] = [bytes([i % 251]) * (i % 97) for i in range(3000)]
    out.add(chunks)
    assert out.size == len(b"".join(chunks))
    digest, count = hashlib.sha256(), 0
    with near, far:
        while out.size or count < near.sent:
            out.send(near)
            data = far.read(5000, 1.0)
            digest.update(data)
            count += len(data)
        assert out.size == 0 and out.send(near) == 0
    assert digest.digest() == hashlib.sha256(b"".join(chunks)).digest()
    out.add([b"x"])
    out.clear()
    assert out.size == 0


def test_the_brake_keeps_the_queue_short_and_the_line_busy() -> None:
    pacer, now, handed = Pacer(1000), 50.0, 0
    until = now + 10
    while now < until:
        room = pacer.room(now)
        assert room <= QUEUE_S * 1000
        pacer.sent(room, now)
        handed += room
        delay = pacer.delay(now)
        assert delay < QUEUE_S
        now += delay + 0.001
    assert 10_000 <= handed <= 10_000 + QUEUE_S * 1000 + 5


def test_no_rate_is_no_brake() -> None:
    pacer = Pacer(0)
    pacer.sent(1 << 20, 0.0)
    assert pacer.room(0.0) > 1 << 20 and pacer.delay(0.0) == 0.0


def exchange(code: str, other: str, ids: tuple[bytes, bytes] = (DESKTOP, DEVICE)) -> tuple[bytes, bytes]:
    desktop, device = Pake(code, True, DESKTOP, DEVICE), Pake(other, False, *ids)
    first, second = desktop.start(), device.start()
    return desktop.finish(second), device.finish(first)


def test_one_code_gives_one_secret() -> None:
    near, far = exchange("418302", "418302")
    assert near == far and len(near) == 32
    assert exchange("418302", "418302")[0] != near


def test_another_code_or_id_gives_another_secret() -> None:
    near, far = exchange("418302", "418303")
    assert near != far
    near, far = exchange("418302", "418302", (DESKTOP, b"w" * 16))
    assert near != far


def test_what_is_no_pairing_message_is_a_value_error() -> None:
    blob = Pake("1", False, DESKTOP, DEVICE).start()
    own = Pake("1", True, DESKTOP, DEVICE)
    mine = own.start()
    bad = [
        b"",
        b"B",
        blob[:-1],
        blob + b"x",
        mine,
        b"B" + mine[1:],
        b"B" + bytes(32),
        b"B\1" + bytes(31),
        b"B" + b"\xff" * 32,
    ]
    for wrong in bad:
        pake = Pake("1", True, DESKTOP, DEVICE)
        start = pake.start()
        with pytest.raises(ValueError, match="SPAKE2"):
            pake.finish(b"B" + start[1:] if wrong[1:] == mine[1:] and wrong[:1] == b"B" else wrong)


def test_ports_in_sight_are_listed() -> None:
    ports = discovery.serial_ports()
    assert all(isinstance(p, LinkInfo) and p.address.startswith("serial:/") for p in ports)
    assert discovery.board(0x2E8A, 0x0005).startswith("Raspberry Pi Pico") and discovery.board(None, 1) == ""


def test_the_udev_rules_cover_the_known_boards() -> None:
    text = (ROOT / "hardware" / "udev" / "70-cradlesync.rules").read_text(encoding="ascii")
    missing = [b for (v, p), b in discovery.BOARDS.items() if f'=="{v:04x}", ATTRS{{idProduct}}=="{p:04x}"' not in text]
    assert missing == [] and text.count('GOTO="cradlesync_board"') == len(discovery.BOARDS)
