"""Files and functions stay small enough to be read in one go."""

import ast

from rules.source import ROOT, python_files, tree

FILE_LIMIT = 600  # lines
FUNCTION_LIMIT = 50  # lines without the docstring; more needs a reason in a comment that starts with "long:"


def test_files_are_short() -> None:
    lengths = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in python_files()}
    assert {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > FILE_LIMIT} == {}


def test_functions_are_short() -> None:
    found = []
    for path in python_files():
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if _length(node) <= FUNCTION_LIMIT:
                    continue
                if "# long:" not in "\n".join(lines[node.lineno - 1 : node.end_lineno]):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {_length(node)}")
    assert found == []


def _length(node: "ast.FunctionDef | ast.AsyncFunctionDef") -> int:
    body = node.body[1:] if ast.get_docstring(node, clean=False) is not None and len(node.body) > 1 else node.body
    return (node.end_lineno or node.lineno) - body[0].lineno + 1
