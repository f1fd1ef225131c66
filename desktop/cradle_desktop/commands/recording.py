"""The file of `--capture`. What is written into it is `cradle_desktop.capture`'s; not a command."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

# A pairing over a cable has the key in it, and every sync the user's files.
OWNER_ONLY = 0o600


@contextmanager
def recorded(path: str | None) -> "Iterator[BinaryIO | None]":
    """The open file while the block runs; None without a path."""
    if path is None:
        yield None
        return
    with open(path, "wb", opener=_owner_only) as file:
        yield file


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, OWNER_ONLY)
