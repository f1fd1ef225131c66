"""Three-way merge of texts by lines. Pure: knows no items, and never guesses: what both sides changed is for a person.

Theory: what a side changed against the common ancestor is a list of hunks. Hunks of one side alone are taken. Where
hunks of both overlap or touch, they must say the same, else there is no merge. Swapping the sides changes nothing.
"""

from cradle_protocol.errors import UNREADABLE
from cradle_protocol.provider.store import Reader, StoreError

# A larger content is never merged: finding differences takes time that grows with the square of the lines.
MERGE_BYTES = 256 * 1024
MERGE_LINES = 5000

_Hunk = tuple[int, int, int, int]  # lines of the ancestor from, to; of the side from, to


def is_text(data: bytes) -> bool:
    """UTF-8 without zero bytes, and short enough to be merged?"""
    if len(data) > MERGE_BYTES or b"\0" in data:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def read_text(reader: Reader, size: int) -> "bytes | None":
    """A whole content of that size if it is a text, else None. Closes the reader. Raises StoreError."""
    try:
        if size > MERGE_BYTES:
            return None
        data, count = memoryview(bytearray(size + 1)), 0
        while n := reader.read_into(data[count:]):
            count += n
        if count != size:
            raise StoreError(UNREADABLE)
        found = bytes(data[:size])
        return found if is_text(found) else None
    finally:
        reader.close()


def merge(base: bytes, one: bytes, two: bytes) -> "bytes | None":
    """What both made of the ancestor, or None where they disagree or one of the three is no short text."""
    if not (is_text(base) and is_text(one) and is_text(two)):
        return None
    old, a, b = (text.splitlines(keepends=True) for text in (base, one, two))
    if max(len(old), len(a), len(b)) > MERGE_LINES:
        return None
    return _merged(old, a, b, _hunks(old, a), _hunks(old, b))


def _hunks(old: "list[bytes]", new: "list[bytes]") -> "list[_Hunk]":
    import difflib  # some milliseconds that only a merge needs

    codes = difflib.SequenceMatcher(None, old, new).get_opcodes()
    return [(i1, i2, j1, j2) for tag, i1, i2, j1, j2 in codes if tag != "equal"]


def _merged(
    old: "list[bytes]", a: "list[bytes]", b: "list[bytes]", ours: "list[_Hunk]", theirs: "list[_Hunk]"
) -> "bytes | None":
    out: list[bytes] = []
    done = shift_a = shift_b = 0  # lines of the ancestor that are dealt with; where the sides are against it
    while ours or theirs:
        low = min(side[0][0] for side in (ours, theirs) if side)
        high, mine, other = _group(ours, theirs, low)
        text_a = a[low + shift_a : high + shift_a + _growth(mine)]
        text_b = b[low + shift_b : high + shift_b + _growth(other)]
        if mine and other and text_a != text_b:
            return None
        out += old[done:low] + (text_a if mine else text_b)
        shift_a, shift_b, done = shift_a + _growth(mine), shift_b + _growth(other), high
        del ours[: len(mine)], theirs[: len(other)]
    return b"".join(out + old[done:])


def _group(ours: "list[_Hunk]", theirs: "list[_Hunk]", low: int) -> "tuple[int, list[_Hunk], list[_Hunk]]":
    """The hunks from `low` on that overlap or touch, and where they end."""
    high, mine, other = low, 0, 0
    while True:
        if mine < len(ours) and ours[mine][0] <= high:
            high = max(high, ours[mine][1])
            mine += 1
        elif other < len(theirs) and theirs[other][0] <= high:
            high = max(high, theirs[other][1])
            other += 1
        else:
            return high, ours[:mine], theirs[:other]


def _growth(hunks: "list[_Hunk]") -> int:
    return sum((j2 - j1) - (i2 - i1) for i1, i2, j1, j2 in hunks)
