"""`cradle agent run` and `cradle agent record`: the entries only. The first one's work is in `agent_command`."""

import os
import sys
from argparse import Namespace

from cradle_desktop.errors import EXIT_DONE, EXIT_PARTIAL
from cradle_desktop.output import Output


def run(arguments: Namespace, output: Output) -> int:
    """Be a device until told to end."""
    from cradle_desktop.agent_command import main

    return main(arguments, output)


def record(arguments: Namespace, output: Output) -> int:
    """Hand rows to the agent that runs on this machine: those named, else the lines that come in."""
    from cradle_desktop.config import home
    from cradle_desktop.rows_door import NAME, record

    place = arguments.to or os.path.join(arguments.state or os.path.join(home(), "agent"), NAME)
    rows = arguments.rows or (line.strip() for line in sys.stdin)
    code = EXIT_DONE
    for answer in record(os.path.expanduser(place), rows):
        if isinstance(answer, int):
            output.detail(f"row {answer}")
        else:
            output.fail(answer)
            code = EXIT_PARTIAL
    return code
