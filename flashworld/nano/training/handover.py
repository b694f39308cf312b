"""Between the two training stages: the untrained transformer learns by construction to hand the picture's latents on.

Stage 1 leaves a VAE encoder and a Gaussian decoder that know pictures and depth; a transformer of random weights would
bury that under noise for thousands of steps. Here its weights are set so that stage 2 starts from a useful guess:

1. The patch embedding lays the condition latents of a token's four pixels side by side in the stream.
2. The first block's self-attention looks at the same place in all frames (a constant query meets a constant key; the
   rotary embedding's fastest spatial frequencies make nearness count), so that every frame receives the latents of the
   one frame that has them.
3. The output projection hands them out as the first features; all other branches start silent.
4. The Gaussian decoder reads those features where it read latents before, and the latents not yet.

So at first every view shows the picture, standing still. What is learned from there is motion, depth and words.
Everything set here is trained afterwards like any other weight.
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
"""Factor on the random weights that read noise, rays and fed-back channels."""
STREAM_DEVIATION = 0.77
"""Of a token that holds condition latents: what its last norm divides by."""
LOOK = 8.0
"""Size of the constant query and key before their norm."""
SHARPNESS = 1.8
"""Their norm's weight."""
GAIN = 10.0
"""Undoes the average over frames, of which one has the picture."""


@torch.no_grad()
def hand_over(modules: Mapping[str, Any], config: ModelConfig) -> None:
    """Set the weights; `config` holds the latent statistics of stage 1."""
    transformer, latents = modules["transformer"], config.vae.z_dim
    held = len(PATCH) * latents
    _silence(transformer)
    _lay_out(transformer.patch_embedding.weight, latents, held)
    _look_at_same_place(transformer.blocks[0].attn1, config, held)
    _hand_out(transformer.proj_out, config, held)
    _read_features(modules["gaussian_decoder"], config)


def _silence(transformer: Any) -> None:
    """Residual branches add nothing, the clock hardly speaks."""
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
