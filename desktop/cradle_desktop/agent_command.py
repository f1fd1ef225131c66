"""`cradle agent run`: gives the device's agent what it needs on CPython (links, TLS, codes, stores) and pumps it.

Beside the demo the only place of the desktop package that sees both ends. No sync logic: that is `cradle_device`'s.
"""

import os
import re
import secrets
import signal
import socket
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from cradle_desktop import rows_door
from cradle_desktop.apart import check_no_state
from cradle_desktop.boundary import sentences
from cradle_desktop.config import home
from cradle_desktop.errors import EXIT_DONE, Held, Usage, UserError
from cradle_desktop.output import Output, printable
from cradle_desktop.pairing import tidy_code
from cradle_desktop.providers.registry import UnknownType, create_store
from cradle_desktop.streams.opened import is_stream
from cradle_desktop.version import VERSION
from cradle_device.agent import Agent
from cradle_device.host import HostMetadata
from cradle_device.host_apply import apply
from cradle_device.readings import Readings
from cradle_device.runner import Service
from cradle_hardware.address import Address, listen, parse_address
from cradle_hardware.link import Link, LinkError, Listener
from cradle_protocol.errors import BUSY, LocalError
from cradle_protocol.provider.store import ObjectStore
from cradle_protocol.wire.constants import APPLY
from cradle_protocol.wire.fingerprint import fingerprint

# Connections at once: each costs a thread and its buffers. What comes beyond is closed, the desktop tries again.
MOST_LINKS = 16
# Sessions at once; the next one is told BUSY.
MOST_SESSIONS = 8
# Turns of work that one session does before another one may.
FAIR_TURNS = 64
CODE_SECONDS, CODE_TRIES = 300, 5
# What tells a machine from one that has a copy of its card: the board's own number (Raspberry Pi and its kin), which no
# card holds; where there is none, systemd's, which is on the card and is copied with it unless it was made anew.
MACHINE_NUMBERS = (Path("/sys/firmware/devicetree/base/serial-number"), Path("/etc/machine-id"))


def main(arguments: Namespace, output: Output) -> int:
    """Be a device until SIGTERM or SIGINT."""
    code = None if arguments.code is None else tidy_code(arguments.code)
    with sentences():
        address = parse_address(arguments.listen)
        state = Path(arguments.state or os.path.join(home(), "agent")).expanduser().absolute()
        for own in (home(), str(state)):
            check_no_state(os.path.expanduser(arguments.root), own)
        place = rows_place(arguments.type, state)
        stores = open_stores(arguments.root, [text for text in arguments.type if not is_stream(text.partition("=")[0])])
        name = arguments.name or socket.gethostname().partition(".")[0] or "device"
        journal = Journal(output)
        with (
            Stopper() as stopper,
            open_agent(state, stores, name, journal) as agent,
            open_listener(address, state) as listener,
        ):
            server = Server(agent, stopper)
            if place:
                server.take_rows(place)
            print(f"listening {listener.address}", flush=True)
            if address.scheme == "serial" and not os.path.exists(address.path):
                output.say(f"{address.path} is not there; waiting until it is")
            offer_code(agent, code, address, output)
            server.run(listener, many=address.scheme in ("tcp", "loop"))
    output.say(f"{name} has ended")
    return EXIT_DONE


# -- what the agent is made of


def open_stores(root: str, types: list[str]) -> list[ObjectStore]:
    """`files` in the root, and what --type adds."""
    folder = os.path.abspath(os.path.expanduser(root))
    if not os.path.isdir(folder):
        raise UserError(f"the folder {root} does not exist; make it, or name another one with --root")
    wanted = [("files", folder)]
    for text in types:
        name, _, argument = text.partition("=")
        if name in [other for other, _ in wanted]:
            raise Usage(f"the type {name!r} is there twice; a device offers each type once")
        wanted.append((name, argument))
    stores = []
    for name, argument in wanted:
        try:
            with sentences(argument or name):
                stores.append(create_store(name, argument))
        except UnknownType as error:
            raise Usage(str(error)) from error
    return stores


def rows_place(types: list[str], state: Path) -> str:
    """Where programs of this machine bring rows, if --type asks for `readings`: in the state folder, or as it says."""
    found = [text.partition("=")[2] for text in types if is_stream(text.partition("=")[0])]
    if len(found) > 1:
        raise Usage("the type 'readings' is there twice; a device offers each type once")
    return os.path.abspath(os.path.expanduser(found[0] or state / rows_door.NAME)) if found else ""


@contextmanager
def open_agent(state: Path, stores: list[ObjectStore], name: str, journal: "Journal") -> Iterator[Agent]:
    """The agent on its state directory, which only one may use at a time."""
    from cradle_hardware.pake import Pake

    try:
        agent = Agent(
            str(state), stores, name, program=f"cradlesync {VERSION}", pake=Pake, hardware=machine_id(),
            sessions=MOST_SESSIONS, observer=journal.hear, log=HostMetadata,
        )  # fmt: skip
    except LocalError as error:
        if error.code == BUSY:
            raise Held(f"another agent uses {state}; end that one, or give this one its own --state") from error
        raise
    agent.handlers[APPLY] = apply
    try:
        yield agent
    finally:
        agent.close()
        for store in stores:
            store.close()


def machine_id() -> bytes:
    """What tells this machine from a copy of its card; b"" where nothing does."""
    for path in MACHINE_NUMBERS:
        try:
            number = path.read_bytes().strip(b"\0\n ")
        except OSError:
            continue
        if number.strip(b"0"):
            return number
    return b""


def open_listener(address: Address, state: Path) -> Listener:
    """Listen, on TCP with a certificate that is made at the first time."""
    if address.scheme != "tcp" or address.plain:
        return listen(address)
    from cradle_hardware.certificate import load_or_make

    return listen(address, certificate=load_or_make(state))


def offer_code(agent: Agent, code: str | None, address: Address, output: Output) -> None:
    """Open pairing by code where there is no cable: for a first desktop, or because --code asks for it."""
    if address.scheme not in ("tcp", "rfc2217", "loop") or (code is None and agent.partners()):
        return
    code = code or f"{secrets.randbelow(10**6):06d}"
    agent.allow_code(code, CODE_SECONDS, CODE_TRIES)
    print(f"pairing code {code} ({CODE_SECONDS // 60} minutes)", flush=True)
    output.detail("pair on the desktop with: cradle pair ADDRESS --code " + code)


class Journal:
    """Says on stderr, in plain sentences, what happens to the agent. Must not wait."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def hear(self, event: str, peer: str, detail: object) -> None:
        """The agent's observer."""
        peer = printable(peer) or "a stranger"
        if event == "paired" and isinstance(detail, tuple):
            print(f"paired with {peer}\nfingerprint {fingerprint(*detail)}", flush=True)
        elif event == "unpaired":
            self._say(f"{peer} ended the partnership")
        elif event == "open":
            self._say(f"{peer} is connected")
        elif event == "closed":
            self._say(f"{peer} is gone" + (f" ({reason(str(detail))})" if detail else ""))
        else:
            self._say(f"{peer}: {event}" + (f", {detail}" if detail else ""))

    def _say(self, text: str) -> None:
        self._output.say(time.strftime("%H:%M:%S ") + text)


def reason(text: str) -> str:
    """Why a session ended, for a log: a link's error without its advice, which is meant for the desktop's user."""
    found = re.search(r"was lost \((.*)\)", text)
    return found.group(1) if found else text


# -- keeping it running


class Stop(Exception):
    """SIGTERM or SIGINT came while nothing was being done."""


class Stopper:
    """Turns SIGTERM and SIGINT into `Stop`, but only where the main thread waits: no write is cut in the middle."""

    def __init__(self) -> None:
        self.asked = self._waiting = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Stopper":
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._signalled)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() gave

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if self._waiting:
            self._waiting = False
            raise Stop

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The main thread waits inside: a signal ends that with Stop."""
        self._waiting = True
        try:
            if self.asked:
                raise Stop
            yield
        finally:
            self._waiting = False


class Server:
    """Accepts links and gives each to the agent: in a thread of its own on a network, one after the other on a line."""

    def __init__(self, agent: Agent, stopper: Stopper) -> None:
        self.agent, self._stopper = agent, stopper
        self._lock = threading.Lock()  # an agent's objects are not for several threads
        self._links = 0
        self._door: rows_door.RowsDoor | None = None

    def take_rows(self, place: str) -> None:
        """Offer readings: rows that other programs bring to a socket. Raises UserError."""
        readings = Readings(self.agent)
        self._door = rows_door.RowsDoor(place, readings.append, readings.poll, self._lock)

    def run(self, listener: Listener, many: bool) -> None:
        """Serve until told to stop."""
        try:
            while True:
                with self._stopper.waiting():
                    link = listener.accept(None)
                if link is not None:
                    self._start(link) if many else self._serve(link, self._wait_here)
        except Stop:
            if self._door is not None:
                self._door.close()  # what was answered is flushed with the agent's end
            with self._lock:
                self.agent.close()

    def _start(self, link: Link) -> None:
        with self._lock:
            if self._links >= MOST_LINKS:
                link.close()
                return
            self._links += 1
        threading.Thread(target=self._in_thread, args=(link,), daemon=True).start()

    def _in_thread(self, link: Link) -> None:
        try:
            self._serve(link, _wait_in_thread)
        finally:
            with self._lock:
                self._links -= 1

    def _serve(self, link: Link, wait: "Callable[[Link, bool, bool, float | None], None]") -> None:
        """Serve one link until it is gone."""
        with self._lock:
            service = self.agent.attach(link, errors=LinkError)
        try:
            self._pump(service, link, wait)
        except Stop:
            raise
        except Exception:  # our own error: the desktop must hear that nobody is here, or it waits for ever
            try:
                with self._lock:
                    service.close("the agent failed")
            finally:
                link.close()
            raise

    def _pump(self, service: Service, link: Link, wait: "Callable[[Link, bool, bool, float | None], None]") -> None:
        while not service.closed:
            with self._lock:
                turns = FAIR_TURNS
                while turns and service.poll():
                    turns -= 1
                read, write, wait_ms = service.wants()
            if not turns:
                time.sleep(0)  # another thread's turn; what was read and not yet worked on must not wait for more bytes
            elif not service.closed and wait_ms != 0:
                wait(link, read, write, None if wait_ms is None else wait_ms / 1000)

    def _wait_here(self, link: Link, read: bool, write: bool, timeout: float | None) -> None:
        with self._stopper.waiting():
            _wait_in_thread(link, read, write, timeout)


def _wait_in_thread(link: Link, read: bool, write: bool, timeout: float | None) -> None:
    try:
        link.wait(read, write, timeout)
    except LinkError:
        pass  # the service meets the same at its next turn and says so
