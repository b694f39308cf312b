"""python -m aot compile|list|verify|push|pull|gsplat|bench: make, check and share compiled graphs.

Results go to standard output (one JSON object with --json), progress and errors to standard error. Exit codes: 0 done,
2 the options are wrong, 1 anything else this project knows about, 130 stopped by the user.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from aot import commands
from aot.artifacts import DEFAULT_ROOT
from aot.blocks import BLOCKS
from aot.compile import ATTENTION_BACKENDS, INDUCTOR_CONFIGS
from aot.gsplat.wheel import DEFAULT_ARCHS
from aot.hub import DEFAULT_REVISION
from flashworld.cli.output import Output
from flashworld.errors import FlashWorldError, InputError

EXIT_OK, EXIT_FAILED, EXIT_INPUT, EXIT_STOPPED = 0, 1, 2, 130


def build_parser() -> argparse.ArgumentParser:
    """The whole command line's grammar."""
    parser = argparse.ArgumentParser(prog="python -m aot", description="Make, check and share compiled graphs.")
    sub = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    made = {name: sub.add_parser(name, help=(run.__doc__ or "").splitlines()[0]) for name, run in RUN.items()}
    for name in ("compile", "verify"):
        add_graph_options(made[name])
    for name in ("compile", "list", "verify", "push", "pull", "gsplat"):
        made[name].add_argument("--store", type=Path, default=DEFAULT_ROOT, help=f"default: {DEFAULT_ROOT}")
    for name in ("push", "pull"):
        made[name].add_argument("place", help="owner/name on the Hub, or a folder such as ./graphs")
        made[name].add_argument("slugs", nargs="*", help="entries, see list; default: all")
    made["list"].add_argument("place", nargs="?", help="a place instead of the local store")
    for name in ("list", "push", "pull"):
        made[name].add_argument("--revision", default=DEFAULT_REVISION)
    gsplat = made["gsplat"]
    gsplat.add_argument("--arch", default=DEFAULT_ARCHS, help="CUDA architectures, default %(default)s")
    gsplat.add_argument("--out", type=Path, help="folder to copy the wheel to")
    gsplat.add_argument("--wheel", type=Path, help="gsplat's own wheel; default: the installed package")
    gsplat.add_argument("--fetch-nvcc", action="store_true", help="install NVIDIA's compiler wheels if there is none")
    gsplat.add_argument("--jobs", type=int, help="compilers at a time")
    for command in made.values():
        command.add_argument("--json", action="store_true", help="print one JSON object instead of text")
        command.add_argument("--quiet", action="store_true", help="no progress on standard error")
        command.add_argument("--verbose", action="store_true", help="log what happens, and tracebacks of errors")
    return parser


def add_graph_options(parser: argparse.ArgumentParser) -> None:
    """What decides a graph's key."""
    parser.add_argument("--model", default="full", metavar="full|nano|CONFIG.JSON")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="default: CUDA where there is one")
    parser.add_argument("--blocks", default=",".join(BLOCKS), help="comma-separated, default %(default)s")
    parser.add_argument("--shapes", default="dynamic", help="dynamic, or sizes such as 24x480x704,24x704x480")
    parser.add_argument("--fp8", choices=("auto", "none", "per_row", "per_tensor"), default="auto")
    parser.add_argument("--no-fused", dest="fused", action="store_false", help="separate projections (and no FP8)")
    parser.add_argument("--no-folded", dest="folded", action="store_false", help="the decoder's plain doublings")
    parser.add_argument("--text-int8", action="store_true", help="eight-bit weights in the text encoder")
    parser.add_argument("--inductor", choices=INDUCTOR_CONFIGS, default="default")
    parser.add_argument("--attention", choices=ATTENTION_BACKENDS, default="auto")


RUN = {
    "compile": commands.compile_command,
    "list": commands.list_command,
    "verify": commands.verify_command,
    "push": commands.push_command,
    "pull": commands.pull_command,
    "gsplat": commands.gsplat_command,
    "bench": commands.bench_command,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = build_parser()
    args, args.rest = parser.parse_known_args(argv)
    if args.rest and args.command != "bench":  # bench hands on what benchmarks.stages understands
        parser.error(f"unrecognized arguments: {' '.join(args.rest)}")
    logging.basicConfig(level=logging.INFO if args.verbose else logging.WARNING, stream=sys.stderr)
    output = Output(json_wanted=args.json, quiet=args.quiet)
    if unknown := set(getattr(args, "blocks", "").split(",")) - {*BLOCKS, ""}:
        output.fail(InputError(f"--blocks must be among {', '.join(BLOCKS)}, got {min(unknown)}"))
        return EXIT_INPUT
    try:
        RUN[args.command](args, output)
    except FlashWorldError as error:
        if args.verbose:
            logging.getLogger(__name__).exception("failed")
        output.fail(error)
        return EXIT_INPUT if isinstance(error, InputError) else EXIT_FAILED
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return EXIT_STOPPED
    return EXIT_OK


if __name__ == "__main__":
    raise SystemExit(main())
