"""A conflict store whose folder cannot be made fails as a store does: the item is skipped, and the sync goes on."""

from pathlib import Path

import pytest

from cradle_desktop.conflict.contents import ContentReader, Contents
from cradle_protocol.errors import WRITE_FAILED
from cradle_protocol.provider.store import StoreError


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    content, there = tmp_path / "content", tmp_path / "conflicts"
    content.write_bytes(b"x")
    there.write_bytes(b"a file where the folder should be")
    with pytest.raises(StoreError) as caught:
        Contents(str(there)).draft(ContentReader(str(content)))
    assert caught.value.status == WRITE_FAILED
