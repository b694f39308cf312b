"""`flashworld convert`: convert between PLY, compressed PLY, SPZ, SOG, unpacked SOG and .splat."""

from __future__ import annotations

import argparse
from typing import Any

from flashworld.cli.output import Output
from flashworld.limits import MAX_GAUSSIANS

LIGHT_VIEWS = COMPARED_VIEWS = 6
"""Views along the path to optimise for, and others to compare on: neighbouring ones of 24 are nearly identical."""
COMPARED = (240, 352)
"""Rows and columns of the images that the reported PSNR compares."""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Declare the command."""
    parser = commands.add_parser("convert", help="convert scene files between formats")
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="ends in .ply, .compressed.ply, .spz, .sog or .splat, or is a meta.json (unpacked SOG)",
    )
    parser.add_argument("target", metavar="TARGET", help="one of the same endings, which selects the format")
    parser.add_argument("--min-opacity", type=float, default=0.0, metavar="X", help="drop Gaussians of lower opacity")
    parser.add_argument("--count", type=int, metavar="N", help="reduce to N Gaussians by merging and dropping")
    parser.add_argument(
        "--trajectory", default="orbit_right", metavar="NAME|FILE", help="with --count: the views to optimise for"
    )
    parser.set_defaults(run=run, path=None, param=[], frames=24, size="480x704", fov=60.0)


def run(args: argparse.Namespace, output: Output) -> None:
    """Read, prune or merge, write."""
    from flashworld.checks import real_number, whole_number
    from flashworld.cli.trajectory import requested_cameras
    from flashworld.gaussians import prune_by_opacity
    from flashworld.io.scenes import read_scene, scene_bytes, write_scene

    threshold = real_number(args.min_opacity, "--min-opacity", 0.0, 1.0)
    scene = prune_by_opacity(read_scene(args.source), threshold)
    light = {}
    if args.count is not None:
        from flashworld.light_views import split_views
        from flashworld.lighten import lighten, psnr_along

        count = whole_number(args.count, "--count", 1, MAX_GAUSSIANS)
        args.path = args.trajectory
        views = split_views(requested_cameras(args, output), LIGHT_VIEWS, COMPARED_VIEWS)
        full, scene = scene, lighten(scene, count, views.optimised)
        if len(scene) < len(full):
            light = {"psnr_db": round(psnr_along(full, scene, views.compared, *COMPARED), 2)}
    write_scene(scene, args.target)
    size = scene_bytes(args.target)
    output.result(
        {"file": args.target, "gaussians": len(scene), "bytes": size, **light},
        f"{args.target}: {len(scene)} Gaussians, {size / 1e6:.1f} MB"
        + (f", PSNR {light['psnr_db']} dB along the path, between the views optimised for" if light else ""),
    )
