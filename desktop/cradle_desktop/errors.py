"""Every error that a user of the desktop can meet: one sentence, what happened and what to do, and an exit code.

Nothing outside this tree leaves the package by intent. Errors of the layers below (links, protocol, stores) become
one of these at a single boundary each: `connection` for links and sessions, `cli` for what the operating system says.
"""

# Exit codes of every command; scripts rely on them.
EXIT_DONE = 0
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_NO_DEVICE = 3
EXIT_CONFLICTS = 4
EXIT_PARTIAL = 5
EXIT_TRUST = 6
EXIT_LINK_LOST = 7
EXIT_PORT_BUSY = 8
EXIT_INTERRUPTED = 130


class UserError(Exception):
    """One sentence for the user, and the exit code that goes with it."""

    exit_code = EXIT_ERROR

    def __init__(self, text: str, exit_code: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        if exit_code is not None:
            self.exit_code = exit_code


class Usage(UserError):
    """The command line asks for something that cannot be."""

    exit_code = EXIT_USAGE


class NoDevice(UserError):
    """No device is there, or it is not clear which one is meant."""

    exit_code = EXIT_NO_DEVICE


class NotPaired(UserError):
    """The two ends are not paired, or the other end is not who it was when they paired."""

    exit_code = EXIT_TRUST


class LinkGone(UserError):
    """The link broke, or the other end stopped answering."""

    exit_code = EXIT_LINK_LOST


class PortHeld(UserError):
    """Another program holds the port."""

    exit_code = EXIT_PORT_BUSY


class Interrupted(UserError):
    """The user pressed Ctrl-C."""

    exit_code = EXIT_INTERRUPTED

    def __init__(self, text: str = "interrupted; what was transferred so far is kept, sync again to go on") -> None:
        super().__init__(text)


class Held(UserError):
    """Another cradle process is at work on the same replica or state."""


class MassDelete(UserError):
    """The plan deletes suspiciously much; nothing was done."""


class StoreMissing(UserError):
    """The store is not where it was: missing, not empty."""


class StoreTrouble(UserError):
    """The store as a whole cannot be used."""


class DeviceError(UserError):
    """The device, or what claims to be one, broke the protocol."""


class RequestFailed(UserError):
    """The device answered a request with an error. `status` is a wire status."""

    def __init__(self, status: int, text: str, exit_code: int | None = None) -> None:
        super().__init__(text, exit_code)
        self.status = status


def by_code(text: str, code: int) -> UserError:
    """The error of the class that goes with an exit code."""
    for kind in (Usage, NoDevice, NotPaired, LinkGone, PortHeld):
        if kind.exit_code == code:
            return kind(text)
    return UserError(text, code)
