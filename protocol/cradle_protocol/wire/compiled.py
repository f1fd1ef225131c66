"""CPython only: turns a table of field types into two straight-line functions. Not a second definition of the wire.

The interpreter in `codec` says what is right; these say the same faster (some ten times on a change record), by joining
neighbouring fields of fixed size in one `struct` call. Tests hold both against each other on every table.
"""

import struct

from cradle_protocol.errors import BAD_MESSAGE, LIMIT, LocalError, RemoteError
from cradle_protocol.wire.codec import BLOB, FIXED, LIST, PAIR, RECORD, TEXT, UINT, VIEW, WHEN, least

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from cradle_protocol.compat import Bytes
    from cradle_protocol.wire.codec import Decode, Encode, Fields, Type

# struct codes of an unsigned number of so many bytes; three and six are read as two numbers.
_CODES = {1: "B", 2: "H", 3: "BH", 4: "I", 6: "HI"}
_LOW_BITS = {3: 16, 6: 32}


def compile_table(fields: "Fields") -> "tuple[Encode, Decode]":
    """`encode(values) -> bytes` and `decode(view, at) -> (values, at)` of a table."""
    writer, reader = _Writer(), _Reader()
    names: dict[str, Any] = {"join": b"".join, "LocalError": LocalError, "StructError": struct.error}
    # What packing a value raises that its field cannot hold.
    names["CANNOT"] = (struct.error, TypeError, ValueError, AttributeError, IndexError)
    names.update(BAD_MESSAGE=BAD_MESSAGE, RemoteError=RemoteError, bad_count=_bad_count, ends_early=_ends_early)
    source = writer.function(fields) + reader.function(fields)
    names.update(writer.constants)
    names.update(reader.constants)
    exec(compile(source, "<wire table>", "exec"), names)
    return names["encode"], names["decode"]


def lazily(fields: "Fields") -> "tuple[Encode, Decode]":
    """The same, compiled when either is first called: one process seldom needs them all."""
    made: list[Any] = []

    def encode(values: "Sequence[Any]") -> bytes:
        if not made:
            made.extend(compile_table(fields))
        encoded: bytes = made[0](values)
        return encoded

    def decode(view: "Bytes", at: int) -> "tuple[Sequence[Any], int]":
        if not made:
            made.extend(compile_table(fields))
        decoded: tuple[Sequence[Any], int] = made[1](view, at)
        return decoded

    return encode, decode


def _bad_count(name: str) -> None:
    raise RemoteError(LIMIT, "field %s counts more than the message holds" % name)


def _ends_early(name: str) -> None:
    raise RemoteError(BAD_MESSAGE, "the message ends inside field %s" % name)


def _format(kind: "Type") -> "str | None":
    """The struct codes of a type of fixed size, or None."""
    if kind[0] == UINT:
        return _CODES[kind[1]]
    if kind[0] == FIXED:
        return "%ds" % kind[1]
    return "HI" if kind[0] == PAIR else None


def _tuple(names: "list[str]") -> str:
    return "(%s,)" % ", ".join(names) if names else "()"


class _Code:
    """Lines of one function, and the struct objects they use."""

    def __init__(self, prefix: str) -> None:
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {}
        self.prefix = prefix
        self.depth = 2
        self.count = 0

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def name(self) -> str:
        self.count += 1
        return "%s%d" % (self.prefix, self.count)

    def method(self, codes: str, method: str) -> str:
        """The name of a bound method of the struct object for these codes."""
        name = "%s_%s" % (self.prefix, method) + codes
        self.constants[name] = getattr(struct.Struct(">" + codes), method)
        return name


class _Writer(_Code):
    """Makes `encode`: every run of fixed fields becomes one pack, every piece goes to one list."""

    def __init__(self) -> None:
        super().__init__("w")

    def function(self, fields: "Fields") -> str:
        self.fields(fields, "values")
        head = "def encode(values):\n    try:\n        out = []\n        put = out.append\n"
        tail = "        return join(out)\n    except CANNOT:\n"
        tail += "        raise LocalError(BAD_MESSAGE, 'a field cannot hold its value') from None\n"
        return head + "\n".join(self.lines) + "\n" + tail

    def fields(self, fields: "Fields", values: str) -> None:
        names = [self.name() for _ in fields]
        self.line("%s = %s" % (_tuple(names), values))
        codes, arguments = "", ""
        for name, (_, kind) in zip(names, fields):
            more = _format(kind)
            if more is not None:
                codes += more
                arguments += self.argument(name, kind)
                continue
            self.pack(codes, arguments)
            codes, arguments = "", ""
            self.value(name, kind, names)
        self.pack(codes, arguments)

    def pack(self, codes: str, arguments: str) -> None:
        if codes:
            self.line("put(%s(%s))" % (self.method(codes, "pack"), arguments))

    def argument(self, name: str, kind: "Type") -> str:
        if kind[0] == PAIR:
            return "%s[1], %s[0], " % (name, name)
        if kind[0] == FIXED:
            self.line("if len(%s) != %d: raise ValueError" % (name, kind[1]))
            return name + ", "
        if kind[1] in _LOW_BITS:
            bits = _LOW_BITS[kind[1]]
            return "%s >> %d, %s & %d, " % (name, bits, name, (1 << bits) - 1)
        return name + ", "

    def value(self, name: str, kind: "Type", names: "list[str]") -> None:
        code = kind[0]
        if code == WHEN:
            self.choice(name, kind, names)
        elif code == RECORD:
            self.fields(kind[1], name)
        elif code == LIST:
            self.put_length(name, kind[1])
            self.elements(name, kind[2])
        elif code in (TEXT, BLOB, VIEW):
            if code == TEXT:
                self.line("%s = %s.encode()" % (name, name))
            self.put_length(name, kind[1])
            self.line("put(%s)" % name)
        else:
            self.pack(str(_format(kind)), self.argument(name, kind))

    def put_length(self, name: str, size: int) -> None:
        length = self.name()
        self.line("%s = len(%s)" % (length, name))
        self.pack(_CODES[size], self.argument(length, (UINT, size)))

    def elements(self, name: str, fields: "Fields") -> None:
        element = self.name()
        self.line("for %s in %s:" % (element, name))
        self.depth += 1
        self.fields(fields, "(%s,)" % element if len(fields) == 1 else element)
        self.depth -= 1

    def choice(self, name: str, kind: "Type", names: "list[str]") -> None:
        self.line("if %s & %d == %d:" % (names[kind[1]], kind[2], kind[3]))
        self.depth += 1
        self.value(name, kind[4], names)
        self.depth -= 1
        if kind[5] is not None:
            self.line("else:")
            self.depth += 1
            self.value(name, kind[5], names)
            self.depth -= 1


class _Reader(_Code):
    """Makes `decode`: every run of fixed fields becomes one unpack_from."""

    def __init__(self) -> None:
        super().__init__("r")

    def function(self, fields: "Fields") -> str:
        names = self.fields(fields)
        head = "def decode(view, at):\n    try:\n        end = len(view)\n"
        tail = "        return %s, at\n    except StructError:\n" % _tuple(names)
        tail += "        raise RemoteError(BAD_MESSAGE, 'the message ends inside a field') from None\n"
        tail += "    except UnicodeDecodeError:\n"
        tail += "        raise RemoteError(BAD_MESSAGE, 'a text field is not UTF-8') from None\n"
        return head + "\n".join(self.lines) + "\n" + tail

    def fields(self, fields: "Fields") -> "list[str]":
        names = [self.name() for _ in fields]
        run: list[tuple[str, Type]] = []
        for name, (label, kind) in zip(names, fields):
            if _format(kind) is not None:
                run.append((name, kind))
                continue
            self.unpack(run)
            run = []
            self.value(name, label, kind, names)
        self.unpack(run)
        return names

    def unpack(self, run: "list[tuple[str, Type]]") -> None:
        if not run:
            return
        targets, after = "", []
        for name, kind in run:
            if kind[0] == PAIR:
                targets += "%sk, %st, " % (name, name)
                after.append("%s = (%st, %sk)" % (name, name, name))
            elif kind[0] == UINT and kind[1] in _LOW_BITS:
                targets += "%sh, %sl, " % (name, name)
                after.append("%s = %sh << %d | %sl" % (name, name, _LOW_BITS[kind[1]], name))
            else:
                targets += name + ", "
        codes = "".join(str(_format(kind)) for _, kind in run)
        self.line("%s= %s(view, at)" % (targets, self.method(codes, "unpack_from")))
        self.line("at += %d" % struct.calcsize(">" + codes))
        for text in after:
            self.line(text)

    def value(self, name: str, label: str, kind: "Type", names: "list[str]") -> None:
        code = kind[0]
        if code == WHEN:
            self.choice(name, label, kind, names)
        elif code == RECORD:
            self.line("%s = %s" % (name, _tuple(self.fields(kind[1]))))
        elif code == LIST:
            self.elements(name, label, kind)
        elif code in (TEXT, BLOB, VIEW):
            self.bytes(name, label, kind)
        else:
            self.unpack([(name, kind)])

    def bytes(self, name: str, label: str, kind: "Type") -> None:
        self.unpack([(name, (UINT, kind[1]))])
        self.line("if %s > end - at: ends_early(%r)" % (name, label))
        take = {TEXT: "str(view[at:at + %s], 'utf-8')", BLOB: "bytes(view[at:at + %s])"}
        slice_of = take.get(kind[0], "memoryview(view)[at:at + %s]") % name
        self.line("%s, at = %s, at + %s" % (name, slice_of, name))

    def elements(self, name: str, label: str, kind: "Type") -> None:
        count = self.name()
        self.unpack([(count, (UINT, kind[1]))])
        self.line("if %s * %d > end - at: bad_count(%r)" % (count, least((RECORD, kind[2])), label))
        self.line("%s = []" % name)
        self.line("for _ in range(%s):" % count)
        self.depth += 1
        names = self.fields(kind[2])
        self.line("%s.append(%s)" % (name, names[0] if len(names) == 1 else _tuple(names)))
        self.depth -= 1

    def choice(self, name: str, label: str, kind: "Type", names: "list[str]") -> None:
        self.line("if %s & %d == %d:" % (names[kind[1]], kind[2], kind[3]))
        self.depth += 1
        self.value(name, label, kind[4], names)
        self.depth -= 1
        self.line("else:")
        self.depth += 1
        if kind[5] is None:
            self.line("%s = None" % name)
        else:
            self.value(name, label, kind[5], names)
        self.depth -= 1
