"""The device's side of pairing: its decisions when a desktop says hello, wants a code or gives a key. Keeps no key."""

from cradle_protocol.compat import MICROPYTHON
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
_NO_CODE = "no pairing code is open: have the device show a new one"


if TYPE_CHECKING or not MICROPYTHON:
    import time

    class Code:
        """A pairing code that is open for some time and some tries. A board has no SPAKE2, and none of these."""

        def __init__(self, digits: str, seconds: int = CODE_SECONDS, tries: int = CODE_TRIES) -> None:
            self._digits, self._tries = digits, tries
            self._until = time.monotonic() + seconds

        def open(self) -> bool:
            """Can it still be used?"""
            return self._tries > 0 and time.monotonic() < self._until

        def take(self) -> str:
            """The code, for one try."""
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
        if not agent.code_open() or agent.code is None or agent.pake is None:
            session.refuse(NOT_ALLOWED, _NO_CODE)
        elif not agent.entropy:
            session.refuse(NO_ENTROPY)
        else:
            talk.code = agent.code
            session.pair_by_code(agent.pake(talk.code.take(), False, peer.id, agent.device_id))
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
    if not MICROPYTHON and talk.code is not None and talk.code is not agent.code:
        session.refuse(NOT_ALLOWED, _NO_CODE)  # another desktop has paired by it meanwhile
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
    talk.agent.forget(peer.id, talk)
    talk.session.reply(request, c.UNPAIR_REPLY)
    talk.reason = "the partnership was ended"
    talk.agent.tell("unpaired", peer.name, peer.id)
    yield 0


HANDLERS = ((c.UNPAIR, unpair),)
