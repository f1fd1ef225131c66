"""The index of a metadata log: sorted fixed entries in RAM, in small pages. Knows no items, no file.

    entry   4 bytes: first of the item's id · 4: offset of its record · 4: tag · 4: object id
    tag     the CRC-32 of the item's stamp, its upper four bits replaced by the flags below

Two items may share the first four bytes of their ids: whoever asks compares whole ids by the records. With the flags
in the tag a scan learns whether an object changed without reading a record. A position is page number times page
size plus the offset in the page; it holds until the next insert or remove. Pages, because a heap that is in use has
no large piece left: a full page shares with a neighbour or splits, so that pages are mostly more than 3/4 full.
"""

from struct import pack_into, unpack_from

from cradle_protocol.compat import MICROPYTHON, crc32
from cradle_protocol.sync.item import GHOST, IMPLIED, RACY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cradle_protocol.sync.item import Item

ENTRY = 16
PREFIX = 4
_OFFSET_AT, _TAG_AT, _OID_AT = 4, 8, 12

# Flags in the first byte of a tag. MARKED is the scan's, and is never on file. DEAD and _RACY together: alive, and not
# in the store, by its filter.
MARKED = 0x80
DEAD = 0x40
_IMPLIED = 0x20
_RACY = 0x10
_CRC_PART = 0x0F

# Bytes of a page: a small piece of heap on a board, a short move of memory elsewhere.
_PAGE = 512 if MICROPYTHON else 4096
# A neighbour takes a share while it has this much room; less is not worth the move.
_WORTH = _PAGE // 4

# What `compare` says.
IS_SAME, IS_DEAD, IS_OTHER = 0, 1, 2


def tag_of(item: "Item") -> bytes:
    """The tag of an item as it is."""
    tag = bytearray(crc32(item.stamp).to_bytes(4, "big"))
    tag[0] = tag[0] & _CRC_PART | (0 if item.held() else DEAD)
    if item.flags & IMPLIED:
        tag[0] |= _IMPLIED
    if item.flags & (RACY | GHOST) and not item.dead:
        tag[0] |= _RACY
    return bytes(tag)


class Index:
    """Sorted entries. `count` of them, `alive` of which are objects of the store."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all entries."""
        self._pages = [bytearray(_PAGE)]
        self._used = [0]
        self._near = 0
        self.count = self.alive = 0

    # -- finding

    def first(self, prefix: bytes) -> int:
        """Position of the first entry whose id does not come before the prefix, or the end."""
        k = self._page_of(prefix)
        page, low, high = self._pages[k], 0, self._used[k] // ENTRY
        while low < high:
            middle = (low + high) >> 1
            at = middle * ENTRY
            if page[at : at + PREFIX] < prefix:
                low = middle + 1
            else:
                high = middle
        at = low * ENTRY
        if at == self._used[k] and k + 1 < len(self._pages):
            return (k + 1) * _PAGE
        return k * _PAGE + at

    def _page_of(self, prefix: bytes) -> int:
        """The last page that begins before the prefix, or the first. Ids are spread evenly, so it is near a guess."""
        pages = self._pages
        k = (prefix[0] << 8 | prefix[1]) * len(pages) >> 16
        while k and pages[k][:PREFIX] >= prefix:
            k -= 1
        last = len(pages) - 1
        while k < last and pages[k + 1][:PREFIX] < prefix:
            k += 1
        return k

    def has_prefix(self, at: int, prefix: bytes) -> bool:
        """Is there an entry at this position, and does its id begin so?"""
        k, at = at // _PAGE, at % _PAGE
        return k < len(self._used) and at < self._used[k] and self._pages[k][at : at + PREFIX] == prefix

    def at_end(self, at: int) -> bool:
        """Is there no entry at this position?"""
        k = at // _PAGE
        return k >= len(self._used) or at % _PAGE >= self._used[k]

    def after(self, at: int) -> int:
        """The position behind an entry."""
        k = at // _PAGE
        if at % _PAGE + ENTRY >= self._used[k] and k + 1 < len(self._pages):
            return (k + 1) * _PAGE
        return at + ENTRY

    def positions(self) -> "Iterator[int]":
        """Every entry's position, in order."""
        for k in range(len(self._pages)):
            for at in range(0, self._used[k], ENTRY):
                yield k * _PAGE + at

    # -- one entry

    def offset(self, at: int) -> int:
        return int(unpack_from(">I", self._pages[at // _PAGE], at % _PAGE + _OFFSET_AT)[0])

    def flags(self, at: int) -> int:
        """The flags of the entry: MARKED, DEAD and what only this module asks for."""
        return self._pages[at // _PAGE][at % _PAGE + _TAG_AT]

    def implied(self, at: int) -> bool:
        return bool(self.flags(at) & _IMPLIED)

    def mark(self, at: int) -> None:
        self._pages[at // _PAGE][at % _PAGE + _TAG_AT] |= MARKED

    def unmark(self) -> None:
        """Take the mark from every entry."""
        for k in range(len(self._pages)):
            page = self._pages[k]
            for at in range(_TAG_AT, self._used[k], ENTRY):
                page[at] &= ~MARKED & 0xFF

    def compare(self, at: int, stamp: bytes) -> int:
        """IS_SAME, IS_DEAD or IS_OTHER: what the entry says of an object that shows this stamp."""
        page, at = self._pages[at // _PAGE], at % _PAGE + _TAG_AT
        flags = page[at]
        if flags & _IMPLIED:
            return IS_SAME
        if flags & DEAD:
            return IS_OTHER if flags & _RACY else IS_DEAD
        crc = crc32(stamp).to_bytes(4, "big")
        if flags & _RACY or (flags ^ crc[0]) & _CRC_PART or page[at + 1 : at + 4] != crc[1:]:
            return IS_OTHER
        return IS_SAME

    # -- changing

    def insert(self, at: int, prefix: bytes, offset: int, tag: bytes, oid: int, mark: int = 0) -> None:
        """A new entry at a position that `first` gave; it may come to lie elsewhere. `mark`: 0 or MARKED."""
        k, at = self._make_room(at // _PAGE, at % _PAGE)
        page, used = self._pages[k], self._used[k]
        if at < used:
            view = memoryview(page)
            view[at + ENTRY : used + ENTRY] = view[at:used]
        self._used[k] = used + ENTRY
        page[at : at + PREFIX] = prefix
        _fill(page, at, offset, tag, oid, mark)
        self.count += 1
        if not tag[0] & DEAD:
            self.alive += 1

    def replace(self, at: int, offset: int, tag: bytes, oid: int) -> None:
        """The item of an entry has a new record; its mark stays."""
        page, at = self._pages[at // _PAGE], at % _PAGE
        old = page[at + _TAG_AT]
        self.alive += (1 if old & DEAD else 0) - (1 if tag[0] & DEAD else 0)
        _fill(page, at, offset, tag, oid, old & MARKED)

    def move(self, at: int, offset: int) -> None:
        """The record of an entry is now elsewhere, and otherwise as it was."""
        pack_into(">I", self._pages[at // _PAGE], at % _PAGE + _OFFSET_AT, offset)

    def remove(self, at: int) -> None:
        k, at = at // _PAGE, at % _PAGE
        page, used = self._pages[k], self._used[k] - ENTRY
        if not page[at + _TAG_AT] & DEAD:
            self.alive -= 1
        self.count -= 1
        view = memoryview(page)
        view[at:used] = view[at + ENTRY : used + ENTRY]
        self._used[k] = used
        if not used and len(self._pages) > 1:
            self._pages.pop(k)
            self._used.pop(k)
            self._near = 0

    def _make_room(self, k: int, at: int) -> "tuple[int, int]":
        """A page, and the place in it, for one more entry. What comes in order fills one page after the other."""
        used = self._used
        if k == len(used):
            self._new_page(k)
        elif used[k] == _PAGE:
            if k + 1 < len(used) and used[k + 1] <= _PAGE - _WORTH:
                self._shift_up(k, (_PAGE - used[k + 1]) // 2 // ENTRY * ENTRY)
            elif k and used[k - 1] <= _PAGE - _WORTH:
                moved = (_PAGE - used[k - 1]) // 2 // ENTRY * ENTRY
                self._shift_down(k, moved)
                return (k, at - moved) if at >= moved else (k - 1, used[k - 1] + at - moved)
            else:
                self._new_page(k + 1)
                self._shift_up(k, _PAGE // 2)
            if at > used[k]:
                return k + 1, at - used[k]
        return k, at

    def _new_page(self, k: int) -> None:
        self._pages.insert(k, bytearray(_PAGE))
        self._used.insert(k, 0)
        self._near = 0

    def _shift_up(self, k: int, size: int) -> None:
        """The last `size` bytes of a page go to the front of the next one."""
        low, high = memoryview(self._pages[k]), memoryview(self._pages[k + 1])
        used = self._used[k] - size
        high[size : size + self._used[k + 1]] = high[: self._used[k + 1]]
        high[:size] = low[used : used + size]
        self._used[k] = used
        self._used[k + 1] += size

    def _shift_down(self, k: int, size: int) -> None:
        """The first `size` bytes of a page go to the end of the one before."""
        low, high = memoryview(self._pages[k - 1]), memoryview(self._pages[k])
        used = self._used[k] - size
        low[self._used[k - 1] : self._used[k - 1] + size] = high[:size]
        high[:used] = high[size : size + used]
        self._used[k - 1] += size
        self._used[k] = used

    # -- by object id

    def by_oid(self, oid: int) -> int:
        """Position of the entry with this object id, -1 if there is none. Quick where asked in order of ids."""
        wanted = oid.to_bytes(4, "big")
        pages = len(self._pages)
        for n in range(pages):
            k = (self._near + n) % pages
            at = self._search(self._pages[k], self._used[k], wanted)
            if at >= 0:
                self._near = k
                return k * _PAGE + at
        return -1

    def _search(self, page: bytearray, used: int, wanted: bytes) -> int:
        found = page.find(wanted, 0, used)
        while found >= 0 and found % ENTRY != _OID_AT:
            found = page.find(wanted, found + 1, used)
        return found - _OID_AT if found >= 0 else -1


def _fill(page: bytearray, at: int, offset: int, tag: bytes, oid: int, mark: int) -> None:
    pack_into(">I", page, at + _OFFSET_AT, offset)
    pack_into(">I", page, at + _OID_AT, oid)
    page[at + _TAG_AT : at + _TAG_AT + 4] = tag
    page[at + _TAG_AT] |= mark
