"""`cradle conflicts`: list them, show both versions of one, settle one."""

from argparse import Namespace

from cradle_desktop.commands.devices import stamp
from cradle_desktop.manager import ServiceManager
from cradle_desktop.output import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cradle_desktop.conflict.store import Conflict

SCHEMA = 1


def list_all(arguments: Namespace, output: Output) -> int:
    """The conflicts that wait."""
    with ServiceManager() as manager:
        name = None if arguments.partner is None else manager.partner(arguments.partner).name
        found = manager.waiting_conflicts(name)
    output.document({"schema": SCHEMA, "conflicts": [described(one) for one in found]})
    output.table([[str(one.number), one.partner, one.type, one.identity, words(one)] for one in found])
    if not found:
        output.say("no conflict waits")
    return 0


def described(one: "Conflict") -> "dict[str, Any]":
    """One conflict as the document has it."""
    return {
        "number": one.number,
        "partner": one.partner,
        "type": one.type,
        "item": one.identity,
        "kind": one.kind,
        "winner": one.winner,
        "loser": one.loser,
        "detected_at": stamp(one.detected),
    }


def words(one: "Conflict", unit: str = "") -> str:
    """What happened, in a few words. unit: name of the unit, where it is known."""
    from cradle_desktop.conflict.resolve import OTHER, in_place
    from cradle_desktop.conflict.show import unit_name

    what = {
        "update-update": "changed on both sides",
        "update-delete": "changed here, deleted on the device",
        "delete-update": "deleted here, changed on the device",
        "collision": "two names that are one here",
        "reverted": "changed on the device, dropped by --revert",
    }.get(one.kind, one.kind)
    if one.unit:
        what += f" ({unit or unit_name(one)})"
    if not one.held:
        return f"{what}; left as it is on both sides"
    here = in_place(one)
    return f"{what}; the {here}'s version is in place, the {OTHER[here]}'s is kept"


def show(arguments: Namespace, output: Output) -> int:
    """Both versions of one conflict."""
    with ServiceManager() as manager:
        shown = manager.shown(arguments.number)
    one = shown.conflict
    output.document(
        {
            "schema": SCHEMA,
            "conflict": described(one) | {"taken": one.taken},
            "sides": [
                {
                    "side": side.side,
                    "place": side.place,
                    "kind": side.kind,
                    "size": side.size,
                    "sha256": side.digest.hex(),
                    "written": None if side.written is None else stamp(side.written),
                }
                for side in (shown.desktop, shown.device)
            ],
            "unit": shown.unit,
            "difference": shown.lines,
        }
    )
    what = f"{one.identity} ({one.type} of {one.partner}), {stamp(one.detected)}: {words(one, shown.unit)}"
    output.data(f"{one.number}  {what}")
    for line in (shown.desktop.words(), shown.device.words(), *shown.lines):
        output.data("  " + line)
    if one.taken:
        output.say(f"settled: {one.taken} was taken; it can still be settled the other way")
    else:
        output.say(f"settle it with: cradle conflicts resolve {one.number} --take desktop|device|both")
    return 0


def resolve(arguments: Namespace, output: Output) -> int:
    """Settle one conflict."""
    with ServiceManager() as manager:
        one = manager.conflict(arguments.number)
        output.data(manager.resolve(arguments.number, arguments.take))
    output.say(f"next: cradle sync {one.partner}")
    return 0
