"""What a sync is asked for and what it answers: options, counts, result, progress. No decisions here."""

from dataclasses import dataclass, field
from typing import Literal

Policy = Literal["desktop", "device", "skip", "ask"]
Direction = Literal["both", "to-device", "to-desktop"]

# A plan that deletes more of a type than this share of its objects stops and asks.
MAX_DELETE_PERCENT = 25.0
# ... but not for a type with so few objects that one or two of them are already a large share.
MAX_DELETE_FLOOR = 10


@dataclass
class SyncOptions:
    """How to sync one type of one partnership.

    policy       who wins a conflict; `skip` and `ask` leave it as it is (`ask` is for a person at the terminal)
    direction    which way changes flow
    max_delete   largest share of a side's objects, in percent, that may be deleted without asking
    """

    policy: Policy = "desktop"
    direction: Direction = "both"
    max_delete: float = MAX_DELETE_PERCENT
    partner: str = "device"


@dataclass
class Counts:
    """Objects that were (or would be) touched on one side."""

    created: int = 0
    updated: int = 0
    renamed: int = 0
    deleted: int = 0

    def total(self) -> int:
        """All of them."""
        return self.created + self.updated + self.renamed + self.deleted


@dataclass
class TypeResult:
    """What a sync of one type did. Bytes are those on the link; resumed bytes are those that need not be sent again."""

    type: str
    to_device: Counts = field(default_factory=Counts)
    to_desktop: Counts = field(default_factory=Counts)
    conflicts: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    bytes_sent: int = 0
    bytes_received: int = 0
    resumed_bytes: int = 0


class Observer:
    """Hears how a sync goes on. This one is deaf; commands hand in their own."""

    def progress(self, stage: str, done: int, total: int, bytes_done: int, bytes_total: int) -> None:
        """`stage` is one of "scan", "receive", "send"; done and total count objects."""

    def note(self, text: str) -> None:
        """One sentence for the user."""


class MassDelete(Exception):
    """The plan deletes suspiciously much; nothing was done."""

    def __init__(self, side: str, deletes: int, objects: int, percent: float) -> None:
        super().__init__(
            f"this sync would delete {deletes} of {objects} objects on the {side} (more than {percent:g} %): "
            f"nothing was done; look with 'cradle diff', then run 'cradle sync --max-delete 100%' if it is right"
        )


def check_deletes(side: str, counts: Counts, objects: int, percent: float) -> None:
    """Raise MassDelete if too large a share of a side's objects would go."""
    if objects > MAX_DELETE_FLOOR and counts.deleted * 100 > objects * percent:
        raise MassDelete(side, counts.deleted, objects, percent)
