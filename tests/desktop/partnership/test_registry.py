"""Identity, partnerships, names and their collisions; what is where on disk; locks between processes."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cradle_desktop import config
from cradle_desktop.lock import Locked, replica_lock
from cradle_desktop.metadata.database import Database
from cradle_desktop.metadata.interface import StateError
from cradle_desktop.metadata.sqlite import SqliteStore
from cradle_desktop.partnership.identity import own_identity
from cradle_desktop.partnership.registry import NAME_LIMIT, Registry, tidy_name

KEY, KEY2 = b"k" * 32, b"K" * 32
A, B, C = (bytes([n]) * 16 for n in (1, 2, 3))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CRADLE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def database(home: Path) -> Database:
    return config.open_state()


@pytest.fixture
def registry(database: Database) -> Registry:
    return Registry(database)


def test_the_identity_is_made_once(database: Database) -> None:
    first = own_identity(database)
    again = own_identity(config.open_state())
    assert len(first.id) == 16 and (first.id, first.name) == (again.id, again.name) and first.name


def test_a_pairing_is_remembered(registry: Registry) -> None:
    made = registry.add(A, KEY, "Porch Pi", "tcp://porch:7465", name="porch", certificate=C + C, agent="cradle 0.1")
    found = Registry(config.open_state()).by_device(A)
    assert found is not None and found.number == made.number
    assert (found.name, found.device_name, found.key, found.address) == ("porch", "Porch Pi", KEY, "tcp://porch:7465")
    assert (found.certificate, found.agent, found.last_sync, found.types) == (C + C, "cradle 0.1", None, [])
    assert found.created > 1_600_000_000
    assert registry.by_name("PORCH") is not None and registry.by_name("other") is None and registry.by_device(B) is None
    assert KEY.hex() not in repr(found)


def test_names_that_collide_get_a_number(registry: Registry) -> None:
    assert registry.add(A, KEY, "pico", "serial:/dev/a").name == "pico"
    assert registry.add(B, KEY, "Pico", "serial:/dev/b").name == "Pico-2"
    assert registry.add(C, KEY, "x", "serial:/dev/c", name="PICO").name == "PICO-3"
    assert [p.name for p in registry.all()] == ["pico", "Pico-2", "PICO-3"]
    long = registry.add(b"4" * 16, KEY, "n" * 100, "a").name
    assert len(long) == NAME_LIMIT
    assert registry.add(b"5" * 16, KEY, "n" * 100, "a").name == long[:-2] + "-2"


def test_pairing_again_replaces_the_key_and_keeps_the_rest(registry: Registry) -> None:
    registry.add(A, KEY, "pico", "serial:/dev/a", name="porch")
    registry.enable("porch", "files", "/folder")
    again = registry.add(A, KEY2, "pico", "tcp://pico", certificate=C + C)
    assert (again.name, again.key, again.address) == ("porch", KEY2, "tcp://pico")
    assert [one.type for one in again.types] == ["files"]
    assert registry.add(A, KEY2, "pico", "tcp://pico", name="shed").name == "shed"
    assert len(registry.all()) == 1


def test_rename_and_unpair(registry: Registry) -> None:
    registry.add(A, KEY, "one", "a")
    registry.add(B, KEY, "two", "b")
    assert registry.rename("two", "TWO").name == "TWO"
    assert registry.rename("TWO", "one").name == "one-2"
    assert registry.remove("one") and not registry.remove("one")
    assert registry.by_device(A) is None and len(registry.all()) == 1
    with pytest.raises(StateError, match="no partner named 'one'"):
        registry.rename("one", "x")


def test_what_a_session_finds_out_is_noted(registry: Registry) -> None:
    registry.add(A, KEY, "pico", "a")
    registry.met("pico", "tcp://new", "pico 2", "cradle 0.2")
    registry.synced("pico", 1234.9)
    found = registry.by_name("pico")
    assert found is not None
    assert (found.address, found.device_name, found.agent, found.last_sync) == (
        "tcp://new",
        "pico 2",
        "cradle 0.2",
        1234,
    )


def test_types_are_enabled_and_disabled(registry: Registry, database: Database) -> None:
    registry.add(A, KEY, "pico", "a")
    registry.add(B, KEY, "shed", "b")
    made = registry.enable("pico", "files", "/folder", "device", "to-device")
    assert (made.location, made.policy, made.direction, made.replica_id) == ("/folder", "device", "to-device", b"")
    replica = SqliteStore(database).open_replica("/folder", "files", 2).replicas[0]
    assert registry.enable("shed", "files", "/folder").replica_id == replica  # one folder, two partners, one replica
    registry.enable("pico", "files", "/folder", "skip")
    pico = registry.by_name("pico")
    assert pico is not None and [(t.type, t.policy, t.direction) for t in pico.types] == [("files", "skip", "both")]
    assert registry.disable("pico", "files") and not registry.disable("pico", "files")
    assert SqliteStore(database).replica("/folder", "files") is not None
    with pytest.raises(StateError):
        registry.enable("nobody", "files", "/folder")


def test_unpairing_ends_what_was_enabled(registry: Registry) -> None:
    registry.add(A, KEY, "pico", "a")
    registry.enable("pico", "files", "/folder")
    registry.remove("pico")
    assert registry.add(A, KEY, "pico", "a").types == []


def test_names_can_be_folders() -> None:
    assert tidy_name(" ../../etc ") == "etc"
    assert tidy_name("a/b\n\0c") == "a-b--c"
    assert tidy_name("...") == "device" and tidy_name("-rf") == "rf" and tidy_name("Gärtnerei 温室") == "Gärtnerei 温室"


def test_everything_moves_with_the_home(home: Path, database: Database) -> None:
    assert database.path == str(home / "cradle.db")
    for path in (config.conflicts_folder(), config.locks_folder()):
        assert path.startswith(str(home) + os.sep)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "cradle.db").stat().st_mode) == 0o600


def test_without_a_home_of_ours_the_platforms_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRADLE_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config.home().startswith(str(tmp_path)) and "cradlesync" in config.home()
    assert config.default_store("porch") == str(tmp_path / "porch")
    assert config.store_location("~/x") == str(tmp_path / "x")
    assert config.store_location("s3://bucket/x") == "s3://bucket/x"


HOLDER = """
import sys
from cradle_desktop.lock import replica_lock
with replica_lock("/folder", "files"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_second_process_is_told_who_holds_the_replica(home: Path) -> None:
    paths = os.pathsep.join(p for p in sys.path if p)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert holder.stdin is not None and holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Locked, match=f"process {holder.pid}") as caught, replica_lock("/folder", "files"):
            pass
        assert "/folder" in caught.value.text
        with replica_lock("/folder", "settings"), replica_lock("/other", "files"):
            pass
        holder.kill()
    with replica_lock("/folder", "files"):
        pass


def test_a_lock_is_free_again_after_an_error(home: Path) -> None:
    with pytest.raises(ValueError, match="x"), replica_lock("/folder", "files"):
        raise ValueError("x")
    with replica_lock("/folder", "files"), pytest.raises(Locked), replica_lock("/folder", "files"):
        pass


def test_who_only_looks_holds_the_replica_and_writes_nothing(home: Path) -> None:
    with replica_lock("/folder", "files", look=True):
        assert not (home / "locks").exists()  # nobody ever synced
    with replica_lock("/folder", "files"):
        [path] = (home / "locks").iterdir()
        assert path.read_bytes() == str(os.getpid()).encode()
        with pytest.raises(Locked, match=f"process {os.getpid()}"), replica_lock("/folder", "files", look=True):
            pass
    with replica_lock("/folder", "files", look=True):
        assert path.read_bytes() == b""
        with pytest.raises(Locked, match="another process"), replica_lock("/folder", "files"):
            pass


def test_streams_that_a_device_is_still_to_be_told_of(registry: Registry) -> None:
    """It keeps rows for us until it knows. Types of objects it keeps for itself; what is enabled again is wanted."""
    registry.add(A, KEY, "porch", "loop:x")
    registry.enable("porch", "readings", "/rows.db")
    registry.enable("porch", "files", "/files")
    assert registry.leaving(A) == []
    for _ in range(2):
        registry.disable("porch", "readings")
        assert registry.leaving(A) == ["readings"] and registry.leaving(bytes(16)) == []
        registry.enable("porch", "readings", "/rows.db")
        assert registry.leaving(A) == []
    registry.disable("porch", "readings")
    registry.disable("porch", "files")
    registry.left(A, "readings")
    assert registry.leaving(A) == []


@pytest.mark.parametrize("told", [True, False])
def test_a_device_that_was_not_told_of_the_end_hears_it_when_it_is_met_again(registry: Registry, told: bool) -> None:
    registry.add(A, KEY, "porch", "loop:x")
    registry.enable("porch", "readings", "/rows.db")
    assert registry.remove("porch", told) and not registry.remove("porch", told)
    registry.add(A, KEY, "porch", "loop:x")
    assert registry.leaving(A) == ([] if told else ["readings"])
