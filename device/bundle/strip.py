"""CPython only: which modules go on a board, and what of them only type checkers, readers, CPython or desktops see."""

import ast
from pathlib import Path
from typing import TypeVar

Node = TypeVar("Node", bound=ast.AST)

FOLDERS = (Path(__file__).parents[2] / "protocol", Path(__file__).parents[1])
DESKTOP_ONLY = '"""CPython only'
# Rows of tables that lead to these are left out: pairing by code needs SPAKE2, which no board has.
NOT_ON_BOARDS = ("_take_spake", "_take_confirm")


def board_modules() -> "dict[str, ast.Module]":
    """Dotted name -> tree of what goes on a board."""
    found = {}
    for folder in FOLDERS:
        for path in sorted(folder.glob("cradle_*/**/*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            text = path.read_text(encoding="utf-8")
            if not text.startswith(DESKTOP_ONLY):
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(text)
    return found


def walk(node: ast.AST) -> "list[ast.AST]":
    """What `ast.walk` yields, in its order, in a third of its time: making a bundle is walking trees."""
    found = [node]
    for one in found:
        held = one.__dict__
        for field in one._fields:
            value = held.get(field)
            if type(value) is list:
                found += [inner for inner in value if isinstance(inner, ast.AST)]
            elif isinstance(value, ast.AST):
                found.append(value)
    return found


def clone(node: "Node") -> "Node":
    """A copy of a tree, with none of what makes `copy.deepcopy` slow."""
    new = node.__class__.__new__(node.__class__)
    for name, value in node.__dict__.items():
        if type(value) is list:
            value = [clone(one) if isinstance(one, ast.AST) else one for one in value]
        new.__dict__[name] = clone(value) if isinstance(value, ast.AST) else value
    return new


class Strip(ast.NodeTransformer):
    """Takes away what only type checkers, readers and CPython see."""

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        """Rows of a table that a key (True, ...) gives to the desktop's role are not for a board."""
        self.generic_visit(node)
        pairs = [pair for pair in zip(node.keys, node.values, strict=True) if not _is_left_out(*pair)]
        node.keys, node.values = [key for key, _ in pairs], [value for _, value in pairs]
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Sentences about the other end's errors (a desktop has its own for each status), and for programmers."""
        self.generic_visit(node)
        text = ast.unparse(node.func)
        if text == "STATUS_TEXT.get":
            return ast.Constant("")
        misuse = text == "LocalError" and ast.unparse(node.args[0]) in ("BAD_MESSAGE", "TOO_LONG")
        if (misuse or text in ("RemoteError", "StoreError")) and len(node.args) == 2:
            node.args.pop()
        return node

    def visit_If(self, node: ast.If) -> "ast.AST | list[ast.stmt] | None":
        self.generic_visit(node)
        known = _truth(node.test)
        if known is None:
            return node
        return node.body if known else node.orelse or None

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        known = _truth(node.test)
        return node if known is None else node.body if known else node.orelse

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        """What is known beforehand and does not decide is left out: a board is no desktop."""
        self.generic_visit(node)
        deciding = isinstance(node.op, ast.Or)
        if _truth(node) is None:
            node.values = [value for value in node.values if _truth(value) is not (not deciding)]
        return node.values[0] if len(node.values) == 1 else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        return ast.Constant(False) if _truth(node) is False and isinstance(node.ctx, ast.Load) else node

    def visit_For(self, node: ast.For) -> ast.AST:
        """A table's rows for both roles."""
        self.generic_visit(node)
        if isinstance(node.target, ast.Name) and node.target.id == "_desktop":
            node.iter = ast.Tuple([ast.Constant(False)], ast.Load())
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> "ast.AST | None":
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign([node.target], self.visit(node.value)), node)

    def visit_Assign(self, node: ast.Assign) -> "ast.AST | None":
        name = node.targets[0].id if isinstance(node.targets[0], ast.Name) else ""
        if name in ("TYPE_CHECKING", "__all__", "__slots__"):
            return None
        if name == "STATUS_TEXT":
            return None
        self.generic_visit(node)
        return node

    def visit_Expr(self, node: ast.Expr) -> "ast.AST | None":
        if isinstance(node.value, ast.Constant):
            return None
        self.generic_visit(node)
        return node

    def visit_Assert(self, node: ast.Assert) -> None:
        return None

    def visit_FunctionDef(self, node: "ast.FunctionDef | ast.AsyncFunctionDef") -> "ast.AST | None":
        if node.name in ("__repr__", "__eq__", "__hash__"):
            return None  # for tests and debuggers
        node.returns = None
        for argument in arguments(node.args):
            argument.annotation = None
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> "ast.AST | None":
        return self.visit_FunctionDef(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node


def _is_left_out(key: "ast.expr | None", value: ast.expr) -> bool:
    if isinstance(value, ast.Constant) and value.value in NOT_ON_BOARDS:
        return True
    first = key.elts[0] if isinstance(key, ast.Tuple) and key.elts else None
    return isinstance(first, ast.Constant) and first.value is True


def arguments(args: ast.arguments) -> "list[ast.arg]":
    extra = [one for one in (args.vararg, args.kwarg) if one is not None]
    return args.posonlyargs + args.args + args.kwonlyargs + extra


def _truth(test: ast.expr) -> "bool | None":
    """What a test is on a board, where that is known."""
    if isinstance(test, ast.Attribute):
        return False if ast.unparse(test) == "self.desktop" else None
    if isinstance(test, ast.Constant):
        return test.value if isinstance(test.value, bool) else None
    if isinstance(test, ast.Name):
        return {"TYPE_CHECKING": False, "MICROPYTHON": True}.get(test.id)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        known = _truth(test.operand)
        return None if known is None else not known
    if isinstance(test, ast.BoolOp):
        values = [_truth(value) for value in test.values]
        if isinstance(test.op, ast.Or):
            return True if True in values else False if values == [False] * len(values) else None
        return False if False in values else True if values == [True] * len(values) else None
    return None
