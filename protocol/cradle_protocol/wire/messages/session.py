"""Messages that open a session and keep it: hello, proof, errors. Not pairing, which has a family of its own."""

from cradle_protocol.wire import constants as c
from cradle_protocol.wire.codec import DIGEST, ID, STRING, U8, U16, U24, U32, list_of
from cradle_protocol.wire.message import Message


class Hello(Message):
    """The desktop's first message. Its body, as sent, is part of the proof."""

    KIND = c.HELLO
    GROWS = True
    version: int  # newest protocol version the desktop speaks
    oldest: int  # oldest one
    desktop_id: bytes  # 16 bytes
    name: str  # what the desktop calls itself
    nonce: bytes  # 16 random bytes, new in each session
    flags: int  # none defined
    max_message: int  # longest body the desktop takes after the proof
    FIELDS = (
        ("version", U8), ("oldest", U8), ("desktop_id", ID), ("name", STRING), ("nonce", ID), ("flags", U16),
        ("max_message", U24),
    )  # fmt: skip


class HelloReply(Message):
    """The device's first message: all that an unpaired desktop learns. Its body, as sent, is part of the proof."""

    KIND = c.HELLO_REPLY
    GROWS = True
    version: int  # the version this session speaks
    oldest: int  # oldest one the device speaks
    device_id: bytes  # 16 bytes
    name: str  # what the device calls itself
    agent: str  # program and version
    nonce: bytes  # 16 random bytes, new in each session
    flags: int  # PAIRED, CABLE, CODE, REPL
    max_message: int  # longest body the device takes after the proof
    FIELDS = (
        ("version", U8), ("oldest", U8), ("device_id", ID), ("name", STRING), ("agent", STRING), ("nonce", ID),
        ("flags", U16), ("max_message", U24),
    )  # fmt: skip


class Proof(Message):
    """The desktop proves that it holds the partnership key."""

    KIND = c.PROOF
    mac: bytes  # 32 bytes, `proof.proof_mac`
    FIELDS = (("mac", DIGEST),)


class ProofReply(Message):
    """The device proves the same, and says what may be asked of it."""

    KIND = c.PROOF_REPLY
    mac: bytes  # 32 bytes, `proof.proof_mac`
    max_requests: int  # requests that may wait for their reply at once
    batch_items: int  # changes in one APPLY request
    batch_bytes: int  # bytes of content in one APPLY request
    device_time: int  # seconds since 1970 by the device's clock; 0 if it has none
    types: "list[tuple[str, bytes, bytes, int]]"  # (name, store id, replica id, live objects) of each object type
    FIELDS = (
        ("mac", DIGEST), ("max_requests", U16), ("batch_items", U16), ("batch_bytes", U32), ("device_time", U32),
        ("types", list_of(U8, ("name", STRING), ("store_id", ID), ("replica_id", ID), ("objects", U32))),
    )  # fmt: skip


class Error(Message):
    """The answer to a request that failed, or (request 0) the reason why the session ends."""

    KIND = c.ERROR
    status: int  # a status code of `errors`
    text: str  # one sentence; may be empty
    FIELDS = (("status", U8), ("text", STRING))


class Ping(Message):
    """Are you there? Either end may ask after the hello; the session answers by itself."""

    KIND = c.PING


class Pong(Message):
    """Yes."""

    KIND = c.PONG


MESSAGES = (Hello, HelloReply, Proof, ProofReply, Error, Ping, Pong)
