"""Convert a training checkpoint to the packaged files: `python -m flashworld.nano.training.export_weights --from DIR [--to DIR]`.

Takes the exponential moving average (EMA) of the weights, packs the matrices of text encoder and transformer to int8 (see
`package`), keeps Gaussian decoder, VAE encoder, the transformer's output, norms, biases and all small tensors in float16,
and refuses files that are too large. Then it loads them back, reports the loading time, and compares renders of both on
held-out worlds, with the real pipeline on the CPU.

The target folder changes only after the new files are complete, within their size limits, and loaded successfully.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import torch

from flashworld.checkpoints.loading import load_nano
from flashworld.config import NANO_DIR, ModelConfig
from flashworld.errors import CheckpointError, WriteError
from flashworld.models.networks import Networks
from flashworld.nano.package import CONFIG_NAME, MIN_INT8_VALUES, MORE_WEIGHTS_NAME, TOKENIZER_NAME, write_nano
from flashworld.nano.training.learner import Learner
from flashworld.nano.training.measures import psnr
from flashworld.nano.training.methods import generate, views_of
from flashworld.nano.training.unseen import make_trial, unseen_atlas
from flashworld.pipeline import FlashWorldPipeline

log = logging.getLogger(__name__)
MAX_WEIGHTS_BYTES = 9_500_000
MAX_EXTRA_BYTES = 500_000
"""Maximum size of configuration and tokenizer together."""
LOAD_SECONDS = 1.0
FLOAT16_LAYERS = ("gaussian_decoder.", "vae_encoder.", "transformer.proj_out.")
"""Layers that are not packed to int8: those nearest to the picture, as far as the size limit allows. In float16 the held-out
photographs gain 0.05 dB; with the rest in float16, too, 0.06 dB more."""
COMPARED_SEEDS = (0, 1, 2)


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, required=True, help="checkpoint folder of a training run")
    parser.add_argument("--to", type=Path, default=NANO_DIR, help="output folder")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    trained = averaged_networks(args.source)
    export(trained, args.to)
    compare(trained, load_nano(args.to).networks)


def averaged_networks(folder: Path) -> Networks:
    """The EMA weights of a checkpoint, with their configuration.

    Raises:
        CheckpointError: the folder holds no checkpoint.
    """
    path = folder / "progress.json"
    if not path.is_file():
        raise CheckpointError(f"checkpoint: {str(folder)!r} must hold progress.json and weights-*.safetensors")
    config = ModelConfig.from_json(json.dumps(json.loads(path.read_text(encoding="utf-8"))["config"]))
    learner = Learner(config, 0, torch.device("cpu"))
    learner.load(folder)
    for name, module in learner.networks.modules.items():
        module.load_state_dict(learner.ema[name].state_dict())
    return dataclasses.replace(learner.networks, config=learner.config)


def export(networks: Networks, folder: Path) -> None:
    """Write the three files, check them, and put them in place.

    Raises:
        WriteError: a file is larger than allowed, or cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as name:
        made = Path(name)
        write_nano(networks, made, eight_bit=eight_bit)
        check_sizes(made)
        load_nano(made)  # warm-up: imports what loading needs
        clock = time.process_time()
        load_nano(made)
        seconds = time.process_time() - clock
        verdict = "within the limit" if seconds <= LOAD_SECONDS else f"above the limit of {LOAD_SECONDS:g} s"
        log.info("loads in %.2f s of CPU time once libraries are imported, %s", seconds, verdict)
        (folder / MORE_WEIGHTS_NAME).unlink(missing_ok=True)
        for file in sorted(made.iterdir()):
            file.replace(folder / file.name)


def eight_bit(name: str, tensor: torch.Tensor) -> bool:
    """Whether a tensor is packed to int8."""
    return tensor.ndim >= 2 and tensor.numel() >= MIN_INT8_VALUES and not name.startswith(FLOAT16_LAYERS)


def check_sizes(folder: Path) -> None:
    """Log the file sizes.

    Raises:
        WriteError: they are too large to ship.
    """
    weights = [path.stat().st_size for path in sorted(folder.glob("weights*.safetensors"))]
    extra = sum((folder / name).stat().st_size for name in (CONFIG_NAME, TOKENIZER_NAME))
    log.info("weights %s MB, configuration and tokenizer %.3f MB", [w / 1e6 for w in weights], extra / 1e6)
    for what, size, limit in (
        *(("each weights file", size, MAX_WEIGHTS_BYTES) for size in weights),
        ("configuration and tokenizer", extra, MAX_EXTRA_BYTES),
    ):
        if size > limit:
            raise WriteError(f"nano: {what} must take at most {limit} bytes, got {size}")


def compare(trained: Networks, packed: Networks) -> list[float]:
    """PSNR between renders of float and packed weights along the path, by world."""
    atlas, config, found = unseen_atlas({}), trained.config, []
    for seed in COMPARED_SEEDS:
        trial = make_trial(
            seed, atlas, frames=config.frames, height=config.height, width=config.width, gallery_share=0.0
        )  # fmt: skip
        shown = [
            views_of(generate(FlashWorldPipeline(networks), trial), trial.cameras).rgb for networks in (trained, packed)
        ]
        truth = torch.from_numpy(trial.picture).float() / 255
        found.append(psnr(*shown))
        log.info(
            "world %d: float against packed %.1f dB; input view %.2f dB float, %.2f dB packed",
            seed, found[-1], psnr(shown[0][0], truth), psnr(shown[1][0], truth),
        )  # fmt: skip
    return found


if __name__ == "__main__":
    main()
