"""The four networks that are compiled: an example call of each, and which of its sizes may change.

The text encoder runs once per prompt and its result is cached, but eagerly it consists of hundreds of small launches, which take
several times as long as reading its weights. Its graph depends on the number of tokens alone, whatever the scene's size.
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
"""In order of the benefit of compiling them."""
EXAMPLE_TOKENS = 40
"""Tokens of the prompt that the text encoder's kernels are tuned for: a long sentence."""
MIN_TOKENS = 2
"""The prefix alone is longer."""
BATCH_ARGUMENTS = {"gaussian_decoder": "features", "vae_encoder": "images"}
"""Networks that work frame by frame, and the tensor whose first dimension counts the frames."""
MIN_BATCH = 2
"""torch.export makes a dimension of size 1 a constant, so a single frame is duplicated and the result cropped."""


@dataclass(frozen=True)
class BlockPlan:
    """How to capture one network.

    Attributes:
        name: Its name in `Networks.modules`.
        module: The network.
        example: Calls it once, as the library does, with random input.
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
        example: Frames, height, width that the compiler tunes for; by default the model's own, clamped to the range.
        tokens: Tokens of the example prompt, at most the model's own.
    """
    config = networks.config
    frames, height, width = example or (
        min(max(value, low), high)
        for value, (low, high) in zip(
            (config.frames, config.height, config.width), (sizes.frames, sizes.height, sizes.width), strict=True
        )
    )
    call = _ExampleCall(networks, frames, height, width, min(tokens, config.text.max_tokens))
    axes = _axes(name, sizes, config.text.max_tokens, fused=_is_fused(networks))
    return BlockPlan(
        name=name,
        module=module_of(networks, name),
        example=getattr(call, name),
        axes={key: value if any(value) else (None,) * len(value) for key, value in axes.items()},
        budget={} if name == "text_encoder" else _budget(sizes, frames, height, width),
        sizes=sizes,
        batch_argument=BATCH_ARGUMENTS.get(name),
    )


@dataclass(frozen=True)
class _ExampleCall:
    """One call of each network, named as in `BLOCKS`, the way the library makes it, with random input."""

    networks: Networks
    frames: int
    height: int
    width: int
    tokens: int

    def transformer(self) -> object:
        config = self.networks.config
        return velocity_and_features(
            self.networks.transformer,
            self._latents(config.in_channels),
            torch.full((1,), 900.0, device=self.networks.device),
            self.networks.text_context(self._noise(1, self._text_rows(), config.transformer.text_dim)),
            latent_channels=config.vae.z_dim,
        )

    def vae_encoder(self) -> object:
        return encode(self.networks.vae_encoder, self._noise(self.frames, 3, self.height, self.width))

    def gaussian_decoder(self) -> object:
        config = self.networks.config
        features = from_video(self._latents(config.feature_dim))
        return self.networks.gaussian_decoder(features, from_video(self._latents(config.vae.z_dim).float()))

    def text_encoder(self) -> object:
        ids = torch.randint(self.networks.config.text.vocab_size, (1, self.tokens), dtype=torch.int64)
        return self.networks.text.reader(ids.to(self.networks.device))

    def _text_rows(self) -> int:
        return self.tokens if _is_fused(self.networks) else self.networks.config.text.max_tokens

    def _latents(self, channels: int) -> torch.Tensor:
        return self._noise(1, channels, self.frames, self.height // SPATIAL_FACTOR, self.width // SPATIAL_FACTOR)

    def _noise(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, device=self.networks.device, dtype=self.networks.dtype)


def _axes(name: str, sizes: SizeRange, max_tokens: int, *, fused: bool) -> Mapping[str, Sequence[Axis | None]]:
    """The network's tensor arguments, and which of their axes vary within the sizes."""
    frame = _frame_axis(sizes)
    tokens = Axis("tokens", MIN_TOKENS, max_tokens)
    if name == "text_encoder":
        return {"ids": (None, tokens)}
    if name == "vae_encoder":
        return {"images": (frame, None, _axis("rows", sizes.height, 1), _axis("columns", sizes.width, 1))}
    latent = (_axis("rows", sizes.height, SPATIAL_FACTOR), _axis("columns", sizes.width, SPATIAL_FACTOR))
    if name == "transformer":
        text = (None, None, None, tokens, None) if fused else (None, None, None)
        return {"hidden_states": (None, None, frame, *latent), "encoder_hidden_states": text}
    return {"features": (frame, None, *latent), "raw_latents": (frame, None, *latent)}


def _budget(sizes: SizeRange, frames: int, height: int, width: int) -> dict[str, int]:
    """Pixels that one unit of each axis stands for: a fixed axis counts as a whole."""
    low_high = {"frames": sizes.frames, "rows": sizes.height, "columns": sizes.width}
    varying = {"frames": 1, "rows": SIZE_MULTIPLE, "columns": SIZE_MULTIPLE}
    fixed = {"frames": frames, "rows": height, "columns": width}
    return {axis: fixed[axis] if low == high else varying[axis] for axis, (low, high) in low_high.items()}


def _is_fused(networks: Networks) -> bool:
    """Whether the transformer takes a `TextContext`, which may have any number of rows."""
    return not isinstance(networks.text_context, nn.Identity)


def module_of(networks: Networks, name: str) -> nn.Module:
    """The module that a block's graph replaces."""
    return networks.text.reader if name == "text_encoder" else networks.modules[name]


def _axis(symbol: str, pixels: tuple[int, int], pixels_per_unit: int) -> Axis | None:
    """An axis counted in the steps of 32 pixels that sizes come in, whose own unit is this many pixels."""
    low, high = (side // SIZE_MULTIPLE for side in pixels)
    return None if low == high else Axis(symbol, low, high, SIZE_MULTIPLE // pixels_per_unit)


def _frame_axis(sizes: SizeRange) -> Axis | None:
    low, high = sizes.frames
    return None if low == high else Axis("frames", max(low, MIN_BATCH), high)
