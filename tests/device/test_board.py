"""The agent as a board has it: compiled, under MicroPython, with a small heap, at the other end of a serial line."""

import os
import pty
import socket
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cradle_device.agent import BOARD
from cradle_device.partnership import Partnerships
from cradle_protocol.sync.knowledge import everything
from cradle_protocol.sync.values import is_lazy
from cradle_protocol.sync.version import HIGHEST, LOWEST
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.messages import records
from device.far import FarHand, TcpHand
from device.hands import DESKTOP, KEY, store_digest
from micropython.dual import ROOT, need

pytestmark = [pytest.mark.micropython, pytest.mark.timeout(240)]

# Bytes of .mpy for all that a board loads (design 8), and for what one adds whose program records readings.
LIMIT, READINGS_LIMIT = 64 * 1024, 6 * 1024
BATCH = BOARD.batch_items
# Heap of the unix port, where an object takes twice what it takes on a board of 32 bits.
HEAP = "192k"
# What a thousand files take today: they have fitted into 192k, and shall again.
THOUSAND = "200k"


@contextmanager
def agent(board: Path, home: Path, heap: str = HEAP) -> Iterator[FarHand]:
    """boot/unix.py on a pty; the hand is paired and its session is open."""
    ours, theirs = pty.openpty()
    tty.setraw(ours)
    tty.setraw(theirs)
    command = [need("micropython"), "-X", "heapsize=" + heap, str(ROOT / "device/boot/unix.py")]
    command += [
        "--listen",
        "serial:" + os.ttyname(theirs),
        "--root",
        str(home / "data"),
        "--state",
        str(home / "state"),
    ]
    environment = {"PATH": "/usr/bin:/bin", "MICROPYPATH": f"{board}:.frozen"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening serial:")
        yield FarHand(ours)
        assert process.poll() is None, process.stdout.read()
    finally:
        process.kill()
        output = process.communicate()[0]
        os.close(ours)
        os.close(theirs)
        assert "Error" not in output, output


@pytest.mark.parametrize("program", ["unix", "logger"])
@pytest.mark.parametrize("interpreter", ["micropython", "cpython"])
def test_a_port_that_goes_and_comes_back(board: Path, tmp_path: Path, interpreter: str, program: str) -> None:
    """As a USB gadget's does when the cable is pulled: the program opens it again, and its rows go on."""
    place = tmp_path / "port"
    ours, theirs = _port(place)
    words = ["--listen", f"serial:{place}", "--root", str(tmp_path / "data"), "--state", str(tmp_path / "state")]
    run = [str(ROOT / "device/boot/unix.py")]
    if program == "logger":
        run = [str(ROOT / name) for name in ("tests/loopback/logging_device.py", "device/boot", "device/examples")]
        words += ["--journal", str(tmp_path / "journal"), "--name", "porch", "--every", "5"]
    path = f"{board}:.frozen"
    start = [need("micropython"), "-X", "heapsize=" + HEAP]
    if interpreter == "cpython":
        start, path = [sys.executable], f"{ROOT / 'protocol'}:{ROOT / 'device'}"
    environment = {"PATH": "/usr/bin:/bin", "MICROPYPATH": path, "PYTHONPATH": path}
    process = subprocess.Popen([*start, *run, *words], env=environment)
    try:
        for _ in range(3):
            FarHand(ours)
            os.close(theirs)
            os.close(ours)
            ours, theirs = _port(place)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        os.close(theirs)
        os.close(ours)


def _port(place: Path) -> "tuple[int, int]":
    """Both ends of a new port of this name."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    place.unlink(missing_ok=True)
    place.symlink_to(os.ttyname(theirs))
    return ours, theirs


def test_what_a_board_loads_is_small(board: Path) -> None:
    """All but the names for authors of providers, and sockets: boot/main.py, a sync and a preview load the rest."""
    sizes = {str(path.relative_to(board)): path.stat().st_size for path in board.rglob("*.mpy")}
    readings = {name: sizes.pop(name) for name in list(sizes) if "readings" in name}
    loaded = {
        name: size for name, size in sizes.items() if not name.startswith("cradle_protocol") and "tcp" not in name
    }
    assert sum(loaded.values()) < LIMIT, loaded
    assert len(readings) == 2 and sum(readings.values()) < READINGS_LIMIT, readings


@pytest.mark.parametrize("count", [120, pytest.param(1000, marks=pytest.mark.slow)])
def test_files_and_back(board: Path, tmp_path: Path, count: int) -> None:
    data = tmp_path / "data"
    for k in range(count):
        path = data / f"folder {k % 20}" / f"a file with a name {k}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % k * 20)
    big = os.urandom(500_000)
    (data / "big").write_bytes(big)
    with agent(board, tmp_path, THOUSAND if count == 1000 else HEAP) as hand:
        opened = hand.open()
        assert opened.objects == count + 21
        changes, end = hand.changes()
        assert end.complete and len(changes) == count + 21
        files = [ch for ch in changes if is_lazy(ch.values[0])]
        for at in range(0, len(files), 100):
            got = hand.fetch([(ch.oid, ch.versions[0], 0) for ch in files[at : at + 100]])
            for ch in files[at : at + 100]:
                assert got[ch.oid][0] == (data / ch.identity).read_bytes()
        for at in range(0, 160, BATCH):
            more = [hand.create(f"sent/{k}", 2000 + k, b"content %d" % k) for k in range(at, at + BATCH)]
            lower, upper = min(ch.id for ch in more), max(ch.id for ch in more)
            made = [(ch, ch.identity) for ch in more]
            assert (
                hand.send(more, {name: b"content " + name[5:].encode() for _, name in made}, None, lower, upper) == {}
            )
        large = hand.create("large", 5000, big)
        assert hand.send([large], {"large": big}, None, large.id, large.id) == {}
        assert (data / "large").read_bytes() == big and (data / "sent/159").read_bytes() == b"content 159"
        hand.close()
        started = time.monotonic()
        assert hand.open().scanned >= count + 182
        assert time.monotonic() - started < 20


@pytest.mark.slow
def test_twenty_megabytes_through_fixed_buffers(board: Path, tmp_path: Path) -> None:
    big = os.urandom(1 << 20) * 20
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "big").write_bytes(big)
    with agent(board, tmp_path) as hand:
        hand.open()
        change = hand.changes()[0][0]
        content, digest = hand.fetch([(change.oid, change.versions[0], 0)])[change.oid]
        assert content == big and digest == store_digest(big)


def test_a_kill_in_the_middle_of_a_batch(board: Path, tmp_path: Path) -> None:
    """What was visible is known after the restart, what was not is sent again; nothing echoes."""
    (tmp_path / "data").mkdir()
    with agent(board, tmp_path) as hand:
        hand.open()
        changes = [hand.create(f"f{k}", k + 1, b"%d" % k) for k in range(2 + BATCH)]
        contents = {change.identity: b"%d" % (change.versions[0][0] - 1) for change in changes}
        assert hand.send(changes[:2], contents, None) == {}
        hand.begin_pass(everything({hand.mine: 2 + BATCH}))
        body = records.encode_begin(LOWEST, HIGHEST, True)
        for index, change in enumerate(sorted(changes[2:], key=lambda one: one.id)):
            data = contents[change.identity]
            body += records.encode_apply_change(change, c.CONTENT_FOLLOWS)
            body += records.data_head(index, c.END, len(data)) + data + store_digest(data)
            if len(body) > 1800:
                break
        hand.session.request(c.APPLY, body, True)
        for _ in range(3):
            hand.turn()
    with agent(board, tmp_path) as hand:
        opened = hand.open()
        assert opened.tick == 0 and hand.changes(hand.theirs)[0] == []
        assert hand.send(changes[2:], contents, everything({hand.mine: 2 + BATCH})) == {}
        assert len(list((tmp_path / "data").glob("f*"))) == 2 + BATCH


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_files_over_tcp(board: Path, tmp_path: Path, count: int) -> None:
    for k in range(count):
        path = tmp_path / "data" / f"folder {k % 20}" / f"a file with a name {k}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % k * 20)
    (tmp_path / "state").mkdir()
    known = Partnerships(str(tmp_path / "state" / "partners.log"))
    known.add(DESKTOP.id, KEY, "desk")  # a board pairs over a cable only
    known.close()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    heap = THOUSAND if count == 1000 else HEAP
    command = [need("micropython"), "-X", "heapsize=" + heap, str(ROOT / "device/boot/unix.py")]
    command += [
        "--listen",
        f"tcp:127.0.0.1:{port}",
        "--root",
        str(tmp_path / "data"),
        "--state",
        str(tmp_path / "state"),
    ]
    environment = {"PATH": "/usr/bin:/bin", "MICROPYPATH": f"{board}:.frozen"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as agent:
        try:
            assert agent.stdout is not None and agent.stdout.readline().startswith("listening tcp")
            hand = TcpHand(port)
            objects = hand.open().objects
            assert objects == count + 20
            files = [ch for ch in hand.changes()[0] if is_lazy(ch.values[0])]
            for at in range(0, count, 100):
                assert len(hand.fetch([(ch.oid, ch.versions[0], 0) for ch in files[at : at + 100]])) == 100
            more = [hand.create(f"sent/{k}", 2000 + k, b"%d" % k) for k in range(BATCH)]
            assert hand.send(more, {ch.identity: ch.identity[5:].encode() for ch in more}) == {}
            hand.close()
            assert hand.open().objects == objects + BATCH
            hand.socket.close()
        finally:
            agent.kill()
