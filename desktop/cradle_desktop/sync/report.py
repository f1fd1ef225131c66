"""What a sync is asked for and what it answers: options, counts, result, progress. No decisions here."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from cradle_desktop.undo.journal import Journal

    OpenJournal = Callable[[], Journal | None]
    from cradle_desktop.conflict.ancestors import Ancestors

    Policy = Literal["desktop", "device", "newest", "both", "merge", "skip", "ask"]
    Direction = Literal["both", "to-device", "to-desktop"]

# A plan that deletes more of a type than this share of its objects stops and asks.
MAX_DELETE_PERCENT = 25.0
# ... but not for a type with so few objects that one or two of them are already a large share.
MAX_DELETE_FLOOR = 10
# A store that suddenly looks empty stops and asks as well, but for so few objects that a hand deletes them all.
EMPTY_FLOOR = 2


class SyncOptions:
    """How to sync one type of one partnership.

    policy       who wins a conflict; `both` keeps the other version under a name beside it, `merge` makes one text of
                 two, `skip` and `ask` leave it as it is (`ask` is for a person at the terminal). What cannot be merged,
                 or is not known to be newer, is decided as by `desktop`
    direction    which way changes flow
    revert       where they flow one way: drop what the receiving side changed by itself
    max_delete   largest share of a side's objects, in percent, that may be deleted without asking
    partner      name of the device, for the plan's words
    ancestors    what `merge` starts from; None: nothing can be merged
    decisions    {(item id, unit): "desktop", "device" or "both"} that the user chose for conflicts that waited
    """

    def __init__(
        self,
        policy: "Policy" = "desktop",
        direction: "Direction" = "both",
        max_delete: float = MAX_DELETE_PERCENT,
        partner: str = "device",
    ) -> None:
        self.policy, self.direction, self.max_delete, self.partner = policy, direction, max_delete, partner
        self.revert = False
        self.ancestors: Ancestors | None = None
        self.decisions: dict[tuple[bytes, int], str] = {}


class Counts:
    """Objects that were (or would be) touched on one side."""

    def __init__(self, created: int = 0, updated: int = 0, renamed: int = 0, deleted: int = 0) -> None:
        self.created, self.updated, self.renamed, self.deleted = created, updated, renamed, deleted

    def total(self) -> int:
        """All of them."""
        return self.created + self.updated + self.renamed + self.deleted


class TypeResult:
    """What a sync of one type did. Bytes are those on the link; resumed bytes are those that need not be sent again."""

    def __init__(self, type: str, to_device: Counts | None = None, to_desktop: Counts | None = None) -> None:
        self.type, self.to_device, self.to_desktop = type, to_device or Counts(), to_desktop or Counts()
        self.conflicts = self.bytes_sent = self.bytes_received = self.resumed_bytes = 0
        self.skipped: list[tuple[str, str]] = []
        self.deviations = 0  # objects that the receiving side changed by itself and keeps, where changes flow one way

    def __repr__(self) -> str:
        return f"TypeResult({vars(self)})"


class Observer:
    """Hears how a sync goes on. This one is deaf; commands hand in their own."""

    def progress(self, stage: str, done: int, total: int, bytes_done: int, bytes_total: int) -> None:
        """`stage` is one of "scan", "receive", "send"; done and total count objects."""

    def note(self, text: str) -> None:
        """One sentence for the user."""


def no_journal() -> "Journal | None":
    """What is displaced here cannot be taken back."""
    return None


class MassDelete(Exception):
    """The plan deletes suspiciously much; nothing was done."""

    def __init__(self, side: str, deletes: int, objects: int, percent: float) -> None:
        super().__init__(
            f"this sync would delete {deletes} of {objects} objects on the {side} (more than {percent:g} %): "
            f"nothing was done; look with 'cradle diff', then run 'cradle sync --max-delete 100%' if it is right"
        )


def check_deletes(side: str, counts: Counts, objects: int, percent: float) -> None:
    """Raise MassDelete if too large a share of a side's objects would go."""
    floor = EMPTY_FLOOR if counts.deleted == objects else MAX_DELETE_FLOOR
    if objects > floor and counts.deleted * 100 > objects * percent:
        raise MassDelete(side, counts.deleted, objects, percent)
