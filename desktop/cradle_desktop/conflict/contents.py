"""A folder of contents, each once, named by its SHA-256. Knows nothing of items, and no bound: `store` has both."""

import errno
import os
from hashlib import sha256

from cradle_desktop.metadata.database import PRIVATE_FILE, private_folder
from cradle_desktop.metadata.interface import StateError
from cradle_protocol.errors import NO_ROOM, UNREADABLE, WRITE_FAILED
from cradle_protocol.provider.store import Reader, StoreError

# Bytes read at a time from the content that is kept.
_PIECE = 1 << 20
_DRAFT = ".draft-"
# A draft, or a content that no conflict names, older than this belongs to a process that died (seconds).
_ABANDONED = 86400


class Draft:
    """A content that was copied and is not kept yet."""

    def __init__(self, path: str, digest: bytes, size: int) -> None:
        self.path, self.digest, self.size = path, digest, size


class ContentReader(Reader):
    """Reads a kept content from its start."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115  closed by close()

    def read_into(self, buffer: memoryview) -> int:
        return self._file.readinto(buffer) or 0

    def close(self) -> None:
        self._file.close()


class BytesReader(Reader):
    """Reads what is in memory."""

    def __init__(self, data: bytes = b"") -> None:
        self._rest = memoryview(data)

    def read_into(self, buffer: memoryview) -> int:
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        self._rest = memoryview(b"")


class Contents:
    """The folder. `draft`, then `keep` for several at once: one wait for the disk, not one for each."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._count = 0

    def path(self, digest: bytes) -> str:
        """Where a content is, or would be."""
        return os.path.join(self.folder, digest.hex())

    def holds(self, digest: bytes) -> bool:
        """Is this content here?"""
        return bool(digest) and os.path.exists(self.path(digest))

    def open(self, digest: bytes) -> ContentReader:
        """Read a content. Raises StoreError(UNREADABLE)."""
        try:
            return ContentReader(self.path(digest))
        except OSError:
            raise StoreError(UNREADABLE, "the content is no longer in the conflict store") from None

    def draft(self, content: Reader) -> Draft:
        """Copy a content and close it. Raises StoreError of the reader's, or NO_ROOM, WRITE_FAILED."""
        self._count += 1
        path = os.path.join(self.folder, f"{_DRAFT}{os.getpid()}-{self._count}")
        done = False
        try:
            private_folder(self.folder)
            digest, size = _copy(content, path)
            done = True
            return Draft(path, digest, size)
        except StateError as error:
            raise StoreError(WRITE_FAILED, f"the conflict store cannot be written: {error.text}") from error
        except OSError as error:
            status = NO_ROOM if error.errno in (errno.ENOSPC, errno.EDQUOT) else WRITE_FAILED
            raise StoreError(status, f"the conflict store cannot be written: {error.strerror}") from error
        finally:
            content.close()
            if not done:
                _remove(path)

    def drop(self, drafts: "list[Draft]") -> None:
        """Give drafts up."""
        for one in drafts:
            _remove(one.path)

    def keep(self, drafts: "list[Draft]") -> None:
        """Give drafts their names; they survive a power cut when this returns."""
        if not drafts:
            return
        try:
            for one in drafts:
                _flush(one.path)
            for one in drafts:
                os.replace(one.path, self.path(one.digest))
            _flush(self.folder)
        except OSError as error:
            raise StoreError(WRITE_FAILED, f"the conflict store cannot be written: {error.strerror}") from error

    def remove(self, digest: bytes) -> None:
        """Delete a content; no error if it is not here."""
        _remove(self.path(digest))

    def keep_only(self, wanted: "set[bytes]") -> None:
        """Delete every other content."""
        names = {digest.hex() for digest in wanted}
        try:
            for name in os.listdir(self.folder):
                if name not in names and not name.startswith(_DRAFT):
                    _remove(os.path.join(self.folder, name))
        except FileNotFoundError:
            return

    def sweep(self, wanted: "set[bytes]", now: float) -> None:
        """Delete what a process that died left behind: old drafts, and old contents that nobody names."""
        names = {digest.hex() for digest in wanted}
        try:
            with os.scandir(self.folder) as entries:
                old = [e.path for e in entries if e.name not in names and e.stat().st_mtime < now - _ABANDONED]
        except FileNotFoundError:
            return
        for path in old:
            _remove(path)


def _copy(content: Reader, path: str) -> "tuple[bytes, int]":
    """Write the content to a new private file; its hash and size."""
    hasher, size = sha256(), 0
    view = memoryview(bytearray(_PIECE))
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE_FILE)
    with open(fd, "wb", buffering=0) as out:
        while n := content.read_into(view):
            piece = view[:n]
            hasher.update(piece)
            while piece:
                piece = piece[out.write(piece) :]
            size += n
    return hasher.digest(), size


def _flush(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
