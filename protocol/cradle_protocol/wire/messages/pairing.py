"""Messages that make and end a partnership. Not how its key is kept."""

from cradle_protocol.wire import constants as c
from cradle_protocol.wire.codec import BLOB16, DIGEST
from cradle_protocol.wire.message import Message


class PairCable(Message):
    """The key itself: allowed over a cable only, where possession of the device is the proof."""

    KIND = c.PAIR_CABLE
    key: bytes  # 32 random bytes
    FIELDS = (("key", DIGEST),)


class PairSpake(Message):
    """The desktop's half of SPAKE2 over the pairing code."""

    KIND = c.PAIR_SPAKE
    blob: bytes
    FIELDS = (("blob", BLOB16),)


class PairSpakeReply(Message):
    """The device's half. It says nothing about the code: the desktop confirms first."""

    KIND = c.PAIR_SPAKE_REPLY
    blob: bytes
    FIELDS = (("blob", BLOB16),)


class PairConfirm(Message):
    """The desktop shows that it derived the key."""

    KIND = c.PAIR_CONFIRM
    mac: bytes  # 32 bytes, `proof.pair_mac`
    FIELDS = (("mac", DIGEST),)


class PairDone(Message):
    """The device shows the same; its key is durable."""

    KIND = c.PAIR_DONE
    mac: bytes  # 32 bytes, `proof.pair_mac`
    FIELDS = (("mac", DIGEST),)


class Unpair(Message):
    """Forget this partnership. Needs the proof."""

    KIND = c.UNPAIR


class UnpairReply(Message):
    """Forgotten."""

    KIND = c.UNPAIR_REPLY


MESSAGES = (PairCable, PairSpake, PairSpakeReply, PairConfirm, PairDone, Unpair, UnpairReply)
