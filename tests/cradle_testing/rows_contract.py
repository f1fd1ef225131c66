"""The contract of stores of rows as a test class: inherit it, say how a store is opened and what is in it.

It also ends the process at every write, as `kill -9` does: a store that was cut off anywhere has each row once.
"""

import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from cradle_protocol.provider.rows import Batch, RowStore, StoreError

STREAM, OTHER = bytes(range(16)), bytes(range(100, 116))
NOW = 1764000000000
OLD = 946684800000  # a clock that nobody has set


def batch(start: int, values: "list[Any]", stream: bytes = STREAM, gaps: "dict[int, int] | None" = None) -> Batch:
    """A batch of these rows; `gaps` {number: rows} are left out before the row that has the number after them."""
    made = Batch(stream, "porch", start)
    number = start
    for value in values:
        if gaps and number in gaps:
            made.gaps.append((number, gaps[number]))
            number += gaps[number]
        made.rows.append((number, OLD + number * 1000, NOW + number * 1000, value))
        number += 1
    made.clocks[3] = OLD, NOW
    made.end = number
    return made


class RowStoreContract:
    """`open` gives a store that is there or made; `rows` what a reader finds: (stream, number, {field: value}) each."""

    def open(self, folder: Path, known: "dict[bytes, int] | None" = None) -> RowStore:
        raise NotImplementedError

    def rows(self, folder: Path) -> "list[tuple[bytes, int, dict[str, Any]]]":
        raise NotImplementedError

    def numbers(self, folder: Path, stream: bytes = STREAM) -> "list[int]":
        return [number for its, number, _ in self.rows(folder) if stream.startswith(its)]

    def test_a_new_store_has_nothing(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        assert store.position(STREAM) is None
        store.close()
        store.close()

    def test_rows_are_there_and_the_position_behind_them(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.add(batch(0, [{"t": 20.5, "n": 1}, {"t": 21, "n": 2}]))
        assert store.position(STREAM) == 2
        store.add(batch(2, [{"t": 22.25, "n": 3}]))
        store.close()
        assert self.rows(tmp_path) == [
            (STREAM[: len(self.rows(tmp_path)[0][0])], n, {"t": t, "n": n + 1}) for n, t in enumerate((20.5, 21, 22.25))
        ]
        again = self.open(tmp_path)
        assert again.position(STREAM) == 3 and again.position(OTHER) is None
        again.close()

    def test_streams_side_by_side(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.add(batch(0, [{"n": 0}] * 3))
        store.add(batch(70, [{"n": 0}] * 2, OTHER))
        store.add(batch(3, [{"n": 0}]))
        assert (store.position(STREAM), store.position(OTHER)) == (4, 72)
        store.close()
        assert self.numbers(tmp_path) == [0, 1, 2, 3] and self.numbers(tmp_path, OTHER) == [70, 71]

    def test_gaps(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.add(batch(0, [{"n": 0}, {"n": 1}, {"n": 2}], gaps={0: 10, 12: 5}))
        assert store.position(STREAM) == 18
        store.close()
        assert self.numbers(tmp_path) == [10, 11, 17]

    def test_new_fields_later(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.add(batch(0, [{"a": 1}, {"b": 2, "a": 3}]))
        store.add(batch(2, [{"c": "x"}, {}]))
        store.close()
        store = self.open(tmp_path)
        store.add(batch(4, [{"d": 5, "a": 6}]))
        assert store.position(STREAM) == 5
        store.close()
        assert [values for _, _, values in self.rows(tmp_path)] == [
            {"a": 1}, {"a": 3, "b": 2}, {"c": "x"}, {}, {"a": 6, "d": 5},
        ]  # fmt: skip

    def test_awkward_rows(self, tmp_path: Path) -> None:
        """Names that are ours or odd, texts with quotes and line ends, nothing at all: one row each, and no harm."""
        rows: list[dict[str, Any]] = [
            {"time": 1, "row": 2, "stream": "s", "Time": 3, "": 4, 'a"b': 5, "a,b": 6, "x\ny": 7, "T": 8, "t": 9},
            {
                "text": 'one\ntwo\r\n"three", four',
                "formula": "=1+1",
                "none": None,
                "truth": True,
                "list": [1, {"a": 2}],
            },
            {"large": 10**30, "small": -(2**63), "unicode": "ü€😀", "unreadable": "\x00\x01"},
        ]
        store = self.open(tmp_path)
        store.add(batch(0, rows))
        assert store.position(STREAM) == 3
        store.close()
        store = self.open(tmp_path)
        store.add(batch(3, rows))
        assert store.position(STREAM) == 6
        store.close()
        assert self.numbers(tmp_path) == [0, 1, 2, 3, 4, 5]
        assert self.rows(tmp_path)[2][2]["unicode"] == "ü€😀"

    def test_a_device_that_makes_up_names(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        for k in range(3):
            store.add(batch(k, [{f"f{k}-{n}": n for n in range(400)}]))
        assert store.position(STREAM) == 3
        store.close()
        assert self.numbers(tmp_path) == [0, 1, 2]

    def test_no_two_fields_have_one_column(self, tmp_path: Path) -> None:
        """Nor does one that has a place of its own take that of another."""
        names = ["", "_", "__", "a\x00", "a_", "a\\x00", "a\n", "more", "more_", "Row", "row_", "stream", "x" * 20000]
        store = self.open(tmp_path)
        store.add(batch(0, [{name: k + 100 for k, name in enumerate(names)}]))
        store.close()
        found = str(list(self.rows(tmp_path)[0][2].values()))
        assert [k for k in range(100, 100 + len(names)) if str(k) not in found] == []
        store = self.open(tmp_path)
        store.add(batch(1, [dict.fromkeys(names, 1)]))
        assert store.position(STREAM) == 2
        store.close()
        assert self.numbers(tmp_path) == [0, 1]

    def test_a_place_of_somebody_elses_is_refused(self, tmp_path: Path) -> None:
        self.strange(tmp_path)
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(StoreError):
            self.open(tmp_path)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    def strange(self, folder: Path) -> None:
        """Put something there that is not ours, where `open` looks."""
        raise NotImplementedError

    STEP = 7  # bytes between two places where `test_killed_at_any_byte` ends the process

    @pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.slow)])
    def test_killed_at_any_byte(self, tmp_path: Path, every: int) -> None:
        """The process ends where its files would grow beyond a size, for all sizes; then the same rows are offered."""
        for limit in range(0, 1 << 20, self.STEP * every):
            folder = tmp_path / str(limit)
            folder.mkdir()
            store = self.open(folder)
            store.add(batch(0, [{"a": 1}] * 3))
            store.close()
            if not self.killed(folder, limit):
                assert limit > 3 * self.STEP
                return
            self.offer_again(folder)
        raise AssertionError("it never comes to its end")

    def offer_again(self, folder: Path) -> None:
        """What is lacking of rows 3 to 7, as a sync would; then all are there once and in order."""
        wanted = [{"a": n, "b": "x" * 30} for n in range(5)]
        store = self.open(folder)
        position = store.position(STREAM)
        assert position is not None and 3 <= position <= 8, (folder, position)
        if position < 8:
            store.add(batch(position, wanted[position - 3 :]))
        store.close()
        assert self.numbers(folder) == list(range(8)), folder
        assert [values for _, _, values in self.rows(folder)][3:] == wanted, folder

    def killed(self, folder: Path, limit: int) -> bool:
        """Add rows 3 to 7 in a process that ends when it writes beyond `limit` in a file; False: it came to its end."""
        child = os.fork()
        if not child:
            try:
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
                store = self.open(folder)
                store.add(batch(3, [{"a": n, "b": "x" * 30} for n in range(5)]))
                os._exit(0)
            finally:
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, -signal.SIGXFSZ), (limit, code)
        return code != 0

    def test_a_full_disk_loses_nothing(self, tmp_path: Path) -> None:
        """The same, where the process lives on and is told."""
        for limit in range(0, 1 << 20, self.STEP * 16):
            folder = tmp_path / str(limit)
            folder.mkdir()
            store = self.open(folder)
            store.add(batch(0, [{"a": 1}] * 3))
            if not self.refused(store, limit):
                assert limit
                store.close()
                return
            position = store.position(STREAM)
            assert position is not None
            store.close()
            self.offer_again(folder)
        raise AssertionError("it never comes to its end")

    def refused(self, store: RowStore, limit: int) -> bool:
        """Add rows 3 to 7 where no file may grow beyond a size; False: it came to its end."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            store.add(batch(3, [{"a": n, "b": "x" * 30} for n in range(5)]))
        except StoreError:
            return True
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
        return False
