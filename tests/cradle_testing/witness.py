"""Watches a desktop's session: what goes by is decoded, counted, and held against what its sender knew.

It only looks: bytes go on as they are. Its own test is that it finds a sender who tells what it does not know.
"""

from collections.abc import Iterator

from cradle_desktop.connection import Connection
from cradle_protocol.sync.item import item_id
from cradle_protocol.sync.knowledge import Knowledge
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.desktop_session import DesktopSession
from cradle_protocol.wire.messages.records import decode_apply, decode_change, decode_segment
from cradle_protocol.wire.messages.sync import Pass, SyncOpenReply
from cradle_protocol.wire.session import Identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from random import Random
    from typing import Any

    from cradle_protocol.sync.version import Version

UNITS, TYPE = 2, "files"
_KEYS = list(range(256))  # versions are compared in the agent's keys, as they come

Message = tuple[int, bool, bytes]  # kind, are more parts to come, body


class WitnessSession(DesktopSession):
    """A desktop's session that is watched. count: bytes of contents that went by."""

    def __init__(self, me: Identity, nonce: bytes, max_message: int) -> None:
        super().__init__(me, nonce, max_message)
        self.count = 0
        self._space = memoryview(b"")
        self._sent, self._heard = bytearray(), bytearray()
        self._joining: dict[int, bytearray] = {}
        self._ours, self._theirs = Knowledge(), Knowledge()  # what both said that their changes are made with

    # -- what goes by

    def data_to_send(self) -> "list[bytes | bytearray | memoryview]":
        chunks = super().data_to_send()
        self._sent += b"".join(chunks)
        for message in _messages(self._sent):
            self._see_sent(*message)
        return chunks

    def receive_buffer(self) -> memoryview:
        self._space = super().receive_buffer()
        return self._space

    def received(self, count: int) -> None:
        self._hear(self._space[:count])
        super().received(count)

    def receive_data(self, data: "bytes | bytearray | memoryview") -> None:
        self._hear(data)
        super().receive_data(data)

    def _hear(self, data: "bytes | bytearray | memoryview") -> None:
        self._heard += data
        for message in _messages(self._heard):
            self._see_heard(*message)

    def _joined(self, kind: int, more: bool, body: bytes) -> "bytes | None":
        """The whole body, when its last part has come."""
        whole = self._joining.setdefault(kind, bytearray())
        whole += body
        return None if more else bytes(self._joining.pop(kind))

    # -- what is said

    def _see_sent(self, kind: int, more: bool, body: bytes) -> None:
        if kind == c.PASS and (whole := self._joined(kind, more, body)) is not None:
            self._ours = Knowledge.from_bytes(Pass.from_bytes(whole).made_with, _KEYS)
        at = 0
        while kind == c.APPLY and at < len(body):
            tag, values, at = decode_apply(memoryview(body), at, UNITS)
            if tag == c.DATA:
                self.count += len(values[2])
            elif tag == c.CHANGE:
                check_known(self._ours, values[0])

    def _see_heard(self, kind: int, more: bool, body: bytes) -> None:
        if kind == c.SYNC_OPEN_REPLY and (whole := self._joined(kind, more, body)) is not None:
            self._theirs = Knowledge.from_bytes(SyncOpenReply.from_bytes(whole).knowledge, _KEYS)
        at = 0
        while kind == c.FETCH_REPLY and at < len(body):
            (_, flags, content, _), at = decode_segment(memoryview(body), at)
            self.count += 0 if flags & c.SEGMENT_FAILED else len(content)
        while kind == c.CHANGES_REPLY and at < len(body):
            record, at = decode_change(memoryview(body), at, UNITS)
            check_known(self._theirs, record)


def check_known(made: Knowledge, record: "tuple[Any, ...]") -> None:
    """No version leaves a replica that its own knowledge does not hold."""
    i, _, identity, _, _, versions, *_ = record
    where: bytes = item_id(TYPE, identity) if i is None else bytes(i)
    strange: list[Version] = [version for version in versions if not made.knows(where, version)]
    assert not strange, f"sent outside own knowledge: {identity or where.hex()} {strange}"


def _messages(buffer: bytearray) -> "Iterator[Message]":
    """The whole messages in the buffer, which loses them."""
    while len(buffer) >= c.HEADER_SIZE:
        end = c.HEADER_SIZE + int.from_bytes(buffer[:3], "big")
        if len(buffer) < end:
            return
        yield buffer[3] & c.KIND_MASK, bool(buffer[3] & c.MORE), bytes(buffer[c.HEADER_SIZE : end])
        del buffer[:end]


class EchoConnection(Connection):
    """Above the link, batches that are under way at one time change their order, and some come twice."""

    random: "Random"

    def __init__(self, *args: "Any") -> None:
        super().__init__(*args)
        self._held: dict[int, list[tuple[bytes, bool]]] = {}
        self._real: dict[int, int] = {}

    def start(self, kind: int, body: "Any" = b"", more: bool = False, request: "int | None" = None) -> int:
        if kind != c.APPLY:
            return super().start(kind, body, more, request)
        if request is None:
            request = -1 - len(self._held) - len(self._real)
            self._held[request] = []
        self._held[request].append((b"".join(body) if isinstance(body, list) else bytes(body), more))
        return request

    def replies(self, request: int) -> "Iterator[tuple[int, Any, bool]]":
        if request < 0:
            self._let_go()
            request = self._real[request]
        return super().replies(request)

    def _let_go(self) -> None:
        """Everything that was held, in some order, now and then followed by one of it once more."""
        order = list(self._held)
        self.random.shuffle(order)
        for number in order:
            self._real[number] = self._send(self._held[number])
            if self.random.random() < 0.5:
                again = self._send(self._held[self.random.choice(order)])
                for _ in super().replies(again):
                    pass
        self._held.clear()

    def _send(self, parts: "list[tuple[bytes, bool]]") -> int:
        request: int | None = None
        for body, more in parts:
            request = super().start(c.APPLY, body, more, request)
        assert request is not None
        return request
