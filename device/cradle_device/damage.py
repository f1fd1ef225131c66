"""A metadata log with damage in it: did a power cut leave it, or was something lost that was durable? Mends nothing."""

from struct import unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cradle_device.log import Log

_BLOCK = 512  # bytes looked through at once
_SIZE = 8  # bytes of a commit's payload: u32 tick, u32 last oid


def hides_a_commit(log: "Log", kind: int, tick: int) -> bool:
    """Is there a commit of a later tick behind the damage? No power cut leaves that; partners may know what is lost."""
    for offset in _sound_records(log, bytes((_SIZE >> 8, _SIZE & 0xFF, kind))):
        _, buffer, start, _ = log.read(offset)
        if unpack_from(">I", buffer, start)[0] > tick:
            return True
    return False


def _sound_records(log: "Log", head: bytes) -> "Iterator[int]":
    """Offsets of the sound records with this head that lie behind the place where `replay` stopped."""
    with open(log.path, "rb") as file:
        offset, tail = file.seek(log.torn_at + 1), b""
        block = file.read(_BLOCK)
        while block:
            data = tail + block
            at = data.find(head)
            while at >= 0:
                if log.sound(offset + at):
                    yield offset + at
                at = data.find(head, at + 1)
            tail = data[1 - len(head) :]
            offset += len(data) - len(tail)
            block = file.read(_BLOCK)
