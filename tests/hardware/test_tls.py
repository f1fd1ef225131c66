"""TLS links: who is at the other end, which versions, and what happens when one end has none."""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from cradle_hardware import tls
from cradle_hardware.address import listen, open_link
from cradle_hardware.certificate import CERTIFICATE_FILE, KEY_FILE, Certificate, load_or_make
from cradle_hardware.link import Link, LinkError, LinkLost, LinkRefused, Listener
from cradle_testing.links import PATIENCE, fill


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return load_or_make(tmp_path_factory.mktemp("tls") / "agent", "porch")


@pytest.fixture
def listener(certificate: Certificate) -> Iterator[Listener]:
    with listen("tcp://127.0.0.1:0", certificate=certificate) as found:
        yield found


@pytest.fixture
def aside() -> Iterator[Callable[..., "Future[Link]"]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit


def serve(listener: Listener, until: Callable[[], bool]) -> Link:
    """Accept one and keep its handshake going."""
    link = listener.accept(PATIENCE)
    assert link is not None
    end = time.monotonic() + PATIENCE
    while not until() and time.monotonic() < end:
        link.wait(True, False, 0.01)
    return link


def test_both_ends_have_the_certificates_hash(
    listener: Listener, certificate: Certificate, aside: Callable[..., "Future[Link]"]
) -> None:
    opening = aside(open_link, listener.address, pin=certificate.binding)
    with serve(listener, opening.done) as far, opening.result() as near:
        assert near.binding == far.binding == listener.binding == certificate.binding
        assert isinstance(near, tls.TlsLink) and near.version == "TLSv1.3"


def test_another_certificate_is_refused(listener: Listener, aside: Callable[..., "Future[Link]"]) -> None:
    opening = aside(open_link, listener.address, pin=b"\1" * 32)
    with pytest.raises(LinkError):
        serve(listener, opening.done).read(1, PATIENCE)
    with pytest.raises(LinkRefused, match="another certificate") as error:
        opening.result()
    assert error.value.exit_code == 6 and "pair again" in str(error.value)


def test_a_plain_client_at_a_tls_server_hears_it(listener: Listener) -> None:
    with open_link(listener.address + "?plain=1") as near:
        near.write_some([b"\0\0\x3c\1\0\1" + b"hello" * 12])
        far = listener.accept(PATIENCE)
        assert far is not None
        with far, pytest.raises(LinkRefused, match="does not speak TLS"):
            far.read(1, PATIENCE)
        with pytest.raises(LinkRefused, match=r"leave [?]plain=1 out"):
            near.read(1, PATIENCE)


def test_a_tls_client_at_a_plain_server_hears_it(aside: Callable[..., "Future[Link]"]) -> None:
    with listen("tcp://127.0.0.1:0?plain=1") as listener:
        opening = aside(open_link, listener.address.partition("?")[0])
        far = listener.accept(PATIENCE)
        assert far is not None
        with far, pytest.raises(LinkRefused, match="speaks TLS"):
            far.read(100, PATIENCE)
        with pytest.raises(LinkLost, match="plain=1"):
            opening.result()


def test_a_tls_client_at_something_else_hears_it(aside: Callable[..., "Future[Link]"]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        opening = aside(open_link, f"tcp://127.0.0.1:{server.getsockname()[1]}")
        with server.accept()[0] as client:
            client.sendall(b"SSH-2.0-OpenSSH\r\n")
            with pytest.raises(LinkRefused, match="does not speak TLS"):
                opening.result()


def test_a_silent_server_is_no_hang() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        start = time.monotonic()
        with pytest.raises(LinkLost, match="no answer to the TLS handshake"):
            open_link(f"tcp://127.0.0.1:{server.getsockname()[1]}", timeout=0.1)
        assert time.monotonic() - start < 3.0


def test_a_silent_client_blocks_nobody(listener: Listener, aside: Callable[..., "Future[Link]"]) -> None:
    port = int(listener.address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):
        silent = listener.accept(PATIENCE)
        assert silent is not None
        with silent:
            assert silent.read(1, 0.01) == b"" and silent.wait(True, True, 0.01) == (False, False)
            opening = aside(open_link, listener.address)
            with serve(listener, opening.done), opening.result() as near:
                assert near.binding


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01" + b"x" * 200])
def test_a_connection_that_is_reset_at_once_ends_no_listener(
    listener: Listener, aside: Callable[..., "Future[Link]"], said: bytes
) -> None:
    """An agent must outlive a stranger who hangs up before he is let in."""
    port = int(listener.address.rpartition(":")[2])
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(said)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset instead of an end
    sock.close()
    reset = listener.accept(PATIENCE)
    if reset is not None:
        with reset, pytest.raises(LinkError):
            reset.read(1, PATIENCE)
    opening = aside(open_link, listener.address)
    with serve(listener, opening.done), opening.result() as near:
        assert near.binding


def client(listener: Listener, change: Callable[[ssl.SSLContext], None]) -> str:
    """What a client with other settings agrees on; "" is nothing."""
    context = tls.client_context()
    change(context)
    port = int(listener.address.rpartition(":")[2])
    try:
        with context.wrap_socket(socket.create_connection(("127.0.0.1", port), PATIENCE)) as sock:
            return f"{sock.version()} {sock.cipher()}"
    except OSError:
        return ""


def only_1_2(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2


def without_aead(context: ssl.SSLContext) -> None:
    only_1_2(context)
    context.set_ciphers("ECDHE+AES:!AESGCM:!AESCCM:@SECLEVEL=0")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def only_1_1(context: ssl.SSLContext) -> None:
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1


@pytest.mark.parametrize(
    ("change", "agreed"), [(only_1_2, "TLSv1.2 ('ECDHE-ECDSA-"), (without_aead, ""), (only_1_1, "")]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_floor_is_1_2_with_ecdhe_and_aead(
    listener: Listener, aside: Callable[..., "Future[str]"], change: Callable[[ssl.SSLContext], None], agreed: str
) -> None:
    trying = aside(client, listener, change)
    try:
        serve(listener, trying.done).close()
    except LinkError as error:
        assert not agreed, error
    assert trying.result().startswith(agreed) and bool(trying.result()) == bool(agreed)


def test_a_record_that_was_begun_leaves_before_the_end(
    listener: Listener, aside: Callable[..., "Future[Link]"]
) -> None:
    opening = aside(open_link, listener.address)
    far = serve(listener, opening.done)
    with opening.result() as near:
        taken = fill(far)
        begun = time.monotonic()
        far.close()  # an agent closes under its lock: nobody waits for one that does not read
        assert time.monotonic() - begun < tls.LAST_WORDS_S / 2
        got = 0
        with pytest.raises(LinkLost):
            while True:
                got += len(near.read(1 << 16, PATIENCE))
        assert got == taken


def test_last_words_that_nobody_reads_end_in_time(listener: Listener, aside: Callable[..., "Future[Link]"]) -> None:
    opening = aside(open_link, listener.address)
    far = serve(listener, opening.done)
    with opening.result():
        fill(far)
        far.close()
        [words] = [thread for thread in threading.enumerate() if thread.name == "last words"]
        words.join(tls.LAST_WORDS_S + PATIENCE)
        assert not words.is_alive()


def test_the_certificate_is_made_once_and_private(tmp_path: Path) -> None:
    first = load_or_make(tmp_path / "new" / "place", "a" * 100)
    assert load_or_make(tmp_path / "new" / "place") == first
    for name in (CERTIFICATE_FILE, KEY_FILE):
        assert (tmp_path / "new" / "place" / name).stat().st_mode & 0o777 == 0o600
    assert load_or_make(tmp_path / "other").binding != first.binding


def test_half_a_certificate_is_made_anew_and_a_broken_one_is_named(tmp_path: Path) -> None:
    first = load_or_make(tmp_path)
    first.certificate.unlink()
    second = load_or_make(tmp_path)
    assert second.binding != first.binding
    second.certificate.write_text("no certificate")
    with pytest.raises(LinkRefused, match="delete it"):
        load_or_make(tmp_path)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    load_or_make(tmp_path).key.chmod(0o640)
    with pytest.raises(LinkRefused, match="chmod 600"):
        load_or_make(tmp_path)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    one, two = load_or_make(tmp_path / "one"), load_or_make(tmp_path / "two")
    two.key.replace(one.key)
    with pytest.raises(LinkRefused, match="delete both"):
        listen("tcp://127.0.0.1:0", certificate=one)
