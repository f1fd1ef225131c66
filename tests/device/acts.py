"""What tests ask of a store again and again, on both interpreters."""

from cradle_protocol.provider.store import StoreError
from cradle_protocol.sync.values import file_value


def stage(store, data, name="00"):
    """Stage a content; the writer is closed though the disk be full."""
    writer = store.stage(name)
    try:
        writer.write(data)
    finally:
        writer.close()
    return name


def put(store, path, data, expected=None):
    """Stage a content and install it; its stamp."""
    return store.install(path, stage(store, data), [file_value(len(data)), b""], expected)


def status(act, *args):
    """The status of the StoreError that a call raises."""
    try:
        act(*args)
    except StoreError as error:
        return error.status
    raise AssertionError("nothing was raised")
