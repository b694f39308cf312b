"""`flashworld convert`: convert between PLY, compressed PLY, SPZ, SOG, unpacked SOG and .splat."""

from __future__ import annotations

import argparse
import math
from typing import Any

from flashworld.cli.output import Output
from flashworld.cli.trajectory import add_first_camera
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
    add_first_camera(parser)
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
        from flashworld.cli.in_view import note_hardly_in_view
        from flashworld.light_views import split_views
        from flashworld.lighten import lighten, psnr_along

        count = whole_number(args.count, "--count", 1, MAX_GAUSSIANS)
        args.path = args.trajectory
        path = requested_cameras(args, output)
        note_hardly_in_view(scene, path, args, output)
        views = split_views(path, LIGHT_VIEWS, COMPARED_VIEWS)
        full, scene = scene, lighten(scene, count, views.optimised)
        psnr_db = psnr_along(full, scene, views.compared, *COMPARED) if len(scene) < len(full) else math.inf
        light = {"psnr_db": round(psnr_db, 2)} if math.isfinite(psnr_db) else {}  # JSON has no infinity
    write_scene(scene, args.target)
    size = scene_bytes(args.target)
    output.result(
        {"file": args.target, "gaussians": len(scene), "bytes": size, **light},
        f"{args.target}: {len(scene)} Gaussians, {size / 1e6:.1f} MB"
        + (f", PSNR {light['psnr_db']} dB along the path, between the views optimised for" if light else ""),
    )
