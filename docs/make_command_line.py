"""Write `docs/command_line.md`: examples, then every command and option from the parser itself.

python -m docs.make_command_line
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from flashworld.cli import build_parser

TARGET = Path(__file__).with_name("command_line.md")
INTRODUCTION = """\
# Command line

`python -m flashworld COMMAND`. Results go to standard output, progress and errors to standard error. Exit codes: 0 success, 2 invalid
input, 1 any other known error, 130 interrupted by Ctrl-C. Image sizes are height x width. `python -m docs.make_command_line` writes
this page.

## Examples

```console
$ python -m flashworld generate examples/coffee --out out/coffee
$ python -m flashworld generate --image examples/cat/cat.jpg --text "a cat looking up" --trajectory forward --param amplitude=1 --seed 7 --out out/cat
$ python -m flashworld generate --input_dir out --output_dir again --seed 8 --ply --spz
$ python -m flashworld render out/coffee/scene.ply --trajectory spiral --param turns=1 --seconds 3 --out out/spiral.mp4
$ python -m flashworld trajectory list
$ python -m flashworld trajectory preview dolly_zoom_in --out out/path.webp
$ python -m flashworld trajectory convert examples/simple_trajectory.json --to transforms --out transforms.json
$ python -m flashworld convert out/coffee/scene.ply out/coffee/scene.splat
$ python -m flashworld convert out/coffee/scene.ply out/coffee/light.sog --count 20000
$ python -m flashworld inspect out/coffee/light.sog
$ python -m flashworld info --json
```

`generate` takes one request, or a folder: of `*.json` requests (also the original's), or of folders that each hold a
`request.json`.

With the full model, convert the weights once: they take half the space and load within seconds.

```bash
python -m flashworld weights convert --out weights
python -m flashworld generate examples/coffee --model weights --out out/coffee
```

Without the weights, `python -m flashworld weights random --size full --out random` writes a folder of random ones: 21 GB,
a minute on a GPU machine. Their images are fog, but shapes, speed and memory are those of the real model, and everything
that loads them says *untrained*.
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
