"""The manager without a device: who is meant, where a board may be, and which exit code counts most."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cradle_desktop.commands.sync import verdict, worst
from cradle_desktop.errors import NoDevice, Usage, UserError
from cradle_desktop.manager import Report, ServiceManager, elsewhere
from cradle_desktop.pairing import check_name, tidy_code
from cradle_desktop.sync.report import TypeResult
from cradle_hardware.link import LinkInfo


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceManager]:
    monkeypatch.setenv("CRADLE_HOME", str(tmp_path / "state"))
    with ServiceManager() as opened:
        yield opened


def add(manager: ServiceManager, name: str) -> None:
    manager.registry.add(name.encode().ljust(16, b"."), b"k" * 32, name, "serial:/dev/ttyACM0", name)


def test_who_is_meant(manager: ServiceManager) -> None:
    with pytest.raises(NoDevice, match="cradle pair ADDRESS"):
        manager.chosen(None)
    add(manager, "porch")
    add(manager, "kiosk")
    assert [one.name for one in manager.chosen(None)] == ["kiosk", "porch"]
    assert [one.name for one in manager.chosen("PORCH")] == ["porch"]
    with pytest.raises(NoDevice, match="the partners are: kiosk, porch"):
        manager.chosen("shed")


def test_enable_makes_the_store_and_disable_deletes_nothing(manager: ServiceManager, tmp_path: Path) -> None:
    add(manager, "porch")
    store = tmp_path / "new" / "store"
    enabled = manager.enable("porch", "files", str(store), "device", "to-desktop")
    assert store.is_dir() and (enabled.policy, enabled.direction) == ("device", "to-desktop")
    (store / "mine").write_bytes(b"1")
    manager.disable("porch", "files")
    assert (store / "mine").exists()
    with pytest.raises(Usage, match="enabled: none"):
        manager.disable("porch", "files")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="file"):
        manager.enable("porch", "files", str(tmp_path / "file"), "desktop", "both")


def test_a_board_that_changed_its_port() -> None:
    ports = [LinkInfo("serial:/dev/ttyS0", "ttyS0"), LinkInfo("serial:/dev/ttyACM1", "Board", 0x2E8A, 5)]
    assert elsewhere("porch", "serial:/dev/ttyACM0?baud=9600", lambda: ports).count("ttyACM1") == 1
    assert elsewhere("porch", "serial:/dev/ttyACM1", lambda: ports) == ""
    assert "cradle pair ADDRESS" in elsewhere("porch", "tcp://porch:7465", lambda: ports)


def report(skipped: int, waiting: int) -> Report:
    result = TypeResult("files")
    result.skipped = [(str(k), "why") for k in range(skipped)]
    return Report("porch", [result], waiting, 0.1)


@pytest.mark.parametrize(("skipped", "waiting", "code"), [(0, 0, 0), (0, 2, 4), (1, 0, 5), (1, 2, 5)])
def test_the_verdict_of_a_sync(skipped: int, waiting: int, code: int) -> None:
    assert verdict(report(skipped, waiting)) == code


@pytest.mark.parametrize(("codes", "code"), [([0], 0), ([0, 4], 4), ([4, 5, 0], 5), ([5, 7, 6], 7), ([1, 0], 1)])
def test_the_verdict_of_several(codes: list[int], code: int) -> None:
    assert worst(codes) == code


@pytest.mark.parametrize("text", ["418302", "418-302", "418 302"])
def test_codes(text: str) -> None:
    assert tidy_code(text) == "418302"


@pytest.mark.parametrize("text", ["", "41830", "4183021", "abcdef", "٤١٨٣٠٢"])
def test_no_codes(text: str) -> None:
    with pytest.raises(Usage, match="six digits"):
        tidy_code(text)


@pytest.mark.parametrize("name", ["", "show", "resolve", "a/b", "serial:/dev/x", ".hidden", "-dash", "x" * 65, " a"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(Usage):
        check_name(name)


def test_a_name_that_can_be() -> None:
    check_name("Büro Nord-2")
