"""Where the process of the command `cradle` begins and ends: Ctrl-C shows no traceback while the rest is imported.

Imports what the interpreter has loaded anyway, and nothing of ours. Before its first line a Ctrl-C is the interpreter's
own.
"""

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

EXIT_INTERRUPTED = 130  # as `errors` has it
STDERR = 2


def main() -> int:
    """Run the command line of this process."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else it is ignored: a background job
    if ours:
        signal.signal(signal.SIGINT, _end)
    from cradle_desktop.cli import main as run

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return run()
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done and said


def _end(number: int, frame: "FrameType | None") -> None:
    """Nothing was begun: there is nothing to put away."""
    os.write(STDERR, b"cradle: interrupted before anything was done\n")
    os._exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    raise SystemExit(main())
