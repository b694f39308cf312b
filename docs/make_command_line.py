"""Write `docs/command_line.md`: every command and option, from the parser itself.

    python -m docs.make_command_line

What a person should read first is in the README.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from flashworld.cli import build_parser

TARGET = Path(__file__).with_name("command_line.md")
INTRODUCTION = """\
# The command line

`python -m flashworld COMMAND`. Written by `python -m docs.make_command_line`.

Results go to standard output, progress and errors to standard error. Exit codes: 0 done, 2 the input is wrong, 1 anything
else the program knows about, 130 stopped by Ctrl-C. Picture sizes are height x width.
"""
COMMON = ("--help", "--json", "--quiet", "--verbose")


def commands() -> dict[str, argparse.ArgumentParser]:
    """Parsers by command."""
    (action,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def summary(name: str) -> str:
    """A command's line in the list of commands."""
    (action,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return next(str(choice.help) for choice in action._choices_actions if choice.dest == name)


def option_rows(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A table row for each argument of a command; those that every command has are left out."""
    for action in parser._actions:
        if not set(action.option_strings) & set(COMMON):
            yield f"| {_spelling(action)} | {_default(action)} | {_words(action)} |"


def generate() -> str:
    """The file as it should be now."""
    parts = [INTRODUCTION]
    for name, parser in commands().items():
        parts += [f"## {name}\n", f"{summary(name)[0].upper()}{summary(name)[1:]}.\n"]
        rows = list(option_rows(parser))
        parts += ["| Argument | Default | |", "|---|---|---|", *rows, ""] if rows else []
    shared = next(iter(commands().values()))._option_string_actions
    parts += ["## Every command\n", "| Argument | |", "|---|---|"]
    parts += [f"| `{name}` | {shared[name].help} |" for name in COMMON]
    return "\n".join(parts) + "\n"


def _spelling(action: argparse.Action) -> str:
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    value = value if isinstance(value, str) else " ".join(value)
    value = value.replace("|", "\\|")
    if not action.option_strings:
        return f"`{value}`"
    names = ", ".join(f"`{name}`" for name in action.option_strings)
    return names if action.nargs == 0 else f"{names} {value}"


def _default(action: argparse.Action) -> str:
    return "" if action.default in (None, False, "", [], argparse.SUPPRESS) else f"`{action.default}`"


def _words(action: argparse.Action) -> str:
    return (action.help or "").replace("|", "\\|")


if __name__ == "__main__":
    TARGET.write_text(generate(), encoding="utf-8")
