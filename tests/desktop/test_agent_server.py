"""The server of `cradle agent run` against errors of our own: whoever is connected hears of them."""

import threading
from pathlib import Path

import pytest

from cradle_desktop.agent_command import Server, Stopper
from cradle_device.agent import Agent
from cradle_device.runner import Service
from cradle_hardware.link import LinkLost
from cradle_hardware.loopback import pair

HEARS_S = 10.0  # far more than it takes


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_agent_that_fails_hangs_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that stays open with nobody behind it keeps its desktop waiting for ever."""
    agent, (here, there) = Agent(str(tmp_path), [], "R1"), pair()

    def fail(service: Service) -> bool:
        raise ImportError("half an update")

    server = Server(agent, Stopper())
    monkeypatch.setattr("cradle_device.runner.Service.poll", fail)
    thread = threading.Thread(target=server._in_thread, args=(there,), daemon=True)
    thread.start()
    thread.join(HEARS_S)
    assert here.wait(True, False, HEARS_S)[0]
    with pytest.raises(LinkLost):
        here.read_into(memoryview(bytearray(1)))
    assert not agent.attached()
    here.close()
    agent.close()
