"""Pairing and its end through the command line: codes, fingerprints, changed keys and certificates, names."""

import os
import pty
import re
import stat
import subprocess
from pathlib import Path

import pytest

from loopback.conftest import ADDRESSES
from loopback.rig import CODE, Agent, Desktop, Pair, command, environment

WORDS = re.compile(r"^fingerprint (\w+ \w+ \w+ \w+)$", re.MULTILINE)


@pytest.mark.parametrize("kind", ADDRESSES)
def test_pair_by_code_shows_the_same_words_on_both_sides(tmp_path: Path, desktop: Desktop, kind: str) -> None:
    with Agent(tmp_path / "device", ADDRESSES[kind]) as agent:
        agent.wait_for(r"pairing code (\d{6})")
        result = desktop.run("pair", agent.address, "--name", "porch", "--code", "418-302")
        shown = WORDS.search(result.out)
        assert shown is not None and result.out.startswith("paired with porch\n")
        assert agent.wait_for(r"fingerprint (\w+ \w+ \w+ \w+)\n") == shown.group(1)
        [one] = desktop.run("status", "--json").document()["partners"]
        assert (one["name"], one["address"], one["last_sync"], one["types"]) == ("porch", agent.address, None, [])
        assert agent.stop() == 0


def test_keys_are_for_their_owner_only(pair: Pair) -> None:
    """Whatever holds a key or a certificate's key, on either side."""
    for folder in (pair.desktop.home / "state", pair.agent.state):
        for path in folder.rglob("*"):
            if path.is_file():
                assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_wrong_code_pairs_nobody(desktop: Desktop, agent: Agent) -> None:
    result = desktop.run("pair", agent.address, "--code", "000000", expect=6)
    assert "another code" in result.err
    assert desktop.run("status", "--json").document()["partners"] == []
    desktop.run("pair", agent.address, "--code", CODE)


def test_five_wrong_codes_close_the_door(desktop: Desktop, agent: Agent) -> None:
    for k in range(5):
        desktop.run("pair", agent.address, "--code", f"00000{k}", expect=6)
    assert "restart" in desktop.run("pair", agent.address, "--code", CODE, expect=6).err


def test_a_code_is_asked_for(desktop: Desktop, agent: Agent) -> None:
    """No terminal to ask at: the sentence names the option."""
    assert "--code" in desktop.run("pair", agent.address, expect=2).err


def test_a_code_is_asked_for_at_a_terminal(desktop: Desktop, agent: Agent) -> None:
    master, slave = pty.openpty()
    try:
        running = subprocess.Popen(
            command("pair", agent.address), env=environment(desktop.home), stdin=slave,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        os.write(master, b"418 302\n")
        out, err = running.communicate(timeout=30)
    finally:
        os.close(master)
        os.close(slave)
    assert running.returncode == 0 and "paired with kiosk" in out and "code that kiosk shows: " in err


def test_an_unpaired_desktop_is_refused(tmp_path: Path, pair: Pair) -> None:
    """The device forgot: here its state was deleted, so it has even another id."""
    pair.agent.kill()
    for path in pair.agent.state.iterdir():
        path.unlink()
    pair.agent.start()
    result = pair.desktop.run("sync", expect=6)
    assert "cradle pair" in result.err or "cradle unpair" in result.err


def test_a_changed_certificate_stops_hard(tmp_path: Path, desktop: Desktop) -> None:
    with Agent(tmp_path / "device", ADDRESSES["tls"]) as agent:
        both = Pair(desktop, agent)
        both.meet()
        both.fill({"a": b"mine"}, {"b": b"theirs"})
        agent.kill()
        for path in agent.state.glob("*.pem"):
            path.unlink()
        agent.start()
        result = desktop.run("sync", expect=6)
        assert "certificate" in result.err and f"cradle pair {agent.address}" in result.err
        assert both.trees() == ({"a": b"mine"}, {"b": b"theirs"})
        desktop.run("pair", agent.address, "--name", "kiosk", "--code", CODE)
        desktop.run("sync")
        assert both.equal()


def test_another_device_at_the_address(tmp_path: Path, pair: Pair) -> None:
    address = pair.agent.address
    pair.agent.kill()
    with Agent(tmp_path / "other", address, name="stranger"):
        result = pair.desktop.run("sync", expect=6)
        assert "stranger" in result.err and "cradle unpair kiosk" in result.err


def test_a_name_that_is_taken(tmp_path: Path, pair: Pair) -> None:
    with Agent(tmp_path / "other") as other:
        result = pair.desktop.run("pair", other.address, "--name", "kiosk", "--code", CODE, expect=2)
        assert "cradle unpair kiosk" in result.err
        pair.desktop.run("pair", other.address, "--code", CODE)
        names = [one["name"] for one in pair.desktop.run("status", "--json").document()["partners"]]
        assert names == ["kiosk", "kiosk-2"]


def test_a_partner_at_a_new_address_is_met_again_without_a_code(pair: Pair) -> None:
    pair.fill({"a": b"1"})
    pair.desktop.sync()
    before = pair.agent.address
    pair.agent.kill()
    pair.agent.address = ""
    pair.agent.start()
    assert pair.agent.address != before
    pair.desktop.run("sync", expect=3)
    result = pair.desktop.run("pair", pair.agent.address, "--name", "porch")
    assert "paired with porch" in result.out and "proved the key" in result.err
    assert pair.desktop.sync()["types"][0]["bytes_sent"] < 1000


def test_a_code_makes_a_new_key(desktop: Desktop, agent: Agent) -> None:
    pair = Pair(desktop, agent)
    pair.meet()
    first = pair.agent.wait_for(r"fingerprint (\w+ \w+ \w+ \w+)")
    pair.agent.stop()
    pair.agent.start()
    result = pair.desktop.run("pair", pair.agent.address, "--code", CODE)
    shown = WORDS.search(result.out)
    assert shown is not None and shown.group(1) != first


def test_unpair_on_both_sides(pair: Pair) -> None:
    assert "there" in pair.desktop.run("unpair", "kiosk").out
    assert pair.desktop.run("status", "--json").document()["partners"] == []
    pair.desktop.run("sync", expect=3)
    assert "ended the partnership" in pair.agent.log()


def test_unpair_a_device_that_is_away(pair: Pair) -> None:
    pair.agent.stop()
    result = pair.desktop.run("unpair", "kiosk")
    assert "was not told" in result.err
    assert pair.desktop.run("status", "--json").document()["partners"] == []


def test_plain_and_tls_do_not_mix(tmp_path: Path, desktop: Desktop) -> None:
    with Agent(tmp_path / "device", ADDRESSES["tls"]) as agent:
        result = desktop.run("pair", agent.address + "?plain=1", "--code", CODE, expect=None)
        assert result.code in (3, 6, 7) and result.err.count("\n") == 1
    with Agent(tmp_path / "device2", ADDRESSES["plain"]) as agent:
        result = desktop.run("pair", agent.address.partition("?")[0], "--code", CODE, expect=None)
        assert result.code in (3, 6, 7) and result.err.count("\n") == 1


def test_a_second_agent_on_one_state(agent: Agent, tmp_path: Path, desktop: Desktop) -> None:
    words = ["--root", str(agent.root), "--state", str(agent.state)]
    result = desktop.run("agent", "run", "--listen", "tcp://127.0.0.1:0?plain=1", *words, expect=1)
    assert "--state" in result.err and result.err.count("\n") == 1


def test_a_second_agent_on_one_port(agent: Agent, tmp_path: Path, desktop: Desktop) -> None:
    words = ["--root", str(agent.root), "--state", str(tmp_path / "other")]
    assert desktop.run("agent", "run", "--listen", agent.address, *words, expect=8).err.count("\n") == 1


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGINT"])
def test_the_agent_ends_when_told(agent: Agent, signal_name: str) -> None:
    import signal

    assert agent._process is not None
    agent._process.send_signal(getattr(signal, signal_name))
    assert agent._ended() == 0
    assert "Traceback" not in agent.log()
