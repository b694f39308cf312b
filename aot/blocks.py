"""The four networks that are compiled: an example call of each, and which of its sizes may change.

The text encoder runs once a prompt and is remembered, but eagerly it is hundreds of small launches: several times the
reading of its weights. Its graph depends on the number of tokens alone, whatever the scene's size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from aot.shapes import Axis, SizeRange
from flashworld.config import SPATIAL_FACTOR
from flashworld.limits import SIZE_MULTIPLE
from flashworld.models.networks import Networks
from flashworld.models.transformer import velocity_and_features
from flashworld.sampling import encode, from_video

BLOCKS = ("transformer", "gaussian_decoder", "vae_encoder", "text_encoder")
"""In the order in which compiling them pays."""
EXAMPLE_TOKENS = 40
"""Of the prompt that the text encoder's kernels are tuned for: a long sentence."""
MIN_TOKENS = 2
"""The prefix alone is longer."""
MIN_BATCH = 2
"""torch.export makes a dimension of size 1 a constant, so a single frame is doubled and cut again."""


@dataclass(frozen=True)
class BlockPlan:
    """How to capture one network.

    Attributes:
        name: As `Networks.modules` names it.
        module: The network.
        example: Calls it once, the way the library does, with random input.
        axes: For `call_spec`.
        budget: For `call_spec`.
        sizes: The scene sizes served.
        batch_argument: A tensor argument whose first dimension counts independent items, or None.
    """

    name: str
    module: nn.Module
    example: Callable[[], object]
    axes: Mapping[str, Sequence[Axis | None]]
    budget: Mapping[str, int]
    sizes: SizeRange
    batch_argument: str | None


def plan_block(
    networks: Networks,
    name: str,
    sizes: SizeRange,
    example: tuple[int, int, int] | None = None,
    tokens: int = EXAMPLE_TOKENS,
) -> BlockPlan:
    """Describe how to capture a network.

    Args:
        networks: The model, on the device to compile for.
        name: One of `BLOCKS`.
        sizes: Scene sizes to serve; a range with one size gives a static graph.
        example: Frames, height, width the compiler tunes for; by default the model's own, brought into the range.
        tokens: Of the example prompt, at most the model's own.
    """
    config = networks.config
    frames, height, width = example or (
        min(max(value, low), high)
        for value, (low, high) in zip(
            (config.frames, config.height, config.width), (sizes.frames, sizes.height, sizes.width), strict=True
        )
    )
    rows, columns = height // SPATIAL_FACTOR, width // SPATIAL_FACTOR
    latent = (_axis("rows", sizes.height, SPATIAL_FACTOR), _axis("columns", sizes.width, SPATIAL_FACTOR))
    frame = _frame_axis(sizes)
    device, dtype, vae = networks.device, networks.dtype, config.vae

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device, dtype=dtype)

    def run_transformer() -> object:
        text = noise(1, config.text.max_tokens, config.transformer.text_dim)
        return velocity_and_features(
            networks.transformer,
            noise(1, config.in_channels, frames, rows, columns),
            torch.full((1,), 900.0, device=device),
            networks.text_context(text),
            latent_channels=vae.z_dim,
        )

    def run_vae_encoder() -> object:
        return encode(networks.vae_encoder, noise(frames, 3, height, width))

    def run_gaussian_decoder() -> object:
        features = from_video(noise(1, config.feature_dim, frames, rows, columns))
        return networks.gaussian_decoder(features, from_video(noise(1, vae.z_dim, frames, rows, columns).float()))

    def run_text_encoder() -> object:
        count = min(tokens, config.text.max_tokens)
        ids = torch.randint(config.text.vocab_size, (1, count), dtype=torch.int64)
        return networks.text.reader(ids.to(device))

    runs = {
        "transformer": run_transformer,
        "vae_encoder": run_vae_encoder,
        "gaussian_decoder": run_gaussian_decoder,
        "text_encoder": run_text_encoder,
    }
    axes: dict[str, dict[str, Sequence[Axis | None]]] = {
        "transformer": {"hidden_states": (None, None, frame, *latent)},
        "gaussian_decoder": {"features": (frame, None, *latent), "raw_latents": (frame, None, *latent)},
        "vae_encoder": {"images": (frame, None, _axis("rows", sizes.height, 1), _axis("columns", sizes.width, 1))},
        "text_encoder": {"ids": (None, Axis("tokens", MIN_TOKENS, config.text.max_tokens))},
    }
    batch = {"gaussian_decoder": "features", "vae_encoder": "images"}
    return BlockPlan(
        name=name,
        module=module_of(networks, name),
        example=runs[name],
        axes={key: value if any(value) else (None,) * len(value) for key, value in axes[name].items()},
        budget={}
        if name == "text_encoder"
        else {
            "frames": 1 if frame else frames,
            "rows": SIZE_MULTIPLE if latent[0] else height,
            "columns": SIZE_MULTIPLE if latent[1] else width,
        },
        sizes=sizes,
        batch_argument=batch.get(name),
    )


def module_of(networks: Networks, name: str) -> nn.Module:
    """What a block's graph stands in for."""
    return networks.text.reader if name == "text_encoder" else networks.modules[name]


def _axis(symbol: str, pixels: tuple[int, int], pixels_per_unit: int) -> Axis | None:
    """An axis counted in the steps of 32 pixels that sizes come in, whose own unit is this many pixels."""
    low, high = (side // SIZE_MULTIPLE for side in pixels)
    return None if low == high else Axis(symbol, low, high, SIZE_MULTIPLE // pixels_per_unit)


def _frame_axis(sizes: SizeRange) -> Axis | None:
    low, high = sizes.frames
    return None if low == high else Axis("frames", max(low, MIN_BATCH), high)
