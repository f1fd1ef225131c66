"""What a store shall hold: the filter of a device's store, as desktops write and read it. Touches no store.

One word and its value a line, in UTF-8; a word that is not known here makes the whole filter unreadable, because what
a later version does not want would be sent by this one:

    owner HEX         id of the desktop that set it
    include GLOB      by gitignore's rules; with any of these, nothing else is wanted
    exclude GLOB      wins over include
    max-size BYTES    files that are longer are not wanted
    newer-than SECS   files whose content was written longer ago are not wanted
    on-demand 1       nothing is wanted but pins
    pin PATH          wanted whatever else is said, and all below it
"""

from __future__ import annotations

from cradle_desktop.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pathspec import GitIgnoreSpec

# Bytes of a filter's text that every agent can keep (`FILTER_MAX` there).
LONGEST = 960


class FilterError(UserError):
    """A sentence on what is wrong with a filter."""


class Filter:
    """What a store shall hold. All of it, where nothing is said."""

    def __init__(
        self,
        owner: str = "",
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        max_size: int = -1,
        newer_than: int = -1,
        on_demand: bool = False,
        pins: Iterable[str] = (),
    ) -> None:
        """max_size: bytes, newer_than: seconds, -1 for any; on_demand: nothing but the pins (paths)."""
        self.owner, self.include, self.exclude = owner, tuple(include), tuple(exclude)
        self.max_size, self.newer_than, self.on_demand = max_size, newer_than, on_demand
        self.pins = tuple(pins)
        self._specs: dict[tuple[str, ...], GitIgnoreSpec] = {}

    def rules(self) -> tuple[object, ...]:
        """What it says, but for who said it and for the pins."""
        return self.include, self.exclude, self.max_size, self.newer_than, self.on_demand

    def everything(self) -> bool:
        """Is nothing kept out?"""
        return self.rules() == Filter().rules()

    def pinned(self, pins: Iterable[str]) -> Filter:
        """The same with these pins."""
        return Filter(self.owner, self.include, self.exclude, self.max_size, self.newer_than, self.on_demand, pins)

    # -- text

    def text(self) -> bytes:
        """As the device keeps it. Raises FilterError if that is too long, or cannot be said."""
        words = [("owner", self.owner)] if self.owner else []
        words += [("include", glob) for glob in self.include] + [("exclude", glob) for glob in self.exclude]
        words += [("max-size", str(self.max_size))] if self.max_size >= 0 else []
        words += [("newer-than", str(self.newer_than))] if self.newer_than >= 0 else []
        words += [("on-demand", "1")] if self.on_demand else []
        words += [("pin", path) for path in self.pins]
        if any("\n" in value for _, value in words):
            raise FilterError("a filter cannot hold a name with a line break in it")
        found = "".join(f"{word} {value}\n" for word, value in words).encode()
        if len(found) > LONGEST:
            raise FilterError(
                f"a device keeps {LONGEST} bytes of filter and this one has {len(found)}: say it in fewer patterns, or "
                "get whole folders; '--no-filter' ends it, with all that was asked for"
            )
        return found

    @classmethod
    def read(cls, text: bytes) -> Filter:
        """What a device keeps. Raises FilterError for what this version does not understand."""
        found: dict[str, list[str]] = {word: [] for word in _WORDS}
        for line in text.decode(errors="replace").removesuffix("\n").split("\n") if text else ():
            word, _, value = line.partition(" ")
            if word not in found:
                raise FilterError("the device's filter was set by a newer cradle; update cradle on this machine")
            found[word].append(value)
        try:
            return cls(
                "".join(found["owner"]), found["include"], found["exclude"], _number(found["max-size"]),
                _number(found["newer-than"]), bool(found["on-demand"]), found["pin"],
            )  # fmt: skip
        except ValueError:
            raise FilterError("the device's filter is damaged; end it with 'cradle enable' and --no-filter") from None

    # -- questions

    def wants_path(self, path: str, directory: bool) -> bool:
        """By the path alone: what size and age may still turn down."""
        if self.is_pinned(path):
            return True
        if self.on_demand:
            return False
        name = path + "/" if directory else path
        return (not self.include or self._matches(self.include, name)) and not self._matches(self.exclude, name)

    def is_pinned(self, path: str) -> bool:
        """Is it, or a folder above it, a pin?"""
        return any(path == pin or path.startswith(pin + "/") or not pin for pin in self.pins)

    def wants(self, path: str, directory: bool, size: int, age: int) -> bool:
        """Shall the store hold this object? age: seconds since its content was written, -1 if nobody can tell."""
        if not self.wants_path(path, directory):
            return False
        if directory or self.is_pinned(path):
            return True
        return not (0 <= self.max_size < size) and not (0 <= self.newer_than < age)

    def check(self) -> None:
        """Raises FilterError for a pattern that is none, or that matches nothing: that keeps all out, or nothing."""
        for option, globs in (("--include", self.include), ("--exclude", self.exclude)):
            for glob in globs:
                if not any(pattern.include is not None for pattern in _spec((glob,)).patterns):
                    raise FilterError(f"{option} {glob!r} matches nothing; {_LIKE_GIT}")
            if globs and not any(pattern.include for pattern in _spec(globs).patterns):
                raise FilterError(f"{option} {globs[0]!r} takes back what no {option} before it says; {_LIKE_GIT}")

    def _matches(self, globs: tuple[str, ...], name: str) -> bool:
        if not globs:
            return False
        if globs not in self._specs:
            self._specs[globs] = _spec(globs)
        return bool(self._specs[globs].match_file(name))

    def words(self) -> str:
        """As options of `cradle enable` say it."""
        said = [f"--include {glob}" for glob in self.include] + [f"--exclude {glob}" for glob in self.exclude]
        said += [f"--max-size {self.max_size}"] if self.max_size >= 0 else []
        said += [f"--newer-than {self.newer_than}s"] if self.newer_than >= 0 else []
        said += ["--on-demand"] if self.on_demand else []
        return " ".join(said) or "--no-filter"


_LIKE_GIT = "patterns are those of a .gitignore file"


def _spec(globs: tuple[str, ...]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(globs)
    except ValueError as error:
        raise FilterError(f"{error}; {_LIKE_GIT}") from error


_WORDS = ("owner", "include", "exclude", "max-size", "newer-than", "on-demand", "pin")


def _number(values: list[str]) -> int:
    return int(values[-1]) if values else -1


# What an age on the command line ends with, in seconds.
_AGES = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def age(text: str) -> int:
    """Seconds: "90d", "12h", "2w". Raises ValueError."""
    digits, unit = text.strip()[:-1], text.strip()[-1:].lower()
    if unit not in _AGES or not digits.isdecimal():
        raise ValueError(text)
    return int(digits) * _AGES[unit]
