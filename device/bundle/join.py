"""CPython only: joins the modules into one, each global with its own name; integers stand where their names stood."""

import ast
import keyword
from collections.abc import Iterator

from layout import without_messages
from strip import Strip, arguments, board_modules, walk

BUNDLE = "cradle_board"

# Modules that a program of a board's owner imports from: their public names stay, and so do their classes' attributes.
PUBLIC = (
    "cradle_device.agent", "cradle_device.system", "cradle_device.links.stream", "cradle_device.links.tcp",
    "cradle_device.providers.files", "cradle_device.readings", "cradle_protocol.provider.store",
    "cradle_protocol.errors", "cradle_protocol.sync.values",
)  # fmt: skip

# Strings up to this length are interned by MicroPython's compiler.
INTERNED = 10

# Of those, what not every program needs: the file that each goes into. What one link needs goes to the service for such
# links.
WITH = {
    "cradle_device.links.stream": "cradle_line", "cradle_device.links.tcp": "cradle_pipe",
    "cradle_device.readings": "cradle_readings",
}  # fmt: skip


class Module:
    """One module: what its names stand for."""

    def __init__(self, name: str, tree: ast.Module, known: "dict[str, ast.Module]") -> None:
        self.name, self.tree = name, tree
        self.names: dict[str, tuple[str, str]] = {}  # local name -> (module, name in it); ("", name) is a module
        self.needs: list[str] = []
        self.body: list[ast.stmt] = []
        for statement in tree.body:
            self._statement(statement, known)

    def _statement(self, statement: ast.stmt, known: "dict[str, ast.Module]") -> None:
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("cradle_"):
            self.needs += self.bind(statement, known)
            return
        self.body.append(statement)
        for name in bound(statement):
            self.names.setdefault(name, (self.name, name))

    def bind(self, node: ast.ImportFrom, known: "dict[str, ast.Module]") -> "list[str]":
        """Note what an import of ours binds; the modules that it needs."""
        needs = []
        for alias in node.names:
            whole = "%s.%s" % (node.module, alias.name)
            local = alias.asname or alias.name
            self.names[local] = ("", whole) if whole in known else (str(node.module), alias.name)
            needs.append(whole if whole in known else str(node.module))
        return needs


def bound(statement: ast.stmt) -> "list[str]":
    """Names that a module-level statement binds."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Import):
        return [(alias.asname or alias.name).partition(".")[0] for alias in statement.names]
    if isinstance(statement, ast.ImportFrom):
        return [alias.asname or alias.name for alias in statement.names]
    found = []
    for node in walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.append(node.id)
        elif isinstance(node, ast.ImportFrom | ast.Import | ast.FunctionDef):
            found += bound(node)
    return found


def in_order(modules: "dict[str, Module]") -> "list[Module]":
    """Each module behind those that it needs at its start."""
    done: list[Module] = []

    def add(name: str) -> None:
        module = modules.get(name)
        if module is None or module in done:
            return
        for need in module.needs:
            add(need)
        if module not in done:
            done.append(module)

    for name in modules:
        add(name)
    return done


def parts(modules: "dict[str, Module]", trees: "dict[str, ast.Module]") -> "dict[str, str]":
    """Module -> file that it goes into: what is imported inside a function only has a file of its own.

    What several such files need is in the first, as is all that the others need.
    """
    found = dict.fromkeys(_reach(modules, [name for name in PUBLIC if name not in WITH]), BUNDLE)
    later: dict[str, set[str]] = {}
    for name, file in list(WITH.items()) + list(_imported_late(modules, trees)):
        if name not in found:
            later.setdefault(file, set()).update(_reach(modules, [name]) - found.keys())
    for file, names in later.items():
        for name in names:
            found[name] = BUNDLE if name in found else file
    return found


def _imported_late(modules: "dict[str, Module]", trees: "dict[str, ast.Module]") -> "Iterator[tuple[str, str]]":
    """What functions import, and the files it goes into."""
    for name in modules:
        functions = [node for node in walk(trees[name]) if isinstance(node, ast.FunctionDef)]
        for node in [inner for function in functions for inner in walk(function)]:
            if isinstance(node, ast.ImportFrom) and node.module in modules:
                yield node.module, "cradle_" + node.module.rpartition(".")[2]


def _reach(modules: "dict[str, Module]", first: "list[str]") -> "set[str]":
    """The modules, and those that they need at their start."""
    found: set[str] = set()
    waiting = list(first)
    while waiting:
        name = waiting.pop()
        if name in modules and name not in found:
            found.add(name)
            waiting += modules[name].needs
    return found


def short_names(first: str) -> "Iterator[str]":
    """Ever longer names that begin alike."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    for letter in letters:
        yield first + letter
    for head in short_names(first):
        for letter in letters + "0123456789":
            if not keyword.iskeyword(head + letter):
                yield head + letter


class Joiner:
    """Gives every global of every module a name of its own, and joins the modules."""

    def __init__(self) -> None:
        trees = {name: Strip().visit(tree) for name, tree in without_messages(board_modules()).items()}
        self.modules = {name: Module(name, tree, trees) for name, tree in trees.items()}
        self.trees = trees
        self.order = in_order(self.modules)
        self.parts = parts(self.modules, trees)
        self.new: dict[tuple[str, str], str] = {}
        self.constants: dict[tuple[str, str], int | str] = {}
        self.stdlib: dict[str, str] = {}

    def resolve(self, module: str, name: str) -> "tuple[str, str] | None":
        """Where a name of a module really lives: (module, name), or ("", module) for a module."""
        found = self.modules[module].names.get(name)
        while found is not None and found[0] and found != (module, name):
            module, name = found
            if module not in self.modules:
                return None
            found = self.modules[module].names.get(name)
        return found

    def run(self) -> "dict[str, list[ast.stmt]]":
        """The joined statements of each file."""
        fresh = short_names("_")
        for module in self.order:
            for statement in module.body:
                self._number(module, statement)
        for module in self.order:
            for name, place in module.names.items():
                if place == (module.name, name):
                    self.new[place] = next(fresh)
        joined: dict[str, list[ast.stmt]] = {}
        for module in self.order:
            for statement in module.body:
                if self._is_constant(module, statement):
                    continue
                new = Rename(self, module).visit(statement)
                if new is not None:
                    joined.setdefault(self.parts.get(module.name, ""), []).append(new)
        return joined

    def _number(self, module: Module, statement: ast.stmt) -> None:
        """Note NAME = integer, or a string so short that it is interned like a name."""
        for place, value in self._assigned(module, statement):
            number = self._value(module, value)
            if number is not None:
                self.constants[place] = number
            elif isinstance(value, ast.Constant) and isinstance(value.value, str) and len(value.value) <= INTERNED:
                self.constants[place] = value.value

    def _assigned(self, module: Module, statement: ast.stmt) -> "Iterator[tuple[tuple[str, str], ast.expr]]":
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            return
        target, value = statement.targets[0], statement.value
        if isinstance(target, ast.Name):
            yield (module.name, target.id), value
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one, its in zip(target.elts, value.elts, strict=True):
                if isinstance(one, ast.Name):
                    yield (module.name, one.id), its

    def _value(self, module: Module, node: ast.expr) -> "int | None":
        """The integer that an expression is, if it is one."""
        if isinstance(node, ast.Constant):
            return node.value if type(node.value) is int else None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "const":
            return self._value(module, node.args[0])
        if isinstance(node, ast.BinOp):
            left, right = self._value(module, node.left), self._value(module, node.right)
            if left is None or right is None:
                return None
            return int(eval(compile(ast.Expression(ast.fix_missing_locations(
                ast.BinOp(ast.Constant(left), node.op, ast.Constant(right)))), "", "eval")))  # fmt: skip
        place = self.place(module, node)
        known = None if place is None else self.constants.get(place)
        return known if isinstance(known, int) else None

    def place(self, module: Module, node: ast.expr) -> "tuple[str, str] | None":
        """What a name, or an attribute of a module, refers to."""
        if isinstance(node, ast.Name):
            return self.resolve(module.name, node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            base = self.resolve(module.name, node.value.id)
            if base is not None and not base[0]:
                return self.resolve(base[1], node.attr)
        return None

    def _is_constant(self, module: Module, statement: ast.stmt) -> bool:
        places = [place for place, _ in self._assigned(module, statement)]
        return bool(places) and all(place in self.constants for place in places)


class Rename(ast.NodeTransformer):
    """Names of one module: globals become the bundle's, constants become numbers; locals are left for `Locals`."""

    def __init__(self, joiner: Joiner, module: Module) -> None:
        self.joiner, self.module = joiner, module
        self.hidden: list[set[str]] = []

    def _new(self, node: ast.expr) -> "ast.expr | None":
        place = self.joiner.place(self.module, node)
        if place in self.joiner.constants and isinstance(getattr(node, "ctx", None), ast.Load):
            return ast.Constant(self.joiner.constants[place])
        name = self.joiner.new.get(place) if place is not None else None
        return None if name is None else ast.Name(name, getattr(node, "ctx", ast.Load()))

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if any(node.id in names for names in self.hidden):
            return node
        return self._new(node) or node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name) and not any(node.value.id in names for names in self.hidden):
            found = self._new(node)
            if found is not None:
                return found
        self.generic_visit(node)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> "ast.AST | None":
        if (node.module or "").startswith("cradle_"):
            return self._later(node)
        if not self.hidden:
            for alias in node.names:
                alias.asname = self.joiner.new[self.module.name, alias.asname or alias.name]
        return node

    def _later(self, node: ast.ImportFrom) -> "ast.AST | None":
        """An import inside a function: of a file that is loaded later, or of what is there already."""
        file = self.joiner.parts[str(node.module)]
        if not self.hidden or file == BUNDLE:
            return None
        names = [self.joiner.new[str(node.module), alias.name] for alias in node.names]
        return ast.ImportFrom(file, [ast.alias(name, None) for name in names], 0)

    def visit_Import(self, node: ast.Import) -> ast.AST:
        if not self.hidden:
            for alias in node.names:
                alias.asname = self.joiner.new[self.module.name, alias.asname or alias.name]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if not self.hidden:
            node.name = self.joiner.new.get((self.module.name, node.name), node.name)
        return self._function(node)

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def _function(self, node: "ast.FunctionDef | ast.Lambda") -> ast.AST:
        for default in node.args.defaults + [one for one in node.args.kw_defaults if one is not None]:
            self.visit(default)
        node.args.defaults = [self.visit(one) for one in node.args.defaults]
        for decorator in getattr(node, "decorator_list", []):
            self.visit(decorator)
        local = {argument.arg for argument in arguments(node.args)}
        statements = node.body if isinstance(node.body, list) else []
        for statement in statements:
            for inner in walk(statement):
                if isinstance(inner, ast.ImportFrom) and (inner.module or "").startswith("cradle_"):
                    self.module.bind(inner, self.joiner.trees)
                    continue
                local.update(_bound_here(inner))
        self.hidden.append(local)
        if isinstance(node.body, list):
            node.body = [one for one in (self.visit(statement) for statement in statements) if one is not None]
            node.body = node.body or [ast.Pass()]
        else:
            node.body = self.visit(node.body)
        self.hidden.pop()
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return self._function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if not self.hidden:
            node.name = self.joiner.new.get((self.module.name, node.name), node.name)
        node.bases = [self.visit(base) for base in node.bases]
        self.hidden.append({name for statement in node.body for name in bound(statement)})
        own = self.hidden[-1]
        body = []
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                self.hidden.pop()
                self.hidden.append(set())  # names of the class body are not seen inside its functions
                body.append(self.visit(statement))
                self.hidden.pop()
                self.hidden.append(own)
            else:
                body.append(self.visit(statement))
        node.body = [one for one in body if one is not None] or [ast.Pass()]
        self.hidden.pop()
        return node


def _bound_here(node: ast.AST) -> "list[str]":
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.ExceptHandler) and node.name:
        return [node.name]
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    if isinstance(node, ast.arg):
        return [node.arg]
    return []
