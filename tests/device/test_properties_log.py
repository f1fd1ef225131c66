"""The log beside the metadata in memory, through random commits, rollbacks and restarts. CPython only."""

import tempfile
from pathlib import Path

from hypothesis import settings

from cradle_device.host import HostMetadata
from cradle_device.metadata import LogMetadata
from cradle_protocol.sync.metadata import Metadata
from cradle_testing.metadata import OWN
from cradle_testing.metadata_machine import MetadataMachine


class LogMachine(MetadataMachine):
    kind = LogMetadata

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()

    def make(self) -> Metadata:
        return self.kind(str(Path(self.folder.name) / "log"), 2, OWN)

    def reopen(self, meta: Metadata) -> Metadata:
        meta.close()
        return self.make()

    def teardown(self) -> None:
        self.real.close()
        self.folder.cleanup()


class HostMachine(LogMachine):
    kind = HostMetadata


TestHost = HostMachine.TestCase
TestHost.settings = settings(stateful_step_count=30)
TestLog = LogMachine.TestCase
TestLog.settings = settings(stateful_step_count=30)
