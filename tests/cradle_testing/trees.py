"""Folders as dictionaries: build one from a description, read one back, compare two. CPython only."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

# A name that ends with "/" is a directory; a value is the content, or (content, permission bits).
Tree = Mapping[str, "bytes | tuple[bytes, int]"]

# What a store keeps for itself; never part of what is compared.
OWN_FOLDER = ".cradle"


def write_tree(root: "str | Path", tree: Tree) -> Path:
    """Make the files and directories of `tree` under `root`, which is created; what is there stays."""
    base = Path(root)
    base.mkdir(parents=True, exist_ok=True)
    for name, value in tree.items():
        content, mode = value if isinstance(value, tuple) else (value, None)
        path = base / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if mode is not None:
            path.chmod(mode)
    return base


def read_tree(root: "str | Path") -> "dict[str, bytes]":
    """Every file (content) and directory (name with "/", empty) under `root`, but for the store's own folder."""
    base = Path(root)
    found: dict[str, bytes] = {}
    for folder, names, files in os.walk(base):
        relative = os.path.relpath(folder, base)
        prefix = "" if relative == "." else relative + "/"
        names[:] = [n for n in names if prefix or n != OWN_FOLDER]
        found.update({prefix + n + "/": b"" for n in names})
        found.update({prefix + n: (Path(folder) / n).read_bytes() for n in files})
    return found


def read_modes(root: "str | Path") -> "dict[str, int]":
    """Permission bits of everything that `read_tree` names."""
    return {name: stat.S_IMODE((Path(root) / name).stat().st_mode) for name in read_tree(root)}
