"""`cradle demo`: the entry only; the demo itself is `cradle_desktop.demo`."""

from argparse import Namespace

from cradle_desktop.output import Output


def run(arguments: Namespace, output: Output) -> int:
    """Show the main job with a pretend device."""
    from cradle_desktop.demo import main

    return main(arguments.agent)
