"""What the rules look at: the files of the project and what each imports. No tests here."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "cradle_protocol": ROOT / "protocol" / "cradle_protocol",
    "cradle_device": ROOT / "device" / "cradle_device",
    "cradle_hardware": ROOT / "hardware" / "cradle_hardware",
    "cradle_desktop": ROOT / "desktop" / "cradle_desktop",
    "cradle_testing": ROOT / "tests" / "cradle_testing",
}
COMPONENTS = ("protocol", "device", "hardware", "desktop", "tests", "benchmarks")


def modules(package: str) -> "list[Path]":
    """Every module of one of our packages."""
    return sorted(PACKAGES[package].rglob("*.py"))


def python_files() -> "list[Path]":
    """Every Python file of the project."""
    return sorted(p for name in COMPONENTS for p in (ROOT / name).rglob("*.py"))


def tracked() -> "list[Path]":
    """Files under version control; in an unpacked source archive, none."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    names = done.stdout.decode().split("\0") if done.returncode == 0 else []
    return [ROOT / n for n in names if n and (ROOT / n).is_file()]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def imports(path: Path) -> "list[str]":
    """Absolute names of what a module imports at run time, anywhere in it: `from a import b` gives "a.b"."""
    return list(_imports(tree(path), path))


def _imports(node: ast.AST, path: Path) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for other in child.orelse:
                yield from _imports(other, path)
        elif isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = _base(child, path)
            yield from (base + "." + alias.name for alias in child.names)
        else:
            yield from _imports(child, path)


def _base(node: ast.ImportFrom, path: Path) -> str:
    """Absolute name of what an import is relative to."""
    if not node.level:
        return node.module or ""
    package = next(p for p in PACKAGES.values() if path.is_relative_to(p))
    parts = path.relative_to(package.parent).parts[: -node.level]
    return ".".join((*parts, *((node.module or "").split(".") if node.module else ())))


def within(name: str, *packages: str) -> bool:
    """Is the dotted name one of the packages, or inside one?"""
    return any(name == p or name.startswith(p + ".") for p in packages)


def offences(package: str, bad: "object") -> "list[str]":
    """`file: import` for each import of the package for which bad(path, name) is true."""
    assert callable(bad)
    return [f"{p.relative_to(ROOT)}: {n}" for p in modules(package) for n in imports(p) if bad(p, n)]
