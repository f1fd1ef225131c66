"""Takes an act back, offline: objects become what they were, as ordinary edits; the next sync carries them.

What was changed since is left alone. An undo displaces as a sync does, and is an act itself: undoing once more takes it
back.
"""

from cradle_desktop.conflict.contents import BytesReader, Contents
from cradle_desktop.conflict.resolve import stage_content
from cradle_desktop.undo.journal import UNDO, Act, Former, Journal
from cradle_protocol.errors import UNREADABLE
from cradle_protocol.provider.store import Reader, StoreError
from cradle_protocol.sync.values import (
    DIRECTORY,
    EQUAL,
    UNDECIDED,
    UNKNOWN,
    compare,
    digest_of,
    is_file,
    is_lazy,
    size_of,
    with_digest,
)

_STAGE = "b-"  # no sync uses this prefix
CHANGED_SINCE = "it was changed since"
NOT_KEPT = "what it was is not kept any more"
UNSURE = "the sync that was to change it on the device was cut off, and nobody knows whether it did"
NEVER_KEPT = "what it was is not kept: it was too large, or could not be read"


class Outcome:
    """What an undo did: the act it took back, what is as it was, and (identity, reason) of what was left alone."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.restored: list[str] = []
        self.left: list[tuple[str, str]] = []


def take_back(journal: Journal, contents: Contents) -> "Outcome | None":
    """Take the last act back; None if there is none. `contents`: of the conflict store."""
    act = journal.last()
    if act is None:
        return None
    return _Back(journal, contents, act).run()


class _Back:
    """One act being taken back."""

    def __init__(self, journal: Journal, contents: Contents, act: Act) -> None:
        self.journal, self.store, self.contents = journal, journal.store, contents
        self.outcome = Outcome(act)
        self._stamps: dict[str, bytes | None] = {}  # of what is as it was left
        self._staged: dict[str, str] = {}
        self._done: list[Former] = []
        self._hashed: list[Former] = []

    def run(self) -> Outcome:
        ready = [former for former in _in_order(self.journal.formers(self.outcome.act)) if self._possible(former)]
        try:
            ready = [former for former in ready if self._stage(former)]
            self.store.sync()  # contents are durable before anything shows them
            self._restore_all(ready)
        finally:
            for name in self._staged.values():
                self.store.unstage(name)
        self.journal.taken_back(self.outcome.act, self._done)
        return self.outcome

    def _stage(self, former: Former) -> bool:
        """Make the former content ready, where there is one. False: that was not possible."""
        old = former.old
        if old is None or not is_file(old[0]) or former.same_content():
            return True
        name = self._staged[former.identity] = f"{_STAGE}{len(self._staged):x}"
        try:
            stage_content(self.store, name, self._open(old[0], former.name), flush=False)
        except StoreError as error:
            return self._leave(former, error.text)
        return True

    def _restore_all(self, ready: "list[Former]") -> None:
        """Note what makes way, then put everything back."""
        again = [Former(former.identity, former.new, former.old) for former in ready]
        if again:
            self.journal.note(UNDO, again, set())
        failed = [former.identity for former in ready if not self._restore(former)]
        self.store.keep_next("")
        self.store.sync()
        if failed:
            self.journal.forget(failed)
        if self._hashed:
            self.journal.note(UNDO, self._hashed, set())

    def _leave(self, former: Former, reason: str) -> bool:
        self.outcome.left.append((former.identity, reason))
        return False

    def _possible(self, former: Former) -> bool:
        """Is it as it was left, and is what it was still here?"""
        if former.unsure:
            return self._leave(former, UNSURE)
        try:
            stamp = self._stamps[former.identity] = self.store.stamp(former.identity)
            if not self._as_left(former, stamp):
                return self._leave(former, CHANGED_SINCE)
        except StoreError as error:
            return self._leave(former, error.text)
        return self._is_kept(former)

    def _is_kept(self, former: Former) -> bool:
        if former.old is None or former.same_content():
            return True
        try:
            self._open(former.old[0], former.name).close()
        except StoreError:
            self._done.append(former)  # it never comes back: nobody is told of it twice
            return self._leave(former, NOT_KEPT if former.name else NEVER_KEPT)
        return True

    def _as_left(self, former: Former, stamp: "bytes | None") -> bool:
        if former.new is None or stamp is None:
            return former.new is None and stamp is None
        here = self.store.values(stamp)
        alike = compare(here[0], former.new[0])
        same = alike == EQUAL
        if alike == UNDECIDED:
            same = self.store.digest(former.identity) == digest_of(former.new[0])
        known = [(a, b) for a, b in zip(here[1:], former.new[1:], strict=True) if UNKNOWN not in (a, b)]
        return same and all(a == b for a, b in known)

    def _open(self, value: bytes, name: str) -> Reader:
        """The former content; a reader of nothing for what has none. Raises StoreError(UNREADABLE)."""
        if not is_file(value) or not size_of(value):
            return BytesReader()
        if name:
            return self.store.open_kept(name)
        if digest_of(value) and self.contents.holds(digest_of(value)):
            return self.contents.open(digest_of(value))
        raise StoreError(UNREADABLE)

    def _restore(self, former: Former) -> bool:
        """Make the object what it was. False if it was left alone."""
        try:
            stamp = self.store.stamp(former.identity)
            if stamp != self._stamps[former.identity]:
                return self._leave(former, CHANGED_SINCE)
            self.store.keep_next(self.journal.name_of(former.identity))
            self._put(former, stamp)
        except StoreError as error:
            return self._leave(former, error.text)
        self.outcome.restored.append(former.identity)
        self._done.append(former)
        self._hash(former)
        return True

    def _hash(self, former: Former) -> None:
        """A content that nobody had hashed is hashed, so that the undo can be taken back as well."""
        if former.old is None or not is_lazy(former.old[0]):
            return
        try:
            value = with_digest(former.old[0], self.store.digest(former.identity))
        except StoreError:
            return
        self._hashed.append(Former(former.identity, former.new, [value, *former.old[1:]]))

    def _put(self, former: Former, stamp: "bytes | None") -> None:
        old = former.old
        if old is None:
            if stamp is not None:
                self.store.remove(former.identity, stamp)
        elif is_file(old[0]) and not former.same_content():
            self.store.install(former.identity, self._staged[former.identity], old, stamp)
        elif old[0] == DIRECTORY and not former.same_content():
            self.store.install(former.identity, None, old, stamp)
        else:
            self.store.install(former.identity, None, old, stamp, content=False)


def _in_order(formers: "list[Former]") -> "list[Former]":
    """Directories before what lies in them, then files, then what must go, from the inside out."""
    going = [former for former in formers if former.old is None]
    coming = [former for former in formers if former.old is not None]
    coming.sort(key=lambda former: (former.old is None or former.old[0] != DIRECTORY, former.identity))
    return coming + sorted(going, key=lambda former: former.identity, reverse=True)
