"""What this desktop remembers of streams beside rows: how far they are, what was lost, what the device's clock said.

A help and no truth: where the rows are says how far a stream is. Without these notes nothing is lost or comes twice.
"""

import time

from cradle_desktop.metadata.database import Database

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class StreamNote:
    """One stream in one store.

    first     the first row that this store was to have; position: the first that it has not
    mark      CRC-32 of the row before the position, 0: not known
    lost      rows between the two that were gone before they were fetched
    behind    milliseconds that the device's clock was behind ours, None: never compared
    """

    def __init__(self, first: int, position: int, mark: int, lost: int, behind: "int | None") -> None:
        self.first, self.position, self.mark, self.lost, self.behind = first, position, mark, lost, behind

    @property
    def rows(self) -> int:
        """Rows that the store got."""
        return self.position - self.first - self.lost


class StreamNotes:
    """The notes of one store. Every change is durable when its method returns. Raises StateError."""

    def __init__(self, database: Database, location: str) -> None:
        self._database, self._location = database, location

    def known(self) -> "dict[bytes, int]":
        """{stream: the rows before this one were safe here}."""
        with self._database.sentences():
            found = self._database.connection.execute(
                "SELECT id, position FROM stream WHERE location = ?", self._here()
            )
            return dict(found.fetchall())

    def get(self, stream: bytes) -> "StreamNote | None":
        """What is noted of a stream."""
        found = self._select("id = ?", stream)
        return found[0] if found else None

    def of(self, device: bytes) -> "list[StreamNote]":
        """The streams of one device: another one began where it was set back."""
        return self._select("device = ?", device)

    def past_gaps(self, stream: bytes, position: int) -> int:
        """A position, or the end of the rows from there on of which it is known that they are gone."""
        query = "SELECT row + rows FROM stream_gap WHERE location = ? AND id = ? AND row = ?"
        with self._database.sentences():
            while found := self._database.connection.execute(query, (self._location, stream, position)).fetchone():
                position = found[0]
        return position

    def begin(self, stream: bytes, device: bytes, first: int) -> None:
        """The store has nothing of this stream and begins with a row."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM stream WHERE location = ? AND id = ?", (self._location, stream))
            connection.execute(
                "INSERT INTO stream (location, id, device, first, position, mark) VALUES (?, ?, ?, ?, ?, 0)",
                (self._location, stream, device, first, first),
            )

    def reached(self, stream: bytes, position: int, mark: int, gaps: "Iterable[tuple[int, int]]") -> None:
        """The store has all rows before a position that were there; these were not: (first, how many)."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE stream SET position = ?, mark = ? WHERE location = ? AND id = ?",
                (position, mark, self._location, stream),
            )
            connection.executemany(
                "INSERT OR REPLACE INTO stream_gap VALUES (?, ?, ?, ?)",
                [(self._location, stream, first, rows) for first, rows in gaps],
            )

    def compared(self, stream: bytes, behind: int) -> None:
        """The device's clock is so many milliseconds behind."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE stream SET behind = ?, compared = ? WHERE location = ? AND id = ?",
                (behind, int(time.time()), self._location, stream),
            )

    def _here(self) -> "tuple[str]":
        return (self._location,)

    def _select(self, where: str, value: bytes) -> "list[StreamNote]":
        query = (
            "SELECT first, position, mark, (SELECT total(rows) FROM stream_gap WHERE stream_gap.location = "
            f"stream.location AND stream_gap.id = stream.id), behind FROM stream WHERE location = ? AND {where}"
        )
        with self._database.sentences():
            rows = self._database.connection.execute(query, (self._location, value)).fetchall()
        return [StreamNote(first, position, mark, int(lost), behind) for first, position, mark, lost, behind in rows]
