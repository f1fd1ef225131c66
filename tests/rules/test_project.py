"""What a stranger finds: nothing that names one machine or one registry, types shipped, commands named."""

import re
import tomllib

from rules.source import PACKAGES, ROOT, tracked

# Written in parts, so that this file does not hold what it forbids.
HOSTS = ("py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "deb." + "debian.org", "/opt/" + "pypi")
MACHINE_PATH = re.compile(r"(?<![\w.~$}])/(?:" + "wo" + r"rk|ro" + r"ot)/")


def test_no_tracked_file_names_a_machine_or_a_registry() -> None:
    found = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)}: {host}" for host in HOSTS if host in text]
        found += [f"{path.relative_to(ROOT)}: {m.group()}" for m in MACHINE_PATH.finditer(text)]
    assert found == []


def test_every_package_ships_its_types() -> None:
    assert [name for name, folder in PACKAGES.items() if not (folder / "py.typed").exists()] == []


def test_every_module_says_what_it_is() -> None:
    import ast

    from rules.source import modules, tree

    found = [p for name in PACKAGES for p in modules(name) if p.stat().st_size and not ast.get_docstring(tree(p))]
    assert [str(p.relative_to(ROOT)) for p in found] == []


def test_the_readme_names_the_two_commands_first() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert -1 < text.index("make demo") < text.index("make test")


def test_pyproject_lists_the_five_packages_and_one_command() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = {p.rpartition("/")[2] for p in data["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
    assert listed == set(PACKAGES)
    assert data["project"]["scripts"] == {"cradle": "cradle_desktop.entry:main"}


def test_the_extra_all_holds_every_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    everything = extras.pop("all")[0]
    assert set(re.search(r"\[(.*)\]", everything).group(1).split(",")) == set(extras)
