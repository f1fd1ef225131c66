"""Whose fault an error was, and the status codes that say on the wire what it was. Not how it is shown to a user."""

from cradle_protocol.compat import const

OK = const(0)
BAD_MESSAGE = const(1)
UNKNOWN_KIND = const(2)
TOO_LONG = const(3)
BAD_VERSION = const(4)
NOT_PAIRED = const(5)
PROOF_FAILED = const(6)
NOT_ALLOWED = const(7)
BUSY = const(8)
NO_TYPE = const(9)
NO_STORE = const(10)
STALE = const(11)
NO_ROOM = const(12)
UNREADABLE = const(13)
CHANGED = const(14)
BAD_NAME = const(15)
MISMATCH = const(16)
MISSING_SOURCE = const(17)
WRITE_FAILED = const(18)
NO_ENTROPY = const(19)
WRONG_CODE = const(20)
LIMIT = const(21)
FAILED = const(22)
READ_ONLY = const(23)
COLLISION = const(24)
NO_PARENT = const(25)

# What a code says when its sender adds no words. A code that is not here comes from a later version.
STATUS_TEXT = {
    OK: "done",
    BAD_MESSAGE: "the message breaks the protocol",
    UNKNOWN_KIND: "this kind of message is not known here",
    TOO_LONG: "the message is longer than was agreed",
    BAD_VERSION: "the two ends speak no common version",
    NOT_PAIRED: "the two ends are not paired",
    PROOF_FAILED: "the other end does not hold the partnership key",
    NOT_ALLOWED: "that is not allowed here",
    BUSY: "busy with another session",
    NO_TYPE: "this object type is not offered here",
    NO_STORE: "the store is missing",
    STALE: "the item is newer than the sender knew",
    NO_ROOM: "there is no room left",
    UNREADABLE: "the object cannot be read",
    CHANGED: "the object changed meanwhile",
    BAD_NAME: "the name is not possible here",
    MISMATCH: "the content does not match its hash",
    MISSING_SOURCE: "the object to copy from is gone",
    WRITE_FAILED: "the object cannot be written",
    NO_ENTROPY: "there is no source of randomness here",
    WRONG_CODE: "the pairing code is wrong",
    LIMIT: "a limit was reached",
    FAILED: "it failed",
    READ_ONLY: "the store is read-only",
    COLLISION: "another object has this name",
    NO_PARENT: "the folder for it is missing",
}


class ProtocolError(Exception):
    """Something broke the protocol. Raised as LocalError or RemoteError, never as itself.

    code  a status code of this module
    text  one sentence
    """

    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text or STATUS_TEXT.get(code, "status %d" % code)

    def __str__(self) -> str:
        return self.text


class LocalError(ProtocolError):
    """This end's own program misused an object of this package."""


class RemoteError(ProtocolError):
    """The other end sent what it must not send."""
