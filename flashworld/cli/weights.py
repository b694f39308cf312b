"""`flashworld weights`: convert the published weights to sharded bfloat16 safetensors, check files, or generate random ones."""

from __future__ import annotations

import argparse
from typing import Any

from flashworld.cli.output import Output
from flashworld.errors import InputError
from flashworld.limits import MAX_SEED

DTYPES = ("bfloat16", "float16", "float32")
SIZES = ("full", "nano", "tiny")


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Declare the command and its three actions."""
    parser = commands.add_parser(
        "weights", help="convert or check a model's weights, or generate random ones for tests"
    )
    parser.add_argument("action", choices=("convert", "check", "random"))
    parser.add_argument("--model", default="full", metavar="full|nano|PATH", help="default: full")
    parser.add_argument("--ckpt", metavar="FILE", help="the same as --model FILE")
    parser.add_argument("--wan", metavar="DIR", help="folder with the Wan parts, if they are not in the Hub's cache")
    parser.add_argument("--out", metavar="DIR", help="convert, random: an empty or new folder")
    parser.add_argument("--dtype", choices=DTYPES, default=DTYPES[0], help="dtype of the stored weights")
    parser.add_argument("--shard-gb", type=float, default=4.0, metavar="GB", help="largest shard")
    parser.add_argument("--size", choices=SIZES, default=SIZES[0], help="random: size of the model; full takes 21 GB")
    parser.add_argument("--seed", type=int, default=0, help="random: seed of the weights")
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), help="random: where to generate; default: CUDA if available"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, output: Output) -> None:
    """Perform one of the three actions."""
    {"convert": _convert, "check": _check, "random": _random}[args.action](args, output)


def _shard_bytes(args: argparse.Namespace) -> int:
    """The checked shard size; also checks that an output folder was given."""
    from flashworld.checks import real_number

    if not args.out:
        raise InputError("--out must name the folder to write")
    return int(real_number(args.shard_gb, "--shard-gb", 0.001, 1000.0) * 1e9)


def _random(args: argparse.Namespace, output: Output) -> None:
    import torch

    from flashworld.checkpoints.random_weights import model_of_size, write_random_weights
    from flashworld.checks import whole_number
    from flashworld.device import choose_device

    shard_bytes = _shard_bytes(args)
    seed = whole_number(args.seed, "--seed", 0, MAX_SEED)
    with output.file_progress() as progress:
        write_random_weights(
            args.out, model_of_size(args.size), seed=seed, device=choose_device(args.device), dtype=getattr(torch, args.dtype),
            shard_bytes=shard_bytes, on_progress=progress,
        )  # fmt: skip
    output.result(
        {"folder": args.out, "dtype": args.dtype, "size": args.size, "seed": seed, "trained": False},
        f"{args.out}: written, with random (untrained) weights; use it with --model {args.out}",
    )


def _convert(args: argparse.Namespace, output: Output) -> None:
    import torch

    from flashworld.checkpoints.conversion import convert_weights
    from flashworld.device import choose_source

    shard_bytes = _shard_bytes(args)
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
            "trained": report.trained,
        },
        f"{report.config.name}: {report.tensors} tensors, {report.bytes / 1e9:.2f} GB ({dtypes}); hashes {report.hashes}"
        + ("" if report.trained else "; untrained: the weights are random"),
    )
