"""A hand that edits a real folder as a user would. CPython only."""

from collections.abc import Callable
from pathlib import Path

from cradle_testing.memory_disk import DEFAULT_DIRECTORY


class FolderHand:
    """Edits a real folder as a user would, with the same words as `MemoryStore`; `advance` turns a clock handed in."""

    def __init__(self, root: "str | Path", advance: "Callable[[float], None] | None" = None) -> None:
        self.root, self._advance = Path(root), advance

    def advance(self, seconds: float) -> None:
        """Turn the store's clock on."""
        if self._advance is not None:
            self._advance(seconds)

    def write(self, identity: str, data: bytes, mode: "int | None" = None) -> None:
        """Create the file, or change it in place; directories above it are made."""
        path = self.root / identity
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if mode is not None:
            path.chmod(mode)

    def mkdir(self, identity: str, mode: int = DEFAULT_DIRECTORY) -> None:
        """Make the directory and those above it."""
        path = self.root / identity
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)

    def rename(self, old: str, new: str) -> None:
        """Rename, replacing what is there."""
        (self.root / old).replace(self.root / new)

    def delete(self, identity: str) -> None:
        """Remove an object with all that lies in it."""
        path = self.root / identity
        if path.is_dir() and not path.is_symlink():
            for child in list(path.iterdir()):
                self.delete(f"{identity}/{child.name}")
            path.rmdir()
        else:
            path.unlink()

    def chmod(self, identity: str, mode: int) -> None:
        """Change the permission bits."""
        (self.root / identity).chmod(mode)

    def read(self, identity: str) -> bytes:
        """Content of a file."""
        return (self.root / identity).read_bytes()

    def mode(self, identity: str) -> int:
        """Permission bits of an object."""
        return (self.root / identity).stat().st_mode & 0o777
