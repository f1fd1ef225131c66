"""In which order the steps of a pass are executed, and how many of them at once. Pure; executes nothing."""

from collections.abc import Iterator

from cradle_desktop.sync.plan import Step
from cradle_protocol.sync.values import DIRECTORY, size_of

# A batch is one durable step: large enough that its two flushes cost nothing per object, small enough to redo.
BATCH_ITEMS = 1000
BATCH_BYTES = 8 << 20


def groups(steps: list[Step]) -> Iterator[list[Step]]:
    """The steps in their order, those that are tied together as one."""
    k = 0
    while k < len(steps):
        size = max(1, len(steps[k].group))
        yield steps[k : k + size]
        k += size


def in_batches(steps: list[Step]) -> Iterator[list[Step]]:
    """Steps that belong together stay together."""
    batch: list[Step] = []
    size = 0
    for group in groups(steps):
        batch += group
        size += sum(size_of(step.new.values[0]) for step in group if step.fetch or step.copy)
        if len(batch) >= BATCH_ITEMS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def in_order(steps: list[Step]) -> list[Step]:
    """Directories before what lies in them, then files, then deletes from the inside out.

    A copy beside comes before what takes its place: if it cannot be put there, nothing of it was overwritten.
    """
    directories = sorted((s for s in steps if _makes_directory(s)), key=lambda s: s.new.identity)
    files = [s for s in steps if not s.new.dead and not _makes_directory(s)]
    files.sort(key=lambda s: not s.group or s.group[0] is s)
    deletes = sorted((s for s in steps if s.new.dead), key=lambda s: s.new.identity, reverse=True)
    return directories + files + deletes


def _makes_directory(step: Step) -> bool:
    return not step.new.dead and step.new.values[0] == DIRECTORY
