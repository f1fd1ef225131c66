"""The contract of all metadata, on the log."""

from cradle_device import system
from cradle_device.metadata import LogMetadata
from cradle_protocol.compat import MICROPYTHON
from cradle_testing.metadata import OWN, MetadataContract

FOLDER = "/tmp/cradle-test-contract"


class LogContract(MetadataContract):
    """Each test gets a file of its own; a restart is a second object on the same file."""

    def make(self):
        system.make_directory(FOLDER)
        self.path = FOLDER + "/log"
        system.remove(self.path)
        return LogMetadata(self.path, 2, OWN, 2048)

    def reopen(self, meta):
        meta.close()
        return LogMetadata(self.path, 2, OWN, 2048)


def test_the_log_keeps_the_contract():
    names = [name for name in dir(LogContract) if name.startswith("test_")]
    if MICROPYTHON:
        names.remove(
            "test_many_items"
        )  # this file compiled from source leaves no room for it; test_heap has more items
    assert len(names) > 20
    for name in names:
        contract = LogContract()
        try:
            getattr(contract, name)()
        except AssertionError:
            print("failed:", name)
            raise
