"""CPython only: what a desktop's provider may be on top of a store; the engine asks with isinstance.

`Judging`: it is asked about conflicts. `RecordStore`: its objects are records of fields, each field group a change unit
of its own, and some of them belong together.
"""

from collections.abc import Callable, Sequence

from cradle_protocol.provider.store import ObjectStore

# What `get_conflict_info` may answer (ActiveSync's RERR_IGNORE, RERR_DISCARD and so on; NO_OPINION is its NOERROR).
NO_OPINION, IGNORE, DISCARD, DISCARD_LOCAL = "", "ignore", "discard", "discard-local"
DEVICE_WINS, DESKTOP_WINS = "device-wins", "desktop-wins"


class ConflictInfo:
    """One conflict, as a provider is asked about it.

    identity  the object; kind: update-update, update-delete (deleted on the device) or delete-update
    units     names of the change units that clash, none where one side has deleted the object
    desktop, device  gives the content of the whole object as that side has it, None: deleted, or it cannot be read
    """

    def __init__(
        self, identity: str, kind: str, units: "Sequence[str]", desktop: "Callable[[], bytes | None]",
        device: "Callable[[], bytes | None]",
    ) -> None:  # fmt: skip
        self.identity, self.kind, self.units = identity, kind, units
        self.desktop, self.device = desktop, device


class Judging(ObjectStore):
    """A store that has a say in its conflicts, where the type's policy is `provider`."""

    def get_conflict_info(self, conflict: ConflictInfo) -> str:
        """What becomes of a conflict. Asked while a sync is planned, and while it is previewed: it changes nothing.

        NO_OPINION     the user is asked: the conflict waits, as by the policy `ask`
        IGNORE         both mean the same: one of the two stays (the same on every desktop), nothing is kept or counted
        DISCARD        the device's version is dropped, unkept and uncounted: that it deleted, too
        DISCARD_LOCAL  the same for the desktop's version; `cradle undo` brings it back
        DEVICE_WINS, DESKTOP_WINS  that side's version (or delete) is taken; the other one is kept as a conflict's loser

        Between two versions that were both stamped by desktops (or by devices) the greater hash wins whatever is
        answered, or two desktops would correct each other for ever. The same question must get the same answer.
        """
        raise NotImplementedError


class RecordStore(ObjectStore):
    """A store of records; identities are words of the provider's own, no paths. `units`: the first is the whole record,
    then come the field groups.

    The value of a field group (`values`) follows from its fields alone: at most 255 bytes, the same in every store of
    this type, a hash where the fields may be longer. Two edits of different groups are no conflict: the record of both
    is made by `compose`. Two edits of one group are a conflict of that unit.
    """

    def compose(self, ours: bytes, theirs: bytes, take: "Sequence[bool]") -> bytes:
        """The record with their field groups where `take` says so (by unit; the first is meaningless), ours elsewhere.

        The same groups give the same bytes, wherever they come from. Raises ValueError where one is no record.
        """
        raise NotImplementedError

    def fields(self, record: bytes, unit: int) -> "Sequence[tuple[str, str]]":
        """Names and values of the fields of this unit (of the first: all) as a person reads them, in an order of the
        type's own. Raises ValueError where it is no record.
        """
        raise NotImplementedError

    def group(self, identity: str) -> str:
        """Objects with the same answer become visible together or not at all, on either side; "" belongs to none.

        A store that answers so has a method `together` (see that module), on the device as well.
        """
        return ""
