"""`cradle trace FILE`: a captured conversation as readable lines. Decoding is `cradle_desktop.inspect`'s."""

from argparse import Namespace
from pathlib import Path

from cradle_desktop.capture import CaptureError
from cradle_desktop.errors import UserError
from cradle_desktop.output import Output


def run(arguments: Namespace, output: Output) -> int:
    """Print one line for each frame, message, record and piece of console text."""
    try:
        from cradle_desktop.inspect import decode_capture

        for line in decode_capture(Path(arguments.file)):
            output.data(line)
    except CaptureError as error:
        raise UserError(f"{arguments.file}: {error}") from error
    return 0
