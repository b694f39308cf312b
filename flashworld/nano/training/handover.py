"""Initialisation between the two training stages: a transformer constructed to copy the input image's latents.

Stage 1 trains a VAE encoder and a Gaussian decoder for images and depth; a randomly initialised transformer would feed
the decoder noise for thousands of steps. Its weights are set here so that stage 2 starts from a useful output:

1. The patch embedding copies the condition latents of a token's four pixels into the residual stream.
2. The first block's self-attention attends to the same position in all frames (query and key are constant, so the
   rotary embedding's highest spatial frequencies determine the weights), which copies the condition frame's latents to
   every frame.
3. The output projection writes them to the first features; all other branches are scaled close to zero.
4. The Gaussian decoder reads those features in place of the latents, whose own input weights are zero.

Initially every view therefore reproduces the input image without parallax; stage 2 learns camera motion, depth and
text. All of these weights are trainable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from flashworld.config import RAYMAP_CHANNELS, ModelConfig

PATCH = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Rows and columns of a token's latent pixels, in the order of the stream and of the output."""
OTHER_INPUTS = 0.5
"""Scale of the random input weights for noise, rays and fed-back channels."""
STREAM_DEVIATION = 0.77
"""Standard deviation of a token with condition latents at the final norm."""
LOOK = 8.0
"""Magnitude of the constant query and key before normalisation."""
SHARPNESS = 1.8
"""Weight of the query and key norms."""
GAIN = 10.0
"""Compensates for attention averaging over frames, only one of which has the input image."""


@torch.no_grad()
def hand_over(modules: Mapping[str, Any], config: ModelConfig) -> None:
    """Set the weights; `config` holds the latent statistics from stage 1."""
    transformer, latents = modules["transformer"], config.vae.z_dim
    held = len(PATCH) * latents
    _silence(transformer)
    _lay_out(transformer.patch_embedding.weight, latents, held)
    _look_at_same_place(transformer.blocks[0].attn1, config, held)
    _hand_out(transformer.proj_out, config, held)
    _read_features(modules["gaussian_decoder"], config)


def _silence(transformer: Any) -> None:
    """Scale down the residual branches and the timestep modulation."""
    transformer.condition_embedder.time_embedder.linear_2.weight.mul_(0.05)
    for block in transformer.blocks:
        for layer in (block.attn1.to_out[0], block.attn2.to_out[0], block.ffn.net[2]):
            layer.weight.mul_(0.02)


def _lay_out(weight: torch.Tensor, latents: int, held: int) -> None:
    weight.mul_(OTHER_INPUTS)
    weight[:held] = 0
    first = latents + RAYMAP_CHANNELS
    for place, (row, column) in enumerate(PATCH):
        for channel in range(latents):
            weight[place * latents + channel, first + channel, 0, row, column] = 1


def _look_at_same_place(attention: Any, config: ModelConfig, held: int) -> None:
    width = config.transformer.attention_head_dim
    per_side = 2 * (width // 6)
    fastest = [width - 2 * per_side + i for i in (0, 2)] + [width - per_side + i for i in (0, 2)]
    heads = -(-held // width)
    chosen = [head * width + i for head in range(heads) for i in fastest]
    for layer, norm in ((attention.to_q, attention.norm_q), (attention.to_k, attention.norm_k)):
        layer.weight[: heads * width] = 0
        layer.bias[: heads * width] = 0
        layer.bias[chosen] = LOOK
        norm.weight[chosen] = SHARPNESS
    attention.to_v.weight[:held] = 0
    attention.to_out[0].weight[:held] = 0
    places = torch.arange(held)
    attention.to_v.weight[places, places] = 1
    attention.to_out[0].weight[places, places] = GAIN


def _hand_out(projection: nn.Linear, config: ModelConfig, held: int) -> None:
    latents = config.vae.z_dim
    projection.weight.mul_(0.1)
    for place in range(len(PATCH)):
        for channel in range(latents):
            row = place * config.out_channels + latents + channel
            projection.weight[row] = 0
            projection.weight[row, place * latents + channel] = STREAM_DEVIATION


def _read_features(decoder: Any, config: ModelConfig) -> None:
    """Fold statistics, `post_quant_conv` and `conv_in` into the feature convolution's first channels."""
    latents = config.vae.z_dim
    before, entry, features = decoder.post_quant_conv, decoder.decoder.conv_in, decoder.extra_conv_in
    mean, std = (
        torch.tensor(values, device=entry.weight.device)
        for values in (config.vae.latents_mean, config.vae.latents_std)
    )  # fmt: skip
    mixing = before.weight[:, :, 0, 0] * std
    features.weight[:, :latents] = torch.einsum("oikl,ij->ojkl", entry.weight, mixing)
    before.bias.add_(before.weight[:, :, 0, 0] @ mean)
    before.weight.zero_()
