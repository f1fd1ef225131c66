"""`python -m cradle_hardware.emulated --folder DIR`: a line from DIR/desktop to DIR/device, until stdin ends.

Prints a line of JSON with the two addresses, then answers commands, each a JSON list on a line of standard input:
["cut"], ["mend"], ["cut_after", COUNT, TO_DEVICE], ["meter", TO_DEVICE], ["reset_meters"], ["plugged"].
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from cradle_hardware.emulated.line import EmulatedLine
from cradle_hardware.emulated.noise import Line

COMMANDS = ("cut", "mend", "cut_after", "reset_meters")


def _options(arguments: list[str]) -> tuple[Line, Path]:
    parser = argparse.ArgumentParser(prog="python -m cradle_hardware.emulated", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where the names of the two ports are put")
    for name, default in Line()._asdict().items():
        kind = str.encode if isinstance(default, bytes) else type(default)
        shown = default.decode() if isinstance(default, bytes) else default
        parser.add_argument(
            "--" + name.replace("_", "-"), type=kind, default=default, help=f"default: {shown or 'none'}"
        )
    values = vars(parser.parse_args(arguments))
    folder: Path = values.pop("folder")
    return Line(**values), folder


def answer(line: EmulatedLine, words: list[Any]) -> dict[str, Any]:
    """Do one command."""
    name, arguments = words[0], words[1:]
    if name == "meter":
        return line.meter(*arguments)._asdict()
    if name in COMMANDS:
        getattr(line, name)(*arguments)
    return {"plugged": line.plugged}


def main() -> None:
    """Serve until standard input ends."""
    settings, folder = _options(sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    with EmulatedLine(settings, folder) as line:
        _say({"desktop": line.desktop_address, "device": line.device_address})
        try:
            for text in sys.stdin:
                _say(answer(line, json.loads(text)))
        except KeyboardInterrupt:
            pass  # how a user at a terminal ends it


def _say(words: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
