"""The common part of both command lines: output options, error messages and exit codes.

Results go to standard output (one JSON object with --json), progress and errors to standard error. Exit codes: 0 success,
2 invalid input, 1 any other known error, 130 interrupted by the user.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn

from flashworld.checks import one_line
from flashworld.cli.output import Output
from flashworld.errors import FlashWorldError, InputError

logger = logging.getLogger(__name__)

MAX_ERROR_CHARS = 300
EXIT_OK, EXIT_FAILED, EXIT_INPUT, EXIT_STOPPED = 0, 1, 2, 130


class Parser(argparse.ArgumentParser):
    """argparse with error messages that escape what was typed."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and one line, and exit with 2."""
        super().error(one_line(message, MAX_ERROR_CHARS))


def add_output_options(commands: Iterable[argparse.ArgumentParser]) -> None:
    """Add the options that every command has."""
    for command in commands:
        command.add_argument("--json", action="store_true", help="print one JSON object instead of text")
        command.add_argument("--quiet", action="store_true", help="no progress on standard error")
        command.add_argument("--verbose", action="store_true", help="log details, and tracebacks of errors")


def run_command(args: argparse.Namespace, run: Callable[[argparse.Namespace, Output], int | None]) -> int:
    """Run one command and return its exit code.

    Args:
        args: Parsed options, including those of `add_output_options`.
        run: The command; returns an exit code, or None for success.
    """
    logging.basicConfig(level=logging.INFO if args.verbose else logging.WARNING, stream=sys.stderr)
    output = Output(json_wanted=args.json, quiet=args.quiet)
    try:
        return run(args, output) or EXIT_OK
    except FlashWorldError as error:
        if args.verbose:
            logger.exception("failed")
        output.fail(error)
        return EXIT_INPUT if isinstance(error, InputError) else EXIT_FAILED
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return EXIT_STOPPED
