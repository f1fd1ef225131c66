"""`cradle agent run`: the entry only; the work is in `cradle_desktop.agent_command`, which sees both ends."""

from argparse import Namespace

from cradle_desktop.output import Output


def run(arguments: Namespace, output: Output) -> int:
    """Be a device until told to end."""
    from cradle_desktop.agent_command import main

    return main(arguments, output)
