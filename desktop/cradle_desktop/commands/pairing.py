"""`cradle pair` and `cradle unpair`: the words around a pairing."""

import sys
from argparse import Namespace

from cradle_desktop.commands.recording import recorded
from cradle_desktop.errors import NoDevice, Usage
from cradle_desktop.manager import ServiceManager
from cradle_desktop.opening import Ears, is_stick
from cradle_desktop.output import Output
from cradle_desktop.pairing import check_name, tidy_code


def pair(arguments: Namespace, output: Output) -> int:
    """Pair with the device at an address."""
    code = None if arguments.code is None else tidy_code(arguments.code)
    if arguments.name is not None:
        check_name(arguments.name)
    with recorded(arguments.capture) as heard, ServiceManager(Ears(capture=heard)) as manager:
        answer = manager.pair(arguments.address, arguments.name, lambda name: code or ask_code(name), code is not None)
    partner, pairing = answer
    output.data(f"paired with {partner.name}")
    if pairing.stick:
        tell_of_stick(partner.name, partner.address, pairing, output)
        return 0
    output.data(f"fingerprint {pairing.fingerprint}")
    if pairing.met_again:
        output.say(
            f"{partner.name} proved the key it has from its first pairing; it is reached at {partner.address} now"
        )
    if pairing.by_code:
        output.say("the device shows the same four words; if it does not, somebody stands in between: unpair at once")
    output.detail(f"next: cradle enable {partner.name} files")
    return 0


def tell_of_stick(name: str, folder: str, pairing: "Pairing", output: Output) -> None:
    """What is different with a stick."""
    if pairing.met_again:
        output.say(f"{name} is known by its id; it is at {folder} now")
    elif pairing.objects:
        some = "1 object" if pairing.objects == 1 else f"{pairing.objects} objects"
        output.say(f"{name} comes from another desktop with {some}: this one goes on where that one stopped")
    output.say("no code protects a stick: whoever holds it can read it, change it and sync with it")
    output.detail(f"next: cradle enable {name} files")


def unpair(arguments: Namespace, output: Output) -> int:
    """End a partnership, here and on the device."""
    with ServiceManager() as manager:
        partner = manager.partner(arguments.partner)
        name = partner.name
        why = manager.unpair(name)
    if is_stick(partner.address):
        output.data(f"{name} is forgotten here")
        output.detail(f"what it knows stays on it, in {partner.address}/.cradle, for other desktops")
        return 0
    output.data(f"{name} is forgotten here" + ("" if why else " and there"))
    if why:
        output.say(f"{name} was not told ({why}); it keeps a key that no desktop has any more")
    return 0


def ask_code(name: str) -> str:
    """The code that the device shows, from the person at the terminal."""
    if not sys.stdin.isatty():
        raise Usage(f"{name} shows a six-digit code; give it with --code")
    print(f"code that {name} shows: ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer.strip():
        raise NoDevice(f"no code was given; {name} is not paired")
    return answer.strip()


TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.pairing import Pairing
