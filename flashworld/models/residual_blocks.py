"""Residual blocks of the still-frame VAE: convolutions between norms.

Activations are kept channels_last: the norm runs over the last memory axis and passes that layout on to the convolutions.

Numerics: everything in the dtype of the weights; norms and SiLU compute in float32 inside and round once each. On CUDA, in
bfloat16, everything between two convolutions (bias, shortcut, norm, SiLU) is one kernel that rounds only its results.

Source: arithmetic of diffusers' `autoencoder_kl_wan.py` (Apache-2.0), see `vae_blocks.py`. Deviation:
1. Under bfloat16 the norm's scale is applied before its result is rounded, not after.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from flashworld.models.triton_use import kernels_run

try:  # a name, not the module: the sources of a compiled graph are located through it
    from flashworld.models.pixel_norm_kernels import add_norm_silu as add_norm_silu_kernel
except ImportError:  # no Triton: macOS, or a torch without CUDA
    add_norm_silu_kernel = None

NORM_EPS = 1e-24
"""Added to the mean square; the original divides by max(length, 1e-12)."""


class ChannelNorm(nn.Module):
    """Divide each pixel's channels by their root mean square, then scale them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise over channels; channels_last out. (N, C, H, W)"""
        pixels = F.rms_norm(x.movedim(1, -1), self.gamma.shape, self.gamma, NORM_EPS)
        return pixels.movedim(-1, 1)


class Conv3x3(nn.Conv2d):
    """3x3 convolution, padded by one."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)

    def products(self, x: torch.Tensor) -> torch.Tensor:
        """The result without the bias. (N, in, H, W) -> (N, out, H, W)"""
        return F.conv2d(x, self.weight, None, padding=1)


class ResidualBlock(nn.Module):
    """Norm, SiLU, 3x3 convolution, twice, around a shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(in_channels)
        self.conv1 = Conv3x3(in_channels, out_channels)
        self.norm2 = ChannelNorm(out_channels)
        self.conv2 = Conv3x3(out_channels, out_channels)
        same = in_channels == out_channels
        self.conv_shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, H, W)"""
        return through([self], x)


def through(blocks: Iterable[nn.Module], x: torch.Tensor) -> torch.Tensor:
    """Apply `ResidualBlock`s in sequence; the sum that ends one and the norm that begins the next share a pass over memory."""
    stack = [cast(ResidualBlock, block) for block in blocks]
    hidden = F.silu(stack[0].norm1(x))
    for block, after in pairwise(stack):
        hidden = conv_norm_silu(block.conv1, hidden, block.norm2)[1]
        x, hidden = conv_norm_silu(block.conv2, hidden, after.norm1, (block.conv_shortcut, x))
    last = stack[-1]
    hidden = conv_norm_silu(last.conv1, hidden, last.norm2)[1]
    return last.conv2(hidden) + last.conv_shortcut(x)


def conv_norm_silu(
    conv: Any,  # noqa: ANN401 - a Conv3x3, or its replacement from `padded.py`
    x: torch.Tensor,
    norm: ChannelNorm,
    beside: tuple[nn.Module, torch.Tensor] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Convolve, add a shortcut, then normalise and apply SiLU.

    Args:
        conv: Convolution with a bias.
        x: Its input. (N, in, H, W)
        norm: Applied to the sum.
        beside: The shortcut's layer and its input; None: no shortcut.

    Returns:
        The sum, which a kernel leaves empty if there is no shortcut; SiLU of its norm. (N, out, H, W) each
    """
    if add_norm_silu_kernel is None or not kernels_run(x):
        total = conv(x) if beside is None else conv(x) + beside[0](beside[1])
        return total, F.silu(norm(total))
    shortcut, bias = None, conv.bias
    if beside is not None:
        layer, shortcut = beside
        if isinstance(layer, nn.Conv2d):
            shortcut = F.conv2d(shortcut, layer.weight)
            bias = bias.float() + cast(torch.Tensor, layer.bias).float()
    return add_norm_silu_kernel(conv.products(x), bias, shortcut, norm.gamma, NORM_EPS)
