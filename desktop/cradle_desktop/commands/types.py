"""`cradle enable` and `cradle disable`: which object types are synced with a partner, and where they are kept."""

from argparse import Namespace

from cradle_desktop.manager import ServiceManager
from cradle_desktop.output import Output


def enable(arguments: Namespace, output: Output) -> int:
    """Sync a type from now on; make its store if there is none."""
    with ServiceManager() as manager:
        name = manager.partner(arguments.partner).name
        unrecorded = manager.unrecorded(name, arguments.type, arguments.store)
        enabled = manager.enable(name, arguments.type, arguments.store, arguments.policy, arguments.direction)
    output.data(f"{enabled.type} of {name} are kept in {enabled.location}")
    if unrecorded:
        output.say(
            f"{enabled.location} was synced before, and this desktop has no record of that (its state is new, or the "
            "folder came from elsewhere): the next sync compares it in full; nothing is lost, and what was deleted "
            "since the last sync may come back"
        )
    output.detail(f"policy {enabled.policy}, direction {enabled.direction}; next: cradle sync {name}")
    return 0


def disable(arguments: Namespace, output: Output) -> int:
    """Stop syncing a type."""
    with ServiceManager() as manager:
        name = manager.partner(arguments.partner).name
        manager.disable(name, arguments.type)
    output.data(f"{arguments.type} of {name} are not synced any more; nothing was deleted")
    return 0
