"""`flashworld trajectory`: list presets, draw a path, convert between path formats."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flashworld.checks import echo, file_name
from flashworld.cli.output import Output
from flashworld.config import DEFAULT_FOV_Y_DEG, FULL
from flashworld.errors import InputError, TrajectoryError

HEIGHT, WIDTH, FOV_Y_DEG = FULL.height, FULL.width, DEFAULT_FOV_Y_DEG
"""Defaults for building paths."""
FRAMES_HELP = f"cameras of the path; default: all of a file, {FULL.frames} of a preset"


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Declare the command and its three actions."""
    parser = commands.add_parser("trajectory", help="list, draw and convert camera paths")
    parser.add_argument("action", choices=("list", "preview", "convert"))
    parser.add_argument(
        "path",
        nargs="?",
        metavar="NAME|FILE",
        help="a preset, a path JSON of any known format, .chan, or a COLMAP model",
    )
    parser.add_argument("--out", metavar="FILE", help="preview: .png, .webp or .gif; convert: .json")
    parser.add_argument(
        "--to", choices=("flashworld", "transforms"), default="flashworld", help="convert: output format"
    )
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the preset")
    parser.add_argument("--frames", type=int, metavar="N", help=FRAMES_HELP)
    parser.add_argument("--size", default=f"{HEIGHT}x{WIDTH}", metavar="HxW")
    parser.add_argument(
        "--fov", type=float, default=FOV_Y_DEG, metavar="DEG", help="vertical field of view if the path has none"
    )
    add_first_camera(parser)
    parser.set_defaults(run=run)


def add_first_camera(parser: argparse.ArgumentParser) -> None:
    """Declare the option of every command that takes a path to a scene."""
    parser.add_argument(
        "--from-first-camera",
        action="store_true",
        help="move the path so that its first camera is the origin, as generate does: for a scene generated along it",
    )


def run(args: argparse.Namespace, output: Output) -> None:
    """Perform one of the three actions."""
    {"list": _list, "preview": _preview, "convert": _convert}[args.action](args, output)


def _list(_args: argparse.Namespace, output: Output) -> None:
    from flashworld.trajectories import PRESETS

    presets = {
        name: {
            "title": preset.title,
            "caption": preset.caption,
            "params": {p.name: {"default": p.default, "minimum": p.minimum, "maximum": p.maximum, "unit": p.unit}
                       for p in preset.params},
        }
        for name, preset in PRESETS.items()
    }  # fmt: skip
    lines = []
    for preset in PRESETS.values():
        params = ", ".join(f"{p.name}={p.default:g}" for p in preset.params)
        lines.append(f"{preset.name:16} {preset.caption} ({params})")
    output.result({"presets": presets}, "\n".join(lines))


def _preview(args: argparse.Namespace, output: Output) -> None:
    from flashworld.io.atomic import replacing
    from flashworld.trajectories.preview import animate_path, draw_path

    cameras = requested_cameras(args, output)
    target = Path(args.out or "trajectory.png")
    if target.suffix not in (".png", ".webp", ".gif"):
        raise InputError(f"--out must end in .png, .webp or .gif, got {file_name(target)!r}")
    with replacing(target) as temporary:
        if target.suffix == ".png":
            draw_path(cameras).save(temporary, format="PNG")
        else:
            first, *rest = animate_path(cameras)
            first.save(temporary, format=target.suffix[1:].upper(), save_all=True, append_images=rest, loop=0)
    output.result({"file": str(target)}, str(target))


def _convert(args: argparse.Namespace, output: Output) -> None:
    from flashworld.cli.generate import parse_size
    from flashworld.result import write_text
    from flashworld.trajectories.json_forms import to_transforms_json, trajectory_to_json

    height, width = parse_size(args.size)
    write = to_transforms_json if args.to == "transforms" else trajectory_to_json
    text = json.dumps(write(requested_cameras(args, output), height=height, width=width), indent=1)
    if args.out:
        write_text(text + "\n", args.out)
        output.result({"file": args.out}, args.out)
    else:
        output.result(json.loads(text), text)


def requested_cameras(args: argparse.Namespace, output: Output) -> Any:  # noqa: ANN401 - Cameras, imported late
    """The camera path given by the options; notes on its file go to standard error."""
    from flashworld.cameras import intrinsics_from_fov
    from flashworld.checks import real_number
    from flashworld.cli.generate import parse_size
    from flashworld.limits import MAX_FOV_DEG, MIN_FOV_DEG
    from flashworld.trajectories import from_first_camera
    from flashworld.trajectories.resolve import build_path

    if not args.path:
        raise InputError("name a preset or a path file; `flashworld trajectory list` shows the presets")
    height, width = parse_size(args.size)
    fov = real_number(args.fov, "--fov", MIN_FOV_DEG, MAX_FOV_DEG, TrajectoryError, unit=" degrees")
    intrinsics = intrinsics_from_fov(fov, height, width)
    params = parse_params(args.param)
    cameras, origin = build_path(
        path_source(args.path), params, frames=args.frames, height=height, width=width, intrinsics=intrinsics
    )
    output.remarks(origin.notes)
    return from_first_camera(cameras) if args.from_first_camera else cameras


def path_source(text: str) -> Any:  # noqa: ANN401 - what `build_path` takes
    """A preset's name unchanged, or the contents of the path file or COLMAP folder of that name.

    Raises:
        TrajectoryError: a file that cannot be read or is not a path.
    """
    from flashworld.trajectories.files import PATH_SUFFIXES, read_path_file
    from flashworld.trajectories.presets import PRESETS

    if text in PRESETS:
        return text
    return read_path_file(text) if text.lower().endswith(PATH_SUFFIXES) or _is_folder(text) else text


def _is_folder(text: str) -> bool:
    try:
        return len(text) > 0 and Path(text).is_dir()
    except (OSError, ValueError):  # invalid file names
        return False


def parse_params(pairs: Sequence[str]) -> dict[str, object]:
    """Read NAME=VALUE pairs; values are JSON numbers, true, false or strings.

    Raises:
        InputError: a pair without "=".
    """
    params: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"--param must look like NAME=VALUE, got {echo(pair)}")
        try:
            params[name] = json.loads(value)
        except (ValueError, RecursionError):  # a plain string, or unbounded nesting
            params[name] = value
    return params
