"""Who may import whom: the arrows of the design, section 3, and what a board does not have."""

import ast
import re
import sys
from pathlib import Path

from rules.source import PACKAGES, ROOT, imports, modules, offences, tree, within

OURS = tuple(PACKAGES)

# All that MicroPython has and a core that never waits may use.
PURE = {"struct", "binascii", "hashlib", "json", "collections", "io", "cradle_protocol"}
# The one place that knows which interpreter runs.
COMPAT = PURE | {"micropython", "hmac", "sys", "zlib", "gc", "os", "errno"}
# On boards only, so not in CPython's list.
BOARD_MODULES = {"micropython", "machine", "vfs", "deflate", "uctypes", "network", "rp2", "esp32", "cryptolib"}

# The demo and the command `cradle agent` see both ends.
BOTH_ENDS = re.compile(r"(^|/)(agent|demo)[^/]*(/|\.py$)")

# Calls that wait, look or talk.
IMPURE_CALLS = {"print", "open", "input"}


def top(name: str) -> str:
    return name.partition(".")[0]


def test_protocol_imports_only_what_boards_have() -> None:
    def bad(path: Path, name: str) -> bool:
        return top(name) not in (COMPAT if path.name == "compat.py" else PURE)

    assert offences("cradle_protocol", bad) == []


def test_protocol_never_does_io() -> None:
    found = []
    for path in modules("cradle_protocol"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.func.id}")
    assert found == []


def test_protocol_rooms() -> None:
    """Nothing but the session knows the wire, and the wire knows no store."""
    forbidden = {"sync": ("wire",), "provider": ("wire",), "wire": ("provider",)}
    found = []
    for room, others in forbidden.items():
        for path in sorted((PACKAGES["cradle_protocol"] / room).rglob("*.py")):
            bad = [n for n in imports(path) if within(n, *("cradle_protocol." + o for o in others))]
            found += [f"{path.relative_to(ROOT)}: {n}" for n in bad]
    assert found == []


def test_device_needs_nothing_but_protocol() -> None:
    known = set(sys.stdlib_module_names) | BOARD_MODULES | {"cradle_protocol", "cradle_device"}
    assert offences("cradle_device", lambda path, name: top(name) not in known) == []


def test_hardware_sees_only_protocol() -> None:
    others = ("cradle_device", "cradle_desktop", "cradle_testing")
    assert offences("cradle_hardware", lambda path, name: within(name, *others)) == []


def test_desktop_does_not_see_the_device() -> None:
    def bad(path: Path, name: str) -> bool:
        relative = path.relative_to(PACKAGES["cradle_desktop"]).as_posix()
        return within(name, "cradle_testing") or (within(name, "cradle_device") and not BOTH_ENDS.search(relative))

    assert offences("cradle_desktop", bad) == []


def test_desktop_providers_see_only_the_contract() -> None:
    """So that a CPython agent can host them: no engine, no wire, no link."""
    contract = tuple("cradle_protocol." + room for room in ("provider", "sync", "errors", "compat"))
    allowed = (*contract, "cradle_desktop.providers")

    def bad(path: Path, name: str) -> bool:
        provider = path.is_relative_to(PACKAGES["cradle_desktop"] / "providers")
        return provider and within(name, *OURS) and not within(name, *allowed)

    assert offences("cradle_desktop", bad) == []


def test_the_checker_sees_a_forbidden_import(tmp_path: Path) -> None:
    """The rule itself: nested, relative and type-only imports are told apart."""
    source = "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    import typing\ndef f():\n    from time import sleep\n"
    path = tmp_path / "probe.py"
    path.write_text(source)
    assert imports(path) == ["time.sleep"]
