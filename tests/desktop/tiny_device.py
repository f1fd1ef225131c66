"""A device that speaks the session and holds nothing: for tests of what waits on the other end. No tests here."""

import os
import threading
from collections.abc import Callable
from typing import Any

from cradle_hardware.link import Link, LinkError
from cradle_protocol.errors import NO_STORE, WRONG_CODE, ProtocolError
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import events as e
from cradle_protocol.wire.device_session import DeviceSession
from cradle_protocol.wire.handshake import Identity

KEY = bytes(range(32))
DEVICE_ID = b"D" * 16
DESKTOP = Identity(b"d" * 16, "laptop")
Behaviour = Callable[["TinyDevice", tuple[Any, ...]], bool]


class TinyDevice:
    """Serves one link in a thread. HASH is answered with its own body, FETCH with 100 parts, STASH by a failure.

    key      what it believes the partnership key to be, None: unpaired
    flags    which pairings it allows
    code     the pairing code, if any
    special  called with each event first; True: it has dealt with it
    """

    def __init__(
        self, link: Link, key: bytes | None = KEY, flags: int = 0, pake: Any = None, special: Behaviour | None = None
    ) -> None:
        self.link, self.key, self.flags, self.pake, self.special = link, key, flags, pake, special
        self.session = DeviceSession(Identity(DEVICE_ID, "kiosk", "tiny 1"), os.urandom(16), 1 << 20, link.binding)
        self.heard: list[tuple[int, int]] = []
        self.stopped = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def __enter__(self) -> "TinyDevice":
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped = True
        self.thread.join(5)
        self.link.close()

    def _run(self) -> None:
        try:
            while not self.stopped:
                self._turn()
        except (LinkError, ProtocolError):
            self.link.close()

    def _turn(self) -> None:
        self.link.wait(True, False, 0.05)
        count = self.link.read_into(self.session.receive_buffer())
        if count:
            self.session.received(count)
        while (event := self.session.next_event()) is not None:
            if self.special is None or not self.special(self, event):
                self._answer(event)
            self.flush()
        self.flush()

    def flush(self) -> None:
        """Write all that waits."""
        waiting = [memoryview(piece) for piece in self.session.data_to_send()]
        while waiting and not self.stopped:
            taken = self.link.write_some(waiting[:64])
            while taken:
                size = min(taken, len(waiting[0]))
                waiting[0] = waiting[0][size:]
                taken -= size
                if not len(waiting[0]):
                    del waiting[0]
            if waiting:
                self.link.wait(False, True, 0.05)

    def _answer(self, event: tuple[Any, ...]) -> None:
        name = event[0]
        if name == e.GREETED:
            self.session.greet(self.key, self.flags)
        elif name == e.CODE_WANTED:
            self.session.pair_by_code(self.pake(False, event[1].id, DEVICE_ID)) if self.pake else self.session.refuse(
                WRONG_CODE
            )
        elif name == e.PAIRED:
            self.key = event[2]
            self.session.confirm_pairing()
        elif name == e.READY:
            self.session.accept(4, 1000, 1 << 20, 0, [("files", b"S" * 16, b"R" * 16, 7)])
        elif name == e.REQUEST:
            self._request(*event[1:])

    def _request(self, kind: int, request: int, body: memoryview, more: bool) -> None:
        self.heard.append((kind, len(body)))
        if more:
            return
        if kind == c.HASH:
            self.session.reply(request, c.HASH_REPLY, bytes(body))
        elif kind == c.FETCH:
            self.session.reply(request, c.FETCH_REPLY, bytes(body), more=True)
            for k in range(98):
                self.session.reply(request, c.FETCH_REPLY, b"%02d" % k * 5000, more=True)
                self.flush()
            self.session.reply(request, c.FETCH_REPLY, b"end")
        elif kind == c.STASH:
            self.session.fail(request, NO_STORE, "the card was pulled out")
        else:
            self.session.reply(request, kind + 1)
