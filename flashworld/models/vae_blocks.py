"""Blocks of the still-frame VAE: attention, downsampling and upsampling around residual blocks, as 2D networks.

They compute what the Wan 2.2 video VAE computes for a one-frame video, with the checkpoint's names. Activations are
kept channels_last: the norm runs over the last memory axis and passes that layout on to the convolutions.

Numerics: everything in the dtype of the weights, see also `residual_blocks.py`.

Source: arithmetic of diffusers' `autoencoder_kl_wan.py` (Apache-2.0), rewritten for one frame. Deviations:
1. Convolutions are 2D (last time slice of each causal kernel, see `still_frame.py`).
2. The shortcuts around down- and upsampling are written for one frame and for the channel ratios of this VAE only.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from flashworld.models.residual_blocks import ChannelNorm, ResidualBlock, through

SPREAD = {1: (1, 1), 2: (2, 1), 4: (2, 2)}
"""Rows and columns over which the shortcut of an upsampling distributes channels, by the number of channels that become one."""


class AttentionBlock(nn.Module):
    """Self-attention of one head over the pixels of one frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, H, W)"""
        height, width = x.shape[-2:]
        query, key, value = rearrange(self.to_qkv(self.norm(x)), "n c h w -> n 1 (h w) c").chunk(3, dim=-1)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return x + self.proj(rearrange(mixed, "n 1 (h w) c -> n c h w", h=height, w=width))


class MidBlock(nn.Module):
    """Residual, attention, residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([AttentionBlock(channels)])
        self.resnets = nn.ModuleList([ResidualBlock(channels, channels), ResidualBlock(channels, channels)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, H, W)"""
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Downsample2x(nn.Module):
    """3x3 convolution of stride 2, padded at the right and at the bottom only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(channels, channels, 3, stride=2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, H / 2, W / 2)"""
        return self.resample(x)


class NearestUpsample2x(nn.Module):
    """Nearest-neighbour upsampling: every pixel becomes a 2x2 square."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, 2H, 2W), channels_last"""
        return spread_channels(x, x.shape[1])


class Upsample2x(nn.Module):
    """Nearest-neighbour upsampling, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.resample = nn.Sequential(NearestUpsample2x(), nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, 2H, 2W)"""
        return self.resample(x)


def spread_channels(x: torch.Tensor, out_channels: int) -> torch.Tensor:
    """Double the size by copying: out_channels equal to C repeats pixels, C / 2 and C / 4 rearrange channels into space.

    Of the C / out_channels input channels that share an output channel, two become alternate rows, four also alternate
    columns.

    Args:
        x: Activations. (N, C, H, W)
        out_channels: C, C / 2 or C / 4.

    Returns:
        (N, out_channels, 2H, 2W), channels_last.
    """
    rows, columns = SPREAD[x.shape[1] // out_channels]
    n, _, height, width = x.shape
    parts = rearrange(x, "n (c a b) h w -> n h a w b c", a=rows, b=columns)
    parts = parts.expand(n, height, 2, width, 2, out_channels)
    return rearrange(parts, "n h a w b c -> n c (h a) (w b)")


class DownBlock(nn.Module):
    """Residual blocks, then downsampling; the shortcut averages 2x2 squares.

    A block that also downsamples time averages with a frame of zeros. For one frame this means that every input channel
    gives an output channel of zeros, then one of averages.
    """

    def __init__(
        self, in_channels: int, out_channels: int, blocks: int, *, downsample: bool, downsample_time: bool
    ) -> None:
        super().__init__()
        widths = [in_channels] + [out_channels] * blocks
        self.resnets = nn.ModuleList(ResidualBlock(a, b) for a, b in pairwise(widths))
        self.downsampler = Downsample2x(out_channels) if downsample else None
        self.downsample_time = downsample_time
        if out_channels != in_channels * (2 if downsample_time else 1):
            raise ValueError(
                f"down block: {in_channels} channels must become {in_channels * (2 if downsample_time else 1)}, "
                f"got {out_channels}; use channel multipliers 1, 2, 4, 4"
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, H / 2, W / 2), or the same size without downsampling"""
        shortcut = x
        x = through(self.resnets, x)
        if self.downsampler is None:
            return x + shortcut
        shortcut = F.avg_pool2d(shortcut, 2)
        if self.downsample_time:
            pairs = torch.stack([torch.zeros_like(shortcut), shortcut], dim=-1)
            shortcut = rearrange(pairs, "n c h w t -> n (c t) h w")
        return self.downsampler(x) + shortcut


class UpBlock(nn.Module):
    """Residual blocks, then upsampling; the shortcut rearranges channels into 2x2 squares."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int, *, upsample: bool) -> None:
        super().__init__()
        widths = [in_channels] + [out_channels] * (blocks + 1)
        self.resnets = nn.ModuleList(ResidualBlock(a, b) for a, b in pairwise(widths))
        self.upsampler: nn.Module | None = Upsample2x(out_channels) if upsample else None
        self.out_channels = out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, 2H, 2W), or the same size without upsampling (then there is no shortcut)"""
        shortcut = x
        x = through(self.resnets, x)
        if self.upsampler is None:
            return x
        return self.upsampler(x) + spread_channels(shortcut, self.out_channels)
