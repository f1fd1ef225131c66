"""CPython only: leaves out what nothing names, and makes names short that no program of a board's owner can see."""

import ast
import builtins
import io
import types

from join import bound, short_names
from strip import arguments, walk

# Objects of MicroPython's own, and names in its modules; nothing of ours that is called so is renamed.
_FOREIGN = (
    str, bytes, bytearray, memoryview, list, dict, set, tuple, int, float, io.FileIO, io.BytesIO, OSError,
    types.GeneratorType,
)  # fmt: skip
_FOREIGN_NAMES = """
    readinto recv_into setblocking ipoll poll register unregister modify ticks_ms ticks_diff ticks_add sleep_ms accept
    bind listen connect send recv sendall getaddrinfo setsockopt socket errno digest update hexdigest stat lstat listdir
    ilistdir mkdir rmdir rename remove unlink statvfs urandom time gmtime monotonic_ns crc32 hexlify unhexlify pack
    pack_into unpack unpack_from sha256 fileno setraw tcgetattr tcsetattr wrap_socket load_cert_chain SSLContext uname
    platform implementation name version exit argv path modules unique_id const collect sleep run buffer stdin stdout
"""


def strings(tree: ast.AST) -> "set[str]":
    """Every string constant: what is looked up by name must keep it."""
    return {node.value for node in walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def foreign_names() -> "set[str]":
    """Names of what is not ours."""
    return set(_FOREIGN_NAMES.split()) | set(dir(builtins)).union(*map(dir, _FOREIGN))


def _used(tree: ast.AST) -> "dict[str, int]":
    """How often each name is loaded, as a name or as an attribute."""
    found: dict[str, int] = {}
    for node in walk(tree):
        name = None
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            name = node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            name = node.attr
        if name is not None:
            found[name] = found.get(name, 0) + 1
    return found


def _is_abstract(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.FunctionDef) or len(statement.body) != 1:
        return False
    only = statement.body[0]
    return isinstance(only, ast.Raise) and isinstance(only.exc, ast.Name) and only.exc.id == "NotImplementedError"


def prune(tree: ast.Module, keep: "set[str]") -> None:
    """Leave out functions, methods and assignments that nothing names, and methods that only say they are missing."""
    count = 0
    while count != len(list(walk(tree))):
        count = len(list(walk(tree)))
        used, named = _used(tree), keep | strings(tree)
        tree.body = [one for one in tree.body if _wanted(one, False, used, named)]
        for node in walk(tree):
            if isinstance(node, ast.ClassDef):
                node.body = [one for one in node.body if _wanted(one, True, used, named)] or [ast.Pass()]


def _wanted(statement: ast.stmt, method: bool, used: "dict[str, int]", named: "set[str]") -> bool:
    """Does anything outside of it name what this statement makes?"""
    if method and _is_abstract(statement):
        return False
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        name = statement.name
    elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name) and not method:
        name = statement.targets[0].id
    else:
        return True
    return name.startswith("__") or name in named or used.get(name, 0) > _used(statement).get(name, 0)


def attributes(tree: ast.Module, keep: "set[str]") -> "dict[str, str]":
    """{attribute of our own classes: short name}, the most used first.

    Two attributes get one name where no object has both: every name costs, and most classes have few.
    """
    foreign = foreign_names()
    own: set[str] = set()
    for node in walk(tree):
        if isinstance(node, ast.ClassDef):
            own.update(name for statement in node.body for name in bound(statement))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            own.add(node.attr)
    used = _used(tree)
    own -= foreign | keep | strings(tree)
    names = sorted([name for name in own if not name.startswith("__")], key=lambda name: (-used.get(name, 0), name))
    taken = foreign | keep | strings(tree) | {node.attr for node in walk(tree) if isinstance(node, ast.Attribute)}
    fresh = (name for name in short_names("") if name not in taken)
    holders, families = _holders(tree)
    shared: list[tuple[str, set[str]]] = []  # short name, families that have an attribute of this name
    found = {}
    for name in names:
        having = holders.get(name) or families
        pair = next((one for one in shared if not one[1] & having), None)
        if pair is None:
            pair = (next(fresh), set())
            shared.append(pair)
        pair[1].update(having)
        found[name] = pair[0]
    return found


def _holders(tree: ast.Module) -> "tuple[dict[str, set[str]], set[str]]":
    """{attribute: families of classes that declare it}, and all families: a family is joined by inheritance.

    The type checker sees to it that nothing is stored in an object that its class does not declare.
    """
    classes = [node for node in walk(tree) if isinstance(node, ast.ClassDef)]
    family = {one.name: one.name for one in classes}
    for one in classes:
        for base in one.bases:
            if isinstance(base, ast.Name) and base.id in family:
                old, new = family[one.name], family[base.id]
                family = {name: new if its == old else its for name, its in family.items()}
    holders: dict[str, set[str]] = {}
    for one in classes:
        declared = {name for statement in one.body for name in bound(statement)}
        declared.update(
            node.attr
            for node in walk(one)
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        )
        for name in declared:
            holders.setdefault(name, set()).add(family[one.name])
    return holders, set(family.values())


class Shorten(ast.NodeTransformer):
    """Attributes by a map; parameters by their place, where nobody calls them by name."""

    def __init__(self, tree: ast.Module, names: "dict[str, str]", keep: "set[str]") -> None:
        self.names = names
        self.named = {k.arg for node in walk(tree) if isinstance(node, ast.Call) for k in node.keywords} | keep
        self.depth = 0

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = self.names.get(node.attr, node.attr)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                statement.name = self.names.get(statement.name, statement.name)
            elif isinstance(statement, ast.Assign):
                for target in statement.targets:
                    if isinstance(target, ast.Name):
                        target.id = self.names.get(target.id, target.id)
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if self.depth == 0:
            self._parameters(node)
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def _parameters(self, function: ast.FunctionDef) -> None:
        order, taken = [], set()
        for node in walk(function):
            if isinstance(node, ast.FunctionDef | ast.Lambda):
                order += [one.arg for one in arguments(node.args) if one.arg not in order]
            if isinstance(node, ast.Name):
                taken.add(node.id)
        taken.update(order)
        fresh = (name for name in short_names("") if name not in taken)
        new = {name: next(fresh) for name in order if name not in self.named}
        for node in walk(function):
            if isinstance(node, ast.arg):
                node.arg = new.get(node.arg, node.arg)
            elif isinstance(node, ast.Name):
                node.id = new.get(node.id, node.id)


def global_names(tree: ast.Module, old: "set[str]") -> "dict[str, str]":
    """{global: short name}, where attributes may be called the same: a name that is interned twice costs once.

    Not for what a class body names outside its methods: there an attribute would be found first.
    """
    names = [node for node in walk(tree) if isinstance(node, ast.Name)]
    taken = {node.id for node in names} - old | set(dir(builtins))
    taken.update(node.arg for node in walk(tree) if isinstance(node, ast.arg))
    fixed: set[str] = set()
    for node in walk(tree):
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                parts = [statement.args] if isinstance(statement, ast.FunctionDef) else [statement]
                fixed.update(one.id for part in parts for one in walk(part) if isinstance(one, ast.Name))
    used = _used(tree)
    fresh = (name for name in short_names("") if name not in taken)
    return {name: next(fresh) for name in sorted(old - fixed, key=lambda name: (-used.get(name, 0), name))}
