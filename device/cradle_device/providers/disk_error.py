"""What an error of a disk means to whoever asked a store: its number, which is Linux's, as a status."""

from cradle_protocol.compat import const
from cradle_protocol.errors import (
    BAD_NAME,
    CHANGED,
    NO_PARENT,
    NO_ROOM,
    NO_STORE,
    READ_ONLY,
    UNREADABLE,
    WRITE_FAILED,
)
from cradle_protocol.provider.store import StoreError

_EPERM = const(1)
_ENOENT = const(2)
_EACCES = const(13)
_EEXIST = const(17)
_ENODEV = const(19)
_ENOTDIR = const(20)
_EISDIR = const(21)
_EINVAL = const(22)
_EFBIG = const(27)
_ENOSPC = const(28)
_EROFS = const(30)
_ENAMETOOLONG = const(36)
_ENOTEMPTY = const(39)
_ELOOP = const(40)
_EILSEQ = const(84)
_EDQUOT = const(122)

_STATUS = {
    _ENOSPC: NO_ROOM,
    _EDQUOT: NO_ROOM,
    _EFBIG: NO_ROOM,
    _EROFS: READ_ONLY,
    _EACCES: READ_ONLY,
    _EPERM: READ_ONLY,
    _EINVAL: BAD_NAME,
    _ENAMETOOLONG: BAD_NAME,
    _EILSEQ: BAD_NAME,
    _ENOTDIR: NO_PARENT,
    _ELOOP: NO_PARENT,
    _ENOENT: CHANGED,
    _EEXIST: CHANGED,
    _ENOTEMPTY: CHANGED,
    _EISDIR: CHANGED,
    _ENODEV: NO_STORE,
}


def acting(error: OSError) -> StoreError:
    """Of a change."""
    return StoreError(_STATUS.get(error.errno or 0, WRITE_FAILED))


def looking(error: OSError) -> StoreError:
    """Of a look: what is there cannot be read, unless the store or the name is wrong."""
    status = _STATUS.get(error.errno or 0, UNREADABLE)
    return StoreError(status if status in (BAD_NAME, NO_STORE) else UNREADABLE)


def not_empty(error: OSError) -> bool:
    """Was it no empty directory (any more) that should go?"""
    return error.errno in (_ENOTEMPTY, _ENOENT, _EEXIST)
