"""Addresses: what is understood, and one sentence for what is not."""

import subprocess
import sys
from pathlib import Path

import pytest

from cradle_hardware.address import DEFAULT_PORT, Address, is_address, listen, open_link, parse_address
from cradle_hardware.link import AddressError, LinkError, LinkRefused, NoDevice, PortBusy

GOOD = {
    "serial:/dev/ttyACM0": Address("serial", path="/dev/ttyACM0"),
    "serial:/dev/ttyUSB0?baud=921600": Address("serial", path="/dev/ttyUSB0", baud=921600),
    "rfc2217://host:2217": Address("rfc2217", host="host", port=2217),
    "rfc2217://10.0.0.7:2217?baud=9600": Address("rfc2217", host="10.0.0.7", port=2217, baud=9600),
    "tcp://host:7465": Address("tcp", host="host", port=7465),
    "tcp://0.0.0.0:0?plain=1": Address("tcp", host="0.0.0.0", plain=True),
    "tcp://[::1]:99": Address("tcp", host="::1", port=99),
    "loop:": Address("loop"),
    "loop:porch": Address("loop", path="porch"),
    "/media/stick": Address("directory", path="/media/stick"),
    "./card": Address("directory", path="./card"),
    "/dev/shm/card": Address("directory", path="/dev/shm/card"),
}
SHORT = {
    "/dev/ttyACM0": "serial:/dev/ttyACM0",
    "/dev/ttyS1?baud=9600": "serial:/dev/ttyS1?baud=9600",
    "tcp://host": f"tcp://host:{DEFAULT_PORT}",
    "tcp://host/": f"tcp://host:{DEFAULT_PORT}",
    "tcp://[fe80::1]": f"tcp://[fe80::1]:{DEFAULT_PORT}",
    "tcp://host:1?plain=0": "tcp://host:1",
}
BAD = [
    *("", " ", " tcp://host", "tcp://host\n", "porch", "http://host", "TCP://host", ":", "tcp:", "tcp://", "tcp:host"),
    *("tcp://:7465", "tcp://host:", "tcp://host:x", "tcp://host:65536", "tcp://host:-1", "tcp://::1", "tcp://[::1"),
    *(
        "tcp://[host]:1",
        "tcp://a/b:1",
        "tcp://a@b:1",
        "tcp://host:1?plain=yes",
        "tcp://host:1?plain",
        "tcp://host:1?baud=9",
    ),
    *("tcp://host:1?plain=1&plain=1", "tcp://host:1?", "tcp://host:99999999999999999999", "tcp://host:\u0661"),
    *("serial:", "serial:ttyACM0", "serial:/dev/ttyACM0?baud=", "serial:/dev/ttyACM0?baud=0", "serial:/dev/x?baud=1e9"),
    *("serial:/dev/ttyACM0?plain=1", "serial:/dev/ttyACM0?baud=99999999", "rfc2217://host", "rfc2217://host:1?x=1"),
    *("loop:a?b=1",),
]


@pytest.mark.parametrize("text", GOOD)
def test_each_form_is_understood_and_written_back(text: str) -> None:
    assert parse_address(text) == GOOD[text]
    assert str(GOOD[text]) == text and is_address(text)


@pytest.mark.parametrize("text", SHORT)
def test_short_forms_have_one_canonical_text(text: str) -> None:
    assert str(parse_address(text)) == SHORT[text]


@pytest.mark.parametrize("text", BAD)
def test_bad_addresses_get_one_sentence(text: str) -> None:
    with pytest.raises(AddressError) as error:
        parse_address(text)
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value) and ": " in str(error.value)


@pytest.mark.parametrize("text", ["usb:2e8a:0005", "mdns:porch", "s3://bucket/x", "azure://account/x"])
def test_later_schemes_are_known_but_not_yet(text: str) -> None:
    with pytest.raises(AddressError, match="later version"):
        parse_address(text)


def test_names_are_no_addresses() -> None:
    assert not is_address("porch") and not is_address("kiosk-2")


def test_a_folder_is_understood_and_not_opened(tmp_path: Path) -> None:
    with pytest.raises(AddressError, match="no link leads to one"):
        open_link(str(tmp_path))
    with pytest.raises(AddressError, match="cannot be listened at"):
        listen(str(tmp_path))


def test_nobody_there_is_no_device() -> None:
    with listen("tcp://127.0.0.1:0?plain=1") as listener:
        address = listener.address
    for place in (
        address,
        "loop:nobody",
        "tcp://no.such.host.invalid:1",
        "serial:/dev/no-such-port",
        "serial:/dev/null",
    ):
        with pytest.raises(NoDevice) as error:
            open_link(place, timeout=2.0)
        assert error.value.exit_code == 3 and ": " in str(error.value)
    with pytest.raises(AddressError, match="only for listening"):
        open_link("tcp://127.0.0.1:0?plain=1")


def test_a_pin_never_opens_a_link_without_tls() -> None:
    with listen("loop:pinned"), pytest.raises(AddressError):
        open_link("loop:pinned", pin=b"p" * 32)
    with listen("tcp://127.0.0.1:0?plain=1") as listener, pytest.raises(LinkRefused):
        open_link(listener.address, pin=b"p" * 32)


def test_two_cannot_listen_at_one_place() -> None:
    with listen("loop:taken"), pytest.raises(PortBusy):
        listen("loop:taken")
    with listen("tcp://127.0.0.1:0?plain=1") as listener, pytest.raises(PortBusy) as error:
        listen(listener.address)
    assert error.value.exit_code == 8


def test_listening_needs_what_it_needs() -> None:
    with pytest.raises(LinkError, match="certificate"):
        listen("tcp://127.0.0.1:0")
    with pytest.raises(LinkError, match="cannot listen"):
        listen("tcp://192.0.2.1:1?plain=1")


def test_accepting_ends_in_time() -> None:
    for address in ("loop:lonely", "tcp://127.0.0.1:0?plain=1"):
        with listen(address) as listener:
            assert listener.accept(0.01) is None


def test_links_nobody_accepted_end_with_the_listener() -> None:
    listener = listen("loop:brief")
    link = open_link("loop:brief")
    listener.close()
    with link, pytest.raises(LinkError):
        link.read(1, 1.0)


def test_a_plain_link_loads_no_driver() -> None:
    program = """
import sys
from cradle_hardware.address import listen, open_link
with listen("tcp://127.0.0.1:0?plain=1") as listener, open_link(listener.address) as link, listener.accept(5.0) as far:
    link.write_some([b"x"])
    assert far.read(1, 5.0) == b"x"
print(sorted({"ssl", "serial", "cryptography", "spake2", "asyncio", "subprocess", "dataclasses"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
        check=True,
    )
    assert done.stdout == "[]\n"
