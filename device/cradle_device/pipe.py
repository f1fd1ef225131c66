"""A conversation over a link that is a reliable stream, a socket for one: both end together."""

from cradle_device import system
from cradle_device.runner import STEPS, WAIT_MS, Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cradle_device.agent import Agent
    from cradle_device.runner import Link


class StreamService(Service):
    """A link that is a stream: one conversation, and the link ends with it."""

    def __init__(self, agent: "Agent", link: "Link", errors: "Any") -> None:
        super().__init__(agent, link, errors)
        self._greet()

    def _poll(self, now: int) -> bool:
        talk = self.talk
        if talk is None:
            return False
        self._collect(talk)
        moved = self._write()
        steps = 0
        while not self._out and steps < STEPS and talk.step() >= 0:
            steps += 1
            self._collect(talk)
        self._collect(talk)
        if (self._out and self._write()) or steps:
            return True
        if not self._out and talk.over():
            self.close(talk.reason or "the session ended")
        elif not self._out and talk.hungry():
            count = self.link.read_into(talk.session.receive_buffer())
            if count:
                talk.session.received(count)
                self._heard = now
                return True
            if talk.idle():
                return True
        if not moved and self._patience(now) <= 0:
            self.close("the other end said nothing for too long")
        return moved

    def _write(self) -> bool:
        if not self._out:
            return False
        taken = self.link.write_some(self._out)
        self._drop(taken)
        return taken > 0

    def wants(self) -> "tuple[bool, bool, int | None]":
        talk = self.talk
        if talk is None:
            return False, False, 0
        writing = bool(self._out)
        if talk.waiting:
            return False, writing, WAIT_MS
        if not writing and not talk.hungry():
            return False, False, 0
        return not writing, writing, max(0, self._patience(system.now_ms()))
