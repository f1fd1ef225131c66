"""The contract of all metadata, on the log. CPython only: the contract's source alone fills a board's heap."""

from pathlib import Path

import pytest

from cradle_device.host import HostMetadata
from cradle_device.metadata import LogMetadata
from cradle_protocol.sync.knowledge import everything
from cradle_testing.metadata import OWN, MetadataContract, fields, file_item, strange_items


class TestLogMetadata(MetadataContract):
    """A restart is a second object on the same file."""

    @pytest.fixture(autouse=True, params=[1024, 65536])
    def _file(self, tmp_path: Path, request: pytest.FixtureRequest) -> None:
        self.path, self.size = str(tmp_path / "log"), request.param

    def make(self) -> LogMetadata:
        return LogMetadata(self.path, 2, OWN, self.size)

    def reopen(self, meta: LogMetadata) -> LogMetadata:  # type: ignore[override]
        meta.close()
        return LogMetadata(self.path, 2, OWN, self.size)


class TestHostMetadata(MetadataContract):
    """The same file, held in memory."""

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = str(tmp_path / "log")

    def make(self) -> HostMetadata:
        return HostMetadata(self.path, 2, OWN)

    def reopen(self, meta: HostMetadata) -> HostMetadata:  # type: ignore[override]
        meta.close()
        return HostMetadata(self.path, 2, OWN)


@pytest.mark.parametrize("writer", [LogMetadata, HostMetadata])
@pytest.mark.parametrize("reader", [LogMetadata, HostMetadata])
def test_either_reads_what_the_other_wrote(
    tmp_path: Path, writer: type[LogMetadata], reader: type[LogMetadata]
) -> None:
    meta = writer(str(tmp_path / "log"), 2, OWN)
    others = [bytes([1]) + number.to_bytes(15, "big") for number in range(300)]
    meta.replicas += others
    items = [*strange_items(), *[file_item(f"file {n}") for n in range(20)]]
    meta.intend(items[:9], [{0: 3, 7: 9}] * 9)
    for item in items:
        meta.put(item)
    meta.drop(items[-1].id)
    meta.knowledge.learn_item(items[0].id, {0: 4})
    meta.commit()
    meta.intend(items[3:5], [{0: 1}, {1: 2}])
    meta.close()
    again = reader(str(tmp_path / "log"), 2, b"")
    assert [fields(item) for item in again.items()] == [fields(i) for i in sorted(items[:-1], key=lambda i: i.id)]
    assert [(fields(item), made) for item, made in again.pending()] == [
        (fields(items[3]), {0: 1}), (fields(items[4]), {1: 2}),
    ]  # fmt: skip
    assert again.replicas == [OWN, *others] and again.knowledge.vector(items[0].id) == {0: 4}
    again.renew(b"another replica.")
    assert again.replicas == [b"another replica.", *others, OWN] and len(again.pending()) == 2
    assert [item.id for item in again.lacking(everything(dict.fromkeys(range(1, 302), 0xFFFFFFFF)))] == []
    assert sum(item.versions[0][1] == 301 for item in again.items()) == 23


@pytest.mark.parametrize("kind", [LogMetadata, HostMetadata])
def test_intents_of_a_replica_that_is_renewed(tmp_path: Path, kind: type[LogMetadata]) -> None:
    """A power cut in a batch, then the card comes into another machine: versions stay the old replica's there."""
    meta = kind(str(tmp_path / "log"), 2, OWN)
    other = meta.key_of(b"\x01another desktop")
    item = file_item("a")
    item.versions = [(7, other), (3, 0)]
    meta.intend([item], [{0: 3, other: 7}])
    meta.renew(b"the new replica.")
    for _ in range(2):
        [(found, made)] = meta.pending()
        names = [(tick, meta.replicas[key]) for tick, key in found.versions]
        assert names == [(7, b"\x01another desktop"), (3, OWN)]
        assert {meta.replicas[key]: tick for key, tick in made.items()} == {OWN: 3, b"\x01another desktop": 7}
        meta.close()
        meta = kind(str(tmp_path / "log"), 2, OWN)
