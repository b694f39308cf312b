"""The command line: `python -m flashworld generate|render|trajectory|convert|inspect|weights|info`.

Results go to standard output (one JSON object with --json), progress and errors to standard error. Exit codes: 0 done,
2 the input is wrong, 1 anything else this project knows about, 130 stopped by the user.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import NoReturn

from flashworld import __version__
from flashworld.checks import one_line
from flashworld.cli import convert, generate, info, inspect, render, trajectory, weights
from flashworld.cli.output import Output
from flashworld.errors import FlashWorldError, InputError

COMMANDS = (generate, render, trajectory, convert, inspect, weights, info)
MAX_ERROR_CHARS = 300
EXIT_OK, EXIT_FAILED, EXIT_INPUT, EXIT_STOPPED = 0, 1, 2, 130


class Parser(argparse.ArgumentParser):
    """argparse, whose errors repeat what was typed, whatever is in it."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and one line, and exit with 2."""
        super().error(one_line(message, MAX_ERROR_CHARS))


def build_parser() -> argparse.ArgumentParser:
    """The whole command line's grammar."""
    parser = Parser(prog="flashworld", description="One image and/or a sentence into a 3D scene.")
    parser.add_argument("--version", action="version", version=f"flashworld {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_parser(commands)
    for name in commands.choices.values():
        name.add_argument("--json", action="store_true", help="print one JSON object instead of text")
        name.add_argument("--quiet", action="store_true", help="no progress on standard error")
        name.add_argument("--verbose", action="store_true", help="log what happens, and tracebacks of errors")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO if args.verbose else logging.WARNING, stream=sys.stderr)
    output = Output(json_wanted=args.json, quiet=args.quiet)
    try:
        args.run(args, output)
    except FlashWorldError as error:
        if args.verbose:
            logging.getLogger(__name__).exception("failed")
        output.fail(error)
        return EXIT_INPUT if isinstance(error, InputError) else EXIT_FAILED
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return EXIT_STOPPED
    return EXIT_OK
