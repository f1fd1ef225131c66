"""Where a command's words and data go: data to stdout, words to stderr. No colour, nothing to import."""

import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

QUIET, NORMAL, VERBOSE = -1, 0, 1


def open_streams() -> None:
    """Make stdout and stderr take any text: one that was closed leads nowhere, one that is no UTF-8 shows escapes."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class Output:
    """level: QUIET (errors only), NORMAL or VERBOSE; json: data as one document, with nothing else on stdout."""

    def __init__(self, level: int = NORMAL, json: bool = False) -> None:
        self.level, self.json = level, json

    def say(self, text: str) -> None:
        """One sentence for the user."""
        if self.level >= NORMAL:
            self._words(text)

    def detail(self, text: str) -> None:
        """Words for those who asked for more."""
        if self.level >= VERBOSE:
            self._words(text)

    def fail(self, text: str) -> None:
        """An error: always shown, on one line, in one style whoever wrote the sentence."""
        words = " ".join(text.split()).removesuffix(".")
        if words[1:2].islower():
            words = words[0].lower() + words[1:]
        self._words("cradle: " + words)

    def data(self, text: str) -> None:
        """A line of what was asked for."""
        if not self.json and self.level > QUIET:
            print(printable(text))

    def document(self, value: object) -> None:
        """The one JSON document of a command run with --json."""
        if self.json:
            from json import dumps

            # JSON has escapes of its own for a stream that cannot show all letters
            print(dumps(value, ensure_ascii=not utf8(sys.stdout.encoding)), flush=True)

    def table(self, rows: "Iterable[Sequence[str]]") -> None:
        """Lines in columns."""
        for line in columns([[printable(cell) for cell in row] for row in rows]):
            self.data(line)

    @staticmethod
    def _words(text: str) -> None:
        sys.stdout.flush()
        print(printable(text), file=sys.stderr, flush=True)


def utf8(encoding: "str | None") -> bool:
    """Can a stream of this encoding show every text? None: it is no file, and takes all."""
    return encoding is None or encoding.lower().replace("-", "") == "utf8"


def columns(rows: "Sequence[Sequence[str]]") -> "list[str]":
    """Each row as a line, cells aligned and two spaces apart."""
    width = max((len(row) for row in rows), default=0)
    sizes = [max((len(row[k]) for row in rows if k < len(row)), default=0) for k in range(width)]
    return ["  ".join(cell.ljust(size) for cell, size in zip(row, sizes)).rstrip() for row in rows]


def printable(text: str) -> str:
    """One line of text from a device or a file name: control characters are shown, not obeyed by the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def size_text(count: int) -> str:
    """A number of bytes for people: 1.5 MB."""
    value, unit = float(count), "bytes"
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{count} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
