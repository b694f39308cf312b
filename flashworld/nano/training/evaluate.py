"""The benchmark of the nano model: `python -m flashworld.nano.training.evaluate [--quick] [--json FILE]`.

Runs the real pipeline on the CPU, with the weights of the package, on worlds, photographs and captions that were never
trained on, and prints the bars beside the same numbers for a flat billboard (the photograph on a plane at the median
true depth of the first view), for random weights (on fewer worlds) and, where it says something, for the truth itself.

- Worlds have seeds from 0, captions from 5,000; training starts at 1,000,000. `unseen` makes them.
- Novel views are the generated ones but the first, and one more half way between any two.
- Depth is the rendered one along the optical axis divided by alpha, against the ray-cast one in scene units, with the
  scale as the model gives it; sky has no depth and does not count; where nothing is drawn the error is 1.
- Words are also held against the one scene that they mean (`layouts`), pixel by pixel.
- `claims` says what a caption asks for, `colour_names` how it is recognised, `measures` what consistency is.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from flashworld import __version__
from flashworld.errors import DependencyError
from flashworld.inputs import VideoSettings, build_request
from flashworld.nano.training import photos
from flashworld.nano.training.judged_requests import PHOTO_SEED, caption_rows, judge_captions, judge_photos, photo_row
from flashworld.nano.training.judged_worlds import judge_worlds, world_rows
from flashworld.nano.training.jury import Jury
from flashworld.nano.training.report import Row, table
from flashworld.nano.training.unseen import FIRST_CAPTION_SEED, SEEDS
from flashworld.pipeline import FlashWorldPipeline

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationSettings:
    """How much is measured.

    Attributes:
        worlds: Unseen worlds.
        captions: Captions.
        random_worlds: Of them, for the random weights; photographs at most as many.
        random_captions: The same of captions.
        judged_frames: Views generated of photographs and captions; None: the model's own number.
    """

    worlds: int = 64
    captions: int = 200
    random_worlds: int = 16
    random_captions: int = 40
    judged_frames: int | None = None


QUICK = EvaluationSettings(8, 16, 2, 4, 4)


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    args = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    base = QUICK if args.quick else EvaluationSettings()
    settings = EvaluationSettings(
        args.worlds or base.worlds,
        base.captions if args.captions is None else args.captions,
        base.random_worlds,
        base.random_captions,
        base.judged_frames,
    )
    wall, cpu = time.perf_counter(), time.process_time()
    jury = Jury.load(args.weights or "nano", held_out_photos(), args.workers)
    rows, details = evaluate(jury, settings)
    seconds = {"wall": round(time.perf_counter() - wall, 1), "cpu": round(time.process_time() - cpu, 1)}
    log.info("\n%s\n", table(rows))
    log.info("%s; seeds: %s; %s", jury.pipeline.name, details["seeds"], versions())
    log.info("%.0f s, %.0f s of CPU", seconds["wall"], seconds["cpu"])
    if args.json:
        full = {"model": jury.pipeline.name, "versions": versions(), "seconds": seconds}
        full |= {"rows": [row.to_dict() for row in rows]} | details
        args.json.write_text(json.dumps(full, indent=1) + "\n", encoding="utf-8")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, help=f"unseen worlds, {EvaluationSettings.worlds}")
    parser.add_argument("--captions", type=int, help=f"captions, {EvaluationSettings.captions}; 0 leaves them out")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK.worlds} worlds and {QUICK.captions} captions")
    parser.add_argument("--json", type=Path, help="also write everything here")
    parser.add_argument("--weights", type=Path, help="a nano folder other than the package's")
    parser.add_argument("--workers", type=int, default=1, help="processes that judge at the same time, one thread each")
    args = parser.parse_args(arguments)
    if args.workers < 1:
        parser.error(f"--workers must be at least 1, got {args.workers}")
    if args.worlds is not None and not 1 <= args.worlds <= FIRST_CAPTION_SEED:
        parser.error(f"--worlds must be between 1 and {FIRST_CAPTION_SEED}, got {args.worlds}")
    if args.captions is not None and not 0 <= args.captions <= SEEDS.stop - FIRST_CAPTION_SEED:
        parser.error(f"--captions must be between 0 and {SEEDS.stop - FIRST_CAPTION_SEED}, got {args.captions}")
    return args


def evaluate(jury: Jury, settings: EvaluationSettings) -> tuple[list[Row], dict[str, object]]:
    """The rows of the table, and details: seeds, and what single worlds, photographs and captions scored."""
    fewer, frames = settings.random_worlds, settings.judged_frames
    worlds = judge_worlds(jury, count=settings.worlds, random_count=fewer)
    shown = judge_photos(jury, random_count=fewer, frames=frames)
    said = judge_captions(jury, count=settings.captions, random_count=settings.random_captions, frames=frames)
    rows = [
        *world_rows(worlds),
        photo_row(shown),
        *caption_rows(said),
        Row("same seed, same result", "yes", {"nano": float(repeats(jury.pipeline, frames))}, must=1),
        Row(
            "a scene with its files and a 32-frame video, CPU seconds",
            "s",
            {"nano": scene_cpu_s(jury.pipeline)},
            20,
            12,
        ),
    ]
    seeds = {
        "worlds": f"0-{settings.worlds - 1}",
        "photos": f"{PHOTO_SEED}-{PHOTO_SEED + len(jury.pictures) - 1}",
        "captions": f"{FIRST_CAPTION_SEED}-{FIRST_CAPTION_SEED + max(settings.captions, 1) - 1}",
    }
    return rows, {
        "seeds": seeds,
        "worlds": worlds.each,
        "photos": shown,
        "captions": [asdict(score) for score in said],
    }


def held_out_photos() -> dict[str, Image.Image]:
    """The eight photographs never trained on.

    Raises:
        DependencyError: a package that holds one is not installed.
    """
    try:
        return {name: photos.read_photo(photo) for name, photo in photos.HELD_OUT.items()}
    except FileNotFoundError as error:
        raise DependencyError(f"the benchmark needs the photographs of requirements-dev.txt: {error}") from error


def repeats(pipeline: FlashWorldPipeline, frames: int | None) -> bool:
    """Whether one request makes the same scene twice, to the last bit."""
    config = pipeline.networks.config
    first, second = (
        pipeline(build_request(text="a red ball on grass", seed=1, frames=frames, defaults=config)).scene
        for _ in range(2)
    )
    return all(
        torch.equal(getattr(first, name), getattr(second, name))
        for name in ("means", "quats_wxyz", "scales", "opacities", "sh")
    )


def scene_cpu_s(pipeline: FlashWorldPipeline) -> float:
    """CPU seconds from words to five files, one of them a video of 32 frames, at the model's own size."""
    request = build_request(
        text="a red ball on grass", seed=1, video=VideoSettings(fps=8, seconds=4.0), defaults=pipeline.networks.config
    )
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        pipeline(request).save(Path(folder))
        return time.process_time() - start


def versions() -> dict[str, object]:
    """What a run depends on."""
    return {
        "flashworld": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    main()
