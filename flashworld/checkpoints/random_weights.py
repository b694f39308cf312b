"""A converted folder of random weights, which tests and benchmarks of the whole app use in place of a trained model."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import torch

from flashworld.checkpoints.converted import write_converted
from flashworld.checkpoints.hub import FileCallback
from flashworld.checkpoints.tensor_files import LazyState, LazyTensor
from flashworld.config import FULL, ModelConfig
from flashworld.limits import MIN_SIDE_PX
from flashworld.models.networks import FLOAT32_PARTS, build_networks, random_networks, stored_dtype
from flashworld.nano.sizes import NANO, TINY


def model_of_size(name: str) -> ModelConfig:
    """Sizes by name: "full", "nano" or "tiny", with images no smaller than the limit for requests."""
    config = {"full": FULL, "nano": NANO, "tiny": TINY}[name]
    return replace(config, height=max(config.height, MIN_SIDE_PX), width=max(config.width, MIN_SIDE_PX))


def write_random_weights(
    out_dir: str | Path,
    config: ModelConfig,
    *,
    seed: int,
    device: torch.device | str,
    dtype: torch.dtype,
    shard_bytes: int,
    on_progress: FileCallback | None = None,
) -> None:
    """Write the weights of `random_networks` as `convert_weights` would, marked as untrained.

    They are generated after the checks for an empty folder and enough disk space, and are held in the memory of
    `device` while they are written.

    Args:
        out_dir: An empty folder, or one that does not exist yet.
        config: Sizes.
        seed: Seed of the weights.
        device: Where to generate them: full size takes seconds on a GPU, minutes on a CPU, which produces different weights.
        dtype: Dtype of block weights.
        shard_bytes: Largest shard.
        on_progress: Called with (what, bytes done, total bytes).

    Raises:
        WriteError: the folder cannot be written.
    """

    @cache
    def drawn(network: str) -> dict[str, torch.Tensor]:
        return networks().modules[network].state_dict()

    networks = cache(lambda: random_networks(config, seed, device, dtype))

    def read(network: str, name: str) -> torch.Tensor:
        return drawn(network)[name].detach().cpu()

    plain = build_networks(config, "meta")
    states: dict[str, LazyState] = {
        network: {
            name: LazyTensor(
                tuple(tensor.shape), stored_dtype(name, dtype, FLOAT32_PARTS[network]), partial(read, network, name)
            )
            for name, tensor in module.state_dict().items()
        }
        for network, module in plain.modules.items()
    }
    write_converted(
        Path(out_dir), config, plain.text.tokenizer, states, dtype=dtype, shard_bytes=shard_bytes, trained=False,
        on_progress=on_progress,
    )  # fmt: skip
