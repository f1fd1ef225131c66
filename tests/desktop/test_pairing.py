"""Pairing with a real agent over TCP, in one process: what a person's pace must not break."""

import threading
import time
from pathlib import Path

import pytest

from cradle_desktop import config
from cradle_desktop.errors import NotPaired
from cradle_desktop.pairing import Pairing
from cradle_desktop.partnership.registry import Registry
from cradle_device import runner
from cradle_device.agent import Agent
from cradle_hardware.address import listen
from cradle_hardware.link import LinkError
from cradle_hardware.pake import Pake
from cradle_protocol.wire.session import Identity

CODE = "418302"
DESKTOP = Identity(b"D" * 16, "desk")


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("CRADLE_HOME", str(tmp_path / "home"))
    return Registry(config.open_state())


class Device:
    """An agent in a thread, with a pairing code open."""

    def __init__(self, folder: Path) -> None:
        self.agent = Agent(str(folder), [], "kiosk", pake=Pake, sessions=4)
        self.agent.allow_code(CODE)
        self._listener = listen("tcp://127.0.0.1:0?plain=1")
        self.address = self._listener.address
        self.agent.listen(self._listener, errors=LinkError)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._ended.is_set():
            if not self.agent.poll():
                time.sleep(0.002)

    def __enter__(self) -> "Device":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.agent.close()
        self._listener.close()


def slow(name: str) -> str:
    """A person who has to look where the code is."""
    time.sleep(2)
    return CODE


def test_a_code_may_be_looked_for_longer_than_a_device_waits(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_HANDSHAKE_MS", 1200)
    with Device(tmp_path / "device") as device:
        partner = Pairing(registry, DESKTOP, device.address).run(None, slow)
        assert partner.name == "kiosk" and device.agent.partners() == [(DESKTOP.id, "desk")]


def test_another_device_that_answers_meanwhile_gets_no_try(tmp_path: Path, registry: Registry) -> None:
    with Device(tmp_path / "device") as device, Device(tmp_path / "other") as other:
        pairing = Pairing(registry, DESKTOP, device.address)

        def exchanged(name: str) -> str:
            pairing.address = other.address
            return CODE

        with pytest.raises(NotPaired, match="another one"):
            pairing.run(None, exchanged)
        assert device.agent.partners() == other.agent.partners() == []
        assert other.agent.code is not None and other.agent.code._tries == 5
