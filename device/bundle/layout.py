"""CPython only: takes message classes out of a bundle. What they did is done by calls with a layout (`board_codec`).

A class of messages costs a board some 500 bytes before it does anything: the class, its table, a tuple a field, the
names of the fields. The agent only ever makes a message to get its bytes, or reads one to get its fields, so that

    asked = Changes.from_bytes(body)   becomes   asked = decode_whole(b"...", body)
    asked.credit                       becomes   asked[1]
    ChangesEnd(1, at).to_bytes()       becomes   encode(b"...", (1, at))

The tables are those of the imported packages. A use of a message that is none of these raises `Unforeseen`.
"""

import ast
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import board_codec as board
from strip import FOLDERS

CODEC = "cradle_protocol.wire.codec"
MESSAGE = "cradle_protocol.wire.message"
_HELPERS = {"encode": "_layout_encode", "decode": "_layout_decode", "decode_whole": "_layout_decode_whole"}


class Unforeseen(Exception):
    """A message is used in a way that this cannot take from it."""


def layout(fields: "tuple[tuple[str, Any], ...]") -> bytes:
    """A table of field types as `board_codec` reads it."""
    return b"".join([_type(kind) for _, kind in fields])


def _type(kind: "tuple[Any, ...] | None") -> bytes:
    from cradle_protocol.wire import codec

    if kind is None:
        return bytes([board.NOTHING])
    code = kind[0]
    if code == codec.FIXED:
        assert kind[1] % 16 == 0
        return bytes([board.FIXED << 4 | kind[1] >> 4])
    if code == codec.PAIR:
        return bytes([board.PAIR << 4 | 6])
    if code == codec.LIST:
        assert codec.least((codec.RECORD, kind[2])) > 0
        return bytes([board.LIST << 4 | kind[1]]) + layout(kind[2]) + bytes([board.END])
    if code == codec.RECORD:
        return bytes([board.RECORD << 4]) + layout(kind[1]) + bytes([board.END])
    if code == codec.WHEN:
        return bytes([board.WHEN << 4, kind[1], kind[2], kind[3]]) + _type(kind[4]) + _type(kind[5])
    return bytes([{codec.UINT: board.UINT, codec.TEXT: board.TEXT, codec.BLOB: board.BLOB, codec.VIEW: board.VIEW}[
        code] << 4 | kind[1]])  # fmt: skip


def without_messages(trees: "dict[str, ast.Module]") -> "dict[str, ast.Module]":
    """The modules of a board with layouts in the place of tables and messages."""
    for folder in FOLDERS:
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    found = {}
    for name, tree in trees.items():
        if name == CODEC:
            found[name] = ast.parse(Path(board.__file__).read_text(encoding="utf-8"))
        elif name != MESSAGE:
            found[name] = _Layouts(importlib.import_module(name)).module(tree)
    return found


class _Layouts(ast.NodeTransformer):
    """Rewrites one module, whose names are looked up in the module as imported."""

    def __init__(self, module: ModuleType) -> None:
        from cradle_protocol.wire.message import Message

        self.there, self.base = module, Message
        self.used: set[str] = set()
        self.locals: dict[str, type[Any]] = {}  # variable of the present function -> the message it holds
        self.encoded: set[str] = set()  # those of them that hold the message's bytes

    def module(self, tree: ast.Module) -> ast.Module:
        tree = self.visit(tree)
        names = [ast.alias(name, _HELPERS[name]) for name in sorted(self.used)]
        if names:
            at = 1 if ast.get_docstring(tree) else 0
            tree.body.insert(at, ast.ImportFrom(CODEC, names, 0))
        return ast.fix_missing_locations(tree)

    def _value(self, node: ast.expr) -> Any:
        """What a dotted name of the module stands for, None if it is no such name."""
        if isinstance(node, ast.Name):
            return getattr(self.there, node.id, None)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            base = getattr(self.there, node.value.id, None)
            return getattr(base, node.attr, None) if isinstance(base, ModuleType) else None
        return None

    def _message(self, node: ast.expr) -> "type[Any] | None":
        value = self._value(node)
        return value if isinstance(value, type) and issubclass(value, self.base) else None

    def _call(self, name: str, cls: "type[Any]", *args: ast.expr) -> ast.Call:
        self.used.add(name)
        return ast.Call(ast.Name(_HELPERS[name], ast.Load()), [ast.Constant(layout(cls.FIELDS))] + list(args), [])

    def _decoded(self, node: ast.AST) -> "tuple[type[Any], ast.expr] | None":
        """The message of `Message.from_bytes(body)`, and the values that take its place."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "from_bytes":
            return None
        cls = self._message(node.func.value)
        if cls is None:
            return None
        body = self.visit(node.args[0])
        if cls.GROWS:
            return cls, ast.Subscript(self._call("decode", cls, body), ast.Constant(0), ast.Load())
        return cls, self._call("decode_whole", cls, body)

    def _encoded(self, node: ast.AST) -> "tuple[type[Any], ast.expr] | None":
        """The message of `Message(...)`, and the bytes that take its place."""
        cls = self._message(node.func) if isinstance(node, ast.Call) else None
        if cls is None or not isinstance(node, ast.Call):
            return None
        if node.keywords or len(node.args) != len(cls.FIELDS):
            raise Unforeseen(ast.unparse(node))
        return cls, self._call("encode", cls, ast.Tuple([self.visit(one) for one in node.args], ast.Load()))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.locals, self.encoded = {}, set()
        self.generic_visit(node)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> "ast.AST | None":
        if self._message(ast.Name(node.name, ast.Load())) is not None:
            return None
        self.generic_visit(node)
        return node

    def visit_Assign(self, node: ast.Assign) -> "ast.AST | None":
        target = node.targets[0]
        if isinstance(target, ast.Name):
            whole = self._table(target.id, node.value)
            if whole is not None:
                node.value = whole
                return node
            found = self._decoded(node.value) or self._encoded(node.value)
            if found is not None:
                if isinstance(node.value, ast.Call) and self._message(node.value.func) is not None:
                    self.encoded.add(target.id)
                self.locals[target.id], node.value = found
                return node
            if self._lists_messages(node.value):
                return None
        self.generic_visit(node)
        return node

    def _lists_messages(self, value: ast.expr) -> bool:
        """Is this a list of message classes, as inspectors use it?"""
        if not isinstance(value, ast.Tuple | ast.Dict):
            return False
        parts = value.elts if isinstance(value, ast.Tuple) else value.values
        return bool(parts) and all(self._message(one) is not None for one in parts)

    def _table(self, name: str, value: ast.expr) -> "ast.Constant | None":
        """The layout of a module's table, and what is known of one beforehand."""
        text = ast.unparse(value)
        if name.endswith("_FIELDS") or ".FIELDS" in text:
            return ast.Constant(layout(getattr(self.there, name)))
        return ast.Constant(int(getattr(self.there, name))) if text.startswith("least(") else None

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "to_bytes":
            made = self._encoded(node.func.value)
            if made is not None:
                return made[1]
            if isinstance(node.func.value, ast.Name) and node.func.value.id in self.encoded:
                return node.func.value
        self.generic_visit(node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        read, cls = node.value, None
        found = self._decoded(read)
        if found is not None:
            cls, read = found
        elif isinstance(read, ast.Name) and read.id in self.locals and read.id not in self.encoded:
            cls = self.locals[read.id]
        if cls is not None:
            names = [name for name, _ in cls.FIELDS]
            return ast.Subscript(read, ast.Constant(names.index(node.attr)), node.ctx)
        if node.attr in ("KIND", "FIELDS") and self._message(node.value) is not None:
            raise Unforeseen(ast.unparse(node))
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and self._message(node) is not None:
            raise Unforeseen(node.id)
        return node
