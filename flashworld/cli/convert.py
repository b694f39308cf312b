"""`flashworld convert`: PLY, compressed PLY, SPZ, SOG and .splat into each other."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from flashworld.cli.output import Output


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Declare the command."""
    parser = commands.add_parser("convert", help="turn scene files into other formats")
    parser.add_argument("source", metavar="SOURCE", help="ends in .ply, .compressed.ply, .spz, .sog or .splat")
    parser.add_argument("target", metavar="TARGET", help="the same endings; its own says which format")
    parser.add_argument("--min-opacity", type=float, default=0.0, metavar="X", help="leave out fainter Gaussians")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, output: Output) -> None:
    """Read, prune, write."""
    from flashworld.checks import real_number
    from flashworld.gaussians import prune_by_opacity
    from flashworld.io.scenes import read_scene, write_scene

    threshold = real_number(args.min_opacity, "--min-opacity", 0.0, 1.0)
    scene = prune_by_opacity(read_scene(args.source), threshold)
    write_scene(scene, args.target)
    size = Path(args.target).stat().st_size
    output.result(
        {"file": args.target, "gaussians": len(scene), "bytes": size},
        f"{args.target}: {len(scene)} Gaussians, {size / 1e6:.1f} MB",
    )
