"""The vectors of protocol/vectors/agent, family by family. See `agent_vectors` for what they say."""

import os

from device.agent_vectors import carry_out
from protocol.wire.checks import FOLDER

# MicroPython heap: 8m, as `test_agent`


def test_change_units():
    assert carry_out("units") >= 9


def test_moves():
    assert carry_out("moves") >= 14


def test_directories():
    assert carry_out("directories") >= 7


def test_constraints():
    assert carry_out("constraints") >= 7


def test_replica_keys():
    assert carry_out("keys") >= 5


def test_filters():
    assert carry_out("filters") >= 9


def test_sessions():
    assert carry_out("sessions") >= 15


def test_every_family_is_carried_out():
    found = sorted([name[:-5] for name in os.listdir(FOLDER + "agent")])
    assert found == ["constraints", "directories", "filters", "keys", "moves", "sessions", "units"]
