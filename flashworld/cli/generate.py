"""`flashworld generate`: scene files from requests, or from an image and/or text with a path."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from flashworld.checkpoints.loading import model_config
from flashworld.checks import echo, whole_number
from flashworld.cli.files import add_file_options, video_changes, wanted_outputs
from flashworld.cli.models import add_model_options, load_pipeline, model_options
from flashworld.cli.output import Output
from flashworld.config import ModelConfig
from flashworld.errors import InputError
from flashworld.inputs import GenerationRequest, VideoSettings, build_request
from flashworld.io.request_files import find_request_files
from flashworld.io.request_json import load_request_file
from flashworld.limits import MAX_RENDER_SIDE_PX
from flashworld.pipeline import FlashWorldPipeline
from flashworld.result import SceneResult
from flashworld.sampling import STEPS

REPORTS = STEPS + 2
"""Items that `FlashWorldPipeline.stages` yields: the text, every step, the result."""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Declare the command."""
    parser = commands.add_parser("generate", help="generate scenes from requests, or from an image and/or text")
    parser.add_argument("requests", nargs="?", metavar="REQUEST.json|FOLDER",
                        help="one request, an example's folder, or a folder of request files")  # fmt: skip
    parser.add_argument("--input_dir", metavar="FOLDER", help="the same as FOLDER")
    parser.add_argument("--out", "--output_dir", default="out", metavar="DIR", help="default: out")
    request = parser.add_argument_group(
        "request", "without a request file; with one, only --seed and the video options apply, and override it"
    )
    request.add_argument("--image", metavar="FILE")
    request.add_argument("--text", metavar="TEXT")
    request.add_argument(
        "--trajectory",
        metavar="NAME|FILE",
        help="a preset (see `trajectory list`), a path JSON, .chan, or a COLMAP model",
    )
    request.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the preset")
    request.add_argument("--image-index", type=int, metavar="N", help="index of the view that shows the image")
    request.add_argument("--frames", type=int, metavar="N")
    request.add_argument("--size", metavar="HxW", help="height x width in pixels, multiples of 32")
    request.add_argument("--fov", type=float, metavar="DEG", help="vertical field of view")
    request.add_argument("--seed", type=int, metavar="N", help="default: random, written to request.json")
    add_file_options(parser)
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, output: Output) -> None:
    """Check every request first, then load the model once and generate the scenes one after another."""
    options = model_options(args)
    jobs = list(_jobs(args, model_config(options.source)))
    for _, request in jobs:
        output.remarks(request.path.notes)
    pipeline = load_pipeline(options, output)
    done = []
    for folder, request in jobs:
        start = time.perf_counter()
        result = _make(pipeline, request, output, folder.name)
        paths = result.save(folder, wanted_outputs(args))
        seconds = time.perf_counter() - start
        count = result.count_visible()
        done.append(
            {
                "files": {name: str(path) for name, path in paths.items()},
                "seed": request.seed,
                "model": result.model,
                "gaussians": count,
                "seconds": round(seconds, 2),
                "stages": {name: round(value, 3) for name, value in result.timings.items()},
            }
        )
        output.note(f"{folder}: {count} Gaussians in {seconds:.1f} s (model: {result.model})")
    lines = [str(path) for scene in done for path in scene["files"].values()]
    output.result({"scenes": done}, "\n".join(lines))


def _make(pipeline: FlashWorldPipeline, request: GenerationRequest, output: Output, name: str) -> SceneResult:
    """Run the model behind a progress bar."""
    for stage in output.bar(pipeline.stages(request), REPORTS, name):
        if isinstance(stage, SceneResult):
            return stage
    raise AssertionError("the pipeline always ends in a result")


def _jobs(args: argparse.Namespace, config: ModelConfig) -> Iterator[tuple[Path, GenerationRequest]]:
    """Each request with its output folder."""
    out = Path(args.out)
    changes = video_changes(args)
    where = args.requests or args.input_dir
    if where is None:
        yield out, build_request(
            image=args.image, text=args.text, frames=args.frames, fov_y_deg=args.fov, seed=args.seed,
            video=VideoSettings(**changes), defaults=config, **_path_and_size(args),
        )  # fmt: skip
        return
    if args.image or args.text or args.trajectory:
        raise InputError("give either request files or --image, --text and --trajectory, not both")
    for name, file in find_request_files(Path(where)).items():
        request = load_request_file(file, defaults=config)
        if args.seed is not None:
            request = replace(request, seed=args.seed)
        folder = out if name is None else out / name
        yield folder, replace(request, video=replace(request.video, **changes)) if changes else request


def _path_and_size(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `build_request` that need parsing."""
    from flashworld.cli.trajectory import parse_params, path_source

    request: dict[str, Any] = {}
    if args.trajectory:
        request["trajectory"] = path_source(args.trajectory)
    if args.param:
        request["trajectory_params"] = parse_params(args.param)
    if args.image_index is not None:
        request["image_index"] = args.image_index
    if args.size:
        request["height"], request["width"] = parse_size(args.size)
    return request


def parse_size(text: str) -> tuple[int, int]:
    """Read "480x704" as height and width.

    Raises:
        InputError: not two whole numbers, or more pixels than anything here renders.
    """
    parts = re.fullmatch(r"\s*([0-9]{1,9})\s*x\s*([0-9]{1,9})\s*", text.lower())
    if parts is None:
        raise InputError(f"--size must look like 480x704 (height x width), got {echo(text)}")
    height, width = (whole_number(int(side), "--size in pixels", 1, MAX_RENDER_SIDE_PX) for side in parts.groups())
    return height, width
