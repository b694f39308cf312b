"""`flashworld render`: render a video of a scene file along a path."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flashworld.checks import file_name
from flashworld.cli.output import Output
from flashworld.cli.trajectory import FRAMES_HELP, add_first_camera
from flashworld.config import DEFAULT_FOV_Y_DEG, DEFAULT_FPS, DEFAULT_VIDEO_SECONDS
from flashworld.errors import InputError

if TYPE_CHECKING:
    from flashworld.cameras import Cameras
    from flashworld.inputs import VideoSettings


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Declare the command."""
    parser = commands.add_parser("render", help="render a video of a scene file along a path")
    parser.add_argument(
        "scene",
        metavar="SCENE",
        help="ends in .ply, .compressed.ply, .spz, .sog or .splat, or is a meta.json (unpacked SOG)",
    )
    parser.add_argument("--trajectory", default="orbit_right", metavar="NAME|FILE")
    add_first_camera(parser)
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--out", default="video.mp4", metavar="FILE", help=".mp4, .gif or .webp")
    parser.add_argument("--size", default="480x704", metavar="HxW")
    parser.add_argument("--fov", type=float, default=DEFAULT_FOV_Y_DEG, metavar="DEG")
    parser.add_argument("--frames", type=int, metavar="N", help=FRAMES_HELP)
    parser.add_argument("--fps", type=int, default=DEFAULT_FPS)
    parser.add_argument(
        "--seconds",
        type=float,
        help=f"default: {DEFAULT_VIDEO_SECONDS:g}, or as long as a frame for each camera of the path takes",
    )
    parser.add_argument("--quality", choices=("low", "medium", "high"), default="high")
    parser.add_argument("--depth", action="store_true", help="render depth instead of colour")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="default: CUDA if available")
    parser.set_defaults(run=run, path=None)


def run(args: argparse.Namespace, output: Output) -> None:
    """Read the scene, build the path, write the video."""
    from flashworld.cli.generate import parse_size
    from flashworld.cli.in_view import note_hardly_in_view
    from flashworld.cli.trajectory import requested_cameras
    from flashworld.device import choose_device
    from flashworld.inputs import VideoSettings
    from flashworld.io.scenes import read_scene
    from flashworld.io.video import write_animation, write_video
    from flashworld.rendering import iter_frames

    target = Path(args.out)
    if target.suffix not in (".mp4", ".gif", ".webp"):
        raise InputError(f"--out must end in .mp4, .gif or .webp, got {file_name(target)!r}")
    settings = VideoSettings(fps=args.fps, seconds=args.seconds, quality=args.quality)
    args.path = args.trajectory
    path = _frame_by_frame(requested_cameras(args, output), settings, output)
    height, width = parse_size(args.size)
    device = choose_device(args.device)
    scene = read_scene(args.scene).to(device)
    note_hardly_in_view(scene, path, args, output)
    frames = output.bar(iter_frames(scene, path, height, width, depth=args.depth), len(path), target.name)
    if target.suffix == ".mp4":
        write_video(frames, target, fps=settings.fps, quality=settings.quality)
    else:
        write_animation(frames, target, fps=settings.fps)
    output.result({"file": str(target), "frames": len(path), "gaussians": len(scene)}, str(target))


def _frame_by_frame(cameras: Cameras, settings: VideoSettings, output: Output) -> Cameras:
    """One camera per frame of the video; without a length, no camera of the path is skipped."""
    from flashworld.trajectories import video_path

    usual = video_path(cameras, fps=settings.fps, seconds=settings.seconds or DEFAULT_VIDEO_SECONDS)
    if len(usual) >= len(cameras):
        return usual
    if settings.seconds is None:
        return cameras
    output.remarks(
        [f"{len(usual)} frames do not show all {len(cameras)} cameras of the path: give more --seconds or --fps"]
    )
    return usual
