"""`cradle enable` and `cradle disable`: which object types are synced with a partner, and where they are kept."""

from argparse import Namespace

from cradle_desktop.errors import Usage
from cradle_desktop.manager import ServiceManager
from cradle_desktop.output import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.sync.filter import Filter


def enable(arguments: Namespace, output: Output) -> int:
    """Sync a type from now on; make its store if there is none."""
    with ServiceManager() as manager:
        name = manager.partner(arguments.partner).name
        unrecorded = manager.unrecorded(name, arguments.type, arguments.store)
        enabled = manager.enable(
            name, arguments.type, arguments.store, arguments.policy, arguments.direction, wanted(arguments)
        )
    output.data(f"{enabled.type} of {name} are kept in {enabled.location}")
    if unrecorded:
        output.say(
            f"{enabled.location} was synced before, and this desktop has no record of that (its state is new, or the "
            "folder came from elsewhere): the next sync compares it in full; nothing is lost, and what was deleted "
            "since the last sync may come back"
        )
    output.detail(f"policy {enabled.policy}, direction {enabled.direction}; next: cradle sync {name}")
    return 0


def wanted(arguments: Namespace) -> "Filter | None":
    """The filter that the options say, None if they say nothing of one."""
    said = bool(arguments.include or arguments.exclude or arguments.on_demand)
    said = said or arguments.max_size is not None or arguments.newer_than is not None
    if not said and not arguments.no_filter:
        return None
    if said and arguments.no_filter:
        raise Usage("--no-filter is all or nothing: leave it out, or the other options of the filter")
    if arguments.on_demand and (arguments.include or arguments.exclude):
        raise Usage("with --on-demand nothing is wanted but what 'cradle get' asks for: leave out the patterns")
    from cradle_desktop.sync.filter import Filter

    size, age = (-1 if limit is None else limit for limit in (arguments.max_size, arguments.newer_than))
    return Filter("", arguments.include, arguments.exclude, size, age, arguments.on_demand)


def disable(arguments: Namespace, output: Output) -> int:
    """Stop syncing a type."""
    with ServiceManager() as manager:
        name = manager.partner(arguments.partner).name
        why = manager.disable(name, arguments.type)
    output.data(f"{arguments.type} of {name} are not synced any more; nothing was deleted")
    if why:
        output.say(
            f"{name} was not told ({why}); it keeps what it records for this desktop until it is, "
            f"by the next 'cradle sync {name}'"
        )
    return 0
