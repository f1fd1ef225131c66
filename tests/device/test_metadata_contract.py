"""The contract of all metadata, on the log. CPython only: the contract's source alone fills a board's heap."""

from pathlib import Path

import pytest

from cradle_device.metadata import LogMetadata
from cradle_testing.metadata import OWN, MetadataContract


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
