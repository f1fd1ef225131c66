"""A store of records in memory: people as JSON, with two field groups, and households that belong together.

The same on desktop and device. It is a `MemoryStore` with all its switches; what is in an object is a JSON object whose
fields belong to the group `name` or to the group `reach`. An identity `house/person` belongs to the household `house`.
"""

import json
from collections.abc import Sequence

from cradle_protocol.compat import sha256
from cradle_protocol.provider.desktop import NO_OPINION, ConflictInfo, Judging, RecordStore
from cradle_protocol.provider.together import DROP, GATHER
from cradle_testing.memory_disk import Stored
from cradle_testing.stores import MemoryStore

GROUPS = {"name": ("first", "last"), "reach": ("phone", "mail")}
_VALUE = 9  # bytes of a field group's value: a letter and the beginning of a hash

Record = dict[str, str]


def packed(**fields: str) -> bytes:
    """A record as it is stored: the same fields give the same bytes."""
    return json.dumps(fields, sort_keys=True).encode()


def fields_of(content: bytes) -> Record:
    """The fields of a record. Raises ValueError if it is none."""
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("not a record")
    return found


def _value(content: bytes, group: str) -> bytes:
    """What a field group's value is: it follows from its fields alone."""
    try:
        record = fields_of(content)
    except ValueError:
        record = {}
    some = {name: record[name] for name in GROUPS[group] if name in record}
    return b"v" + sha256(packed(**some)).digest()[: _VALUE - 1]


class People(MemoryStore, Judging, RecordStore):
    """See the module. answers: what `get_conflict_info` says, by identity; asked: what it was asked.

    shows: how often what was gathered was shown; a failing write of "show" is one of that
    """

    type = "people"
    units = ("content", *GROUPS)
    renames = False

    def __init__(self, modes: bool = True, store_id: bytes = b"p" * 16) -> None:
        super().__init__(modes=False, moves_by_identity=False, store_id=store_id)
        self.answers: dict[str, str] = {}
        self.asked: list[tuple[str, str, tuple[str, ...], bytes | None, bytes | None]] = []
        self.shows = 0
        self._before: dict[str, Stored] | None = None

    def put(self, identity: str, **fields: str) -> None:
        """Write a record as its user would."""
        self.write(identity, packed(**fields))

    def delete(self, identity: str) -> None:
        """Remove this object alone."""
        del self.objects[identity]

    def record(self, identity: str) -> Record:
        """The fields of an object."""
        return fields_of(self.read(identity))

    def _make_parents(self, identity: str) -> None:
        """There are no folders."""

    def _empty(self, identity: str) -> bool:
        return True

    def missing_parents(self, identity: str) -> "list[str]":
        return []

    def _stamp(self, one: Stored) -> bytes:
        content = one.content or b""
        return super()._stamp(one) + b"".join(_value(content, group) for group in GROUPS)

    def values(self, stamp: bytes) -> "list[bytes]":
        at = len(stamp) - _VALUE * len(GROUPS)
        groups = [stamp[n : n + _VALUE] for n in range(at, len(stamp), _VALUE)]
        return [super().values(stamp[:at])[0], *groups]

    def holds(self, unit: int) -> bool:
        return True

    def racy(self, stamp: bytes) -> bool:
        return super().racy(stamp[: -_VALUE * len(GROUPS)])

    def age(self, stamp: bytes) -> int:
        return super().age(stamp[: -_VALUE * len(GROUPS)])

    def compose(self, ours: bytes, theirs: bytes, take: "Sequence[bool]") -> bytes:
        mine, other, made = fields_of(ours), fields_of(theirs), Record()
        for u, names in enumerate(GROUPS.values(), start=1):
            source = other if take[u] else mine
            made.update({name: source[name] for name in names if name in source})
        return packed(**made)

    def fields(self, record: bytes, unit: int) -> "Sequence[tuple[str, str]]":
        found = fields_of(record)
        groups = list(GROUPS.values()) if unit == 0 else [GROUPS[self.units[unit]]]
        return [(name, found[name]) for names in groups for name in names if name in found]

    def get_conflict_info(self, conflict: ConflictInfo) -> str:
        self.asked.append(
            (conflict.identity, conflict.kind, tuple(conflict.units), conflict.desktop(), conflict.device())
        )
        return self.answers.get(conflict.identity, NO_OPINION)

    def group(self, identity: str) -> str:
        return identity.partition("/")[0] if "/" in identity else ""

    def tree(self) -> "dict[str, bytes]":
        """What anybody may see."""
        return {path: one.content or b"" for path, one in (self._before or self.objects).items()}

    def together(self, state: int) -> None:
        """See `provider.together`."""
        if state == GATHER:
            self._before = dict(self.objects)
            return
        if state == DROP and self._before is not None:
            self.objects = self._before
        elif state != DROP:
            self.shows += 1
            self.fault("show", reading=False)
        self._before = None

    def crash(self) -> None:
        super().crash()
        self._before = None
