"""How programs on this machine record rows with an agent that runs here: a socket in its state folder.

A line is a row, one JSON object; its answer is a line, the row's number or `error` and a sentence. `RowsDoor` is the
agent's end, `record` that of a program in Python; any other does what `record` does.
"""

import json
import os
import selectors
import socket
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from cradle_desktop.errors import Held, NoDevice, UserError
from cradle_protocol.errors import LocalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Its name in the state folder.
NAME = "readings.sock"
# Who may connect, where the socket is in a folder that others can enter: the owner's group.
_MODE = 0o660
# Bytes of a line: more than any row has (`cradle_device.readings`); who sends more is not understood any more.
_LINE = 65536
# Seconds: between two looks whether rows are due to be flushed; for a program to read its answers; for an agent to give
# them, which may have to finish a batch of files first.
_TICK, _READS, _ANSWER = 0.25, 1.0, 30.0
# Programs at once.
_MOST = 64


class RowsDoor:
    """Takes rows from other programs, in a thread of its own, until it is closed.

    append  takes a row, gives its number; raises LocalError, TypeError, ValueError for what is none
    poll    is called some times a second
    lock    is held around both
    """

    def __init__(
        self, path: str, append: "Callable[[dict[str, Any]], int]", poll: "Callable[[], None]", lock: threading.Lock
    ) -> None:
        """Raises UserError if the socket cannot be made."""
        self._path, self._append, self._poll, self._lock = path, append, poll, lock
        self._clients: dict[socket.socket, bytearray] = {}
        self._ended = False
        self._selector = selectors.DefaultSelector()
        self._socket = _listen(path)
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more rows; those that were answered are with the agent."""
        self._ended = True
        self._thread.join()
        for one in (self._socket, *self._clients):
            one.close()
        self._selector.close()
        os.unlink(self._path)

    def _run(self) -> None:
        while not self._ended:
            for key, _ in self._selector.select(_TICK):
                if key.fileobj is self._socket:
                    self._greet()
                else:
                    self._hear(key.fileobj)  # type: ignore[arg-type]  # a socket of ours
            with self._lock:
                self._poll()

    def _greet(self) -> None:
        try:
            client, _ = self._socket.accept()
        except OSError:
            return  # it is gone already, or this process has too many files open
        client.settimeout(_READS)
        if len(self._clients) >= _MOST:
            client.close()
            return
        self._clients[client] = bytearray()
        self._selector.register(client, selectors.EVENT_READ)

    def _hear(self, client: socket.socket) -> None:
        """What has come; whole lines are answered. A line that its program did not end is no row."""
        waiting = self._clients[client]
        try:
            more = client.recv(_LINE)
            waiting += more
            *lines, rest = waiting.split(b"\n")
            self._clients[client] = rest
            if lines:
                client.sendall(b"".join([self._answer(bytes(line)) for line in lines]))
        except OSError:
            more = b""
        if not more or len(self._clients[client]) > _LINE:
            self._selector.unregister(client)
            del self._clients[client]
            client.close()

    def _answer(self, line: bytes) -> bytes:
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError
            with self._lock:
                return b"%d\n" % self._append(row)
        except LocalError as error:
            return b"error %s\n" % error.text.encode()
        except (ValueError, TypeError, RecursionError):
            return b'error a row is one JSON object, such as {"temperature": 21.5}\n'


def record(path: str, rows: "Iterable[str]") -> "Iterator[int | str]":
    """Record rows, each as JSON; for each its number, or why it is none. Raises NoDevice where no agent is there."""
    try:
        with socket.socket(socket.AF_UNIX) as agent, _short(path) as short:
            agent.settimeout(_ANSWER)
            agent.connect(short)
            with agent.makefile("rw", encoding="utf-8", newline="\n") as lines:
                for row in rows:
                    lines.write(row.replace("\n", " ") + "\n")
                    lines.flush()
                    yield _number(lines.readline())
    except OSError as error:
        raise NoDevice(
            f"no agent takes readings at {path} ({error.strerror or error}); run 'cradle agent run' with --type "
            "readings and the same --state, or name its socket with --to"
        ) from error


def _number(answer: str) -> "int | str":
    if not answer.endswith("\n"):
        raise OSError("it ended before it answered")
    word, _, text = answer.rstrip("\n").partition(" ")
    return text if word == "error" else int(word)


def _listen(path: str) -> socket.socket:
    """The socket at a path; one that nobody listens at any more was left by a process that was killed."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        if os.path.lexists(path):
            _clear(path)
        with _short(path) as short:
            listener.bind(short)
            os.chmod(path, _MODE)
        listener.listen()
    except OSError as error:
        listener.close()
        why = error.strerror or error
        raise UserError(f"the socket {path} for readings cannot be made ({why}); name another place") from error
    except BaseException:
        listener.close()
        raise
    return listener


def _clear(path: str) -> None:
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise UserError(f"{path} is there, and is no socket; name another place with --type readings=PATH")
    with socket.socket(socket.AF_UNIX) as probe, _short(path) as short:
        if probe.connect_ex(short) == 0:
            raise Held(f"another agent takes readings at {path}; end that one, or name another place")
    os.unlink(path)


@contextmanager
def _short(path: str) -> Iterator[str]:
    """A name for a socket that the system takes: no more than some hundred bytes, however deep its folder is."""
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        short = f"/proc/self/fd/{folder}"
        yield os.path.join(short, os.path.basename(path)) if os.path.exists(short) else path
    finally:
        os.close(folder)
