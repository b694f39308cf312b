"""`python -m aot compile|list|verify|push|pull|gsplat|batch`: compile, verify, share and use graphs.

The parser is here, the commands are in `commands`; the rest of `aot` depends on neither. Output and exit codes are those
of `flashworld.cli.running`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from aot.artifacts import DEFAULT_ROOT
from aot.blocks import BLOCKS
from aot.cli import commands
from aot.compile import ATTENTION_BACKENDS, INDUCTOR_CONFIGS
from aot.gsplat.wheel import DEFAULT_ARCHS
from aot.hub import DEFAULT_REVISION
from flashworld.cli import batch
from flashworld.cli.running import Parser, add_output_options, run_command

__all__ = ["build_parser", "main"]

RUN = {
    "compile": commands.compile_command,
    "list": commands.list_command,
    "verify": commands.verify_command,
    "push": commands.push_command,
    "pull": commands.pull_command,
    "gsplat": commands.gsplat_command,
    "batch": commands.batch_command,
}


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = Parser(prog="python -m aot", description="Compile, verify, share and use graphs.")
    sub = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    made = {name: sub.add_parser(name, help=(run.__doc__ or "").splitlines()[0]) for name, run in RUN.items()}
    for name in ("compile", "verify"):
        _add_graph_options(made[name])
    batch.add_options(made["batch"])
    for name in RUN.keys() - {"batch"}:
        made[name].add_argument("--store", type=Path, default=DEFAULT_ROOT, help=f"default: {DEFAULT_ROOT}")
    for name in ("push", "pull"):
        made[name].add_argument("place", help="owner/name on the Hub, or a folder such as ./graphs")
        made[name].add_argument("slugs", nargs="*", help="entries, see list; default: all")
    made["list"].add_argument("place", nargs="?", help="a shared repository or folder instead of the local store")
    for name in ("list", "push", "pull"):
        made[name].add_argument("--revision", default=DEFAULT_REVISION)
    _add_wheel_options(made["gsplat"])
    add_output_options(made.values())
    return parser


def _add_graph_options(parser: argparse.ArgumentParser) -> None:
    """Options that determine a graph's key."""
    parser.add_argument("--model", default="full", metavar="full|nano|CONFIG.JSON")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="default: CUDA if available")
    parser.add_argument("--blocks", default=",".join(BLOCKS), help="comma-separated, default %(default)s")
    parser.add_argument(
        "--shapes", default="dynamic", help="dynamic (recommended), or sizes such as 24x480x704,24x704x480"
    )
    parser.add_argument("--fp8", choices=("auto", "none", "per_row", "per_tensor"), default="auto")
    parser.add_argument("--no-fused", dest="fused", action="store_false", help="separate projections (and no FP8)")
    parser.add_argument(
        "--no-sub-pixel", dest="sub_pixel", action="store_false", help="the decoder with plain upsampling"
    )
    parser.add_argument("--text-int8", action="store_true", help="eight-bit weights in the text encoder")
    parser.add_argument("--inductor", choices=INDUCTOR_CONFIGS, default="default")
    parser.add_argument("--attention", choices=ATTENTION_BACKENDS, default="auto")


def _add_wheel_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--arch", default=DEFAULT_ARCHS, help="CUDA architectures, default %(default)s")
    parser.add_argument("--out", type=Path, help="folder to copy the wheel to")
    parser.add_argument("--wheel", type=Path, help="gsplat's own wheel; default: the installed package")
    parser.add_argument("--fetch-nvcc", action="store_true", help="install NVIDIA's compiler wheels if there is none")
    parser.add_argument("--jobs", type=int, help="parallel compiler processes")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = build_parser().parse_args(argv)
    return run_command(args, RUN[args.command])
