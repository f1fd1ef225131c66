"""A serial-like link on a file-like stream: a pty, a UART, a USB serial port, standard input. Opens no network."""

import select

from cradle_protocol.compat import MICROPYTHON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cradle_protocol.compat import Bytes

# A tty that says it can be written may have room for little more.
_WRITE = 256
_VTIME, _VMIN = 5, 6
_EIO = 5


class StreamLink:
    """`reader` and `writer` may be one object. A flash write that stops interrupts is announced if `stalls`.

    repl    the port is also this machine's console
    open    not closed yet
    stalls  flash writes make this machine deaf for a while (an RP2040's UART)
    """

    reliable = False
    cable = True
    binding = b""

    def __init__(
        self, reader: "Any", writer: "Any" = None, name: str = "serial", repl: bool = False, stalls: bool = False
    ) -> None:
        self.name, self.repl, self.stalls, self.open = name, repl, stalls, True
        self._reader = reader
        self._writer = reader if writer is None else writer
        self._in, self._out = select.poll(), select.poll()
        self._in.register(self._reader, select.POLLIN)
        self._out.register(self._writer, select.POLLOUT)

    def read_into(self, view: memoryview) -> int:
        """What has come, 0 if nothing has. OSError when the port is gone."""
        there = self._in.poll(0)
        if not there:
            return 0
        count = self._reader.readinto(view) or 0
        if not count and there[0][1] & select.POLLHUP and not self.repl:
            raise OSError(_EIO, "the port is gone")  # it would read nothing for ever
        return count

    def write_some(self, chunks: "list[Bytes]") -> int:
        """How many bytes the port took."""
        total = 0
        for chunk in chunks:
            at = 0
            while at < len(chunk):
                if not self._out.poll(0):
                    return total
                taken = self._writer.write(memoryview(chunk)[at : at + _WRITE])
                if not taken:
                    return total
                at += taken
                total += taken
        return total

    def close(self) -> None:
        """Close the port, unless it is the console."""
        self.open = False
        if not self.repl:
            self._reader.close()
            if self._writer is not self._reader:
                self._writer.close()


def open_tty(path: str) -> StreamLink:
    """A pty or serial port of an operating system, in raw mode. A read gives what there is, even if that is nothing."""
    import termios

    file: Any
    if TYPE_CHECKING or not MICROPYTHON:
        import tty

        file = open(path, "r+b", buffering=0)
        tty.setraw(file.fileno())
    else:
        file = open(path, "r+b")
        termios.setraw(file.fileno())
    settings = termios.tcgetattr(file.fileno())
    settings[6][_VMIN] = 0
    settings[6][_VTIME] = 0
    termios.tcsetattr(file.fileno(), termios.TCSANOW, settings)
    return StreamLink(file, None, path)
