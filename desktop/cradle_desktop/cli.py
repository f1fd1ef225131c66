"""The command `cradle`: finds the command in the table, parses its arguments, runs it, makes every error a sentence.

Not where commands live (`commands/`). Imports next to nothing, so that `cradle --version` is as fast as Python starts.
"""

import sys

from cradle_desktop.commands.table import COMMANDS, Command, find
from cradle_desktop.errors import EXIT_DONE, EXIT_ERROR, EXIT_INTERRUPTED, Interrupted, Usage, UserError
from cradle_desktop.output import NORMAL, QUIET, VERBOSE, Output, open_streams
from cradle_desktop.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import NoReturn

# Columns of a command's help: as wide as our own sources.
HELP_WIDTH = 100
# What the system reports when it kills a program that writes into a closed pipe (128 + SIGPIPE); `cradle ls | head`.
EXIT_PIPE = 141


def main(words: "list[str] | None" = None) -> int:
    """Run one command line. Returns the exit code; never raises."""
    words = sys.argv[1:] if words is None else words
    debug = "--debug" in words
    open_streams()
    try:
        _check_text(words)
        code = _main([word for word in words if word != "--debug"])
        sys.stdout.flush()
        return code
    except UserError as error:
        return _failed(error.text, error.exit_code, debug)
    except KeyboardInterrupt:
        return _failed(Interrupted().text, EXIT_INTERRUPTED, debug)
    except BrokenPipeError:
        return _broken_pipe()
    except OSError as error:
        return _failed(system_sentence(error), EXIT_ERROR, debug)
    except Exception as error:  # noqa: BLE001  the last boundary: a user never meets a traceback without --debug
        text = (
            f"something is wrong in cradle itself ({type(error).__name__}: {error}); run it with --debug and report it"
        )
        return _failed(text, EXIT_ERROR, debug)


def _main(words: "list[str]") -> int:
    if words[:1] == ["--version"]:
        print("cradle " + VERSION)
        return EXIT_DONE
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return EXIT_DONE if words else Usage.exit_code
    command, size = find(words)
    if command is None:
        raise Usage(_unknown(words[0]))
    arguments = _parser(command).parse_args(words[size:])
    level = QUIET if arguments.quiet else VERBOSE if arguments.verbose else NORMAL
    return command.run(arguments, Output(level, getattr(arguments, "json", False)))


def _check_text(words: "list[str]") -> None:
    """Bytes that are no text in the user's encoding come as surrogates, which no database and no wire takes."""
    for word in words:
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise Usage(f"{word!r} is no text in this terminal's encoding; name it in UTF-8, or rename it")


def _parser(command: Command) -> "ArgumentParser":
    from argparse import ArgumentParser, HelpFormatter

    class Parser(ArgumentParser):
        """Reports a wrong command line as one sentence."""

        def error(self, message: str) -> "NoReturn":
            raise Usage(f"{message}; see 'cradle {command.name} --help'")

    def formatter(prog: str) -> HelpFormatter:
        return HelpFormatter(prog, width=HELP_WIDTH)  # to ask the terminal, argparse imports every compressor there is

    name = "cradle " + command.name
    parser = Parser(prog=name, description=command.help, allow_abbrev=False, formatter_class=formatter)
    for argument in command.arguments:
        parser.add_argument(*argument.names, **argument.keywords)
    if command.json:
        parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    parser.add_argument("-v", "--verbose", action="store_true", help="say more")
    parser.add_argument("--debug", action="store_true", help="show a traceback with an error")
    return parser


def overview() -> str:
    """The help of `cradle` itself, made from the table."""
    width = max(len(command.usage()) for command in COMMANDS) + 2
    lines = ["usage: cradle COMMAND [ARGUMENTS]    cradle COMMAND --help    cradle --version", ""]
    lines += [f"  {command.usage():{width}}{command.help}" for command in COMMANDS]
    return "\n".join(lines)


def _unknown(word: str) -> str:
    if any(command.name.startswith(word + " ") for command in COMMANDS):
        names = ", ".join("cradle " + c.name for c in COMMANDS if c.name.startswith(word + " "))
        return f"'cradle {word}' needs one word more: {names}"
    what = "option" if word.startswith("-") else "command"
    return f"there is no {what} '{word}'; 'cradle --help' lists the commands"


def system_sentence(error: OSError) -> str:
    """What the operating system refused, as a sentence."""
    where = f" {error.filename!r}" if error.filename else ""
    return f"the system refused{where}: {error.strerror or error}; check the place and its permissions, then try again"


def _failed(text: str, code: int, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exc()
    try:
        Output().fail(text)
    except BrokenPipeError:
        return _broken_pipe()
    except OSError:
        pass  # nobody can be told (a full disk behind stderr); the exit code still says it
    return code


def _broken_pipe() -> int:
    """Nobody reads what we print: end quietly, and keep the interpreter from flushing into the pipe once more."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return EXIT_PIPE


if __name__ == "__main__":
    sys.exit(main())
