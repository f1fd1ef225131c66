"""The one table of commands: name, handler, help, arguments. The command line and its help read it; so will a shell.

A handler is named by module and function and imported only when it runs: `cradle --version` loads none of them.
Handlers take the parsed arguments and an `Output`, and return an exit code; they need no terminal.
"""

from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from cradle_desktop.output import Output

    Handler = Callable[[Namespace, Output], int]


class Argument:
    """One argument as argparse wants it: names and keywords."""

    __slots__ = ("keywords", "names")

    def __init__(self, *names: str, **keywords: "Any") -> None:
        self.names, self.keywords = names, keywords


class Command:
    """name: one word, or two; handler: "module:function" below `cradle_desktop.commands`; json: prints data."""

    __slots__ = ("arguments", "handler", "help", "json", "name")

    def __init__(self, name: str, handler: str, help: str, arguments: "list[Argument]", json: bool = False) -> None:
        self.name, self.handler, self.help, self.arguments, self.json = name, handler, help, arguments, json

    def usage(self) -> str:
        """The positional arguments as a line of help shows them."""
        words = [self.name]
        for argument in self.arguments:
            if not argument.names[0].startswith("-"):
                word = str(argument.keywords.get("metavar", argument.names[0].upper()))
                words.append(f"[{word}]" if argument.keywords.get("nargs") in ("?", "*") else word)
        return " ".join(words)

    def run(self, arguments: "Namespace", output: "Output") -> int:
        """Import the handler and call it."""
        from importlib import import_module

        module, _, function = self.handler.partition(":")
        handler: Handler = getattr(import_module("cradle_desktop.commands." + module), function)
        return handler(arguments, output)


def percent(text: str) -> float:
    """A percentage: "25", "25%", "0", "100%"."""
    value = float(text.removesuffix("%").strip())
    if not 0 <= value <= 100:
        raise ValueError(text)
    return value


def size(text: str) -> int:
    """Bytes: "500 KB", "2 MB", "1024"."""
    from cradle_desktop.settings import bytes_of

    found = bytes_of(text)
    if found is None:
        raise ValueError(text)
    return found


def age(text: str) -> int:
    """Seconds: "90d", "12h"; see `sync.filter`."""
    from cradle_desktop.sync.filter import age as seconds

    return seconds(text)


def _partner(help: str, optional: bool = True) -> Argument:
    if optional:
        return Argument("partner", nargs="?", metavar="PARTNER", help=help)
    return Argument("partner", metavar="PARTNER", help=help)


ONE_OR_ALL = "name of a partner (default: every partner that answers)"
CODE = "six-digit pairing code"
POLICIES = ["desktop", "device", "newest", "both", "merge", "provider", "skip", "ask"]
CAPTURE = Argument("--capture", metavar="FILE", help="write the conversation into a file, for `cradle trace`")

COMMANDS = [
    Command("demo", "demo:run", "show the main job with a pretend device; needs no hardware", [
        Argument("--agent", choices=["cpython", "micropython"], help="what the pretend device runs"),
    ]),
    Command("agent run", "agent:run", "be a device: serve a folder to the desktops it is paired with", [
        Argument("--listen", required=True, metavar="ADDRESS", help="where to listen, e.g. tcp://0.0.0.0:7465"),
        Argument("--root", required=True, metavar="DIR", help="the folder that the type `files` serves"),
        Argument("--state", metavar="DIR", help="where identity, keys and metadata are kept"),
        Argument("--name", metavar="NAME", help="what desktops call this device (default: the host name)"),
        Argument("--code", metavar="CODE", help="fix the " + CODE + " (for scripts)"),
        Argument("--type", action="append", default=[], metavar="TYPE[=ARG]",
                 help="offer a further object type; `readings` takes rows that `cradle agent record` brings, or any "
                      "program, through a socket in the state folder (or =PATH)"),
    ]),
    Command("agent record", "agent:record", "hand rows to the agent that runs on this machine", [
        Argument("rows", nargs="*", metavar="ROW", help="a JSON object (default: one in each line of the input)"),
        Argument("--state", metavar="DIR", help="the agent's state folder, if it has one of its own"),
        Argument("--to", metavar="PATH", help="the agent's socket, if it is not there"),
    ]),
    Command("ls", "devices:ls", "list the devices in sight, paired or not", [], json=True),
    Command("pair", "pairing:pair", "pair with the device at an address, or with a stick", [
        Argument("address", metavar="ADDRESS", help="e.g. serial:/dev/ttyACM0, tcp://kiosk.local:7465, /media/STICK"),
        Argument("--name", metavar="NAME", help="what to call the partner (default: the name it gives itself)"),
        Argument("--code", metavar="CODE", help="the " + CODE + " that the device shows"),
        CAPTURE,
    ]),
    Command("unpair", "pairing:unpair", "end a partnership, on both sides", [
        _partner("name of the partner", optional=False),
    ]),
    Command("enable", "types:enable", "sync an object type with a partner from now on", [
        _partner("name of the partner", optional=False),
        Argument("type", metavar="TYPE", help="an object type, e.g. files"),
        Argument("--store", metavar="LOCATION", help="the desktop's store (default: a folder named after the partner)"),
        Argument("--policy", choices=POLICIES, default="desktop",
                 help="what becomes of a conflict (default: desktop): this side wins; or the other side; the one that "
                      "was changed last; both, under two names; one text out of two; or it waits for you (skip, ask). "
                      "The loser is always kept"),
        Argument("--direction", choices=["both", "to-device", "to-desktop"], default="both",
                 help="which way changes flow (default: both)"),
        Argument("--include", action="append", default=[], metavar="GLOB",
                 help="what the device shall hold, by the rules of .gitignore; the rest it has by name only. This and "
                      "the next ones replace the filter of the device's store, which all its desktops heed"),
        Argument("--exclude", action="append", default=[], metavar="GLOB", help="what it shall not hold; wins"),
        Argument("--max-size", type=size, metavar="SIZE", help='nothing longer, e.g. "500 KB"'),
        Argument("--newer-than", type=age, metavar="AGE", help='nothing that was written longer ago, e.g. "90d"'),
        Argument("--on-demand", action="store_true", help="nothing but what `cradle get` asks for"),
        Argument("--no-filter", action="store_true", help="everything"),
    ]),
    Command("disable", "types:disable", "stop syncing an object type with a partner; nothing is deleted", [
        _partner("name of the partner", optional=False),
        Argument("type", metavar="TYPE", help="an enabled object type"),
    ]),
    Command("status", "devices:status", "show partners, what is enabled, when they last synced", [
        _partner("name of a partner (default: all)"),
    ], json=True),
    Command("diff", "sync:diff", "show exactly what `cradle sync` would do", [
        _partner(ONE_OR_ALL), CAPTURE,
    ], json=True),
    Command("sync", "sync:sync", "bring both sides up to date", [
        _partner(ONE_OR_ALL),
        Argument("--dry-run", action="store_true", help="only show what would be done (as `cradle diff`)"),
        Argument("--max-delete", type=percent, default=None, metavar="N%",
                 help="stop if more than this share of a side would be deleted (default: 25%%)"),
        Argument("--revert", action="store_true",
                 help="where changes flow one way: drop what the receiving side changed by itself"),
        CAPTURE,
    ], json=True),
    Command("get", "get:get", "have a device with a filter hold a file or folder that it has by name only", [
        _partner("name of the partner", optional=False),
        Argument("paths", nargs="*", default=[], metavar=":PATH",
                 help="a path in the synced folder; of a folder all in it (default: list what there is to get)"),
        CAPTURE,
    ], json=True),
    Command("conflicts", "conflicts:list_all", "list the conflicts that wait for you", [
        _partner("name of a partner (default: all)"),
    ], json=True),
    Command("conflicts show", "conflicts:show", "show both versions of a conflict", [
        Argument("number", type=int, metavar="N", help="number from `cradle conflicts`"),
    ], json=True),
    Command("conflicts resolve", "conflicts:resolve", "settle a conflict; sync afterwards", [
        Argument("number", type=int, metavar="N", help="number from `cradle conflicts`"),
        Argument("--take", required=True, choices=["desktop", "device", "both"], help="which version to have"),
    ]),
    Command("undo", "undo:undo", "bring back what the last sync overwrote and deleted; sync afterwards", [
        _partner("name of the partner", optional=False),
        Argument("--type", metavar="TYPE", help="an enabled object type (default: all)"),
    ], json=True),
    Command("trace", "trace:run", "decode a captured conversation into readable lines", [
        Argument("file", metavar="FILE", help="a file that --capture wrote"),
    ]),
]  # fmt: skip


def find(words: "list[str]") -> "tuple[Command | None, int]":
    """The command that a command line starts with, longest name first, and how many words its name has."""
    for size in (2, 1):
        name = " ".join(words[:size])
        for command in COMMANDS:
            if command.name == name and len(words) >= size:
                return command, size
    return None, 0
