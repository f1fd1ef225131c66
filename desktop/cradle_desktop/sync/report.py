"""What a sync is asked for and what it answers: options, counts, result, progress. No decisions here."""

from time import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from cradle_desktop.undo.journal import Journal

    OpenJournal = Callable[[], Journal | None]
    from cradle_desktop.conflict.ancestors import Ancestors

    Policy = Literal["desktop", "device", "newest", "both", "merge", "provider", "skip", "ask"]
    OnName = Literal["rename", "skip"]
    Direction = Literal["both", "to-device", "to-desktop"]
    Stage = Literal["scan", "receive", "send"]

# A plan that deletes more of a type than this share of its objects stops and asks.
MAX_DELETE_PERCENT = 25.0
# ... but not for a type with so few objects that one or two of them are already a large share.
MAX_DELETE_FLOOR = 10
# Content of an object that is overwritten on the device is fetched first, for an undo, up to so many bytes.
UNDO_FETCH = 10**6
# A store that suddenly looks empty stops and asks as well, but for so few objects that a hand deletes them all.
EMPTY_FLOOR = 2


class SyncOptions:
    """How to sync one type of one partnership.

    policy       who wins a conflict; `both` keeps the other version under a name beside it, `merge` makes one text of
                 two, `provider` asks the type's provider, and the user where that has no opinion; `skip` and `ask`
                 leave it as it is (`ask` is for a person at the terminal). What cannot be merged, or is not known to be
                 newer, is decided as by `desktop`
    direction    which way changes flow
    revert       where they flow one way: drop what the receiving side changed by itself
    collision    what becomes of two names that are one on a side: `rename` makes one of them give way (equal contents
                 and folders become one), `skip` leaves out what came later: always so where the policy is `skip` or
                 `ask`, or changes flow one way
    impossible   what becomes of a name that a side cannot hold: `skip`, or `rename` to one that it can
    max_delete   largest share of a side's objects, in percent, that may be deleted without asking
    partner      name of the device, for the plan's words
    now          Unix seconds by which a filter tells what is too old
    filtered     the device's filter that was carried out last (`holdings`), b"": none
    met          who answered at the last sync (`acquaintance`), b"": nobody yet
    set_back     the metadata of this side are of before: ticks may be used up that they do not know
    ancestors    what `merge` starts from; None: nothing can be merged
    decisions    {(item id, unit): "desktop", "device" or "both"} that the user chose for conflicts that waited
    apart        is told the id of the device's store; what it raises ends the sync before anything was done
    undo_fetch   bytes of an object that is overwritten on the device which are fetched first, so that it can be undone
    """

    def __init__(
        self,
        policy: "Policy" = "desktop",
        direction: "Direction" = "both",
        max_delete: float = MAX_DELETE_PERCENT,
        partner: str = "device",
    ) -> None:
        self.policy, self.direction, self.max_delete, self.partner = policy, direction, max_delete, partner
        self.revert = self.set_back = False
        self.met = self.filtered = b""
        self.now = int(time())
        self.collision: OnName = "rename"
        self.impossible: OnName = "skip"
        self.ancestors: Ancestors | None = None
        self.decisions: dict[tuple[bytes, int], str] = {}
        self.undo_fetch = UNDO_FETCH
        self.apart: Callable[[bytes], None] = lambda store_id: None

    def decided(self) -> dict[bytes, str]:
        """What the user decided, by item: a decision holds for all units of it."""
        return {item_id: take for (item_id, _), take in self.decisions.items()}


class Counts:
    """Objects that were (or would be) touched on one side."""

    def __init__(self, created: int = 0, updated: int = 0, renamed: int = 0, deleted: int = 0) -> None:
        self.created, self.updated, self.renamed, self.deleted = created, updated, renamed, deleted

    def total(self) -> int:
        """All of them."""
        return self.created + self.updated + self.renamed + self.deleted


class Tally:
    """One direction of a sync in numbers.

    applied    objects that are now as the other side has them; failed: that could not be made so, and why is in
               `TypeResult.skipped`
    skipped    objects that were left alone: they could not be looked at, or the policy waits for the user
    conflicts  versions that lost here and are kept
    bytes      content that came, without what surrounds it on the wire; resumed: content that had come before
    """

    def __init__(self) -> None:
        self.applied = self.failed = self.skipped = self.conflicts = self.bytes = self.resumed = 0


class TypeResult:
    """What a sync of one type did.

    to_device, to_desktop   what was done there, by verb; up, down: the same directions in numbers
    bytes_sent, bytes_received   on the link, everything counted
    deviations  objects that the receiving side changed by itself and keeps, where changes flow one way
    gaps        of a stream: (first, how many) of rows that were gone before they were fetched; remarks: sentences
    cancelled   it was ended before its end
    met         who answered (`acquaintance`)
    filtered    the device's filter, if it is carried out now (`holdings`), else b""
    filter      what the device's store shall hold, as it keeps it
    held, named  of how many objects it has the content, and the name only, -1: not asked
    left        objects that left the device by its filter
    absent      objects that the device has by name only, and this desktop not at all
    """

    def __init__(self, type: str, to_device: Counts | None = None, to_desktop: Counts | None = None) -> None:
        self.type, self.to_device, self.to_desktop = type, to_device or Counts(), to_desktop or Counts()
        self.up, self.down = Tally(), Tally()
        self.bytes_sent = self.bytes_received = self.deviations = self.left = self.absent = 0
        self.waiting = 0  # conflicts that the policy leaves to the user
        self.skipped: list[tuple[str, str]] = []
        self.gaps: list[tuple[int, int]] = []
        self.remarks: list[str] = []
        self.cancelled = False
        self.met = self.filtered = self.filter = b""
        self.held = self.named = -1

    @property
    def conflicts(self) -> int:
        """Conflicts that were met: decided, or left to the user."""
        return self.up.conflicts + self.down.conflicts + self.waiting

    @property
    def resumed_bytes(self) -> int:
        """Content bytes that need not travel again."""
        return self.up.resumed + self.down.resumed

    def __repr__(self) -> str:
        return f"TypeResult({vars(self)})"


class Progress:
    """How far one stage of a sync is. One event; a stage tells many.

    type         object type
    stage        "scan" (both sides look for changes), "receive" (from the device), "send" (to the device)
    done, total  objects; a total of 0 is not known
    bytes, total_bytes   of content
    rate         bytes of content a second over the last moments, 0.0 while that cannot be told
    """

    __slots__ = ("bytes", "done", "rate", "stage", "total", "total_bytes", "type")

    def __init__(
        self,
        type: str,
        stage: "Stage",
        done: int,
        total: int = 0,
        bytes: int = 0,
        total_bytes: int = 0,
        rate: float = 0,
    ) -> None:
        self.type, self.stage, self.done, self.total = type, stage, done, total
        self.bytes, self.total_bytes, self.rate = bytes, total_bytes, rate


class Observer:
    """Hears how a sync goes on, and may end it. This one is deaf; whoever wants to hear hands in their own.

    cancelled  how often the end was asked for
    """

    cancelled = 0

    def progress(self, event: Progress) -> None:
        """A stage has begun or gone on. Called in the thread of the sync, up to once an object: be quick."""

    def note(self, text: str) -> None:
        """One sentence for the user."""

    def cancel(self) -> None:
        """End the sync, from any thread or from inside `progress`. Asked once, it ends at the next safe point: while
        nothing was changed yet at once, else when the batch in hand (a large object, or a few small ones) is done and
        durable; the result then says what was done. Asked twice it ends in the middle of that, as a cut cable would end
        it: nothing is lost or half done then either, and the next sync goes on from there.
        """
        self.cancelled += 1


class Cancelled(Exception):
    """The end of the sync was asked for, and this is a point where it can end. Not an error."""


def no_journal() -> "Journal | None":
    """What is displaced here cannot be taken back."""
    return None


class MassDelete(Exception):
    """The plan deletes suspiciously much; nothing was done."""

    def __init__(self, side: str, deletes: int, objects: int, percent: float, held: str) -> None:
        some = f"on the {side} {deletes} of the {objects} objects that {held} held" if held else ""
        some = some or f"{deletes} of {objects} objects on the {side}"
        super().__init__(
            f"this sync would delete {some} (more than {percent:g} %): "
            f"nothing was done; look with 'cradle diff', then run 'cradle sync --max-delete 100%' if it is right"
        )


def check_deletes(side: str, counts: Counts, objects: int, percent: float, held: str = "") -> None:
    """Raise MassDelete if too large a share of a side's objects would go.

    held: the device that had these objects, where it has not all of them
    """
    floor = EMPTY_FLOOR if counts.deleted == objects else MAX_DELETE_FLOOR
    if objects > floor and counts.deleted * 100 > objects * percent:
        raise MassDelete(side, counts.deleted, objects, percent, held)
