"""Options of `benchmarks.gpu_all`, which passes them on to its parts. Imports nothing heavy: the parent needs no torch."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu.parts import PARTS
from flashworld.errors import InputError

DEFAULT_GRAPHS = "~/.cache/flashworld/aot"
"""The app's own store of graphs."""


def build_parser(description: str | None = None) -> argparse.ArgumentParser:
    """The parser."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_all",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("out/gpu"))
    parser.add_argument("--minutes", type=float, default=9.0, help="time limit of the whole run")
    parser.add_argument("--only", type=_names, help="parts, comma-separated; default: all")
    parser.add_argument("--again", action="store_true", help="repeat parts that are already in OUT/gpu_all.json")
    parser.add_argument(
        "--graphs", type=Path, default=Path(os.environ.get("FLASHWORLD_AOT_DIR") or DEFAULT_GRAPHS).expanduser(),
        help="store of compiled graphs, which are compiled if missing; default: FLASHWORLD_AOT_DIR or the app's own folder",
    )  # fmt: skip
    parser.add_argument("--weights", type=Path, help="converted folder for the cold start; default: random weights")
    parser.add_argument("--wheel", type=Path, help="gsplat wheel with compiled kernels, for a machine without")
    parser.add_argument("--commit", help="commit that is measured; default: from git")
    parser.add_argument("--model", choices=("full", "nano", "tiny"), default="full")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--blocks", default="all", help="networks with compiled graphs, comma-separated, or none")
    parser.add_argument("--frames", default="8,16,24,32", help="views for the growth")
    parser.add_argument("--sizes", default="256x384,480x704,544x800", help="height x width for the growth")
    parser.add_argument("--budgets", default="24,16,10", help="GPU memory sizes for offloading, GiB")
    parser.add_argument("--video-frames", type=int, default=97)
    parser.add_argument("--rounds", type=int, default=5)
    return parser


def parse(argv: Sequence[str] | None, description: str | None = None) -> argparse.Namespace:
    """Read the options.

    Raises:
        InputError: an unknown part.
    """
    args = build_parser(description).parse_args(argv)
    if unknown := set(args.only or ()) - PARTS.keys():
        raise InputError(f"--only must be among {', '.join(PARTS)}, got {min(unknown)}")
    return args


def _names(text: str) -> list[str]:
    return text.split(",")
