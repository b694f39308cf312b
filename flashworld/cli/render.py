"""`flashworld render`: render a video of a scene file along a path."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from flashworld.checks import file_name
from flashworld.cli.output import Output
from flashworld.config import DEFAULT_FOV_Y_DEG, DEFAULT_FPS, DEFAULT_VIDEO_SECONDS
from flashworld.errors import InputError


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Declare the command."""
    parser = commands.add_parser("render", help="render a video of a scene file along a path")
    parser.add_argument(
        "scene",
        metavar="SCENE",
        help="ends in .ply, .compressed.ply, .spz, .sog or .splat, or is a meta.json (unpacked SOG)",
    )
    parser.add_argument("--trajectory", default="orbit_right", metavar="NAME|FILE")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--out", default="video.mp4", metavar="FILE", help=".mp4, .gif or .webp")
    parser.add_argument("--size", default="480x704", metavar="HxW")
    parser.add_argument("--fov", type=float, default=DEFAULT_FOV_Y_DEG, metavar="DEG")
    parser.add_argument("--frames", type=int, default=24, metavar="N", help="cameras the path is built from")
    parser.add_argument("--fps", type=int, default=DEFAULT_FPS)
    parser.add_argument("--seconds", type=float, default=DEFAULT_VIDEO_SECONDS)
    parser.add_argument("--quality", choices=("low", "medium", "high"), default="high")
    parser.add_argument("--depth", action="store_true", help="render depth instead of colour")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="default: CUDA if available")
    parser.set_defaults(run=run, path=None)


def run(args: argparse.Namespace, output: Output) -> None:
    """Read the scene, build the path, write the video."""
    from flashworld.cli.generate import parse_size
    from flashworld.cli.trajectory import requested_cameras
    from flashworld.device import choose_device
    from flashworld.inputs import VideoSettings
    from flashworld.io.scenes import read_scene
    from flashworld.io.video import write_animation, write_video
    from flashworld.rendering import iter_frames
    from flashworld.trajectories import video_path

    target = Path(args.out)
    if target.suffix not in (".mp4", ".gif", ".webp"):
        raise InputError(f"--out must end in .mp4, .gif or .webp, got {file_name(target)!r}")
    settings = VideoSettings(fps=args.fps, seconds=args.seconds, quality=args.quality)
    args.path = args.trajectory
    path = video_path(requested_cameras(args, output), fps=settings.fps, seconds=settings.seconds)
    height, width = parse_size(args.size)
    device = choose_device(args.device)
    scene = read_scene(args.scene).to(device)
    frames = output.bar(iter_frames(scene, path, height, width, depth=args.depth), len(path), target.name)
    if target.suffix == ".mp4":
        write_video(frames, target, fps=settings.fps, quality=settings.quality)
    else:
        write_animation(frames, target, fps=settings.fps)
    output.result({"file": str(target), "frames": len(path), "gaussians": len(scene)}, str(target))
