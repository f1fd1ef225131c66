"""`cradle undo`: bring back what the last sync overwrote and deleted, here and on the device."""

from argparse import Namespace

from cradle_desktop.commands.devices import stamp
from cradle_desktop.errors import EXIT_DONE, EXIT_PARTIAL
from cradle_desktop.manager import ServiceManager
from cradle_desktop.output import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cradle_desktop.undo.back import Outcome

SCHEMA = 1


def undo(arguments: Namespace, output: Output) -> int:
    """Take the last sync back, in one type or in all that are enabled."""
    with ServiceManager() as manager:
        name = manager.partner(arguments.partner).name
        done = manager.undo(name, arguments.type)
    output.document({"schema": SCHEMA, "partner": name, "types": [described(kind, one) for kind, one in done]})
    for kind, one in done:
        for line in lines(name, kind, one):
            output.data(line)
    if any(one is not None and one.restored for _, one in done):
        output.say(f"next: cradle sync {name}; 'cradle undo {name}' once more takes this back")
    return EXIT_PARTIAL if any(one is not None and one.left for _, one in done) else EXIT_DONE


def described(kind: str, one: "Outcome | None") -> "dict[str, Any]":
    """One type as the document has it; `of` and `done_at` are null where there was nothing to take back."""
    return {
        "type": kind,
        "of": None if one is None else one.act.kind,
        "done_at": None if one is None else stamp(one.act.done),
        "restored": [] if one is None else sorted(one.restored),
        "left": [] if one is None else [{"item": item, "reason": reason} for item, reason in sorted(one.left)],
    }


def lines(partner: str, kind: str, one: "Outcome | None") -> list[str]:
    """One type in words."""
    if one is None:
        return [f"{partner} {kind}: no sync overwrote or deleted anything that could be brought back"]
    count = "1 object" if len(one.restored) == 1 else f"{len(one.restored)} objects"
    found = [f"{partner} {kind}: {count} as before the {one.act.kind} of {stamp(one.act.done)}"]
    found += [f"  {item}" for item in sorted(one.restored)]
    return found + [f"  left alone {item}: {reason}" for item, reason in sorted(one.left)]
