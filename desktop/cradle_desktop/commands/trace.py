"""`cradle trace FILE`: a captured conversation as readable lines. Decoding is `cradle_desktop.inspect`'s."""

from argparse import Namespace

from cradle_desktop.output import Output


def run(arguments: Namespace, output: Output) -> int:
    """Print one line for each message of a capture."""
    from cradle_desktop.inspect import trace

    for line in trace(arguments.file):
        output.data(line)
    return 0
