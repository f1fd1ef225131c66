"""The plan: what a sync will do on either side, as data. Made by `arrivals` and `departures`, executed by nobody here.

Theory of operation. A pass from the device to the desktop comes first: each change is judged in the order of ids and
becomes a `Step`; clashes are resolved; edits that follow a move and directories that must be revived are decided when
everything has arrived (the tail). Then whatever this desktop holds that the device lacks becomes a `Departure`. Both
are planned on an `Overlay`: the same code makes the plan that `cradle diff` prints and that `cradle sync` executes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from cradle_desktop.sync.report import Counts
from cradle_protocol.sync.values import UNKNOWN, is_file, size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.conflict.store import Loser
    from cradle_desktop.sync.moves import Rename
    from cradle_desktop.sync.outcome import Lost
    from cradle_desktop.sync.revert import Deviation
    from cradle_protocol.sync.change import Change
    from cradle_protocol.sync.item import Item

# What a step is called in the plan. METADATA steps are not shown: nothing a user can see changes.
CREATE, UPDATE, RENAME, DELETE, MODE, METADATA = "create", "update", "rename", "delete", "mode", ""
# The same for what a device's filter lets in or keeps out, while the item stays as it is.
FILL, LEAVE = "fill", "leave"
# `Lost.kind` of what the user wants dropped: no conflict.
REVERTED = "reverted"
# What leaves less than there was.
_OVERWRITING = (UPDATE, DELETE, MODE, LEAVE)
_COUNTED = (CREATE, UPDATE, RENAME, DELETE, MODE, FILL, LEAVE)


class Step:
    """One item that becomes different on the desktop.

    lost    what it displaces; group: steps that happen together or not at all, this one among them
    kept    what of `lost` is in the conflict store; reason: why it was skipped; done: it is real (while it is executed)
    fetch   the change whose content must be fetched from the device, None if no content is needed
    copy    the local item whose content, as it was before the pass, is the one wanted; None if there is none
    together  the group becomes visible in one step (`together`)
    made    the content itself where it was made here (a merge), else None
    """

    def __init__(self, new: Item, old: Item | None, verb: str) -> None:
        self.new, self.old, self.verb = new, old, verb
        self.fetch: Change | None = None
        self.copy: Item | None = None
        self.made: bytes | None = None
        self.lost: list[Lost] = []
        self.group: list[Step] = []
        self.together = False
        self.kept: list[Loser] = []
        self.reason = ""
        self.done = False

    def change_id(self) -> bytes:
        """The id of the change that it comes from: a copy beside it, or a move, has any other one."""
        return (self.group or [self])[0].new.id


class Departure:
    """One item that the device lacks.

    named    must the device be told its identity
    content  must bytes follow; size: how many
    source   (id, digest) of the copy that the device holds of them under another name
    ghost    the device shall have it by name only
    rename   the rename on the device of which this is a part, None for none
    """

    __slots__ = ("content", "ghost", "item", "named", "rename", "size", "source", "verb")

    def __init__(
        self, item: Item, named: bool, verb: str, content: bool, source: tuple[bytes, bytes] | None = None
    ) -> None:
        self.item, self.named, self.verb, self.content, self.source = item, named, verb, content, source
        self.ghost = False
        self.rename: Rename | None = None
        self.size = size_of(item.values[0]) if content else 0

    def displaces(self, reborn: Collection[bytes]) -> bool:
        """May it take something away at the device? reborn: what is new here may stand for something there."""
        if self.item.dead:
            return self.verb == DELETE or (self.item.link is not None and self.rename is None)
        return self.verb in _OVERWRITING or (bool(self.verb) and self.item.id in reborn)


class Fitted:
    """The object of this id gives way because of its name, on both sides: it gets a new path or, `merged`, becomes one
    with the object that is there. reason: why the name cannot be."""

    def __init__(self, id: bytes, identity: str, path: str, merged: bool, reason: str) -> None:
        self.id, self.identity, self.path = id, identity, path
        self.merged, self.reason = merged, reason

    def sentence(self) -> str:
        """For the user, in the past tense."""
        done = "became one with" if self.merged else "was renamed to"
        return f"{self.identity} {done} {self.path}: {self.reason}"


class Plan:
    """What will happen. `steps` in the order of ids, then `tail`.

    waiting     conflicts that policy leaves alone
    deviations  where changes flow one way: what the receiving side changed by itself, and keeps
    fitted      what gives way because of its name (`constraints`)
    respelled   [(path, path)] folders whose name on this desktop changes in its spelling only; before all else
    absent      paths of what the device has by name only, and this desktop not at all: it comes from elsewhere
    """

    def __init__(self, partner: str, policy: str = "desktop") -> None:
        self.partner, self.policy = partner, policy
        self.steps: list[Step] = []
        self.tail: list[Step] = []
        self.departures: list[Departure] = []
        self.waiting: list[Lost] = []
        self.deviations: list[Deviation] = []
        self.skipped: list[tuple[str, str]] = []
        self.fitted: list[Fitted] = []
        self.respelled: list[tuple[str, str]] = []
        self.absent: list[str] = []

    def to_desktop(self, but: Collection[bytes] = ()) -> Counts:
        """Objects touched on the desktop, but for the items with these ids."""
        return _count(step.verb for step in self.steps + self.tail if step.new.id not in but)

    def to_device(self, but: Collection[bytes] = ()) -> Counts:
        """Objects touched on the device, but for the items with these ids."""
        return _count(departure.verb for departure in self.departures if departure.item.id not in but)

    def leaving(self, but: Collection[bytes] = ()) -> int:
        """Objects that leave the device by its filter, and are deleted nowhere."""
        return sum(departure.verb == LEAVE for departure in self.departures if departure.item.id not in but)

    def conflicts(self) -> list[Lost]:
        """What will be displaced into the conflict store, and what waits for a decision."""
        return [lost for step in self.steps + self.tail for lost in step.lost] + self.waiting

    def dropped(self) -> set[bytes]:
        """Ids of items of which the device's own change is dropped."""
        return {lost.item_id for step in self.steps for lost in step.lost if lost.kind == REVERTED}

    def _made(self) -> list[Step]:
        return [step for step in self.steps + self.tail if step.made is not None]

    def lines(self) -> list[str]:
        """The plan in words, one line an object, the desktop's side first."""
        lines = [_line("desktop", step.verb, step.new) for step in self.steps + self.tail if step.verb]
        lines += [_line(self.partner, one.verb, one.item) for one in self.departures if one.verb]
        lines += [f"merge     {step.new.identity}: both edits in one text" for step in self._made()]
        lines += [_conflict_line(lost, waits=False) for step in self.steps + self.tail for lost in step.lost]
        lines += [_conflict_line(lost, waits=True) for lost in self.waiting]
        lines += [_deviation_line(one, self.partner) for one in self.deviations]
        lines += [_fitted_line(one) for one in self.fitted]
        if self.absent:
            some = self.absent[0] if len(self.absent) == 1 else f"{len(self.absent)} objects"
            lines.append(f"absent    {some}: {self.partner} has no content of that, by its filter")
        return lines + [f"skip      {identity}: {reason}" for identity, reason in self.skipped]


def _count(verbs: Iterable[str]) -> Counts:
    tally = dict.fromkeys(_COUNTED, 0)
    for verb in verbs:
        if verb:
            tally[verb] += 1
    return Counts(tally[CREATE] + tally[FILL], tally[UPDATE] + tally[MODE], tally[RENAME], tally[DELETE])


def _line(where: str, verb: str, item: Item) -> str:
    if verb == LEAVE:
        return f"leave     {item.identity} on {where}: its filter does not want it, the name stays"
    size = f" ({size_of(item.values[0]):,} bytes)" if verb in (CREATE, UPDATE, FILL) and is_file(item.values[0]) else ""
    return f"{verb:<9} {item.identity}{size} on {where}"


def _deviation_line(one: Deviation, partner: str) -> str:
    where, other = (partner, "desktop") if one.side == "device" else ("desktop", partner)
    return f"differs   {one.identity}: {one.change} on {where}, which {other} does not take"


def _fitted_line(one: Fitted) -> str:
    verb, word = ("merge", "into") if one.merged else ("rename", "to")
    return f"{verb:<9} {one.identity} {word} {one.path}: {one.reason}"


def _conflict_line(lost: Lost, waits: bool) -> str:
    if lost.kind == REVERTED:
        return f"drop      {lost.identity}: the {lost.side}'s version goes to the conflict store, as settled"
    if waits:
        return f"conflict  {lost.identity}: both sides changed it, left as it is on both"
    if lost.value == UNKNOWN:
        return f"conflict  {lost.identity}: deleted on the {lost.side}, changed on the other side: the change stays"
    return f"conflict  {lost.identity}: the {lost.side}'s version goes to the conflict store"
