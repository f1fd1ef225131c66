"""The emulated line: its pace, its seeded noise, its cable."""

import time
from pathlib import Path

import pytest

from cradle_hardware.address import open_link
from cradle_hardware.emulated import EmulatedLine, Line, LineProcess
from cradle_hardware.emulated.noise import Console, Noise
from cradle_hardware.link import Link, LinkLost, NoDevice
from cradle_testing.links import PATIENCE, Pump, drain, pattern

FULL = 0.99  # of the nominal rate at least
SLACK = 1.02  # at most: the clock is read a moment after the last byte


def rate_both_ways(ends: tuple[Link, Link], size: int) -> float:
    """Bytes a second in each direction with both full."""
    pump = Pump(ends)
    start = time.monotonic()
    for out in pump.out:
        out.add([pattern(size)])
    pump.until(size, size)
    return size / (time.monotonic() - start)


@pytest.mark.alone
@pytest.mark.parametrize("baud", [9600, 115200, 921600])
def test_both_directions_run_at_the_nominal_rate(baud: int) -> None:
    with EmulatedLine(Line(baud=baud)) as line, line.desktop_link() as near, line.device_link() as far:
        rate_both_ways((near, far), baud // 20)
        for to_device in (True, False):
            meter = line.meter(to_device)
            assert (meter.taken, meter.delivered, meter.dropped) == (baud // 20, baud // 20, 0)
            assert FULL <= meter.delivered / (meter.last - meter.first) / (baud / 10) <= SLACK


@pytest.mark.alone
def test_ports_of_a_line_in_its_own_process_run_at_the_nominal_rate(tmp_path: Path) -> None:
    with (
        LineProcess(Line(baud=115200), tmp_path) as line,
        open_link(line.desktop_address) as near,
        open_link(line.device_address) as far,
    ):
        assert 0.95 * 11520 <= rate_both_ways((near, far), 5000) <= SLACK * 11520
        meter = line.meter(True)
        assert meter.delivered == 5000 and FULL <= 5000 / (meter.last - meter.first) / 11520 <= SLACK
        line.reset_meters()
        assert line.meter(True).taken == 0
        line.cut_after(0, True)
        with pytest.raises(LinkLost):
            near.read(1, PATIENCE)
        assert not line.plugged
        line.mend()
        with open_link(line.desktop_address) as again:
            far.write_some([b"hello"])
            assert drain(again, 5) == b"hello"


@pytest.mark.alone
def test_a_byte_takes_its_time() -> None:
    with EmulatedLine(Line(baud=1200)) as line, line.desktop_link() as near, line.device_link() as far:
        start = time.monotonic()
        near.write_some([b"x" * 12])
        drain(far, 12)
        assert 0.1 <= time.monotonic() - start < 0.2


def hurt(line: Line, data: bytes, piece: int) -> tuple[bytes, float]:
    noise = Noise(line, "to device")
    parts = [noise.apply(data[i : i + piece]) for i in range(0, len(data), piece)]
    return b"".join(p for p, _ in parts), sum(s for _, s in parts)


def test_a_seed_hurts_the_same_bytes_however_they_are_cut() -> None:
    line = Line(byte_errors=1e-3, bursts=1e-4, duplicates=1e-3, stalls=1e-4, seed=7)
    data = pattern(50_000)
    whole = hurt(line, data, 50_000)
    assert whole[0] != data and whole[1] > 0
    for piece in (1, 7, 4096):
        arrived, stall = hurt(line, data, piece)
        assert arrived == whole[0] and stall == pytest.approx(whole[1])
    assert hurt(line._replace(seed=8), data, 50_000)[0] != whole[0]


def test_rates_are_what_was_asked() -> None:
    size = 200_000
    data = pattern(size)
    wrong = hurt(Line(byte_errors=1e-2), data, 100)[0]
    assert len(wrong) == size and 0.8 < sum(a != b for a, b in zip(wrong, data, strict=True)) / (size * 1e-2) < 1.2
    assert 0.8 < (len(hurt(Line(duplicates=1e-2), data, 100)[0]) - size) / (size * 1e-2) < 1.2
    lost = size - len(hurt(Line(bursts=1e-4, burst_bytes=30), data, 100)[0])
    assert 0.5 < lost / (size * 1e-4 * 30) < 1.5
    assert hurt(Line(stalls=1.0, stall_s=0.5), b"ab", 2) == (b"ab", 1.0)
    assert hurt(Line(), data, 100) == (data, 0.0)


def test_directions_have_noise_of_their_own() -> None:
    line = Line(byte_errors=1e-2)
    assert Noise(line, "to device").apply(bytes(5000)) != Noise(line, "to desktop").apply(bytes(5000))


def frame(size: int) -> bytes:
    return b"\x7e\xfb" + b"d" * size + b"\x7e"


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_console_text_stands_between_frames(piece: int) -> None:
    console = Console(b"temp 21\r\n", 100)
    data = frame(30) * 40
    out = b"".join(console.apply(data[i : i + piece]) for i in range(0, len(data), piece))
    assert out.replace(b"temp 21\r\n", b"") == data
    assert out.count(b"\x7etemp 21\r\n\x7e\xfb") == out.count(b"temp") == len(data) // 132


def test_console_text_finds_its_place_again_after_half_a_frame() -> None:
    console = Console(b"T", 1)
    console.apply(b"\x7e\xfbhalf")
    assert console.apply(frame(3)) == frame(3)
    assert console.apply(frame(3)) == b"T" + frame(3)


def test_console_text_of_the_device_arrives() -> None:
    with (
        EmulatedLine(Line(baud=921600, console=b"T=21\n", console_every=50)) as line,
        line.desktop_link() as near,
        line.device_link() as far,
    ):
        far.write_some([frame(47) * 4])
        assert drain(near, 215) == frame(47) + (b"T=21\n" + frame(47)) * 3
        near.write_some([frame(47) * 4])
        assert drain(far, 200) == frame(47) * 4


def test_a_full_fifo_drops_what_comes_on_top() -> None:
    with EmulatedLine(Line(baud=921600, fifo=64)) as line, line.desktop_link() as near, line.device_link() as far:
        near.write_some([pattern(500)])
        end = time.monotonic() + PATIENCE
        while line.meter(True).taken < 500 or time.monotonic() < line.meter(True).last + 0.02:
            assert time.monotonic() < end
            time.sleep(0.005)
        assert far.read(500) == pattern(64)
        assert line.meter(True).dropped == 500 - 64
        near.write_some([b"next"])
        assert drain(far, 4) == b"next"


def test_a_cable_is_pulled_at_the_exact_byte() -> None:
    with EmulatedLine(Line(baud=921600)) as line, line.device_link() as far:
        for count in (1, 100, 777):
            with line.desktop_link() as near:
                line.cut_after(count, to_device=True)
                near.write_some([pattern(2000)])
                with pytest.raises(LinkLost):
                    while True:
                        near.read(1, PATIENCE)
            assert drain(far, count) == pattern(count) and far.read(1, 0.02) == b""
            assert not line.plugged and line.meter(True).delivered == count
            far.write_some([b"into the void"])
            line.mend()
            line.reset_meters()


def test_a_pulled_port_vanishes_and_comes_back_under_its_name(tmp_path: Path) -> None:
    with EmulatedLine(Line(baud=921600), tmp_path) as line, open_link(line.device_address) as far:
        with open_link(line.desktop_address) as near:
            line.cut()
            line.cut()
            with pytest.raises(LinkLost):
                near.read(1, PATIENCE)
            with pytest.raises(NoDevice):
                open_link(line.desktop_address)
        far.write_some([b"into the void"])
        line.mend()
        line.mend()
        with open_link(line.desktop_address) as near:
            near.write_some([b"hello"])
            assert drain(far, 5) == b"hello"
    assert list(tmp_path.iterdir()) == []


def test_bytes_to_a_port_that_nobody_has_open_are_lost(tmp_path: Path) -> None:
    with EmulatedLine(Line(baud=921600), tmp_path) as line:
        with open_link(line.device_address) as far:
            far.write_some([pattern(3000)])
            end = time.monotonic() + PATIENCE
            while line.meter(False).dropped < 3000:
                assert time.monotonic() < end
                time.sleep(0.01)
        with open_link(line.desktop_address) as near:
            assert near.read(1, 0.02) == b""


def test_asking_for_the_other_kind_of_end_is_an_error(tmp_path: Path) -> None:
    with EmulatedLine(Line(), tmp_path) as line, pytest.raises(ValueError, match="addresses"):
        line.desktop_link()
    with pytest.raises(ValueError, match="closed"):
        line.cut()
    with EmulatedLine(Line()) as line, pytest.raises(ValueError, match="in memory"):
        _ = line.desktop_address


@pytest.mark.parametrize("ports", [False, True], ids=["memory", "ports"])
def test_a_line_stands_still_while_nobody_reads_and_loses_nothing(tmp_path: Path, ports: bool) -> None:
    size = 60_000  # more than both queues hold
    with EmulatedLine(Line(baud=4_000_000), tmp_path if ports else None) as line:
        near = open_link(line.desktop_address) if ports else line.desktop_link()
        far = open_link(line.device_address) if ports else line.device_link()
        with near, far:
            pump = Pump((near, far))
            pump.out[0].add([pattern(size)])
            until = time.monotonic() + 0.2
            while time.monotonic() < until:
                pump.out[0].send(near)
                near.wait(False, True, 0.01)
            assert pump.out[0].size > 0
            pump.until(0, size)
            assert pump.got[1] == pattern(size) and line.meter(True).dropped == 0
