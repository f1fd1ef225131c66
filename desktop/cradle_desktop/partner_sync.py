"""One sync of everything that is enabled with a partner: type by type, then what is remembered and told of it.

Opens nothing: the types and the connection are the caller's.
"""

import time

from cradle_desktop.boundary import sentences
from cradle_desktop.errors import Usage
from cradle_desktop.open_type import OpenType
from cradle_desktop.partnership.registry import EnabledType, Partnership
from cradle_desktop.state import State
from cradle_desktop.streams.opened import OpenStream, is_stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.connection import Connection
    from cradle_desktop.sync.plan import Plan
    from cradle_desktop.sync.report import Observer, TypeResult
    from cradle_desktop.undo.journal import Journal


class Report:
    """What a sync with one partner did.

    types      one result for each object type that it came to, in their order
    started    Unix seconds; seconds: how long it took
    cancelled  its end was asked for before it was through
    """

    def __init__(self, partner: str, types: "list[TypeResult]", waiting: int, seconds: float) -> None:
        self.partner, self.types, self.conflicts_waiting, self.seconds = partner, types, waiting, seconds
        self.started, self.cancelled = time.time() - seconds, False


def check_revert(partner: Partnership, revert: bool) -> None:
    """Raise Usage where there is nothing to revert."""
    if revert and all(one.direction == "both" for one in partner.types if not is_stream(one.type)):
        raise Usage(
            f"changes flow both ways with {partner.name}, so there is nothing to revert; 'cradle enable {partner.name} "
            f"TYPE --direction to-device|to-desktop' makes one side follow the other"
        )


class PartnerSync:
    """One sync with one partner: `run` it while its types and a connection are open, then ask for the `report`."""

    def __init__(
        self, state: State, partner: Partnership, max_delete: float | None, observer: "Observer", revert: bool
    ) -> None:
        self._begun = time.monotonic()
        self._state, self._partner, self._observer = state, partner, observer
        self._max_delete, self._revert = max_delete, revert
        with sentences():
            self._conflicts = state.conflicts()
        check_revert(partner, revert)
        self._results: list[TypeResult] = []

    def run(self, types: "list[OpenType | OpenStream]", connection: "Connection") -> None:
        """Sync one type after the other, until the observer asks for the end."""
        observer, name = self._observer, self._partner.name
        connection.on_silence = lambda seconds: observer.note(f"{name} has been at work for {seconds:.0f} s")
        for one in types:
            if observer.cancelled:
                break
            with sentences(one.enabled.location):
                self._results.append(self._sync(one, connection))

    def _sync(self, one: "OpenType | OpenStream", connection: "Connection") -> "TypeResult":
        if isinstance(one, OpenStream):
            return one.sync(connection, self._observer)
        return one.sync(connection, self._conflicts, self._observer, self._max_delete, self._revert)

    def report(self, types: "list[OpenType | OpenStream]") -> Report:
        """Note how it went, tell what went with it, and say what was done."""
        name, observer = self._partner.name, self._observer
        with sentences():
            if not observer.cancelled:
                self._state.registry.synced(name)
            for one, result in zip(types, self._results, strict=False):
                if not result.cancelled:
                    self._remember(one.enabled, result)
            waiting = self._conflicts.count(name)
        self._tell(types)
        report = Report(name, self._results, waiting, time.monotonic() - self._begun)
        report.cancelled = observer.cancelled > 0
        return report

    def _remember(self, was: EnabledType, result: "TypeResult") -> None:
        """What was found of the partner's side of one type, where that is news."""
        registry, name = self._state.registry, self._partner.name
        found = result.deviations, result.met
        if found != (was.deviations, was.met):
            registry.found(name, was.type, *found)
        held, named = (result.held, result.named) if result.named >= 0 else (was.held, was.named)
        now = result.filter, result.filtered or was.filtered, held, named
        if now != (was.filter, was.filtered, was.held, was.named):
            registry.has_filter(name, was.type, *now)

    def _tell(self, types: "list[OpenType | OpenStream]") -> None:
        """What found no room any more."""
        for gone in self._conflicts.dropped:
            self._observer.note(
                f"the kept version of {gone.identity} (conflict {gone.number}) was dropped: no room was left"
            )
        for one in types:
            if isinstance(one, OpenType) and one.journal is not None:
                _tell_journal(one.journal, self._observer)


def preview(
    state: State, types: "list[OpenType | OpenStream]", connection: "Connection", revert: bool
) -> "list[tuple[str, Plan]]":
    """The plan of each type; nothing is written anywhere."""
    plans = []
    for one in types:
        with sentences(one.enabled.location):
            if isinstance(one, OpenStream):
                plan = one.preview(connection)
            else:
                plan = one.preview(connection, state.conflicts(), revert)
            plans.append((one.enabled.type, plan))
    return plans


def _tell_journal(journal: "Journal", observer: "Observer") -> None:
    """What a sync could not keep, and what it let go to keep the rest."""
    for identity in journal.large:
        observer.note(f"{identity} cannot be brought back by 'cradle undo': what it was could not be kept")
    if journal.dropped:
        some = "1 object" if journal.dropped == 1 else f"{journal.dropped} objects"
        observer.note(f"what 'cradle undo' kept of {some} from earlier syncs was dropped: it was too old or too much")
