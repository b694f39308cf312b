"""`flashworld weights`: convert the published weights to sharded bfloat16 safetensors, or check a model's files."""

from __future__ import annotations

import argparse
from typing import Any

from flashworld.cli.output import Output
from flashworld.errors import InputError

DTYPES = ("bfloat16", "float16", "float32")


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Declare the command and its two actions."""
    parser = commands.add_parser("weights", help="convert or check a model's weights")
    parser.add_argument("action", choices=("convert", "check"))
    parser.add_argument("--model", default="full", metavar="full|nano|PATH", help="default: full")
    parser.add_argument("--ckpt", metavar="FILE", help="the same as --model FILE")
    parser.add_argument("--wan", metavar="DIR", help="folder with the Wan parts, if they are not in the Hub's cache")
    parser.add_argument("--out", metavar="DIR", help="convert: an empty or new folder")
    parser.add_argument("--dtype", choices=DTYPES, default=DTYPES[0], help="convert: what weights are stored in")
    parser.add_argument("--shard-gb", type=float, default=4.0, metavar="GB", help="convert: largest shard")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, output: Output) -> None:
    """Do one of the two actions."""
    (_convert if args.action == "convert" else _check)(args, output)


def _convert(args: argparse.Namespace, output: Output) -> None:
    import torch

    from flashworld.checkpoints.conversion import convert_weights
    from flashworld.checks import real_number
    from flashworld.device import choose_source

    if not args.out:
        raise InputError("--out must name the folder to write")
    shard_bytes = int(real_number(args.shard_gb, "--shard-gb", 0.001, 1000.0) * 1e9)
    with output.file_progress() as progress:
        convert_weights(
            choose_source(args.ckpt or args.model), args.out, dtype=getattr(torch, args.dtype), shard_bytes=shard_bytes,
            wan=args.wan, on_progress=progress,
        )  # fmt: skip
    output.result({"folder": args.out, "dtype": args.dtype}, f"{args.out}: written; use it with --model {args.out}")


def _check(args: argparse.Namespace, output: Output) -> None:
    from flashworld.checkpoints.conversion import check_weights
    from flashworld.device import choose_source

    with output.file_progress() as progress:
        report = check_weights(choose_source(args.ckpt or args.model), wan=args.wan, on_progress=progress)
    dtypes = ", ".join(f"{count} {name}" for name, count in report.dtypes.items())
    output.result(
        {
            "model": report.config.name,
            "tensors": report.tensors,
            "bytes": report.bytes,
            "dtypes": report.dtypes,
            "hashes": report.hashes,
        },
        f"{report.config.name}: {report.tensors} tensors, {report.bytes / 1e9:.2f} GB ({dtypes}); hashes {report.hashes}",
    )
