"""`cradle get`: have a device with a filter hold some of what it has by name only, or list that."""

from argparse import Namespace
from unicodedata import normalize

from cradle_desktop.commands.sync import SCHEMA, sync
from cradle_desktop.errors import EXIT_DONE, Usage
from cradle_desktop.manager import ServiceManager
from cradle_desktop.output import Output

TYPE = "files"


def get(arguments: Namespace, output: Output) -> int:
    """Ask for the paths, then sync, which brings them. Without paths: what there is to ask for."""
    paths = [path_of(word) for word in arguments.paths]
    with ServiceManager() as manager:
        name = manager.partner(arguments.partner).name
        if not paths:
            return _list(manager, name, output)
        if not manager.get(name, TYPE, paths):
            output.say(f"{name} wants all of that already")
    arguments.dry_run, arguments.max_delete, arguments.revert = False, None, False
    return sync(arguments, output)


def _list(manager: ServiceManager, name: str, output: Output) -> int:
    """Names and sizes of what is not there."""
    found = manager.by_name_only(name, TYPE)
    objects = [{"item": path, "bytes": None if size < 0 else size} for path, size in found]
    output.document({"schema": SCHEMA, "partner": name, "type": TYPE, "by_name": objects})
    for path, size in found:
        output.data(f"{'' if size < 0 else f'{size:,}':>15}  :{path}{'/' if size < 0 else ''}")
    if found:
        output.say(f"{name} has these by name only; 'cradle get {name} :PATH' brings one, of a folder all in it")
    else:
        output.say(f"there is nothing that {name} has by name only")
    return EXIT_DONE


def path_of(word: str) -> str:
    """A path in the device's store: ":photos/a.jpg"."""
    path = normalize("NFC", word[1:].strip("/"))
    if not word.startswith(":") or not path:
        raise Usage(f"{word!r} is no path on the device: write ':' before it, as in 'cradle get PARTNER :photos/a.jpg'")
    return path
