"""CPython only: puts the bodies of functions where they are called, if that is one place or the body is one expression.

A function costs a board some 90 bytes beside its code. What is put elsewhere is evaluated in the same order: arguments
first, unless they are names or constants that nothing in the body can change. A method is taken if its name is that of
no other attribute, and never one that a program of a board's owner may call or define.
"""

import ast
from collections.abc import Iterator

from join import bound
from strip import clone, walk

# Bytes of code a node of an expression takes, about; bytes a function takes beside its code.
_NODE, _FUNCTION = 2, 90
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Callee:
    """A function that may be put where it is called."""

    def __init__(self, node: ast.FunctionDef, holder: "list[ast.stmt]", method: bool) -> None:
        self.node, self.holder, self.method = node, holder, method
        self.parameters = [one.arg for one in node.args.args]
        inside = [one for statement in node.body for one in walk(statement)]
        self.generator = any(isinstance(one, ast.Yield | ast.YieldFrom) for one in inside)
        self.stored = {one.id for one in inside if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
        self.stored.update(one.name for one in inside if isinstance(one, ast.ExceptHandler) and one.name)
        imports = [one for one in inside if isinstance(one, ast.Import | ast.ImportFrom)]
        self.stored.update(name for one in imports for name in bound(one))
        names = {one.id for one in inside if isinstance(one, ast.Name)}
        self.free = names - self.stored - set(self.parameters)
        self.expression: ast.expr | None = None
        if len(node.body) == 1 and isinstance(node.body[0], ast.Return) and not self.generator:
            self.expression = node.body[0].value

    def size(self) -> int:
        return _NODE * len([one for one in walk(self.node) if not isinstance(one, ast.expr_context)])


def candidates(tree: ast.Module, keep: "set[str]") -> "dict[str, Callee]":
    """{name: function} of all that may be moved; `keep` has the names that must stay or are others' too."""
    found: dict[str, Callee] = {}
    several: set[str] = set()
    for holder, method in [(tree.body, False)] + [
        (node.body, True) for node in walk(tree) if isinstance(node, ast.ClassDef)
    ]:
        for statement in holder:
            for name in bound(statement):
                (several if name in found else set()).add(name)
                if isinstance(statement, ast.FunctionDef) and _is_plain(statement):
                    found[name] = Callee(statement, holder, method)
                else:
                    several.add(name)
    stored = (node for node in walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    several.update(node.attr for node in stored)
    return {name: one for name, one in found.items() if not name.startswith("__") and name not in several | keep}


def _is_plain(node: ast.FunctionDef) -> bool:
    args = node.args
    if node.decorator_list or args.vararg or args.kwarg or args.kwonlyargs or args.posonlyargs:
        return False
    if not all(isinstance(one, ast.Constant | ast.Name) for one in args.defaults):
        return False
    inside = [one for statement in node.body for one in walk(statement)]
    if any(isinstance(one, _SCOPES + (ast.Global, ast.Nonlocal, ast.NamedExpr)) for one in inside):
        return False
    return not any(isinstance(one, ast.Name) and one.id == "super" for one in inside)


def inline(tree: ast.Module, keep: "set[str]") -> None:
    """Move what can be moved, until nothing more can."""
    counter = iter(range(1 << 30))
    while _round(tree, keep, counter):
        pass


def _round(tree: ast.Module, keep: "set[str]", counter: "Iterator[int]") -> bool:
    """Move each function once that no other move has touched."""
    uses, callers, fixed = _uses(tree)
    touched: list[ast.FunctionDef] = []
    moved = False
    for name, callee in candidates(tree, keep | fixed).items():
        places = callers.get(name, [])
        if callee.node in touched or any(place in touched for place in places):
            continue
        if _move(name, callee, uses.get(name, 0), places, counter):
            callee.holder.remove(callee.node)
            if callee.method and not callee.holder:
                callee.holder.append(ast.Pass())
            touched += [callee.node] + places
            moved = True
    return moved


def _uses(tree: ast.Module) -> "tuple[dict[str, int], dict[str, list[ast.FunctionDef]], set[str]]":
    """How often each name is used, the functions that call it, and names that imports mention."""
    uses: dict[str, int] = {}
    callers: dict[str, list[ast.FunctionDef]] = {}
    fixed: set[str] = set()
    inner: set[int] = set()
    for node in walk(tree):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None
        if name is not None:
            uses[name] = uses.get(name, 0) + 1
        elif isinstance(node, ast.alias):
            fixed.update((node.name, node.asname or ""))
        elif isinstance(node, ast.FunctionDef) and id(node) not in inner:
            for one in walk(node):
                inner.add(id(one))
                called = _called(one)
                if called is not None and node not in callers.setdefault(called, []):
                    callers[called].append(node)
    return uses, callers, fixed


def _move(name: str, callee: Callee, uses: int, places: "list[ast.FunctionDef]", counter: "Iterator[int]") -> bool:
    """Put a function everywhere it is called; False, and nothing done, if one of the places does not do."""
    if not uses or (uses > 1 and (callee.expression is None or (uses - 1) * callee.size() > _FUNCTION)):
        return False
    placer = Placer(name, callee, counter)
    new = [clone(place) for place in places]
    for place in new:
        placer.function(place)
    if placer.done != uses:
        return False
    for place, changed in zip(places, new, strict=True):
        place.body = changed.body
    return True


def _called(node: ast.AST) -> "str | None":
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name):
            return node.func.id
        if isinstance(node.func, ast.Attribute):
            return node.func.attr
    return None


class Placer:
    """Puts one function's body into others."""

    def __init__(self, name: str, callee: Callee, counter: "Iterator[int]") -> None:
        self.name, self.callee, self.counter = name, callee, counter
        self.done = 0
        self.locals: set[str] = set()

    def function(self, node: ast.FunctionDef) -> None:
        self.locals = {one.arg for one in walk(node) if isinstance(one, ast.arg)}
        for one in walk(node):
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
                self.locals.add(one.id)
            elif isinstance(one, ast.ExceptHandler) and one.name:
                self.locals.add(one.name)
            elif isinstance(one, ast.Import | ast.ImportFrom):
                self.locals.update(bound(one))
        if self.callee.free & self.locals:
            return
        node.body = self.block(node.body)

    def block(self, body: "list[ast.stmt]") -> "list[ast.stmt]":
        found: list[ast.stmt] = []
        for statement in body:
            found += self.statement(statement)
        return found

    def statement(self, node: ast.stmt) -> "list[ast.stmt]":
        if isinstance(node, _SCOPES):
            return [node]
        whole = self._whole(node)
        if whole is not None:
            self.done += 1
            return whole
        for field in ("body", "orelse", "finalbody"):
            inner = getattr(node, field, None)
            if isinstance(inner, list):
                setattr(node, field, self.block(inner))
        for handler in getattr(node, "handlers", []):
            handler.body = self.block(handler.body)
        if self.callee.expression is not None:
            _Expressions(self).statement(node)
        return [node]

    def _whole(self, node: ast.stmt) -> "list[ast.stmt] | None":
        """The statements that take this one's place, if it is a call of the function and nothing else."""
        value = getattr(node, "value", None)
        stepped = isinstance(value, ast.YieldFrom)
        call = value.value if isinstance(value, ast.YieldFrom) else value
        if isinstance(node, ast.If):
            call = node.test.operand if isinstance(node.test, ast.UnaryOp) else node.test
        if not isinstance(call, ast.Call) or _called(call) != self.name or stepped != self.callee.generator:
            return None
        if self.callee.expression is not None and _Expressions(self).replaced(clone(call)) is not None:
            return None  # the expression alone is shorter
        if isinstance(node, ast.Return) and not stepped:
            made = self._body(call)
            if made is not None and not isinstance(made[-1], ast.Return | ast.Raise):
                made.append(ast.Return(None))
            return made
        if isinstance(node, ast.Expr):
            made = self._body(call)
            return None if made is None else tail(made, lambda value: [] if value is None else [ast.Expr(value)])
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            made = self._body(call)
            return None if made is None else tail(made, lambda value: [_assign(target, value)])
        if isinstance(node, ast.If) and isinstance(node.test, ast.Call | ast.UnaryOp):
            if isinstance(node.test, ast.UnaryOp) and not isinstance(node.test.op, ast.Not):
                return None
            fresh = ast.Name(self.fresh(), ast.Store())
            made = self._body(call)
            body = None if made is None else tail(made, lambda value: [_assign(fresh, value)])
            if body is None:
                return None
            answer: ast.expr = ast.Name(fresh.id, ast.Load())
            node.test = ast.UnaryOp(ast.Not(), answer) if isinstance(node.test, ast.UnaryOp) else answer
            return body + [node]
        return None

    def fresh(self) -> str:
        return "V%d" % next(self.counter)

    def arguments(self, call: ast.Call) -> "dict[str, ast.expr] | None":
        """What each parameter is."""
        if call.keywords or any(isinstance(one, ast.Starred) for one in call.args):
            return None
        given = list(call.args)
        if self.callee.method:
            if not isinstance(call.func, ast.Attribute) or not _is_steady(call.func.value):
                return None
            given.insert(0, call.func.value)
        elif not isinstance(call.func, ast.Name):
            return None
        missing = len(self.callee.parameters) - len(given)
        defaults = self.callee.node.args.defaults
        if missing < 0 or missing > len(defaults):
            return None
        given += defaults[len(defaults) - missing :] if missing else []
        return dict(zip(self.callee.parameters, given, strict=True))

    def _body(self, call: ast.Call) -> "list[ast.stmt] | None":
        """The function's statements with parameters and variables of this place."""
        given = self.arguments(call)
        if given is None:
            return None
        body: list[ast.stmt] = []
        names: dict[str, ast.expr] = {name: ast.Name(self.fresh(), ast.Load()) for name in sorted(self.callee.stored)}
        for name, value in given.items():
            if name not in self.callee.stored and isinstance(value, ast.Name | ast.Constant):
                names[name] = value
            else:
                variable = names.setdefault(name, ast.Name(self.fresh(), ast.Load()))
                body.append(_assign(variable, value))
        return body + [_Substitute(names).visit(clone(statement)) for statement in self.callee.node.body]


class _Expressions(ast.NodeTransformer):
    """Puts the one expression of a function into the expressions of a statement."""

    def __init__(self, placer: Placer) -> None:
        self.placer = placer

    def statement(self, node: ast.stmt) -> None:
        for field, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                setattr(node, field, self.visit(value))
            elif isinstance(value, list):
                value[:] = [self.visit(one) if isinstance(one, ast.expr) else one for one in value]

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node

    def visit_ListComp(self, node: ast.ListComp) -> ast.AST:
        return node

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp  # type: ignore[assignment]

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if _called(node) != self.placer.name:
            return node
        new = self.replaced(node)
        if new is None:
            return node
        self.placer.done += 1
        return new

    def replaced(self, call: ast.Call) -> "ast.expr | None":
        given, expression = self.placer.arguments(call), self.placer.callee.expression
        if given is None or expression is None:
            return None
        if any(isinstance(one, _COMPREHENSIONS) for one in walk(expression)):
            return None
        times: dict[str, int] = {}
        for one in walk(expression):
            if isinstance(one, ast.Name):
                times[one.id] = times.get(one.id, 0) + 1
        calls = [one for one in walk(expression) if isinstance(one, ast.Call | ast.IfExp | ast.BoolOp)]
        for name, value in given.items():
            if isinstance(value, ast.Name | ast.Constant):
                continue
            # Another value is evaluated once, and before anything of the expression can have an effect.
            if times.get(name, 0) != 1 or (calls and calls != [expression]) or not isinstance(value, ast.Attribute):
                return None
            if not _is_steady(value) or isinstance(expression, ast.IfExp | ast.BoolOp):
                return None
        return _Substitute(given).visit(clone(expression))  # type: ignore[no-any-return]


class _Substitute(ast.NodeTransformer):
    """Names become other names, or values."""

    def __init__(self, names: "dict[str, ast.expr]") -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        new = self.names.get(node.id)
        if new is None:
            return node
        return ast.Name(new.id, node.ctx) if isinstance(new, ast.Name) else clone(new)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        new = self.names.get(node.name or "")
        if isinstance(new, ast.Name):
            node.name = new.id
        self.generic_visit(node)
        return node

    def visit_alias(self, node: ast.alias) -> ast.AST:
        new = self.names.get(node.asname or node.name)
        if isinstance(new, ast.Name):
            node.asname = new.id
        return node


def _is_steady(node: ast.expr) -> bool:
    """A name, or attributes of one."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _assign(target: ast.expr, value: "ast.expr | None") -> ast.stmt:
    target = clone(target)
    for node in walk(target):
        if isinstance(node, ast.Name | ast.Tuple) and (node is target or isinstance(target, ast.Tuple)):
            node.ctx = ast.Store()
    return ast.Assign([target], value or ast.Constant(None))


def tail(body: "list[ast.stmt]", give: "object") -> "list[ast.stmt] | None":
    """The statements with `give(value)` where they returned; None if they return from the middle of something."""
    found: list[ast.stmt] = []
    for k, statement in enumerate(body):
        rest = body[k + 1 :]
        if isinstance(statement, ast.Return):
            return found + give(statement.value)  # type: ignore[operator, no-any-return]
        if isinstance(statement, ast.Raise):
            return found + [statement]
        if not any(isinstance(one, ast.Return) for one in walk(statement)):
            found.append(statement)
            continue
        if not isinstance(statement, ast.If):
            return None
        if rest and not _ends(statement.body) and not _ends(statement.orelse):
            return None  # what follows would have to stand in both
        one, other = statement.body, statement.orelse
        if _ends(one):
            other = other + rest
        else:
            one = one + rest
        yes, no = tail(one, give), tail(other, give)
        if yes is None or no is None:
            return None
        statement.body, statement.orelse = yes or [ast.Pass()], no
        return found + [statement]
    return found + give(None)  # type: ignore[operator, no-any-return]


def _ends(body: "list[ast.stmt]") -> bool:
    """Does nothing come after these statements?"""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, ast.If):
        return _ends(last.body) and _ends(last.orelse)
    return isinstance(last, ast.Return | ast.Raise | ast.Continue | ast.Break)
