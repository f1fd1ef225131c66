"""Has what a pass overwrites and deletes here noted, and kept by the store, to be taken back. Installs nothing.

What moves is not displaced: its content is there under the new name. What lost a conflict is kept as that already.
"""

from cradle_desktop.sync.plan import Plan, Step
from cradle_desktop.undo.journal import SYNC, Former, Journal
from cradle_protocol.sync.values import DIRECTORY, is_file


class Displacing:
    """What one pass displaces. Batch by batch: `note` it, `begin` each step and tell whether it is `done`, `end`."""

    def __init__(self, journal: Journal, plan: Plan) -> None:
        self._journal = journal
        self._moved = {step.copy.id for step in plan.steps + plan.tail if step.copy is not None}
        self._batch: dict[str, Step] = {}
        self._done: set[str] = set()

    def note(self, steps: list[Step]) -> None:
        """Note durably what these steps are about to displace."""
        self._batch = {step.new.identity: step for step in steps if self._displaces(step)}
        self._done = set()
        if not self._batch:
            return
        lost = {identity: value for identity, step in self._batch.items() if (value := _lost(step))}
        formers = []
        for identity, step in self._batch.items():
            old = list(step.old.values) if step.old is not None else []
            if identity in lost:
                old[0] = lost[identity]
            formers.append(Former(identity, old, None if step.new.dead else list(step.new.values)))
        self._journal.note(SYNC, formers, set(lost))

    def _displaces(self, step: Step) -> bool:
        new, old = step.new, step.old
        if old is None or old.dead:
            return False
        if not new.dead:
            return new.values != old.values
        moved = old.id in self._moved or (new.link is not None and old.values[0] == DIRECTORY)
        return not moved

    def begin(self, step: Step) -> None:
        """The next thing that happens in the store is this step."""
        if step.new.identity in self._batch:
            self._journal.store.keep_next(self._journal.name_of(step.new.identity))

    def done(self, step: Step) -> None:
        """It happened."""
        self._done.add(step.new.identity)

    def end(self) -> None:
        """All steps of the batch were tried."""
        if not self._batch:
            return
        self._journal.store.keep_next("")
        failed = [identity for identity in self._batch if identity not in self._done]
        if failed:
            self._journal.forget(failed)


def _lost(step: Step) -> bytes:
    """The content's value that the step's own object loses to a conflict, b"" if it does not."""
    for lost in step.lost:
        if lost.unit == 0 and lost.held == step.new.identity and is_file(lost.value):
            return lost.value
    return b""
