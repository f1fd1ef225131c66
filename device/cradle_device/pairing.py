"""The device's side of pairing: its decisions when a desktop says hello, wants a code or gives a key. Keeps no key."""

from cradle_device import system
from cradle_protocol.compat import MICROPYTHON, ticks_diff
from cradle_protocol.errors import NO_ENTROPY, NOT_ALLOWED, WRITE_FAILED, LocalError
from cradle_protocol.wire import constants as c
from cradle_protocol.wire import events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from cradle_device.conversation import Conversation
    from cradle_protocol.wire.proof import Pake

    PakeFactory = Callable[[str, bool, bytes, bytes], Pake]

# A six-digit code is guessed by chance once in 200,000 pairings with these two (design 7).
CODE_SECONDS = 300
CODE_TRIES = 5


class Code:
    """A pairing code that is open for some time and some tries."""

    def __init__(self, digits: str, seconds: int = CODE_SECONDS, tries: int = CODE_TRIES) -> None:
        self._digits, self._tries = digits, tries
        self._since, self._for = system.now_ms(), seconds * 1000

    def open(self) -> bool:
        """Can it still be used?"""
        return self._tries > 0 and 0 <= ticks_diff(system.now_ms(), self._since) < self._for

    def take(self) -> "str | None":
        """The code, for one try; None when it is used up or too old."""
        if not self.open():
            return None
        self._tries -= 1
        return self._digits


def decide(talk: "Conversation", event: "tuple[object, ...]") -> None:
    """Answer GREETED, CODE_WANTED and PAIRED."""
    session, agent = talk.session, talk.agent
    peer = session.peer
    assert peer is not None
    if event[0] == events.GREETED:
        flags = talk.flags | (0 if MICROPYTHON else c.CODE if agent.code_open() else 0)
        session.greet(agent.partnerships.key_of(peer.id) if agent.entropy else None, flags)
    elif not MICROPYTHON and event[0] == events.CODE_WANTED:
        digits = agent.take_code()
        if digits is None or agent.pake is None:
            session.refuse(NOT_ALLOWED, "no pairing code is open: have the device show a new one")
        elif not agent.entropy:
            session.refuse(NO_ENTROPY)
        else:
            session.pair_by_code(agent.pake(digits, False, peer.id, agent.device_id))
    elif event[0] == events.PAIRED:
        _keep(talk, event[2])  # type: ignore[arg-type]


def _keep(talk: "Conversation", key: bytes) -> None:
    """Make a new partnership durable, then say so."""
    session, agent = talk.session, talk.agent
    peer = session.peer
    assert peer is not None
    if not agent.entropy:
        session.refuse(NO_ENTROPY)
        return
    try:
        agent.partnerships.add(peer.id, key, peer.name)
    except LocalError as error:
        session.refuse(error.code, error.text)
        return
    except OSError as error:
        session.refuse(WRITE_FAILED, "the device cannot write its keys: %s" % error)
        return
    if not MICROPYTHON:
        agent.forbid_code()
    session.confirm_pairing()
    agent.tell("paired", peer.name, (peer.id, agent.device_id, key))


def unpair(talk: "Conversation", request: int, body: memoryview, more: bool) -> "Generator[int, None, None]":
    """Forget this partnership; the session ends with the answer."""
    peer = talk.session.peer
    assert peer is not None
    talk.agent.partnerships.remove(peer.id)
    talk.session.reply(request, c.UNPAIR_REPLY)
    talk.reason = "the partnership was ended"
    talk.agent.tell("unpaired", peer.name, peer.id)
    yield 0


HANDLERS = ((c.UNPAIR, unpair),)
