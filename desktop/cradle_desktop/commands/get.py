"""`cradle get`: have a device with a filter hold some of what it has by name only."""

from argparse import Namespace
from unicodedata import normalize

from cradle_desktop.commands.sync import sync
from cradle_desktop.errors import Usage
from cradle_desktop.manager import ServiceManager
from cradle_desktop.output import Output

TYPE = "files"


def get(arguments: Namespace, output: Output) -> int:
    """Ask for the paths, then sync, which brings them."""
    paths = [path_of(word) for word in arguments.paths]
    with ServiceManager() as manager:
        name = manager.partner(arguments.partner).name
        if not manager.get(name, TYPE, paths):
            output.say(f"{name} wants all of that already")
    arguments.dry_run, arguments.max_delete, arguments.revert = False, None, False
    return sync(arguments, output)


def path_of(word: str) -> str:
    """A path in the device's store: ":photos/a.jpg"."""
    path = normalize("NFC", word[1:].strip("/"))
    if not word.startswith(":") or not path:
        raise Usage(f"{word!r} is no path on the device: write ':' before it, as in 'cradle get PARTNER :photos/a.jpg'")
    return path
