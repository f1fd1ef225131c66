"""`cradle sync` and `cradle diff`: one partner, or all that answer, one after the other."""

import gc
from argparse import Namespace

from cradle_desktop.commands.interrupt import gently
from cradle_desktop.commands.recording import recorded
from cradle_desktop.commands.report import counts, summary
from cradle_desktop.errors import EXIT_CONFLICTS, EXIT_DONE, EXIT_PARTIAL, Interrupted, NoDevice, Usage, UserError
from cradle_desktop.manager import Report, ServiceManager
from cradle_desktop.opening import Ears
from cradle_desktop.output import Output
from cradle_desktop.partnership.registry import Partnership
from cradle_desktop.progress import Display
from cradle_desktop.streams.opened import is_stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from cradle_desktop.sync.plan import Plan

SCHEMA = 1
# New objects between two searches for cycles (CPython's own is 700): a plan is many objects that all live to its end,
# and looking through them again and again costs a tenth of a first sync.
GC_EVERY = 100_000


def sync(arguments: Namespace, output: Output) -> int:
    """Bring both sides up to date."""
    gc.set_threshold(GC_EVERY)
    if arguments.dry_run:
        return diff(arguments, output)
    with recorded(arguments.capture) as heard, ServiceManager(ears(output, heard)) as manager:

        def one(partner: Partnership) -> int:
            display = Display(output, partner.name)
            try:
                with gently(manager, output):
                    report = manager.sync(partner, arguments.max_delete, display, arguments.revert)
            finally:
                display.close()
            show(report, output)
            if report.cancelled:
                raise Interrupted
            return verdict(report)

        return each(manager, arguments, output, one)


def diff(arguments: Namespace, output: Output) -> int:
    """Show what a sync would do."""
    with recorded(arguments.capture) as heard, ServiceManager(ears(output, heard)) as manager:

        def one(partner: Partnership) -> int:
            show_plans(partner.name, manager.preview(partner, getattr(arguments, "revert", False)), output)
            return EXIT_DONE

        return each(manager, arguments, output, one)


def each(manager: ServiceManager, arguments: Namespace, output: Output, what: "Callable[[Partnership], int]") -> int:
    """Do it with the named partner, the only one, or all that answer. Returns the exit code that counts most."""
    partners = manager.chosen(arguments.partner)
    if len(partners) == 1:
        return what(partners[0])
    if arguments.capture is not None:
        raise Usage("a capture holds one conversation; name the partner: " + ", ".join(one.name for one in partners))
    codes, away = [], []
    for partner in partners:
        try:
            codes.append(what(partner))
        except Interrupted:
            raise
        except NoDevice as error:
            away.append(f"{partner.name} ({partner.address})")
            output.detail(f"{partner.name}: {error.text}")
        except UserError as error:
            output.fail(f"{partner.name}: {error.text}")
            codes.append(error.exit_code)
    if not codes:
        raise NoDevice("no partner answers: " + ", ".join(away) + "; connect one, then try again")
    if away:
        output.say("did not answer: " + ", ".join(away))
    return worst(codes)


# What is worse comes first: an error tells more than a partial success, that more than a waiting conflict.
MILD = (EXIT_DONE, EXIT_CONFLICTS, EXIT_PARTIAL)


def worst(codes: list[int]) -> int:
    """The exit code of several syncs."""
    errors = [code for code in codes if code not in MILD]
    return errors[0] if errors else max(codes)


def verdict(report: Report) -> int:
    """The exit code of one sync. A row that was lost is an object that did not come."""
    if any(one.skipped or one.gaps for one in report.types):
        return EXIT_PARTIAL
    return EXIT_CONFLICTS if report.conflicts_waiting else EXIT_DONE


def show(report: Report, output: Output) -> None:
    """The report, as lines or as the document of the design's section 9."""
    output.document(
        {
            "schema": SCHEMA,
            "partner": report.partner,
            "types": [
                {
                    "type": one.type,
                    "to_device": counts(one.to_device),
                    "to_desktop": counts(one.to_desktop),
                    "conflicts": one.conflicts,
                    "deviations": one.deviations,
                    "left": one.left,
                    "absent": one.absent,
                    "skipped": [{"item": item, "reason": reason} for item, reason in one.skipped],
                    "bytes_sent": one.bytes_sent,
                    "bytes_received": one.bytes_received,
                    "resumed_bytes": one.resumed_bytes,
                    **({"lost": sum(rows for _, rows in one.gaps)} if is_stream(one.type) else {}),
                }
                for one in report.types
            ],
            "conflicts_waiting": report.conflicts_waiting,
            "duration_s": round(report.seconds, 3),
        }
    )
    for line in summary(report):
        output.data(line)


def show_plans(partner: str, plans: "list[tuple[str, Plan]]", output: Output) -> None:
    """What would be done, in the words of the plan."""
    output.document(
        {
            "schema": SCHEMA,
            "partner": partner,
            "types": [
                {
                    "type": type_name,
                    "policy": plan.policy,
                    "to_device": counts(plan.to_device()),
                    "to_desktop": counts(plan.to_desktop()),
                    "deviations": [
                        {"item": one.identity, "side": one.side, "change": one.change} for one in plan.deviations
                    ],
                    "lines": plan.lines(),
                }
                for type_name, plan in plans
            ],
        }
    )
    for type_name, plan in plans:
        lines = plan.lines()
        output.data(f"{partner} {type_name}, policy {plan.policy}:" + ("" if lines else " nothing to do"))
        for line in lines:
            output.data("  " + line)


def ears(output: Output, capture: "BinaryIO | None") -> Ears:
    """Text of the device's program is shown to those who asked for more."""

    def console(text: bytes) -> None:
        output.detail("device: " + text.decode("utf-8", "replace").rstrip("\r\n"))

    return Ears(console=console, capture=capture)
