"""What users may observe of a sync, as a model that knows no version, no knowledge and no engine. Needs nothing else.

Whatever a path shows at a place is a `State`: a content (or nothing), and all the states that it has superseded: those
that its author had before him, or that a resolution has set against each other. A session of two places may leave what
is there, bring the state that supersedes the other one, or, where neither does, make a new one that supersedes both and
shows one of their contents; the other content is kept by the desktop then. An interrupted session may do a part of it,
and need not have noted what it did: what a user does there before the next session may count as done to what was there.
Which of it has happened is not always visible, so the model remembers every state that a place may be in; when what
is seen there is none of them, the sync did something that nobody can explain.
"""

from collections.abc import Iterable, Iterator

NOTHING = b""
# A session's outcomes at the desktop and the device, and the contents that the desktop keeps for it.
Outcome = tuple["State", "State", frozenset[bytes]]


class State:
    """What a path shows, and all that it supersedes."""

    def __init__(self, content: bytes, over: "Iterable[State]") -> None:
        self.content = content
        self.over: frozenset[State] = frozenset(over).union(*(state.over for state in over))

    def supersedes(self, other: "State") -> bool:
        """Is the other one older? A state is not older than itself."""
        return other in self.over

    def __repr__(self) -> str:
        return f"{self.content!r} over {sorted({state.content for state in self.over})}"


ORIGIN = State(NOTHING, ())


class Observed:
    """What every place may show: `may[place][path]`, not empty."""

    def __init__(self, places: Iterable[str], paths: Iterable[str]) -> None:
        self.paths = list(paths)
        self.may: dict[str, dict[str, set[State]]] = {
            place: {path: {ORIGIN} for path in self.paths} for place in places
        }
        # What was there before an interrupted session, by place and path, until a whole one has looked.
        self._unnoted: dict[tuple[str, str], set[State]] = {}
        self._moves: set[tuple[str, str]] = set()
        self._made: dict[tuple[bytes, frozenset[State]], State] = {}

    # -- users

    def write(self, place: str, path: str, content: bytes) -> None:
        """A user at a place writes, or (NOTHING) deletes, knowing what is there."""
        before = self._unnoted.get((place, path), set())
        back = {state for state in before if state.content == content}
        self.may[place][path] = {State(content, [state]) for state in self.may[place][path] | before} | back

    def move(self, place: str, old: str, new: str) -> None:
        """A user renames, over what is there."""
        content = self.content(place, old)
        self.write(place, new, content)
        self.write(place, old, NOTHING)
        self._moves.add((old, new))

    def content(self, place: str, path: str) -> bytes:
        """What is there."""
        return next(iter(self.may[place][path])).content

    # -- sessions

    def session(
        self,
        desktop: str,
        device: str,
        seen: "dict[str, dict[str, bytes]]",
        kept: "set[bytes]",
        whole: bool,
        decides: bool,
    ) -> None:
        """A session has ended, and `seen[place][path]` is there now. AssertionError if that cannot be.

        kept: contents that are in the desktop's conflict store; whole: it was not interrupted; decides: by its policy
        """
        before = {place: {path: set(self.may[place][path]) for path in self.paths} for place in (desktop, device)}
        for path in self.paths:
            ours, theirs = before[desktop][path], before[device][path]
            possible = [outcome for x in ours for y in theirs for outcome in self._outcomes(x, y, decides)]
            possible += list(self._followed(path, before[desktop], before[device]))
            parts = [(d, r) for d, r, loser in possible if loser <= kept]
            if not whole:
                parts += [(x, y) for x in ours for y in theirs]
                parts += [(d, y) for d, _ in list(parts) for y in theirs]
            now = seen[desktop][path], seen[device][path]
            found = [(d, r) for d, r in parts if (d.content, r.content) == now]
            had = f"{path}: {desktop} had {ours}, {device} had {theirs}"
            assert found, f"nobody can explain {now} at {had}; the desktop keeps {sorted(kept)}"
            self.may[desktop][path], self.may[device][path] = {d for d, _ in found}, {r for _, r in found}
            for place in (desktop, device):
                unnoted = self._unnoted.pop((place, path), set())
                if not whole:
                    self._unnoted[place, path] = unnoted | before[place][path]

    def _outcomes(self, x: State, y: State, decides: bool) -> Iterator[Outcome]:
        """Of a session that is not interrupted, for a state on the desktop and one on the device."""
        if x is y or x.supersedes(y):
            yield x, x, frozenset()
        elif y.supersedes(x):
            yield y, y, frozenset()
        elif NOTHING in (x.content, y.content) and x.content == y.content:
            both = self._resolved(NOTHING, x, y)
            yield both, both, frozenset()
        elif not decides:
            yield x, y, frozenset()
            if ORIGIN.content in (x.content, y.content):
                yield from self._decided(x, y)  # whoever had never heard of it had deleted another thing of that name
        else:
            yield from self._decided(x, y)

    def _decided(self, x: State, y: State) -> Iterator[Outcome]:
        """One of both contents, an edit rather than a delete; the other one is kept."""
        for winner, loser in ((x, y), (y, x)):
            if winner.content != NOTHING:
                both = self._resolved(winner.content, x, y)
                yield both, both, frozenset([loser.content] if loser.content not in (NOTHING, winner.content) else [])

    def _followed(self, path: str, ours: "dict[str, set[State]]", theirs: "dict[str, set[State]]") -> Iterator[Outcome]:
        """An edit of a path from which something was moved to this one may follow; and is gone there then."""
        came, went = self._connected(path)
        for x in ours[path]:
            for y in theirs[path]:
                if went:
                    both = self._resolved(NOTHING, x, y)
                    yield both, both, frozenset()
                for edit in {state for old in came for side in (ours, theirs) for state in side[old]}:
                    if edit.content != NOTHING:
                        both = self._resolved(edit.content, x, y, edit)
                        older = {state.content for state in edit.over} | {NOTHING, edit.content}
                        top = [s for s, other in ((x, y), (y, x)) if not other.supersedes(s)]
                        yield both, both, frozenset(state.content for state in top) - older

    def _connected(self, path: str) -> "tuple[set[str], bool]":
        """(all paths from which moves lead to this one, does one lead away)."""
        came: set[str] = set()
        while more := {old for old, new in self._moves if new in came | {path}} - came:
            came |= more
        return came - {path}, any(old == path for old, _ in self._moves)

    def _resolved(self, content: bytes, *states: State) -> State:
        """The one state that sets these against each other and shows this content."""
        key = content, frozenset(states)
        if key not in self._made:
            self._made[key] = State(content, states)
        return self._made[key]
