"""What all messages have in common: a kind, a table of fields, bytes both ways, equality. No message does anything."""

from cradle_protocol.errors import BAD_MESSAGE, LocalError, RemoteError
from cradle_protocol.wire.codec import functions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from cradle_protocol.compat import Bytes
    from cradle_protocol.wire.codec import Decode, Encode, Fields

_FUNCTIONS: "dict[type[Message], tuple[Encode, Decode]]" = {}


class Message:
    """One message. Its fields are attributes, given to the constructor by position or name, all of them.

    KIND    number of the message on the wire, 7 bits
    FIELDS  its table (`codec`), in wire order
    GROWS   later versions may add fields at the end: a receiver ignores what follows the ones it knows
    """

    KIND = 0
    FIELDS: "Fields" = ()
    GROWS = False

    def __init__(self, *values: "Any", **named: "Any") -> None:
        if len(values) + len(named) != len(self.FIELDS):
            raise LocalError(BAD_MESSAGE, "%s has %d fields" % (type(self).__name__, len(self.FIELDS)))
        for index in range(len(self.FIELDS)):
            name = self.FIELDS[index][0]
            setattr(self, name, values[index] if index < len(values) else named[name])

    def values(self) -> "list[Any]":
        """The values in the order of the table."""
        return [getattr(self, name) for name, _ in self.FIELDS]

    def to_bytes(self) -> bytes:
        """The message's body. Raises LocalError for a value that its field cannot hold."""
        return _functions(type(self))[0](self.values())

    @classmethod
    def from_bytes(cls, body: "Bytes") -> "Self":
        """The message in a whole body. Raises RemoteError for anything else."""
        values, end = _functions(cls)[1](body, 0)
        if end != len(body) and not cls.GROWS:
            raise RemoteError(BAD_MESSAGE, "%s is %d bytes too long" % (cls.__name__, len(body) - end))
        return cls(*values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and type(self) is type(other) and self.values() == other.values()

    def __hash__(self) -> int:
        return hash((self.KIND, self.to_bytes()))

    def __repr__(self) -> str:
        fields = ", ".join(["%s=%r" % (name, getattr(self, name)) for name, _ in self.FIELDS])
        return "%s(%s)" % (type(self).__name__, fields)


def _functions(cls: "type[Message]") -> "tuple[Encode, Decode]":
    found = _FUNCTIONS.get(cls)
    if found is None:
        found = _FUNCTIONS[cls] = functions(cls.FIELDS)
    return found
