"""Train the nano model: `python -m flashworld.nano.training.train --out DIR [--resume DIR] --minutes 9`.

Sets up banks of worlds, paths and textures, runs the stages of `trainer` inside the time given (setting up and saving
included), looks at unseen worlds and photographs, and leaves in DIR: `progress.json`, `weights-*.safetensors`,
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

from flashworld.nano.sizes import NANO, TINY
from flashworld.nano.training import photos
from flashworld.nano.training.batches import SEEDS_TRAINING, Batch, ViewPool, WorldBank, build_bank
from flashworld.nano.training.learner import Learner
from flashworld.nano.training.materials import PATTERN_VARIANTS, PATTERNS, TextureAtlas, build_atlas
from flashworld.nano.training.paths import build_paths
from flashworld.nano.training.rasterize import Rasterizer, rasterize
from flashworld.nano.training.raycast import hit_solids
from flashworld.nano.training.textures import picture_bank
from flashworld.nano.training.trainer import TINY_SETTINGS, Journal, Settings, Trainer
from flashworld.nano.training.validation import CAPTIONS, caption_tokens, validate_photos, validate_worlds

log = logging.getLogger(__name__)
SEEDS_VALIDATION = 100_000
VALIDATION_WORLDS = 24
GALLERY_SHARE = 0.3
END_SECONDS = 20.0
"""Kept back for the last look and for saving."""


def main(arguments: list[str] | None = None, renderer: Rasterizer = rasterize) -> Trainer:
    """Command line; tests pass a renderer that needs no GPU."""
    began = time.monotonic()
    args = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    args.out.mkdir(parents=True, exist_ok=True)
    config, settings = (TINY, TINY_SETTINGS) if args.tiny else (NANO, Settings())
    banks = build_banks(settings, config.text.max_tokens, args.seed, args.workers)
    log.info("banks of %d worlds after %.0f s", len(banks[0]), time.monotonic() - began)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    learner = Learner(config, args.seed, device)
    progress: dict[str, Any] = learner.load(args.resume) if args.resume else {"history": []}
    held_out = photos.unpack(args.photos, "held_out") if args.photos else {}
    training, check = build_pools(banks, settings, args, device, learner)
    journal = Journal(args.out / "log.jsonl")
    trainer = Trainer(learner, settings, training, journal, renderer, args.seed)
    trainer.refresh_seconds = fill([*training, check])
    log.info("pools filled after %.0f s, %.3f s an entry", time.monotonic() - began, trainer.refresh_seconds)
    trainer.profile = args.out / "profile.txt" if args.profile else None
    look = Look(trainer, check, held_out, args.out)

    def save() -> None:
        learner.save(args.out, progress)

    def left() -> float:
        return args.minutes - (time.monotonic() - began + END_SECONDS) / 60

    trainer.shares["text"] = args.text_share
    progress["history"] = [*progress["history"], " ".join(sys.argv[1:] if arguments is None else arguments)]
    if args.stage in ("auto", "autoencoder"):
        minutes = min(left(), args.autoencoder_minutes) if args.stage == "auto" else left()
        trainer.train("autoencoder", minutes, max_steps=args.max_steps, save=save)
        trainer.measure_latents()
        learner.hand_over()
        save()
    if args.stage in ("auto", "generator"):
        trainer.train("generator", left(), begin=args.begin, end=args.end, max_steps=args.max_steps, save=save)
        look("end")
    save()
    log.info("done after %.0f s", time.monotonic() - began)
    return trainer


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for weights, log and contact sheets")
    parser.add_argument("--resume", type=Path, help="folder of an earlier run")
    parser.add_argument("--minutes", type=float, default=9.0, help="wall time of the whole command")
    parser.add_argument("--stage", choices=("auto", "autoencoder", "generator"), default="auto")
    parser.add_argument("--autoencoder-minutes", type=float, default=3.0, help="share of stage 1 under --stage auto")
    parser.add_argument("--begin", type=float, default=0.0, help="where on the learning rate's cosine stage 2 starts")
    parser.add_argument("--end", type=float, default=1.0, help="where on it stage 2 ends")
    parser.add_argument("--text-share", type=float, default=0.25, help="weight of scenes that see only words")
    parser.add_argument("--photos", type=Path, help="file made by flashworld.nano.training.photos")
    parser.add_argument("--seed", type=int, default=0, help="also chooses the training worlds: use a new one to resume")
    parser.add_argument("--max-steps", type=int, default=10**9, help="of each stage")
    parser.add_argument(
        "--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2), help="processes that make worlds"
    )
    parser.add_argument("--no-compile", action="store_true", help="run the ray-caster uncompiled")
    parser.add_argument("--profile", action="store_true", help="write profile.txt: where three steps of each stage go")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, for rehearsals")
    return parser.parse_args(arguments)


def build_banks(settings: Settings, max_tokens: int, seed: int, workers: int) -> tuple[WorldBank, WorldBank]:
    """Training and validation worlds; forks, so it comes before anything touches CUDA."""
    first_picture = len(PATTERNS) * PATTERN_VARIANTS
    first = SEEDS_TRAINING + seed * settings.worlds
    common = {"gallery_share": GALLERY_SHARE, "max_tokens": max_tokens}
    training = build_bank(first, settings.worlds, first_picture, settings.pictures, workers=workers, **common)
    check = build_bank(SEEDS_VALIDATION, VALIDATION_WORLDS, first_picture, settings.pictures, workers=1, **common)
    return training, check


def build_pools(
    banks: tuple[WorldBank, WorldBank],
    settings: Settings,
    args: argparse.Namespace,
    device: torch.device,
    learner: Learner,
) -> tuple[list[ViewPool], ViewPool]:
    """Empty pools for training (the model's picture size, and turned) and one for validation."""
    atlas = build_textures(args.photos, settings, device)
    solids = torch.compile(hit_solids, dynamic=False) if device.type == "cuda" and not args.no_compile else None
    height, width = learner.config.height, learner.config.width
    bank, paths = banks[0].to(device), build_paths(settings.paths, args.seed + 1).to(device)
    training = [
        ViewPool(bank, paths, atlas, h, w, n, samples=settings.samples, seed=args.seed + n, solids=solids)
        for h, w, n in ((height, width, settings.pool), (width, height, max(1, settings.pool // 2)))
    ]
    unseen, moves = banks[1].to(device), build_paths(VALIDATION_WORLDS, SEEDS_VALIDATION, presets_only=True).to(device)
    count = min(VALIDATION_WORLDS, settings.pool)
    check = ViewPool(unseen, moves, atlas, height, width, count, samples=settings.samples, seed=7, solids=solids)
    return training, check


def build_textures(path: Path | None, settings: Settings, device: torch.device) -> TextureAtlas:
    """The atlas: patterns, crops of training photographs, dead leaves, noise."""
    sources: dict[str, Image.Image] = photos.unpack(path, "training") if path else {}
    size = settings.texture_size
    pictures = picture_bank(sources, count=settings.pictures, size=size, seed=5, device=device)
    return build_atlas(pictures, size=size, seed=6, device=device)


def fill(pools: list[ViewPool]) -> float:
    """Render every entry of the pools; seconds an entry takes once things are warm."""
    try:
        pools[0].refresh(1, wrap=False)
    except Exception:  # compiling is an extra: whatever goes wrong there, the plain ray-caster does the same job
        log.exception("ray-caster: compiling failed, running it uncompiled")
        for pool in pools:
            pool.solids = None
        pools[0].next = 0
    synchronize()
    began, entries = time.monotonic(), sum(pool.size for pool in pools)
    for pool in pools:
        pool.fill()
    synchronize()
    return (time.monotonic() - began) / entries


def synchronize() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Look:
    """The validation of a run, always on the same worlds, photographs and captions."""

    def __init__(self, trainer: Trainer, check: ViewPool, held_out: dict[str, Image.Image], folder: Path) -> None:
        self.trainer, self.held_out, self.folder = trainer, held_out, folder
        frames = trainer.learner.config.frames
        self.batch: Batch = check.draw(check.size, frames, 4, torch.Generator().manual_seed(11))
        length, device = self.batch.tokens.shape[1], self.batch.tokens.device
        tokenizer = trainer.learner.networks.text.tokenizer
        self.empty = caption_tokens(tokenizer, ("",), length, device)
        self.captions = caption_tokens(tokenizer, CAPTIONS, length, device)

    def __call__(self, label: str) -> None:
        """Generate with the averaged weights, log the numbers, write contact sheets."""
        torch.manual_seed(12)
        model, config = self.trainer.computing(average=True), self.trainer.learner.config
        numbers = validate_worlds(model, self.batch, self.empty, self.trainer.rasterize, self.folder / "worlds.jpg")
        numbers |= validate_photos(
            model, self.held_out, self.captions, self.empty, config.height, config.width, self.trainer.rasterize,
            self.folder / "photos_and_text.jpg",
        )  # fmt: skip
        self.trainer.journal.write({"look": label} | numbers)


if __name__ == "__main__":
    main()
