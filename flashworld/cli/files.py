"""Options that select the output files of a scene, for `generate` and `batch`."""

from __future__ import annotations

import argparse
from typing import Any

from flashworld.result import OutputKind


def add_file_options(parser: argparse.ArgumentParser) -> None:
    """Add --ply, --spz, --splat, --video, --depth, --no-video and the video's settings."""
    files = parser.add_argument_group("files", "all but splat and depth, unless some are named")
    for name, text in (("ply", "scene.ply"), ("spz", "scene.spz"), ("splat", "scene.splat"), ("video", "video.mp4")):
        files.add_argument(f"--{name}", action="store_true", help=f"write {text}")
    files.add_argument("--depth", action="store_true", help="also write depth.mp4")
    files.add_argument("--no-video", action="store_true", help="write no video")
    files.add_argument("--video-fps", "--video_fps", type=int, metavar="FPS")
    files.add_argument("--video-seconds", type=float, metavar="S")
    files.add_argument("--video-quality", choices=("low", "medium", "high"))


def wanted_outputs(args: argparse.Namespace) -> list[OutputKind]:
    """Files to write: those named, or the default ones."""
    named = [name for name in ("ply", "spz", "splat", "video") if getattr(args, name)]
    wanted: list[Any] = named or ["ply", "spz", "video"]
    if args.no_video:
        wanted = [name for name in wanted if name != "video"]
    return [*wanted, *(["depth"] if args.depth else []), "preview", "request"]


def video_changes(args: argparse.Namespace) -> dict[str, Any]:
    """Fields of `VideoSettings` that the options set."""
    changes = {
        "fps": args.video_fps,
        "seconds": args.video_seconds,
        "quality": args.video_quality,
        "depth": True if args.depth else None,
        "enabled": False if args.no_video else None,
    }
    return {name: value for name, value in changes.items() if value is not None}
