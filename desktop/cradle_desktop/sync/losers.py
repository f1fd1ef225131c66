"""Keeps what loses to a pass from the device in the conflict store, before it is displaced. Displaces nothing."""

from cradle_desktop.conflict.resolve import written_at
from cradle_desktop.conflict.store import ConflictStore, Loser
from cradle_desktop.sync.intake import Intake
from cradle_desktop.sync.outcome import Lost
from cradle_desktop.sync.plan import Step
from cradle_desktop.sync.remote import RemoteReplica
from cradle_desktop.sync.report import Tally, TypeResult
from cradle_protocol.errors import CHANGED, NO_ROOM
from cradle_protocol.provider.store import ObjectStore, Reader, StoreError
from cradle_protocol.sync.values import digest_of, is_file, is_lazy, size_of, with_digest


class Losers:
    """The losing versions of one pass. decisions: what the user settled, by item: those count as settled."""

    intake: Intake

    def __init__(
        self, store: ObjectStore, conflicts: ConflictStore, partner: str, decisions: dict[bytes, str],
        result: TypeResult,
    ) -> None:  # fmt: skip
        self.store, self.conflicts, self.partner, self.decisions = store, conflicts, partner, decisions
        self.result = result
        self._device_wrote: dict[bytes, int] = {}

    def begin(self, intake: Intake, remote: RemoteReplica, steps: list[Step]) -> None:
        """The pass begins. intake: stages those that the device has."""
        self.intake = intake
        self._device_wrote = remote.written([i for step in steps for lost in step.lost if (i := _there(lost))])

    def keep(self, step: Step) -> None:
        """Into the conflict store with what the step displaces. Raises StoreError(NO_ROOM) if it does not fit."""
        for lost in step.lost:
            content, name = is_file(lost.value), self.intake.lost_name(lost)
            self._check_held(step, lost)
            if content and not self.conflicts.room(size_of(lost.value)):
                raise StoreError(NO_ROOM, "the conflict store has no room for the version that would be displaced")
            if content and is_lazy(lost.value):
                lost.value = with_digest(lost.value, self.intake.lost_digest(lost))
            taken = self.decisions.get(lost.item_id, "")
            loser = self._loser(lost)
            known = self.conflicts.add(loser, self._open(lost, name) if content else None, taken)
            if not known:
                step.kept.append(loser)
            if isinstance(lost.held, bytes):
                self.store.unstage(name)
            self._tally(loser).conflicts += not taken

    def withdraw(self, step: Step) -> None:
        """It was not displaced after all."""
        for loser in step.kept:
            self._tally(loser).conflicts -= not self.decisions.get(loser.item_id)
            self.conflicts.withdraw(loser)
        step.kept.clear()

    def _tally(self, loser: Loser) -> Tally:
        """Of the side on which this version loses its place."""
        return self.result.down if loser.loser == "desktop" else self.result.up

    def _check_held(self, step: Step, lost: Lost) -> None:
        """What is about to be kept must still be what the scan saw."""
        local = step.old if step.old is not None and step.old.identity == lost.held else None
        if local is not None and not local.dead and self.store.stamp(local.identity) != local.stamp:
            raise StoreError(CHANGED)

    def _open(self, lost: Lost, name: str) -> Reader:
        return self.store.open(lost.held) if isinstance(lost.held, str) else self.store.open_staged(name)

    def _loser(self, lost: Lost) -> Loser:
        winner = "desktop" if lost.side == "device" else "device"
        return Loser(
            partner=self.partner, type=self.store.type, item_id=lost.item_id, identity=lost.identity,
            unit=lost.unit, kind=lost.kind, winner=winner, loser=lost.side, value=lost.value,
            digest=digest_of(lost.value), size=size_of(lost.value), written=self._written(lost),
        )  # fmt: skip

    def _written(self, lost: Lost) -> int | None:
        """When this content was written, by its own side's clock; None: nobody can tell."""
        if not is_file(lost.value):
            return None
        if isinstance(lost.held, str):
            return written_at(self.store, self.store.stamp(lost.held))
        return self._device_wrote.get(lost.held)


def _there(lost: Lost) -> bytes:
    """The id of the item whose content only the device has, b"" for anything else."""
    return lost.held if isinstance(lost.held, bytes) and is_file(lost.value) else b""
