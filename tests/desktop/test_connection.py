"""Requests in flight, replies in order, what is kept and what is dropped, and every way a device can be wrong."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cradle_desktop import connection as connection_module
from cradle_desktop import opening
from cradle_desktop.capture import read_capture
from cradle_desktop.commands.recording import recorded
from cradle_desktop.connection import HIGH_WATER, Connection
from cradle_desktop.errors import DeviceError, LinkGone, NoDevice, NotPaired, RequestFailed
from cradle_desktop.opening import Ears, connect
from cradle_hardware.address import listen
from cradle_hardware.link import Listener
from cradle_protocol.errors import NO_STORE
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import events as e
from desktop.tiny_device import DESKTOP, DEVICE_ID, KEY, TinyDevice

_names = itertools.count()


@contextmanager
def device(address: str = "", **how: Any) -> Iterator[tuple[str, list[TinyDevice]]]:
    """A device that waits for one desktop; (address, [the device once it is connected])."""
    import threading

    listener: Listener = listen(address or f"loop:connection-{next(_names)}")
    met: list[TinyDevice] = []

    def wait() -> None:
        link = listener.accept(10)
        if link is not None:
            met.append(TinyDevice(link, **how))

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    try:
        yield listener.address, met
    finally:
        thread.join(10)
        for one in met:
            one.__exit__()
        listener.close()


@contextmanager
def connected(address: str = "", ears: Ears | None = None, **how: Any) -> Iterator[tuple[Connection, TinyDevice]]:
    with (
        device(address, **how) as (where, met),
        connect(where, KEY, DESKTOP, name="kiosk", device_id=DEVICE_ID, ears=ears) as connection,
    ):
        while not met:
            time.sleep(0.001)  # it answers before its maker has noted it
        yield connection, met[0]


@pytest.mark.parametrize("address", ["", "tcp://127.0.0.1:0?plain=1"])
def test_a_request_and_its_reply(address: str) -> None:
    with connected(address) as (connection, _):
        assert (connection.peer.name, connection.peer.types[0][0]) == ("kiosk", "files")
        assert connection.call(c.HASH, b"hello") == b"hello"
        assert connection.call(c.HASH, [b"a", b"", memoryview(b"bc")]) == b"abc"
        assert connection.bytes_sent > 60 and connection.bytes_received > 60


def test_replies_in_any_order() -> None:
    """The device answers in order; who asks for the last one first gets it, and the others are kept."""
    with connected() as (connection, _):
        numbers = [connection.start(c.HASH, b"%d" % k) for k in range(4)]
        for number, k in reversed(list(zip(numbers, range(4)))):
            assert [bytes(body) for _, body, _ in connection.replies(number)] == [b"%d" % k]


def test_a_reply_in_parts() -> None:
    with connected() as (connection, _):
        parts = [
            (kind, bytes(body[:2]), more) for kind, body, more in connection.replies(connection.start(c.FETCH, b"x"))
        ]
        assert len(parts) == 100 and parts[0][1] == b"x" and parts[-1] == (c.FETCH_REPLY, b"en", False)
        assert all(more for _, _, more in parts[:-1])


def test_who_stops_early_gets_no_more() -> None:
    with connected() as (connection, _):
        for _, body, _ in connection.replies(connection.start(c.FETCH, b"first")):
            assert bytes(body) == b"first"
            break
        assert connection.call(c.HASH, b"next") == b"next"
        assert connection._kept == {} and connection._kept_bytes == 0 and connection._unwanted == set()


def test_more_requests_than_the_device_takes() -> None:
    """The fifth waits until one of the four is answered."""
    with connected() as (connection, _):
        numbers = [connection.start(c.HASH, b"%d" % k) for k in range(12)]
        assert [b"".join(bytes(b) for _, b, _ in connection.replies(n)) for n in numbers] == [
            b"%d" % k for k in range(12)
        ]


def test_a_long_request_in_parts_is_sent_while_it_is_made() -> None:
    with connected() as (connection, device):
        number, part = None, bytes(700_000)
        for _ in range(20):
            number = connection.start(c.APPLY, [b"head", part], more=True, request=number)
            assert connection._pump.waiting() <= HIGH_WATER
        connection.start(c.APPLY, b"", request=number)
        assert [bytes(body) for _, body, _ in connection.replies(number or 0)] == [b""]
        assert len(device.heard) == 21 and sum(size for _, size in device.heard) == 20 * 700_004


def test_a_refusal_is_the_requests_own() -> None:
    with connected() as (connection, _):
        bad, good = connection.start(c.STASH), connection.start(c.HASH, b"fine")
        assert [bytes(body) for _, body, _ in connection.replies(good)] == [b"fine"]
        with pytest.raises(RequestFailed, match="the card was pulled out") as failed:
            list(connection.replies(bad))
        assert failed.value.status == NO_STORE
        assert connection.call(c.HASH, b"still there") == b"still there"


def test_notices_are_heard_while_waiting() -> None:
    def noisy(device: TinyDevice, event: tuple[Any, ...]) -> bool:
        if event[0] == e.REQUEST:
            device.session.notify(c.NOTICE_STATUS, b"\x00\x04busy")
        return False

    heard: list[tuple[int, bytes]] = []
    with connected(special=noisy, ears=Ears(notice=lambda kind, body: heard.append((kind, body)))) as (connection, _):
        connection.call(c.HASH)
    assert heard == [(c.NOTICE_STATUS, b"\x00\x04busy")]


def test_a_device_that_works_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for, and the user hears that it is still there."""

    def slow(device: TinyDevice, event: tuple[Any, ...]) -> bool:
        if event[0] == e.REQUEST:
            time.sleep(0.5)
        return False

    monkeypatch.setattr(connection_module, "SILENCE", 0.2)
    heard: list[float] = []
    with connected(special=slow) as (connection, _):
        connection.on_silence = heard.append
        assert connection.call(c.HASH, b"done") == b"done"
    assert len(heard) == 2 and 0.2 <= heard[0] < 0.4


def test_a_device_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers no request and no PING, and its link is there; one that says that it is at work is waited for."""

    def hangs(device: TinyDevice, event: tuple[Any, ...]) -> bool:
        if event[0] == e.REQUEST and event[1] == c.HASH:
            for _ in range(10):
                time.sleep(0.1)
                device.session.alive()
                device.flush()
        while event[0] == e.REQUEST and event[1] == c.APPLY and not device.stopped:
            time.sleep(0.05)
        return False

    monkeypatch.setattr(connection_module, "PATIENCE", 0.5)
    monkeypatch.setattr(connection_module, "ALIVE", 0.1)
    with connected(special=hangs) as (connection, device):
        assert connection.call(c.HASH, b"worked") == b"worked"
        for last in (False, True):  # while it takes no more, and while it owes an answer
            with pytest.raises(LinkGone, match="has said nothing for 0 s, though its link is there") as gone:
                connection.call(c.APPLY) if last else upload(connection)
            assert gone.value.exit_code == 7
        device.stopped = True


def upload(connection: Connection) -> None:
    """Parts of one request, up to what memory would hold a hundred times."""
    number = None
    for _ in range(1000):
        number = connection.start(c.APPLY, bytes(700_000), True, number)


def test_a_device_that_goes_is_link_lost() -> None:
    def leaves(device: TinyDevice, event: tuple[Any, ...]) -> bool:
        if event[0] == e.REQUEST:
            device.link.close()
            device.stopped = True
        return event[0] == e.REQUEST

    with connected(special=leaves) as (connection, _), pytest.raises(LinkGone) as gone:
        connection.call(c.HASH)
    assert gone.value.exit_code == 7


def test_a_device_that_talks_nonsense() -> None:
    def babbles(device: TinyDevice, event: tuple[Any, ...]) -> bool:
        if event[0] == e.REQUEST:
            device.link.write_some([b"\x00\x00\x00\x55\x00\x09"])
        return event[0] == e.REQUEST

    with connected(special=babbles) as (connection, _), pytest.raises(DeviceError, match="update it"):
        connection.call(c.HASH)


def test_another_key_stops_hard() -> None:
    with device(key=b"x" * 32) as (where, _), pytest.raises(NotPaired, match="cradle pair loop:") as refused:
        connect(where, KEY, DESKTOP, name="kiosk")
    assert refused.value.exit_code == 6


def test_a_device_that_forgot_us() -> None:
    with device(key=None) as (where, _), pytest.raises(NotPaired, match="kiosk is not paired"):
        connect(where, KEY, DESKTOP, name="kiosk")


def test_another_device_at_the_address_learns_nothing() -> None:
    with device() as (where, met), pytest.raises(NotPaired, match="another one that calls itself 'kiosk'"):
        connect(where, KEY, DESKTOP, name="porch", device_id=b"x" * 16)
    assert met[0].heard == []


def test_silence_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "HELLO", 0.3)
    listener = listen("tcp://127.0.0.1:0?plain=1")
    with listener, pytest.raises(NoDevice, match=r"no agent answers .* perhaps it is busy with another"):
        connect(listener.address, KEY, DESKTOP)


def test_a_stranger_that_answers_is_no_device() -> None:
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:

        def web() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(100)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=web, daemon=True)
        thread.start()
        with pytest.raises(NoDevice, match="no cradle agent"):
            connect(f"tcp://127.0.0.1:{server.getsockname()[1]}?plain=1", KEY, DESKTOP)
        thread.join(5)


def test_a_capture_holds_both_directions(tmp_path: Any) -> None:
    path = tmp_path / "talk"
    with recorded(str(path)) as file, connected(ears=Ears(capture=file)) as (connection, _):
        connection.call(c.HASH, b"look for me")
    with open(path, "rb") as written:
        serial, records = read_capture(written)
        sides = {record.to_device for record in records if b"look for me" in record.data}
    assert not serial and sides == {True, False}
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.alone
def test_bulk_is_fast() -> None:
    """Not a benchmark: far below what the link does, far above what a copy per byte or a poll per message would."""
    with connected("tcp://127.0.0.1:0?plain=1") as (connection, _):
        number, part, begun = None, memoryview(bytearray(1 << 20))[:-100], time.perf_counter()
        for _ in range(64):
            number = connection.start(c.APPLY, [part], more=True, request=number)
        connection.start(c.APPLY, b"", request=number)
        list(connection.replies(number or 0))
        assert 64 / (time.perf_counter() - begun) > 50, "MB/s"
