"""Counts and sizes of a sync in words. Shared by commands; not a command."""

from cradle_desktop.manager import Report
from cradle_desktop.output import size_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.sync.report import Counts, TypeResult


# Nobody can tell afterwards which of the two it was.
GONE = "the device ran out of room before they were fetched, or its flash is damaged"


def counts(one: "Counts") -> dict[str, int]:
    """As JSON has them."""
    return {"created": one.created, "updated": one.updated, "renamed": one.renamed, "deleted": one.deleted}


def summary(report: Report) -> list[str]:
    """A few lines for people, the count of conflicts last, because nobody should miss it."""
    lines = []
    for one in report.types:
        lines.append(f"{report.partner} {one.type}: {_moved(one)}")
        lines += [f"  skipped {item}: {reason}" for item, reason in one.skipped]
        lines += [f"  {gap_text(*gap)}" for gap in one.gaps]
        lines += [f"  {remark}" for remark in one.remarks]
        if one.left:
            some = "1 object" if one.left == 1 else f"{one.left} objects"
            lines.append(f"  {some} left the device, by its filter; nothing was deleted anywhere")
        if one.absent:
            some = "1 object has" if one.absent == 1 else f"{one.absent} objects have"
            lines.append(f"  {some} no content on the device, by its filter, and will come from elsewhere")
        if one.deviations:
            lines.append(f"  {differing(one.deviations)}: cradle diff shows them, cradle sync --revert drops them")
    waiting = report.conflicts_waiting
    if waiting:
        some = "1 conflict waits" if waiting == 1 else f"{waiting} conflicts wait"
        lines.append(f"{some} for you: cradle conflicts {report.partner}")
    return lines


def differing(count: int) -> str:
    """What the receiving side changed by itself."""
    return "1 own change on the receiving side" if count == 1 else f"{count} own changes on the receiving side"


def gap_text(first: int, rows: int) -> str:
    """Rows of a stream that never arrived."""
    what = f"row {first} is lost" if rows == 1 else f"rows {first} to {first + rows - 1} are lost ({rows})"
    return f"{what}: {GONE}"


def _moved(one: "TypeResult") -> str:
    parts = [f"to the device {words}" for words in [_words(one.to_device)] if words]
    parts += [f"to the desktop {words}" for words in [_words(one.to_desktop)] if words]
    text = "; ".join(parts) or "nothing to transfer"
    traffic = f"{size_text(one.bytes_sent)} sent, {size_text(one.bytes_received)} received"
    if one.resumed_bytes:
        traffic += f", {size_text(one.resumed_bytes)} were there already"
    return f"{text} ({traffic})"


def _words(one: "Counts") -> str:
    named = ((one.created, "created"), (one.updated, "updated"), (one.renamed, "renamed"), (one.deleted, "deleted"))
    return ", ".join(f"{count} {word}" for count, word in named if count)
