"""The command line: `python -m flashworld generate|batch|render|trajectory|convert|inspect|weights|info`; see also `running`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from flashworld import __version__
from flashworld.cli import batch, convert, generate, info, inspect, render, trajectory, weights
from flashworld.cli.running import Parser, add_output_options, run_command

__all__ = ["batch", "build_parser", "main", "models", "output", "running"]

COMMANDS = (generate, batch, render, trajectory, convert, inspect, weights, info)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = Parser(prog="flashworld", description="One image and/or a sentence into a 3D scene.")
    parser.add_argument("--version", action="version", version=f"flashworld {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_parser(commands)
    add_output_options(commands.choices.values())
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = build_parser().parse_args(argv)
    return run_command(args, args.run)
