"""Train the nano model: `python -m flashworld.nano.training.train --out DIR [--resume DIR] --minutes 9`.

Builds banks of worlds, paths and textures, runs the stages of `trainer` within the time limit (set-up and saving
included), validates on held-out worlds and photographs, and writes to DIR: `progress.json`, `weights-*.safetensors`,
`log.jsonl` and contact sheets.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from flashworld.device import usable_cores
from flashworld.nano.sizes import NANO, TINY
from flashworld.nano.training import photos, settings
from flashworld.nano.training.batches import SEEDS_TRAINING, Batch, ViewPool, WorldBank, build_bank, token_rows
from flashworld.nano.training.journal import Journal
from flashworld.nano.training.layouts import FREE, LANDSCAPE, PORTRAIT, Layout
from flashworld.nano.training.learner import Learner
from flashworld.nano.training.materials import PATTERN_VARIANTS, PATTERNS, TextureAtlas, build_atlas
from flashworld.nano.training.paths import VIEWS, build_paths
from flashworld.nano.training.rasterize import Rasterizer, rasterize
from flashworld.nano.training.raycast import hit_solids
from flashworld.nano.training.settings import TINY_SETTINGS, TrainingSettings
from flashworld.nano.training.steps import Pools, Steps
from flashworld.nano.training.textures import picture_bank
from flashworld.nano.training.trainer import Trainer
from flashworld.nano.training.validation import validate_photos, validate_worlds
from flashworld.nano.training.word_check import WordCheck

log = logging.getLogger(__name__)
SEEDS_VALIDATION = 100_000
VALIDATION_WORLDS = 24
GALLERY_SHARE, JUDGED_GALLERY_SHARE = 0.45, 0.3
"""Share of galleries, in training and validation."""
EXTRA_ROOMS = 0.5
"""Share of image-conditioned landscapes replaced with rooms: three rooms to one landscape."""
SHORT_POSES = 5
"""Number of poses of a short path."""
WORD_LENS = (57.0, 63.0)
"""Vertical field of view of text-conditioned scenes, degrees: close to the app's default."""
END_SECONDS = 22.0
"""Time reserved for the final validation and for saving."""
Banks = dict[str, WorldBank]


def main(arguments: list[str] | None = None, renderer: Rasterizer = rasterize) -> Trainer:
    """Command line; tests pass a renderer that runs without a GPU."""
    began = time.monotonic()
    args = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    args.out.mkdir(parents=True, exist_ok=True)
    config, sizes = (TINY, TINY_SETTINGS) if args.tiny else (NANO, TrainingSettings())
    banks = build_banks(sizes, config.text.max_tokens, args.seed, args.workers)
    log.info("banks of %s worlds after %.0f s", {k: len(v) for k, v in banks.items()}, time.monotonic() - began)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    learner = Learner(config, args.seed, device)
    progress: dict[str, Any] = learner.load(args.resume) if args.resume else {"history": []}
    atlas = build_textures(args.photos, sizes, device)
    pools, check = build_pools(banks, sizes, args, atlas, learner.config.height, learner.config.width)
    empty = torch.from_numpy(token_rows([""], config.text.max_tokens)[0]).long().to(device)
    steps = Steps(pools, sizes, renderer, torch.Generator().manual_seed(args.seed), empty)
    journal = Journal(args.out / "log.jsonl")
    trainer = Trainer(learner, steps, journal)
    trainer.entry_seconds = fill(pools, args.fill_seconds)
    check.fill()
    log.info(
        "pools filled after %.0f s, seconds an entry: %s", time.monotonic() - began,
        [round(cost, 4) for cost in trainer.entry_seconds.values()],
    )  # fmt: skip
    trainer.profile = args.out / "profile.txt" if args.profile else None
    held_out = photos.unpack(args.photos, "held_out") if args.photos else {}
    look = Look(trainer, check, held_out, atlas, args.out)

    def save() -> None:
        learner.save(args.out, progress)

    def left() -> float:
        return args.minutes - (time.monotonic() - began + END_SECONDS) / 60

    trainer.shares = dict(zip(settings.STEP_KINDS, args.shares, strict=True))
    trainer.first_steps = args.first_steps
    progress["history"] = [*progress["history"], " ".join(sys.argv[1:] if arguments is None else arguments)]
    if args.stage in ("auto", "autoencoder"):
        minutes = min(left(), args.autoencoder_minutes) if args.stage == "auto" else left()
        trainer.train("autoencoder", minutes, max_steps=args.max_steps, save=save)
        trainer.measure_latents()
        learner.hand_over()
        save()
    if args.stage in ("auto", "generator"):
        unexplained = steps.measure_read_out(trainer.computing(average=True))
        log.info("features explain all but %.1f %% of the variance of the latents", 100 * unexplained)
        look("start", sheets=False)
        trainer.train(
            "generator", left(), begin=args.begin, end=args.end, max_steps=args.max_steps, save=save, look=look.words
        )
        look("end")
    save()
    log.info("done after %.0f s", time.monotonic() - began)
    return trainer


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for weights, log and contact sheets")
    parser.add_argument("--resume", type=Path, help="folder of an earlier run, or a nano folder")
    parser.add_argument("--minutes", type=float, default=9.0, help="wall-clock limit of the whole command")
    parser.add_argument("--stage", choices=("auto", "autoencoder", "generator"), default="auto")
    parser.add_argument("--autoencoder-minutes", type=float, default=3.0, help="minutes of stage 1 with --stage auto")
    parser.add_argument(
        "--begin",
        type=float,
        default=0.0,
        help="position on the cosine learning-rate schedule at which stage 2 starts, 0 to 1",
    )
    parser.add_argument("--end", type=float, default=1.0, help="position at which stage 2 ends, 0 to 1")
    parser.add_argument(
        "--shares", type=float, nargs=3, default=list(settings.STEP_KINDS.values()), metavar=("PICTURES", "WORDS", "LATENTS"),
        help="relative frequencies of the kinds of stage-2 steps",
    )  # fmt: skip
    parser.add_argument("--first-steps", type=float, default=settings.FIRST_STEP_ONLY,
                        help="share of stage 2 that trains only the first sampling step; 0 for resumed runs")  # fmt: skip
    parser.add_argument("--photos", type=Path, help="file made by flashworld.nano.training.photos")
    parser.add_argument(
        "--seed", type=int, default=0, help="random seed; also selects the training worlds, so use a new one to resume"
    )
    parser.add_argument("--max-steps", type=int, default=10**9, help="maximum steps per stage")
    parser.add_argument(
        "--fill-seconds", type=float, default=settings.FILL_SECONDS, help="seconds for filling each pool at the start"
    )
    parser.add_argument("--workers", type=int, default=max(1, usable_cores() - 2), help="processes that build worlds")
    parser.add_argument("--no-compile", action="store_true", help="run the ray caster uncompiled")
    parser.add_argument(
        "--profile", action="store_true", help="write profile.txt, a kernel profile of three steps of each kind"
    )
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, for dry runs")
    return parser.parse_args(arguments)


def build_banks(sizes: TrainingSettings, max_tokens: int, seed: int, workers: int) -> Banks:
    """Build training and validation worlds; forks, so call it before CUDA is initialised."""
    first_picture = len(PATTERNS) * PATTERN_VARIANTS

    def bank(first: int, count: int, layout: Layout, gallery_share: float = 0.0, extra_rooms: float = 0.0) -> WorldBank:
        return build_bank(
            first, count, first_picture, sizes.pictures, workers=workers, gallery_share=gallery_share,
            extra_rooms=extra_rooms, max_tokens=max_tokens, layout=layout,
        )  # fmt: skip

    first = SEEDS_TRAINING + seed * max(sizes.worlds, sizes.word_worlds)
    return {
        "pictures": bank(first, sizes.worlds, FREE, GALLERY_SHARE, EXTRA_ROOMS),
        "landscape": bank(first, sizes.word_worlds, LANDSCAPE),
        "portrait": bank(first, max(1, sizes.word_worlds // 3), PORTRAIT),
        "check": bank(SEEDS_VALIDATION, VALIDATION_WORLDS, FREE, JUDGED_GALLERY_SHARE),
    }


def build_pools(
    banks: Banks, sizes: TrainingSettings, args: argparse.Namespace, atlas: TextureAtlas, height: int, width: int
) -> tuple[Pools, ViewPool]:
    """Empty pools for training, of the model's image size and transposed, and one for validation."""
    device = atlas.texels.device
    compiled = torch.compile(hit_solids, dynamic=False) if device.type == "cuda" and not args.no_compile else None
    paths = build_paths(sizes.paths, args.seed + 1).to(device)
    held = {name: bank.to(device) for name, bank in banks.items()}
    short = {"poses": SHORT_POSES, "entries_per_cast": VIEWS // SHORT_POSES, "fov_y_deg": WORD_LENS}

    def pool(bank: str, rows: int, columns: int, size: int, number: int, **more: Any) -> ViewPool:  # noqa: ANN401
        whole = max(1, size // more.get("entries_per_cast", 1)) * more.get("entries_per_cast", 1)
        return ViewPool(
            held[bank], paths, atlas, rows, columns, whole, samples=sizes.samples, seed=10 * args.seed + number,
            solids=compiled, **more,
        )  # fmt: skip

    training = Pools(
        pictures=(
            pool("pictures", height, width, sizes.pool, 1),
            pool("pictures", width, height, max(1, sizes.pool // 2), 2),
        ),
        words=(
            pool("landscape", height, width, sizes.word_pool, 3, **short),
            pool("portrait", width, height, sizes.word_pool // 3, 4, **short),
        ),
        long_words=(pool("landscape", height, width, sizes.word_pool // 5, 5, fov_y_deg=WORD_LENS),),
    )
    moves = build_paths(VALIDATION_WORLDS, SEEDS_VALIDATION, presets_only=True).to(device)
    count = min(VALIDATION_WORLDS, sizes.pool)
    check = ViewPool(held["check"], moves, atlas, height, width, count, samples=sizes.samples, seed=7, solids=compiled)
    return training, check


def build_textures(path: Path | None, sizes: TrainingSettings, device: torch.device) -> TextureAtlas:
    """The atlas: patterns, crops of training photographs, dead leaves, noise."""
    sources: dict[str, Image.Image] = photos.unpack(path, "training") if path else {}
    size = sizes.texture_size
    pictures = picture_bank(sources, count=sizes.pictures, size=size, seed=5, device=device)
    return build_atlas(pictures, size=size, seed=6, device=device)


def fill(pools: Pools, seconds: float) -> dict[ViewPool, float]:
    """Fill every pool for at most this many seconds; returns the seconds per entry after warm-up."""
    try:
        pools.pictures[0].refresh(1)
    except Exception:  # compilation is optional: if it fails for any reason, the eager ray caster gives the same result
        log.exception("ray caster: compilation failed, running it eagerly")
        for pool in pools:
            pool.solids = None
    synchronize()
    costs = {}
    for pool in pools:
        began = time.monotonic()
        done = pool.fill(seconds)
        costs[pool] = (time.monotonic() - began) / done
    return costs


def synchronize() -> None:
    """Synchronise with the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Look:
    """A run's validation, always on the same worlds, photographs and captions."""

    def __init__(
        self,
        trainer: Trainer,
        check: ViewPool,
        held_out: dict[str, Image.Image],
        atlas: TextureAtlas,
        folder: Path,
    ) -> None:
        self.trainer, self.held_out, self.folder = trainer, held_out, folder
        config, sizes = trainer.learner.config, trainer.steps.sizes
        self.batch: Batch = check.draw(check.size, config.frames, 4, torch.Generator().manual_seed(11))
        self.obeys = WordCheck(
            SEEDS_VALIDATION, sizes.check_captions, atlas, config.height, config.width, config.frames,
            config.text.max_tokens,
        )  # fmt: skip

    def __call__(self, label: str, *, sheets: bool = True) -> None:
        """Validate the EMA weights: log the metrics, write contact sheets."""
        torch.manual_seed(12)
        model, config, steps = self.trainer.computing(average=True), self.trainer.learner.config, self.trainer.steps
        names = ("worlds.jpg", "photos.jpg", "words.jpg")
        worlds, pictures, words = (self.folder / name if sheets else None for name in names)
        numbers = validate_worlds(model, self.batch, steps.empty, steps.rasterize, worlds)
        numbers |= validate_photos(
            model, self.held_out, steps.empty, config.height, config.width, steps.rasterize, pictures
        )  # fmt: skip
        numbers |= self.obeys(model, steps.rasterize, words)
        self.trainer.journal.write({"look": label} | numbers)

    def words(self) -> None:
        """Validate text conditioning only."""
        torch.manual_seed(12)
        found = self.obeys(self.trainer.computing(average=True), self.trainer.steps.rasterize)
        self.trainer.journal.write({"look": "words"} | found)


if __name__ == "__main__":
    main()
