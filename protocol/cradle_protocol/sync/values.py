"""Values of change units as bytes, compared whole. Content values may not be hashed yet: then equality is undecided.

Unit values are opaque to the rules but for two forms:
    content of a file   b"f" + u48 size + (32 bytes SHA-256, or nothing while nobody has read the content yet)
    a directory         b"d"
    unknown             b""   this store cannot say (a mode on a file system without modes); it loses to any other value
Any other first byte is a value of the provider's own making, complete as it is.
"""

DIRECTORY = b"d"
UNKNOWN = b""
_FILE = 0x66  # "f"
_SIZE_AT, _DIGEST_AT, DIGEST_SIZE = 1, 7, 32

# What two values can say about each other.
EQUAL, DIFFERENT, UNDECIDED = 0, 1, 2


def file_value(size: int, digest: bytes = b"") -> bytes:
    """The content value of a file; without a digest it is one that nobody has hashed yet."""
    return b"f" + size.to_bytes(6, "big") + digest


def is_file(value: bytes) -> bool:
    """Is this the content value of a regular file?"""
    return len(value) >= _DIGEST_AT and value[0] == _FILE


def is_lazy(value: bytes) -> bool:
    """Is this the content value of a file that was not hashed yet?"""
    return len(value) == _DIGEST_AT and value[0] == _FILE


def size_of(value: bytes) -> int:
    """Bytes of content behind a value: 0 for anything but a file."""
    if len(value) < _DIGEST_AT or value[0] != _FILE:
        return 0
    return int.from_bytes(value[_SIZE_AT:_DIGEST_AT], "big")


def digest_of(value: bytes) -> bytes:
    """The SHA-256 in a file's value, b"" when there is none."""
    return value[_DIGEST_AT:] if is_file(value) else b""


def with_digest(value: bytes, digest: bytes) -> bytes:
    """The same content value, now hashed."""
    return value[:_DIGEST_AT] + digest


def compare(a: bytes, b: bytes) -> int:
    """EQUAL, DIFFERENT, or UNDECIDED when both are files of one size and at least one was not hashed yet."""
    if a == b:
        return UNDECIDED if is_lazy(a) else EQUAL
    if a[:_DIGEST_AT] == b[:_DIGEST_AT] and (is_lazy(a) or is_lazy(b)):
        return UNDECIDED
    return DIFFERENT
