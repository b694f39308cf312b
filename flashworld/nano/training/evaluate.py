"""The benchmark of the nano model: `python -m flashworld.nano.training.evaluate [--quick] [--json FILE]`.

Runs the real pipeline on the CPU, with the packaged weights, on held-out worlds, photographs and captions, and prints
the scores next to those of two baselines: a flat billboard (the photograph on a plane at the median ground-truth depth
of the first view) and random weights (on fewer worlds). Where it is meaningful, the ground truth is scored as well.

- Worlds have seeds from 0, captions from 5,000; training starts at 1,000,000. `unseen` builds them.
- Novel views are all generated views but the first, and one view half-way between each two consecutive ones.
- Depth is the rendered depth along the optical axis, divided by alpha, compared with the ray-cast depth in scene units
  at the model's own scale. Sky pixels are excluded; where nothing is rendered the error is 1.
- Captions are also compared pixel by pixel with the one scene that they describe (`layouts`).
- `claims` defines what a caption requires, `colour_names` the colour classifier, `measures` view consistency.
"""

from __future__ import annotations

import argparse
import json
import logging
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
from flashworld.device import usable_cores
from flashworld.errors import DependencyError
from flashworld.inputs import VideoSettings, build_request
from flashworld.nano.training import photos
from flashworld.nano.training.evaluators import Evaluator
from flashworld.nano.training.report import Row, table
from flashworld.nano.training.request_evaluation import (
    PHOTO_SEED,
    caption_rows,
    evaluate_captions,
    evaluate_photos,
    photo_row,
)
from flashworld.nano.training.unseen import FIRST_CAPTION_SEED, SEEDS
from flashworld.nano.training.world_evaluation import evaluate_worlds, world_rows
from flashworld.pipeline import FlashWorldPipeline

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationSettings:
    """Size of the evaluation set.

    Attributes:
        worlds: Number of held-out worlds.
        captions: Number of captions.
        random_worlds: Worlds, and at most as many photographs, for the random-weights baseline.
        random_captions: Captions for the random-weights baseline.
        request_frames: Views generated for each photograph and caption; None: the model's default.
    """

    worlds: int = 64
    captions: int = 200
    random_worlds: int = 16
    random_captions: int = 40
    request_frames: int | None = None


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
        base.request_frames,
    )
    wall, cpu = time.perf_counter(), time.process_time()
    evaluator = Evaluator.load(args.weights or "nano", held_out_photos(), args.workers)
    rows, details = evaluate(evaluator, settings)
    seconds = {"wall": round(time.perf_counter() - wall, 1), "cpu": round(time.process_time() - cpu, 1)}
    log.info("\n%s\n", table(rows))
    log.info("%s; seeds: %s; %s", evaluator.pipeline.name, details["seeds"], versions())
    log.info("%.0f s wall, %.0f s CPU", seconds["wall"], seconds["cpu"])
    if args.json:
        full = {"model": evaluator.pipeline.name, "versions": versions(), "seconds": seconds}
        full |= {"rows": [row.to_dict() for row in rows]} | details
        args.json.write_text(json.dumps(full, indent=1) + "\n", encoding="utf-8")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, help=f"number of held-out worlds, default {EvaluationSettings.worlds}")
    parser.add_argument(
        "--captions", type=int, help=f"number of captions, default {EvaluationSettings.captions}; 0 skips them"
    )
    parser.add_argument("--quick", action="store_true", help=f"use {QUICK.worlds} worlds and {QUICK.captions} captions")
    parser.add_argument("--json", type=Path, help="also write the full report to this JSON file")
    parser.add_argument("--weights", type=Path, help="nano folder to evaluate; default: the packaged model")
    parser.add_argument("--workers", type=int, default=1, help="parallel worker processes, one thread each")
    args = parser.parse_args(arguments)
    if args.workers < 1:
        parser.error(f"--workers must be at least 1, got {args.workers}")
    if args.worlds is not None and not 1 <= args.worlds <= FIRST_CAPTION_SEED:
        parser.error(f"--worlds must be between 1 and {FIRST_CAPTION_SEED}, got {args.worlds}")
    if args.captions is not None and not 0 <= args.captions <= SEEDS.stop - FIRST_CAPTION_SEED:
        parser.error(f"--captions must be between 0 and {SEEDS.stop - FIRST_CAPTION_SEED}, got {args.captions}")
    return args


def evaluate(evaluator: Evaluator, settings: EvaluationSettings) -> tuple[list[Row], dict[str, object]]:
    """The rows of the table, and details: seeds, and the scores of each world, photograph and caption."""
    fewer, frames = settings.random_worlds, settings.request_frames
    worlds = evaluate_worlds(evaluator, count=settings.worlds, random_count=fewer)
    shown = evaluate_photos(evaluator, random_count=fewer, frames=frames)
    said = evaluate_captions(evaluator, count=settings.captions, random_count=settings.random_captions, frames=frames)
    rows = [
        *world_rows(worlds),
        photo_row(shown),
        *caption_rows(said),
        Row("same seed, same result", "yes", {"nano": float(repeats(evaluator.pipeline, frames))}, must=1),
        Row(
            "a scene with its files and a 32-frame video, CPU seconds",
            "s",
            {"nano": scene_cpu_s(evaluator.pipeline)},
            20,
            12,
        ),
    ]
    seeds = {
        "worlds": f"0-{settings.worlds - 1}",
        "photos": f"{PHOTO_SEED}-{PHOTO_SEED + len(evaluator.pictures) - 1}",
        "captions": f"{FIRST_CAPTION_SEED}-{FIRST_CAPTION_SEED + max(settings.captions, 1) - 1}",
    }
    return rows, {
        "seeds": seeds,
        "worlds": worlds.each,
        "photos": shown,
        "captions": [asdict(score) for score in said],
    }


def held_out_photos() -> dict[str, Image.Image]:
    """The eight held-out photographs.

    Raises:
        DependencyError: a package that holds one is not installed.
    """
    try:
        return {name: photos.read_photo(photo) for name, photo in photos.HELD_OUT.items()}
    except FileNotFoundError as error:
        raise DependencyError(f"the benchmark needs the photographs of requirements-dev.txt: {error}") from error


def repeats(pipeline: FlashWorldPipeline, frames: int | None) -> bool:
    """Whether two runs of the same request produce bit-identical scenes."""
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
    """CPU seconds from text to five output files, one of them a 32-frame video, at the model's native resolution."""
    request = build_request(
        text="a red ball on grass", seed=1, video=VideoSettings(fps=8, seconds=4.0), defaults=pipeline.networks.config
    )
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        pipeline(request).save(Path(folder))
        return time.process_time() - start


def versions() -> dict[str, object]:
    """Versions and hardware that a run depends on."""
    return {
        "flashworld": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "cpus": usable_cores(),
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    main()
